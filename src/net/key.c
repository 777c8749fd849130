/*
 * key - the side that has the private keys: see key.h.
 *
 * One EVP_PKEY for each name, used with plain libcrypto calls and nothing else: whoever can reach
 * the ring can have things signed, but the key does not leave it. RSA_RAW exists because TLS pads
 * by PSS on the asking side. The same arithmetic would decrypt: what is not padded by PSS, with the
 * hashes of TLS, is refused, so that an asker can do nothing with it but sign: a thousand bits of a
 * ciphertext would have to fit by chance.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/key.h"

#include "base/list.h"
#include "base/mem.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define PEM_MAX (1024 * 1024)	/* octets of a key's file */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

struct held_key {
	struct list in_ring;
	EVP_PKEY *key;
	char name[];
};

struct key_ring {
	struct key_signer signer;
	struct list keys;
};

static ssize_t local_sign(struct key_signer *s, const char *name, enum key_operation op,
			  struct str in, unsigned char *out)
{
	return key_ring_sign(CONTAINER_OF(s, struct key_ring, signer), name, op, in, out);
}

struct key_ring *key_ring_new(void)
{
	struct key_ring *r = mem_zalloc(sizeof(*r));

	r->signer.sign = local_sign;
	list_init(&r->keys);
	return r;
}

void key_ring_free(struct key_ring *r)
{
	if (!r)
		return;
	LIST_FOR(at, &r->keys) {
		struct held_key *k = LIST_ENTRY(at, struct held_key, in_ring);

		EVP_PKEY_free(k->key);	/* which cleanses it */
		mem_free(k);
	}
	mem_free(r);
}

struct key_signer *key_ring_signer(struct key_ring *r)
{
	return &r->signer;
}

static const char *why_unfit(const EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return bits < RSA_BITS_MIN || bits > RSA_BITS_MAX ?
			       "RSA keys have 2048 to 8192 bits" : NULL;
	case EVP_PKEY_EC:
		return bits == 256 || bits == 384 ? NULL : "of elliptic curves P-256 and P-384 fit";
	case EVP_PKEY_ED25519:
		return NULL;
	default:
		return "it is neither RSA nor ECDSA nor Ed25519";
	}
}

/* A key with a passphrase is refused instead of asking for it on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag;
	*(bool *)arg = true;
	return -1;
}

static EVP_PKEY *read_key(struct str pem, struct buf *error)
{
	bool is_encrypted = false;
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_encrypted);
	const char *why;

	BIO_free(bio);
	ERR_clear_error();
	if (!key) {
		buf_add_str(error, str_of(is_encrypted ? "the key is encrypted with a passphrase"
						       : "no private key in PEM was found"));
		return NULL;
	}
	why = why_unfit(key);
	if (!why)
		return key;
	buf_add_str(error, str_of(why));
	EVP_PKEY_free(key);
	return NULL;
}

bool key_ring_add(struct key_ring *r, const char *name, struct str pem, struct buf *error)
{
	struct held_key *k;
	EVP_PKEY *key;
	size_t n = strlen(name);

	if (n == 0 || n > KEY_NAME_MAX || pem.n > PEM_MAX) {
		buf_add_lit(error, "the name or the file is too long");
		return false;
	}
	key = read_key(pem, error);
	if (!key)
		return false;
	k = mem_zalloc(sizeof(*k) + n + 1);
	memcpy(k->name, name, n);
	k->key = key;
	list_push_front(&r->keys, &k->in_ring);	/* a newer one of that name goes before */
	return true;
}

static EVP_PKEY *key_find(const struct key_ring *r, const char *name)
{
	LIST_FOR(at, &r->keys) {
		struct held_key *k = LIST_ENTRY(at, struct held_key, in_ring);

		if (!strcmp(k->name, name))
			return k->key;
	}
	return NULL;
}

bool key_ring_fits(const struct key_ring *r, const char *name, struct str public)
{
	const unsigned char *p = (const unsigned char *)public.p;
	EVP_PKEY *key = key_find(r, name), *other = d2i_PUBKEY(NULL, &p, (long)public.n);
	bool fits = key && other && EVP_PKEY_eq(key, other) == 1;

	EVP_PKEY_free(other);
	ERR_clear_error();
	return fits;
}

/*
 * EMSA-PSS as TLS has it (RFC 8017 9.1.2, RFC 8446 4.2.3): a salt as long as the digest, and MGF1
 * by the same hash. The digest itself is in it only by a hash, and not ours to know.
 */
static bool is_pss(const EVP_MD *hash, const unsigned char *block, size_t n, unsigned bits)
{
	unsigned char *mask = OPENSSL_malloc(n);
	size_t h = (size_t)EVP_MD_get_size(hash), db;
	unsigned char odd;
	bool ok = false;

	if (mask && n >= 2 * h + 2 && block[n - 1] == 0xbc) {
		db = n - h - 1;
		ok = PKCS1_MGF1(mask, (long)db, block + db, (long)h, hash) == 0;
		for (size_t i = 0; i < db; i++)
			mask[i] ^= block[i];
		mask[0] &= (unsigned char)(0xff >> (8 * n - bits));
		odd = mask[db - h - 1] ^ 1;
		for (size_t i = 0; i + h + 1 < db; i++)
			odd |= mask[i];
		ok = ok && !odd && !(block[0] >> (8 - (8 * n - bits)));
	}
	OPENSSL_clear_free(mask, n);
	return ok;
}

/* A block as long as the modulus, padded for a signature. */
static bool is_padded(const EVP_PKEY *key, struct str in)
{
	const EVP_MD *const hashes[] = { EVP_sha256(), EVP_sha384(), EVP_sha512() };
	unsigned bits = (unsigned)EVP_PKEY_get_bits(key) - 1;	/* of the encoded message */
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n = (bits + 7) / 8;

	if (in.n != (size_t)EVP_PKEY_get_size(key) || (n < in.n && *p))
		return false;
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		if (is_pss(hashes[i], p + (in.n - n), n, bits))
			return true;
	return false;
}

static ssize_t sign_rsa(EVP_PKEY *key, int padding, struct str in, unsigned char *out)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	size_t n = KEY_OUTPUT_MAX;
	bool ok;

	ok = EVP_PKEY_sign_init(c) > 0 && EVP_PKEY_CTX_set_rsa_padding(c, padding) > 0 &&
	     EVP_PKEY_sign(c, out, &n, (const unsigned char *)in.p, in.n) > 0;
	EVP_PKEY_CTX_free(c);
	return ok ? (ssize_t)n : -EINVAL;
}

static ssize_t sign_digest(EVP_PKEY *key, struct str in, unsigned char *out)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
	size_t n = KEY_OUTPUT_MAX;
	bool ok = EVP_PKEY_sign_init(c) > 0 &&
		  EVP_PKEY_sign(c, out, &n, (const unsigned char *)in.p, in.n) > 0;

	EVP_PKEY_CTX_free(c);
	return ok ? (ssize_t)n : -EINVAL;
}

static ssize_t sign_whole(EVP_PKEY *key, struct str in, unsigned char *out)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	size_t n = KEY_OUTPUT_MAX;
	bool ok = EVP_DigestSignInit(c, NULL, NULL, NULL, key) > 0 &&
		  EVP_DigestSign(c, out, &n, (const unsigned char *)in.p, in.n) > 0;

	EVP_MD_CTX_free(c);
	return ok ? (ssize_t)n : -EINVAL;
}

ssize_t key_ring_sign(const struct key_ring *r, const char *name, enum key_operation op,
		      struct str in, unsigned char *out)
{
	EVP_PKEY *key = key_find(r, name);
	ssize_t n = -EINVAL;
	int kind;

	if (!key)
		return -ENOENT;
	if (in.n > KEY_INPUT_MAX || (size_t)EVP_PKEY_get_size(key) > KEY_OUTPUT_MAX)
		return -EINVAL;
	kind = EVP_PKEY_get_base_id(key);
	if (kind == EVP_PKEY_RSA && op == KEY_RSA_PKCS1)
		n = sign_rsa(key, RSA_PKCS1_PADDING, in, out);
	else if (kind == EVP_PKEY_RSA && op == KEY_RSA_RAW && is_padded(key, in))
		n = sign_rsa(key, RSA_NO_PADDING, in, out);
	else if (kind == EVP_PKEY_EC && op == KEY_ECDSA)
		n = sign_digest(key, in, out);
	else if (kind == EVP_PKEY_ED25519 && op == KEY_ED25519)
		n = sign_whole(key, in, out);
	ERR_clear_error();
	return n;
}
