/*
 * copy - folders and files for backup and restore; see copy.h.
 *
 * Copies, never hard links: a link would share the original's damage, and the relay gives the
 * blocks of what it deleted back by truncating it.
 */
#include "run/copy.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>

#define PIECE ((size_t)1 << 20)

static int open_folder(struct world *w, int at, const char *name)
{
	return w->disk_open(w, at, name, O_RDONLY | O_DIRECTORY, 0);
}

static int open_parts(struct tree *t)
{
	int r;

	t->segments = open_folder(t->world, t->dir, "segments");
	t->content = open_folder(t->world, t->dir, "content");
	r = t->segments < 0 ? t->segments : t->content < 0 ? t->content : 0;
	if (r < 0)
		tree_close(t);
	return r;
}

int tree_open(struct tree *t, const char *path)
{
	struct world *w = world_real();

	*t = (struct tree){w, path, open_folder(w, AT_FDCWD, path), -1, -1};
	return t->dir < 0 ? t->dir : open_parts(t);
}

static int any_name(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return -ENOTEMPTY;
}

int tree_make(struct tree *t, const char *path)
{
	struct world *w = world_real();
	int r = w->disk_mkdir(w, AT_FDCWD, path, 0700);

	*t = (struct tree){w, path, -1, -1, -1};
	if (r < 0 && r != -EEXIST)
		return r;
	if (r < 0 && (r = w->disk_list(w, AT_FDCWD, path, any_name, NULL)) < 0)
		return r;
	t->dir = open_folder(w, AT_FDCWD, path);
	if (t->dir < 0)
		return t->dir;
	if ((r = w->disk_mkdir(w, t->dir, "segments", 0700)) < 0 ||
	    (r = w->disk_mkdir(w, t->dir, "content", 0700)) < 0) {
		tree_close(t);
		return r;
	}
	return open_parts(t);
}

int tree_sync(struct tree *t)
{
	struct world *w = t->world;
	int r;

	if ((r = w->disk_sync(w, t->segments)) < 0 || (r = w->disk_sync(w, t->content)) < 0)
		return r;
	return w->disk_sync(w, t->dir);
}

void tree_close(struct tree *t)
{
	int fds[] = {t->segments, t->content, t->dir};

	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			t->world->disk_close(t->world, fds[i]);
	t->dir = t->segments = t->content = -1;
}

bool tree_is_empty(struct tree *t)
{
	struct world *w = t->world;

	return w->disk_list(w, t->segments, ".", any_name, NULL) == 0 &&
	       w->disk_list(w, t->content, ".", any_name, NULL) == 0;
}

/* ---- removing */

struct removal {
	struct world *world;
	int dir;
};

static int remove_name(void *arg, const char *name)
{
	struct removal *r = arg;

	r->world->disk_unlink(r->world, r->dir, name, false);
	return 0;
}

void tree_remove(struct world *w, const char *path)
{
	static const char *const folders[] = {"segments", "content", "quarantine"};
	int dir = open_folder(w, AT_FDCWD, path);

	if (dir < 0)
		return;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		struct removal r = {w, open_folder(w, dir, folders[i])};

		if (r.dir < 0)
			continue;
		w->disk_list(w, r.dir, ".", remove_name, &r);
		w->disk_close(w, r.dir);
		w->disk_unlink(w, dir, folders[i], true);
	}
	w->disk_list(w, dir, ".", remove_name, &(struct removal){ w, dir });
	w->disk_close(w, dir);
	w->disk_unlink(w, AT_FDCWD, path, true);
}

/* ---- files */

static int write_all(struct world *w, int fd, char *p, size_t n, uint64_t offset)
{
	while (n) {
		struct iovec iov = {p, n};
		ssize_t r = w->disk_pwritev(w, fd, &iov, 1, offset);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r ? (int)r : -EIO;
		p += r;
		n -= (size_t)r;
		offset += (uint64_t)r;
	}
	return 0;
}

static int64_t copy_octets(struct world *w, int from, int to, uint64_t octets)
{
	char *piece = mem_alloc(PIECE);
	uint64_t at = 0;
	ssize_t n = 1;

	while (at < octets && n > 0) {
		n = w->disk_pread(w, from, piece,
				  octets - at < PIECE ? (size_t)(octets - at) : PIECE, at);
		if (n == -EINTR)
			n = 1;
		else if (n > 0) {
			int r = write_all(w, to, piece, (size_t)n, at);

			at += (uint64_t)n;
			n = r < 0 ? r : n;
		}
	}
	mem_free(piece);
	return n < 0 ? n : (int64_t)at;
}

int64_t copy_file(struct world *w, int from, int to, const char *name, uint64_t octets)
{
	int64_t n;
	int r, out, in = w->disk_open(w, from, name, O_RDONLY, 0);

	if (in < 0)
		return in;
	out = w->disk_open(w, to, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (out < 0) {
		w->disk_close(w, in);
		return out;
	}
	n = copy_octets(w, in, out, octets);
	if (n >= 0 && octets != UINT64_MAX && (uint64_t)n < octets)
		n = -EIO; /* it was longer a moment ago */
	r = w->disk_sync(w, out);
	w->disk_close(w, out);
	w->disk_close(w, in);
	return r < 0 ? r : n;
}

int write_text(struct world *w, int dir, const char *name, const char *text)
{
	int r, fd = w->disk_open(w, dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		return fd;
	r = write_all(w, fd, (char *)(uintptr_t)text, strlen(text), 0);
	if (r == 0)
		r = w->disk_sync(w, fd);
	w->disk_close(w, fd);
	return r;
}
