/*
 * deliver/ over TLS: what each demand of a route, of DANE and of a message makes of each kind of
 * host; STARTTLS injection; falling back; which connections are used again; logins.
 */
#include "unit/deliver/certificates.h"
#include "unit/deliver/rig.h"

#include <signal.h>
#include <sys/stat.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define EHLO "250-peer.example\r\n250-8BITMIME\r\n250 STARTTLS"
#define EHLO_TLS "250-peer.example\r\n250-REQUIRETLS\r\n250 8BITMIME"
#define HOST "mx.there.example"

static const struct mail plain = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } };
static const struct mail wants = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 },
				   .envelope.requires_tls = true };
#define WAIVES "TLS-Required: No\r\nSubject: x\r\n\r\nHello\r\n"
static const struct mail waives = { .content = { WAIVES, sizeof(WAIVES) - 1 } };

enum kind { GOOD, OTHER_NAME, EXPIRED, SELF_SIGNED, KINDS };
enum dane_case { NO_DANE, DANE_EE, DANE_TA, DANE_WRONG, DANE_PKIX_USAGE, DANE_SERVFAIL, DANE_BOGUS,
		 DANE_INSECURE, DANE_ALIAS, DANE_ALIAS_SERVFAIL };

static struct made authority, certificates[KINDS];
static struct tls_context *context;

static int setup(void **state)
{
	static const char *const names[] = {"DNS:" HOST, "DNS:other.example", "DNS:" HOST,
					    "DNS:" HOST};

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	authority = made_new(NULL, NULL, 100);
	for (int i = 0; i < KINDS; i++)
		certificates[i] = made_new(i == SELF_SIGNED ? NULL : &authority, names[i],
					   i == EXPIRED ? -1 : 100);
	context = made_client(&authority);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++)
		made_done(&certificates[i]);
	made_done(&authority);
	tls_context_unref(context);
	return 0;
}

struct row {
	const char *name;
	enum tls_use use;
	struct peer peer;
	enum kind kind;
	enum dane_case dane;
	bool by_mx, unsigned_mx, no_starttls;
	const struct mail *mail;	/* NULL: plain */
	/* ---- what comes of it: */
	const char *said;		/* NULL: it got there; else part of what went wrong */
	const char *status;		/* of the outcome; NULL: none, the host is down */
	unsigned handshakes, connections;	/* 0: one */
	const char *tls;		/* the end of what vouches; NULL: any */
};

#define NOT_TO_THERE .said = "certificate"

static const struct row rows[] = {
	{ "off", .use = TLS_OFF },
	{ "offered", TLS_OFFERED, .handshakes = 1 },
	{ "offered, any certificate", TLS_OFFERED, .kind = SELF_SIGNED, .handshakes = 1 },
	{ "offered, not there", TLS_OFFERED, .no_starttls = true },
	{ "offered, refused", TLS_OFFERED, .peer.starttls = "454 4.7.0 not now" },
	{ "offered, broken: once more without", TLS_OFFERED, .peer.no_handshake = true,
	  .connections = 2 },
	{ "offered, broken, and the host demands it", TLS_OFFERED, .peer.no_handshake = true,
	  .peer.mail = "530 5.7.0 Must issue a STARTTLS command first", .connections = 2,
	  .said = "demands TLS", .status = "4.7.4" },
	{ "injected", TLS_OFFERED, .peer.injects = true, .said = "plain text came behind" },
	{ "injected, required", TLS_REQUIRED, .peer.injects = true,
	  .said = "plain text came behind" },
	{ "required", TLS_REQUIRED, .kind = SELF_SIGNED, .handshakes = 1 },
	{ "required, not there", TLS_REQUIRED, .no_starttls = true, .said = "does not offer it" },
	{ "required, refused", TLS_REQUIRED, .peer.starttls = "454 4.7.0 not now",
	  .said = "not now" },
	{ "required, refused for good", TLS_REQUIRED, .peer.starttls = "554 5.7.0 never",
	  .said = "never" },
	{ "required, broken", TLS_REQUIRED, .peer.no_handshake = true, .said = "TLS" },
	{ "required, garbage", TLS_REQUIRED, .peer.starttls = "what", .said = "not SMTP" },
	{ "required, stalls", TLS_REQUIRED, .peer.starttls = "!stall", .said = "in time" },
	{ "implicit", TLS_IMPLICIT, .peer.implicit = true, .handshakes = 1 },
	{ "implicit, not there", TLS_IMPLICIT, .said = "TLS" },
	{ "verified", TLS_VERIFIED, .handshakes = 1, .tls = "pkix" },
	{ "verified, octet by octet", TLS_VERIFIED, .peer.trickle = true, .handshakes = 1 },
	{ "verified, other name", TLS_VERIFIED, .kind = OTHER_NAME, NOT_TO_THERE },
	{ "verified, expired", TLS_VERIFIED, .kind = EXPIRED, NOT_TO_THERE },
	{ "verified, unknown authority", TLS_VERIFIED, .kind = SELF_SIGNED, NOT_TO_THERE },
	{ "verified, not there", TLS_VERIFIED, .no_starttls = true, .said = "does not offer it" },
	{ "verified, an unsigned MX", TLS_VERIFIED, .by_mx = true, .unsigned_mx = true,
	  .said = "vouches for this host", .connections = 9 },

	{ "DANE", TLS_OFFERED, .dane = DANE_EE, .by_mx = true, .kind = SELF_SIGNED, .handshakes = 1,
	  .tls = "dane" },
	{ "DANE, no name is checked with usage 3", TLS_OFFERED, .dane = DANE_EE, .by_mx = true,
	  .kind = OTHER_NAME, .handshakes = 1, .tls = "dane" },
	{ "DANE, a date neither", TLS_OFFERED, .dane = DANE_EE, .by_mx = true, .kind = EXPIRED,
	  .handshakes = 1, .tls = "dane" },
	{ "DANE of a host by name", TLS_OFFERED, .dane = DANE_EE, .kind = SELF_SIGNED,
	  .handshakes = 1, .tls = "dane" },
	{ "DANE, wrong", TLS_OFFERED, .dane = DANE_WRONG, .by_mx = true, NOT_TO_THERE },
	{ "DANE, not offered", TLS_OFFERED, .dane = DANE_EE, .by_mx = true, .no_starttls = true,
	  .said = "does not offer it" },
	{ "DANE, broken", TLS_OFFERED, .dane = DANE_EE, .by_mx = true, .peer.no_handshake = true,
	  .said = "TLS" },
	{ "DANE, usage 1 cannot be used", TLS_OFFERED, .dane = DANE_PKIX_USAGE, .by_mx = true,
	  .kind = SELF_SIGNED, .handshakes = 1, .tls = "none" },
	{ "DANE, usage 1 and no TLS", TLS_OFFERED, .dane = DANE_PKIX_USAGE, .by_mx = true,
	  .no_starttls = true, .said = "does not offer it" },
	{ "DANE, servers fail", TLS_OFFERED, .dane = DANE_SERVFAIL, .by_mx = true,
	  .said = "TLSA records", .connections = 9 },
	{ "DANE, forged", TLS_OFFERED, .dane = DANE_BOGUS, .by_mx = true, .said = "TLSA records",
	  .connections = 9 },
	{ "DANE, a signed alias to where nothing is signed", TLS_OFFERED, .dane = DANE_ALIAS,
	  .by_mx = true, .kind = SELF_SIGNED, .handshakes = 1, .tls = "dane" },
	{ "DANE, whether the alias is signed is held back", TLS_OFFERED,
	  .dane = DANE_ALIAS_SERVFAIL, .by_mx = true, .no_starttls = true, .said = "TLSA records",
	  .connections = 9 },
	{ "TLSA that is not signed", TLS_OFFERED, .dane = DANE_INSECURE, .by_mx = true,
	  .no_starttls = true },
	{ "DANE behind an unsigned MX", TLS_OFFERED, .dane = DANE_WRONG, .by_mx = true,
	  .unsigned_mx = true, .handshakes = 1, .tls = "none" },
	{ "DANE by a signed MX serves verified", TLS_VERIFIED, .dane = DANE_EE, .by_mx = true,
	  .kind = SELF_SIGNED, .handshakes = 1, .tls = "dane" },

	{ "REQUIRETLS", TLS_OFFERED, .mail = &wants, .by_mx = true, .peer.ehlo_tls = EHLO_TLS,
	  .handshakes = 1, .tls = "pkix" },
	{ "REQUIRETLS by DANE", TLS_OFFERED, .mail = &wants, .by_mx = true, .dane = DANE_EE,
	  .kind = SELF_SIGNED, .peer.ehlo_tls = EHLO_TLS, .handshakes = 1, .tls = "dane" },
	{ "REQUIRETLS not offered", TLS_OFFERED, .mail = &wants, .by_mx = true, .handshakes = 1,
	  .said = "REQUIRETLS", .status = "5.7.30" },
	{ "REQUIRETLS, no TLS", TLS_OFFERED, .mail = &wants, .by_mx = true, .no_starttls = true,
	  .said = "REQUIRETLS", .status = "5.7.10" },
	{ "REQUIRETLS, wrong certificate", TLS_OFFERED, .mail = &wants, .by_mx = true,
	  .kind = OTHER_NAME, .said = "REQUIRETLS", .status = "5.7.10" },
	{ "REQUIRETLS behind an unsigned MX", TLS_OFFERED, .mail = &wants, .by_mx = true,
	  .unsigned_mx = true, .said = "REQUIRETLS", .status = "5.7.10", .connections = 9 },
	{ "REQUIRETLS, broken: it waits", TLS_OFFERED, .mail = &wants, .by_mx = true,
	  .peer.no_handshake = true, .said = "TLS", .status = "4.7.5" },
	{ "TLS-Required: No, DANE wrong", TLS_OFFERED, .mail = &waives, .by_mx = true,
	  .dane = DANE_WRONG, .handshakes = 1, .tls = "none" },
	{ "TLS-Required: No, DANE forged", TLS_OFFERED, .mail = &waives, .by_mx = true,
	  .dane = DANE_BOGUS, .handshakes = 1 },
	{ "TLS-Required: No does not lift the route's", TLS_VERIFIED, .mail = &waives,
	  .kind = OTHER_NAME, NOT_TO_THERE },
};

static void add_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add_line(const char *format, ...)
{
	static char lines[ZONE_LINES][300];
	char *to = lines[zone.n];
	va_list ap;

	va_start(ap, format);
	vsnprintf(to, sizeof(lines[0]), format, ap);
	va_end(ap);
	zone_add(to);
}

static void add_dane(enum dane_case c, const struct made *host, uint16_t port)
{
	char record[80];

	made_tlsa(c == DANE_TA ? &authority : c == DANE_WRONG ? &authority : host,
		  c == DANE_TA ? "02" : c == DANE_PKIX_USAGE ? "01" : "03", record);
	if (c == DANE_SERVFAIL)
		snprintf(record, sizeof(record), "!servfail");
	else if (c == DANE_BOGUS)
		snprintf(record, sizeof(record), "!bogus");
	if (c != NO_DANE)
		add_line("%s_%u._tcp." HOST " TLSA %s", c == DANE_INSECURE ? "" : "+", port,
			 record);
}

static void use_tls(enum tls_use use)
{
	rig.route.tls = use;
	rig.route.tls_context = context;
	rig.config->dane = true;
	rig.config->resolver.dnssec = true;
	rig.config->mta_sts = false;
}

static void go(const struct row *r, struct peer *p)
{
	add_line("%sthere.example MX 10 " HOST, r->unsigned_mx ? "" : "+");
	if (r->dane == DANE_ALIAS_SERVFAIL)
		add_line(HOST " CNAME !servfail");
	if (r->dane == DANE_ALIAS || r->dane == DANE_ALIAS_SERVFAIL) {
		add_line("+" HOST " CNAME end.example");
		add_line("end.example A 127.0.0.1");
	} else {
		add_line("+" HOST " A 127.0.0.1");
	}
	peer_start(p);
	add_dane(r->dane, &certificates[r->kind], p->port);
	use_tls(r->use);
	if (r->by_mx) {
		rig.route.is_mx = true;
		rig.route.mx_port = p->port;
		rig_destination("r", "there.example");
	} else {
		rig_host(0, HOST, p->port);
	}
	rig_try_one(r->mail ? r->mail : &plain);
}

static void check_refusal(const struct row *r)
{
	const struct kept *k = &rig.kept[0];
	struct buf status = BUF_INIT(32);

	assert_int_equal(k->known, r->status != NULL);
	if (!strstr(k->known ? k->text : rig.said, r->said))
		fail_msg("\"%s\"", k->known ? k->text : rig.said);
	if (!k->known) {
		assert_int_equal(rig.learnt, DESTINATION_DOWN);
		return;
	}
	enhanced_format(&status, k->enhanced);
	assert_string_equal(buf_cstr(&status), r->status);
	assert_int_equal(k->state, r->status[0] == '5' ? RECIPIENT_FAILED : RECIPIENT_QUEUED);
	assert_int_not_equal(rig.learnt, DESTINATION_DOWN);
	buf_done(&status);
}

static void run_row(const struct row *r)
{
	struct peer *p = mem_dup(&r->peer, sizeof(*p));
	unsigned connections = r->connections == 9 ? 0 : r->connections ? r->connections : 1;

	print_message("%s\n", r->name);
	rig_open();
	p->tls = made_server(&certificates[r->kind]);
	p->ehlo = r->no_starttls ? "250 peer.example" : EHLO;
	if (!p->ehlo_tls)
		p->ehlo_tls = "250 peer.example";
	go(r, p);
	if (r->said)
		check_refusal(r);
	else
		assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	assert_int_equal(p->connections, connections);
	if (!r->said || r->handshakes)
		assert_int_equal(p->handshakes, r->handshakes);
	if (p->handshakes)
		assert_string_equal(p->sni, HOST);
	if (r->tls && (strlen(rig.kept[0].tls) < 4 ||
		       strcmp(strrchr(rig.kept[0].tls, ' ') + 1, r->tls) != 0))
		fail_msg("tls: %s", rig.kept[0].tls);
	if (r->mail == &wants && !r->said)
		assert_non_null(strstr(p->log, " REQUIRETLS"));
	rig_close();
	peer_stop(p);
	peer_forget(p);
	SSL_CTX_free(p->tls);
	mem_free(p);
}

static void test_demands(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		run_row(&rows[i]);
}

/* ---- the same in words, for explain */

struct described {
	enum tls_use use;
	enum dane_case dane;
	bool by_mx, unsigned_mx, no_context;
	const char *words;
};

static const struct described in_words[] = {
	{ TLS_OFF, .words = "TLS off" },
	{ TLS_OFFERED, .no_context = true, .words = "TLS off" },
	{ TLS_OFFERED, .words = "TLS as offered, the certificate is not looked at" },
	{ TLS_REQUIRED, .words = "TLS required, whatever the certificate says" },
	{ TLS_IMPLICIT, .words = "TLS from the start, required, whatever the certificate says" },
	{ TLS_VERIFIED, .words = "TLS required, a certificate for its name" },
	{ TLS_OFFERED, .dane = DANE_EE,
	  .words = "TLS required, a certificate that its TLSA records know (DANE)" },
	{ TLS_IMPLICIT, .dane = DANE_EE,
	  .words = "TLS from the start, required, a certificate that its TLSA records know "
		   "(DANE)" },
	{ TLS_OFFERED, .dane = DANE_BOGUS,
	  .words = "TLS not tried: its TLSA records cannot be looked up safely" },
	{ TLS_OFFERED, .by_mx = true, .words = "TLS as offered, the certificate is not looked at" },
	{ TLS_OFFERED, .dane = DANE_EE, .by_mx = true,
	  .words = "TLS required, a certificate that its TLSA records know (DANE)" },
	{ TLS_VERIFIED, .by_mx = true, .unsigned_mx = true,
	  .words = "TLS not tried: nothing vouches for its name" },
};

static void describe(const struct described *x)
{
	struct rig_describing t = { .out = BUF_INIT(4096) };
	char wanted[300];

	rig_open();
	add_line("%sthere.example MX 10 " HOST, x->unsigned_mx ? "" : "+");
	add_line("+" HOST " A 127.0.0.1");
	add_dane(x->dane, &certificates[GOOD], 25);
	use_tls(x->use);
	if (x->no_context)
		rig.route.tls_context = NULL;
	if (x->by_mx) {
		rig.route.is_mx = true;
		rig.route.mx_port = 25;
	} else {
		rig_host(0, HOST, 25);
	}
	rig_describe(&t);
	snprintf(wanted, sizeof(wanted), "%s" HOST " port 25: 127.0.0.1, %s\n",
		 x->by_mx ? "10 " : "", x->words);
	assert_string_equal(buf_cstr(&t.out), wanted);
	rig_close();
	buf_done(&t.out);
}

static void test_in_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(in_words); i++)
		describe(&in_words[i]);
}

/* ---- usage 2, with the authority in the chain */

static void test_dane_authority(void **state)
{
	static const struct row fits = { .dane = DANE_TA, .by_mx = true, .use = TLS_OFFERED };

	(void)state;
	for (int named = 0; named < 2; named++) {
		enum kind kind = named ? GOOD : OTHER_NAME;
		struct peer *p = mem_zalloc(sizeof(*p));

		rig_open();
		p->tls = made_server(&certificates[kind]);
		SSL_CTX_add0_chain_cert(p->tls, X509_dup(authority.x));
		p->ehlo = EHLO;
		p->ehlo_tls = "250 peer.example";
		go(&fits, p);
		assert_int_equal(rig.kept[0].known, named);
		assert_int_equal(p->transactions, named);
		rig_close();
		peer_stop(p);
		peer_forget(p);
		SSL_CTX_free(p->tls);
		mem_free(p);
	}
}

/* ---- the next host has what the first has not */

static void test_next_host(void **state)
{
	struct peer p[2] = { { .ehlo = "250 peer.example" },
			     { .ehlo = EHLO, .ehlo_tls = EHLO_TLS } };
	struct mail mail = plain;

	(void)state;
	for (int wish = 0; wish < 2; wish++) {
		mail.envelope.requires_tls = wish;
		rig_open();
		p[1].tls = made_server(&certificates[GOOD]);
		add_line("+a.there.example A 127.0.0.1");
		add_line("+" HOST " A 127.0.0.1");
		use_tls(wish ? TLS_OFFERED : TLS_REQUIRED);
		for (unsigned i = 0; i < 2; i++) {
			peer_start(&p[i]);
			rig_host(i, i ? HOST : "a.there.example", p[i].port);
			rig.hosts[i].backup = i;
		}
		rig_try_one(&mail);
		assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
		assert_int_equal(p[0].transactions, 0);
		assert_int_equal(p[1].transactions, 1);
		rig_close();
		for (unsigned i = 0; i < 2; i++) {
			peer_stop(&p[i]);
			peer_forget(&p[i]);
			p[i].stopping = false;
			p[i].port = 0;
			p[i].connections = p[i].transactions = 0;
		}
		SSL_CTX_free(p[1].tls);
	}
}

/* A demand that one host cannot meet is no reason to fail while another is only down. */
static void test_wish_and_a_dead_host(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		struct peer p = { .ehlo = EHLO, .ehlo_tls = "250 peer.example",
				  .tls = made_server(&certificates[GOOD]) };

		rig_open();
		add_line("+" HOST " A 127.0.0.1");
		use_tls(TLS_OFFERED);
		peer_start(&p);
		rig_host(first, HOST, p.port);
		rig_host(!first, "127.0.0.1", 1);
		rig.hosts[1].backup = true;
		rig_try_one(&wants);
		assert_int_equal(rig.kept[0].state, RECIPIENT_QUEUED);
		rig_close();
		peer_stop(&p);
		peer_forget(&p);
		SSL_CTX_free(p.tls);
	}
}

/* What nobody vouches for is no worse a host for those who do not ask. */
static void test_a_policy_blames_no_host(void **state)
{
	struct row row = { .use = TLS_VERIFIED, .by_mx = true, .unsigned_mx = true };
	struct peer p = { .ehlo = EHLO };
	struct host h = { .name = STR(HOST), .is_exchanger = true };
	uint64_t until;

	(void)state;
	rig_open();
	go(&row, &p);
	rig_try_one(&plain);
	rig_try_one(&plain);
	h.port = p.port;
	assert_int_equal(health_state(rig.deliver->health, &h, 0, &until), HOST_WORKS);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
}

/* ---- reuse */

static void test_reuse(void **state)
{
	struct peer p = { .ehlo = EHLO, .ehlo_tls = EHLO_TLS,
			  .tls = made_server(&certificates[GOOD]) };

	(void)state;
	rig_open();
	add_line("+" HOST " A 127.0.0.1");
	peer_start(&p);
	rig_host(0, HOST, p.port);
	use_tls(TLS_OFFERED);
	rig_try_one(&plain);
	rig_try_one(&plain);
	assert_int_equal(p.connections, 1);
	use_tls(TLS_REQUIRED);		/* encrypted it is */
	rig_try_one(&plain);
	assert_int_equal(p.connections, 1);
	use_tls(TLS_VERIFIED);		/* but nobody looked at the certificate */
	rig_try_one(&plain);
	assert_int_equal(p.connections, 2);
	use_tls(TLS_OFF);		/* a route without TLS never shares one that has it */
	rig_try_one(&plain);
	assert_int_equal(p.connections, 3);
	use_tls(TLS_OFFERED);		/* one that never tried is not taken */
	rig_try_one(&plain);
	assert_int_equal(p.connections, 3);	/* the first one is still there */
	assert_int_equal(p.handshakes, 2);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
	SSL_CTX_free(p.tls);
}

/* One slot, three messages: what the second demands its connection has not. */
static void test_kept_connection(void **state)
{
	struct peer p = { .ehlo = EHLO, .ehlo_tls = EHLO_TLS,
			  .tls = made_server(&certificates[GOOD]) };
	struct message *m[3];

	(void)state;
	rig_open();
	add_line("+" HOST " A 127.0.0.1");
	peer_start(&p);
	rig_host(0, HOST, p.port);
	use_tls(TLS_OFFERED);
	m[0] = rig_message(&plain);
	m[1] = rig_message(&wants);
	m[2] = rig_message(&plain);
	rig_try(m, 3);
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	assert_int_equal(p.transactions, 3);
	assert_int_equal(p.connections, 2);
	for (int i = 0; i < 3; i++)
		message_unref(m[i]);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
	SSL_CTX_free(p.tls);
}

static uint16_t kept_port;

static void demand_meanwhile(void)
{
	add_line("+_%u._tcp." HOST " TLSA 03010100112233445566778899aabbccddeeff"
		 "00112233445566778899aabbccddeeff", kept_port);
	rig.later_ns += 7200 * SECOND;
	task_sleep_until(in_ms(1));	/* the loop looks at the clock */
}

/* While a slot holds a connection its host's records come into the DNS: they count, soon. */
static void test_kept_too_long(void **state)
{
	struct peer p = { .ehlo = "250 peer.example" };
	struct message *m[2];

	(void)state;
	rig_open();
	add_line("+" HOST " A 127.0.0.1");
	peer_start(&p);
	kept_port = p.port;
	rig_host(0, HOST, p.port);
	use_tls(TLS_OFFERED);
	rig.between = demand_meanwhile;
	for (int i = 0; i < 2; i++)
		m[i] = rig_message(&plain);
	rig_try(m, 2);
	assert_int_equal(p.transactions, 1);
	assert_false(rig.kept[0].known);
	assert_non_null(strstr(rig.said, "does not offer it"));
	for (int i = 0; i < 2; i++)
		message_unref(m[i]);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
}

/* ---- logins */

struct login_row {
	const char *name, *offers, *secret;	/* behind "250 AUTH " */
	enum sasl_mechanism mechanism;
	bool no_tls;
	const char *said;		/* NULL: logged in */
	const char *command;		/* part of what the server got */
};

static const struct login_row logins[] = {
	{ "PLAIN", "PLAIN LOGIN", "secret", .command = "AUTH PLAIN " },
	{ "LOGIN", "LOGIN", "secret", .command = "AUTH LOGIN\n" },
	{ "SCRAM-SHA-256", "PLAIN SCRAM-SHA-256", "secret", .command = "AUTH SCRAM-SHA-256 " },
	{ "SCRAM-SHA-256-PLUS", "PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "secret",
	  .command = "AUTH SCRAM-SHA-256-PLUS " },
	{ "PLUS for the one that is named", "SCRAM-SHA-256 SCRAM-SHA-256-PLUS", "secret",
	  SASL_SCRAM_SHA_256, .command = "AUTH SCRAM-SHA-256-PLUS " },
	{ "SCRAM-SHA-1", "SCRAM-SHA-1", "secret", .command = "AUTH SCRAM-SHA-1 " },
	{ "named", "PLAIN LOGIN SCRAM-SHA-256", "secret", SASL_LOGIN, .command = "AUTH LOGIN\n" },
	{ "a token", "PLAIN XOAUTH2", "secret", SASL_XOAUTH2, .command = "AUTH XOAUTH2 " },
	{ "a bearer token", "OAUTHBEARER", "secret", SASL_OAUTHBEARER,
	  .command = "AUTH OAUTHBEARER " },
	{ "on this machine without TLS", "PLAIN", "secret", .no_tls = true,
	  .command = "AUTH PLAIN " },
	{ "wrong", "PLAIN", "wrong", .said = "who?" },
	{ "wrong, SCRAM", "SCRAM-SHA-256", "wrong", .said = "secret is wrong" },
	{ "wrong token", "XOAUTH2", "wrong", SASL_XOAUTH2, .said = "who?" },
	{ "nothing that we know", "CRAM-MD5 GSSAPI", "secret", .said = "no way to log in" },
	{ "not the one that is named", "PLAIN", "secret", SASL_SCRAM_SHA_256,
	  .said = "no way to log in" },
	{ "no AUTH", NULL, "secret", .said = "no way to log in" },
	{ "no secret", "PLAIN", NULL, .said = "secret for the login cannot be read" },
};

static void write_secret(const char *folder, const char *secret)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/password", folder);
	unlink(path);
	if (!secret)
		return;
	f = fopen(path, "w");
	fprintf(f, "%s\n", secret);
	fclose(f);
	chmod(path, 0600);
}

static void run_login(const struct login_row *r, const char *folder)
{
	struct peer p = { .password = "secret", .tls = made_server(&certificates[GOOD]) };
	char ehlo[256];

	print_message("login: %s\n", r->name);
	snprintf(ehlo, sizeof(ehlo), "250-peer.example\r\n%s%s%s",
		 r->offers ? "250-AUTH " : "", r->offers ? r->offers : "", r->offers ? "\r\n" : "");
	snprintf(ehlo + strlen(ehlo), 32, "250 8BITMIME");
	rig_open();
	add_line("+" HOST " A 127.0.0.1");
	peer_start(&p);
	p.ehlo = r->no_tls ? ehlo : EHLO;
	p.ehlo_tls = ehlo;
	rig_host(0, HOST, p.port);
	use_tls(r->no_tls ? TLS_OFF : TLS_VERIFIED);
	rig.config->secrets = folder;
	rig.route.login_user = STR("user");
	rig.route.login_secret = STR("password");
	rig.route.login_mechanism = r->mechanism;
	write_secret(folder, r->secret);
	rig_try_one(&plain);
	assert_int_equal(p.logins, !r->said);
	assert_int_equal(rig.kept[0].known, !r->said);
	if (r->said && !strstr(rig.said, r->said))
		fail_msg("\"%s\"", rig.said);
	if (r->said)
		assert_int_equal(rig.learnt, DESTINATION_DOWN);
	if (r->command && !strstr(p.log, r->command))
		fail_msg("%s", p.log);
	rig.route.login_user = STR("other");
	rig_try_one(&plain);	/* never on the first user's connection */
	assert_int_equal(p.connections, 2);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
	SSL_CTX_free(p.tls);
}

static void test_logins(void **state)
{
	char folder[] = "/tmp/relevo-secrets-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < LENGTH(logins); i++)
		run_login(&logins[i], folder);
	write_secret(folder, NULL);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_demands),
		cmocka_unit_test(test_in_words),
		cmocka_unit_test(test_dane_authority),
		cmocka_unit_test(test_next_host),
		cmocka_unit_test(test_wish_and_a_dead_host),
		cmocka_unit_test(test_a_policy_blames_no_host), cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_kept_connection),
		cmocka_unit_test(test_kept_too_long),
		cmocka_unit_test(test_logins),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
