/*
 * scram - the arithmetic of SCRAM and its texts (RFC 5802, RFC 7677): keys, stored secrets,
 * attributes, escaped names.
 *
 * SaltedPassword = PBKDF2(password, salt, iterations); ClientKey = HMAC(SaltedPassword, "Client
 * Key"), StoredKey = H(ClientKey), ServerKey = HMAC(SaltedPassword, "Server Key"). What is stored
 * proves a client and lets the server prove itself; it is not enough to log in with, but a guess at
 * the password can be tried against it as fast as iterations allow: a users file is a secret.
 *
 * All by libcrypto's EVP. It can fail (a FIPS provider without SHA-1): then nobody gets in.
 */
#include "smtp/sasl_inner.h"

#include "smtp/base64.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#define PREFIX_SHA_1 STR("SCRAM-SHA-1$")
#define PREFIX_SHA_256 STR("SCRAM-SHA-256$")

static size_t key_length(bool sha1)
{
	return sha1 ? 20 : 32;
}

static const char *hash_name(bool sha1)
{
	return sha1 ? "SHA1" : "SHA256";
}

static bool checked(bool ok)
{
	if (!ok)
		ERR_clear_error();
	return ok;
}

bool scram_hash(bool sha1, const unsigned char *p, size_t n, unsigned char ret[SCRAM_KEY_MAX])
{
	size_t made = 0;

	return checked(EVP_Q_digest(NULL, hash_name(sha1), NULL, p, n, ret, &made) == 1 &&
		       made == key_length(sha1));
}

bool scram_hmac(bool sha1, const unsigned char *key, size_t key_n, struct str data,
		unsigned char ret[SCRAM_KEY_MAX])
{
	size_t made = 0;

	return checked(EVP_Q_mac(NULL, "HMAC", NULL, hash_name(sha1), NULL, key, key_n,
				 (const unsigned char *)data.p, data.n, ret, SCRAM_KEY_MAX,
				 &made) != NULL &&
		       made == key_length(sha1));
}

bool scram_keys(struct scram_secret *s, bool sha1, struct str password,
		unsigned char ret_client_key[SCRAM_KEY_MAX])
{
	size_t n = key_length(sha1);
	unsigned char salted[SCRAM_KEY_MAX];
	bool ok;

	ok = checked(PKCS5_PBKDF2_HMAC(password.p, (int)password.n, s->salt, (int)s->salt_n,
				       (int)s->iterations, sha1 ? EVP_sha1() : EVP_sha256(), (int)n,
				       salted) == 1) &&
	     scram_hmac(sha1, salted, n, STR("Client Key"), ret_client_key) &&
	     scram_hash(sha1, ret_client_key, n, s->stored_key) &&
	     scram_hmac(sha1, salted, n, STR("Server Key"), s->server_key);
	s->key_n = n;
	OPENSSL_cleanse(salted, sizeof(salted));
	return ok;
}

bool scram_secret_make(struct scram_secret *ret, bool sha1, struct str password,
		       const unsigned char *salt, size_t salt_n, uint32_t iterations)
{
	struct scram_secret s = {.iterations = iterations, .salt_n = salt_n};
	unsigned char client_key[SCRAM_KEY_MAX];
	bool ok;

	if (!sasl_text_is_valid(password, SASL_PASSWORD_MAX) || salt_n == 0 ||
	    salt_n > SCRAM_SALT_MAX || iterations < SCRAM_ITERATIONS_MIN ||
	    iterations > SCRAM_ITERATIONS_MAX)
		return false;
	memcpy(s.salt, salt, salt_n);
	ok = scram_keys(&s, sha1, password, client_key);
	if (ok)
		*ret = s;
	OPENSSL_cleanse(client_key, sizeof(client_key));
	OPENSSL_cleanse(&s, sizeof(s));
	return ok;
}

/* ---- stored secrets as text */

/* What stands before c, and *rest moves behind it. */
static bool take_until(struct str *rest, char c, struct str *ret)
{
	ssize_t at = str_find(*rest, c);

	if (at < 0)
		return false;
	*ret = str_sub(*rest, 0, (size_t)at);
	*rest = str_from(*rest, (size_t)at + 1);
	return true;
}

/* Base64 to at most max octets. Returns their number, 0: it is none. */
static size_t decode_to(unsigned char *to, size_t max, struct str text)
{
	struct buf b = BUF_INIT(max);
	size_t n = 0;

	if (base64_decode(&b, text) && b.n > 0) {
		memcpy(to, b.p, b.n);
		n = b.n;
	}
	sasl_buf_wipe(&b);
	return n;
}

bool scram_secret_parse(struct str text, struct scram_secret *ret)
{
	bool sha1 = str_starts(text, PREFIX_SHA_1);
	struct str prefix = sha1 ? PREFIX_SHA_1 : PREFIX_SHA_256, iterations, salt, stored;
	struct scram_secret s = {.key_n = key_length(sha1)};
	uint64_t n;

	if (!str_starts(text, prefix))
		return false;
	text = str_from(text, prefix.n);
	if (!take_until(&text, ':', &iterations) || !take_until(&text, '$', &salt) ||
	    !take_until(&text, ':', &stored) ||
	    !str_parse_u64(iterations, SCRAM_ITERATIONS_MAX, &n) || n < SCRAM_ITERATIONS_MIN)
		return false;
	s.iterations = (uint32_t)n;
	s.salt_n = decode_to(s.salt, sizeof(s.salt), salt);
	if (s.salt_n == 0 || decode_to(s.stored_key, s.key_n, stored) != s.key_n ||
	    decode_to(s.server_key, s.key_n, text) != s.key_n)
		return false;
	*ret = s;
	return true;
}

void scram_secret_format(struct buf *out, const struct scram_secret *s)
{
	buf_add_str(out, s->key_n == key_length(true) ? PREFIX_SHA_1 : PREFIX_SHA_256);
	buf_add_u64(out, s->iterations);
	buf_add_byte(out, ':');
	base64_encode(out, s->salt, s->salt_n);
	buf_add_byte(out, '$');
	base64_encode(out, s->stored_key, s->key_n);
	buf_add_byte(out, ':');
	base64_encode(out, s->server_key, s->key_n);
}

/* ---- messages */

bool scram_take(struct str *rest, char *ret_name, struct str *ret_value)
{
	struct str part;

	if (!take_until(rest, ',', &part)) {
		part = *rest;
		*rest = STR_NONE;
	}
	if (part.n < 2 || !ascii_is_alpha(part.p[0]) || part.p[1] != '=')
		return false;
	*ret_name = part.p[0];
	*ret_value = str_from(part, 2);
	return true;
}

bool scram_take_named(struct str *rest, char name, struct str *ret_value)
{
	char found;

	return scram_take(rest, &found, ret_value) && found == name;
}

bool scram_extensions_are_fine(struct str rest)
{
	struct str value;
	char name;

	while (rest.n)
		if (!scram_take(&rest, &name, &value) || name == 'm')
			return false;
	return true;
}

bool scram_unescape(struct buf *out, struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		struct str code = str_sub(name, i, i + 3);

		if (name.p[i] != '=') {
			buf_add_byte(out, name.p[i]);
			continue;
		}
		if (str_eq(code, STR("=2C")))
			buf_add_byte(out, ',');
		else if (str_eq(code, STR("=3D")))
			buf_add_byte(out, '=');
		else
			return false;
		i += 2;
	}
	return buf_ok(out);
}

void scram_escape(struct buf *out, struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == ',')
			buf_add_lit(out, "=2C");
		else if (name.p[i] == '=')
			buf_add_lit(out, "=3D");
		else
			buf_add_byte(out, name.p[i]);
	}
}

void scram_auth_message(struct buf *out, const struct scram_talk *t, struct str without_proof)
{
	buf_add_str(out, buf_str(&t->bare));
	buf_add_byte(out, ',');
	buf_add_str(out, buf_str(&t->server_first));
	buf_add_byte(out, ',');
	buf_add_str(out, without_proof);
}
