/*
 * content_read - reading a message's bytes, wherever they are: memory, the log, a file.
 *
 * From memory slices are the chunks themselves. A body in the log is at most CONTENT_MEMORY_MAX: it
 * is read whole and checked before the first slice is given. A file is read in pieces and its
 * checksum is known only at the end, so the last call may say -EBADMSG: the caller must not have
 * finished the transaction by then.
 *
 * What is damaged is -EBADMSG, whether octets are wrong or missing, and was reported and put into
 * quarantine when the caller is told (damage.c). A file that is in quarantine is still read from
 * there: its header section may be good enough for a notice.
 *
 * While a body is read its segment is counted, so the sweeper may move the message meanwhile, even
 * unlink the segment. All disk calls go through the pool.
 */
#include "spool/inner.h"

#include "base/crc.h"

#include <fcntl.h>

struct reader {
	struct spool *spool;
	struct message *message;	/* borrowed, while it is opened */
	struct message_id id;		/* none: of content that is no message's yet */
	struct content *content;	/* borrowed from content_reader; NULL: from the log */
	bool head_given;
	struct chunk *chunk;		/* the next, of content in memory */
	struct str head;
	struct stored stored;		/* from the log */
	struct segment *segment;	/* counted */
	uint64_t offset;		/* of the record */
	struct record_body body;
	char *piece;			/* owned: read from the file */
	size_t piece_n;
	int fd;				/* of the file; -1: not open */
	uint64_t body_at;		/* octets of body given */
	uint32_t crc;			/* of these */
};

/* ---- in the pool */

/* Where the newest copy lies. False: nowhere, or where it was read already. */
static bool find_place(struct reader *d)
{
	struct spool *s = d->spool;
	struct segment *before = d->segment;
	bool is_new;

	spool_lock(s);
	d->segment = d->message->segment ? segment_ref(d->message->segment) : NULL;
	d->offset = d->message->offset;
	spool_unlock(s);
	is_new = d->segment && d->segment != before;
	segment_unref(before);
	return is_new;
}

static int read_record(void *arg)
{
	struct reader *d = arg;
	int e = -ENOENT;

	/* The sweeper may have moved it, and what was read is an old copy in a segment given up. */
	while (find_place(d)) {
		stored_free(&d->stored);
		e = stored_read(d->segment, d->offset, &d->stored);
		if (e == 0)
			break;
		damage_of_message(d->spool, d->message, d->segment, d->offset, e);
	}
	d->head = d->stored.head;
	d->body = d->stored.body;
	return e;
}

static int open_file(struct reader *d)
{
	struct world *w = d->spool->world;
	char name[CONTENT_FILE_NAME], quarantined[CONTENT_FILE_NAME + 16];
	int fd = w->disk_open(w, d->spool->content_dir, content_file_name(name, d->body.file),
			      O_RDONLY, 0);

	if (fd != -ENOENT)
		return fd;
	snprintf(quarantined, sizeof(quarantined), "quarantine/%s", name);
	fd = w->disk_open(w, d->spool->dir, quarantined, O_RDONLY, 0);
	return fd == -ENOENT ? -EBADMSG : fd;
}

static int read_piece(void *arg)
{
	struct reader *d = arg;
	struct world *w = d->spool->world;
	uint64_t rest = d->body.octets - d->body_at;
	size_t n = rest < CONTENT_PIECE ? (size_t)rest : CONTENT_PIECE;
	ssize_t r;

	if (d->fd < 0) {
		d->fd = open_file(d);
		if (d->fd < 0)
			return d->fd;
	}
	if (!d->piece)
		d->piece = mem_alloc(CONTENT_PIECE);
	do
		r = w->disk_pread(w, d->fd, d->piece, n, d->body_at);
	while (r == -EINTR);
	if (r <= 0)
		return r ? (int)r : -EBADMSG;	/* shorter than the record says */
	d->piece_n = (size_t)r;
	return 0;
}

static int report_file(void *arg)
{
	struct reader *d = arg;

	damage_of_file(d->spool, &d->id, d->body.file);
	return -EBADMSG;
}

/* ---- opening */

static struct reader *reader_new(struct spool *s, struct content *c)
{
	struct reader *d = mem_zalloc(sizeof(*d));

	d->spool = s;
	d->content = c;
	d->fd = -1;
	if (c) {
		d->head = content_head(c);
		d->chunk = c->file ? NULL : c->chunks;
		d->body = (struct record_body){ c->body_n, c->file, c->crc };
	}
	return d;
}

void content_reader_open_content(struct content_reader *r, struct content *c)
{
	*r = (struct content_reader){ .content = content_ref(c) };
	r->state = reader_new(c->memory ? c->memory->spool : NULL, c);
}

int content_reader_open(struct content_reader *r, struct spool *s, struct message *m)
{
	struct content *c = message_content(m);
	struct reader *d;
	int e;

	if (c) {
		content_reader_open_content(r, c);
		content_unref(c);
		d = r->state;
		d->id = m->id;
		return 0;
	}
	d = reader_new(s, NULL);
	d->message = m;
	d->id = m->id;
	*r = (struct content_reader){ .state = d };
	e = net_offload(read_record, d);
	if (e < 0)
		content_reader_close(r);
	return e;
}

void content_reader_rewind(struct content_reader *r)
{
	struct reader *d = r->state;

	r->at = 0;
	d->head_given = false;
	d->body_at = 0;
	d->crc = 0;
	d->chunk = d->content && !d->body.file ? d->content->chunks : NULL;
}

void content_reader_close(struct content_reader *r)
{
	struct reader *d = r->state;

	if (d) {
		if (d->fd >= 0)
			d->spool->world->disk_close(d->spool->world, d->fd);
		segment_unref(d->segment);
		stored_free(&d->stored);
		mem_free(d->piece);
		mem_free(d);
	}
	content_unref(r->content);
	*r = (struct content_reader){ 0 };
}

/* ---- slices */

static int next_of_memory(struct reader *d, struct str *ret)
{
	while (d->chunk && !d->chunk->n)
		d->chunk = d->chunk->next;
	if (!d->chunk)
		return 0;
	*ret = str_make(d->chunk->data, d->chunk->n);
	d->chunk = d->chunk->next;
	return 1;
}

static int next_of_log(struct reader *d, struct str *ret)
{
	*ret = str_sub(
		str_from(str_make(d->stored.content, (size_t)d->body.octets), (size_t)d->body_at),
		0, CONTENT_PIECE);
	return ret->n > 0;
}

static int next_of_file(struct reader *d, struct str *ret) SUSPENDS;
static int next_of_file(struct reader *d, struct str *ret)
{
	int e;

	if (d->body_at == d->body.octets)
		return 0;
	if ((e = net_offload(read_piece, d)) < 0)
		return e == -EBADMSG ? net_offload(report_file, d) : e;
	*ret = str_make(d->piece, d->piece_n);
	d->crc = crc32c(d->crc, d->piece, d->piece_n);
	/*
	 * Damage is told with the last piece, not behind it: who sends it on must not send the end.
	 */
	if (d->body_at + d->piece_n == d->body.octets && d->crc != d->body.crc)
		return net_offload(report_file, d);
	return 1;
}

int content_reader_next(struct content_reader *r, struct str *ret)
{
	struct reader *d = r->state;
	int e;

	if (!d->head_given && d->head.n) {
		*ret = d->head;
		e = 1;
	} else if (d->body.file) {
		e = next_of_file(d, ret);
	} else if (d->content) {
		e = next_of_memory(d, ret);
	} else {
		e = next_of_log(d, ret);
	}
	if (e <= 0)
		return e;
	if (d->head_given || !d->head.n)
		d->body_at += ret->n;
	d->head_given = true;
	r->at += ret->n;
	return 1;
}
