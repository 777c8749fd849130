/*
 * tls - TLS 1.2 and 1.3 beneath a stream (RFC 8446, RFC 5246, RFC 8996; for mail RFC 3207, 7817).
 *
 * Contexts are made from the configuration, counted, and never change; a stream holds the one it
 * began with, so a reload cuts nobody off. Defaults are the safe ones: no compression, no
 * renegotiation, ephemeral keys only, ciphers with forward secrecy and authenticated encryption,
 * tickets whose keys live as long as the context. Handshakes suspend the task like any reading;
 * private keys are used through a key_signer (key.h), which may suspend as well.
 *
 * What a peer puts into certificates is data: names are compared, bounded, and escaped where they
 * are logged.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/key.h"
#include "net/stream.h"

#define TLS_NAMES_MAX 64		/* reference names of one host */

enum tls_version { TLS_1_2, TLS_1_3 };

/* ---- identities: a certificate chain, and the name of its key */
struct tls_identity;

/*
 * chain: PEM, the own certificate first. signer must have the key by the time of a handshake. NULL:
 * error holds a sentence.
 */
struct tls_identity *tls_identity_new(struct str chain, const char *key_name,
				      struct key_signer *signer, struct buf *error);
struct tls_identity *tls_identity_ref(struct tls_identity *i);
void tls_identity_unref(struct tls_identity *i);
/* Does the certificate hold for that host name (RFC 6125)? */
bool tls_identity_has(const struct tls_identity *i, struct str name);
int64_t tls_identity_expires_ms(const struct tls_identity *i);	/* wall clock */
/* Adds its public key: SubjectPublicKeyInfo, DER (RFC 5280 4.1.2.7). False: there is no room. */
bool tls_identity_public(const struct tls_identity *i, struct buf *ret);

/* ---- contexts; any thread */
struct tls_context;

struct tls_server_options {
	struct tls_identity *const *identities;	/* by SNI; the first is for those without */
	unsigned identities_n;
	enum tls_version minimum;
	/* PEM of the authorities of clients' certificates; empty: clients are asked for theirs all
	   the same, to be recognised by fingerprint */
	struct str client_ca;
	bool asks_client;
};

struct tls_client_options {
	enum tls_version minimum;
	struct str ca;			/* PEM; empty: the system's */
	struct tls_identity *identity;	/* NULL: none */
};

struct tls_context *tls_server_context(const struct tls_server_options *o, struct buf *error);
struct tls_context *tls_client_context(const struct tls_client_options *o, struct buf *error);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c);	/* NULL is fine */

/* ---- handshakes */

/* What a client demands of a server. */
enum tls_demand {
	TLS_ANY,		/* encryption; the certificate is not looked at */
	/* a trusted chain, and one of the names, in the subjectAltName (RFC 9525 2, 8461 4.1) */
	TLS_PKIX,
	/* RFC 7672: one of the TLSA records; of usage 2 also one of the names, there or, where it
	   has no DNS names, as the common name */
	TLS_DANE,
};

#define TLSA_AUTHORITY 2		/* DANE-TA (RFC 7218) */
#define TLSA_END_ENTITY 3		/* DANE-EE */

struct tlsa {
	uint8_t usage, selector, matching;
	struct str data;
};

struct tls_wish {
	enum tls_demand demand;
	struct str server_name;		/* SNI; empty: none */
	const struct str *names;	/* of PKIX and DANE-TA */
	unsigned names_n;
	const struct tlsa *records;
	unsigned records_n;
};

/*
 * What was in the input buffer before is thrown away (D7): the caller has judged it. 0; -EPROTO: no
 * agreement, or the certificate is not what was demanded: stream_tls_problem says which; or as
 * other waits. After a failure the stream is dead.
 */
int stream_tls_accept(struct stream *s, struct tls_context *c, uint64_t deadline) SUSPENDS;
int stream_tls_connect(struct stream *s, struct tls_context *c, const struct tls_wish *w,
		       uint64_t deadline) SUSPENDS;

/* Why a handshake failed (RFC 8460 4.3 names of result types where one fits). */
enum tls_problem {
	TLS_NO_PROBLEM, TLS_CERTIFICATE_EXPIRED, TLS_CERTIFICATE_NOT_TRUSTED,
	TLS_CERTIFICATE_HOST_MISMATCH, TLS_TLSA_INVALID, TLS_VALIDATION_FAILURE,
	TLS_HANDSHAKE_FAILURE,
};

enum tls_problem stream_tls_problem(const struct stream *s, char *ret_text, size_t size);

struct tls_facts {
	const char *version;		/* "TLSv1.3" */
	const char *cipher;		/* "TLS_AES_256_GCM_SHA384" */
	unsigned bits;
	bool resumed;
	bool verified;			/* the peer's certificate met the demand, or its CA is one
					   of client_ca */
	bool has_certificate;
	char server_name[256];		/* that a client asked for; empty: none */
	char fingerprint[65];		/* SHA-256 of the peer's certificate, hex; empty: none */
	char subject[256];		/* its first DNS or e-mail name, else its common name */
};

const struct tls_facts *stream_tls(const struct stream *s);	/* NULL: plain */
/*
 * A client's, of a server that was verified. By which record TLS_DANE was met, borrowed from the
 * stream; false: there is none. And whether its certificate holds for a name by the rules of the
 * demand.
 */
bool stream_tls_record(const struct stream *s, struct tlsa *ret);
bool stream_tls_holds(const struct stream *s, struct str name);
/* Whether the peer's certificate names this host or address (only for one that was verified). */
bool stream_tls_names(const struct stream *s, struct str name);

/* For SCRAM-PLUS: octets, or 0. */
#define TLS_BINDING_MAX 64
/* RFC 9266 */
size_t stream_tls_exporter(const struct stream *s, unsigned char ret[TLS_BINDING_MAX]);
/* RFC 5929 */
size_t stream_tls_end_point(const struct stream *s, unsigned char ret[TLS_BINDING_MAX]);

#endif
