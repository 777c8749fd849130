/*
 * sasl_server - the machine of a login as the server sees it, and the mechanisms without arithmetic
 * - PLAIN (RFC 4616), LOGIN (as it is used; there is no RFC), XOAUTH2 (Google's) and OAUTHBEARER
 * (RFC 7628).
 *
 * Who asks to act as somebody else (an authorization identity that is not the user's name) is
 * refused: a relay has no use for it, and what is not there cannot be got wrong.
 */
#include "smtp/sasl_inner.h"

#include "base/mem.h"

#include <assert.h>
#include <openssl/crypto.h>

#define OUT_MAX SASL_OCTETS_MAX

struct sasl_server *sasl_server_new(enum sasl_mechanism m, const struct sasl_binding *b,
				    struct str nonce)
{
	struct sasl_server *s = mem_zalloc(sizeof(*s));

	assert(m > SASL_NONE && m < SASL_MECHANISMS_N);
	s->mechanism = m;
	buf_init(&s->user, SASL_NAME_MAX);
	buf_init(&s->password, SASL_OCTETS_MAX);
	buf_init(&s->out, OUT_MAX);
	buf_init(&s->nonce, SASL_NONCE_MAX);
	buf_add_str(&s->nonce, nonce);
	sasl_bound_set(&s->bound, b);
	scram_talk_init(&s->scram, m == SASL_SCRAM_SHA_1 || m == SASL_SCRAM_SHA_1_PLUS);
	return s;
}

void sasl_server_free(struct sasl_server *s)
{
	if (!s)
		return;
	scram_talk_wipe(&s->scram);
	sasl_buf_wipe(&s->user);
	sasl_buf_wipe(&s->password);
	sasl_buf_wipe(&s->out);
	sasl_buf_wipe(&s->nonce);
	OPENSSL_cleanse(s, sizeof(*s));
	mem_free(s);
}

enum sasl_step sasl_server_fail(struct sasl_server *s, const char *why)
{
	s->why = why;
	s->state = SASL_STATE_OVER;
	buf_clear(&s->out);
	return SASL_FAILED;
}

static enum sasl_step send(struct sasl_server *s, struct str text)
{
	buf_add_str(&s->out, text);
	s->state = SASL_STATE_TALK;
	return SASL_SEND;
}

static enum sasl_step ask(struct sasl_server *s, enum sasl_step what)
{
	s->state = SASL_STATE_ASKED;
	return what;
}

static bool set_user(struct sasl_server *s, struct str name)
{
	if (!sasl_text_is_valid(name, SASL_NAME_MAX))
		return false;
	sasl_buf_set(&s->user, name);
	return true;
}

static enum sasl_step ask_password(struct sasl_server *s, struct str password)
{
	if (!sasl_text_is_valid(password, SASL_PASSWORD_MAX))
		return sasl_server_fail(s, "not a password: empty, too long or no text");
	sasl_buf_set(&s->password, password);
	return ask(s, SASL_WANTS_PASSWORD);
}

/* [authzid] NUL authcid NUL passwd */
static enum sasl_step plain(struct sasl_server *s, struct str input)
{
	ssize_t first = str_find(input, '\0');
	struct str rest = first < 0 ? STR_NONE : str_from(input, (size_t)first + 1), user;
	ssize_t second = str_find(rest, '\0');

	if (first < 0 || second < 0)
		return sasl_server_fail(s, "malformed");
	user = str_sub(rest, 0, (size_t)second);
	if (!set_user(s, user))
		return sasl_server_fail(s, "not a user's name");
	if (first > 0 && !str_eq(str_sub(input, 0, (size_t)first), user))
		return sasl_server_fail(s, "wants to act as somebody else");
	/* a third NUL is a control character in the password: refused there */
	return ask_password(s, str_from(rest, (size_t)second + 1));
}

/* The name may come as initial response; the prompts are those that old clients look for. */
static enum sasl_step login(struct sasl_server *s, struct str input)
{
	if (s->taken > 1)
		return ask_password(s, input);
	if (!set_user(s, input))
		return sasl_server_fail(s, "not a user's name");
	return send(s, STR("Password:"));
}

/* ---- bearer tokens */

/* RFC 6750 2.1: letters, digits and -._~+/ with = at the end */
static bool token_is_valid(struct str t)
{
	static const char others[] = "-._~+/=";

	for (size_t i = 0; i < t.n; i++)
		if (!ascii_is_alnum(t.p[i]) && (!t.p[i] || !strchr(others, t.p[i])))
			return false;
	return t.n > 0;
}

static enum sasl_step ask_token(struct sasl_server *s, struct str value)
{
	static const struct str scheme = {"Bearer ", 7};
	struct str token = str_from(value, scheme.n);

	if (!str_eq_nocase(str_sub(value, 0, scheme.n), scheme) || !token_is_valid(token))
		return sasl_server_fail(s, "no bearer token");
	sasl_buf_set(&s->password, token);
	return ask(s, SASL_WANTS_TOKEN);
}

/* "key=value" up to the next ^A */
static bool take_pair(struct str *rest, struct str *ret_key, struct str *ret_value)
{
	ssize_t end = str_find(*rest, '\1');
	struct str pair = str_sub(*rest, 0, end < 0 ? 0 : (size_t)end);
	ssize_t equals = str_find(pair, '=');

	if (end < 0 || equals <= 0)
		return false;
	*ret_key = str_sub(pair, 0, (size_t)equals);
	*ret_value = str_from(pair, (size_t)equals + 1);
	*rest = str_from(*rest, (size_t)end + 1);
	return true;
}

/* Pairs, then one more ^A. *ret_token: of "auth"; *ret_user: of "user". False: malformed. */
static bool take_pairs(struct str rest, struct str *ret_user, struct str *ret_auth)
{
	while (rest.n > 1) {
		struct str key, value;

		if (!take_pair(&rest, &key, &value))
			return false;
		if (str_eq(key, STR("auth")) && !ret_auth->p)
			*ret_auth = value;
		else if (str_eq(key, STR("user")) && !ret_user->p)
			*ret_user = value;
		else if (str_eq(key, STR("auth")) || str_eq(key, STR("user")))
			return false; /* twice */
	}
	return str_eq(rest, STR("\1")) && ret_auth->p;
}

/* user=NAME ^A auth=Bearer TOKEN ^A ^A */
static enum sasl_step xoauth2(struct sasl_server *s, struct str input)
{
	struct str user = STR_NONE, auth = STR_NONE;

	if (!take_pairs(input, &user, &auth))
		return sasl_server_fail(s, "malformed");
	if (!set_user(s, user))
		return sasl_server_fail(s, "not a user's name");
	return ask_token(s, auth);
}

/* The GS2 header "n,a=NAME," or "y,,". There is no channel binding here (RFC 7628 3.1). */
static const char *bearer_header(struct sasl_server *s, struct str header)
{
	struct buf name = BUF_INIT(SASL_NAME_MAX);
	struct str authzid;
	const char *why = NULL;

	if (str_starts(header, STR("p=")))
		return "channel binding in a mechanism without it";
	if (header.n < 3 || (header.p[0] != 'n' && header.p[0] != 'y') || header.p[1] != ',' ||
	    header.p[header.n - 1] != ',')
		return "malformed";
	authzid = str_sub(header, 2, header.n - 1);
	if (authzid.n &&
	    (!str_starts(authzid, STR("a=")) || str_find(authzid, ',') >= 0 ||
	     !scram_unescape(&name, str_from(authzid, 2)) || !set_user(s, buf_str(&name))))
		why = "not a user's name";
	sasl_buf_wipe(&name);
	return why;
}

static enum sasl_step oauthbearer(struct sasl_server *s, struct str input)
{
	ssize_t end = str_find(input, '\1');
	struct str user = STR_NONE, auth = STR_NONE;
	const char *why;

	if (end < 0 || !take_pairs(str_from(input, (size_t)end + 1), &user, &auth))
		return sasl_server_fail(s, "malformed");
	why = bearer_header(s, str_sub(input, 0, (size_t)end));
	if (why)
		return sasl_server_fail(s, why);
	return ask_token(s, auth);
}

/* ---- the machine */

static enum sasl_step take(struct sasl_server *s, struct str input)
{
	switch (s->mechanism) {
	case SASL_PLAIN:
		return plain(s, input);
	case SASL_LOGIN:
		return login(s, input);
	case SASL_XOAUTH2:
		return xoauth2(s, input);
	case SASL_OAUTHBEARER:
		return oauthbearer(s, input);
	default:
		return scram_server_take(s, input);
	}
}

enum sasl_step sasl_server_step(struct sasl_server *s, struct str input, bool has_initial)
{
	assert(s->state == SASL_STATE_NEW || s->state == SASL_STATE_TALK);
	buf_clear(&s->out);
	if (s->state == SASL_STATE_NEW && !has_initial)
		return send(s, s->mechanism == SASL_LOGIN ? STR("Username:") : STR_NONE);
	if (input.n > SASL_OCTETS_MAX)
		return sasl_server_fail(s, "too long");
	s->taken++;
	return take(s, input);
}

enum sasl_step sasl_server_judge(struct sasl_server *s, bool ok)
{
	assert(s->state == SASL_STATE_ASKED);
	buf_clear(&s->out);
	s->state = SASL_STATE_OVER;
	if (ok)
		return SASL_DONE;
	if (s->mechanism == SASL_OAUTHBEARER) {
		sasl_server_fail(s, "the token is not good");
		buf_add_lit(&s->out, "{\"status\":\"invalid_token\"}");
		return SASL_FAILED;
	}
	if (s->mechanism == SASL_XOAUTH2) {
		sasl_server_fail(s, "the token is not good");
		buf_add_lit(&s->out, "{\"status\":\"401\",\"schemes\":\"Bearer\"}");
		return SASL_FAILED;
	}
	return sasl_server_fail(s, "wrong password or unknown user");
}

enum sasl_step sasl_server_secret(struct sasl_server *s, const struct scram_secret *secret,
				  bool exists)
{
	assert(s->state == SASL_STATE_ASKED && secret->key_n == (s->scram.sha1 ? 20 : 32));
	buf_clear(&s->out);
	s->scram.secret = *secret;
	s->secret_exists = exists;
	return scram_server_secret(s);
}

struct str sasl_server_out(const struct sasl_server *s)
{
	return buf_str(&s->out);
}

struct str sasl_server_user(const struct sasl_server *s)
{
	return buf_str(&s->user);
}

struct str sasl_server_password(const struct sasl_server *s)
{
	return buf_str(&s->password);
}

const char *sasl_server_why(const struct sasl_server *s)
{
	return s->why ? s->why : "";
}
