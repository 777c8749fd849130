/*
 * tls_facts - what a handshake settled, or why it failed, in our own words. See tls.h.
 */
#include "net/tls_inner.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

/* ---- names out of a certificate: printable, or left out */

static bool is_decent(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n && s.n < 255;
}

static bool take_alternative(const GENERAL_NAME *name, char *ret, size_t size)
{
	const ASN1_IA5STRING *text;
	struct str s;

	if (name->type != GEN_DNS && name->type != GEN_EMAIL)
		return false;
	text = name->d.ia5;
	s = str_make((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
	if (!is_decent(s))
		return false;
	str_copy(ret, size, s);
	return true;
}

static void note_subject(X509 *x, char *ret, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	char common[256];
	int n;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++)
		found = take_alternative(sk_GENERAL_NAME_value(names, i), ret, size);
	GENERAL_NAMES_free(names);
	if (found)
		return;
	n = X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, common,
				      sizeof(common));
	if (n > 0 && is_decent(str_make(common, (size_t)n)))
		str_copy(ret, size, str_make(common, (size_t)n));
}

static void note_fingerprint(X509 *x, char ret[65])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[32];
	unsigned n = 0;

	if (!X509_digest(x, EVP_sha256(), digest, &n))
		return;
	for (unsigned i = 0; i < sizeof(digest); i++) {
		ret[2 * i] = digits[digest[i] >> 4];
		ret[2 * i + 1] = digits[digest[i] & 15];
	}
	ret[64] = 0;
}

void tls_note_facts(struct tls *t)
{
	struct tls_facts *f = &t->facts;
	X509 *x = SSL_get0_peer_certificate(t->ssl);
	const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);

	f->version = SSL_get_version(t->ssl);
	f->cipher = SSL_get_cipher_name(t->ssl);
	f->bits = (unsigned)SSL_get_cipher_bits(t->ssl, NULL);
	f->resumed = SSL_session_reused(t->ssl);
	f->has_certificate = x;
	f->verified = x && SSL_get_verify_result(t->ssl) == X509_V_OK &&
		      (t->context->is_server || t->demand != TLS_ANY);
	if (name && is_decent(str_of(name)))
		str_copy(f->server_name, sizeof(f->server_name), str_of(name));
	if (x) {
		note_fingerprint(x, f->fingerprint);
		note_subject(x, f->subject, sizeof(f->subject));
	}
	ERR_clear_error();
}

/* ---- failures */

static enum tls_problem problem_of(long verify)
{
	switch (verify) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_CERTIFICATE_EXPIRED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return TLS_CERTIFICATE_HOST_MISMATCH;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return TLS_CERTIFICATE_NOT_TRUSTED;
	default:
		return TLS_VALIDATION_FAILURE;
	}
}

void tls_note_problem(struct tls *t)
{
	long verify = SSL_get_verify_result(t->ssl);
	unsigned long code = ERR_peek_error();
	const char *why = NULL;

	if (t->problem)
		return;
	if (t->demand != TLS_ANY && verify != X509_V_OK) {
		t->problem = problem_of(verify);
		if (t->demand == TLS_DANE && t->problem == TLS_CERTIFICATE_NOT_TRUSTED)
			t->problem = TLS_VALIDATION_FAILURE;
		why = X509_verify_cert_error_string(verify);
	} else {
		t->problem = TLS_HANDSHAKE_FAILURE;
		why = code ? ERR_reason_error_string(code)
			   : "the connection ended in the handshake";
	}
	str_copy(t->why, sizeof(t->why), str_of(why ? why : "no agreement"));
	ERR_clear_error();
}

enum tls_problem stream_tls_problem(const struct stream *s, char *ret_text, size_t size)
{
	if (!s->tls || !s->tls->failed)
		return TLS_NO_PROBLEM;
	str_copy(ret_text, size, str_of(s->tls->why));
	return s->tls->problem ? s->tls->problem : TLS_HANDSHAKE_FAILURE;
}

/* ---- for sessions */

const struct tls_facts *stream_tls(const struct stream *s)
{
	return s->tls && s->tls->facts.version ? &s->tls->facts : NULL;
}

bool stream_tls_names(const struct stream *s, struct str name)
{
	X509 *x = stream_tls(s) && s->tls->facts.verified ? SSL_get0_peer_certificate(s->tls->ssl)
							 : NULL;

	if (!x || !name.n)
		return false;
	if (str_find(name, '@') >= 0)
		return X509_check_email(x, name.p, name.n, 0) > 0;
	return X509_check_host(x, name.p, name.n, X509_CHECK_FLAG_NO_WILDCARDS, NULL) > 0;
}

/*
 * RFC 9266 4.2: in TLS 1.2 only with the extended master secret, or somebody in between could give
 * both sides the same value.
 */
size_t stream_tls_exporter(const struct stream *s, unsigned char ret[TLS_BINDING_MAX])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (!stream_tls(s) ||
	    (SSL_version(s->tls->ssl) < TLS1_3_VERSION &&
	     SSL_get_extms_support(s->tls->ssl) != 1) ||
	    SSL_export_keying_material(s->tls->ssl, ret, 32, label, sizeof(label) - 1,
				       (const unsigned char *)"", 0, 1) <= 0) {
		ERR_clear_error();
		return 0;
	}
	return 32;
}

/* RFC 5929 4.1: the hash of the signature, but SHA-256 in place of MD5 and SHA-1. */
size_t stream_tls_end_point(const struct stream *s, unsigned char ret[TLS_BINDING_MAX])
{
	int digest = NID_undef;
	const EVP_MD *md;
	unsigned n = 0;
	X509 *x;

	if (!stream_tls(s))
		return 0;
	x = s->tls->context->is_server ? SSL_get_certificate(s->tls->ssl)
				       : SSL_get0_peer_certificate(s->tls->ssl);
	if (!x)
		return 0;
	OBJ_find_sigid_algs(X509_get_signature_nid(x), &digest, NULL);
	md = digest == NID_undef || digest == NID_md5 || digest == NID_sha1
		     ? EVP_sha256()
		     : EVP_get_digestbynid(digest);
	return md && X509_digest(x, md, ret, &n) ? n : 0;
}
