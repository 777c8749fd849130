/*
 * heap - an intrusive binary min-heap; see heap.h.
 */
#include "base/heap.h"

#include "base/mem.h"

#include <assert.h>

void heap_done(struct heap *h)
{
	mem_free(h->slots);
	heap_init(h);
}

static void put(struct heap *h, uint32_t at, struct heap_slot slot)
{
	h->slots[at] = slot;
	slot.node->index = at + 1;
}

static void sift_up(struct heap *h, uint32_t at, struct heap_slot slot)
{
	while (at > 0 && h->slots[(at - 1) / 2].key > slot.key) {
		put(h, at, h->slots[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	put(h, at, slot);
}

static void sift_down(struct heap *h, uint32_t at, struct heap_slot slot)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->slots[child + 1].key < h->slots[child].key)
			child++;
		if (h->slots[child].key >= slot.key)
			break;
		put(h, at, h->slots[child]);
		at = child;
	}
	put(h, at, slot);
}

void heap_insert(struct heap *h, struct heap_node *node, uint64_t key)
{
	assert(!heap_has(node));
	if (h->n == h->size) {
		h->size = h->size ? h->size * 2 : 16;
		h->slots = mem_realloc(h->slots, size_mul(h->size, sizeof(*h->slots)));
	}
	h->n++;
	sift_up(h, h->n - 1, (struct heap_slot){ key, node });
}

void heap_remove(struct heap *h, struct heap_node *node)
{
	uint32_t at;
	struct heap_slot last;

	if (!heap_has(node))
		return;
	at = node->index - 1;
	assert(at < h->n && h->slots[at].node == node);
	node->index = 0;
	last = h->slots[--h->n];
	if (at == h->n)
		return;
	if (at > 0 && h->slots[(at - 1) / 2].key > last.key)
		sift_up(h, at, last);
	else
		sift_down(h, at, last);
}

void heap_change(struct heap *h, struct heap_node *node, uint64_t key)
{
	heap_remove(h, node);
	heap_insert(h, node, key);
}
