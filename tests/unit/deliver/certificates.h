/*
 * certificates - authorities and servers' certificates for tests, made anew each time.
 */
#ifndef UNIT_DELIVER_CERTIFICATES_H
#define UNIT_DELIVER_CERTIFICATES_H

#include "unit/unit.h"

#include "base/mem.h"
#include "net/tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct made {
	EVP_PKEY *key;
	X509 *x;
};

static inline void made_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX c;
	X509_EXTENSION *e;

	X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/*
 * by NULL: of itself. names: "DNS:a.example"; NULL: an authority. days: from now, may be past.
 * common: the common name.
 */
static inline struct made made_named(const struct made *by, const char *names, long days,
				     const char *common)
{
	struct made m = { .x = X509_new(), .key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256") };
	static long serial = 1;
	X509_NAME *name = X509_get_subject_name(m.x);

	X509_set_version(m.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m.x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(m.x), -86400 * 10);
	X509_gmtime_adj(X509_getm_notAfter(m.x), 86400 * days);
	X509_set_pubkey(m.x, m.key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				   (const unsigned char *)common, -1, -1, 0);
	X509_set_issuer_name(m.x, X509_get_subject_name(by ? by->x : m.x));
	if (names)
		made_extend(m.x, by ? by->x : m.x, NID_subject_alt_name, names);
	else
		made_extend(m.x, m.x, NID_basic_constraints, "critical,CA:TRUE");
	X509_sign(m.x, by ? by->key : m.key, EVP_sha256());
	return m;
}

static inline struct made made_new(const struct made *by, const char *names, long days)
{
	return made_named(by, names, days, names ? "host" : "authority");
}

static inline void made_done(struct made *m)
{
	X509_free(m->x);
	EVP_PKEY_free(m->key);
}

static inline SSL_CTX *made_server(const struct made *m)
{
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());

	SSL_CTX_use_certificate(c, m->x);
	SSL_CTX_use_PrivateKey(c, m->key);
	return c;
}

/* Trusts that authority alone. */
static inline struct tls_context *made_client(const struct made *authority)
{
	struct buf error = BUF_INIT(256);
	BIO *b = BIO_new(BIO_s_mem());
	struct tls_client_options o = { .minimum = TLS_1_2 };
	struct tls_context *c;
	char *p;

	PEM_write_bio_X509(b, authority->x);
	o.ca.n = (size_t)BIO_get_mem_data(b, &p);
	o.ca.p = p;
	c = tls_client_context(&o, &error);
	BIO_free(b);
	buf_done(&error);
	return c;
}

/* "3 0 1": of the whole certificate, SHA-256; as zone.h wants it. */
static inline void made_tlsa(const struct made *m, const char *usage, char ret[80])
{
	unsigned char digest[32];
	unsigned n = 0;

	X509_digest(m->x, EVP_sha256(), digest, &n);
	snprintf(ret, 80, "%s0001", usage);
	for (unsigned i = 0; i < n; i++)
		snprintf(ret + 6 + 2 * i, 3, "%02x", digest[i]);
}

#endif
