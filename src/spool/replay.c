/*
 * replay - recovery's second part: the records of all old segments, in order, into the index.
 *
 * What stands later wins: a MESSAGE record is a newer copy with the state of its time, a PROGRESS
 * changes what it names, and a final state of a recipient stays. DONE is final for an id wherever
 * it stands, so all ids that are done are remembered to the end (32 octets each). Records are taken
 * one by one: how far a segment is valid was decided before (recover.c), and damage before that
 * point costs only the records that it hit.
 *
 * Content is checked here only behind the checkpoint, the rest when it is read.
 */
#include "spool/recover.h"

struct done {
	struct map_node node;
	struct message_id id;
};

static bool is_done(struct recovery *r, const struct message_id *id)
{
	struct map_node *node = map_first(&r->done, id_hash(id));

	for (; node; node = map_next(node))
		if (id_eq(&CONTAINER_OF(node, struct done, node)->id, id))
			return true;
	return false;
}

static void add_done(struct recovery *r, const struct message_id *id)
{
	struct done *d = arena_alloc(&r->done_arena, sizeof(*d));

	d->id = *id;
	map_insert(&r->done, &d->node, id_hash(id));
}

static void damage(struct recovery *r, struct segment *g, uint64_t from, uint64_t to)
{
	r->stats->damaged_records++;
	quarantine_range(r->spool, g, from, to);
}

/*
 * Octets that are no records, before the last COMMIT. Behind the checkpoint only notes can have
 * stood there - a batch with a commit is synced before the next one is written - and a power cut
 * may lose any of their sectors: that is a torn batch like any other, unless it cannot be read now:
 * then what was acknowledged may lie there. Everywhere else it is damage.
 */
static void hole(struct recovery *r, struct scan *sc, uint64_t from, uint64_t to)
{
	if (r->batch <= r->checkpoint)
		damage(r, sc->g, from, to);
	else if (sc->unreadable && sc->unreadable_at + RECORD_PAGE > from)
		r->unreadable = true;
	else
		r->stats->torn_batches++;
}

static void replay_message(struct recovery *r, struct scan *sc, const struct scanned *f)
{
	struct spool *s = r->spool;
	uint32_t octets = (uint32_t)record_octets(&f->header);
	struct record_body body;
	struct message *m, *old;
	struct str head;

	if (is_done(r, &f->header.id))
		return;
	m = record_message_get(&f->header, scan_envelope(f), &head, &body);
	if (!m || (r->batch > r->checkpoint && !scan_content_is_sound(sc, f))) {
		if (m && sc->unreadable)
			r->unreadable = true;
		else
			damage(r, sc->g, f->offset, f->offset + octets);
		message_unref(m);
		return;
	}
	old = index_find(s, &m->id);
	index_add(s, m, sc->g, f->offset, octets);
	if (old) {
		m->oldest = old->oldest;
		index_speaks(sc->g, old);
		old->file = 0;		/* the copy's now */
		atomic_fetch_sub(&s->file_octets, m->file ? m->size : 0);
		index_remove(s, old, 0);
	}
	message_unref(m);
}

/*
 * A record in g speaks of a message that is not in the index: which segment may still hold it is
 * not known.
 */
static void speaks_of_unknown(struct recovery *r, struct segment *g)
{
	if (r->segments[0].g->number < g->speaks_from)
		g->speaks_from = r->segments[0].g->number;
}

static void replay_progress(struct recovery *r, struct segment *g, const struct scanned *f)
{
	struct message *m = index_find(r->spool, &f->header.id);
	struct progress p;
	struct reroute reroute;
	struct change change;
	uint32_t warned;

	if (!m) {
		speaks_of_unknown(r, g);
		return;
	}
	index_speaks(g, m);
	if (!record_progress_get(scan_envelope(f), &p)) {
		damage(r, g, f->offset, f->offset + record_octets(&f->header));
		return;
	}
	if (p.has_flags) {
		m->flags = p.flags;
		m->crashes = p.crashes;
	}
	while (record_progress_route(&p, &reroute)) {
		const struct name *route = name_intern(reroute.route);

		if (route && reroute.recipient < m->recipients_n)
			index_reroute(m, reroute.recipient, route);
	}
	while (record_progress_warned(&p, &warned))
		if (warned < m->recipients_n)
			index_warned(m, warned);
	while (record_progress_next(&p, &change))
		if (change.recipient < m->recipients_n)
			index_change(m, &change);
}

static void replay_done_record(struct recovery *r, struct segment *g, const struct scanned *f)
{
	struct message *m = index_find(r->spool, &f->header.id);

	if (!is_done(r, &f->header.id))
		add_done(r, &f->header.id);
	if (!m) {
		speaks_of_unknown(r, g);
		return;
	}
	index_speaks(g, m);
	index_remove(r->spool, m, 0);
}

static void replay_record(struct recovery *r, struct scan *sc, const struct scanned *f)
{
	struct commit commit;
	struct seal seal;

	r->stats->records++;
	switch (f->header.type) {
	case RECORD_MESSAGE:
		replay_message(r, sc, f);
		break;
	case RECORD_PROGRESS:
		replay_progress(r, sc->g, f);
		break;
	case RECORD_DONE:
		replay_done_record(r, sc->g, f);
		break;
	case RECORD_COMMIT:
		if (recover_commit_get(f, &commit))
			r->batch = commit.batch + 1;
		break;
	case RECORD_SEAL:
		if (record_seal_get(scan_envelope(f), &seal) && seal.segment < sc->g->speaks_from)
			sc->g->speaks_from = seal.segment;
		break;
	}
}

static void replay_segment(struct recovery *r, struct old_segment *old)
{
	struct commit commit;
	struct scanned f;
	struct scan sc;
	bool more, tail = false;

	scan_init(&sc, old->g, SEGMENT_START, old->limit);
	do {
		more = scan_next(&sc, &f);
		if (f.damage_from) {
			hole(r, &sc, f.damage_from, f.offset);
			old->is_damaged = true;
		}
		if (more) {
			replay_record(r, &sc, &f);
			tail = !recover_commit_get(&f, &commit);
		}
	} while (more);
	old->is_damaged |= tail;
	r->stats->octets_read += sc.octets_read;
	scan_done(&sc);
}

void replay(struct recovery *r)
{
	r->done_arena.block_size = 64 * 1024;
	r->batch = 1;
	for (unsigned i = 0; i < r->n; i++)
		if (!r->segments[i].is_unused)
			replay_segment(r, &r->segments[i]);
}

void replay_done(struct recovery *r)
{
	map_done(&r->done);
	arena_done(&r->done_arena);
}
