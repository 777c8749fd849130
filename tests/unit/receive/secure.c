/*
 * receive/: STARTTLS and TLS from the first octet on, what may come before it and what survives it,
 * AUTH with every mechanism that needs no other server, what failures cost, REQUIRETLS.
 */
#include "unit/receive/tls_rig.h"

#include "mail/header.h"
#include "receive/logins.h"
#include "receive/session.h"
#include "smtp/base64.h"

#include <crypt.h>
#include <signal.h>

#define SETTING "$2b$04$abcdefghijklmnopqrstuu"	/* bcrypt of the least cost, which is quick */
#define ALL_MECHANISMS \
	(1u << SASL_PLAIN | 1u << SASL_LOGIN | 1u << SASL_SCRAM_SHA_256 | \
	 1u << SASL_SCRAM_SHA_256_PLUS)

static struct certificate server_certificate, client_certificate;
static struct key_ring *ring;
static struct tls_context *contexts[2];		/* counted; without and with a request */
static struct config_listen listen_as;		/* the fields that a test wants otherwise */
static struct users_backend backends[2];
static unsigned backends_n;
static char users_path[128];

static const char rules[] = CONFIG_LISTEN CONFIG_RULES "accept from local to any via other\n";

/* ---- a relay with TLS and users */

static void write_users(const char *folder)
{
	struct crypt_data data = { 0 };
	struct scram_secret secret;
	struct buf text = BUF_INIT(1024);
	FILE *f;

	assert_true(scram_secret_make(&secret, false, STR("sesame"),
				      (const unsigned char *)"0123456789abcdef", 16, 4096));
	scram_secret_format(&text, &secret);
	snprintf(users_path, sizeof(users_path), "%s/users", folder);
	f = fopen(users_path, "w");
	assert_non_null(f);
	fprintf(f, "alice@ours.example %s %.*s\n", crypt_rn("sesame", SETTING, &data, sizeof(data)),
		(int)text.n, text.p);
	fclose(f);
	chmod(users_path, 0600);
	buf_done(&text);
}

static void bend(struct rig *g, struct config *c)
{
	struct config_listen *l = (struct config_listen *)(uintptr_t)c->listens;
	struct buf warnings = BUF_INIT(4096);

	l->tls = listen_as.tls;
	l->asks_certificates = listen_as.asks_certificates;
	l->mechanisms = listen_as.mechanisms;
	l->submission = listen_as.submission;
	c->tls.server = contexts[0] = server_context(&server_certificate, ring, "server", false);
	c->tls.server_asking = contexts[1] =
		server_context(&server_certificate, ring, "server", true);
	write_users(g->folder);
	backends[0] = (struct users_backend){ .kind = USERS_FILE, .file = users_path };
	c->users = backends;
	c->users_n = backends_n;
	c->logins.failures_max = 4;
	rig_helpers.logins = logins_new(world_real(), c, &warnings);
	if (warnings.n)
		print_error("%s", buf_cstr(&warnings));
	buf_done(&warnings);
}

static void secure_open(struct rig *g, struct config_listen as)
{
	listen_as = as;
	backends_n = 1;
	rig_bend = bend;
	rig_open(g, rules, 1);
}

static void secure_close(struct rig *g)
{
	rig_close(g);
	tls_context_unref(contexts[0]);
	tls_context_unref(contexts[1]);
	logins_free(rig_helpers.logins);
	rig_helpers.logins = NULL;
	rig_bend = NULL;
}

static void stranger(void)
{
	atomic_store(&rig_is_strange, true);
}

/* Whether EHLO offers the keyword. */
static bool offers(struct client_end *c, const char *keyword)
{
	char line[1024];
	bool found = false;

	client_send(c, STR("EHLO c\r\n"));
	do {
		assert_true(client_line(c, line, sizeof(line)));
		assert_memory_equal(line, "250", 3);
		found = found || strncmp(line + 4, keyword, strlen(keyword)) == 0;
	} while (line[3] == '-');
	return found;
}

static void starttls(struct client_end *c)
{
	client_says(c, "STARTTLS\r\n", "220 2.0.0");
	assert_true(client_tls(c, NULL, 0));
}

/* ---- TLS */

static void test_starttls(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct buf all = BUF_INIT(65536);
		struct client_end c;
		struct rig g;

		secure_open(&g, (struct config_listen){ .tls = TLS_OFFERED });
		client_open(&c, &g);
		client_expect(&c, "220", "greeting");
		client_says(&c, "STARTTLS\r\n", "503 5.5.1");
		assert_true(offers(&c, "STARTTLS"));
		assert_false(offers(&c, "REQUIRETLS"));
		client_says(&c, "STARTTLS now\r\n", "501 5.5.4");
		client_says(&c, "MAIL FROM:<a@b.example>\r\n", "250");
		client_says(&c, "STARTTLS\r\n", "220 2.0.0");
		assert_true(client_tls(&c, NULL, versions[i]));
		/* RFC 3207 4.2: nothing from before is known */
		client_says(&c, "RCPT TO:<u@ours.example>\r\n", "503 5.5.1");
		client_says(&c, "MAIL FROM:<a@b.example>\r\n", "503 5.5.1");
		assert_false(offers(&c, "STARTTLS"));
		assert_true(offers(&c, "REQUIRETLS"));
		client_says(&c, "STARTTLS\r\n", "503 5.5.1");
		client_says(&c, ENVELOPE "DATA\r\n", "250,250,354");
		client_says(&c, "x\r\n.\r\n", "250 2.0.0");
		client_says(&c, "QUIT\r\n", "221,end");
		client_close(&c);
		rig_stop(&g);
		rig_read(&g, rig_last(), &all);
		assert_true(str_search(buf_str(&all), STR(" with ESMTPS (TLSv1.")) > 0);
		assert_false(rig_last()->requires_tls);
		buf_done(&all);
		secure_close(&g);
	}
}

/* What somebody in between put behind STARTTLS is not taken for the client's word. */
static void test_injection(void **state)
{
	static const char *const behind[] = {
		"STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n", "STARTTLS\r\nX", "STARTTLS\r\n\r\n",
		"STARTTLS\r\n" ENVELOPE "DATA\r\nx\r\n.\r\n",
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct client_end c;
		struct rig g;

		secure_open(&g, (struct config_listen){ .tls = TLS_OFFERED });
		client_open(&c, &g);
		client_says(&c, "EHLO c\r\n", "220,250");
		client_send(&c, str_of(behind[i]));
		client_expect(&c, "554 5.5.1,end", behind[i]);
		client_close(&c);
		assert_int_equal(rig_received_n, 0);
		secure_close(&g);
	}
}

static void test_required(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_REQUIRED,
						.mechanisms = ALL_MECHANISMS });
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	assert_false(offers(&c, "AUTH"));
	client_says(&c, ENVELOPE, "530 5.7.0,530 5.7.0");
	client_says(&c, "RSET\r\n", "530 5.7.0");
	client_says(&c, "VRFY x\r\n", "530 5.7.0");
	client_says(&c, "AUTH PLAIN AGEAYg==\r\n", "530 5.7.0");
	client_says(&c, "BDAT 6 LAST\r\nNOOP\r\n", "530 5.7.0");
	client_says(&c, "NOOP\r\n", "250");
	starttls(&c);
	assert_true(offers(&c, "AUTH"));
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "250");
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	secure_close(&g);
}

static void test_implicit(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_IMPLICIT });
	client_open(&c, &g);
	assert_true(client_tls(&c, NULL, 0));
	client_expect(&c, "220 relay.example", "greeting");
	assert_false(offers(&c, "STARTTLS"));
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	/* one who speaks plainly is cut without a word of SMTP */
	client_open(&c, &g);
	client_send(&c, STR("EHLO c\r\n"));
	while (client_receive(&c))
		;
	assert_true(c.ended);
	assert_null(memmem(c.in, c.in_n, "220", 3));
	assert_null(memmem(c.in, c.in_n, "421", 3));
	client_close(&c);
	secure_close(&g);
}

/* Who has begun too many is turned away before anything is computed for him. */
static void test_too_many_handshakes(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_helpers.strangers = (struct strangers *)1;
	rig_strangers.handshake = REPLY(421, 4, 7, 0, "Too many handshakes");
	secure_open(&g, (struct config_listen){ .tls = TLS_OFFERED });
	client_open(&c, &g);
	client_expect(&c, "220", "greeting");
	assert_true(offers(&c, "STARTTLS"));
	client_says(&c, "STARTTLS\r\n", "421 4.7.0,end");
	client_close(&c);
	secure_close(&g);
	secure_open(&g, (struct config_listen){ .tls = TLS_IMPLICIT });
	client_open(&c, &g);
	assert_false(client_tls(&c, NULL, 0));
	assert_int_equal(c.in_n, 0);
	client_close(&c);
	secure_close(&g);
	rig_strangers.handshake.code = 0;
	rig_helpers.strangers = NULL;
}

static void test_no_certificate(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_OFF });
	client_open(&c, &g);
	client_expect(&c, "220", "greeting");
	assert_false(offers(&c, "STARTTLS"));
	client_says(&c, "STARTTLS\r\n", "502 5.5.1");
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	secure_close(&g);
}

static void test_client_certificate(void **state)
{
	const struct session *s;
	char hex[65];
	struct client_end c;
	struct rig g;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_OFFERED, .asks_certificates = true });
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "STARTTLS\r\n", "220");
	assert_true(client_tls(&c, &client_certificate, 0));
	certificate_fingerprint(&client_certificate, hex);
	client_says(&c, "EHLO c\r\n", "250");
	/* the session waits for a command, and nothing changes it meanwhile */
	s = LIST_ENTRY(list_first(&g.receive->receptions[0].sessions), struct session,
		       in_reception);
	assert_str_equal(s->client.fingerprint, str_of(hex));
	assert_false(s->client.certificate_verified);	/* no authority of ours knows it */
	assert_ptr_equal(s->client.tls, s->stream);
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	secure_close(&g);
}

/* Beyond some number a client whose handshakes fail waits; those on this machine never do. */
static void test_failing_handshakes(void **state)
{
	struct client_end c;
	struct rig g;
	unsigned cut = 0;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_OFFERED });
	stranger();
	for (unsigned i = 0; i < 30 && !cut; i++) {
		char line[256];

		client_open(&c, &g);
		assert_string_not_equal(client_reply(&c, line, sizeof(line)), "none");
		cut = !strncmp(line, "421 4.7.0", 9) ? i : 0;
		if (!cut) {
			client_says(&c, "EHLO c\r\n", "250");
			client_says(&c, "STARTTLS\r\n", "220");
			client_send(&c, STR("this is no handshake, whatever else it may be\r\n"));
			while (client_receive(&c))
				c.in_n = 0;
		}
		client_close(&c);
	}
	assert_int_equal(cut, 20);
	atomic_fetch_add(&rig_jumped, 61 * SECOND);
	client_open(&c, &g);
	client_expect(&c, "220", "a minute later");
	client_close(&c);
	secure_close(&g);
}

/* ---- AUTH */

static void add_base64(struct buf *out, struct str s)
{
	base64_encode(out, s.p, s.n);
}

static void say_base64(struct client_end *c, const char *before, struct str s)
{
	struct buf line = BUF_INIT(8192);

	buf_add_str(&line, str_of(before));
	add_base64(&line, s);
	buf_add_lit(&line, "\r\n");
	client_send(c, buf_str(&line));
	buf_done(&line);
}

#define RIGHT STR("\0alice@ours.example\0sesame")
#define WRONG STR("\0alice@ours.example\0nonsense")

static void open_for_auth(struct client_end *c, struct rig *g, enum tls_use tls)
{
	secure_open(g, (struct config_listen){ .tls = tls, .mechanisms = ALL_MECHANISMS });
	client_open(c, g);
	client_says(c, "EHLO c\r\n", "220,250");
}

static void test_plain_and_login(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	open_for_auth(&c, &g, TLS_OFF);		/* on loopback */
	assert_true(offers(&c, "AUTH SCRAM-SHA-256 LOGIN PLAIN"));
	client_says(&c, "AUTH\r\n", "504 5.5.4");
	client_says(&c, "AUTH CRAM-MD5\r\n", "504 5.5.4");
	client_says(&c, "AUTH SCRAM-SHA-256-PLUS\r\n", "504 5.5.4");
	client_says(&c, "AUTH PLAIN a b\r\n", "501 5.5.4");
	client_says(&c, "AUTH PLAIN !!!!\r\n", "501 5.5.2");
	client_says(&c, "AUTH PLAIN\r\n*\r\n", "334,501 5.7.0");
	client_says(&c, "AUTH LOGIN\r\n???\r\n", "334 VXNlcm5hbWU6,501 5.5.2");
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "250");
	client_says(&c, "AUTH PLAIN AGEAYg==\r\n", "503 5.5.1");
	client_says(&c, "RSET\r\n", "250");
	say_base64(&c, "AUTH PLAIN ", WRONG);
	client_expect(&c, "535 5.7.8", "wrong password");
	client_says(&c, "AUTH PLAIN\r\n", "334 ");
	say_base64(&c, "", RIGHT);
	client_expect(&c, "235 2.7.0", "PLAIN without an initial response");
	say_base64(&c, "AUTH PLAIN ", RIGHT);
	client_expect(&c, "503 5.5.1", "twice");
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "AUTH LOGIN\r\n", "334");
	say_base64(&c, "", STR("ALICE@ours.example"));
	client_expect(&c, "334 UGFzc3dvcmQ6", "LOGIN");
	say_base64(&c, "", STR("sesame"));
	client_expect(&c, "235", "LOGIN");
	client_close(&c);
	secure_close(&g);
}

/* Lines up to 12,288 octets are read; longer ones are refused and nothing is taken for commands. */
static void test_long_lines(void **state)
{
	static char text[20001];
	struct client_end c;
	struct rig g;

	(void)state;
	memset(text, 'A', sizeof(text) - 1);
	open_for_auth(&c, &g, TLS_OFF);
	client_says(&c, "AUTH PLAIN\r\n", "334");
	client_send(&c, str_make(text, 12284));
	client_says(&c, "\r\n", "535 5.7.8");
	client_says(&c, "AUTH PLAIN\r\n", "334");
	client_send(&c, str_make(text, 12288));
	client_says(&c, "\r\n", "500 5.5.6");
	client_says(&c, "AUTH PLAIN ", "");
	client_send(&c, str_make(text, 12288));
	client_says(&c, "\r\n", "500 5.5.2");
	client_says(&c, "NOOP ", "");
	client_send(&c, str_make(text, 600));
	client_says(&c, "\r\n", "500 5.5.2");
	client_says(&c, "NOOP\r\n", "250");
	client_close(&c);
	secure_close(&g);
}

/* The other side of a SCRAM exchange, by our client's machine. */
static const char *scram(struct client_end *c, enum sasl_mechanism m, const struct sasl_binding *b,
			 const char *password, char *line, size_t size)
{
	struct sasl_client *x = sasl_client_new(m, b, STR("alice@ours.example"), str_of(password),
						STR("0123456789"), STR_NONE, 0);
	struct buf octets = BUF_INIT(8192);
	char command[64];

	assert_int_equal(sasl_client_step(x, STR_NONE), SASL_SEND);
	snprintf(command, sizeof(command), "AUTH %s ", sasl_mechanism_name(m));
	say_base64(c, command, sasl_client_out(x));
	while (!strncmp(client_reply(c, line, size), "334 ", 4)) {
		buf_clear(&octets);
		assert_true(base64_decode(&octets, str_of(line + 4)));
		if (sasl_client_step(x, buf_str(&octets)) == SASL_FAILED)
			client_send(c, STR("\r\n"));
		else
			say_base64(c, "", sasl_client_out(x));
	}
	if (!strncmp(line, "235", 3))
		assert_true(sasl_client_is_done(x));
	sasl_client_free(x);
	buf_done(&octets);
	return line;
}

static void test_scram(void **state)
{
	struct sasl_binding binding = { 0 };
	unsigned char exporter[32];
	struct client_end c;
	char line[1024];
	struct rig g;

	(void)state;
	open_for_auth(&c, &g, TLS_OFFERED);
	assert_memory_equal(scram(&c, SASL_SCRAM_SHA_256, &binding, "wrong", line, sizeof(line)),
			    "535 5.7.8", 9);
	assert_memory_equal(scram(&c, SASL_SCRAM_SHA_256, &binding, "sesame", line, sizeof(line)),
			    "235 2.7.0", 9);
	starttls(&c);
	assert_true(offers(&c, "AUTH SCRAM-SHA-256-PLUS"));	/* and the login is forgotten */
	assert_int_equal(SSL_export_keying_material(c.ssl, exporter, sizeof(exporter),
						    "EXPORTER-Channel-Binding", 24, NULL, 0, 0), 1);
	exporter[0] ^= 1;
	binding.exporter = str_make((char *)exporter, sizeof(exporter));
	assert_memory_equal(scram(&c, SASL_SCRAM_SHA_256_PLUS, &binding, "sesame", line,
				  sizeof(line)), "535", 3);
	exporter[0] ^= 1;
	assert_memory_equal(scram(&c, SASL_SCRAM_SHA_256_PLUS, &binding, "sesame", line,
				  sizeof(line)), "235", 3);
	client_close(&c);
	secure_close(&g);
}

/* From elsewhere no mechanism is offered before TLS, or taken. */
static void test_no_auth_before_tls(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_OFFERED, .mechanisms = ALL_MECHANISMS });
	stranger();
	client_open(&c, &g);
	client_expect(&c, "220", "greeting");
	assert_false(offers(&c, "AUTH"));
	say_base64(&c, "AUTH PLAIN ", RIGHT);
	client_expect(&c, "538 5.7.11", "before TLS");
	client_says(&c, "AUTH SCRAM-SHA-256\r\n", "538 5.7.11");
	starttls(&c);
	assert_true(offers(&c, "AUTH"));
	say_base64(&c, "AUTH PLAIN ", RIGHT);
	client_expect(&c, "235", "under TLS");
	client_close(&c);
	secure_close(&g);
}

static void test_submission(void **state)
{
	struct buf all = BUF_INIT(65536);
	struct client_end c;
	struct rig g;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_REQUIRED, .mechanisms = ALL_MECHANISMS,
						.submission = true });
	stranger();
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	starttls(&c);
	client_says(&c, "EHLO c\r\n", "250");
	client_says(&c, "MAIL FROM:<alice@ours.example>\r\n", "530 5.7.0");
	say_base64(&c, "AUTH PLAIN ", RIGHT);
	client_expect(&c, "235", "AUTH");
	client_says(&c, "MAIL FROM:<bob@ours.example>\r\n", "553 5.7.1");
	client_says(&c, "MAIL FROM:<alice@ours.example> AUTH=<> REQUIRETLS\r\n", "250");
	client_says(&c, "RCPT TO:<u@ours.example>\r\nDATA\r\n", "250,354");
	client_says(&c, "Subject: x\r\n\r\nx\r\n.\r\n", "250");
	client_says(&c, "MAIL FROM:<> AUTH=a@b.example\r\n", "250");	/* a notification */
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	rig_stop(&g);
	assert_true(rig_last()->requires_tls);
	assert_str_equal(message_login(rig_last()), STR("alice@ours.example"));
	rig_read(&g, rig_last(), &all);
	assert_true(str_search(buf_str(&all), STR(" with ESMTPSA (TLSv1.")) > 0);
	assert_true(str_search(buf_str(&all), STR("\r\nMessage-ID: <")) > 0);
	assert_true(str_search(buf_str(&all), STR("\r\nDate: ")) > 0);
	buf_done(&all);
	secure_close(&g);
}

/* Guesses come to an end, for who makes them, on every connection, also those that are open. */
static void test_ban(void **state)
{
	struct client_end c, other;
	unsigned guesses;
	struct rig g;

	(void)state;
	secure_open(&g, (struct config_listen){ .tls = TLS_OFFERED, .mechanisms = ALL_MECHANISMS });
	stranger();
	client_open(&other, &g);
	client_says(&other, "EHLO c\r\n", "220,250");
	starttls(&other);
	client_says(&other, "EHLO c\r\n", "250");
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	starttls(&c);
	client_says(&c, "EHLO c\r\n", "250");
	for (guesses = 0; guesses < 9; guesses++) {
		char guess[64], line[256];
		int n = snprintf(guess, sizeof(guess), "%calice@ours.example%cguess%u", 0, 0,
				 guesses);

		say_base64(&c, "AUTH PLAIN ", str_make(guess, (size_t)n));
		if (!strncmp(client_reply(&c, line, sizeof(line)), "421 4.7.0", 9))
			break;
		assert_memory_equal(line, "535 5.7.8", 9);
	}
	/* failures_max is 4; while the answers are made to wait a little is forgotten */
	assert_in_range(guesses, 3, 4);
	client_expect(&c, "end", "banned");
	client_close(&c);
	say_base64(&other, "AUTH PLAIN ", RIGHT);
	client_expect(&other, "421 4.7.0,end", "banned meanwhile");
	client_close(&other);
	client_open(&c, &g);
	client_expect(&c, "421 4.7.0,end", "while banned");
	client_close(&c);
	atomic_fetch_add(&rig_jumped, 3600 * SECOND);
	client_open(&c, &g);
	client_expect(&c, "220", "when it is over");
	client_close(&c);
	secure_close(&g);
}

/* Nobody can judge: 454, and nothing is counted. */
static void test_backend_down(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	open_for_auth(&c, &g, TLS_OFF);
	backends[0] = (struct users_backend){ .kind = USERS_DOVECOT };
	assert_true(endpoint_parse(STR("127.0.0.1:9"), 0, &backends[0].dovecot));
	for (unsigned i = 0; i < 6; i++) {
		say_base64(&c, "AUTH PLAIN ", RIGHT);
		client_expect(&c, "454 4.7.0", "Dovecot is not there");
	}
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	secure_close(&g);
}

static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);	/* as the worker does; OpenSSL writes to sockets here */
	server_certificate = certificate_make("relay.example");
	client_certificate = certificate_make("client.example");
	ring = key_ring_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	certificate_done(&server_certificate);
	certificate_done(&client_certificate);
	key_ring_free(ring);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_implicit),
		cmocka_unit_test(test_too_many_handshakes),
		cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_failing_handshakes),
		cmocka_unit_test(test_plain_and_login),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_no_auth_before_tls),
		cmocka_unit_test(test_submission),
		cmocka_unit_test(test_ban),
		cmocka_unit_test(test_backend_down),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
