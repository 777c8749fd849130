/*
 * scram_client - SCRAM as the client speaks it (RFC 5802 5, RFC 7677).
 *
 * The server must prove that it knows the user as well: a success without its signature is none.
 * What it says is hostile until then: the nonce must go on from ours, the salt is bounded, and the
 * iterations lie between the least that RFC 7677 allows - fewer would sell the password to whoever
 * plays the server - and what costs us a second.
 */
#include "smtp/sasl_inner.h"

#include "smtp/base64.h"

#include <openssl/crypto.h>

static void gs2_header(struct sasl_client *c)
{
	struct scram_talk *t = &c->scram;

	if (!sasl_mechanism_has_plus(c->mechanism)) {
		bool could = c->bound.exporter_n || c->bound.end_point_n;

		buf_add_str(&t->header, could ? STR("y,,") : STR("n,,"));
	} else if (c->bound.exporter_n) {
		buf_add_lit(&t->header, "p=tls-exporter,,");
		t->binding = str_make((const char *)c->bound.exporter, c->bound.exporter_n);
	} else {
		buf_add_lit(&t->header, "p=tls-server-end-point,,");
		t->binding = str_make((const char *)c->bound.end_point, c->bound.end_point_n);
	}
}

enum sasl_step scram_client_begin(struct sasl_client *c)
{
	struct scram_talk *t = &c->scram;

	gs2_header(c);
	if (sasl_mechanism_has_plus(c->mechanism) && !t->binding.n)
		return sasl_client_fail(c, "no TLS to bind to");
	buf_add_lit(&t->bare, "n=");
	scram_escape(&t->bare, buf_str(&c->user));
	buf_add_lit(&t->bare, ",r=");
	buf_add_str(&t->bare, buf_str(&c->nonce));
	buf_add_str(&c->out, buf_str(&t->header));
	buf_add_str(&c->out, buf_str(&t->bare));
	return SASL_SEND;
}

/* r=nonce,s=salt,i=iterations[,extensions]. Why it is refused, or NULL. */
static const char *parse_first(struct sasl_client *c, struct str input)
{
	struct scram_secret *s = &c->scram.secret;
	struct str nonce, salt, iterations, rest = input;
	struct buf octets = BUF_INIT(SCRAM_SALT_MAX);
	uint64_t n = 0;
	bool ok;

	if (!scram_take_named(&rest, 'r', &nonce) || !scram_take_named(&rest, 's', &salt) ||
	    !scram_take_named(&rest, 'i', &iterations) || !scram_extensions_are_fine(rest))
		return "the server's first message is malformed";
	if (!str_starts(nonce, buf_str(&c->nonce)) || nonce.n == c->nonce.n ||
	    nonce.n > 2 * SASL_NONCE_MAX || !sasl_nonce_is_valid(nonce))
		return "the server's nonce does not go on from ours";
	if (!str_parse_u64(iterations, SCRAM_ITERATIONS_CLIENT_MAX, &n) || n < SCRAM_ITERATIONS_MIN)
		return "the server wants too few or too many iterations";
	ok = base64_decode(&octets, salt) && octets.n > 0;
	if (ok) {
		memcpy(s->salt, octets.p, octets.n);
		s->salt_n = octets.n;
		s->iterations = (uint32_t)n;
		buf_add_str(&c->scram.nonce, nonce);
		buf_add_str(&c->scram.server_first, input);
	}
	buf_done(&octets);
	if (!ok || !buf_ok(&c->scram.server_first))
		return "the server's first message is malformed";
	return NULL;
}

/* c=binding,r=nonce: the last message without the proof */
static void begin_final(struct sasl_client *c, struct buf *out)
{
	struct buf binding = BUF_INIT(SASL_OCTETS_MAX);

	buf_add_str(&binding, buf_str(&c->scram.header));
	buf_add_str(&binding, c->scram.binding);
	buf_add_lit(out, "c=");
	base64_encode(out, binding.p, binding.n);
	buf_add_lit(out, ",r=");
	buf_add_str(out, buf_str(&c->scram.nonce));
	sasl_buf_wipe(&binding);
}

/* The proof into ret, and the signature that the server owes us into the talk. */
static bool prove(struct sasl_client *c, struct str without_proof, unsigned char ret[SCRAM_KEY_MAX])
{
	struct scram_talk *t = &c->scram;
	struct buf message = BUF_INIT(4 * SASL_OCTETS_MAX);
	unsigned char key[SCRAM_KEY_MAX] = {0};
	bool ok;

	scram_auth_message(&message, t, without_proof);
	ok = buf_ok(&message) && scram_keys(&t->secret, t->sha1, buf_str(&c->password), key) &&
	     scram_hmac(t->sha1, t->secret.stored_key, t->secret.key_n, buf_str(&message), ret) &&
	     scram_hmac(t->sha1, t->secret.server_key, t->secret.key_n, buf_str(&message),
			t->signature);
	for (size_t i = 0; ok && i < t->secret.key_n; i++)
		ret[i] ^= key[i];
	OPENSSL_cleanse(key, sizeof(key));
	sasl_buf_wipe(&message);
	return ok;
}

static enum sasl_step take_first(struct sasl_client *c, struct str input)
{
	const char *why = parse_first(c, input);
	unsigned char proof[SCRAM_KEY_MAX];

	if (why)
		return sasl_client_fail(c, why);
	begin_final(c, &c->out);
	if (!buf_ok(&c->out) || !prove(c, buf_str(&c->out), proof))
		return sasl_client_fail(c, "the proof cannot be computed");
	buf_add_lit(&c->out, ",p=");
	base64_encode(&c->out, proof, c->scram.secret.key_n);
	OPENSSL_cleanse(proof, sizeof(proof));
	return SASL_SEND;
}

/* v=signature */
static enum sasl_step take_final(struct sasl_client *c, struct str input)
{
	struct buf got = BUF_INIT(SCRAM_KEY_MAX);
	struct str value, rest = input;
	bool ok;

	if (str_starts(input, STR("e=")))
		return sasl_client_fail(c, "the server says that the proof is wrong");
	ok = scram_take_named(&rest, 'v', &value) && scram_extensions_are_fine(rest) &&
	     base64_decode(&got, value) && got.n == c->scram.secret.key_n &&
	     CRYPTO_memcmp(got.p, c->scram.signature, got.n) == 0;
	buf_done(&got);
	if (!ok)
		return sasl_client_fail(c, "the server could not prove that it knows the user");
	c->is_done = true;
	c->state = SASL_STATE_OVER;
	return SASL_DONE;
}

enum sasl_step scram_client_take(struct sasl_client *c, struct str input)
{
	return c->taken == 1 ? take_first(c, input) : take_final(c, input);
}
