/*
 * sasl_client - the machine of a login as the client sees it: choosing a mechanism, and those
 * without arithmetic (see sasl_server.c for their texts).
 *
 * A bearer token that is refused comes back as one more challenge with the reason; it is answered
 * as RFC 7628 3.2.3 says, so that the server comes to its 535.
 */
#include "smtp/sasl_inner.h"

#include "base/mem.h"

#include <assert.h>
#include <openssl/crypto.h>

struct sasl_client *sasl_client_new(enum sasl_mechanism m, const struct sasl_binding *b,
				    struct str user, struct str password, struct str nonce,
				    struct str host, unsigned port)
{
	struct sasl_client *c = mem_zalloc(sizeof(*c));

	assert(m > SASL_NONE && m < SASL_MECHANISMS_N);
	c->mechanism = m;
	c->port = port;
	buf_init(&c->user, SASL_NAME_MAX);
	buf_init(&c->password, SASL_OCTETS_MAX);
	buf_init(&c->out, 2 * SASL_OCTETS_MAX);
	buf_init(&c->nonce, SASL_NONCE_MAX);
	buf_init(&c->host, SASL_NAME_MAX);
	sasl_buf_set(&c->user, user);
	sasl_buf_set(&c->password, password);
	buf_reserve(&c->out, c->out.max); /* secrets pass through it: it must not move */
	buf_add_str(&c->nonce, nonce);
	buf_add_str(&c->host, host);
	sasl_bound_set(&c->bound, b);
	scram_talk_init(&c->scram, m == SASL_SCRAM_SHA_1 || m == SASL_SCRAM_SHA_1_PLUS);
	return c;
}

void sasl_client_free(struct sasl_client *c)
{
	if (!c)
		return;
	scram_talk_wipe(&c->scram);
	sasl_buf_wipe(&c->user);
	sasl_buf_wipe(&c->password);
	sasl_buf_wipe(&c->out);
	sasl_buf_wipe(&c->nonce);
	buf_done(&c->host);
	OPENSSL_cleanse(c, sizeof(*c));
	mem_free(c);
}

enum sasl_step sasl_client_fail(struct sasl_client *c, const char *why)
{
	c->why = why;
	c->is_done = false;
	c->state = SASL_STATE_OVER;
	buf_clear(&c->out);
	return SASL_FAILED;
}

/* Nothing more has to be said. */
static enum sasl_step done(struct sasl_client *c)
{
	c->is_done = true;
	return SASL_DONE;
}

static bool is_bearer(enum sasl_mechanism m)
{
	return m == SASL_XOAUTH2 || m == SASL_OAUTHBEARER;
}

static enum sasl_step bearer(struct sasl_client *c)
{
	struct buf *out = &c->out;

	if (c->mechanism == SASL_XOAUTH2) {
		buf_add_lit(out, "user=");
		buf_add_str(out, buf_str(&c->user));
	} else {
		buf_add_lit(out, "n,a=");
		scram_escape(out, buf_str(&c->user));
		buf_add_lit(out, ",\1host=");
		buf_add_str(out, buf_str(&c->host));
		buf_add_lit(out, "\1port=");
		buf_add_u64(out, c->port);
	}
	buf_add_lit(out, "\1auth=Bearer ");
	buf_add_str(out, buf_str(&c->password));
	buf_add_lit(out, "\1\1");
	return done(c);
}

static enum sasl_step plain(struct sasl_client *c)
{
	buf_add_byte(&c->out, '\0');
	buf_add_str(&c->out, buf_str(&c->user));
	buf_add_byte(&c->out, '\0');
	buf_add_str(&c->out, buf_str(&c->password));
	return done(c);
}

static enum sasl_step begin(struct sasl_client *c)
{
	size_t max = is_bearer(c->mechanism) ? SASL_OCTETS_MAX - 1024 : SASL_PASSWORD_MAX;

	if (c->user.full || !sasl_text_is_valid(buf_str(&c->user), SASL_NAME_MAX))
		return sasl_client_fail(c, "the user's name is empty, too long or no text");
	if (c->password.full || !sasl_text_is_valid(buf_str(&c->password), max))
		return sasl_client_fail(c, "the password is empty, too long or no text");
	switch (c->mechanism) {
	case SASL_PLAIN:
		return plain(c);
	case SASL_LOGIN:
		return SASL_SEND;
	case SASL_XOAUTH2:
	case SASL_OAUTHBEARER:
		return bearer(c);
	default:
		return scram_client_begin(c);
	}
}

/* Challenges are prompts, in whatever words: first the name, then the password. */
static enum sasl_step login(struct sasl_client *c)
{
	if (c->taken == 1) {
		buf_add_str(&c->out, buf_str(&c->user));
		return SASL_SEND;
	}
	buf_add_str(&c->out, buf_str(&c->password));
	return done(c);
}

static enum sasl_step take(struct sasl_client *c, struct str input)
{
	if (is_bearer(c->mechanism) && c->taken == 1) {
		c->is_done = false; /* the token was refused; input says why */
		if (c->mechanism == SASL_OAUTHBEARER)
			buf_add_byte(&c->out, '\1');
		return SASL_SEND;
	}
	if (c->mechanism == SASL_LOGIN && c->taken <= 2)
		return login(c);
	if (c->mechanism >= SASL_SCRAM_SHA_1 && c->mechanism <= SASL_SCRAM_SHA_256_PLUS)
		return scram_client_take(c, input);
	return sasl_client_fail(c, "the server asks for more than the mechanism has");
}

enum sasl_step sasl_client_step(struct sasl_client *c, struct str input)
{
	buf_clear(&c->out);
	if (c->state == SASL_STATE_OVER)
		return sasl_client_fail(c, "the server goes on after the end");
	if (c->state == SASL_STATE_NEW) {
		c->state = SASL_STATE_TALK;
		return begin(c);
	}
	if (input.n > SASL_OCTETS_MAX)
		return sasl_client_fail(c, "the challenge is too long");
	c->taken++;
	return take(c, input);
}

bool sasl_client_has_initial(const struct sasl_client *c)
{
	return c->mechanism != SASL_LOGIN;
}

struct str sasl_client_out(const struct sasl_client *c)
{
	return buf_str(&c->out);
}

const char *sasl_client_why(const struct sasl_client *c)
{
	return c->why ? c->why : "";
}

bool sasl_client_is_done(const struct sasl_client *c)
{
	return c->is_done;
}

/* Binding the channel is worth more than the better hash, which is not the weak point. */
static const struct choice {
	enum sasl_mechanism mechanism;
	bool wants_binding, wants_tls, wants_token;
} choices[] = {
	{SASL_SCRAM_SHA_256_PLUS, true, true, false},
	{SASL_SCRAM_SHA_1_PLUS, true, true, false},
	{SASL_SCRAM_SHA_256, false, false, false},
	{SASL_SCRAM_SHA_1, false, false, false},
	{SASL_PLAIN, false, true, false},
	{SASL_LOGIN, false, true, false},
	{SASL_OAUTHBEARER, false, true, true},
	{SASL_XOAUTH2, false, true, true},
};

enum sasl_mechanism sasl_client_choose(struct str offered, bool has_tls, bool has_binding,
				       bool has_token)
{
	bool is_offered[SASL_MECHANISMS_N] = {false};

	for (struct str word = str_word(&offered); word.n; word = str_word(&offered))
		is_offered[sasl_mechanism_find(word)] = true;
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		const struct choice *c = &choices[i];

		if (is_offered[c->mechanism] && c->wants_token == has_token &&
		    (has_tls || !c->wants_tls) && (has_binding || !c->wants_binding))
			return c->mechanism;
	}
	return SASL_NONE;
}
