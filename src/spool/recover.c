/*
 * recover - after a start: which segments there are, how far each is valid, and what follows from
 * it.
 *
 * In order:
 *   1  open all segments; what is no segment goes to quarantine, what was never finished is removed
 *   2  raise and sync the incarnation (identity.c)
 *   3  read the SEALs, which stand at the beginning of segments: they say how far older ones are
 *      valid
 *   4  find the last valid COMMIT of the whole log, from the newest segment backwards. Its batch is
 *      checked to the last octet. If it fails, it is torn: nothing higher exists, so it was never
 *      acknowledged (D1) or the disk lies; it is cut off. What lies behind the last COMMIT is a
 *      torn batch as well. Segments without any COMMIT behind that one hold nothing
 *   5  replay what is valid (replay.c). Damage before the last COMMIT is damage, not a torn batch:
 *      it costs the records it hit, is reported, and kept in quarantine. But where a torn end
 *      would be - and where SEALs stand - octets that cannot be read end the recovery with an
 *      error: what was acknowledged may lie there, and the next start may read it
 *   6  write the last segment again, to a new file that takes its name, and sync that: after
 *      kill -9 it may be valid in the page cache only, and deletions rest on it. A sync of the old
 *      file would not do: if the last thing that the dead relay saw was a failed one, the kernel
 *      calls pages clean that are not on the disk (D4). Not after a clean stop, which leaves a file
 *      that ends with its last batch
 *   7  remove content files that nobody names - to quarantine if anything was damaged
 *   8  open a new segment; its first batch, synced, holds a SEAL for each old one that is not valid
 *      to its end, and DONEs that were missing. Nothing is ever appended to an old segment (I4).
 *      A damaged one gets a SEAL as well: what has lost its own COMMIT, or stands in a batch that
 *      is no longer whole, counts because a COMMIT stands behind it, in a later segment, and that
 *      one may be cut off or deleted. The one with the SEAL stays as long as older ones do
 *      (speaks_from)
 *
 * Memory: the index, 32 octets for each DONE in the log, and one window of 256 KiB.
 */
#include "spool/recover.h"

#include <fcntl.h>

struct numbers {
	struct spool *spool;
	uint64_t *numbers;	/* owned */
	unsigned n, size;
};

static int compare_u64(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

static void numbers_add(struct numbers *l, uint64_t number)
{
	if (l->n == l->size) {
		l->size = l->size ? l->size * 2 : 64;
		l->numbers = mem_realloc(l->numbers, size_mul(l->size, sizeof(uint64_t)));
	}
	l->numbers[l->n++] = number;
}

static void numbers_sort(struct numbers *l)
{
	if (l->n)
		qsort(l->numbers, l->n, sizeof(uint64_t), compare_u64);
}

/* ---- 1: segments */

static int on_segment_name(void *arg, const char *name)
{
	uint64_t number;

	if (segment_name_parse(name, &number) && number)
		numbers_add(arg, number);
	return 0;
}

static void add_segment(struct recovery *r, struct segment *g)
{
	g->is_full = true;
	g->trimmed = true;
	atomic_store(&g->used, g->size);
	atomic_store(&g->synced, g->size);
	r->segments[r->n++] = (struct old_segment){ .g = g, .limit = g->size };
}

static int open_one(struct recovery *r, uint64_t number, struct buf *error)
{
	struct spool *s = r->spool;
	struct segment_place place = spool_segment_place(s);
	struct segment *g;
	char name[SEGMENT_NAME];
	uint32_t version = 0;
	int e = segment_open(&place, number, &g, &version);

	segment_name(name, number);
	if (e == 0) {
		add_segment(r, g);
	} else if (e == -ENODATA) {
		s->world->disk_unlink(s->world, s->segments_dir, name, false);
	} else if (e == -EBADMSG) {
		r->stats->quarantined_files++;
		quarantine_file(s, "segments", name);
	} else if (e == -EPROTO) {
		buf_printf(error,
			   "segment %s has format version %u, this relevo knows only version %d",
			   name, version, SEGMENT_VERSION);
		return e;
	} else {
		buf_printf(error, "cannot read segment %s: %s", name, strerror(-e));
		return e;
	}
	return 0;
}

static int open_segments(struct recovery *r, struct buf *error)
{
	struct spool *s = r->spool;
	struct numbers l = { .spool = s };
	int e = s->world->disk_list(s->world, s->segments_dir, ".", on_segment_name, &l);

	if (e < 0)
		buf_printf(error, "cannot list the segments: %s", strerror(-e));
	numbers_sort(&l);
	r->segments = mem_calloc(l.n, sizeof(*r->segments));
	for (unsigned i = 0; i < l.n && e == 0; i++)
		e = open_one(r, l.numbers[i], error);
	atomic_store(&s->next_segment, l.n ? l.numbers[l.n - 1] + 1 : 1);
	mem_free(l.numbers);
	return e;
}

/* ---- 2: identity */

static int open_identity(struct recovery *r, struct buf *error)
{
	struct spool *s = r->spool;
	uint32_t incarnation = 0, number = r->n ? r->segments[0].g->spool : 0;
	unsigned kept = 0;
	int e;

	for (unsigned i = 0; i < r->n; i++)
		if (r->segments[i].g->incarnation > incarnation)
			incarnation = r->segments[i].g->incarnation;
	e = identity_open(s, r->n, number, incarnation, error);
	if (e < 0)
		return e;
	/*
	 * A segment of another spool was copied here by mistake: its ids and numbers mean nothing.
	 */
	for (unsigned i = 0; i < r->n; i++) {
		struct segment *g = r->segments[i].g;
		char name[SEGMENT_NAME];

		if (g->spool == s->number) {
			r->segments[kept++] = r->segments[i];
			continue;
		}
		r->stats->quarantined_files++;
		quarantine_file(s, "segments", segment_name(name, g->number));
		segment_unref(g);
	}
	r->n = kept;
	return 0;
}

/* ---- 3: SEALs */

static void apply_seal(struct recovery *r, const struct seal *seal)
{
	for (unsigned i = 0; i < r->n; i++) {
		struct old_segment *old = &r->segments[i];

		if (old->g->number != seal->segment || seal->octets >= old->limit)
			continue;
		old->limit = seal->octets < SEGMENT_START ? SEGMENT_START : seal->octets;
		old->void_batch = seal->batch;
	}
}

/*
 * A SEAL counts if it stands there, whether its batch is whole or not: what it voids was never
 * acknowledged and never will be.
 */
void recover_read_seals(struct recovery *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		struct scanned f;
		struct seal seal;
		struct scan sc;

		scan_init(&sc, r->segments[i].g, SEGMENT_START, r->segments[i].g->size);
		while (scan_next_in_place(&sc, &f) && f.header.type == RECORD_SEAL)
			if (record_seal_get(scan_envelope(&f), &seal))
				apply_seal(r, &seal);
		r->unreadable |= sc.unreadable;
		scan_done(&sc);
	}
}

/* ---- 4: the last COMMIT */

struct last {
	struct commit commit;
	uint64_t end;		/* behind it; 0: none was found */
};

bool recover_commit_get(const struct scanned *f, struct commit *ret)
{
	return f->header.type == RECORD_COMMIT && record_commit_get(scan_envelope(f), ret) &&
	       ret->start >= SEGMENT_START && ret->start < f->offset;
}

static struct last last_commit_of(struct recovery *r, struct old_segment *old)
{
	struct last last = { 0 };
	struct commit commit;
	struct scanned f;
	struct scan sc;

	scan_init(&sc, old->g, SEGMENT_START, old->limit);
	while (scan_next(&sc, &f))
		if (recover_commit_get(&f, &commit))
			last = (struct last){ commit, sc.at };
	/* behind it, it may hide the real last one */
	r->unreadable |= sc.unreadable && sc.unreadable_at + RECORD_PAGE > last.end;
	r->stats->octets_read += sc.octets_read;
	scan_done(&sc);
	return last;
}

/* Is there anything but zeros? */
static bool has_traces(struct recovery *r, struct old_segment *old, uint64_t from)
{
	struct scanned f;
	struct scan sc;
	bool found;

	scan_init(&sc, old->g, from, old->limit);
	found = scan_next(&sc, &f) || f.damage_from;
	r->unreadable |= sc.unreadable;
	scan_done(&sc);
	return found;
}

/* Every octet of the batch is as it was when its COMMIT was made. */
static bool batch_is_whole(struct recovery *r, struct old_segment *old, const struct last *last)
{
	const struct commit *c = &last->commit;
	uint32_t checksum = 0, records = 0;
	struct scanned f;
	struct scan sc;
	bool whole = true;

	scan_init(&sc, old->g, c->start, last->end);
	while (whole && scan_next(&sc, &f) && f.header.type != RECORD_COMMIT) {
		checksum = record_fold(checksum, f.header.crc, f.header.content_crc);
		records++;
		whole = !f.damage_from && scan_content_is_sound(&sc, &f);
	}
	r->unreadable |= sc.unreadable;
	scan_done(&sc);
	return whole && records == c->records && checksum == c->checksum;
}

void recover_find_end(struct recovery *r)
{
	struct last last = { 0 };
	struct old_segment *old = NULL;

	for (unsigned i = r->n; i-- > 0 && !last.end;) {
		old = &r->segments[i];
		last = last_commit_of(r, old);
		if (last.end)
			break;
		if (has_traces(r, old, SEGMENT_START))
			r->stats->torn_batches++;
		old->limit = SEGMENT_START;
		old->is_unused = true;
	}
	if (!last.end)
		return;
	r->last_batch = last.commit.batch;
	r->checkpoint = last.commit.synced;
	if (has_traces(r, old, last.end))
		r->stats->torn_batches++;
	if (batch_is_whole(r, old, &last)) {
		old->limit = last.end;
	} else {
		r->stats->torn_batches++;
		old->limit = last.commit.start;
		old->void_batch = last.commit.batch;
	}
	if (!old->void_batch)
		old->void_batch = last.commit.batch + 1;
}

/* ---- 6 */

static int make_durable(struct recovery *r, struct old_segment *old)
{
	struct segment_place place = spool_segment_place(r->spool);
	struct segment *g = old->g;
	int e = -ENOSPC;

	if (old->limit < g->size)
		e = segment_renew(&place, g, old->limit);
	/* On a full disk a relay that starts is worth more than one that trusts its page cache. */
	return e == -ENOSPC || e == -EDQUOT ? g->world->disk_datasync(g->world, g->fd) : e;
}

static int sync_last(struct recovery *r, struct buf *error)
{
	int e = 0;

	for (unsigned i = r->n; i-- > 0;) {
		if (r->segments[i].is_unused)
			continue;
		e = make_durable(r, &r->segments[i]);
		if (e < 0)
			buf_printf(error, "cannot make segment %016llx durable: %s",
				   (unsigned long long)r->segments[i].g->number, strerror(-e));
		break;
	}
	return e;
}

/* ---- 7: content files */

struct files {
	struct recovery *r;
	struct numbers named;	/* by open messages; sorted */
	struct numbers orphans, present;
};

static int on_content_name(void *arg, const char *name)
{
	struct files *files = arg;
	uint64_t number;

	if (!content_file_name_parse(name, &number))
		return 0;
	numbers_add(&files->present, number);
	if (!files->named.n ||
	    !bsearch(&number, files->named.numbers, files->named.n, sizeof(number), compare_u64))
		numbers_add(&files->orphans, number);
	return 0;
}

static void report_missing(struct files *files)
{
	numbers_sort(&files->present);
	for (unsigned i = 0; i < files->named.n; i++) {
		uint64_t name = files->named.numbers[i];

		if (files->present.n && bsearch(&name, files->present.numbers, files->present.n,
						sizeof(name), compare_u64))
			continue;
		files->r->stats->damaged_records++;
		spool_report(files->r->spool, SPOOL_EVENT_DAMAGE,
			     "the content file %016llx is missing", (unsigned long long)name);
	}
}

static void remove_orphans(struct files *files)
{
	struct spool *s = files->r->spool;
	struct spool_recovery *stats = files->r->stats;
	bool damaged = stats->damaged_records || stats->quarantined_files;
	char name[CONTENT_FILE_NAME];

	for (unsigned i = 0; i < files->orphans.n; i++) {
		content_file_name(name, files->orphans.numbers[i]);
		if (damaged) {
			stats->quarantined_files++;
			quarantine_file(s, "content", name);
		} else {
			s->world->disk_unlink(s->world, s->content_dir, name, false);
		}
	}
}

static int check_files(struct recovery *r, struct buf *error)
{
	struct spool *s = r->spool;
	struct files files = { .r = r };
	struct map_node *node = NULL;
	int e;

	while ((node = map_walk(&s->index, node))) {
		struct message *m = CONTAINER_OF(node, struct message, node);

		if (m->file)
			numbers_add(&files.named, m->file);
	}
	numbers_sort(&files.named);
	e = s->world->disk_list(s->world, s->content_dir, ".", on_content_name, &files);
	if (e < 0) {
		buf_printf(error, "cannot list the content files: %s", strerror(-e));
	} else {
		report_missing(&files);
		remove_orphans(&files);
	}
	mem_free(files.named.numbers);
	mem_free(files.orphans.numbers);
	mem_free(files.present.numbers);
	return e;
}

/* ---- 8 and the rest */

/* Old segments that hold something go into the spool's list; the list has the reference. */
static void adopt_segments(struct recovery *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		if (r->segments[i].is_unused)
			continue;
		segment_ref(r->segments[i].g);
		list_push(&r->spool->segments, &r->segments[i].g->link);
	}
}

/*
 * The committer's own fields; and messages whose last recipient is final, but whose DONE is
 * missing.
 */
static void settle_messages(struct recovery *r)
{
	struct spool *s = r->spool;
	struct map_node *node = map_walk(&s->index, NULL), *next;

	for (; node; node = next) {
		struct message *m = CONTAINER_OF(node, struct message, node);

		next = map_walk(&s->index, node);
		for (uint32_t i = 0; i < m->recipients_n; i++)
			m->recipients[i].decided = m->recipients[i].state;
		m->undecided_n = atomic_load(&m->open_n);
		if (m->undecided_n)
			continue;
		committer_add_unrecorded(s, m);
		index_remove(s, m, r->last_batch + 1);
	}
}

/* The first batch holds a SEAL for each of them: a file that comes back is still void. */
static void remove_unused(struct recovery *r)
{
	struct spool *s = r->spool;
	char name[SEGMENT_NAME];

	for (unsigned i = 0; i < r->n; i++)
		if (r->segments[i].is_unused)
			s->world->disk_unlink(s->world, s->segments_dir,
					      segment_name(name, r->segments[i].g->number), false);
}

/*
 * The disk is full, and a relay that cannot start cannot deliver, which alone would make room. What
 * the last run had put by - the segment made ready, the rest of the active one - is void, and goes
 * now instead of after the first batch. Shortening at most repeats what the SEAL will say.
 */
static void make_room(struct recovery *r)
{
	struct world *w = r->spool->world;

	remove_unused(r);
	for (unsigned i = r->n; i-- > 0;) {
		struct old_segment *old = &r->segments[i];
		uint64_t octets = old->is_unused ? 0 : old->limit;

		/* An unlinked one as well: it is still open. */
		if (octets < old->g->size && w->disk_truncate(w, old->g->fd, octets) == 0)
			atomic_store(&old->g->disk, octets);
		if (!old->is_unused)
			break;
	}
	w->disk_sync(w, r->spool->segments_dir);
}

static int begin_log(struct recovery *r, struct buf *error)
{
	struct spool *s = r->spool;
	int e;

	for (unsigned i = 0; i < r->n; i++) {
		struct old_segment *old = &r->segments[i];
		struct seal seal = { old->g->number, old->limit,
				     old->void_batch ? old->void_batch : r->last_batch + 1 };

		/* the last one always: so each start leaves a COMMIT behind all others */
		if (old->limit < old->g->size || old->is_damaged || i + 1 == r->n)
			committer_add_seal(s, &seal);
	}
	e = committer_first_segment(s);
	if (e == -ENOSPC) {
		make_room(r);
		e = committer_first_segment(s);
	}
	if (e < 0)
		buf_printf(error, "cannot write a new segment: %s", strerror(-e));
	return e;
}

static void give_found(struct recovery *r, spool_found *found, void *arg)
{
	LIST_FOR(at, &r->spool->segments) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		LIST_FOR(mail, &g->messages) {
			r->stats->messages++;
			if (found)
				found(arg, LIST_ENTRY(mail, struct message, in_segment));
		}
	}
}

static void report(struct recovery *r)
{
	const struct spool_recovery *st = r->stats;

	spool_report(r->spool, SPOOL_EVENT_RECOVERED,
		     "%llu messages in %llu segments; %llu torn batches, %llu damaged records, "
		     "%llu files in "
		     "quarantine; %llu ms",
		     (unsigned long long)st->messages, (unsigned long long)st->segments,
		     (unsigned long long)st->torn_batches, (unsigned long long)st->damaged_records,
		     (unsigned long long)st->quarantined_files, (unsigned long long)st->took_ms);
}

static int check_readable(const struct recovery *r, struct buf *error)
{
	if (!r->unreadable)
		return 0;
	buf_printf(error, "the end of the log cannot be read: %s", strerror(EIO));
	return -EIO;
}

static int run(struct recovery *r, struct buf *error)
{
	int e = open_segments(r, error);

	if (e == 0)
		e = open_identity(r, error);
	if (e < 0)
		return e;
	recover_read_seals(r);
	recover_find_end(r);
	if ((e = check_readable(r, error)) < 0)
		return e;
	adopt_segments(r);
	replay(r);
	if ((e = check_readable(r, error)) < 0)
		return e;
	if ((e = sync_last(r, error)) < 0 || (e = check_files(r, error)) < 0)
		return e;
	committer_open(r->spool, r->last_batch + 1);
	settle_messages(r);
	if ((e = begin_log(r, error)) < 0)
		return e;
	remove_unused(r);
	return 0;
}

int recover(struct spool *s, spool_found *found, void *arg, struct spool_recovery *ret,
	    struct buf *error)
{
	struct recovery r = { .spool = s, .stats = ret };
	uint64_t started = s->world->now(s->world);
	int e = run(&r, error);

	ret->segments = r.n;
	ret->took_ms = (s->world->now(s->world) - started) / MILLISECOND;
	if (e == 0) {
		give_found(&r, found, arg);
		report(&r);
	}
	for (unsigned i = 0; i < r.n; i++)
		segment_unref(r.segments[i].g);
	mem_free(r.segments);
	replay_done(&r);
	return e;
}
