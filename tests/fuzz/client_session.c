/*
 * fuzz client_session - whole client sessions against a hostile server: the input is what it does.
 *
 * Three octets choose how the relay goes about it (enum option, enum demand, enum place); the rest
 * is the server's turns, cut at 0x1e. The next one is taken when the client waits: it has said
 * something, or waits for the end of a reply. What a turn begins with is a mark:
 *
 *	0x1d	says the rest, then a TLS handshake
 *	0x1f	hangs up; the next turn is for another connection
 *	0x1c	answers AUTH as a server does that knows the secret, to the end of it
 *	nothing	says nothing, until the client's next time-out
 *
 * Real attempts at two messages, one after the other. When there are no more turns the server hangs
 * up. Whatever it says: each recipient has one outcome at most, nobody counts as served whose
 * content did not go out whole, what the client says is lines of SMTP, and no text that goes on to
 * logs and notices has more than its bound. A login is never said in clear where that was not
 * wanted, and where a certificate was demanded nothing is said to who has not the right one.
 */
#include <semaphore.h>

/* Of the rig: nobody else runs, so who waits lets the relay work, until it is done. */
static int wait_here(sem_t *s);
#define sem_timedwait(s, until) ((void)(until), wait_here(s))
#include "unit/deliver/rig.h"
#undef sem_timedwait

#include "fuzz/world.h"
#include "smtp/base64.h"
#include "smtp/sasl.h"
#include "unit/deliver/certificates.h"

#define CONNECTIONS_MAX 6
#define HEARD_MAX (256 * 1024)
#define HOST "mx.there.example"

enum option {		/* the first octet */
	OPTION_LMTP = 1,
	OPTION_BINARY = 2,
	OPTION_UTF8 = 4,
	OPTION_DSN = 8,
	OPTION_TRICKLE = 16,
	OPTION_LARGE = 32,
	OPTION_WAIVES = 64,	/* TLS-Required: No */
	OPTION_POOL = 128,	/* the connection is kept for the second message */
};

enum demand {		/* the second: the lowest three bits are an enum tls_use */
	DEMAND_LOGIN = 8,	/* the mechanism: the highest three bits; 0: the best */
	DEMAND_REQUIRETLS = 16,
};

enum place {		/* the third */
	PLACE_MX = 1,
	PLACE_SIGNED = 2,	/* the DNS */
	PLACE_DANE = 4,
	PLACE_DANE_WRONG = 8,
	PLACE_OTHER_KEY = 16,	/* the server's certificate is not the one that is expected */
	PLACE_SECOND = 32,	/* another host */
	PLACE_FAR = 64,		/* not on this machine */
	PLACE_FAILS = 128,	/* the question for TLSA records */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct made authority, good, other;
static struct tls_context *demanding;
static unsigned options, demands, places;

static int wait_here(sem_t *s)
{
	for (unsigned i = 0; sem_trywait(s) < 0; i++) {
		check(i < 1000);
		world_settle();
	}
	return 0;
}

/* ---- the server */

struct server {
	const uint8_t *p;
	size_t n;
	struct wire *open[CONNECTIONS_MAX];	/* NULL: gone */
	SSL *ssl[CONNECTIONS_MAX];		/* owned; NULL: plain */
	unsigned connections;
	struct buf heard;		/* what the client said, in all connections */
	struct buf plain;		/* of it, outside TLS */
	char line[4096];		/* the last line of it */
	sem_t *done;
};

static struct server server;

static bool asked(struct wire *w, const struct endpoint *to)
{
	(void)to;
	if (server.connections == CONNECTIONS_MAX)
		return false;
	server.open[server.connections++] = w;
	return true;
}

static bool is_done(void)
{
	int value;

	return sem_getvalue(server.done, &value) == 0 && value > 0;
}

static void keep(const char *p, size_t n, bool is_plain)
{
	static const char ends[] = "\r\n";

	if (server.heard.n + n < HEARD_MAX)
		buf_add(&server.heard, p, n);
	if (is_plain && server.plain.n + n < HEARD_MAX)
		buf_add(&server.plain, p, n);
	while (n && strchr(ends, p[n - 1]))
		n--;
	if (n) {
		const char *at = memrchr(p, '\n', n);

		at = at ? at + 1 : p;
		str_copy(server.line, sizeof(server.line), str_make(at, n - (size_t)(at - p)));
	}
}

static void pump(unsigned i)
{
	struct wire *w = server.open[i];
	struct str heard = wire_heard(w);
	char octets[16384];
	int n;

	if (!server.ssl[i]) {
		if (heard.n)
			keep(heard.p, heard.n, true);
		wire_take(w, heard.n);
		return;
	}
	if (heard.n)
		BIO_write(SSL_get_rbio(server.ssl[i]), heard.p, (int)heard.n);
	wire_take(w, heard.n);
	while ((n = SSL_read(server.ssl[i], octets, sizeof(octets))) > 0)
		keep(octets, (size_t)n, false);
	while ((n = BIO_read(SSL_get_wbio(server.ssl[i]), octets, sizeof(octets))) > 0)
		wire_say(w, octets, (size_t)n);
}

static void hang_up(unsigned i)
{
	if (!server.open[i])
		return;
	pump(i);
	wire_close(server.open[i]);
	server.open[i] = NULL;
	SSL_free(server.ssl[i]);
	server.ssl[i] = NULL;
}

/* All that is to be heard now; connections that the client has left are forgotten. */
static void hear(void)
{
	world_settle();
	for (unsigned i = 0; i < server.connections; i++) {
		if (server.open[i])
			pump(i);
		if (server.open[i] && server.open[i]->relay_closed)
			hang_up(i);
	}
	world_settle();
}

static void say(unsigned i, const void *p, size_t n)
{
	size_t step = options & OPTION_TRICKLE ? 1 : n;

	for (size_t at = 0; at < n && server.open[i]; at += step) {
		if (server.ssl[i])
			SSL_write(server.ssl[i], (const char *)p + at, (int)step);
		else
			wire_say(server.open[i], (const char *)p + at, step);
		hear();
	}
}

static void shake_hands(unsigned i, struct str before)
{
	static SSL_CTX *contexts[2];
	SSL_CTX **c = &contexts[!!(places & PLACE_OTHER_KEY)];

	if (!*c)
		*c = made_server(places & PLACE_OTHER_KEY ? &other : &good);
	if (server.ssl[i])
		return;
	server.ssl[i] = SSL_new(*c);
	SSL_set_bio(server.ssl[i], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(server.ssl[i]);
	wire_say(server.open[i], before.p, before.n);
	hear();
	for (int round = 0; round < 10 && server.open[i]; round++) {
		SSL_do_handshake(server.ssl[i]);
		hear();
	}
}

/* ---- AUTH, by the book */

static enum sasl_step judge(struct sasl_server *s, enum sasl_mechanism m, enum sasl_step step)
{
	struct scram_secret secret;

	for (int i = 0; i < 4; i++) {
		if (step == SASL_WANTS_PASSWORD || step == SASL_WANTS_TOKEN)
			step = sasl_server_judge(s, str_eq(sasl_server_password(s), STR("p")));
		if (step == SASL_WANTS_SECRET) {
			bool sha1 = m == SASL_SCRAM_SHA_1 || m == SASL_SCRAM_SHA_1_PLUS;

			scram_secret_make(&secret, sha1, STR("p"), (const unsigned char *)"salt", 4,
					  4096);
			step = sasl_server_secret(s, &secret, true);
		}
	}
	return step;
}

static bool take_line(struct buf *ret, struct str text)
{
	buf_clear(ret);
	return base64_decode(ret, text);
}

static void challenge(unsigned i, struct sasl_server *s)
{
	struct buf line = BUF_INIT(16384);
	struct str out = sasl_server_out(s);

	buf_add_lit(&line, "334 ");
	base64_encode(&line, out.p, out.n);
	buf_add_lit(&line, "\r\n");
	say(i, line.p, line.n);
	buf_done(&line);
}

static void serve_login(unsigned i)
{
	struct str words = str_of(server.line), verb = str_word(&words);
	enum sasl_mechanism m = sasl_mechanism_find(str_word(&words));
	unsigned char octets[32];
	struct sasl_binding b = { .exporter = STR_NONE };
	struct buf in = BUF_INIT(16384);
	struct sasl_server *s;
	enum sasl_step step;

	if (!str_eq(verb, STR("AUTH")) || m == SASL_NONE)
		return;
	if (server.ssl[i] && SSL_export_keying_material(server.ssl[i], octets, 32,
							"EXPORTER-Channel-Binding", 24, NULL, 0,
							0) == 1)
		b.exporter = str_make((char *)octets, 32);
	s = sasl_server_new(m, &b, STR("nonce"));
	words = str_word(&words);
	step = take_line(&in, words) ? sasl_server_step(s, buf_str(&in), words.n) : SASL_FAILED;
	for (int turns = 0; turns < 6 && server.open[i]; turns++) {
		step = judge(s, m, step);
		if (step != SASL_SEND && !sasl_server_out(s).n)
			break;
		challenge(i, s);
		if (step != SASL_SEND)
			break;
		step = take_line(&in, str_of(server.line)) ? sasl_server_step(s, buf_str(&in), true)
							   : SASL_FAILED;
	}
	if (step == SASL_DONE)
		say(i, "235 2.7.0 in\r\n", 14);
	else
		say(i, "535 5.7.8 out\r\n", 15);
	sasl_server_free(s);
	buf_done(&in);
}

/* ---- turns */

static struct str next_turn(void)
{
	const uint8_t *end = memchr(server.p, 0x1e, server.n);
	struct str turn = { (const char *)server.p, end ? (size_t)(end - server.p) : server.n };
	size_t used = end ? turn.n + 1 : turn.n;

	server.p += used;
	server.n -= used;
	return turn;
}

static void take_turn(unsigned i)
{
	struct str turn = next_turn();

	switch (turn.n ? turn.p[0] : 0) {
	case 0x1d:
		shake_hands(i, str_from(turn, 1));
		break;
	case 0x1f:
		hang_up(i);
		break;
	case 0x1c:
		serve_login(i);
		break;
	default:
		if (turn.n)
			say(i, turn.p, turn.n);
		else
			world_pass(3600 * SECOND);
	}
	hear();
}

/* The youngest connection that is open. False: there is none. */
static bool find_open(unsigned *ret)
{
	for (unsigned i = server.connections; i-- > 0;)
		if (server.open[i]) {
			*ret = i;
			return true;
		}
	return false;
}

static void serve(void)
{
	unsigned i;

	for (hear(); !is_done() && server.n; hear()) {
		if (find_open(&i))
			take_turn(i);
		else if (!world_pass(3600 * SECOND))
			break;
	}
	for (unsigned turns = 0; !is_done(); turns++) {
		check(turns < 1000);
		for (i = 0; i < server.connections; i++)
			hang_up(i);
		hear();
		if (!is_done())
			world_pass(3600 * SECOND);
	}
	for (i = 0; i < server.connections; i++)
		hang_up(i);
	while (world_pass(600 * SECOND))
		;	/* what lies in the pool is closed after its time */
}

/* ---- the client */

static const char statements[] =
	"secrets %s\nlog file /dev/null\n"
	"provider x {\n\tmx .there.example\n\tdomain there.example\n"
	"\ton reply 421 then pause 5m\n\ton reply 450 matches \"slow (down|it)\" then slow\n"
	"\ton status *.7.1 then other-source\n\ton matches \"block\" then pause 1h\n"
	"\ton reply 55x matches \"full\" then defer 1h\n\ton reply 552 then bounce\n}\n";

static void set_up(void)
{
	char text[2048];

	world_bend();
	folder_make();
	write_file("password", STR("p\n"));
	snprintf(text, sizeof(text), statements, folder);
	authority = made_new(NULL, NULL, 100);
	good = made_new(&authority, "DNS:" HOST, 100);
	other = made_new(NULL, "DNS:other.example", 100);
	demanding = made_client(&authority);
	wire_asked = asked;
	rig_open_with(text);
	log_open(rig.net, rig.config);
	rig.route.connect_timeout_ns = 30 * SECOND;
	rig.route.timeout_ns = 60 * SECOND;
	rig.config->dane = true;
	rig.config->resolver.dnssec = true;
	rig.config->mta_sts = false;
	server.heard = BUF_INIT(HEARD_MAX);
	server.plain = BUF_INIT(HEARD_MAX);
}

static struct mail mail_now(void)
{
	static char large[100000];
	struct mail m = { .recipients_n = options & OPTION_LARGE ? 90 : 2,
			  .content = STR(RIG_CONTENT) };

	if (options & OPTION_LARGE) {
		for (size_t i = 0; i < sizeof(large); i++)
			large[i] = "a line.\r\n."[i % 10];
		m.content = str_make(large, sizeof(large) - sizeof(large) % 10 - 1);
	}
	if (options & OPTION_WAIVES)
		m.content = STR("TLS-Required: No\r\nSubject: x\r\n\r\n\xe9\r\n");
	if (options & OPTION_BINARY)
		m.envelope.body = BODY_BINARYMIME;
	m.envelope.smtputf8 = options & OPTION_UTF8;
	m.envelope.requires_tls = demands & DEMAND_REQUIRETLS;
	if (options & OPTION_DSN) {
		m.envelope.envid = STR("id+2B");
		m.envelope.ret = RET_HDRS;
	}
	return m;
}

static void zone_now(uint16_t port)
{
	static char lines[4][300];
	const char *sign = places & PLACE_SIGNED ? "+" : "";
	char record[80] = "!servfail";

	zone_clear();
	snprintf(lines[0], sizeof(lines[0]), "%sthere.example MX 10 " HOST, sign);
	snprintf(lines[1], sizeof(lines[1]), "%s" HOST " A %s", sign,
		 places & PLACE_FAR ? "192.0.2.1" : "127.0.0.1");
	made_tlsa(places & PLACE_DANE_WRONG ? &authority : &good, "03", record);
	if (places & PLACE_FAILS)
		str_copy(record, sizeof(record), STR("!servfail"));
	snprintf(lines[2], sizeof(lines[2]), "%s_%u._tcp." HOST " TLSA %s", sign, port, record);
	snprintf(lines[3], sizeof(lines[3]), "%sthere.example MX 20 second.there.example", sign);
	zone_add(lines[0]);
	zone_add(lines[1]);
	if (places & (PLACE_DANE | PLACE_FAILS))
		zone_add(lines[2]);
	if (places & PLACE_SECOND) {
		zone_add(lines[3]);
		zone_add("second.there.example A 127.0.0.3");
	}
}

/* Each attempt at hosts of their own: what is remembered of a host is not what is looked for. */
static void choose_hosts(void)
{
	static uint16_t port = 1000;

	port = port == UINT16_MAX ? 1000 : port + 1;
	zone_now(port);
	dns_forget(rig.deliver->dns);
	fuzz_now += 3600 * SECOND;	/* what is known of a name has ended as well */
	rig.route.hosts_n = 0;
	rig_host(0, HOST, port);
	if (places & PLACE_SECOND)
		rig_host(1, "127.0.0.3", port);
	rig.route.is_mx = places & PLACE_MX;
	rig.route.mx_port = port;
	rig_destination("r", rig.route.is_mx ? "there.example" : "");
}

static void choose_route(void)
{
	static const enum tls_use uses[] = { TLS_OFF, TLS_OFFERED, TLS_REQUIRED, TLS_IMPLICIT,
					     TLS_VERIFIED };

	rig.route.protocol = options & OPTION_LMTP ? ROUTE_LMTP : ROUTE_SMTP;
	rig.route.tls = uses[(demands & 7) % 5];
	rig.route.tls_context = rig.route.tls == TLS_OFF ? NULL : demanding;
	rig.route.login_user = demands & DEMAND_LOGIN ? STR("u") : STR_NONE;
	rig.route.login_secret = demands & DEMAND_LOGIN ? STR("password") : STR_NONE;
	rig.route.login_mechanism = demands >> 5;
	rig.route.messages_max = options & OPTION_POOL ? 100 : 2;
	rig.route.idle_ns = 60 * SECOND;
}

static bool was_said(const struct buf *b, const char *what)
{
	return b->n && memmem(b->p, b->n, what, strlen(what));
}

static void check_lines(const struct mail *mail)
{
	const struct buf *said = rig.route.tls == TLS_OFF ? &server.heard : &server.plain;

	if (mail->envelope.body == BODY_BINARYMIME || rig.route.tls == TLS_IMPLICIT)
		return;
	/* behind it comes the client's part of a handshake, which the server may not take up */
	if (was_said(said, "STARTTLS"))
		return;
	for (size_t i = 0; i < said->n; i++)
		CHECK(said->p[i] != '\n' || (i && said->p[i - 1] == '\r'));
}

static void check_secrets(void)
{
	const struct buf *b = &server.plain;
	bool may_do_without = rig.route.tls == TLS_OFFERED || rig.route.tls == TLS_OFF;

	if (!may_do_without || demands & DEMAND_REQUIRETLS) {
		CHECK(!was_said(b, "MAIL FROM"));
		CHECK(!was_said(b, "AUTH "));
	}
	/* the second host is on this machine, where a login in clear is nobody else's to hear */
	if (places & PLACE_FAR && places & PLACE_MX && !(places & PLACE_SECOND))
		CHECK(!was_said(b, "AUTH "));
	if (rig.route.tls == TLS_VERIFIED && places & PLACE_OTHER_KEY)
		CHECK(!was_said(&server.heard, "MAIL FROM"));
}

static void check_outcomes(const struct mail *mail)
{
	const struct buf *b = &server.heard;
	unsigned served = 0;

	for (unsigned i = 0; i < mail->recipients_n; i++) {
		const struct kept *k = &rig.kept[i];

		if (!k->known)
			continue;
		served += k->state == RECIPIENT_RELAYED || k->state == RECIPIENT_DELIVERED;
		CHECK(!str_has_control(str_of(k->host)));
	}
	CHECK(strlen(rig.said) < sizeof(rig.said));
	if (served && b->n + 16384 < HEARD_MAX)
		CHECK(was_said(b, "\r\n.\r\n") || was_said(b, " LAST\r\n"));
}

static void try_both(const struct mail *mail)
{
	struct message *messages[2] = { rig_message(mail), rig_message(mail) };
	struct trying t = { messages, 2 };
	struct run r = { .fn = rig_try_run, .arg = &t, .as_task = true };

	sem_init(&r.done, 0, 0);
	server.done = &r.done;
	loop_post(net_loop(rig.net, 0), &r.post, run_posted);
	serve();
	sem_destroy(&r.done);
	check_outcomes(mail);
	check_lines(mail);
	check_secrets();
	message_unref(messages[0]);
	message_unref(messages[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mail mail;

	if (n < 3 || n > 20000)
		return 0;
	if (!rig.net)
		set_up();
	options = data[0];
	demands = data[1];
	places = data[2];
	server.p = data + 3;
	server.n = n - 3;
	server.connections = 0;
	server.line[0] = '\0';
	buf_clear(&server.heard);
	buf_clear(&server.plain);
	mail = mail_now();
	choose_hosts();
	choose_route();
	try_both(&mail);
	for (size_t i = 0; i < WIRES_MAX; i++)
		check(!wires[i].used);
	count_input();
	return 0;
}
