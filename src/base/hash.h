/*
 * hash - keyed hashing (SipHash-1-3) and an intrusive hash map.
 *
 * The key comes from the world's randomness at start (hash_seed), so that a peer cannot choose
 * colliding names, and so that a simulated run repeats. The map holds members that embed a struct
 * map_node; the caller computes the hash and compares, so keys may be anything.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

void hash_seed(uint64_t k0, uint64_t k1);	/* once, before the first hash */
uint64_t hash_bytes(const void *p, size_t n);
uint64_t hash_nocase(struct str s);		/* ASCII case folded */

/* unkeyed mixing; for numbers a peer cannot choose */
static inline uint64_t hash_u64(uint64_t v)
{
	v ^= v >> 32;
	v *= 0xd6e8feb86659fd93u;
	v ^= v >> 32;
	v *= 0xd6e8feb86659fd93u;
	return v ^ (v >> 32);
}

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **buckets;	/* owned */
	size_t n, size;			/* members; buckets, a power of two or 0 */
	/* while it doubles: half as many, of which the first .moved are empty */
	struct map_node **old;		/* owned; NULL: it does not */
	size_t moved;
};

static inline void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_done(struct map *m);		/* frees the buckets, not the members */
/* does not look for an equal one */
void map_insert(struct map *m, struct map_node *node, uint64_t hash);
void map_remove(struct map *m, struct map_node *node);	/* must be a member */

/*
 * The first member with that hash, then map_next for the others: the caller compares keys. NULL
 * at the end.
 */
struct map_node *map_first(const struct map *m, uint64_t hash);
struct map_node *map_next(const struct map_node *node);

/*
 * All members, in bucket order: start with NULL, NULL at the end. The map must not change meanwhile
 * (removing the member just returned is allowed if the next was fetched before).
 */
struct map_node *map_walk(const struct map *m, const struct map_node *node);

/* The members of one bucket, at < m->size: for walks that go on after the map has changed. */
struct map_node *map_bucket_first(const struct map *m, size_t at);
struct map_node *map_bucket_next(const struct map *m, const struct map_node *node);

#endif
