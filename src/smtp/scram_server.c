/*
 * scram_server - SCRAM as the server speaks it (RFC 5802 5, RFC 7677).
 *
 * Two messages of the client. The first names the user, says whether and how the channel is bound,
 * and brings a nonce; the answer has the user's salt. The second repeats both nonces and the
 * binding and brings the proof. A user who does not exist runs through the same steps with a secret
 * made up for him, and the reason given is the one of a wrong password.
 *
 * Channel binding: the flag is "n" (the client cannot), "y" (it could, but was offered no -PLUS:
 * refused if we did offer it, for then somebody between us took the offer away) or "p=" with a
 * type. A mechanism in -PLUS demands "p="; one without it does not go with "p=".
 */
#include "smtp/sasl_inner.h"

#include "smtp/base64.h"

#include <openssl/crypto.h>

/* e= values of RFC 5802 7, sent before the refusal. */
static enum sasl_step refuse(struct sasl_server *s, struct str error, const char *why)
{
	sasl_server_fail(s, why);
	buf_add_lit(&s->out, "e=");
	buf_add_str(&s->out, error);
	return SASL_FAILED;
}

static struct str bound_data(const struct sasl_server *s, struct str type)
{
	if (str_eq(type, STR("tls-exporter")))
		return str_make((const char *)s->bound.exporter, s->bound.exporter_n);
	if (str_eq(type, STR("tls-server-end-point")))
		return str_make((const char *)s->bound.end_point, s->bound.end_point_n);
	return STR_NONE;
}

/* Why the flag is refused, or NULL. */
static const char *judge_flag(struct sasl_server *s, struct str flag)
{
	bool is_plus = sasl_mechanism_has_plus(s->mechanism);
	bool offered = s->bound.exporter_n || s->bound.end_point_n;

	if (str_starts(flag, STR("p="))) {
		if (!is_plus)
			return "channel binding in a mechanism without it";
		s->scram.binding = bound_data(s, str_from(flag, 2));
		return s->scram.binding.n ? NULL : "channel binding of a type that is not there";
	}
	if (!str_eq(flag, STR("n")) && !str_eq(flag, STR("y")))
		return "malformed";
	if (is_plus)
		return "no channel binding in a mechanism that demands it";
	if (flag.p[0] == 'y' && offered)
		return "downgrade: the client was not shown the mechanisms with channel binding";
	return NULL;
}

static bool take_name(struct str escaped, struct buf *to)
{
	buf_clear(to);
	return scram_unescape(to, escaped) && sasl_text_is_valid(buf_str(to), SASL_NAME_MAX);
}

/* "a=name" or nothing: it may name the user himself and nobody else. */
static const char *judge_authzid(struct sasl_server *s, struct str authzid)
{
	struct buf name = BUF_INIT(SASL_NAME_MAX);
	const char *why = NULL;

	if (authzid.n == 0)
		return NULL;
	if (!str_starts(authzid, STR("a=")) || !take_name(str_from(authzid, 2), &name))
		why = "malformed";
	else if (!str_eq(buf_str(&name), buf_str(&s->user)))
		why = "wants to act as somebody else";
	buf_done(&name);
	return why;
}

/* n=user,r=nonce[,extensions] */
static const char *take_bare(struct sasl_server *s, struct str bare)
{
	struct str name, nonce, rest = bare;

	if (str_starts(rest, STR("m=")))
		return "a mandatory extension";
	if (!scram_take_named(&rest, 'n', &name) || !scram_take_named(&rest, 'r', &nonce))
		return "malformed";
	if (!scram_extensions_are_fine(rest))
		return "an extension that is malformed or mandatory";
	if (!take_name(name, &s->user))
		return "not a user's name";
	if (nonce.n > SASL_NONCE_MAX || !sasl_nonce_is_valid(nonce))
		return "malformed";
	buf_add_str(&s->scram.nonce, nonce);
	buf_add_str(&s->scram.nonce, buf_str(&s->nonce));
	buf_add_str(&s->scram.bare, bare);
	return buf_ok(&s->scram.bare) && buf_ok(&s->scram.nonce) ? NULL : "too long";
}

static enum sasl_step take_first(struct sasl_server *s, struct str input)
{
	ssize_t comma = str_find(input, ',');
	ssize_t second = comma < 0 ? -1 : str_find(str_from(input, (size_t)comma + 1), ',');
	size_t header;
	const char *why;

	if (second < 0)
		return sasl_server_fail(s, "malformed");
	header = (size_t)comma + 1 + (size_t)second + 1;
	buf_add_str(&s->scram.header, str_sub(input, 0, header));
	why = judge_flag(s, str_sub(input, 0, (size_t)comma));
	if (!why)
		why = take_bare(s, str_from(input, header));
	if (!why)
		why = judge_authzid(s, str_sub(input, (size_t)comma + 1, header - 1));
	if (why)
		return sasl_server_fail(s, why);
	s->state = SASL_STATE_ASKED;
	return SASL_WANTS_SECRET;
}

enum sasl_step scram_server_secret(struct sasl_server *s)
{
	struct buf *first = &s->scram.server_first;

	buf_add_lit(first, "r=");
	buf_add_str(first, buf_str(&s->scram.nonce));
	buf_add_lit(first, ",s=");
	base64_encode(first, s->scram.secret.salt, s->scram.secret.salt_n);
	buf_add_lit(first, ",i=");
	buf_add_u64(first, s->scram.secret.iterations);
	buf_add_str(&s->out, buf_str(first));
	s->state = SASL_STATE_TALK;
	return SASL_SEND;
}

struct final {
	struct str binding, nonce, proof, without_proof;
	bool has_mandatory;
};

/* c=binding,r=nonce[,extensions],p=proof */
static bool parse_final(struct str input, struct final *ret)
{
	struct str rest = input, value;
	char name;

	*ret = (struct final){0};
	if (!scram_take_named(&rest, 'c', &ret->binding) ||
	    !scram_take_named(&rest, 'r', &ret->nonce))
		return false;
	while (rest.n) {
		size_t before = input.n - rest.n;

		if (!scram_take(&rest, &name, &value))
			return false;
		ret->has_mandatory |= name == 'm';
		if (name != 'p')
			continue;
		ret->proof = value;
		ret->without_proof = str_sub(input, 0, before - 1);
		return rest.n == 0;
	}
	return false;
}

static bool binding_is_right(const struct sasl_server *s, struct str text)
{
	struct buf wanted = BUF_INIT(SASL_OCTETS_MAX), got = BUF_INIT(SASL_OCTETS_MAX);
	bool ok;

	buf_add_str(&wanted, buf_str(&s->scram.header));
	buf_add_str(&wanted, s->scram.binding);
	ok = base64_decode(&got, text) && got.n == wanted.n &&
	     CRYPTO_memcmp(got.p, wanted.p, got.n) == 0;
	sasl_buf_wipe(&wanted);
	sasl_buf_wipe(&got);
	return ok;
}

/*
 * ClientKey comes out of proof and signature; its hash must be what is stored. ret: the server's
 * own signature.
 */
static bool proof_is_right(const struct sasl_server *s, const struct final *f,
			   unsigned char ret[SCRAM_KEY_MAX])
{
	const struct scram_secret *secret = &s->scram.secret;
	size_t n = secret->key_n;
	unsigned char key[SCRAM_KEY_MAX], stored[SCRAM_KEY_MAX];
	struct buf message = BUF_INIT(4 * SASL_OCTETS_MAX), proof = BUF_INIT(SCRAM_KEY_MAX);
	bool ok;

	scram_auth_message(&message, &s->scram, f->without_proof);
	ok = base64_decode(&proof, f->proof) && proof.n == n && buf_ok(&message) &&
	     scram_hmac(s->scram.sha1, secret->stored_key, n, buf_str(&message), key) &&
	     scram_hmac(s->scram.sha1, secret->server_key, n, buf_str(&message), ret);
	for (size_t i = 0; ok && i < n; i++)
		key[i] ^= (unsigned char)proof.p[i];
	ok = ok && scram_hash(s->scram.sha1, key, n, stored);
	ok = ok && CRYPTO_memcmp(stored, secret->stored_key, n) == 0;
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(stored, sizeof(stored));
	sasl_buf_wipe(&message);
	sasl_buf_wipe(&proof);
	return ok && s->secret_exists;
}

static enum sasl_step take_final(struct sasl_server *s, struct str input)
{
	unsigned char signature[SCRAM_KEY_MAX];
	struct final f;

	if (!parse_final(input, &f))
		return refuse(s, STR("invalid-encoding"), "malformed");
	if (f.has_mandatory)
		return refuse(s, STR("extensions-not-supported"), "a mandatory extension");
	if (!binding_is_right(s, f.binding))
		return refuse(s, STR("channel-bindings-dont-match"),
			      "channel binding: the client speaks TLS with somebody else");
	if (!str_eq(f.nonce, buf_str(&s->scram.nonce)))
		return refuse(s, STR("other-error"), "the nonce is another one");
	if (!proof_is_right(s, &f, signature))
		return refuse(s, STR("invalid-proof"), "wrong password or unknown user");
	buf_add_lit(&s->out, "v=");
	base64_encode(&s->out, signature, s->scram.secret.key_n);
	OPENSSL_cleanse(signature, sizeof(signature));
	s->state = SASL_STATE_OVER;
	return SASL_DONE;
}

enum sasl_step scram_server_take(struct sasl_server *s, struct str input)
{
	return s->taken == 1 ? take_first(s, input) : take_final(s, input);
}
