/*
 * group - one batch of the log in the making: where each record goes, and the iovecs that will
 * write it.
 *
 * Order within a batch: SEALs, whole states that an earlier failure left unrecorded, the keeper's
 * copies, then what was submitted, in order of submission, last the COMMIT. Copies stand before the
 * changes, because a copy carries the state before this batch, and recovery lets what stands later
 * win.
 *
 * Decided and applied: a recipient's `decided` state runs ahead of its `state`. It is set when the
 * record is placed, so that the change that makes the last recipient final is known and its DONE
 * goes into the same batch; state follows when the batch was written (notes) or synced (commits).
 */
#include "spool/committer.h"

#include "base/crc.h"

#include <assert.h>

static const char zeros[RECORD_PAGE];

static void add_iov(struct committer *c, const void *p, size_t n)
{
	if (c->iov_n == c->iov_size) {
		c->iov_size = c->iov_size ? c->iov_size * 2 : 256;
		c->iov = mem_realloc(c->iov, size_mul(c->iov_size, sizeof(*c->iov)));
	}
	c->iov[c->iov_n++] = (struct iovec){ (void *)(uintptr_t)p, n };
	c->at += n;
}

static void add_padding(struct committer *c)
{
	uint64_t n = record_align(c->at) - c->at;

	if (n)
		add_iov(c, zeros, n);
}

/* Signs a record for its place. Returns the place. */
static uint64_t place(struct committer *c, char *record, size_t octets, uint32_t content_crc)
{
	uint64_t offset = c->at;

	c->checksum =
		record_fold(c->checksum, record_sign(record, c->active->salt, offset), content_crc);
	c->records++;
	add_iov(c, record, octets);
	return offset;
}

static uint64_t place_alone(struct committer *c, char *record, size_t octets)
{
	uint64_t offset = place(c, record, octets, 0);

	add_padding(c);
	return offset;
}

void group_begin(struct committer *c)
{
	struct segment *g = c->active;
	uint64_t used = atomic_load_explicit(&g->used, memory_order_relaxed);

	arena_done(&c->scratch);
	arena_init(&c->scratch);
	c->iov_n = 0;
	c->records = c->checksum = 0;
	/* I2. The gap was never written: it reads as zeros. */
	c->start =
		c->page_is_synced ? (used + RECORD_PAGE - 1) & ~(uint64_t)(RECORD_PAGE - 1) : used;
	c->at = c->start;
	c->group = (struct batch_queue){ 0 };
	c->group_copies = NULL;
}

bool group_fits(const struct committer *c, uint64_t octets)
{
	return c->at + octets + RECORD_COMMIT_OCTETS <= c->active->size;
}

void group_add_seals(struct committer *c)
{
	for (unsigned i = 0; i < c->seals_n; i++) {
		char *record = arena_alloc(&c->scratch, RECORD_SEAL_OCTETS);

		record_seal_put(record, &c->seals[i]);
		place_alone(c, record, RECORD_SEAL_OCTETS);
		/* As long as that one is there, this one has to be. */
		if (c->seals[i].segment < c->active->speaks_from)
			c->active->speaks_from = c->seals[i].segment;
	}
}

/* ---- whole states */

static size_t state_octets(const struct message *m)
{
	size_t n = RECORD_DONE_OCTETS + RECORD_HEADER + 64;

	for (uint32_t i = 0; i < m->recipients_n; i++)
		n += 40 + recipient_route(m, i).n +
		     (m->recipients[i].last ? strlen(m->recipients[i].last) : 0);
	return record_align(n);
}

uint64_t group_unrecorded_octets(const struct committer *c)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < c->unrecorded.n; i++)
		n += state_octets(c->unrecorded.messages[i]);
	return n;
}

static void place_done(struct committer *c, struct message *m)
{
	char *record = arena_alloc(&c->scratch, RECORD_DONE_OCTETS);

	record_done_put(record, &m->id);
	place_alone(c, record, RECORD_DONE_OCTETS);
}

static void place_state(struct committer *c, struct message *m)
{
	struct progress p = { .has_flags = true, .flags = m->flags, .crashes = m->crashes };
	struct change *changes =
		arena_alloc(&c->scratch, size_mul(m->recipients_n, sizeof(*changes)));
	struct reroute *routes =
		arena_alloc(&c->scratch, size_mul(m->recipients_n, sizeof(*routes)));
	const struct progress_parts parts = { .routes = routes, .changes = changes };
	char *record;
	size_t octets;

	for (uint32_t i = 0; i < m->recipients_n; i++) {
		const struct recipient *r = &m->recipients[i];

		/* One that has none keeps none: only names are given. */
		if (recipient_route(m, i).n)
			routes[p.routes_n++] = (struct reroute){ i, recipient_route(m, i) };
		changes[p.changes_n++] = (struct change){
			.recipient = i,
			.state = r->state,
			.warned = r->warned,
			.attempts = r->attempts,
			.next_ms = r->next_ms,
			.last = str_of(r->last),
		};
	}
	octets = record_progress_octets(&p, &parts);
	record = arena_alloc(&c->scratch, octets);
	record_progress_put(record, &m->id, &p, &parts);
	place_alone(c, record, octets);
}

void group_add_unrecorded(struct committer *c)
{
	for (unsigned i = 0; i < c->unrecorded.n; i++) {
		struct message *m = c->unrecorded.messages[i];

		m->unrecorded = false;		/* if it changes again it has to go on the list
						   again */
		index_speaks(c->active, m);
		if (atomic_load_explicit(&m->open_n, memory_order_relaxed))
			place_state(c, m);
		else
			place_done(c, m);
	}
	c->unrecorded_placed = c->unrecorded.n;
}

/* ---- copies */

bool group_add_copy(struct committer *c, struct copy *copy)
{
	struct message *m = copy->message;
	char *record;
	size_t octets;

	if (!m->in_index || m->segment != copy->from || !m->undecided_n)
		return false;
	octets = record_message_octets(m, copy->old.head);
	record = arena_alloc(&c->scratch, octets);
	record_message_put(record, m, copy->old.head, &copy->old.body);
	copy->offset = place(c, record, octets, copy->old.body.crc);
	if (!copy->old.body.file)
		add_iov(c, copy->old.content, (size_t)copy->old.body.octets);
	add_padding(c);
	copy->octets = (uint32_t)(c->at - copy->offset);
	copy->placed = true;
	index_speaks(c->active, m);
	return true;
}

/* ---- what was submitted */

static void place_message(struct committer *c, struct item *i)
{
	struct content *content = i->message->content;

	i->offset = place(c, i->bytes, i->octets, i->body.crc);
	if (content && !i->body.file)
		for (struct chunk *chunk = content->chunks; chunk; chunk = chunk->next)
			if (chunk->n)
				add_iov(c, chunk->data, chunk->n);
	add_padding(c);
}

/* Fills in the sum of attempts; true: with these changes the last recipient is final. */
static bool decide(struct item *i)
{
	struct message *m = i->message;
	bool was_open = m->undecided_n;

	for (unsigned at = 0; at < i->changes_n; at++) {
		struct change *change = &i->changes[at];
		struct recipient *r = &m->recipients[change->recipient];

		change->attempts =
			(uint16_t)(r->attempts + (change->attempted && r->attempts < UINT16_MAX));
		if (r->decided != RECIPIENT_QUEUED || change->state == RECIPIENT_QUEUED)
			continue;
		r->decided = change->state;
		m->undecided_n--;
	}
	return was_open && !m->undecided_n;
}

static void place_changes(struct committer *c, struct item *i)
{
	struct message *m = i->message;
	struct progress p = i->flags;

	i->closes = decide(i);
	p.changes_n = i->changes_n;
	if (!i->named_n)	/* else nothing was left open, and it is made already */
		record_progress_put(i->bytes, &m->id, &p,
				    &(struct progress_parts){ .changes = i->changes });
	i->offset = place_alone(c, i->bytes, i->octets);
	if (i->closes)
		place_done(c, m);
	if (m->segment)		/* else it stands in this very batch */
		index_speaks(c->active, m);
}

void group_decide(struct batch *b)
{
	for (struct item *i = b->items; i; i = i->next)
		if (!i->is_message)
			i->closes = decide(i);
}

void group_add_batch(struct committer *c, struct batch *b)
{
	for (struct item *i = b->items; i; i = i->next) {
		if (i->is_message)
			place_message(c, i);
		else
			place_changes(c, i);
	}
	queue_push(&c->group, b);
}

void group_end(struct committer *c)
{
	char *record = arena_alloc(&c->scratch, RECORD_COMMIT_OCTETS);
	struct commit commit = {
		.segment = c->active->number,
		.batch = c->next_batch,
		.start = c->start,
		.octets = c->at - c->start,
		.synced = atomic_load_explicit(&c->spool->synced, memory_order_relaxed),
		.records = c->records,
		.checksum = c->checksum,
	};

	record_commit_put(record, &commit);
	place_alone(c, record, RECORD_COMMIT_OCTETS);
	assert(c->at <= c->active->size);
}
