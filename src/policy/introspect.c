/*
 * introspect - see introspect.h.
 *
 * The cache is a map from SHA-256 of the token to its facts, with a list by age: the oldest goes
 * when it is full, and the oldest is the first that is too old. Only good tokens are kept: a bad
 * one may become good by the time its owner tries again, and whoever sends random ones must not
 * push the good ones out. The gate bounds how many questions are under way, so a slow token server
 * cannot take the pool from the disk.
 */
#include "policy/introspect.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/https.h"
#include "net/loop.h"
#include "policy/gate.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define WAITING_MAX 1000 /* logins in line for the token server */
#define DIGEST 32

struct remembered {
	struct map_node node;
	struct list by_age;
	unsigned char digest[DIGEST];
	int64_t asked_ms; /* wall clock */
	struct token_facts facts;
};

struct introspector {
	struct introspect_options options; /* strings owned, NUL-terminated */
	struct gate gate;
	pthread_mutex_t lock;
	struct map by_digest; /* under the lock, and the list */
	struct list by_age;
};

/* ---- making one */

static bool url_is_local(struct str url)
{
	static const char *const hosts[] = {"http://127.0.0.1", "http://[::1]", "http://localhost"};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct str host = str_of(hosts[i]);
		char next = url.n > host.n ? url.p[host.n] : '/';

		if (str_starts_nocase(url, host) && (next == '/' || next == ':'))
			return true;
	}
	return false;
}

static const char *why_unfit(const struct introspect_options *o)
{
	if (str_has_control(o->url) || str_find(o->url, '@') >= 0)
		return "the address of the token server must not hold blanks, names or passwords";
	if (!str_starts_nocase(o->url, STR("https://")) && !url_is_local(o->url))
		return "the address of the token server must begin with https://: tokens are "
		       "secrets (http:// goes to this machine only)";
	if (!o->timeout_ms || !o->at_once_max)
		return "a token server needs a time limit and at least one question at once";
	return NULL;
}

static struct str keep(struct str s)
{
	return str_make(str_dup(s), s.n);
}

struct introspector *introspector_new(const struct introspect_options *o, struct buf *error)
{
	const char *why = why_unfit(o);
	struct introspector *i;

	if (why) {
		buf_add_str(error, str_of(why));
		return NULL;
	}
	i = mem_zalloc(sizeof(*i));
	i->options = *o;
	i->options.url = keep(o->url);
	i->options.client_id = keep(o->client_id);
	i->options.client_secret = keep(o->client_secret);
	i->options.ca_file = keep(o->ca_file);
	i->options.scope = keep(o->scope);
	i->options.audience = keep(o->audience);
	i->options.claim = keep(o->claim);
	gate_init(&i->gate, o->at_once_max, WAITING_MAX);
	pthread_mutex_init(&i->lock, NULL);
	map_init(&i->by_digest);
	list_init(&i->by_age);
	return i;
}

bool introspector_serves(const struct introspector *i, const struct introspect_options *o)
{
	const struct introspect_options *own = &i->options;

	return str_eq(own->url, o->url) && str_eq(own->client_id, o->client_id) &&
	       str_eq(own->scope, o->scope) && str_eq(own->audience, o->audience) &&
	       str_eq(own->claim, o->claim) && str_eq(own->ca_file, o->ca_file);
}

static void forget(struct introspector *i, struct remembered *m)
{
	map_remove(&i->by_digest, &m->node);
	list_remove(&m->by_age);
	mem_free(m);
}

static void drop(struct str s)
{
	char *p = (char *)s.p;

	OPENSSL_cleanse(p, s.n);
	mem_free(p);
}

void introspector_free(struct introspector *i)
{
	if (!i)
		return;
	LIST_FOR(at, &i->by_age)
	forget(i, LIST_ENTRY(at, struct remembered, by_age));
	map_done(&i->by_digest);
	pthread_mutex_destroy(&i->lock);
	gate_done(&i->gate);
	drop(i->options.url);
	drop(i->options.client_id);
	drop(i->options.client_secret);
	drop(i->options.ca_file);
	drop(i->options.scope);
	drop(i->options.audience);
	drop(i->options.claim);
	mem_free(i);
}

/* ---- the answer */

static enum token_verdict verdict(struct token_facts *ret, enum token_verdict v, const char *why)
{
	str_copy(ret->why, sizeof(ret->why), str_of(why));
	return v;
}

static bool has_scope(struct str scopes, struct str wanted)
{
	for (struct str word = str_word(&scopes); word.n; word = str_word(&scopes))
		if (str_eq(word, wanted))
			return true;
	return wanted.n == 0;
}

static struct str text_of_value(const json_t *v)
{
	return str_make(json_string_value(v), json_string_length(v));
}

static struct str text_of(const json_t *object, const char *key)
{
	return text_of_value(json_object_get(object, key));
}

/* "aud": a string, or an array of strings (RFC 7662 2.2, RFC 7519 4.1.3) */
static bool has_audience(const json_t *object, struct str wanted)
{
	const json_t *aud = json_object_get(object, "aud");

	if (!wanted.n || str_eq(text_of_value(aud), wanted))
		return true;
	for (size_t i = 0; i < json_array_size(aud); i++)
		if (str_eq(text_of_value(json_array_get(aud, i)), wanted))
			return true;
	return false;
}

static struct str user_of(const json_t *object, struct str claim)
{
	static const char *const names[] = {"username", "email", "sub"};
	char key[64];
	struct str user = STR_NONE;

	if (claim.n)
		return text_of(object, str_copy(key, sizeof(key), claim));
	for (size_t i = 0; i < 3 && !user.n; i++)
		user = text_of(object, names[i]);
	return user;
}

/* "exp" in milliseconds; 0: not told; -1: it is no time */
static int64_t expiry_of(const json_t *object)
{
	const json_t *exp = json_object_get(object, "exp");
	double seconds = json_number_value(exp);

	if (!exp || json_is_null(exp))
		return 0;
	return json_is_number(exp) && seconds > 0 && seconds < 1e12 ? (int64_t)(seconds * 1000)
								    : -1;
}

static enum token_verdict judge_object(const struct introspect_options *o, const json_t *object,
				       int64_t now_ms, struct token_facts *ret)
{
	struct str user = user_of(object, o->claim);
	int64_t expires_ms = expiry_of(object);

	if (!json_is_boolean(json_object_get(object, "active")))
		return verdict(ret, TOKEN_LATER, "the token server's answer lacks \"active\"");
	if (!json_is_true(json_object_get(object, "active")))
		return verdict(ret, TOKEN_BAD, "the token is not active");
	if (expires_ms < 0 || (expires_ms && expires_ms <= now_ms))
		return verdict(ret, TOKEN_BAD, "the token has expired");
	if (!has_scope(text_of(object, "scope"), o->scope))
		return verdict(ret, TOKEN_BAD, "the token lacks the scope");
	if (!has_audience(object, o->audience))
		return verdict(ret, TOKEN_BAD, "the token is for another audience");
	if (!sasl_text_is_valid(user, SASL_NAME_MAX))
		return verdict(ret, TOKEN_BAD, "the token names no user");
	str_copy(ret->user, sizeof(ret->user), user);
	ret->expires_ms = expires_ms;
	return TOKEN_GOOD;
}

enum token_verdict introspect_judge(const struct introspect_options *o, struct str json,
				    int64_t now_ms, struct token_facts *ret)
{
	json_t *root = json_loadb(json.n ? json.p : "", json.n, JSON_REJECT_DUPLICATES, NULL);
	enum token_verdict v;

	*ret = (struct token_facts){0};
	if (json_is_object(root))
		v = judge_object(o, root, now_ms, ret);
	else
		v = verdict(ret, TOKEN_LATER, "the token server's answer is no JSON object");
	json_decref(root);
	return v;
}

/* ---- the question, in the pool */

struct question {
	const struct introspect_options *options;
	struct str token;
	unsigned timeout_ms;
	int64_t now_ms;
	struct buf answer;
	struct token_facts facts;
	enum token_verdict verdict;
};

/* token=...&token_type_hint=access_token: letters, digits, "-._~" stay, the rest as %XX */
static void add_form(struct buf *out, struct str token)
{
	static const char hex[] = "0123456789ABCDEF";

	buf_reserve(out, out->max); /* does not move: it holds the token */
	buf_add_lit(out, "token=");
	for (size_t i = 0; i < token.n; i++) {
		unsigned char c = (unsigned char)token.p[i];

		if (ascii_is_alnum((char)c) || (c && strchr("-._~", c))) {
			buf_add_byte(out, (char)c);
			continue;
		}
		buf_add_byte(out, '%');
		buf_add_byte(out, hex[c >> 4]);
		buf_add_byte(out, hex[c & 15]);
	}
	buf_add_lit(out, "&token_type_hint=access_token");
}

static const char *or_null(struct str s)
{
	return s.n ? s.p : NULL;
}

static int ask_in_pool(void *arg)
{
	struct question *q = arg;
	const struct introspect_options *o = q->options;
	struct buf form = BUF_INIT(3 * SASL_OCTETS_MAX + 256);
	struct https_question ask = {
		.url = o->url.p, .may_be_clear = url_is_local(o->url),
		.ca_file = or_null(o->ca_file),
		.user = or_null(o->client_id), .password = o->client_secret.p,
		.posted_type = "application/x-www-form-urlencoded", .timeout_ms = q->timeout_ms,
	};
	char why[128];

	add_form(&form, q->token);
	ask.posted = buf_str(&form);
	if (https_ask(&ask, &q->answer, why, sizeof(why)) == HTTPS_OK) {
		q->verdict = introspect_judge(o, buf_str(&q->answer), q->now_ms, &q->facts);
	} else {
		q->verdict = TOKEN_LATER;
		snprintf(q->facts.why, sizeof(q->facts.why), "the token server: %s", why);
	}
	OPENSSL_cleanse(form.p, form.size);
	buf_done(&form);
	return 0;
}

/* ---- the cache */

static bool digest_of(struct str token, unsigned char ret[DIGEST])
{
	size_t n = 0;

	return EVP_Q_digest(NULL, "SHA256", NULL, token.p, token.n, ret, &n) == 1 && n == DIGEST;
}

static struct remembered *find(struct introspector *i, const unsigned char digest[DIGEST])
{
	uint64_t hash = hash_bytes(digest, DIGEST);

	for (struct map_node *at = map_first(&i->by_digest, hash); at; at = map_next(at)) {
		struct remembered *m = CONTAINER_OF(at, struct remembered, node);

		if (CRYPTO_memcmp(m->digest, digest, DIGEST) == 0)
			return m;
	}
	return NULL;
}

/* A clock that was set back makes an entry too old as well. */
static bool is_old(const struct remembered *m, int64_t now)
{
	return now < m->asked_ms || now - m->asked_ms >= INTROSPECT_CACHE_MS ||
	       (m->facts.expires_ms && m->facts.expires_ms <= now);
}

static bool recall(struct introspector *i, const unsigned char digest[DIGEST], int64_t now,
		   struct token_facts *ret)
{
	struct remembered *m;
	bool found = false;

	pthread_mutex_lock(&i->lock);
	m = find(i, digest);
	if (m && is_old(m, now)) {
		forget(i, m);
	} else if (m) {
		*ret = m->facts;
		found = true;
	}
	pthread_mutex_unlock(&i->lock);
	return found;
}

static void remember(struct introspector *i, const unsigned char digest[DIGEST], int64_t now,
		     const struct token_facts *facts)
{
	struct remembered *m;

	if (!i->options.cache_max)
		return;
	pthread_mutex_lock(&i->lock);
	m = find(i, digest);
	if (m)
		forget(i, m);
	while (i->by_digest.n >= i->options.cache_max)
		forget(i, LIST_ENTRY(list_first(&i->by_age), struct remembered, by_age));
	m = mem_zalloc(sizeof(*m));
	memcpy(m->digest, digest, DIGEST);
	m->asked_ms = now;
	m->facts = *facts;
	map_insert(&i->by_digest, &m->node, hash_bytes(digest, DIGEST));
	list_init(&m->by_age);
	list_push(&i->by_age, &m->by_age);
	pthread_mutex_unlock(&i->lock);
}

/* ---- all of it */

static int ask(struct introspector *i, struct str token, uint64_t deadline,
	       struct token_facts *ret) SUSPENDS
{
	struct question *q;
	int r = gate_enter(&i->gate, deadline);
	int64_t left;

	if (r == -ECANCELED)
		return r;
	if (r < 0)
		return (int)verdict(ret, TOKEN_LATER, "too many ask the token server");
	q = mem_zalloc(sizeof(*q));
	left = deadline == NEVER ? INT64_MAX : (int64_t)(deadline - loop_now()) / 1000000;
	*q = (struct question){.options = &i->options, .token = token, .now_ms = loop_wall_ms()};
	q->timeout_ms = left < (int64_t)i->options.timeout_ms ? left : i->options.timeout_ms;
	if (q->timeout_ms < 1)
		q->timeout_ms = 1; /* 0 would mean without end */
	buf_init(&q->answer, INTROSPECT_ANSWER_MAX);
	net_offload(ask_in_pool, q);
	gate_leave(&i->gate);
	*ret = q->facts;
	r = (int)q->verdict;
	buf_done(&q->answer);
	mem_free(q);
	return r;
}

int introspect(struct introspector *i, struct str token, struct str user, uint64_t deadline,
	       struct token_facts *ret)
{
	unsigned char digest[DIGEST];
	int r = TOKEN_GOOD;

	*ret = (struct token_facts){0};
	if (!token.n || token.n > SASL_OCTETS_MAX || !digest_of(token, digest))
		return (int)verdict(ret, TOKEN_BAD, "no token");
	if (!recall(i, digest, loop_wall_ms(), ret)) {
		r = ask(i, token, deadline, ret);
		if (r == TOKEN_GOOD)
			remember(i, digest, loop_wall_ms(), ret);
	}
	if (r == TOKEN_GOOD && user.n && !str_eq_nocase(user, str_of(ret->user)))
		return (int)verdict(ret, TOKEN_BAD, "the token is somebody else's");
	return r;
}
