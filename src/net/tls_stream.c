/*
 * tls_stream - TLS on a stream: handshakes, and the two calls that stand in for recv and send.
 *
 * OpenSSL reads and writes through a BIO of ours, which uses the stream's socket by the poller's
 * flags and never blocks: what OpenSSL wants to wait for, the stream waits for, like everything
 * else. Reading asks OpenSSL again until it has nothing left or there is no room: what it still
 * holds makes no event (.more). Its error queue belongs to the thread, so it is cleared before each
 * call.
 *
 * Behind the handshake a peer may send messages of handshakes (new keys, tickets), alerts and other
 * records that bring nothing. Each costs some arithmetic and OpenSSL reads on until there is data,
 * so a peer that sends nothing else would keep the loop to itself: a few are let pass, and then
 * some for so much data. Records of one octet, or filled up to some KiB, stay far below.
 */
#include "net/tls_inner.h"

#include "base/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- the BIO */

#define MESSAGES_FREE 32
#define OCTETS_PER_MESSAGE (1024 * 1024)
#define RAW_FREE (1024 * 1024)
#define RAW_PER_OCTET 256

void tls_on_message(int is_written, int version, int type, const void *p, size_t n, SSL *ssl,
		    void *arg)
{
	struct stream *s = BIO_get_data(SSL_get_rbio(ssl));

	(void)version, (void)p, (void)n, (void)arg;
	s->tls->messages += !is_written && type == SSL3_RT_HANDSHAKE && stream_tls(s);
}

static bool is_flooded(const struct tls *t)
{
	return t->messages > MESSAGES_FREE + t->octets / OCTETS_PER_MESSAGE ||
	       (t->raw > RAW_FREE && (t->raw - RAW_FREE) / RAW_PER_OCTET > t->octets);
}

static int bio_read(BIO *b, char *p, int n)
{
	struct stream *s = BIO_get_data(b);
	ssize_t r;

	if (is_flooded(s->tls))
		s->read_error = -EPROTO;
	r = stream_raw_recv(s, p, (size_t)n);
	if (r > 0 && stream_tls(s))
		s->tls->raw += (uint64_t)r;
	BIO_clear_retry_flags(b);
	if (r == -EAGAIN)
		BIO_set_retry_read(b);
	return r < 0 ? -1 : (int)r;
}

static int bio_write(BIO *b, const char *p, int n)
{
	struct stream *s = BIO_get_data(b);
	struct iovec iov = { (char *)(uintptr_t)p, (size_t)n };
	ssize_t r = stream_raw_send(s, &iov, 1, (size_t)n);

	BIO_clear_retry_flags(b);
	if (r == -EAGAIN)
		BIO_set_retry_write(b);
	return r < 0 ? -1 : (int)r;
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
	const struct stream *s = BIO_get_data(b);

	(void)n, (void)p;
	if (what == BIO_CTRL_EOF)
		return s->ended;
	return what == BIO_CTRL_FLUSH;
}

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

static void attach(struct stream *s, struct tls_context *c)
{
	struct tls *t = mem_zalloc(sizeof(*t));
	BIO *bio;

	pthread_once(&once, make_method);
	t->context = tls_context_ref(c);
	t->ssl = SSL_new(c->ctx);
	bio = BIO_new(method);
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	s->tls = t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	tls_context_unref(t->context);
	mem_free(t);
}

/* ---- reading and writing */

/* What a call that brought nothing means: -EAGAIN, 0 the end, or an error. */
static ssize_t verdict(struct stream *s, int r)
{
	switch (SSL_get_error(s->tls->ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		s->tls->failed = true;
		return s->read_error ? s->read_error : s->write_error ? s->write_error : 0;
	default:
		s->tls->failed = true;
		return -EPROTO;
	}
}

ssize_t tls_take(struct stream *s, char *to, size_t room)
{
	struct tls *t = s->tls;
	size_t got = 0;

	if (t->failed)
		return -EPROTO;
	t->more = false;
	while (got < room) {
		size_t n = 0;
		int r;

		ERR_clear_error();
		r = SSL_read_ex(t->ssl, to + got, room - got, &n);
		if (r <= 0) {
			ssize_t v = verdict(s, r);

			if (v == 0)
				s->ended = true;
			else if (v != -EAGAIN && !got)
				s->read_error = (int)v;
			return got ? (ssize_t)got : v;
		}
		got += n;
		t->octets += n;
	}
	t->more = true;
	return (ssize_t)got;
}

/* As much as the socket takes: a count, -EAGAIN, or an error. */
ssize_t tls_send(struct stream *s, const struct iovec *iov, int n)
{
	struct tls *t = s->tls;
	ssize_t sent = 0;

	if (t->failed)
		return -EPIPE;
	for (int i = 0; i < n; i++) {
		for (size_t at = 0; at < iov[i].iov_len;) {
			size_t done = 0;
			int r;

			ERR_clear_error();
			r = SSL_write_ex(t->ssl, (const char *)iov[i].iov_base + at,
					 iov[i].iov_len - at, &done);
			if (r <= 0) {
				ssize_t v = verdict(s, r);

				return sent ? sent : v == 0 ? -EPIPE : v;
			}
			at += done;
			sent += (ssize_t)done;
		}
	}
	return sent;
}

void tls_say_goodbye(struct stream *s)
{
	if (!s->tls || s->tls->failed || !SSL_is_init_finished(s->tls->ssl))
		return;
	ERR_clear_error();
	SSL_shutdown(s->tls->ssl);
}

/* ---- handshakes */

static int wait_for_handshake(struct stream *s, int r, uint64_t deadline) SUSPENDS
{
	int wants = SSL_get_error(s->tls->ssl, r);

	if (wants == SSL_ERROR_WANT_READ)
		return stream_wait(s, POLL_READ | POLL_END, deadline);
	if (wants == SSL_ERROR_WANT_WRITE)
		return stream_wait(s, POLL_WRITE, deadline);
	s->tls->failed = true;
	tls_note_problem(s->tls);
	if (s->read_error)
		return s->read_error;
	if (s->write_error)
		return s->write_error;
	return wants == SSL_ERROR_SYSCALL ? -ECONNRESET : -EPROTO;
}

static int shake_hands(struct stream *s, uint64_t deadline) SUSPENDS
{
	int r = stream_begin(deadline);

	while (r == 0) {
		int done;

		ERR_clear_error();
		done = SSL_do_handshake(s->tls->ssl);
		if (done > 0)
			break;
		r = wait_for_handshake(s, done, deadline);
	}
	if (r < 0) {
		s->tls->failed = true;
		s->read_error = s->read_error ? s->read_error : -EPROTO;
		s->write_error = s->write_error ? s->write_error : -EPROTO;
		return r;
	}
	/* What came right behind the peer's last message was read along with it. */
	s->tls->more = SSL_has_pending(s->tls->ssl);
	tls_note_facts(s->tls);
	return 0;
}

/* Nothing from before is there afterwards, on either side (D7). */
static int forget_plain(struct stream *s, uint64_t deadline) SUSPENDS
{
	int r = stream_flush(s, deadline);

	stream_consume(s, stream_peek(s).n);
	s->in_at = s->in_n = s->in_seen = 0;
	stream_give_back(s, &s->in);
	return r;
}

int stream_tls_accept(struct stream *s, struct tls_context *c, uint64_t deadline)
{
	int r = forget_plain(s, deadline);

	if (r < 0)
		return r;
	attach(s, c);
	SSL_set_accept_state(s->tls->ssl);
	return shake_hands(s, deadline);
}

/*
 * Names of a certificate by an authority of the web's kind stand in its subjectAltName, and nowhere
 * else: RFC 8461 4.1 asks for that of MTA-STS, RFC 9525 2 of everybody. Such authorities have long
 * since vouched for nothing that stands in a common name alone.
 */
#define FLAGS_PKIX (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)
/*
 * Of DANE (usage 2) the authority is the domain's own, and its software may be old: the common name
 * counts where the certificate has no DNS name in its subjectAltName (RFC 7672 3.2.3, RFC 6125
 * 6.4.4).
 */
#define FLAGS_DANE X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS

static bool demand_names(SSL *ssl, const struct tls_wish *w)
{
	SSL_set_hostflags(ssl, FLAGS_PKIX);
	for (unsigned i = 0; i < w->names_n; i++) {
		char name[256];

		str_copy(name, sizeof(name), w->names[i]);
		if (!(i ? SSL_add1_host(ssl, name) : SSL_set1_host(ssl, name)))
			return false;
	}
	return w->names_n > 0;
}

/* RFC 7672 3.1: usages 0 and 1 are not for mail. False: no record can be used. */
static bool demand_records(SSL *ssl, const struct tls_wish *w)
{
	char base[256];
	unsigned usable = 0;

	str_copy(base, sizeof(base), w->names_n ? w->names[0] : w->server_name);
	if (SSL_dane_enable(ssl, base) <= 0)
		return false;
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, FLAGS_DANE);
	for (unsigned i = 1; i < w->names_n; i++) {
		str_copy(base, sizeof(base), w->names[i]);
		SSL_add1_host(ssl, base);
	}
	for (unsigned i = 0; i < w->records_n; i++) {
		const struct tlsa *r = &w->records[i];

		if (r->usage == TLSA_AUTHORITY || r->usage == TLSA_END_ENTITY)
			usable += SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching,
						    (const unsigned char *)r->data.p,
						    r->data.n) > 0;
	}
	return usable > 0;
}

static bool demand(struct tls *t, const struct tls_wish *w)
{
	char name[256];
	bool ok = true;

	t->demand = w->demand;
	if (w->server_name.n) {
		str_copy(name, sizeof(name), w->server_name);
		SSL_set_tlsext_host_name(t->ssl, name);
	}
	SSL_set_alpn_protos(t->ssl, (const unsigned char *)"\4smtp", 5);
	SSL_set_verify(t->ssl, w->demand == TLS_ANY ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (w->demand == TLS_PKIX)
		ok = demand_names(t->ssl, w);
	else if (w->demand == TLS_DANE)
		ok = demand_records(t->ssl, w);
	ERR_clear_error();
	return ok;
}

int stream_tls_connect(struct stream *s, struct tls_context *c, const struct tls_wish *w,
		       uint64_t deadline)
{
	int r = forget_plain(s, deadline);

	if (r < 0)
		return r;
	attach(s, c);
	SSL_set_connect_state(s->tls->ssl);
	if (demand(s->tls, w))
		return shake_hands(s, deadline);
	s->tls->failed = true;
	s->tls->problem = w->demand == TLS_DANE ? TLS_TLSA_INVALID : TLS_VALIDATION_FAILURE;
	str_copy(s->tls->why, sizeof(s->tls->why), STR("nothing to verify the host by"));
	return -EPROTO;
}

/* ---- what was proved */

bool stream_tls_record(const struct stream *s, struct tlsa *ret)
{
	const unsigned char *data;
	struct tlsa t;
	size_t n;

	if (!stream_tls(s) || !s->tls->facts.verified || s->tls->demand != TLS_DANE ||
	    SSL_get0_dane_tlsa(s->tls->ssl, &t.usage, &t.selector, &t.matching, &data, &n) < 0)
		return false;
	t.data = str_make((const char *)data, n);
	*ret = t;
	return true;
}

bool stream_tls_holds(const struct stream *s, struct str name)
{
	X509 *x = stream_tls(s) && s->tls->facts.verified ? SSL_get0_peer_certificate(s->tls->ssl)
							 : NULL;
	unsigned flags = s->tls && s->tls->demand == TLS_DANE ? FLAGS_DANE : FLAGS_PKIX;

	return x && name.n && X509_check_host(x, name.p, name.n, flags, NULL) > 0;
}
