/*
 * heap - an intrusive binary min-heap over a uint64_t key (times, mostly).
 *
 * A member embeds a struct heap_node, which knows its place, so that removal and change of key
 * are O(log n). Equal keys leave in no particular but in a deterministic order. The array holds
 * the keys beside the pointers: sifting touches no member but to write its index.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint32_t index;		/* place in the array + 1; 0: in no heap */
};

struct heap_slot {
	uint64_t key;
	struct heap_node *node;	/* borrowed */
};

struct heap {
	struct heap_slot *slots; /* owned */
	uint32_t n, size;
};

static inline void heap_init(struct heap *h)
{
	*h = (struct heap){ 0 };
}

void heap_done(struct heap *h);		/* frees the array, not the members */
void heap_insert(struct heap *h, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *h, struct heap_node *node);	/* no effect if in no heap */
void heap_change(struct heap *h, struct heap_node *node, uint64_t key);	/* inserts if in no heap */

static inline bool heap_has(const struct heap_node *node)
{
	return node->index != 0;
}

static inline struct heap_node *heap_first(const struct heap *h)	/* NULL if empty */
{
	return h->n ? h->slots[0].node : NULL;
}

/* The smallest key, or UINT64_MAX if empty. */
static inline uint64_t heap_first_key(const struct heap *h)
{
	return h->n ? h->slots[0].key : UINT64_MAX;
}

static inline uint64_t heap_key(const struct heap *h, const struct heap_node *node)
{
	return h->slots[node->index - 1].key;
}

#endif
