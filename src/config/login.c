/*
 * login - who judges logins (`users`), where secrets lie (`secrets`), and the logins of routes at
 * other servers.
 *
 * Secrets are read when a connection needs them, never at load: what is looked at here is that
 * their files are there and that only the right people can read them.
 */
#include "config/load.h"
#include "smtp/sasl.h"

#include <errno.h>
#include <unistd.h>

#define SECRET_NAME_MAX 250	/* octets; it names a file */
#define SECRET_MAX 4096		/* octets: tokens may be long */
#define PORT_DOVECOT 12345

/* ---- users */

static bool users_are_new(struct load *l, const struct users_backend *u)
{
	for (unsigned i = 0; i < l->users.n; i++) {
		const struct users_backend *other = l->users.p[i];

		if (other->kind != u->kind || !str_eq(other->url, u->url) ||
		    (u->file && strcmp(u->file, other->file) != 0) ||
		    (u->kind == USERS_DOVECOT && !endpoint_eq(&u->dovecot, &other->dovecot)))
			continue;
		diag_error(&l->diag, &u->place, "these users stand already in %s:%u",
			   other->place.file, other->place.line);
		return false;
	}
	return true;
}

/*
 * The path of a file that is read later: what is in it is its reader's, that it is there is seen
 * now, and the sandbox learns of it.
 */
static const char *file_for_later(struct load *l, const struct word *w)
{
	const char *path = load_path(l, &w->place, w->text);
	int fd;

	if (l->options->is_alone)
		return path;
	fd = config_open_file(path);
	if (fd >= 0)
		close(fd);
	else if (l->options->strict)
		diag_error(&l->diag, &w->place, "%s: %s", path,
			   fd == -EINVAL ? "not a regular file" : strerrordesc_np(-fd));
	else
		diag_warn(&l->diag, &w->place, "%s: %s", path,
			  fd == -EINVAL ? "not a regular file" : strerrordesc_np(-fd));
	return path;
}

static bool users_file(struct load *l, const struct word *w, struct users_backend *u)
{
	u->file = file_for_later(l, w);
	return true;
}

static bool users_dovecot(struct load *l, const struct word *w, struct users_backend *u)
{
	struct str text = w->text;

	if (str_starts(text, STR("unix:")) && text.n > 5)
		text = arena_printf(&l->scratch, "unix:%s",
				    load_path(l, &w->place, str_from(text, 5)));
	text = str_of(arena_cstr(&l->c->arena, text));
	if (endpoint_parse(text, PORT_DOVECOT, &u->dovecot))
		return true;
	diag_error(&l->diag, &w->place,
		   "\"%.*s\" is not a socket of Dovecot; expected one such as "
		   "unix:/run/dovecot/auth-client or 127.0.0.1:12345",
		   DIAG_WORD(w->text));
	return false;
}

/* Tokens are secrets: they go out in clear to this machine only. */
static bool is_url(struct str url)
{
	static const char *const starts[] = { "https://", "http://127.0.0.1", "http://[::1]",
					      "http://localhost" };

	for (unsigned i = 0; i < 4; i++) {
		struct str rest = str_from(url, strlen(starts[i]));

		if (!str_starts(url, str_of(starts[i])) || str_has_control(url) ||
		    str_find(url, ' ') >= 0)
			continue;
		if (i == 0 ? rest.n > 0 : !rest.n || rest.p[0] == ':' || rest.p[0] == '/')
			return true;
	}
	return false;
}

/* URL [client NAME] [secret NAME] [scope WORD] [audience WORD] [claim WORD] [ca FILE] */
static bool users_introspect(struct load *l, const struct statement *st, struct users_backend *u)
{
	static const char *const words[] = { "client", "secret", "scope", "audience", "claim", "ca",
					     "" };
	struct str *const fields[] = { &u->client,   &u->secret, &u->scope,
				       &u->audience, &u->claim,	 &u->ca };
	const struct word *w = &st->words[2];

	if (!is_url(w->text)) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not a URL such as https://id.example.net/introspect (http "
			   "is for this machine only: tokens are secrets)",
			   DIAG_WORD(w->text));
		return false;
	}
	u->url = arena_str(&l->c->arena, w->text);
	for (unsigned i = 3; i < st->n; i += 2) {
		int which = setting_choice(l, words, &st->words[i]);

		if (which < 0)
			return false;
		if (i + 1 == st->n || !st->words[i + 1].text.n) {
			diag_error(&l->diag, &st->end, "expected a word behind %s", words[which]);
			return false;
		}
		if (fields[which] == &u->secret && !login_secret_check(l, &st->words[i + 1]))
			return false;
		*fields[which] = fields[which] == &u->ca
					 ? str_of(file_for_later(l, &st->words[i + 1]))
					 : arena_str(&l->c->arena, st->words[i + 1].text);
	}
	if (u->secret.n && !u->client.n)
		diag_error(&l->diag, &st->end, "a secret needs whose it is: client NAME");
	return true;
}

void login_users(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "file", "dovecot", "introspect", "" };
	struct users_backend *u = arena_zalloc(&l->c->arena, sizeof(*u));
	int kind = setting_choice(l, words, &st->words[1]);
	bool ok;

	(void)row;
	if (kind < 0)
		return;
	u->place = st->place;
	u->kind = (enum users_kind)kind;
	if (kind != USERS_INTROSPECT && st->n > 3) {
		diag_error(&l->diag, &st->words[3].place, "expected the end of the line");
		return;
	}
	ok = kind == USERS_FILE	     ? users_file(l, &st->words[2], u)
	     : kind == USERS_DOVECOT ? users_dovecot(l, &st->words[2], u)
				     : users_introspect(l, st, u);
	if (ok && users_are_new(l, u))
		load_add(l, &l->users, u, LOAD_USERS_MAX, &st->place, "users statements");
}

bool login_has_users(const struct load *l, unsigned kinds)
{
	for (unsigned i = 0; i < l->users.n; i++)
		if (kinds >> ((const struct users_backend *)l->users.p[i])->kind & 1)
			return true;
	return false;
}

/* ---- secrets */

void login_secrets(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	l->secrets_place = st->place;
	if (st->words[1].text.n)
		l->c->secrets = load_path(l, &st->words[1].place, st->words[1].text);
	else
		diag_error(&l->diag, &st->words[1].place, "the name of the folder is empty");
}

static bool secret_name_is_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_alnum(name.p[i]) && !memchr("-_.@+", name.p[i], 5))
			return false;
	return name.n && name.n <= SECRET_NAME_MAX && name.p[0] != '.';
}

bool login_secret_check(struct load *l, const struct word *name)
{
	if (secret_name_is_valid(name->text)) {
		struct word *copy = arena_alloc(&l->scratch, sizeof(*copy));

		*copy = *name;
		vector_add(&l->secrets, copy);
		return true;
	}
	diag_error(&l->diag, &name->place,
		   "\"%.*s\" cannot name a secret; expected letters, digits, -, _, ., @ or +, "
		   "and no dot at the beginning",
		   DIAG_WORD(name->text));
	return false;
}

static const char *secret_path(struct arena *a, const struct config *c, struct str name)
{
	return arena_cstr(a, arena_printf(a, "%s/%.*s", c->secrets, STR_ARG(name)));
}

static void check_secret(struct load *l, const struct word *name)
{
	const char *path;
	struct stat st;

	if (!l->c->secrets) {
		diag_error(&l->diag, &name->place,
			   "a secret needs the folder where it lies, as in: secrets ./secrets");
		return;
	}
	if (l->options->is_alone)
		return;
	path = secret_path(&l->scratch, l->c, name->text);
	if (stat(path, &st) < 0) {
		if (errno != EACCES)	/* it is for others to look into: no fault */
			diag_warn(&l->diag, &name->place, "%s: %s", path, strerrordesc_np(errno));
	} else if (!S_ISREG(st.st_mode)) {
		diag_warn(&l->diag, &name->place, "%s: not a regular file", path);
	} else if (st.st_mode & 07) {
		diag_warn(&l->diag, &name->place,
			  "%s: everybody may read it, so it will not be used: chmod 600", path);
	}
}

static void check_folder(struct load *l)
{
	const char *path = l->c->secrets;
	struct stat st;

	if (!path || l->options->is_alone)
		return;
	load_note_folder(path);
	if (stat(path, &st) < 0) {
		if (errno != EACCES)
			diag_warn(&l->diag, &l->secrets_place, "%s: %s", path,
				  strerrordesc_np(errno));
	} else if (!S_ISDIR(st.st_mode)) {
		diag_error(&l->diag, &l->secrets_place, "%s: not a folder", path);
	} else if (st.st_mode & 02) {
		diag_warn(&l->diag, &l->secrets_place,
			  "%s: everybody may put files there: chmod 700", path);
	}
}

void login_check_all(struct load *l)
{
	check_folder(l);
	for (unsigned i = 0; i < l->secrets.n; i++)
		check_secret(l, l->secrets.p[i]);
}

void login_freeze(struct load *l)
{
	struct users_backend *users =
		arena_alloc(&l->c->arena, size_mul(l->users.n, sizeof(*users)));

	for (unsigned i = 0; i < l->users.n; i++)
		users[i] = *(const struct users_backend *)l->users.p[i];
	l->c->users = users;
	l->c->users_n = l->users.n;
}

/* Straight into the caller's buffer, whose growing would leave copies behind. */
static bool read_secret(int fd, struct buf *ret, struct buf *error)
{
	size_t room = ret->max - ret->n < SECRET_MAX ? ret->max - ret->n : SECRET_MAX, n = 0;
	char *to = buf_reserve(ret, room);
	ssize_t got = 1, end = -1;

	while (to && n < room && end < 0 && got > 0) {
		got = read(fd, to + n, room - n);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			end = str_find(str_make(to, n += (size_t)got), '\n');
	}
	if (got < 0)
		buf_add_str(error, str_of(strerrordesc_np(errno)));
	else if (n == room && end < 0)
		buf_add_lit(error, "it is too long");
	else
		end = end < 0 ? (ssize_t)n : end;
	while (got >= 0 && end > 0 && to[end - 1] == '\r')
		end--;
	if (got >= 0 && end == 0)
		buf_add_lit(error, "its first line is empty");
	if (to)
		explicit_bzero(to + (end > 0 ? end : 0), n - (size_t)(end > 0 ? end : 0));
	if (got < 0 || end <= 0)
		return false;
	buf_commit(ret, (size_t)end);
	return true;
}

bool config_secret(const struct config *c, struct str name, struct buf *ret, struct buf *error)
{
	size_t before = error->n;
	struct arena a;
	struct stat st;
	bool ok = false;
	int fd;

	if (!c->secrets || !secret_name_is_valid(name)) {
		buf_printf(error, "secret %.*s: there is no such secret", STR_ARG(name));
		return false;
	}
	arena_init(&a);
	fd = config_open_file(secret_path(&a, c, name));
	arena_done(&a);
	buf_printf(error, "secret %.*s: ", STR_ARG(name));
	if (fd < 0)
		buf_add_str(error, str_of(strerrordesc_np(-fd)));
	else if (fstat(fd, &st) < 0 || st.st_mode & 07)
		buf_add_lit(error, "everybody may read its file: it is not used");
	else
		ok = read_secret(fd, ret, error);
	if (fd >= 0)
		close(fd);
	if (ok)
		error->n = before;
	return ok;
}

/* ---- a route's login: NAME secret SECRET [mechanism M] */

static bool read_mechanism(struct load *l, const struct word *w, unsigned *ret)
{
	struct choices choices = { .n = 0 };
	enum sasl_mechanism m = sasl_mechanism_find(w->text);

	*ret = m;
	for (unsigned i = SASL_NONE + 1; i < SASL_MECHANISMS_N; i++)
		choices_add(&choices, str_of(sasl_mechanism_name(i)));
	if (!m)
		diag_unknown(&l->diag, &w->place, "unknown mechanism", w->text, &choices);
	return m != SASL_NONE;
}

void login_route(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route_draft *d = l->frames[l->depth].object;
	const struct word *w = st->words;

	(void)row;
	d->login_place = st->place;
	if (!sasl_text_is_valid(w[1].text, SASL_NAME_MAX)) {
		diag_error(&l->diag, &w[1].place, "\"%.*s\" is not the name of a user",
			   DIAG_WORD(w[1].text));
		return;
	}
	if (!word_is(&w[2], "secret") || st->n == 5 ||
	    (st->n == 6 && !word_is(&w[4], "mechanism"))) {
		diag_error(&l->diag, !word_is(&w[2], "secret") ? &w[2].place
				     : st->n == 5	       ? &st->end
							       : &w[4].place,
			   "expected: login %s", row->arguments);
		return;
	}
	if (!login_secret_check(l, &w[3]) ||
	    (st->n == 6 && !read_mechanism(l, &w[5], &d->route.login_mechanism)))
		return;
	d->route.login_user = arena_str(&l->c->arena, w[1].text);
	d->route.login_secret = arena_str(&l->c->arena, w[3].text);
}
