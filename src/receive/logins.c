/*
 * logins - the backends behind AUTH; see logins.h.
 *
 * A users file is known by its path, a token server by all that its statement says and the secret
 * it is asked with: what a reload demands is demanded of tokens that are remembered, too.
 * What was made once is kept until the end: a reload that names it again finds it, with what it
 * remembers, and sessions on an older configuration never lose theirs. A token server whose secret
 * has changed is a new one; the old one stays behind (a few hundred octets for each such reload).
 *
 * The lock is held for a look-up only.
 */
#include "receive/logins.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "policy/gate.h"
#include "policy/introspect.h"
#include "policy/users.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>

#define HASHES_AT_ONCE 2	/* pool threads that passwords may use: each takes 16 MiB, too */
#define HASHES_WAITING 200
#define TOKENS_TIMEOUT_MS 10000
#define TOKENS_AT_ONCE 8
#define TOKENS_CACHED 10000
#define SECRET_MAX 1024

struct backend {
	struct list in_logins;
	enum users_kind kind;
	char *file;			/* owned; of FILE: its path */
	struct users_source *source;	/* owned; of FILE */
	uint64_t secret;		/* of INTROSPECT: hash */
	struct introspector *introspector; /* owned; of INTROSPECT */
};

struct logins {
	struct world *world;
	struct bans *bans;		/* owned */
	struct gate gate;
	pthread_mutex_t lock;
	struct list backends;		/* owned; under the lock; the newest first */
	unsigned char key[USERS_KEY];	/* for secrets that are made up */
	struct users *nobody;		/* a reading of an empty file */
};

/* ---- what there is */

static struct introspect_options options_of(const struct users_backend *u, struct str secret)
{
	return (struct introspect_options){
		.url = u->url,
		.client_id = u->client,
		.client_secret = secret,
		.ca_file = u->ca,
		.scope = u->scope,
		.audience = u->audience,
		.claim = u->claim,
		.timeout_ms = TOKENS_TIMEOUT_MS,
		.at_once_max = TOKENS_AT_ONCE,
		.cache_max = TOKENS_CACHED,
	};
}

static bool serves(const struct backend *b, const struct users_backend *u)
{
	struct introspect_options o = options_of(u, STR_NONE);

	if (b->kind != u->kind)
		return false;
	return b->kind == USERS_FILE ? strcmp(b->file, u->file) == 0
				     : introspector_serves(b->introspector, &o);
}

/* secret NULL: whichever it was named with last. */
static struct backend *find(struct logins *l, const struct users_backend *u, const uint64_t *secret)
{
	struct backend *found = NULL;

	pthread_mutex_lock(&l->lock);
	LIST_FOR(at, &l->backends) {
		struct backend *b = LIST_ENTRY(at, struct backend, in_logins);

		if (serves(b, u) && (!secret || b->secret == *secret)) {
			found = b;
			break;
		}
	}
	if (found && secret) {
		list_remove(&found->in_logins);
		list_push_front(&l->backends, &found->in_logins);
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

static void add(struct logins *l, struct backend *b)
{
	pthread_mutex_lock(&l->lock);
	list_push_front(&l->backends, &b->in_logins);
	pthread_mutex_unlock(&l->lock);
}

static void lines_of(struct buf *warnings, const struct buf *text)
{
	if (!text->n)
		return;
	buf_add_str(warnings, buf_str(text));
	if (text->p[text->n - 1] != '\n')
		buf_add_byte(warnings, '\n');
}

static void make_file(struct logins *l, const struct users_backend *u, struct buf *warnings)
{
	struct backend *b = find(l, u, NULL);
	struct buf text = BUF_INIT(16384);

	if (b) {
		users_source_touch(b->source);
		return;
	}
	b = mem_zalloc(sizeof(*b));
	b->kind = USERS_FILE;
	b->file = mem_strdup(u->file);
	b->source = users_source_new(u->file);
	users_source_start(b->source, l->world, &text, &text);
	lines_of(warnings, &text);
	buf_done(&text);
	add(l, b);
}

static void make_introspector(struct logins *l, const struct config *c,
			      const struct users_backend *u, struct buf *warnings)
{
	struct buf secret = BUF_INIT(SECRET_MAX), error = BUF_INIT(2048);
	struct introspect_options o;
	struct introspector *made = NULL;
	uint64_t hash;

	if (!u->secret.n || config_secret(c, u->secret, &secret, &error)) {
		hash = hash_bytes(secret.p, secret.n);
		o = options_of(u, buf_str(&secret));
		if (!find(l, u, &hash))
			made = introspector_new(&o, &error);
	}
	lines_of(warnings, &error);
	if (made) {
		struct backend *b = mem_zalloc(sizeof(*b));

		b->kind = USERS_INTROSPECT;
		b->secret = hash;
		b->introspector = made;
		add(l, b);
	}
	if (secret.p)
		OPENSSL_cleanse(secret.p, secret.size);
	buf_done(&secret);
	buf_done(&error);
}

static struct ban_limits limits_of(const struct config *c)
{
	struct ban_limits limits = ban_limits_default;

	limits.ban_after = c->logins.failures_max;	/* 0, "unlimited": nobody is banned */
	if (limits.ban_after && limits.ban_after / 2 < limits.free)
		limits.free = limits.ban_after / 2;
	if (c->logins.ban_ns) {
		limits.ban_ms = c->logins.ban_ns / MILLISECOND;
		if (limits.ban_max_ms < limits.ban_ms)
			limits.ban_max_ms = limits.ban_ms;
	}
	return limits;
}

void logins_reload(struct logins *l, const struct config *c, struct buf *warnings)
{
	const struct ban_limits limits = limits_of(c);

	bans_set_limits(l->bans, &limits);
	for (unsigned i = 0; i < c->users_n; i++) {
		if (c->users[i].kind == USERS_FILE)
			make_file(l, &c->users[i], warnings);
		else if (c->users[i].kind == USERS_INTROSPECT)
			make_introspector(l, c, &c->users[i], warnings);
	}
}

struct logins *logins_new(struct world *w, const struct config *c, struct buf *warnings)
{
	struct logins *l = mem_zalloc(sizeof(*l));

	l->world = w;
	l->bans = bans_new(&ban_limits_default);
	gate_init(&l->gate, HASHES_AT_ONCE, HASHES_WAITING);
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->backends);
	w->random(w, l->key, sizeof(l->key));
	l->nobody = users_parse("nobody", STR_NONE, warnings);
	logins_reload(l, c, warnings);
	return l;
}

void logins_free(struct logins *l)
{
	struct list *at;

	if (!l)
		return;
	while ((at = list_pop(&l->backends))) {
		struct backend *b = LIST_ENTRY(at, struct backend, in_logins);

		users_source_free(b->source);
		introspector_free(b->introspector);
		mem_free(b->file);
		mem_free(b);
	}
	users_unref(l->nobody);
	bans_free(l->bans);
	gate_done(&l->gate);
	pthread_mutex_destroy(&l->lock);
	OPENSSL_cleanse(l->key, sizeof(l->key));
	mem_free(l);
}

struct bans *logins_bans(struct logins *l)
{
	return l->bans;
}

/* ---- questions */

static void because(struct login *ret, const char *backend, const char *why)
{
	ret->backend = backend;
	str_copy(ret->why, sizeof(ret->why), str_of(why));
}

static int is_good(struct login *ret, const char *backend, struct str user)
{
	ret->backend = backend;
	str_copy(ret->user, sizeof(ret->user), user);
	return LOGIN_GOOD;
}

/* A reading (a reference) of the backend's file; NULL: there is none. */
static struct users *users_of(struct logins *l, const struct users_backend *u) SUSPENDS
{
	struct backend *b = u->kind == USERS_FILE ? find(l, u, NULL) : NULL;

	return b ? users_source_get(b->source) : NULL;
}

static int ask_file(struct logins *l, const struct users_backend *b, struct str user,
		    struct str password, uint64_t deadline, struct login *ret) SUSPENDS
{
	struct users *users = users_of(l, b);
	int r;

	if (!users) {
		because(ret, "file", "the users file cannot be read");
		return LOGIN_LATER;
	}
	r = users_verify(users, &l->gate, user, password, deadline);
	if (r == 1) {
		const struct user *found = users_find(users, user);

		r = is_good(ret, "file", found ? found->name : user);
	} else if (r == 0) {
		because(ret, "file", "no such user, or another password");
		r = LOGIN_WRONG;
	} else if (r != -ECANCELED) {
		because(ret, "file", "too many logins at once");
		r = LOGIN_LATER;
	}
	users_unref(users);
	return r;
}

/* What the users files say against this name: WRONG if one has it disabled. */
static int look_for_ban(struct logins *l, const struct config *c, struct str user,
			struct login *ret) SUSPENDS
{
	int verdict = LOGIN_GOOD;

	for (unsigned i = 0; i < c->users_n && verdict != LOGIN_WRONG; i++) {
		struct users *users = users_of(l, &c->users[i]);
		const struct user *found = users ? users_find(users, user) : NULL;

		if (found && found->disabled) {
			because(ret, ret->backend, "disabled in the users file");
			verdict = LOGIN_WRONG;
		} else if (!users && c->users[i].kind == USERS_FILE) {
			because(ret, ret->backend, "a users file cannot be read: disabled or not?");
			verdict = LOGIN_LATER;
		}
		users_unref(users);
	}
	return verdict;
}

int logins_admit(struct logins *l, const struct config *c, struct str given, struct login *ret)
{
	struct str user = str_of(ret->user);
	int verdict = look_for_ban(l, c, user, ret);

	if (verdict == LOGIN_GOOD && given.n && !str_eq_nocase(given, user))
		verdict = look_for_ban(l, c, given, ret);
	return verdict;
}

/* What Dovecot says of "\0user\0password". */
static int ask_dovecot(const struct users_backend *b, const struct dovecot_client *who,
		       struct str user, struct str password, uint64_t deadline,
		       struct login *ret) SUSPENDS
{
	struct buf initial = BUF_INIT(2 + SASL_NAME_MAX + SASL_OCTETS_MAX);
	struct dovecot *d = NULL;
	int r = dovecot_open(&b->dovecot, deadline, &d);

	buf_add_byte(&initial, '\0');
	buf_add_str(&initial, user);
	buf_add_byte(&initial, '\0');
	buf_add_str(&initial, password);
	if (r == 0)
		r = dovecot_start(d, SASL_PLAIN, who, buf_str(&initial), true, deadline);
	if (r == DOVECOT_OK) {
		r = is_good(ret, "dovecot", dovecot_user(d));
	} else if (r == DOVECOT_FAIL) {
		because(ret, "dovecot", "wrong");
		if (dovecot_reason(d).n)
			str_copy(ret->why, sizeof(ret->why), dovecot_reason(d));
		r = LOGIN_WRONG;
	} else if (r != -ECANCELED) {
		because(ret, "dovecot", r < 0 ? "it does not answer" : "it cannot say");
		r = LOGIN_LATER;
	}
	dovecot_close(d);
	if (initial.p)
		OPENSSL_cleanse(initial.p, initial.size);
	buf_done(&initial);
	return r;
}

int logins_password(struct logins *l, const struct config *c, const struct dovecot_client *who,
		    struct str user, struct str password, uint64_t deadline, struct login *ret)
{
	int verdict = LOGIN_WRONG;

	because(ret, "none", "no backend takes passwords");
	for (unsigned i = 0; i < c->users_n; i++) {
		const struct users_backend *b = &c->users[i];
		struct login one = { .backend = "none" };
		int r;

		if (b->kind == USERS_INTROSPECT)
			continue;
		r = b->kind == USERS_FILE ? ask_file(l, b, user, password, deadline, &one)
					  : ask_dovecot(b, who, user, password, deadline, &one);
		if (verdict != LOGIN_LATER || r != LOGIN_WRONG)
			*ret = one;	/* what was not known outweighs what was wrong */
		if (r == LOGIN_GOOD)
			return logins_admit(l, c, user, ret);
		if (r < 0)
			return r;
		verdict = r == LOGIN_LATER ? r : verdict;
	}
	return verdict;
}

int logins_has(struct logins *l, const struct config *c, struct str user, struct login *ret)
{
	int verdict = LOGIN_WRONG;

	because(ret, "file", "no such user");
	for (unsigned i = 0; i < c->users_n && verdict != LOGIN_GOOD; i++) {
		struct users *users = users_of(l, &c->users[i]);
		const struct user *found = users ? users_find(users, user) : NULL;

		if (found && !found->disabled) {
			verdict = is_good(ret, "file", found->name);
		} else if (!users && c->users[i].kind == USERS_FILE) {
			because(ret, "file", "the users file cannot be read");
			verdict = LOGIN_LATER;
		}
		users_unref(users);
	}
	return verdict == LOGIN_GOOD ? logins_admit(l, c, user, ret) : verdict;
}

int logins_token(struct logins *l, const struct config *c, struct str user, struct str token,
		 uint64_t deadline, struct login *ret)
{
	struct token_facts *facts = mem_zalloc(sizeof(*facts));
	int verdict = LOGIN_WRONG;

	because(ret, "none", "no backend takes tokens");
	for (unsigned i = 0; i < c->users_n && verdict != LOGIN_GOOD; i++) {
		struct backend *b = find(l, &c->users[i], NULL);
		int r;

		if (c->users[i].kind != USERS_INTROSPECT)
			continue;
		r = b ? introspect(b->introspector, token, user, deadline, facts) : TOKEN_LATER;
		if (r == TOKEN_GOOD) {
			verdict = is_good(ret, "introspect", str_of(facts->user));
		} else if (r < 0) {
			verdict = r;
			break;
		} else if (r == TOKEN_LATER || verdict != LOGIN_LATER) {
			because(ret, "introspect", b ? facts->why : "it could not be set up");
			verdict = r == TOKEN_LATER ? LOGIN_LATER : LOGIN_WRONG;
		}
	}
	OPENSSL_cleanse(facts, sizeof(*facts));
	mem_free(facts);
	return verdict == LOGIN_GOOD ? logins_admit(l, c, user, ret) : verdict;
}

int logins_scram(struct logins *l, const struct config *c, struct str user, bool sha1,
		 struct scram_secret *ret, struct login *ret_login)
{
	bool found = false;
	int verdict;

	is_good(ret_login, "file", user);
	verdict = look_for_ban(l, c, user, ret_login);
	users_scram_made_up(l->nobody, user, sha1, l->key, ret);
	for (unsigned i = 0; i < c->users_n && !found; i++) {
		struct users *users = users_of(l, &c->users[i]);

		if (!users)
			continue;
		if (verdict == LOGIN_GOOD)
			found = users_scram(users, user, sha1, l->key, ret);
		else		/* of the shape that this file's others have */
			users_scram_made_up(users, user, sha1, l->key, ret);
		if (found)
			is_good(ret_login, "file", users_find(users, user)->name);
		users_unref(users);
	}
	return found || verdict == LOGIN_LATER ? verdict : LOGIN_WRONG;
}

int logins_dovecot(const struct config *c, enum sasl_mechanism m, const struct dovecot_client *who,
		   struct str initial, uint64_t deadline, struct dovecot **ret)
{
	int r = -ENOENT;

	*ret = NULL;
	for (unsigned i = 0; i < c->users_n; i++) {
		struct dovecot *d = NULL;
		int one;

		if (c->users[i].kind != USERS_DOVECOT)
			continue;
		one = dovecot_open(&c->users[i].dovecot, deadline, &d);
		if (one == 0 && dovecot_has(d, m)) {
			r = dovecot_start(d, m, who, initial, true, deadline);
			*ret = d;
			return r < 0 && r != -ECANCELED ? DOVECOT_LATER : r;
		}
		dovecot_close(d);
		if (one == -ECANCELED)
			return one;
		r = one < 0 ? DOVECOT_LATER : r;
	}
	return r;
}

bool logins_may_send_as(struct logins *l, const struct config *c, struct str user,
			const struct address *sender)
{
	for (unsigned i = 0; i < c->users_n; i++) {
		struct users *users = users_of(l, &c->users[i]);
		const struct user *u = users ? users_find(users, user) : NULL;
		bool may = u && users_may_send_as(u, sender);

		users_unref(users);
		if (u)
			return may;
	}
	return !sender->whole.n || str_eq_nocase(sender->whole, user);
}
