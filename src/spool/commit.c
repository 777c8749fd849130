/*
 * commit - the committer: the one actor that appends to the log (DESIGN section 5, group commit).
 *
 * Sessions on all cores push submissions onto a lock-free stack. The committer takes what has
 * gathered, puts it into one batch, writes it with one pwritev (as few as IOV_MAX allows) straight
 * from the sessions' content, syncs once, and wakes each core once. There is no timer: the batch
 * that gathers while a sync runs is the next one, so under load batches grow by themselves. It
 * blocks in disk calls and nowhere else.
 *
 * A submission ends in one of these ways:
 *   note, written                applied, 0
 *   commit, synced               applied, 0 (with a replica: when that has it as well)
 *   cannot be written at all     -errno; a note is applied all the same and its message put on the
 *   list of the
 *                                unrecorded, whose whole state goes into the next batch that can be
 *                                written: what a peer said is true, whether we could write it down
 *                                or not. Until then nothing else is written: whoever waits for a
 *                                batch number (keeper.c) believes that what was applied before it
 *                                stands in the log
 *   was in a batch whose write or sync failed (D4):
 *     bookkeeping                is written again into the new segment
 *     with a message             -errno after the new segment's first batch, which voids the old
 *     one, was synced;
 *                                -ESHUTDOWN if that fails as well
 *
 * D4 in steps: fail() poisons the segment and remembers a SEAL for it (valid up to its last synced
 * batch); the messages of notes that were written but not synced become unrecorded; open_segment()
 * takes a new segment and writes SEALs and unrecorded states as its first batch. If that fails that
 * segment gets a SEAL too, everybody who waits gets an answer, and the next attempt is made after a
 * back-off (1 s doubling to 60 s); until then every submission fails at once with the same error.
 */
#include "spool/committer.h"

#include <assert.h>

static uint64_t now_ns(struct committer *c)
{
	return c->spool->world->now(c->spool->world);
}

/* ---- hand-over */

void committer_wake(struct spool *s)
{
	if (atomic_exchange(&s->committer_asleep, false))
		s->world->actor_wake(s->world, s->committer_actor);
}

void committer_submit(struct spool *s, struct batch *b)
{
	struct batch *head = atomic_load_explicit(&s->inbox, memory_order_relaxed);

	do
		b->next = head;
	while (!atomic_compare_exchange_weak(&s->inbox, &head, b));
	committer_wake(s);
}

void committer_copy(struct spool *s, struct copy *chain)
{
	struct copy *last = chain, *head = atomic_load_explicit(&s->copies, memory_order_relaxed);

	while (last->next)
		last = last->next;
	do
		last->next = head;
	while (!atomic_compare_exchange_weak(&s->copies, &head, chain));
	committer_wake(s);
}

/* In the order in which they were submitted. */
static void take_inbox(struct committer *c)
{
	struct batch *b = atomic_exchange(&c->spool->inbox, NULL), *first = NULL;

	while (b) {
		struct batch *next = b->next;

		b->next = first;
		first = b;
		b = next;
	}
	while (first) {
		b = first;
		first = first->next;
		queue_push(&c->pending, b);
	}
	if (!c->copies)
		c->copies = atomic_exchange(&c->spool->copies, NULL);
}

static void on_finished(struct post *p)
{
	struct batch *b = CONTAINER_OF(p, struct batch, post), *next;

	for (; b; b = next) {
		next = b->next;		/* once it runs, its task frees it */
		b->done = true;
		task_wake(b->task);
	}
}

static void finish(struct committer *c, struct batch *b, int result)
{
	b->result = result;
	queue_push(&c->finished[loop_index(b->loop)], b);
}

/* One post per loop, however many of its tasks are done. */
static void wake_finished(struct committer *c)
{
	unsigned n = net_workers(c->spool->net);

	for (unsigned i = 0; i < n; i++) {
		struct batch *first = c->finished[i].first;

		c->finished[i] = (struct batch_queue){ 0 };
		if (first)
			loop_post(first->loop, &first->post, on_finished);
	}
}

static void release_replicated(struct committer *c)
{
	struct replica *r = c->spool->replica;

	while (c->unreplicated.first && r->synced(r) >= c->unreplicated.first->number)
		finish(c, queue_pop(&c->unreplicated), 0);
	wake_finished(c);
}

/* ---- submissions that do not reach the disk */

static void add_unrecorded(struct committer *c, struct message *m)
{
	if (m->unrecorded)
		return;
	m->unrecorded = true;
	messages_add(&c->unrecorded, m);
}

static void refuse(struct committer *c, struct batch *b, int error)
{
	if (b->is_note) {
		group_decide(b);
		apply_batch(c, b, c->next_batch);	/* no lower number will record it */
		for (struct item *i = b->items; i; i = i->next)
			add_unrecorded(c, i->message);
	}
	finish(c, b, error);
}

static void return_copies(struct committer *c)
{
	while (c->copies) {
		struct copy *next = c->copies->next;

		keeper_copied(c->spool, c->copies);
		c->copies = next;
	}
}

static void refuse_all(struct committer *c, int error)
{
	struct batch *b;

	while ((b = queue_pop(&c->pending)))
		refuse(c, b, error);
	return_copies(c);
	wake_finished(c);
}

/* ---- failure (D4) */

static void add_seal(struct committer *c, const struct seal *seal)
{
	c->seals = mem_realloc(c->seals, size_mul(c->seals_n + 1, sizeof(*c->seals)));
	c->seals[c->seals_n++] = *seal;
}

static void leave_active(struct committer *c, bool poisoned)
{
	struct spool *s = c->spool;
	struct segment *g = c->active;

	spool_lock(s);
	g->is_full = true;
	g->poisoned = poisoned;
	g->full_at = now_ns(c);
	spool_unlock(s);
	segment_unref(g);
	c->active = NULL;
	keeper_wake(s);
}

/* Notes that were written, but not synced: their states have to be written again. */
static void noted_is_unrecorded(struct committer *c)
{
	for (unsigned i = 0; i < c->noted.n; i++)
		add_unrecorded(c, c->noted.messages[i]);
	messages_clear(&c->noted);
}

/*
 * What the failed batch held: bookkeeping goes back to the head of the queue, the rest is doomed.
 */
static void sort_failed(struct committer *c)
{
	struct batch_queue again = { 0 };
	struct batch *b;

	while ((b = queue_pop(&c->group))) {
		apply_undo_decisions(b);
		queue_push(b->has_messages ? &c->doomed : &again, b);
	}
	while ((b = queue_pop(&c->pending)))
		queue_push(&again, b);
	c->pending = again;
	while (c->group_copies) {
		struct copy *next = c->group_copies->next;

		keeper_copied(c->spool, c->group_copies);
		c->group_copies = next;
	}
}

static void fail(struct committer *c, int error, const char *what)
{
	struct spool *s = c->spool;
	struct seal seal = {
		.segment = c->active->number,
		.octets = c->unsynced_from ? c->unsynced_start : c->start,
		.batch = c->unsynced_from ? c->unsynced_from : c->next_batch,
	};

	spool_report(s, SPOOL_EVENT_POISONED,
		     "segment %016llx: %s failed: %s; valid up to octet %llu",
		     (unsigned long long)seal.segment, what, strerror(-error),
		     (unsigned long long)seal.octets);
	atomic_fetch_add_explicit(&s->poisoned, 1, memory_order_relaxed);
	add_seal(c, &seal);
	noted_is_unrecorded(c);
	sort_failed(c);
	c->next_batch++;		/* that number may stand in the poisoned segment */
	c->unsynced_from = 0;
	c->unrecorded_placed = 0;
	c->error = error;
	c->retry_at = 0;
	leave_active(c, true);
}

/* ---- disk */

static int sync_active(struct committer *c)
{
	struct spool *s = c->spool;
	uint64_t before = now_ns(c), took;
	int r = s->world->disk_datasync(s->world, c->active->fd);

	took = now_ns(c) - before;
	atomic_fetch_add_explicit(&s->syncs, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->sync_ns_total, took, memory_order_relaxed);
	if (took > atomic_load_explicit(&s->sync_ns_max, memory_order_relaxed))
		atomic_store_explicit(&s->sync_ns_max, took, memory_order_relaxed);
	if (r < 0)
		return r;
	c->page_is_synced = true;
	c->unsynced_from = 0;
	atomic_store(&c->active->synced, atomic_load(&c->active->used));
	messages_clear(&c->noted);
	messages_drop(&c->unrecorded, c->unrecorded_placed);
	c->unrecorded_placed = 0;
	atomic_store(&s->synced, c->next_batch - 1);
	if (atomic_exchange(&s->keeper_wants_sync, false))
		keeper_wake(s);
	return 0;
}

/* The batch that group_* made. Counts as written from here on. */
static int write_group(struct committer *c)
{
	struct spool *s = c->spool;
	int r;

	group_end(c);
	if (s->replica)
		s->replica->append(s->replica, c->next_batch, c->iov, (int)c->iov_n);
	r = segment_write(c->active, c->iov, c->iov_n, c->start);
	if (r < 0)
		return r;
	atomic_store_explicit(&c->active->used, c->at, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->batches, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->octets_written, c->at - c->start, memory_order_relaxed);
	c->page_is_synced = false;
	if (c->start / KEEPER_EVERY != c->at / KEEPER_EVERY)
		keeper_wake(s);		/* it fills the next segment as this one fills */
	if (!c->unsynced_from) {
		c->unsynced_from = c->next_batch;
		c->unsynced_start = c->start;
		c->unsynced_at = now_ns(c);
	}
	c->next_batch++;
	return 0;
}

/* ---- segments */

/* One that is larger than all before, by number, and has room for so many octets. */
static int take_segment(struct committer *c, uint64_t need, struct segment **ret)
{
	struct spool *s = c->spool;
	struct segment_place place = spool_segment_place(s);
	struct segment *g;
	uint64_t size = s->segment_size;
	int r;

	need += SEGMENT_START + RECORD_COMMIT_OCTETS;
	if (need > size)
		size = (need + SEGMENT_SIZE_MIN - 1) & ~(uint64_t)(SEGMENT_SIZE_MIN - 1);
	spool_lock(s);
	g = s->ready;
	/*
	 * Numbers must rise (I1): one that is made here and now makes the ready one useless; the
	 * keeper removes it.
	 */
	if (g && g->size >= need && g->number > c->last_number) {
		s->ready = NULL;
		spool_unlock(s);
		*ret = g;
		return 0;
	}
	spool_unlock(s);
	r = segment_create(&place, spool_new_segment_number(s), size, ret);
	/* The last octets of a full disk are for bookkeeping. */
	if (r == -ENOSPC && need <= SEGMENT_SIZE_MIN && size > SEGMENT_SIZE_MIN)
		r = segment_create(&place, spool_new_segment_number(s), SEGMENT_SIZE_MIN, ret);
	return r;
}

static void activate(struct committer *c, struct segment *g)
{
	struct spool *s = c->spool;

	spool_lock(s);
	list_push(&s->segments, &g->link);
	segment_ref(g);
	spool_unlock(s);
	c->active = g;
	c->last_number = g->number;
	c->page_is_synced = true;
	keeper_wake(s);
}

/* The first batch of a segment after a start or a failure. */
static int write_first(struct committer *c)
{
	int r;

	if (!c->seals_n && !c->unrecorded.n)
		return 0;
	group_begin(c);
	group_add_seals(c);
	group_add_unrecorded(c);
	if ((r = write_group(c)) < 0 || (r = sync_active(c)) < 0)
		return r;
	c->seals_n = 0;
	return 0;
}

static int open_segment(struct committer *c)
{
	uint64_t need = group_unrecorded_octets(c) +
			(uint64_t)c->seals_n * record_align(RECORD_SEAL_OCTETS);
	struct segment *g;
	int r = take_segment(c, need, &g);

	if (r < 0)
		return r;
	activate(c, g);
	c->unsynced_from = 0;
	r = write_first(c);
	if (r < 0)
		fail(c, r, "its first batch");
	return r;
}

/*
 * It is not certain that their records are void: a crash may bring them back. So the content files
 * that they name stay, until a recovery finds that nobody names them.
 */
static void keep_files(struct batch *b)
{
	for (struct item *i = b->items; i; i = i->next)
		if (i->is_message && i->message->content)
			i->message->content->committed = true;
}

/* After open_segment failed: everybody gets an answer, and the next try is later. */
static void give_up(struct committer *c, int error)
{
	struct spool *s = c->spool;
	struct batch *b;

	c->backoff = c->backoff ? c->backoff * 2 : BACKOFF_MIN_NS;
	if (c->backoff > BACKOFF_MAX_NS)
		c->backoff = BACKOFF_MAX_NS;
	c->retry_at = now_ns(c) + c->backoff;
	c->error = error;
	if (!atomic_exchange(&s->failed, true))
		spool_report(s, SPOOL_EVENT_FAILED, "nothing can be written: %s", strerror(-error));
	while ((b = queue_pop(&c->doomed))) {
		keep_files(b);
		finish(c, b, -ESHUTDOWN);
	}
	/*
	 * Bookkeeping from the poisoned segment may or may not be there after a crash: that is what
	 * notes may be.
	 */
	refuse_all(c, error);
}

/* No active segment: try to get one. True: there is one. */
static bool reopen(struct committer *c)
{
	struct batch *b;
	int r, error = c->error;

	if (c->retry_at > now_ns(c)) {
		refuse_all(c, c->error);
		return false;
	}
	r = open_segment(c);
	if (r < 0) {
		give_up(c, r);
		return false;
	}
	c->retry_at = c->backoff = 0;
	if (atomic_exchange(&c->spool->failed, false))
		spool_report(c->spool, SPOOL_EVENT_ROOM, "the spool can be written again");
	while ((b = queue_pop(&c->doomed)))
		finish(c, b, error);
	wake_finished(c);
	return true;
}

/*
 * The active one is full. What is not synced in it is synced first: a torn tail may only be in the
 * last segment.
 */
static int switch_segment(struct committer *c, uint64_t need)
{
	struct segment *g;
	int r;

	if (c->retry_at > now_ns(c))
		return c->error;
	if (c->unsynced_from && (r = sync_active(c)) < 0) {
		fail(c, r, "sync");
		return r;
	}
	r = take_segment(c, need, &g);
	if (r < 0) {
		c->error = r;
		c->retry_at = now_ns(c) + BACKOFF_MIN_NS;
		return r;
	}
	c->retry_at = 0;
	leave_active(c, false);
	activate(c, g);
	return 0;
}

/* ---- one batch */

/* At most the sweeper's share. */
static void add_copies(struct committer *c)
{
	while (c->copies && c->at - c->start < BATCH_SWEEP_MAX) {
		struct copy *copy = c->copies;
		size_t octets = record_message_octets(copy->message, copy->old.head);

		if (!copy->old.body.file)
			octets += copy->old.body.octets;
		if (!group_fits(c, record_align(octets))) {
			if (c->records)
				return;
			if (switch_segment(c, record_align(octets)) < 0) {
				return_copies(c);
				return;
			}
			group_begin(c);
		}
		c->copies = copy->next;
		if (group_add_copy(c, copy)) {
			copy->next = c->group_copies;
			c->group_copies = copy;
		} else {
			keeper_copied(c->spool, copy);
		}
	}
}

/*
 * No next segment can be made: the second half of this one is for bookkeeping, bounces and the
 * sweeper.
 */
static bool is_reserve(const struct committer *c)
{
	return atomic_load_explicit(&c->spool->tight, memory_order_relaxed) &&
	       c->at > c->active->size / 2;
}

/* Fills the group from the queue. Submissions that cannot be written are answered. */
static void add_pending(struct committer *c)
{
	struct batch *b;

	while ((b = c->pending.first)) {
		int r = 0;

		if (b->is_ordinary && is_reserve(c)) {
			refuse(c, queue_pop(&c->pending), -ENOSPC);
			continue;
		}
		if (c->records && c->at - c->start + b->octets > BATCH_MAX)
			return;
		if (!group_fits(c, b->octets)) {
			if (c->records)
				return;
			r = switch_segment(c, b->octets);
			if (!c->active)
				return;
			if (r < 0) {
				refuse(c, queue_pop(&c->pending), r);
				if (c->unrecorded.n)
					return;
				continue;
			}
			group_begin(c);
		}
		group_add_batch(c, queue_pop(&c->pending));
	}
}

/* False: there is no room for them. */
static bool add_unrecorded_states(struct committer *c)
{
	uint64_t octets = group_unrecorded_octets(c);

	if (!group_fits(c, octets)) {
		if (switch_segment(c, octets) < 0)
			return false;
		group_begin(c);
	}
	group_add_unrecorded(c);
	return true;
}

static void form_group(struct committer *c)
{
	group_begin(c);
	if (c->unrecorded.n && !add_unrecorded_states(c)) {
		if (c->active)
			refuse_all(c, c->error);
		return;
	}
	if (c->copies)
		add_copies(c);
	if (c->active)
		add_pending(c);
}

/* Commits of the group, after the sync. */
static void finish_group(struct committer *c, uint64_t number)
{
	struct batch *b;

	apply_copies(c, number);
	while ((b = queue_pop(&c->group))) {
		apply_batch(c, b, number);
		atomic_fetch_add_explicit(&c->spool->commits, 1, memory_order_relaxed);
		if (c->spool->replica)
			queue_push(&c->unreplicated, b);
		else
			finish(c, b, 0);
	}
	wake_finished(c);
}

/* Notes are through as soon as they are written. */
static void finish_notes(struct committer *c, uint64_t number)
{
	struct batch_queue commits = { 0 };
	struct batch *b;

	while ((b = queue_pop(&c->group))) {
		if (b->is_note) {
			apply_batch(c, b, number);
			finish(c, b, 0);
		} else {
			queue_push(&commits, b);
		}
	}
	c->group = commits;
	wake_finished(c);
}

static void commit_group(struct committer *c)
{
	uint64_t number = c->next_batch;
	int r;

	form_group(c);
	wake_finished(c);	/* those refused */
	if (!c->active || !c->records)
		return;
	r = write_group(c);
	if (r < 0) {
		fail(c, r, "write");
		return;
	}
	finish_notes(c, number);
	if (!c->group.first && !c->group_copies && !c->unrecorded_placed &&
	    now_ns(c) < c->unsynced_at + NOTE_AGE_MAX_NS)
		return;
	r = sync_active(c);
	if (r < 0) {
		fail(c, r, "sync");
		return;
	}
	finish_group(c, number);
}

/* ---- the actor */

static bool has_work(struct committer *c)
{
	return c->pending.first || c->copies || (c->unrecorded.n && c->retry_at <= now_ns(c));
}

static int64_t stop(struct committer *c)
{
	struct segment *g = c->active;
	struct world *w = c->spool->world;

	if (g && c->unsynced_from && sync_active(c) < 0)
		fail(c, -EIO, "the last sync");
	/*
	 * What was allocated and not used goes back, and the next recovery finds no tail to look
	 * through.
	 */
	if (c->active)
		w->disk_truncate(w, g->fd, atomic_load_explicit(&g->used, memory_order_relaxed));
	return STEP_DONE;
}

/* Nanoseconds until unsynced notes are too old; syncs them if they are. */
static int64_t sync_old_notes(struct committer *c)
{
	uint64_t now, due = c->unsynced_at + NOTE_AGE_MAX_NS;
	int r;

	if (!c->active || !c->unsynced_from)
		return STEP_IDLE;
	now = now_ns(c);
	if (now < due)
		return (int64_t)(due - now);
	r = sync_active(c);
	if (r < 0) {
		fail(c, r, "sync");
		return STEP_AGAIN;
	}
	return STEP_IDLE;
}

static int64_t sleep_until(struct committer *c, int64_t rest)
{
	struct spool *s = c->spool;

	atomic_store(&s->committer_asleep, true);
	if (!atomic_load(&s->inbox) && !(atomic_load(&s->copies) && !c->copies) &&
	    !atomic_load(&s->stopping))
		return rest;
	atomic_store(&s->committer_asleep, false);
	return STEP_AGAIN;
}

static int64_t committer_step(void *arg)
{
	struct committer *c = arg;
	bool stopping = atomic_load(&c->spool->stopping);
	int64_t rest;

	atomic_store(&c->spool->committer_asleep, false);
	take_inbox(c);
	if (c->spool->replica)
		release_replicated(c);
	if (!c->active && !reopen(c)) {
		if (stopping)
			return STEP_DONE;
		return sleep_until(c, (int64_t)(c->retry_at - now_ns(c)));
	}
	if (has_work(c)) {
		commit_group(c);
		return STEP_AGAIN;
	}
	if (stopping && !c->unreplicated.first)
		return stop(c);
	rest = sync_old_notes(c);
	if (c->unrecorded.n && rest > (int64_t)BACKOFF_MIN_NS)
		rest = (int64_t)BACKOFF_MIN_NS;
	return sleep_until(c, rest);
}

/* ---- life */

void committer_open(struct spool *s, uint64_t next_batch)
{
	struct committer *c = mem_zalloc(sizeof(*c));

	c->spool = s;
	c->next_batch = next_batch;
	c->finished = mem_calloc(net_workers(s->net), sizeof(*c->finished));
	s->committer = c;
	atomic_store(&s->synced, next_batch - 1);
}

void committer_add_unrecorded(struct spool *s, struct message *m)
{
	add_unrecorded(s->committer, m);
}

void committer_add_seal(struct spool *s, const struct seal *seal)
{
	add_seal(s->committer, seal);
}

int committer_first_segment(struct spool *s)
{
	return open_segment(s->committer);
}

void committer_start(struct spool *s)
{
	s->committer_actor =
		s->world->actor_start(s->world, "committer", committer_step, s->committer);
}

void committer_stop(struct spool *s)
{
	atomic_store(&s->stopping, true);
	s->world->actor_wake(s->world, s->committer_actor);
	s->world->actor_join(s->world, s->committer_actor);
}

void committer_free(struct spool *s)
{
	struct committer *c = s->committer;

	return_copies(c);
	messages_clear(&c->noted);
	messages_clear(&c->unrecorded);
	mem_free(c->noted.messages);
	mem_free(c->unrecorded.messages);
	mem_free(c->seals);
	mem_free(c->iov);
	mem_free(c->finished);
	arena_done(&c->scratch);
	segment_unref(c->active);
	mem_free(c);
}
