/*
 * tls - identities and contexts: what OpenSSL is told once. See tls.h.
 *
 * TLS 1.2 is offered with ECDHE and AEAD suites only (RFC 9325 4.2.1), TLS 1.3 as it is. A server
 * context's SSL_CTX stands for its first identity; by SNI another identity is put into the session.
 * Tickets are OpenSSL's own, with keys of the SSL_CTX, which all loops share.
 */
#include "net/tls_inner.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SUITES_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"
#define CHAIN_MAX 10		/* certificates */
#define SESSION_ID "relevo"

/* The first error in OpenSSL's queue, in words; the queue is empty afterwards. */
static void add_reason(struct buf *error)
{
	unsigned long code = ERR_peek_error();
	const char *why = ERR_reason_error_string(code);

	buf_add_str(error, str_of(why ? why : "unknown error"));
	ERR_clear_error();
}

/* ---- identities */

static bool read_chain(struct tls_identity *i, struct str pem, struct buf *error)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *more = NULL;

	i->certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	i->chain = sk_X509_new_null();
	while (i->certificate && sk_X509_num(i->chain) < CHAIN_MAX &&
	       (more = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		sk_X509_push(i->chain, more);
	BIO_free(bio);
	ERR_clear_error();
	if (!i->certificate)
		buf_add_lit(error, "no certificate in PEM was found");
	return i->certificate;
}

static bool make_key(struct tls_identity *i, struct buf *error)
{
	EVP_PKEY *public_key = X509_get_pubkey(i->certificate);

	i->key = public_key ? tls_key_new(public_key, i) : NULL;
	ERR_clear_error();
	if (!i->key)
		buf_add_lit(error, "the certificate's key is neither RSA nor ECDSA");
	return i->key;
}

struct tls_identity *tls_identity_new(struct str chain, const char *key_name,
				      struct key_signer *signer, struct buf *error)
{
	struct tls_identity *i = mem_zalloc(sizeof(*i));

	i->refs = 1;
	i->signer = signer;
	str_copy(i->key_name, sizeof(i->key_name), str_of(key_name));
	if (read_chain(i, chain, error) && make_key(i, error))
		return i;
	tls_identity_unref(i);
	return NULL;
}

struct tls_identity *tls_identity_ref(struct tls_identity *i)
{
	atomic_fetch_add(&i->refs, 1);
	return i;
}

void tls_identity_unref(struct tls_identity *i)
{
	if (!i || atomic_fetch_sub(&i->refs, 1) > 1)
		return;
	X509_free(i->certificate);
	sk_X509_pop_free(i->chain, X509_free);
	EVP_PKEY_free(i->key);
	mem_free(i);
}

bool tls_identity_has(const struct tls_identity *i, struct str name)
{
	return name.n && X509_check_host(i->certificate, name.p, name.n, 0, NULL) > 0;
}

int64_t tls_identity_expires_ms(const struct tls_identity *i)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(X509_get0_notAfter(i->certificate), &tm))
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}

bool tls_identity_public(const struct tls_identity *i, struct buf *ret)
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(i->certificate), &der);

	if (n > 0)
		buf_add(ret, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 && buf_ok(ret);
}

/* ---- contexts */

static bool use_identity(SSL_CTX *ctx, struct tls_identity *i)
{
	return SSL_CTX_use_cert_and_key(ctx, i->certificate, i->key, i->chain, 1) > 0;
}

static SSL_CTX *ctx_new(const SSL_METHOD *method, enum tls_version minimum)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	SSL_CTX_set_min_proto_version(ctx, minimum == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
				 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
				 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_cipher_list(ctx, SUITES_1_2);
	SSL_CTX_set_msg_callback(ctx, tls_on_message);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, STREAM_BUFFER);
	return ctx;
}

static struct tls_context *context_new(SSL_CTX *ctx, bool is_server)
{
	struct tls_context *c = mem_zalloc(sizeof(*c));

	c->refs = 1;
	c->ctx = ctx;
	c->is_server = is_server;
	return c;
}

/* Certificates of authorities, into the store that judges the other side. */
static bool trust(SSL_CTX *ctx, struct str pem, struct buf *error)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	unsigned n = 0;
	X509 *x;

	while ((x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
		n += X509_STORE_add_cert(store, x) > 0;
		X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (!n)
		buf_add_lit(error, "no certificate of an authority was found");
	return n;
}

/* By the name that the client asked for; those that ask for none, or for another, get the first. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_context *c = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	for (unsigned i = 0; name && i < c->identities_n; i++) {
		struct tls_identity *id = c->identities[i];

		if (!tls_identity_has(id, str_of(name)))
			continue;
		if (i) {	/* certificates of other kinds of keys would stay beside it */
			SSL_certs_clear(ssl);
			SSL_use_cert_and_key(ssl, id->certificate, id->key, id->chain, 1);
		}
		break;
	}
	return SSL_TLSEXT_ERR_OK;
}

/*
 * ALPN "smtp" where the client knows it; other words are no reason to refuse (RFC 7301 3.2 would).
 */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
		   const unsigned char *in, unsigned in_n, void *arg)
{
	static const unsigned char smtp[] = "\4smtp";

	(void)ssl, (void)arg;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_n, smtp, 5, in, in_n) ==
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_NOACK;
}

/* A client's certificate that no authority vouches for is fine: rules look at its fingerprint. */
static int on_client_certificate(int ok, X509_STORE_CTX *x)
{
	(void)ok, (void)x;
	return 1;
}

static void ask_clients(SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, on_client_certificate);
	SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
}

struct tls_context *tls_server_context(const struct tls_server_options *o, struct buf *error)
{
	SSL_CTX *ctx = ctx_new(TLS_server_method(), o->minimum);
	struct tls_context *c = context_new(ctx, true);

	c->identities = mem_calloc(o->identities_n, sizeof(*c->identities));
	for (; c->identities_n < o->identities_n; c->identities_n++)
		c->identities[c->identities_n] = tls_identity_ref(o->identities[c->identities_n]);
	if (!c->identities_n || !use_identity(ctx, c->identities[0])) {
		add_reason(error);
		tls_context_unref(c);
		return NULL;
	}
	if (o->client_ca.n && !trust(ctx, o->client_ca, error)) {
		tls_context_unref(c);
		return NULL;
	}
	if (o->asks_client)
		ask_clients(ctx);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)SESSION_ID,
				       sizeof(SESSION_ID) - 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);	/* tickets only */
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, c);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	return c;
}

struct tls_context *tls_client_context(const struct tls_client_options *o, struct buf *error)
{
	SSL_CTX *ctx = ctx_new(TLS_client_method(), o->minimum);
	struct tls_context *c = context_new(ctx, false);
	bool ok = true;

	if (o->ca.n)
		ok = trust(ctx, o->ca, error);
	else
		SSL_CTX_set_default_verify_paths(ctx);
	if (ok && o->identity) {
		c->identities = mem_calloc(1, sizeof(*c->identities));
		c->identities[c->identities_n++] = tls_identity_ref(o->identity);
		ok = use_identity(ctx, o->identity);
		if (!ok)
			add_reason(error);
	}
	SSL_CTX_dane_enable(ctx);
	SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	ERR_clear_error();
	if (ok)
		return c;
	tls_context_unref(c);
	return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void tls_context_unref(struct tls_context *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	SSL_CTX_free(c->ctx);
	for (unsigned i = 0; i < c->identities_n; i++)
		tls_identity_unref(c->identities[i]);
	mem_free(c->identities);
	mem_free(c);
}
