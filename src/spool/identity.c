/*
 * identity - the file SPOOL/spool: format version, number and incarnation of this spool.
 *
 * Text, so that a person can read it; replaced atomically (spool.new, synced, renamed, folder
 * synced):
 *
 *	relevo spool 1
 *	number 3735928559
 *	incarnation 7
 *
 * The number is drawn once, the incarnation raised and synced at every opening before an id is
 * given out: so ids never repeat. If the file is lost while segments are there, both are taken from
 * the segments' headers.
 *
 * The replacement takes a block that a full disk does not have, and a relay that cannot start does
 * not deliver what fills it. So a block is put by in SPOOL/spool.room and given up before the
 * writing; the replaced file's block makes the next one.
 */
#include "spool/inner.h"

#include <fcntl.h>

#define FORMAT_VERSION 1
#define FILE_MAX 256

static int read_small(struct spool *s, const char *name, char text[FILE_MAX], size_t *ret_n)
{
	struct world *w = s->world;
	int fd = w->disk_open(w, s->dir, name, O_RDONLY, 0);
	size_t n = 0;
	ssize_t r;

	if (fd < 0)
		return fd;
	do {
		r = w->disk_pread(w, fd, text + n, FILE_MAX - n, n);
		n += r > 0 ? (size_t)r : 0;
	} while (r == -EINTR || (r > 0 && n < FILE_MAX));
	w->disk_close(w, fd);
	if (r < 0)
		return (int)r;
	*ret_n = n;
	return 0;
}

static int write_small(struct spool *s, const char *name, struct str text)
{
	struct world *w = s->world;
	struct iovec iov = { (void *)(uintptr_t)text.p, text.n };
	int e, fd;

	/* A crash in the middle of a rename may leave both names to one file: not to be emptied. */
	w->disk_unlink(w, s->dir, "spool.new", false);
	fd = w->disk_open(w, s->dir, "spool.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	e = world_write(w, fd, &iov, 1, 0);
	if (e == 0)
		e = w->disk_sync(w, fd);
	w->disk_close(w, fd);
	if (e == 0)
		e = w->disk_rename(w, s->dir, "spool.new", name);
	return e < 0 ? e : w->disk_sync(w, s->dir);
}

/* Nothing rests on it: where it fails, the next opening of a full disk does. */
static void put_room_by(struct spool *s)
{
	static const char block[RECORD_PAGE] = "room for the next file \"spool\"\n";
	struct world *w = s->world;
	struct iovec iov = { (void *)(uintptr_t)block, sizeof(block) };
	int fd = w->disk_open(w, s->dir, "spool.room", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		return;
	if (world_write(w, fd, &iov, 1, 0) == 0)
		w->disk_sync(w, fd);
	w->disk_close(w, fd);
}

/* "WORD number" up to the next line. */
static bool take_line(struct str *text, struct str word, uint64_t *ret)
{
	ssize_t end = text->n ? str_find(*text, '\n') : -1;
	struct str line;

	if (end < 0)
		return false;
	line = str_sub(*text, 0, (size_t)end);
	*text = str_from(*text, (size_t)end + 1);
	return str_starts(line, word) && str_parse_u64(str_from(line, word.n), UINT32_MAX, ret);
}

static int parse(struct spool *s, struct str text, struct buf *error)
{
	uint64_t version, number, incarnation;

	if (!take_line(&text, STR("relevo spool "), &version))
		goto damaged;
	if (version != FORMAT_VERSION) {
		buf_printf(error,
			   "the spool has format version %llu, this relevo knows only version %d",
			   (unsigned long long)version, FORMAT_VERSION);
		return -EPROTO;
	}
	if (!take_line(&text, STR("number "), &number) ||
	    !take_line(&text, STR("incarnation "), &incarnation))
		goto damaged;
	s->number = (uint32_t)number;
	s->incarnation = (uint32_t)incarnation;
	return 0;
damaged:
	spool_report(s, SPOOL_EVENT_DAMAGE,
		     "the file \"spool\" is damaged; taken from the segments");
	return -EBADMSG;
}

int identity_read(struct spool *s, struct buf *error)
{
	char text[FILE_MAX];
	size_t n = 0;
	int r = read_small(s, "spool", text, &n);

	return r < 0 ? r : parse(s, str_make(text, n), error);
}

int identity_write(struct spool *s)
{
	struct buf out = BUF_INIT(FILE_MAX);
	int r;

	buf_printf(&out, "relevo spool %d\nnumber %u\nincarnation %u\n", FORMAT_VERSION, s->number,
		   s->incarnation);
	r = write_small(s, "spool", buf_str(&out));
	buf_done(&out);
	return r;
}

int identity_open(struct spool *s, bool has_segments, uint32_t spool_of_segments,
		  uint32_t incarnation_of_segments, struct buf *error)
{
	int r = identity_read(s, error);

	if (r == -EPROTO)
		return r;
	if (r < 0 && r != -ENOENT && r != -EBADMSG) {
		buf_printf(error, "cannot read the file \"spool\": %s", strerror(-r));
		return r;
	}
	if (r < 0 && !has_segments)
		s->world->random(s->world, &s->number, sizeof(s->number));
	else if (r < 0)
		s->number = spool_of_segments;
	if (s->incarnation < incarnation_of_segments)
		s->incarnation = incarnation_of_segments;
	s->incarnation++;
	s->world->disk_unlink(s->world, s->dir, "spool.room", false);
	r = identity_write(s);
	if (r < 0)
		buf_printf(error, "cannot write the file \"spool\": %s", strerror(-r));
	else
		put_room_by(s);
	return r;
}
