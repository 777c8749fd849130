/*
 * store - small files in a folder below the state folder, each written whole.
 *
 * A file is written beside, synced and renamed over the old one, and the folder synced: after a
 * crash it is the old one or the new one. The folder is made when it is first written to. Writers
 * of one folder come one after the other (they share the file beside); reading passes over what
 * cannot be read. Everything goes through the world. Blocks: at start, and in the pool.
 */
#include "verify/store.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>

#define PATH_OCTETS 4096
#define NAME_OCTETS 255
#define NEW ".new"
#define FILES_MAX 10000

static int open_folder(const struct store *s, bool make)
{
	struct buf path = BUF_INIT(PATH_OCTETS);
	struct world *w = s->world;
	int r = 0;

	buf_printf(&path, "%s/%s", s->state, s->folder);
	if (make)
		r = w->disk_mkdir(w, AT_FDCWD, buf_cstr(&path), 0700);
	if (r == 0 || r == -EEXIST)
		r = w->disk_open(w, AT_FDCWD, buf_cstr(&path), O_RDONLY | O_DIRECTORY, 0);
	buf_done(&path);
	return r;
}

bool store_can_name(struct str name)
{
	if (!name.n || name.n > NAME_OCTETS || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_alnum(name.p[i]) && name.p[i] != '-' && name.p[i] != '_' &&
		    name.p[i] != '.')
			return false;
	return true;
}

/* ---- reading */

struct listing {
	const struct store *store;
	int folder;
	void (*found)(void *arg, struct str name, struct str text);
	void *arg;
	char *text;			/* owned; room for one octet more than a file may have */
	unsigned n;
};

static ssize_t read_file(const struct listing *l, int fd)
{
	struct world *w = l->store->world;
	size_t n = 0, room = l->store->size_max + 1;
	ssize_t r;

	do {
		r = w->disk_pread(w, fd, l->text + n, room - n, n);
		n += r > 0 ? (size_t)r : 0;
	} while (r > 0 && n < room);
	return r < 0 || n == room ? -1 : (ssize_t)n;
}

static int on_name(void *arg, const char *name)
{
	struct listing *l = arg;
	struct world *w = l->store->world;
	ssize_t n;
	int fd;

	if (l->n++ == FILES_MAX)
		return 1;
	if (!store_can_name(str_of(name)))
		return 0;
	fd = w->disk_open(w, l->folder, name, O_RDONLY, 0);
	if (fd < 0)
		return 0;
	n = read_file(l, fd);
	w->disk_close(w, fd);
	if (n >= 0)
		l->found(l->arg, str_of(name), str_make(l->text, (size_t)n));
	return 0;
}

void store_each(const struct store *s, void (*found)(void *arg, struct str name, struct str text),
		void *arg)
{
	struct listing l = {
		.store = s, .folder = open_folder(s, false), .found = found, .arg = arg};

	if (l.folder < 0)
		return;
	l.text = mem_alloc(s->size_max + 1);
	s->world->disk_list(s->world, l.folder, ".", on_name, &l);
	s->world->disk_close(s->world, l.folder);
	mem_free(l.text);
}

/* ---- writing */

static int write_all(struct world *w, int fd, struct str text)
{
	uint64_t at = 0;

	while (at < text.n) {
		struct iovec iov = { (char *)(uintptr_t)text.p + at, text.n - at };
		ssize_t n = w->disk_pwritev(w, fd, &iov, 1, at);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		at += (uint64_t)n;
	}
	return w->disk_sync(w, fd);
}

static int replace(struct world *w, int folder, const char *name, struct str text)
{
	int fd = w->disk_open(w, folder, NEW, O_WRONLY | O_CREAT | O_TRUNC, 0600), r;

	if (fd < 0)
		return fd;
	r = write_all(w, fd, text);
	w->disk_close(w, fd);
	if (r == 0)
		r = w->disk_rename(w, folder, NEW, name);
	return r < 0 ? r : w->disk_sync(w, folder);
}

int store_write(const struct store *s, struct str name, struct str text)
{
	char file[NAME_OCTETS + 1];
	int folder, r;

	if (!store_can_name(name) || text.n > s->size_max)
		return -EINVAL;
	folder = open_folder(s, true);
	if (folder < 0)
		return folder;
	r = replace(s->world, folder, str_copy(file, sizeof(file), name), text);
	s->world->disk_close(s->world, folder);
	return r;
}

void store_remove(const struct store *s, struct str name)
{
	char file[NAME_OCTETS + 1];
	int folder;

	if (!store_can_name(name))
		return;
	folder = open_folder(s, false);
	if (folder < 0)
		return;
	s->world->disk_unlink(s->world, folder, str_copy(file, sizeof(file), name), false);
	s->world->disk_close(s->world, folder);
}
