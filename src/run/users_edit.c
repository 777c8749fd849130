/*
 * users_edit - see users_edit.h.
 *
 * The lock is on the folder and not on the file, because the file is replaced: who waited for a
 * lock on the old one would edit what is gone. A text that the relay would refuse is not written,
 * and one that is broken already is not edited: both are said line by line.
 */
#include "run/users_edit.h"

#include "base/mem.h"
#include "net/world.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)USERS_FILE_MAX + 65536)
#define GROUP "relevo" /* whom a new file may be read by */

static bool failed(const char *path, const char *what, int error)
{
	fprintf(stderr, "relevo: %s: %s: %s.\n", path, what, strerror(error));
	return false;
}

/* The file that a path leads to; if there is none yet, the path itself. */
static char *resolve(const char *path)
{
	char *to = mem_alloc(PATH_MAX);

	if (!realpath(path, to))
		str_copy(to, PATH_MAX, str_of(path));
	return to;
}

static int open_folder(const char *path)
{
	ssize_t slash = str_rfind(str_of(path), '/');
	char *folder =
		slash < 0 ? mem_strdup(".") : str_dup(str_make(path, slash ? (size_t)slash : 1));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	mem_free(folder);
	return fd;
}

static bool lock_folder(struct users_edit *e)
{
	e->folder = open_folder(e->path);
	if (e->folder < 0)
		return failed(e->path, "its folder cannot be opened", errno);
	while (flock(e->folder, LOCK_EX) < 0)
		if (errno != EINTR)
			return failed(e->path, "its folder cannot be locked", errno);
	return true;
}

static bool read_text(struct users_edit *e, bool may_be_new)
{
	int fd = open(e->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = 1;

	e->is_new = fd < 0 && errno == ENOENT && may_be_new;
	if (e->is_new)
		return true;
	if (fd < 0 || fstat(fd, &e->st) < 0 || !S_ISREG(e->st.st_mode))
		n = -1;
	while (n > 0) {
		char *to = buf_reserve(&e->text, 65536);

		n = to ? read(fd, to, 65536) : -1;
		if (n > 0)
			buf_commit(&e->text, (size_t)n);
	}
	if (n < 0)
		failed(e->path, "the users file cannot be read", errno ? errno : EINVAL);
	if (fd >= 0)
		close(fd);
	return n == 0;
}

static bool is_sound(const struct users_edit *e)
{
	struct buf errors = BUF_INIT(16384);
	struct users *u = users_parse(e->path, buf_str(&e->text), &errors);

	if (!u)
		fprintf(stderr, "%s", buf_cstr(&errors));
	buf_done(&errors);
	users_unref(u);
	return u != NULL;
}

bool users_edit_open(struct users_edit *e, const char *path, bool may_be_new)
{
	*e = (struct users_edit){.path = resolve(path), .folder = -1};
	buf_init(&e->text, TEXT_MAX);
	return lock_folder(e) && read_text(e, may_be_new) && is_sound(e);
}

static void wipe(struct buf *b)
{
	if (b->p)
		OPENSSL_cleanse(b->p, b->size);
	buf_done(b);
}

void users_edit_done(struct users_edit *e)
{
	wipe(&e->text);
	if (e->folder >= 0)
		close(e->folder);
	mem_free(e->path);
}

/* ---- lines */

/* The name's line, with its LF if it has one. */
static bool find_line(const struct users_edit *e, struct str name, struct str *ret,
		      struct user_words *ret_words)
{
	struct str rest = buf_str(&e->text);
	struct buf ignored = BUF_INIT(256);
	bool found = false;

	while (rest.n && !found) {
		ssize_t end = str_find(rest, '\n');
		struct str line = end < 0 ? rest : str_sub(rest, 0, (size_t)end);

		*ret = str_sub(rest, 0, line.n + 1);
		found = users_line_parse(line, ret_words, &ignored) == USERS_LINE_USER &&
			str_eq_nocase(ret_words->name, name);
		rest = str_from(rest, line.n + 1);
	}
	buf_done(&ignored);
	return found;
}

bool users_edit_find(const struct users_edit *e, struct str name, struct user_words *ret)
{
	struct str line;

	return find_line(e, name, &line, ret);
}

void users_edit_add(struct users_edit *e, const struct user_words *u)
{
	if (e->text.n && e->text.p[e->text.n - 1] != '\n')
		buf_add_byte(&e->text, '\n');
	users_line_format(&e->text, u);
	buf_add_byte(&e->text, '\n');
}

/* with: NULL for nothing. Its slices may be of the old text. */
static void put_in_place(struct users_edit *e, struct str name, const struct user_words *with)
{
	struct buf made = BUF_INIT(TEXT_MAX);
	struct user_words old;
	struct str line;
	size_t from;

	if (!find_line(e, name, &line, &old))
		return;
	from = (size_t)(line.p - e->text.p);
	buf_add_str(&made, str_sub(buf_str(&e->text), 0, from));
	if (with) {
		users_line_format(&made, with);
		buf_add_byte(&made, '\n');
	}
	buf_add_str(&made, str_from(buf_str(&e->text), from + line.n));
	wipe(&e->text);
	e->text = made;
}

void users_edit_replace(struct users_edit *e, struct str name, const struct user_words *u)
{
	put_in_place(e, name, u);
}

void users_edit_remove(struct users_edit *e, struct str name)
{
	put_in_place(e, name, NULL);
}

/* ---- writing */

/* A new file is its maker's, and the relay's group may read it if root makes it. */
static int set_owner(const struct users_edit *e, int fd)
{
	struct group *group;

	if (!e->is_new) {
		struct stat st;

		if (fstat(fd, &st) < 0)
			return -errno;
		if ((st.st_uid != e->st.st_uid || st.st_gid != e->st.st_gid) &&
		    fchown(fd, e->st.st_uid, e->st.st_gid) < 0)
			return -errno;
		return fchmod(fd, e->st.st_mode & 07777) < 0 ? -errno : 0;
	}
	group = geteuid() == 0 ? getgrnam(GROUP) : NULL;
	if (!group)
		return 0;
	return fchown(fd, (uid_t)-1, group->gr_gid) < 0 || fchmod(fd, 0640) < 0 ? -errno : 0;
}

static int write_all(int fd, struct str text)
{
	while (text.n) {
		ssize_t n = write(fd, text.p, text.n);

		if (n < 0 && errno != EINTR)
			return -errno;
		text = str_from(text, n > 0 ? (size_t)n : 0);
	}
	return 0;
}

static int write_file(struct users_edit *e, const char *path)
{
	struct world *w = world_real();
	int fd, r;

	w->disk_unlink(w, AT_FDCWD, path, false); /* what a crash may have left */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, buf_str(&e->text));
	if (r == 0)
		r = set_owner(e, fd);
	if (r == 0)
		r = w->disk_sync(w, fd);
	close(fd);
	return r;
}

bool users_edit_commit(struct users_edit *e)
{
	struct world *w = world_real();
	struct buf path = BUF_INIT(PATH_MAX + 8);
	int r;

	if (!buf_ok(&e->text)) {
		fprintf(stderr, "relevo: %s: the users file would become too large.\n", e->path);
		return false;
	}
	if (!is_sound(e))
		return false;
	buf_printf(&path, "%s.new", e->path);
	r = write_file(e, buf_cstr(&path));
	if (r == 0)
		r = w->disk_rename(w, AT_FDCWD, path.p, e->path);
	if (r < 0)
		w->disk_unlink(w, AT_FDCWD, path.p, false);
	if (r == 0)
		r = w->disk_sync(w, e->folder);
	buf_done(&path);
	return r == 0 || failed(e->path, "the users file cannot be written", -r);
}
