/*
 * tls_inner - what the files of TLS share with each other and with stream. Not for other files.
 */
#ifndef NET_TLS_INNER_H
#define NET_TLS_INNER_H

#include "net/stream_inner.h"
#include "net/tls.h"

#include <openssl/ssl.h>

struct tls_identity {
	_Atomic uint32_t refs;
	X509 *certificate;		/* owned */
	STACK_OF(X509) *chain;		/* owned; behind it */
	EVP_PKEY *key;			/* owned; public half, its private use is the signer's */
	struct key_signer *signer;
	char key_name[KEY_NAME_MAX + 1];
};

struct tls_context {
	_Atomic uint32_t refs;
	SSL_CTX *ctx;			/* owned; of the first identity */
	struct tls_identity **identities;	/* owned, counted */
	unsigned identities_n;
	bool is_server;
};

/* Below one stream. */
struct tls {
	SSL *ssl;			/* owned */
	struct tls_context *context;	/* counted */
	struct tls_facts facts;
	enum tls_demand demand;
	enum tls_problem problem;
	bool more;			/* OpenSSL holds input although the socket is empty */
	/* read behind the handshake: of data; of all there is in the socket */
	uint64_t octets, raw;
	uint32_t messages;		/* of handshakes, read there as well */
	bool failed;
	char why[160];			/* a handshake failed */
};

/* tls_key.c: a key whose private use is the signer's; takes over the reference to public_key */
EVP_PKEY *tls_key_new(EVP_PKEY *public_key, struct tls_identity *i);

/* tls_stream.c: for stream_read.c and stream_write.c, in place of recv and send */
ssize_t tls_take(struct stream *s, char *to, size_t room);
ssize_t tls_send(struct stream *s, const struct iovec *iov, int n);
void tls_say_goodbye(struct stream *s);	/* close_notify, as far as the socket takes it */
void tls_free(struct tls *t);		/* NULL is fine */

/* for SSL_CTX_set_msg_callback: counts .messages */
void tls_on_message(int is_written, int version, int type, const void *p, size_t n, SSL *ssl,
		    void *arg);

/* tls_facts.c */
void tls_note_facts(struct tls *t);
void tls_note_problem(struct tls *t);

/* stream_read.c and stream_write.c: the socket itself, by the poller's flags; -EAGAIN */
ssize_t stream_raw_recv(struct stream *s, void *p, size_t n);
ssize_t stream_raw_send(struct stream *s, const struct iovec *iov, int n, size_t total);

#endif
