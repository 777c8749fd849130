/*
 * apply - what a batch means in memory, once it stands in the log.
 *
 * Notes are applied when written, commits when synced: what was not acknowledged must not be seen,
 * and after a failed sync there is nothing to take back.
 */
#include "spool/committer.h"

void messages_add(struct message_list *l, struct message *m)
{
	if (l->n == l->size) {
		l->size = l->size ? l->size * 2 : 64;
		l->messages = mem_realloc(l->messages, size_mul(l->size, sizeof(struct message *)));
	}
	l->messages[l->n++] = message_ref(m);
}

void messages_drop(struct message_list *l, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		message_unref(l->messages[i]);
	l->n -= n;
	if (l->n)
		memmove(l->messages, l->messages + n, l->n * sizeof(struct message *));
}

void messages_clear(struct message_list *l)
{
	if (l->n)
		messages_drop(l, l->n);
}

static void apply_message(struct committer *c, struct item *i)
{
	struct spool *s = c->spool;
	struct message *m = i->message;

	index_add(s, m, c->active, i->offset,
		  (uint32_t)record_align(i->octets + (i->body.file ? 0 : i->body.octets)));
	if (i->body.file)	/* index_add counted it */
		atomic_fetch_sub_explicit(&s->file_octets, i->body.octets, memory_order_relaxed);
	if (m->content && !content_committed(m->content))
		message_drop_content(m);
}

static void apply_changes(struct item *i)
{
	struct message *m = i->message;

	if (i->flags.has_flags) {
		message_lock(m);
		m->flags = i->flags.flags;
		m->crashes = i->flags.crashes;
		message_unlock(m);
	}
	for (unsigned at = 0; at < i->named_n; at++) {
		if (i->route)
			index_reroute(m, i->named[at], i->route);
		else
			index_warned(m, i->named[at]);
	}
	for (unsigned at = 0; at < i->changes_n; at++)
		index_change(m, &i->changes[at]);
}

void apply_batch(struct committer *c, struct batch *b, uint64_t number)
{
	for (struct item *i = b->items; i; i = i->next) {
		if (i->is_message) {
			apply_message(c, i);
			continue;
		}
		apply_changes(i);
		if (b->is_note && c->active)
			messages_add(&c->noted, i->message);
		/*
		 * Not by i->closes: a commit of the same batch, not yet applied, may be a part of
		 * that.
		 */
		if (i->message->in_index &&
		    !atomic_load_explicit(&i->message->open_n, memory_order_relaxed))
			index_remove(c->spool, i->message, number);
	}
	b->applied = true;
	b->number = number;
}

void apply_copies(struct committer *c, uint64_t number)
{
	struct copy *next;

	for (struct copy *copy = c->group_copies; copy; copy = next) {
		struct message *m = copy->message;

		next = copy->next;
		/* A note of the same batch may have made it final: then nobody needs the copy. */
		if (m->in_index && m->segment == copy->from) {
			index_move(c->spool, m, c->active, copy->offset, copy->octets, number);
			atomic_fetch_add_explicit(&c->spool->swept, 1, memory_order_relaxed);
		}
		keeper_copied(c->spool, copy);
	}
	c->group_copies = NULL;
}

/* Back to what is applied, for every message of a batch that will not be. */
void apply_undo_decisions(struct batch *b)
{
	for (struct item *i = b->items; i; i = i->next) {
		struct message *m = i->message;

		m->undecided_n = 0;
		for (uint32_t at = 0; at < m->recipients_n; at++) {
			m->recipients[at].decided = m->recipients[at].state;
			m->undecided_n += m->recipients[at].state == RECIPIENT_QUEUED;
		}
		i->closes = false;
	}
}
