/*
 * hash - SipHash-1-3 and an intrusive chained hash map; see hash.h.
 *
 * The map doubles when it holds more members than buckets and never shrinks: queues that were long
 * once will be long again.
 */
#include "base/hash.h"

#include "base/mem.h"

#include <assert.h>

static uint64_t key0 = 0x736f6d6570736575u, key1 = 0x646f72616e646f6du;

void hash_seed(uint64_t k0, uint64_t k1)
{
	key0 = k0;
	key1 = k1;
}

struct sip {
	uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t v, int n)
{
	return (v << n) | (v >> (64 - n));
}

static inline void sip_round(struct sip *s)
{
	s->a += s->b;
	s->b = rotate(s->b, 13) ^ s->a;
	s->a = rotate(s->a, 32);
	s->c += s->d;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a += s->d;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c += s->b;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

static void sip_start(struct sip *s)
{
	s->a = key0 ^ 0x736f6d6570736575u;
	s->b = key1 ^ 0x646f72616e646f6du;
	s->c = key0 ^ 0x6c7967656e657261u;
	s->d = key1 ^ 0x7465646279746573u;
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	s->a ^= word;
}

static uint64_t sip_end(struct sip *s, uint64_t last)
{
	sip_word(s, last);
	s->c ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->a ^ s->b ^ s->c ^ s->d;
}

uint64_t hash_bytes(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	struct sip s;
	uint64_t word, last = (uint64_t)n << 56;

	sip_start(&s);
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		sip_word(&s, word);
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	return sip_end(&s, last);
}

uint64_t hash_nocase(struct str str)
{
	struct sip s;
	uint64_t word = 0;

	sip_start(&s);
	for (size_t i = 0; i < str.n; i++) {
		word |= (uint64_t)(unsigned char)ascii_lower(str.p[i]) << (8 * (i & 7));
		if ((i & 7) == 7) {
			sip_word(&s, word);
			word = 0;
		}
	}
	return sip_end(&s, word | (uint64_t)str.n << 56);
}

/*
 * ---- the map. It doubles piece by piece: the old buckets stay beside the new ones, and each
 * insert moves a few of them over, so that no insert into a map of millions takes more than
 * microseconds.
 */

#define GROW_AT_ONCE 4096	/* buckets up to which it is not worth the trouble */
#define MOVES_PER_INSERT 4

void map_done(struct map *m)
{
	mem_free(m->buckets);
	mem_free(m->old);
	map_init(m);
}

static size_t old_size(const struct map *m)
{
	return m->old ? m->size / 2 : 0;
}

/* Where a hash's members are: in the old bucket until that has moved. */
static struct map_node **bucket_of(const struct map *m, uint64_t hash)
{
	size_t at = hash & (old_size(m) - 1);

	return m->old && at >= m->moved ? &m->old[at] : &m->buckets[hash & (m->size - 1)];
}

static void move_bucket(struct map *m)
{
	for (struct map_node *node = m->old[m->moved], *next; node; node = next) {
		struct map_node **to = &m->buckets[node->hash & (m->size - 1)];

		next = node->next;
		node->next = *to;
		*to = node;
	}
	m->moved++;
}

static void move_some(struct map *m, size_t n)
{
	while (n-- && m->moved < old_size(m))
		move_bucket(m);
	if (m->moved < old_size(m))
		return;
	mem_free(m->old);
	m->old = NULL;
}

static void grow(struct map *m)
{
	size_t size = m->size ? size_mul(m->size, 2) : 16;

	m->old = m->buckets;
	m->buckets = mem_calloc(size, sizeof(struct map_node *));
	m->moved = 0;
	m->size = size;
	if (size <= GROW_AT_ONCE)
		move_some(m, size);
}

void map_insert(struct map *m, struct map_node *node, uint64_t hash)
{
	struct map_node **to;

	if (m->old)
		move_some(m, MOVES_PER_INSERT);
	else if (m->n >= m->size)
		grow(m);
	to = bucket_of(m, hash);
	node->hash = hash;
	node->next = *to;
	*to = node;
	m->n++;
}

void map_remove(struct map *m, struct map_node *node)
{
	struct map_node **at = bucket_of(m, node->hash);

	while (*at != node) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = node->next;
	node->next = NULL;
	m->n--;
}

static struct map_node *same_hash(struct map_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct map_node *map_first(const struct map *m, uint64_t hash)
{
	return m->size ? same_hash(*bucket_of(m, hash), hash) : NULL;
}

struct map_node *map_next(const struct map_node *node)
{
	return same_hash(node->next, node->hash);
}

static struct map_node *first_from(struct map_node *const *buckets, size_t at, size_t n)
{
	for (; at < n; at++)
		if (buckets[at])
			return buckets[at];
	return NULL;
}

/* What has not moved yet, then the rest. */
struct map_node *map_walk(const struct map *m, const struct map_node *node)
{
	size_t old = node ? node->hash & (old_size(m) - 1) : 0, at = 0;
	struct map_node *next;

	if (node && node->next)
		return node->next;
	if (m->old && (!node || old >= m->moved)) {
		next = first_from(m->old, node ? old + 1 : m->moved, old_size(m));
		if (next)
			return next;
	} else if (node) {
		at = (node->hash & (m->size - 1)) + 1;
	}
	return first_from(m->buckets, at, m->size);
}

/* The next of a chain that belongs to this bucket: an old chain has the members of two. */
static struct map_node *same_bucket(const struct map *m, struct map_node *node, size_t at)
{
	while (node && (node->hash & (m->size - 1)) != at)
		node = node->next;
	return node;
}

struct map_node *map_bucket_first(const struct map *m, size_t at)
{
	return same_bucket(m, *bucket_of(m, at), at);
}

struct map_node *map_bucket_next(const struct map *m, const struct map_node *node)
{
	return same_bucket(m, node->next, node->hash & (m->size - 1));
}
