/*
 * sweep - copying the few survivors of an old segment forward, so that it can be deleted.
 *
 * When: the log takes more than twice what is live in it and one segment more, then the oldest
 * segment - so that, while another segment fills, it stays below twice and two segments; or a
 * segment was left a minute ago, is live to less than a quarter, and could be deleted if it were
 * empty. Either way the octets copied are at most those freed, so sweeping ends.
 *
 * How: up to BATCH_SWEEP_MAX of survivors are read and checked here and handed to the committer,
 * which writes each as one new MESSAGE record with the state of that moment - unless it became
 * final or was copied meanwhile - and moves it in the index when the batch is synced. Only then is
 * the old segment empty, and only then does the keeper delete it. A body in a file is not copied,
 * only its record.
 *
 * A survivor whose record is damaged cannot be copied. It is reported and put into quarantine, the
 * others are copied all the same, and its owner is told (spool_set_damaged), who gives it up: then
 * it is final, and its segment goes. One that cannot be read for another reason is left out, and
 * tried again ten minutes later: its segment would stay, and all behind it that speak of what was
 * there (index.c), for as long as its destination is down.
 */
#include "spool/keeper.h"

#define SETTLE_NS (60 * SECOND)		/* most messages of a segment just left are about to be
					   final */
#define RETRY_NS (1 * SECOND)		/* after the committer could not copy */
#define COPIES_MAX 4096			/* handed over at once */
#define AGAIN_NS (600 * SECOND)		/* after a survivor could not be read */

static void free_copy(struct copy *c)
{
	message_unref(c->message);
	segment_unref(c->from);
	stored_free(&c->old);
	mem_free(c);
}

void keeper_copied(struct spool *s, struct copy *c)
{
	struct keeper *k = s->keeper;
	struct copy *head = atomic_load_explicit(&k->returned, memory_order_relaxed);

	do
		c->next = head;
	while (!atomic_compare_exchange_weak(&k->returned, &head, c));
	if (!head)
		keeper_wake(s);
}

static void free_chain(struct keeper *k, struct copy *c)
{
	struct copy *next;

	for (; c; c = next) {
		next = c->next;
		k->under_way--;
		free_copy(c);
	}
}

/* Before deletions are looked for: what the sweeper still counts is not given back gently. */
static void end_round(struct keeper *k)
{
	struct spool *s = k->spool;
	uint64_t n;

	spool_lock(s);
	n = k->from->live_n;
	spool_unlock(s);
	if (n >= k->survivors)
		k->sweep_at = s->world->now(s->world) + RETRY_NS;
	segment_unref(k->from);
	k->from = NULL;
}

void sweep_take_back(struct keeper *k)
{
	free_chain(k, atomic_exchange(&k->returned, NULL));
	if (k->from && !k->under_way)
		end_round(k);
	/* At the end the committer is gone, and what it was to get is still here. */
	if (atomic_load(&k->stopping))
		free_chain(k, atomic_exchange(&k->spool->copies, NULL));
}

/* ---- which */

struct log_size {
	uint64_t octets, live;
};

/* Under the lock: whether there is anything in it to copy. */
static bool has_survivors(const struct segment *g)
{
	return g->is_full && g->live_n > g->unreadable_n;
}

/* Under the lock. */
static struct log_size measure(struct spool *s)
{
	struct log_size size = { .live = s->live_octets };

	LIST_FOR(at, &s->segments) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		size.octets += g->is_full ? atomic_load(&g->disk) : atomic_load(&g->used);
	}
	return size;
}

static bool is_worth_it(struct spool *s, struct segment *g, uint64_t now, int64_t *ret_rest)
{
	struct list *before = g->link.prev;

	if (!has_survivors(g) || g->live_octets > atomic_load(&g->disk) / 4)
		return false;
	if (before != &s->segments &&
	    LIST_ENTRY(before, struct segment, link)->number >= g->speaks_from)
		return false;
	if (now >= g->full_at + SETTLE_NS)
		return true;
	if ((int64_t)(g->full_at + SETTLE_NS - now) < *ret_rest)
		*ret_rest = (int64_t)(g->full_at + SETTLE_NS - now);
	return false;
}

/* Counted; NULL: none, and *ret_rest says when to look again. */
static struct segment *choose(struct spool *s, int64_t *ret_rest)
{
	uint64_t now = s->world->now(s->world);
	struct segment *found = NULL;
	struct log_size size;

	spool_lock(s);
	size = measure(s);
	LIST_FOR(at, &s->segments) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		if (has_survivors(g) && size.octets > 2 * size.live + s->segment_size)
			found = g;
		else if (is_worth_it(s, g, now, ret_rest))
			found = g;
		if (found)
			break;
	}
	if (found)
		segment_ref(found);
	spool_unlock(s);
	return found;
}

/* ---- copying */

/* The first messages of it, counted, up to the committer's share. */
static unsigned survivors(struct spool *s, struct segment *g, struct copy **ret)
{
	struct copy *chain = NULL;
	uint64_t octets = 0;
	unsigned n = 0;

	spool_lock(s);
	LIST_FOR(at, &g->messages) {
		struct message *m = LIST_ENTRY(at, struct message, in_segment);
		struct copy *c;

		if (m->unreadable)
			continue;
		if (n && (octets + m->octets > BATCH_SWEEP_MAX || n == COPIES_MAX))
			break;
		c = mem_zalloc(sizeof(*c));
		c->message = message_ref(m);
		c->from = segment_ref(g);
		c->offset = m->offset;
		c->next = chain;
		chain = c;
		octets += m->octets;
		n++;
	}
	spool_unlock(s);
	*ret = chain;
	return n;
}

static void hand_over(struct keeper *k, struct copy *chain)
{
	struct spool *s = k->spool;
	struct copy *good = NULL, *next;

	for (; chain; chain = next) {
		int r = stored_read(chain->from, chain->offset, &chain->old);

		next = chain->next;
		if (r < 0) {
			damage_of_message(s, chain->message, chain->from, chain->offset, r);
			free_copy(chain);
			continue;
		}
		chain->next = good;
		good = chain;
		k->under_way++;
	}
	if (good)
		committer_copy(s, good);
}

static void read_again(struct spool *s)
{
	spool_lock(s);
	LIST_FOR(at, &s->segments) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		if (!g->unreadable_n)
			continue;
		LIST_FOR(mail, &g->messages) {
			struct message *m = LIST_ENTRY(mail, struct message, in_segment);

			g->unreadable_n -= m->unreadable && !m->damaged;
			m->unreadable = m->damaged;
		}
	}
	spool_unlock(s);
}

int64_t sweep(struct keeper *k)
{
	struct spool *s = k->spool;
	uint64_t now = s->world->now(s->world);
	struct copy *chain;
	int64_t rest = STEP_IDLE;

	if (k->under_way || atomic_load(&s->failed))
		return STEP_IDLE;
	if (now < k->sweep_at)
		return (int64_t)(k->sweep_at - now);
	if (now >= k->again_at) {
		read_again(s);
		k->again_at = now + AGAIN_NS;
	}
	k->from = choose(s, &rest);
	if (!k->from)
		return rest;
	spool_lock(s);
	k->survivors = k->from->live_n;
	spool_unlock(s);
	if (survivors(s, k->from, &chain))
		hand_over(k, chain);
	return k->under_way ? STEP_IDLE : STEP_AGAIN;
}
