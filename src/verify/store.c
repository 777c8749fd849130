/*
 * store - small files in a folder below the state folder, each written whole.
 *
 * A file is replaced whole (net/file.h). The folder is made when it is first written to; reading
 * passes over what cannot be read. Everything goes through the world. Blocks: at start, and in the
 * pool.
 */
#include "verify/store.h"

#include "net/file.h"

#include <errno.h>
#include <fcntl.h>

#define PATH_OCTETS 4096

/* Its name is on stable storage when the folder above it is synced. */
static int make_folder(const struct store *s, const char *path)
{
	struct world *w = s->world;
	int above, r = w->disk_mkdir(w, AT_FDCWD, path, 0700);

	if (r < 0)
		return r;
	above = w->disk_open(w, AT_FDCWD, s->state, O_RDONLY | O_DIRECTORY, 0);
	if (above < 0)
		return above;
	r = w->disk_sync(w, above);
	w->disk_close(w, above);
	return r;
}

static int open_folder(const struct store *s, bool make)
{
	struct buf path = BUF_INIT(PATH_OCTETS);
	struct world *w = s->world;
	int r = 0;

	buf_printf(&path, "%s/%s", s->state, s->folder);
	if (make)
		r = make_folder(s, buf_cstr(&path));
	if (r == 0 || r == -EEXIST)
		r = w->disk_open(w, AT_FDCWD, buf_cstr(&path), O_RDONLY | O_DIRECTORY, 0);
	buf_done(&path);
	return r;
}

bool store_can_name(struct str name)
{
	if (!name.n || name.n > FILE_NAME_MAX || name.p[0] == '.')
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
	struct buf text;
	unsigned n;
};

static int on_name(void *arg, const char *name)
{
	struct listing *l = arg;

	if (l->n++ == STORE_FILES_MAX)
		return 1;
	if (!store_can_name(str_of(name)))
		return 0;
	buf_clear(&l->text);
	if (file_read(l->store->world, l->folder, name, &l->text) == 0)
		l->found(l->arg, str_of(name), buf_str(&l->text));
	return 0;
}

void store_each(const struct store *s, void (*found)(void *arg, struct str name, struct str text),
		void *arg)
{
	struct listing l = {
		.store = s, .folder = open_folder(s, false), .found = found, .arg = arg,
		.text = BUF_INIT(s->size_max),
	};

	if (l.folder < 0)
		return;
	s->world->disk_list(s->world, l.folder, ".", on_name, &l);
	s->world->disk_close(s->world, l.folder);
	buf_done(&l.text);
}

/* ---- writing */

int store_write(const struct store *s, struct str name, struct str text)
{
	char file[FILE_NAME_MAX + 1];
	int folder, r;

	if (!store_can_name(name) || text.n > s->size_max)
		return -EINVAL;
	folder = open_folder(s, true);
	if (folder < 0)
		return folder;
	r = file_replace(s->world, folder, str_copy(file, sizeof(file), name), text);
	s->world->disk_close(s->world, folder);
	return r;
}

void store_remove(const struct store *s, struct str name)
{
	char file[FILE_NAME_MAX + 1];
	int folder;

	if (!store_can_name(name))
		return;
	folder = open_folder(s, false);
	if (folder < 0)
		return;
	s->world->disk_unlink(s->world, folder, str_copy(file, sizeof(file), name), false);
	s->world->disk_close(s->world, folder);
}
