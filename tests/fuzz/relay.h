/*
 * relay - what the targets of whole server sessions share: a certificate, users, a configuration,
 * a DNS of our own, and the client.
 *
 * The client sends the input line by line, each when the one before has been answered, or in pieces
 * of a size that the input chooses, without waiting. Some octets are marks:
 *
 *	0x1c	waits for a reply
 *	0x1d	hangs up and connects anew, from the same address, some time later
 *	0x1e	a TLS handshake, once the relay has said that it is ready for one
 *	0x1f M	logs in as "u", as a good client does: by the mechanism of M's lowest three bits,
 *		with the right password, or one of sixteen wrong ones if the highest bit is set
 *
 * So what stands behind them is reached, whatever random octets could do.
 */
#ifndef FUZZ_RELAY_H
#define FUZZ_RELAY_H

#include "config/config.h"
#include "dns/dns.h"
#include "net/key.h"
#include "smtp/base64.h"
#include "smtp/sasl.h"
#include "unit/deliver/certificates.h"

#include "fuzz/world.h"

static struct made certificate;
static unsigned dns_says;		/* bits: what the DNS says of this client */
static struct endpoint peer;		/* the client */

/* ---- the DNS: lists, reverse names, the name in HELO */

enum dns_bits { LISTED = 1, LISTED_TOO = 2, ALLOWED = 4, REVERSE = 8, REVERSE_DYNAMIC = 16,
		FORWARD = 32, FAILS = 64, EXISTS = 128 };

static struct str reverse_name(unsigned says)
{
	return says & REVERSE_DYNAMIC ? STR("\1x\3dyn\7example\0") : STR("\6client\7example\0");
}

static bool name_ends(const char *name, const char *with)
{
	size_t n = strlen(name), m = strlen(with);

	return n >= m && strcasecmp(name + n - m, with) == 0;
}

static struct str dns_data(const struct dns_query *q, unsigned says)
{
	bool is_listed = (says & LISTED && name_ends(q->name, ".zen.example")) ||
			 (says & LISTED_TOO && name_ends(q->name, ".other.example")) ||
			 (says & ALLOWED && name_ends(q->name, ".allow.example"));

	if (is_listed)
		return q->type == DNS_TXT ? STR("\5spam!") : STR("\177\0\0\2");
	if (q->type == DNS_PTR && says & REVERSE)
		return reverse_name(says);
	if (q->type == DNS_A && name_ends(q->name, "client.example"))
		return says & FORWARD ? str_make((char *)peer.ip.bytes, 4) : STR("\1\2\3\4");
	if (q->type == DNS_A && says & EXISTS && !name_ends(q->name, ".example"))
		return STR("\1\2\3\4");
	return q->type == DNS_MX && says & EXISTS ? STR("\0\1\1x\7example\0") : STR_NONE;
}

static int relay_dns_ask(struct world *w, struct dns_query *q)
{
	unsigned says = dns_says;
	struct str data = dns_data(q, says);
	struct dns_record r = { (const unsigned char *)data.p, (uint16_t)data.n };

	(void)w;
	q->ttl = 5;
	q->status = says & FAILS ? DNS_SERVFAIL : data.n ? DNS_OK : DNS_NXDOMAIN;
	q->records = &r;
	q->records_n = q->status == DNS_OK;
	q->done(q);
	return 0;
}

static void relay_dns_cancel(struct world *w, struct dns_query *q)
{
	(void)w, (void)q;
}

/* ---- the folder and what is in it */

static void write_pem(const char *name, BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	write_file(name, str_make(p, (size_t)n));
	BIO_free(b);
}

/* "cert" and "key"; who signs is this process. */
static void write_certificate(void)
{
	BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
	struct key_ring *ring = key_ring_new();
	struct buf error = BUF_INIT(1024);
	char name[64], *p;
	long n;

	certificate = made_new(NULL, "DNS:relay.example,email:u@relay.example", 100);
	PEM_write_bio_X509(chain, certificate.x);
	PEM_write_bio_PrivateKey(secret, certificate.key, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(secret, &p);
	snprintf(name, sizeof(name), "%s/key", folder);
	if (!key_ring_add(ring, name, str_make(p, (size_t)n), &error))
		abort();
	config_set_signer(key_ring_signer(ring));
	write_pem("cert", chain);
	write_pem("key", secret);
}

/*
 * "u", who has the password "p" (by bcrypt of the least cost that libxcrypt takes) and both kinds
 * of SCRAM; and others.
 */
static void write_users(void)
{
	struct buf text = BUF_INIT(4096);
	struct scram_secret s;

	buf_add_lit(&text, "# who may log in\n\n"
		    "u $2b$04$abcdefghijklmnopqrstuudMegMbPN37MbpdEfAtP66w1z0RBCtLG ");
	for (int sha1 = 0; sha1 < 2; sha1++) {
		scram_secret_make(&s, sha1, STR("p"), (const unsigned char *)"salt", 4, 4096);
		scram_secret_format(&text, &s);
		buf_add_byte(&text, ' ');
	}
	buf_add_lit(&text, "from u@ours.example .b.example\n"
		    "off $2b$04$abcdefghijklmnopqrstuudMegMbPN37MbpdEfAtP66w1z0RBCtLG disabled\n"
		    "any $2b$04$abcdefghijklmnopqrstuudMegMbPN37MbpdEfAtP66w1z0RBCtLG from *\n");
	write_file("users", buf_str(&text));
	buf_done(&text);
}

/* The files, and the configuration in force. */
static struct config *relay_configure(const char *settings)
{
	struct buf messages = BUF_INIT(65536);
	unsigned errors, warnings;
	struct config *c;
	char path[64];

	world_bend();
	world_real()->dns_ask = relay_dns_ask;
	world_real()->dns_cancel = relay_dns_cancel;
	folder_make();
	write_file("conf", str_of(settings));
	write_users();
	write_certificate();
	snprintf(path, sizeof(path), "%s/conf", folder);
	c = config_load(path, true, &messages, &errors, &warnings);
	if (!c) {
		fputs(buf_cstr(&messages), stderr);
		abort();
	}
	buf_done(&messages);
	config_set_current(c);
	return c;
}

/* ---- the client */

#define PATIENCE (60 * SECOND)	/* of the relay's time, for a reply to a mark */

struct talk {
	struct wire *wire;
	SSL *ssl;			/* owned; NULL: plain */
	const uint8_t *p;		/* to be sent */
	size_t n, piece;		/* piece 0: line by line */
	bool shows_certificate, speaks_first;
	char replies[8192];		/* what came last, ending in a NUL */
	size_t replies_n;
};

static SSL_CTX *client_context(bool shows_certificate)
{
	static SSL_CTX *contexts[2];
	SSL_CTX **c = &contexts[shows_certificate];

	if (*c)
		return *c;
	*c = SSL_CTX_new(TLS_client_method());
	if (shows_certificate) {
		SSL_CTX_use_certificate(*c, certificate.x);
		SSL_CTX_use_PrivateKey(*c, certificate.key);
	}
	return *c;
}

static bool is_closed(const struct talk *t)
{
	return t->wire->relay_closed;
}

/* Octets between OpenSSL and the wire, both ways. */
static void client_pump(struct talk *t)
{
	struct str heard = wire_heard(t->wire);
	char octets[4096];
	int n;

	if (heard.n)
		BIO_write(SSL_get_rbio(t->ssl), heard.p, (int)heard.n);
	wire_take(t->wire, heard.n);
	while ((n = BIO_read(SSL_get_wbio(t->ssl), octets, sizeof(octets))) > 0)
		wire_say(t->wire, octets, (size_t)n);
}

static void keep_reply(struct talk *t, const char *p, size_t n)
{
	size_t room = sizeof(t->replies) - 1;

	if (!n)
		return;
	if (t->replies_n + n > room)
		t->replies_n = 0;
	n = n < room ? n : room;
	memcpy(t->replies + t->replies_n, p, n);
	t->replies_n += n;
	t->replies[t->replies_n] = '\0';
}

/* Lets the relay work, and takes what it says. */
static void client_hear(struct talk *t)
{
	char octets[4096];
	struct str heard;
	int n;

	world_settle();
	if (!t->ssl) {
		heard = wire_heard(t->wire);
		keep_reply(t, heard.p, heard.n);
		wire_take(t->wire, heard.n);
		return;
	}
	client_pump(t);
	while ((n = SSL_read(t->ssl, octets, sizeof(octets))) > 0)
		keep_reply(t, octets, (size_t)n);
	client_pump(t);
}

/* The last line that came. */
static const char *client_last(const struct talk *t)
{
	const char *line = t->replies_n < 3 ? NULL
					     : memrchr(t->replies, '\n', t->replies_n - 2);

	return t->replies_n == 0 ? "" : line ? line + 1 : t->replies;
}

static void client_forget(struct talk *t)
{
	t->replies_n = 0;
	t->replies[0] = '\0';
}

/* Until there is a reply, or none will come: the relay waits for the client. */
static void client_await(struct talk *t)
{
	uint64_t until = fuzz_now + PATIENCE;

	client_hear(t);
	while (!t->replies_n && !is_closed(t) && fuzz_now < until && world_pass(until - fuzz_now))
		client_hear(t);
}

static void client_put(struct talk *t, const void *p, size_t n)
{
	if (!t->ssl) {
		wire_say(t->wire, p, n);
	} else if (n) {
		SSL_write(t->ssl, p, (int)n);
		client_pump(t);
	}
	client_hear(t);
}

/* ---- marks */

static void client_shake_hands(struct talk *t)
{
	if (t->ssl)
		return;
	t->ssl = SSL_new(client_context(t->shows_certificate));
	SSL_set_tlsext_host_name(t->ssl, "relay.example");
	SSL_set_bio(t->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	for (int i = 0; i < 10 && SSL_connect(t->ssl) <= 0 && !is_closed(t); i++) {
		client_pump(t);
		world_settle();
		client_pump(t);
	}
	client_pump(t);
	client_forget(t);
}

static struct sasl_client *login_start(struct talk *t, enum sasl_mechanism m, unsigned mark,
				       unsigned char exporter[32])
{
	const char wrong[] = { (char)('a' + (mark >> 3) % 16), '\0' };
	struct sasl_binding b = { .exporter = STR_NONE };

	if (t->ssl && SSL_export_keying_material(t->ssl, exporter, 32, "EXPORTER-Channel-Binding",
						 24, NULL, 0, 0) == 1)
		b.exporter = str_make((char *)exporter, 32);
	return sasl_client_new(m, &b, STR("u"), mark & 128 ? str_make(wrong, 1) : STR("p"),
			       STR("nonce"), STR("relay.example"), 25);
}

static void say_line(struct talk *t, const char *before, struct str octets)
{
	struct buf line = BUF_INIT(16384);

	buf_add_str(&line, str_of(before));
	base64_encode(&line, octets.p, octets.n);
	buf_add_lit(&line, "\r\n");
	client_forget(t);
	client_put(t, line.p, line.n);
	buf_done(&line);
	client_await(t);
}

static void client_log_in(struct talk *t, unsigned mark)
{
	enum sasl_mechanism m = SASL_PLAIN + mark % (SASL_MECHANISMS_N - 1);
	unsigned char exporter[32];
	struct sasl_client *c = login_start(t, m, mark, exporter);
	bool initial = sasl_client_step(c, STR_NONE) != SASL_FAILED && sasl_client_has_initial(c);
	struct buf text = BUF_INIT(16384);
	char verb[64];

	snprintf(verb, sizeof(verb), initial ? "AUTH %s " : "AUTH %s", sasl_mechanism_name(m));
	say_line(t, verb, initial ? sasl_client_out(c) : STR_NONE);
	for (int i = 0; i < 8 && strncmp(t->replies, "334 ", 4) == 0; i++) {
		struct str line = { t->replies + 4, strcspn(t->replies + 4, "\r\n") };

		buf_clear(&text);
		if (!base64_decode(&text, line) ||
		    sasl_client_step(c, buf_str(&text)) == SASL_FAILED)
			say_line(t, "*", STR_NONE);
		else
			say_line(t, "", sasl_client_out(c));
	}
	buf_done(&text);
	sasl_client_free(c);
}

/* ---- the conversation */

static bool is_mark(uint8_t octet)
{
	return octet >= 0x1c && octet <= 0x1f;
}

/* Octets up to and with that text, or all. */
static size_t up_to(const struct talk *t, struct str text)
{
	const uint8_t *at = memmem(t->p, t->n, text.p, text.n);

	return at ? (size_t)(at - t->p) + text.n : t->n;
}

/* A line, or a message's content; a piece. None goes beyond a mark. */
static size_t next_piece(struct talk *t)
{
	bool is_content = strncmp(client_last(t), "354", 3) == 0;
	size_t end = t->piece ? t->piece
			      : up_to(t, is_content ? STR("\r\n.\r\n") : STR("\r\n"));
	size_t n = 0;

	while (n < t->n && n < end && !is_mark(t->p[n]))
		n++;
	return n;
}

static void advance(struct talk *t, size_t n)
{
	t->p += n;
	t->n -= n;
}

static void client_obey(struct talk *t)
{
	uint8_t mark = *t->p;

	advance(t, 1);
	if (mark != 0x1e || t->replies_n)
		client_await(t);
	if (is_closed(t) || mark == 0x1c)
		return;
	if (mark == 0x1e) {
		client_shake_hands(t);
	} else if (t->n) {
		client_log_in(t, *t->p);
		advance(t, 1);
	}
}

static void client_send(struct talk *t)
{
	size_t n = next_piece(t);

	if (!t->piece)
		client_forget(t);
	client_put(t, t->p, n);
	advance(t, n);
	if (!t->piece)
		client_await(t);
}

/*
 * Sends all of it, or what stands before a 0x1d, and hears what comes, to the end. What is left:
 * t->p, t->n.
 */
static void client_talk(struct talk *t)
{
	uint64_t until;

	t->ssl = NULL;
	client_forget(t);
	if (!t->piece && !t->speaks_first)
		client_await(t);
	while (!is_closed(t) && t->n && *t->p != 0x1d) {
		if (is_mark(*t->p))
			client_obey(t);
		else
			client_send(t);
	}
	if (t->ssl && !is_closed(t)) {
		SSL_shutdown(t->ssl);
		client_pump(t);
	}
	wire_end(t->wire);
	for (until = fuzz_now + 7200 * SECOND; !is_closed(t); client_hear(t))
		check(fuzz_now < until && world_pass(until - fuzz_now));
	SSL_free(t->ssl);
	wire_close(t->wire);
	while (t->n && *t->p != 0x1d)
		advance(t, 1);
	if (t->n)
		advance(t, 1);
	fuzz_now += 10 * SECOND;
	world_settle();
}

/* A client of its own for each input, so that what is remembered of others does not matter. */
static void choose_peer(unsigned kind)
{
	static uint32_t n;

	peer = (struct endpoint){ .port = 1, .ip = { .family = 4 } };
	n++;
	peer.ip.bytes[0] = 10;
	peer.ip.bytes[1] = (uint8_t)kind;
	peer.ip.bytes[2] = (uint8_t)(n >> 8);
	peer.ip.bytes[3] = (uint8_t)n;
}

#endif
