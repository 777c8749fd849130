/*
 * tls_key - keys for OpenSSL that are somewhere else.
 *
 * OpenSSL is given the public half with a method whose private operation asks the signer
 * (RSA_METHOD, EC_KEY_METHOD: marked as old in OpenSSL 3, where a provider would be the new way,
 * with ten times the code for the same two calls). The operation runs on the stack of the task that
 * does the handshake, so it may suspend there: OpenSSL sees a call that takes a while. OpenSSL's
 * thread-local error queue may hold another task's errors afterwards; it is cleared. An error of
 * our own says what happened if there is no signature.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "net/tls_inner.h"

#include "base/mem.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <string.h>

static RSA_METHOD *rsa_method;
static EC_KEY_METHOD *ec_method;
static int rsa_index, ec_index;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What the log says of a handshake without a signature: OpenSSL would say "EVP lib". */
enum { NO_SIGNATURE = 1 };
static ERR_STRING_DATA reasons[] = {
	{ ERR_PACK(0, 0, NO_SIGNATURE), "the signer gave no signature" },
	{ 0, NULL },
};
static int library;

static ssize_t ask(const struct tls_identity *i, enum key_operation op, const unsigned char *in,
		   size_t n, unsigned char *out) SUSPENDS
{
	unsigned char *answer;	/* not on the task's small stack */
	ssize_t r;

	if (!i)
		return -1;
	answer = mem_alloc(KEY_OUTPUT_MAX);
	r = i->signer->sign(i->signer, i->key_name, op, str_make((const char *)in, n), answer);
	ERR_clear_error();
	if (r > 0)
		memcpy(out, answer, (size_t)r);
	else
		ERR_raise(library, NO_SIGNATURE);
	mem_free(answer);
	return r;
}

static int rsa_sign(int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
	const struct tls_identity *i = RSA_get_ex_data(rsa, rsa_index);
	enum key_operation op = padding == RSA_PKCS1_PADDING ? KEY_RSA_PKCS1 : KEY_RSA_RAW;
	ssize_t r;

	if (padding != RSA_PKCS1_PADDING && padding != RSA_NO_PADDING)
		return -1;
	r = ask(i, op, from, (size_t)n, to);
	return r == RSA_size(rsa) ? (int)r : -1;
}

static int no_decrypt(int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
	(void)n, (void)from, (void)to, (void)rsa, (void)padding;
	return -1;
}

static int ec_sign(int type, const unsigned char *digest, int n, unsigned char *sig,
		   unsigned int *ret_n, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
	ssize_t got;

	(void)type, (void)kinv, (void)r;
	got = ask(EC_KEY_get_ex_data(key, ec_index), KEY_ECDSA, digest, (size_t)n, sig);
	if (got <= 0 || got > ECDSA_size(key))
		return 0;
	*ret_n = (unsigned)got;
	return 1;
}

static void make_methods(void)
{
	library = ERR_get_next_error_library();
	ERR_load_strings(library, reasons);
	rsa_index = RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	ec_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	rsa_method = RSA_meth_dup(RSA_get_default_method());
	RSA_meth_set1_name(rsa_method, "relevo signer");
	RSA_meth_set_priv_enc(rsa_method, rsa_sign);
	RSA_meth_set_priv_dec(rsa_method, no_decrypt);
	ec_method = EC_KEY_METHOD_new(EC_KEY_get_default_method());
	EC_KEY_METHOD_set_sign(ec_method, ec_sign, NULL, NULL);
}

static EVP_PKEY *wrap_rsa(EVP_PKEY *public_key, struct tls_identity *i)
{
	EVP_PKEY *key = EVP_PKEY_new();
	RSA *rsa = RSAPublicKey_dup(EVP_PKEY_get0_RSA(public_key));

	if (!rsa || !RSA_set_method(rsa, rsa_method) || !RSA_set_ex_data(rsa, rsa_index, i) ||
	    !EVP_PKEY_assign_RSA(key, rsa)) {
		RSA_free(rsa);
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

static EVP_PKEY *wrap_ec(EVP_PKEY *public_key, struct tls_identity *i)
{
	EVP_PKEY *key = EVP_PKEY_new();
	EC_KEY *ec = EC_KEY_dup(EVP_PKEY_get0_EC_KEY(public_key));

	if (!ec || !EC_KEY_set_method(ec, ec_method) || !EC_KEY_set_ex_data(ec, ec_index, i) ||
	    !EVP_PKEY_assign_EC_KEY(key, ec)) {
		EC_KEY_free(ec);
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

EVP_PKEY *tls_key_new(EVP_PKEY *public_key, struct tls_identity *i)
{
	EVP_PKEY *key = NULL;

	pthread_once(&once, make_methods);
	if (EVP_PKEY_get_base_id(public_key) == EVP_PKEY_RSA)
		key = wrap_rsa(public_key, i);
	else if (EVP_PKEY_get_base_id(public_key) == EVP_PKEY_EC)
		key = wrap_ec(public_key, i);
	EVP_PKEY_free(public_key);
	return key;
}
