/*
 * account - what the relay's account will make of the files; see account.h.
 *
 * `relevo check` becomes that account for a moment, with its groups, and opens each file that was
 * read for the configuration: the worker does the same at a reload, and for users and secrets at
 * each login. Only root can; for others the question is left out.
 */
#include "run/account.h"

#include "base/mem.h"
#include "net/world.h"
#include "policy/users.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#define FILES_MAX 4000
#define GROUPS_MAX 1024

static char *files[FILES_MAX];	/* owned; read for the configuration */
static unsigned files_n;

static void on_open(const char *path, int result)
{
	bool is_folder = str_ends_nocase(str_of(path), STR("/."));

	if (result < 0 || is_folder || files_n == FILES_MAX)
		return;
	for (unsigned i = 0; i < files_n; i++)
		if (!strcmp(files[i], path))
			return;
	files[files_n++] = mem_strdup(path);
}

void account_note_files(void)
{
	config_on_open(on_open);
}

/* 0: the account can read it; else -errno. */
static int try_to_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void warn_unreadable(const char *user, struct buf *out, unsigned *ret_warnings)
{
	for (unsigned i = 0; i < files_n; i++) {
		int r = try_to_read(files[i]);

		if (r == 0)
			continue;
		buf_printf(out, "%s: warning: the account %s cannot read this file (%s), and the "
				"relay has to: let its group read it, and enter its folders\n",
			   files[i], user, strerror(-r));
		(*ret_warnings)++;
	}
}

/* As the account, and back. False: this process cannot change its user. */
static bool look_as(const struct passwd *p, struct buf *out, unsigned *ret_warnings)
{
	gid_t *groups = mem_calloc(GROUPS_MAX, sizeof(*groups)), group = getegid();
	int n = getgroups(GROUPS_MAX, groups);
	bool done = n >= 0 && geteuid() == 0 && initgroups(p->pw_name, p->pw_gid) == 0;

	if (done && setegid(p->pw_gid) == 0 && seteuid(p->pw_uid) == 0)
		warn_unreadable(p->pw_name, out, ret_warnings);
	if (done && (seteuid(0) < 0 || setegid(group) < 0 || setgroups((size_t)n, groups) < 0))
		abort();	/* never go on as somebody else */
	mem_free(groups);
	return done;
}

static void check_user(const struct config *c, struct buf *out, unsigned *ret_warnings)
{
	char *name = str_dup(c->user);
	const struct passwd *p = getpwnam(name);

	if (!p) {
		buf_printf(out, "warning: there is no account \"%s\", which \"user\" names: a "
				"relay would not start (how to make it: docs/guide/operating.md)\n",
			   name);
		(*ret_warnings)++;
	} else {
		look_as(p, out, ret_warnings);
	}
	mem_free(name);
}

/* What is wrong in it stops no relay from starting; but nobody could log in. */
static void check_users_file(const char *path, struct buf *out, unsigned *ret_warnings)
{
	struct buf errors = BUF_INIT(65536), warnings = BUF_INIT(65536);
	struct users *u = try_to_read(path) == 0
				  ? users_load(world_real(), path, &errors, &warnings, NULL)
				  : NULL;

	if (errors.n) {
		buf_printf(out, "%s: warning: nobody can log in by this users file:\n", path);
		(*ret_warnings)++;
	}
	buf_add_str(out, buf_str(&errors));
	for (struct str rest = buf_str(&warnings); rest.n; (*ret_warnings)++) {
		ssize_t end = str_find(rest, '\n');

		rest = str_from(rest, end < 0 ? rest.n : (size_t)end + 1);
	}
	buf_add_str(out, buf_str(&warnings));
	users_unref(u);
	buf_done(&errors);
	buf_done(&warnings);
}

void account_check(const struct config *c, struct buf *out, unsigned *ret_warnings)
{
	for (unsigned i = 0; i < c->users_n; i++)
		if (c->users[i].kind == USERS_FILE)
			check_users_file(c->users[i].file, out, ret_warnings);
	if (c->user.n)
		check_user(c, out, ret_warnings);
	config_on_open(NULL);
	for (unsigned i = 0; i < files_n; i++)
		mem_free(files[i]);
	files_n = 0;
}
