/*
 * index - the messages in memory: which there are, where each lies, and what a segment still holds.
 *
 * A segment may be deleted (keeper.c) when no open message has its newest copy in it, all DONEs and
 * copies that made it so are on stable storage (dead_batch), and no older segment is left that may
 * hold a message of which records here speak (speaks_from): else that message would come back to
 * life. speaks_from is kept as one number, "nothing older than this": coarser than a set of
 * segments, but a log is deleted from its old end anyway.
 */
#include "spool/inner.h"

#include <assert.h>

struct message *index_find(struct spool *s, const struct message_id *id)
{
	struct map_node *node = map_first(&s->index, id_hash(id));

	for (; node; node = map_next(node)) {
		struct message *m = CONTAINER_OF(node, struct message, node);

		if (id_eq(&m->id, id))
			return m;
	}
	return NULL;
}

void index_add(struct spool *s, struct message *m, struct segment *g, uint64_t offset,
	       uint32_t octets)
{
	spool_lock(s);
	assert(!m->in_index && !m->segment);
	m->segment = segment_ref(g);
	m->offset = (uint32_t)offset;
	m->octets = octets;
	m->oldest = g->number;
	m->in_index = true;
	map_insert(&s->index, &m->node, id_hash(&m->id));
	list_push(&g->messages, &m->in_segment);
	g->live_n++;
	g->live_octets += octets;
	s->live_octets += octets;
	message_ref(m);
	message_lock(m);
	m->stored = true;
	message_unlock(m);
	spool_unlock(s);
	atomic_fetch_add(&s->recipients, m->recipients_n);
	if (m->file)
		atomic_fetch_add_explicit(&s->file_octets, m->size, memory_order_relaxed);
}

static void leave_segment(struct spool *s, struct message *m, uint64_t batch)
{
	struct segment *g = m->segment;

	list_remove(&m->in_segment);
	g->live_n--;
	g->live_octets -= m->octets;
	s->live_octets -= m->octets;
	g->unreadable_n -= m->unreadable;
	m->unreadable = m->damaged = false;
	if (g->dead_batch < batch)
		g->dead_batch = batch;
}

void index_move(struct spool *s, struct message *m, struct segment *to, uint64_t offset,
		uint32_t octets, uint64_t batch)
{
	struct segment *from, *first;

	spool_lock(s);
	from = m->segment;
	first = LIST_ENTRY(list_first(&s->segments), struct segment, link);
	leave_segment(s, m, batch);
	if (m->oldest < first->number)
		m->oldest = from->number;
	m->segment = segment_ref(to);
	m->offset = (uint32_t)offset;
	m->octets = octets;
	list_push(&to->messages, &m->in_segment);
	to->live_n++;
	to->live_octets += octets;
	s->live_octets += octets;
	spool_unlock(s);
	segment_unref(from);
}

void index_remove(struct spool *s, struct message *m, uint64_t batch)
{
	bool was_last;

	spool_lock(s);
	assert(m->in_index);
	leave_segment(s, m, batch);
	was_last = !m->segment->live_n && m->segment->is_full;
	map_remove(&s->index, &m->node);
	m->in_index = false;
	spool_unlock(s);
	atomic_fetch_sub(&s->recipients, m->recipients_n);
	if (m->file)
		content_file_dead(s->memory, m->file, m->size, batch);
	message_unref(m);
	if (was_last)
		keeper_wake(s);
}

void index_speaks(struct segment *g, const struct message *m)
{
	if (m->oldest < g->speaks_from)
		g->speaks_from = m->oldest;
}

void index_change(struct message *m, const struct change *c)
{
	struct recipient *r = &m->recipients[c->recipient];
	char *last = c->last.n ? str_dup(c->last) : NULL, *old = NULL;

	message_lock(m);
	if (r->state == RECIPIENT_QUEUED) {
		r->state = c->state;
		r->warned |= c->warned;
		r->attempts = c->attempts;
		r->next_ms = c->next_ms;
		if (last) {
			old = r->last;
			r->last = last;
			last = NULL;
		}
		if (c->state != RECIPIENT_QUEUED)
			atomic_fetch_sub_explicit(&m->open_n, 1, memory_order_release);
	}
	message_unlock(m);
	mem_free(old);
	mem_free(last);
}

void index_reroute(struct message *m, uint32_t recipient, const struct name *route)
{
	struct recipient *r = &m->recipients[recipient];

	message_lock(m);
	if (r->state == RECIPIENT_QUEUED) {
		atomic_store_explicit(&r->route, route, memory_order_release);
		r->next_ms = 0;
	}
	message_unlock(m);
}

void index_warned(struct message *m, uint32_t recipient)
{
	struct recipient *r = &m->recipients[recipient];

	message_lock(m);
	if (r->state == RECIPIENT_QUEUED)
		r->warned = 1;
	message_unlock(m);
}
