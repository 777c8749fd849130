/*
 * tls_rig - certificates, server contexts and handshakes for the tests of receive/. All keys are
 * made anew; the relay's signer is a ring in this process.
 */
#ifndef UNIT_RECEIVE_TLS_RIG_H
#define UNIT_RECEIVE_TLS_RIG_H

#include "net/tls.h"
#include "unit/receive/rig.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

struct certificate {
	EVP_PKEY *key;
	X509 *x;
};

/* Signed by itself. */
static inline struct certificate certificate_make(const char *name)
{
	struct certificate c = { EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), X509_new() };
	X509_NAME *subject = X509_get_subject_name(c.x);

	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), 1);
	X509_gmtime_adj(X509_getm_notBefore(c.x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(c.x), 86400);
	X509_set_pubkey(c.x, c.key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
				   0);
	X509_set_issuer_name(c.x, subject);
	assert_true(X509_sign(c.x, c.key, EVP_sha256()) > 0);
	return c;
}

static inline void certificate_done(struct certificate *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
}

/* PEM of one of them; into text. */
static inline void certificate_pem(const struct certificate *c, bool key, struct buf *text)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *p;
	long n;

	if (key)
		PEM_write_bio_PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL);
	else
		PEM_write_bio_X509(b, c->x);
	n = BIO_get_mem_data(b, &p);
	buf_clear(text);
	buf_add(text, p, (size_t)n);
	BIO_free(b);
}

static inline void certificate_fingerprint(const struct certificate *c, char hex[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n;

	assert_true(X509_digest(c->x, EVP_sha256(), digest, &n) && n == 32);
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* A context with that one identity. */
static inline struct tls_context *server_context(const struct certificate *c, struct key_ring *ring,
						 const char *key_name, bool asks)
{
	struct buf chain = BUF_INIT(8192), key = BUF_INIT(8192), error = BUF_INIT(1024);
	struct tls_identity *i;
	struct tls_server_options o = { .identities = &i, .identities_n = 1, .asks_client = asks };
	struct tls_context *made;

	certificate_pem(c, false, &chain);
	certificate_pem(c, true, &key);
	key_ring_add(ring, key_name, buf_str(&key), &error);
	i = tls_identity_new(buf_str(&chain), key_name, key_ring_signer(ring), &error);
	assert_non_null(i);
	made = tls_server_context(&o, &error);
	if (!made)
		print_error("%s\n", buf_cstr(&error));
	assert_non_null(made);
	tls_identity_unref(i);
	buf_done(&chain);
	buf_done(&key);
	buf_done(&error);
	return made;
}

/* The client's side of a handshake; own may be NULL. False: it failed. version 0: any. */
static inline bool client_tls(struct client_end *c, const struct certificate *own, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (version) {
		SSL_CTX_set_min_proto_version(ctx, version);
		SSL_CTX_set_max_proto_version(ctx, version);
	}
	if (own) {
		SSL_CTX_use_certificate(ctx, own->x);
		SSL_CTX_use_PrivateKey(ctx, own->key);
	}
	c->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(c->ssl, c->fd);
	c->in_n = 0;
	return SSL_connect(c->ssl) == 1;
}

#endif
