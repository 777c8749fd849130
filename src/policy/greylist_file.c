/*
 * greylist_file - STATE/greylist: what greylisting knows, kept over restarts.
 *
 *	"relevo greylist 1\n", then records of 37 octets, then 4 octets: CRC32C of all before
 *
 * A record, all numbers little-endian: one octet of kind (0 triple, 1 network), 16 of digest, 8
 * first attempt, 8 end (both in ms since 1970), 4 count. In no order.
 *
 * Replaced atomically: greylist.new, synced, renamed, folder synced. If the sum is wrong, the
 * records are taken as far as they make sense, and the caller hears of it: the worst that a wrong
 * one does is to let one triple pass, or wait.
 *
 * Gathered in pieces under the lock, so that a session never waits for more than about PIECE
 * entries.
 */
#include "policy/greylist_inner.h"

#include "base/bytes.h"
#include "base/crc.h"

#include <errno.h>
#include <fcntl.h>

#define VERSION_LINE "relevo greylist 1\n"
#define RECORD 37
#define PIECE 1024			/* buckets of the map, of an entry or so each */
#define FILE_MAX (64u * 1024 * 1024)
#define READ_PIECE (64 * 1024)

bool greylist_is_changed(struct greylist *g)
{
	bool changed;

	pthread_mutex_lock(&g->lock);
	changed = g->changed;
	pthread_mutex_unlock(&g->lock);
	return changed;
}

/* ---- writing */

static void add_record(struct buf *b, enum greylist_kind k, const struct grey *x)
{
	buf_add_byte(b, (char)k);
	buf_add(b, x->digest, GREYLIST_DIGEST);
	buf_add_le64(b, (uint64_t)x->first_ms);
	buf_add_le64(b, (uint64_t)x->until_ms);
	buf_add_le32(b, x->good);
}

/*
 * The next few, in the map's order: that one may be walked on after it has changed. An entry that
 * is moved meanwhile, as the map grows, may be left out; it is in the next file.
 */
static bool add_some(struct greylist *g, enum greylist_kind k, size_t *at, int64_t now_ms,
		     struct buf *b)
{
	const struct map *m = &g->kinds[k].map;
	bool more;

	pthread_mutex_lock(&g->lock);
	for (size_t end = *at + PIECE; *at < m->size && *at < end; ++*at)
		for (struct map_node *n = map_bucket_first(m, *at); n; n = map_bucket_next(m, n)) {
			const struct grey *x = CONTAINER_OF(n, struct grey, node);

			if (x->until_ms > now_ms)
				add_record(b, k, x);
		}
	more = *at < m->size;
	pthread_mutex_unlock(&g->lock);
	return more;
}

static void gather(struct greylist *g, int64_t now_ms, struct buf *b)
{
	pthread_mutex_lock(&g->lock);
	g->changed = false;
	pthread_mutex_unlock(&g->lock);
	buf_add_lit(b, VERSION_LINE);
	for (unsigned k = 0; k < GREYLIST_KINDS; k++)
		for (size_t at = 0; add_some(g, k, &at, now_ms, b);)
			;
	buf_add_le32(b, crc32c(0, b->p, b->n));
}

static int write_all(struct world *w, int fd, struct str s)
{
	for (uint64_t offset = 0; offset < s.n;) {
		struct iovec iov = { (char *)(uintptr_t)s.p + offset, s.n - offset };
		ssize_t r = w->disk_pwritev(w, fd, &iov, 1, offset);

		if (r <= 0)
			return r < 0 ? (int)r : -EIO;
		offset += (uint64_t)r;
	}
	return w->disk_sync(w, fd);
}

static int replace(struct world *w, int folder, struct str content)
{
	int r, fd;

	w->disk_unlink(w, folder, "greylist.new", false);
	fd = w->disk_open(w, folder, "greylist.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	r = write_all(w, fd, content);
	w->disk_close(w, fd);
	if (r == 0)
		r = w->disk_rename(w, folder, "greylist.new", "greylist");
	return r < 0 ? r : w->disk_sync(w, folder);
}

int greylist_save(struct greylist *g, struct world *w, int folder, int64_t now_ms)
{
	struct buf b = BUF_INIT(FILE_MAX);
	int r;

	gather(g, now_ms, &b);
	r = buf_ok(&b) ? replace(w, folder, buf_str(&b)) : -EFBIG;
	buf_done(&b);
	if (r == 0)
		return 0;
	pthread_mutex_lock(&g->lock);
	g->changed = true;
	pthread_mutex_unlock(&g->lock);
	return r;
}

/* ---- reading */

static int read_all(struct world *w, int fd, struct buf *b)
{
	for (;;) {
		char *p = buf_reserve(b, READ_PIECE);
		ssize_t r = p ? w->disk_pread(w, fd, p, READ_PIECE, b->n) : -EFBIG;

		if (r <= 0)
			return (int)r;
		buf_commit(b, (size_t)r);
	}
}

static void take(struct greylist *g, struct cursor *c, int64_t now_ms)
{
	unsigned kind = cursor_u8(c);
	struct str digest = cursor_take(c, GREYLIST_DIGEST);
	int64_t first_ms = (int64_t)cursor_u64(c), until_ms = (int64_t)cursor_u64(c);
	uint32_t good = cursor_u32(c);
	struct grey *x;

	if (c->bad || kind >= GREYLIST_KINDS || until_ms <= now_ms || first_ms < 0)
		return;
	x = greylist_find(g, kind, (const unsigned char *)digest.p);
	if (!x)
		x = greylist_add(g, kind, (const unsigned char *)digest.p);
	x->first_ms = first_ms;
	x->until_ms = until_ms;
	x->good = good;
}

static int parse(struct greylist *g, struct str s, int64_t now_ms)
{
	struct cursor c;
	bool whole;

	if (!str_starts(s, STR(VERSION_LINE)) || s.n < sizeof(VERSION_LINE) - 1 + 4)
		return -EBADMSG;
	whole = crc32c(0, s.p, s.n - 4) == get_u32(s.p + s.n - 4);
	c = cursor_of(str_sub(s, sizeof(VERSION_LINE) - 1, s.n - 4));
	pthread_mutex_lock(&g->lock);
	while (c.rest.n >= RECORD)
		take(g, &c, now_ms);
	pthread_mutex_unlock(&g->lock);
	return whole ? 0 : -EBADMSG;
}

int greylist_load(struct greylist *g, struct world *w, int folder, int64_t now_ms)
{
	int fd = w->disk_open(w, folder, "greylist", O_RDONLY, 0);
	struct buf b = BUF_INIT(FILE_MAX);
	int r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = read_all(w, fd, &b);
	w->disk_close(w, fd);
	if (r == 0)
		r = parse(g, buf_str(&b), now_ms);
	buf_done(&b);
	return r;
}
