/*
 * look - reading a spool without touching it; see look.h.
 */
#include "spool/look.h"

#include "base/crc.h"

#include <fcntl.h>

struct names {
	uint64_t *at; /* owned */
	size_t n, size;
};

static int on_name(void *arg, const char *name)
{
	struct names *l = arg;
	uint64_t number;

	if (!segment_name_parse(name, &number) || !number)
		return 0;
	if (l->n == l->size) {
		l->size = l->size ? l->size * 2 : 64;
		l->at = mem_realloc(l->at, size_mul(l->size, sizeof(*l->at)));
	}
	l->at[l->n++] = number;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int open_one(struct look *l, uint64_t number, struct buf *error)
{
	struct segment_place place = spool_segment_place(l->spool);
	struct recovery *r = &l->recovery;
	struct segment *g;
	char name[SEGMENT_NAME];
	uint32_t version = 0;
	int e;

	place.read_only = true;
	e = segment_open(&place, number, &g, &version);
	segment_name(name, number);
	if (e == 0)
		r->segments[r->n++] = (struct old_segment){.g = g, .limit = g->size};
	else if (e == -EBADMSG && l->damage)
		l->damage(l->arg, name, 0, 0, false);
	else if (e == -EPROTO)
		buf_printf(error,
			   "segment %s has format version %u, this relevo knows only version "
			   "%d",
			   name, version, SEGMENT_VERSION);
	else if (e != -ENOENT && e != -ENODATA &&
		 e != -EBADMSG) /* deleted meanwhile; never finished */
		buf_printf(error, "cannot read segment %s: %s", name, strerror(-e));
	return error->n ? e : 0;
}

static int open_segments(struct look *l, struct buf *error)
{
	struct spool *s = l->spool;
	struct names names = {0};
	int e = s->world->disk_list(s->world, s->segments_dir, ".", on_name, &names);

	if (e < 0)
		buf_printf(error, "cannot list the segments: %s", strerror(-e));
	if (names.n)
		qsort(names.at, names.n, sizeof(*names.at), compare);
	l->recovery.segments = mem_calloc(names.n, sizeof(*l->recovery.segments));
	for (size_t i = 0; i < names.n && e == 0; i++)
		e = open_one(l, names.at[i], error);
	mem_free(names.at);
	return e;
}

static bool is_locked(struct spool *s)
{
	int fd = s->world->disk_open(s->world, s->dir, "lock", O_RDONLY, 0), r;

	if (fd < 0)
		return false;
	r = s->world->disk_lock(s->world, fd);
	s->world->disk_close(s->world, fd);
	return r == -EWOULDBLOCK;
}

static int open_folders(struct look *l, const char *path, struct buf *error)
{
	struct spool *s = l->spool;
	struct world *w = s->world;
	int r = 0;

	s->dir = w->disk_open(w, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (s->dir >= 0)
		s->segments_dir = w->disk_open(w, s->dir, "segments", O_RDONLY | O_DIRECTORY, 0);
	if (s->segments_dir >= 0)
		s->content_dir = w->disk_open(w, s->dir, "content", O_RDONLY | O_DIRECTORY, 0);
	if (s->dir < 0 || s->segments_dir < 0 || s->content_dir < 0) {
		r = s->dir < 0 ? s->dir : s->segments_dir < 0 ? s->segments_dir : s->content_dir;
		buf_printf(error, "cannot read the spool %s: %s", path, strerror(-r));
	}
	return r;
}

int look_open(struct look *l, struct world *w, const char *path, struct buf *error)
{
	struct recovery *r = &l->recovery;
	int e;

	l->spool = mem_zalloc(sizeof(*l->spool));
	l->spool->world = w;
	l->spool->dir = l->spool->segments_dir = l->spool->content_dir = -1;
	*r = (struct recovery){.stats = &l->stats};
	e = open_folders(l, path, error);
	if (e == 0) {
		l->is_live = is_locked(l->spool);
		l->identity = identity_read(l->spool, error);
		e = l->identity == -EPROTO ? -EPROTO : open_segments(l, error);
	}
	if (e < 0) {
		look_close(l);
		return e;
	}
	recover_read_seals(r);
	recover_find_end(r);
	return 0;
}

void look_close(struct look *l)
{
	struct spool *s = l->spool;
	int fds[] = {s->dir, s->segments_dir, s->content_dir};

	for (unsigned i = 0; i < l->recovery.n; i++)
		segment_unref(l->recovery.segments[i].g);
	mem_free(l->recovery.segments);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			s->world->disk_close(s->world, fds[i]);
	mem_free(s);
}

/* ---- the records */

static void look_at(struct look *l, struct scan *sc, const struct scanned *f)
{
	struct commit commit;

	l->stats.records++;
	if (recover_commit_get(f, &commit))
		l->recovery.batch = commit.batch + 1;
	if (l->record)
		l->record(l->arg, sc, f);
}

static void look_through(struct look *l, struct old_segment *old)
{
	char name[SEGMENT_NAME];
	struct scanned f;
	struct scan sc;
	bool more;

	if (l->segment)
		l->segment(l->arg, old);
	scan_init(&sc, old->g, SEGMENT_START, old->limit);
	do {
		more = scan_next(&sc, &f);
		if (f.damage_from && l->damage) /* as in replay.c */
			l->damage(l->arg, segment_name(name, old->g->number), f.damage_from,
				  f.offset, l->recovery.batch > l->recovery.checkpoint);
		if (more)
			look_at(l, &sc, &f);
	} while (more);
	l->stats.octets_read += sc.octets_read;
	scan_done(&sc);
}

void look_all(struct look *l)
{
	l->recovery.batch = 1;
	for (unsigned i = 0; i < l->recovery.n; i++)
		look_through(l, &l->recovery.segments[i]);
}

int look_content(struct look *l, const struct record_body *body)
{
	struct world *w = l->spool->world;
	char name[CONTENT_FILE_NAME], *piece;
	uint64_t at = 0;
	uint32_t crc = 0;
	ssize_t n = 0;
	int fd = w->disk_open(w, l->spool->content_dir, content_file_name(name, body->file),
			      O_RDONLY, 0);

	if (fd < 0)
		return fd;
	piece = mem_alloc(CONTENT_PIECE);
	while (at <= body->octets && (n = w->disk_pread(w, fd, piece, CONTENT_PIECE, at)) > 0) {
		crc = crc32c(crc, piece, (size_t)n);
		at += (uint64_t)n;
	}
	mem_free(piece);
	w->disk_close(w, fd);
	l->stats.octets_read += at;
	if (n < 0)
		return (int)n;
	return at == body->octets && crc == body->crc ? 0 : -EBADMSG;
}

/* ---- ids */

struct look_id *look_id_find(const struct look_ids *ids, const struct message_id *id)
{
	struct map_node *node = map_first(&ids->map, id_hash(id));

	for (; node; node = map_next(node)) {
		struct look_id *e = CONTAINER_OF(node, struct look_id, node);

		if (id_eq(&e->id, id))
			return e;
	}
	return NULL;
}

struct look_id *look_id(struct look_ids *ids, const struct message_id *id)
{
	struct look_id *e = look_id_find(ids, id);

	if (e)
		return e;
	e = arena_alloc(&ids->arena, sizeof(*e));
	*e = (struct look_id){.id = *id};
	map_insert(&ids->map, &e->node, id_hash(id));
	return e;
}

struct look_id *look_id_take(struct look_ids *ids, struct scan *sc, const struct scanned *f)
{
	struct record_body body;
	struct look_id *e;
	struct str head;

	if (f->header.type == RECORD_DONE) {
		e = look_id(ids, &f->header.id);
		e->is_done = true;
		return e;
	}
	if (f->header.type != RECORD_MESSAGE ||
	    !record_message_content(&f->header, scan_envelope(f), &head, &body))
		return NULL;
	e = look_id(ids, &f->header.id);
	segment_unref(e->g);
	e->g = segment_ref(sc->g);
	e->offset = f->offset;
	e->body = body;
	e->is_damaged = false;
	return e;
}

void look_ids_done(struct look_ids *ids)
{
	struct map_node *node = NULL;

	while ((node = map_walk(&ids->map, node)))
		segment_unref(CONTAINER_OF(node, struct look_id, node)->g);
	map_done(&ids->map);
	arena_done(&ids->arena);
}
