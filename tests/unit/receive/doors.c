/*
 * receive/: who the client is said to be (PROXY, XCLIENT), what is asked about strangers and when,
 * early talkers, the tarpit, null senders, who looked at his mail, ETRN.
 */
#include "unit/receive/rig.h"

#include "config/table.h"
#include "receive/service.h"

static struct config_listen listen_as;		/* the fields that a test wants otherwise */
static struct config_clients clients_as;
static const char *etrn_from;			/* a network, of the route "inside"; NULL: nobody */

static const char rules[] = CONFIG_LISTEN CONFIG_RULES
	"accept from local to any via other\n";

static struct table *tables[4];			/* in the snapshot's arena */
static unsigned tables_n;

static const char *proxies = "127.0.0.0/8";	/* of xclient_from */

static const struct table *table_of(struct config *c, const char *network)
{
	struct table *t = table_new(&c->arena, STR_NONE);
	struct entry e;

	assert_true(tables_n < 4);
	tables[tables_n++] = t;
	assert_true(entry_parse(str_of(network), &e));
	table_insert(t, &e);
	return t;
}

static void bend(struct rig *g, struct config *c)
{
	struct config_listen *l = (struct config_listen *)(uintptr_t)c->listens;

	(void)g;
	if (listen_as.proxy_from)
		l->proxy_from = table_of(c, "127.0.0.0/8");
	if (listen_as.xclient_from)
		l->xclient_from = table_of(c, proxies);
	l->tls = TLS_OFF;
	l->clients = &clients_as;
	if (listen_as.connections_max)
		l->connections_max = listen_as.connections_max;
	for (unsigned i = 0; i < c->routes_n; i++)
		if (etrn_from && str_eq(c->routes[i]->name, STR("inside")))
			((struct route *)(uintptr_t)c->routes[i])->etrn_from =
				table_of(c, etrn_from);
}

#define ANY ((const struct table *)1)		/* of listen_as: 127.0.0.0/8 */

static void serve(struct rig *g, struct config_listen as, struct config_clients clients)
{
	listen_as = as;
	clients_as = clients;
	rig_bend = bend;
	memset(&rig_strangers, 0, sizeof(rig_strangers));
	rig_woken[0] = 0;
	rig_helpers = (struct receive_helpers){ .strangers = (struct strangers *)1 };
	rig_open(g, rules, 1);
}

static void doors_close(struct rig *g)
{
	rig_stop(g);
	while (tables_n)
		table_done(tables[--tables_n]);
	rig_close(g);
	assert_int_equal(rig_strangers.open, 0);
	rig_helpers = (struct receive_helpers){ 0 };
	rig_bend = NULL;
	etrn_from = NULL;
}

static void stranger(void)
{
	atomic_store(&rig_is_strange, true);
}

/* ---- PROXY */

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define TEXT(s) { "" s, sizeof(s) - 1 }

static void test_proxy(void **state)
{
	static const struct {
		const char *name;
		struct str header;
		const char *client;	/* whom the message came from; NULL: it is cut */
	} cases[] = {
		{ "v1", TEXT("PROXY TCP4 198.51.100.1 10.0.0.1 5 25\r\n"), "198.51.100.1" },
		{ "v1, IPv6", TEXT("PROXY TCP6 2001:db8::1 2001:db8::2 5 25\r\n"), "2001:db8::1" },
		{ "v1, unknown", TEXT("PROXY UNKNOWN\r\n"), "127.0.0.1" },
		{ "v2", TEXT(V2 "\x21\x11\0\14\306\63\144\2\0\0\0\0\0\5\0\31"), "198.51.100.2" },
		{ "v2, local", TEXT(V2 "\x20\0\0\0"), "127.0.0.1" },
		{ "none", TEXT("EHLO c\r\nNOOP\r\nNOOP\r\n"), NULL },
		{ "bad v1", TEXT("PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n"), NULL },
		{ "bad v2", TEXT(V2 "\x31\x11\0\0"), NULL },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client_end c;
		struct rig g;

		serve(&g, (struct config_listen){ .proxy_from = ANY },
			   (struct config_clients){ 0 });
		client_open(&c, &g);
		for (size_t at = 0; at < cases[i].header.n; at++)
			client_send(&c, str_sub(cases[i].header, at, at + 1));
		if (cases[i].client) {
			client_expect(&c, "220", cases[i].name);
			client_says(&c, "EHLO c\r\n", "250");
			client_says(&c, ENVELOPE "DATA\r\n", "250,250,354");
			client_says(&c, "x\r\n.\r\n", "250");
			if (strcmp(cases[i].client, "127.0.0.1"))	/* and it is a stranger */
				client_says(&c, "MAIL FROM:<a@b.c>\r\nRCPT TO:<x@y.example>\r\n",
					    "250,550 5.7.1");
			assert_str_equal(message_client(rig_last()), str_of(cases[i].client));
		} else {
			char line[128];

			assert_string_equal(client_reply(&c, line, sizeof(line)), "end");
		}
		client_close(&c);
		doors_close(&g);
	}
}

/* The header has its time; and who is no proxy may not say it. */
static void test_proxy_late(void **state)
{
	struct client_end c;
	struct rig g;
	char line[128];

	(void)state;
	serve(&g, (struct config_listen){ .proxy_from = ANY }, (struct config_clients){ 0 });
	client_open(&c, &g);
	client_send(&c, STR("PROXY TC"));
	usleep(100000);
	atomic_fetch_add(&rig_jumped, 11 * SECOND);
	assert_string_equal(client_reply(&c, line, sizeof(line)), "end");
	client_close(&c);
	stranger();
	client_open(&c, &g);
	client_expect(&c, "220", "a stranger is greeted at once");
	client_says(&c, "PROXY TCP4 127.0.0.1 10.0.0.1 5 25\r\n", "500 5.5.2");
	client_close(&c);
	doors_close(&g);
}

/* A proxy elsewhere cannot make a client local. */
static void test_proxied_loopback(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ .xclient_from = ANY }, (struct config_clients){ 0 });
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "XCLIENT ADDR=198.51.100.7\r\n", "220");
	client_says(&c, "XCLIENT ADDR=127.0.0.1\r\n", "550 5.7.0");
	client_says(&c, "EHLO c\r\nMAIL FROM:<a@b.example>\r\n", "503,503");
	client_says(&c, "EHLO c\r\n", "250");
	client_says(&c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\n", "250,550 5.7.1");
	client_close(&c);
	doors_close(&g);
	proxies = "0.0.0.0/0";
	serve(&g, (struct config_listen){ .xclient_from = ANY }, (struct config_clients){ 0 });
	proxies = "127.0.0.0/8";
	stranger();
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "XCLIENT ADDR=127.0.0.1 HELO=c\r\n", "220");
	client_says(&c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\n", "250,550 5.7.1");
	client_close(&c);
	doors_close(&g);
}

/* ---- XCLIENT */

static void test_xclient(void **state)
{
	struct buf all = BUF_INIT(65536);
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ .xclient_from = ANY }, (struct config_clients){ 0 });
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "250");
	client_says(&c, "XCLIENT ADDR=198.51.100.7\r\n", "503 5.5.1");
	client_says(&c, "RSET\r\n", "250");
	client_says(&c, "XCLIENT\r\n", "501 5.5.4");
	client_says(&c, "XCLIENT ADDR=nowhere\r\n", "501 5.5.4");
	client_says(&c, "XCLIENT COLOUR=red\r\n", "501 5.5.4");
	client_says(&c, "XCLIENT ADDR=1.2.3.4 ADDR=1.2.3.5\r\n", "501 5.5.4");
	client_says(&c, "XCLIENT NAME=mail.client.example ADDR=198.51.100.7 PORT=77\r\n",
		    "220 relay.example");
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "503 5.5.1");
	client_says(&c, "EHLO other\r\n", "250");
	client_says(&c, ENVELOPE "DATA\r\n", "250,250,354");
	client_says(&c, "x\r\n.\r\n", "250");
	assert_str_equal(message_client(rig_last()), STR("198.51.100.7"));
	rig_read(&g, rig_last(), &all);
	assert_true(str_search(buf_str(&all),
			       STR("from other (mail.client.example [198.51.100.7])")) > 0);
	client_close(&c);
	client_open(&c, &g);
	client_says(&c, "XCLIENT HELO=h.example PROTO=ESMTP NAME=mx.client.example\r\n", "220,220");
	client_says(&c, "XCLIENT ADDR=IPV6:2001:db8::7 LOGIN=bob\r\n", "220");
	client_says(&c, ENVELOPE "DATA\r\n", "250,250,354");
	client_says(&c, "x\r\n.\r\n", "250");
	assert_str_equal(message_client(rig_last()), STR("2001:db8::7"));
	assert_str_equal(message_login(rig_last()), STR("bob"));
	rig_read(&g, rig_last(), &all);
	assert_true(str_search(buf_str(&all), STR("with ESMTPA id")) > 0);
	assert_true(str_search(buf_str(&all),
			       STR("from h.example (mx.client.example [IPv6:2001:db8::7])")) > 0);
	client_close(&c);
	stranger();
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "XCLIENT ADDR=127.0.0.1\r\n", "550 5.7.0");
	client_close(&c);
	buf_done(&all);
	doors_close(&g);
}

/*
 * Proxies pass octets on unread once they have said who the client is: what it says itself must not
 * make it another, the proxy itself least of all.
 */
static void test_xclient_by_the_client(void **state)
{
	static const struct str firsts[] = { { "EHLO evil\r\n", 11 }, { "NOOP\r\n", 6 } };
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ .xclient_from = ANY }, (struct config_clients){ 0 });
	for (unsigned i = 0; i < 2; i++) {
		client_open(&c, &g);
		client_says(&c, "EHLO proxy\r\n", "220,250");
		client_says(&c, "XCLIENT ADDR=198.51.100.7 HELO=client.example\r\n", "220");
		client_send(&c, firsts[i]);
		client_expect(&c, "250", "it speaks");
		client_says(&c, "XCLIENT ADDR=127.0.0.1 LOGIN=bob\r\n", "550 5.7.0");
		client_says(&c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\n",
			    "250,550 5.7.1");
		client_close(&c);
	}
	doors_close(&g);
}

/*
 * What proxies that exist send, to the octet, and what their clients may try behind it.
 */
static void test_xclient_of_proxies(void **state)
{
	static const struct {
		const char *says, *hears;
	} rows[] = {
		/* nginx 1.x, whose client said EHLO */
		{ "EHLO nginx.example\r\n", "220,250" },
		{ "XCLIENT ADDR=198.51.100.7 LOGIN=bob NAME=mx.client.example\r\n", "220" },
		{ "EHLO client.example\r\n", "250" },
		{ "XCLIENT ADDR=127.0.0.1\r\n", "550 5.7.0" },
		{ NULL, "198.51.100.7" },
		/* the same whose client did not: its own octets come at once */
		{ "EHLO nginx.example\r\n", "220,250" },
		{ "XCLIENT ADDR=198.51.100.7 LOGIN=bob NAME=[UNAVAILABLE]\r\n", "220" },
		{ "XCLIENT LOGIN=boss\r\n", "550 5.7.0" },
		{ "XCLIENT ADDR=[UNAVAILABLE]\r\n", "550 5.7.0" },
		{ "XCLIENT PROTO=ESMTP HELO=client.example NAME=ours.example\r\n", "550 5.7.0" },
		{ "EHLO client.example\r\n", "250" },
		{ NULL, "198.51.100.7" },
		/* Dovecot's submission proxy: EHLO in one go with XCLIENT */
		{ "EHLO dovecot.example\r\n", "220,250" },
		{ "XCLIENT HELO=client.example PROTO=ESMTP LOGIN=bob PORT=4711 "
		  "ADDR=198.51.100.7\r\nEHLO dovecot.example\r\n", "220,250" },
		{ "XCLIENT ADDR=127.0.0.1\r\n", "550 5.7.0" },
		{ NULL, "198.51.100.7" },
		/* the same where it needs several lines */
		{ "EHLO dovecot.example\r\n", "220,250" },
		{ "XCLIENT HELO=client.example PROTO=[UNAVAILABLE]\r\nXCLIENT LOGIN=bob\r\n"
		  "XCLIENT PORT=4711 ADDR=IPV6:2001:db8::7\r\nEHLO dovecot.example\r\n",
		  "220,220,220,250" },
		{ NULL, "2001:db8::7" },
		/* swaks: each line waits for its answer */
		{ "EHLO swaks.example\r\n", "220,250" },
		{ "XCLIENT ADDR=198.51.100.7\r\n", "220" },
		{ "XCLIENT LOGIN=bob HELO=client.example\r\n", "220" },
		{ "EHLO swaks.example\r\n", "250" },
		{ NULL, "198.51.100.7" },
	};
	struct client_end c;
	bool open = false;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ .xclient_from = ANY }, (struct config_clients){ 0 });
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!open)
			client_open(&c, &g);
		open = rows[i].says;
		if (open) {
			client_send(&c, str_of(rows[i].says));
			client_expect(&c, rows[i].hears, rows[i].says);
			continue;
		}
		client_says(&c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<u@ours.example>\r\nDATA\r\n",
			    "250,250,354");
		client_says(&c, "x\r\n.\r\n", "250");
		assert_str_equal(message_client(rig_last()), str_of(rows[i].hears));
		assert_str_equal(message_login(rig_last()), STR("bob"));
		client_close(&c);
	}
	/* who does not wait for the proxy's greeting is cut, before the proxy's name serves him */
	client_open(&c, &g);
	client_says(&c, "EHLO proxy\r\n", "220,250");
	client_says(&c, "XCLIENT ADDR=198.51.100.7\r\nMAIL FROM:<a@b.example>\r\n",
		    "421 4.7.0,end");
	client_close(&c);
	doors_close(&g);
}

/* A client whose address the proxy does not know is not taken for the proxy. */
static void test_xclient_without_address(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ .xclient_from = ANY }, (struct config_clients){ 0 });
	client_open(&c, &g);
	client_says(&c, "EHLO proxy\r\n", "220,250");
	client_says(&c, "XCLIENT NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]\r\n", "220");
	client_says(&c, "EHLO c\r\n", "250");
	client_says(&c, "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\n", "250,550 5.7.1");
	client_says(&c, "RCPT TO:<x@ours.example>\r\n", "250");
	client_close(&c);
	doors_close(&g);
}

/* ---- strangers */

static void test_strangers(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ 0 }, (struct config_clients){ 0 });
	client_open(&c, &g);		/* this machine: counted, not asked about */
	client_says(&c, "EHLO c\r\n", "220,250");
	client_close(&c);
	assert_int_equal(rig_strangers.asked_connected, 1);
	assert_int_equal(rig_strangers.asked_look_up + rig_strangers.asked_helo, 0);
	stranger();
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	assert_int_equal(rig_strangers.asked_look_up, 1);
	assert_int_equal(rig_strangers.asked_helo, 1);
	rig_strangers.message = REPLY(451, 4, 7, 1, "enough for now");
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "451 4.7.1 enough");
	rig_strangers.message.code = 0;
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "250");
	rig_strangers.recipient = REPLY(450, 4, 7, 1, "greylisted");
	client_says(&c, "RCPT TO:<x@elsewhere.example>\r\n", "550 5.7.1");
	client_says(&c, "RCPT TO:<u@ours.example>\r\n", "450 4.7.1 greylisted");
	rig_strangers.recipient.code = 0;
	client_says(&c, "RCPT TO:<u@ours.example>\r\nDATA\r\n", "250,354");
	client_says(&c, "x\r\n.\r\n", "250");
	assert_int_equal(rig_strangers.asked_good, 1);
	client_close(&c);
	rig_strangers.connected = REPLY(421, 4, 7, 0, "too many of you");
	client_open(&c, &g);
	client_expect(&c, "421 4.7.0 too many,end", "limit");
	client_close(&c);
	doors_close(&g);
}

static void test_early_talker(void **state)
{
	const struct config_clients strict = { .greet_delay_ns = 300 * MILLISECOND,
					       .refuse_early = true };
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ 0 }, strict);
	client_open(&c, &g);		/* this machine may */
	client_says(&c, "EHLO c\r\n", "220,250");
	client_close(&c);
	stranger();
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "554 5.5.1,end");
	client_close(&c);
	client_open(&c, &g);
	client_expect(&c, "220", "a patient one");
	client_says(&c, "EHLO c\r\n", "250");
	client_close(&c);
	doors_close(&g);
}

static uint64_t real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Refusals come late from some number on; when many wait already, the next is cut. */
static void test_tarpit(void **state)
{
	const struct config_clients slow = { .tarpit_ns = 400 * MILLISECOND, .tarpit_after = 2 };
	struct client_end c[2];
	struct rig g;
	uint64_t began;

	(void)state;
	serve(&g, (struct config_listen){ .connections_max = 4 }, slow);
	stranger();
	for (unsigned i = 0; i < 2; i++) {
		client_open(&c[i], &g);
		client_says(&c[i], "EHLO c\r\n", "220,250");
		began = real_ms();
		client_says(&c[i], "EXPN a\r\n", "502");
		client_says(&c[i], "EXPN a\r\n", "502");
		assert_true(real_ms() - began < 350);
	}
	began = real_ms();
	client_send(&c[0], STR("EXPN a\r\n"));
	usleep(50000);
	client_says(&c[1], "EXPN a\r\n", "421 4.7.0,end");	/* one of four may wait */
	assert_true(real_ms() - began < 350);
	client_expect(&c[0], "502", "late");
	assert_true(real_ms() - began >= 400);
	client_close(&c[0]);
	client_close(&c[1]);
	doors_close(&g);
}

static void test_null_sender(void **state)
{
	const struct config_clients one = { .null_one_recipient = true };
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ 0 }, one);
	stranger();
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "MAIL FROM:<>\r\nRCPT TO:<u@ours.example>\r\n", "250,250");
	client_says(&c, "RCPT TO:<v@ours.example>\r\n", "452 4.5.3");
	client_says(&c, "RSET\r\nMAIL FROM:<a@b.example>\r\n", "250,250");
	client_says(&c, "RCPT TO:<u@ours.example>\r\nRCPT TO:<v@ours.example>\r\n", "250,250");
	client_close(&c);
	doors_close(&g);
}

static void test_popped(void **state)
{
	struct popped *p = popped_new(10);
	struct ip ip;
	struct client_end c;
	struct rig g;

	(void)state;
	serve(&g, (struct config_listen){ 0 }, (struct config_clients){ 0 });
	g.receive->help.popped = p;
	stranger();
	assert_true(ip_parse(STR(STRANGER), &ip));
	popped_add(p, &ip, rig_now(&g.world), 60 * SECOND);
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_close(&c);
	assert_int_equal(rig_strangers.asked_look_up, 0);	/* it is no stranger */
	atomic_fetch_add(&rig_jumped, 61 * SECOND);
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_close(&c);
	assert_int_equal(rig_strangers.asked_look_up, 1);
	doors_close(&g);
	popped_free(p);
}

/* ---- ETRN */

static void test_etrn(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	etrn_from = "192.0.2.0/24";
	serve(&g, (struct config_listen){ 0 }, (struct config_clients){ 0 });
	client_open(&c, &g);
	client_says(&c, "EHLO c\r\n", "220,250");
	client_says(&c, "ETRN ours.example\r\n", "502 5.5.1");	/* not this one */
	client_close(&c);
	stranger();
	client_open(&c, &g);
	client_says(&c, "ETRN ours.example\r\n", "220,503 5.5.1");
	client_says(&c, "EHLO c\r\n", "250");
	client_says(&c, "ETRN\r\n", "501 5.5.4");
	client_says(&c, "ETRN ours..example\r\n", "501 5.5.4");
	client_says(&c, "ETRN other.example\r\n", "459 4.7.1");
	client_says(&c, "ETRN #other\r\n", "459");
	client_says(&c, "ETRN #nothing\r\n", "459");
	assert_string_equal(rig_woken, "");
	rig_waiting = 5000;
	client_says(&c, "ETRN OURS.example\r\n", "253 2.0.0 5000 pending");
	client_says(&c, "ETRN @ours.example\r\n", "253 2.0.0 5000 pending");
	rig_waiting = 0;
	client_says(&c, "ETRN #INSIDE\r\n", "251 2.0.0");
	assert_string_equal(rig_woken, "inside OURS.example;inside @ours.example;inside @;");
	for (unsigned i = 0; i < 7; i++)
		client_says(&c, "ETRN ours.example\r\n", "251");
	client_says(&c, "ETRN ours.example\r\n", "458");
	client_close(&c);
	doors_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_proxy_late),
		cmocka_unit_test(test_proxied_loopback),
		cmocka_unit_test(test_xclient),
		cmocka_unit_test(test_xclient_by_the_client),
		cmocka_unit_test(test_xclient_of_proxies),
		cmocka_unit_test(test_xclient_without_address),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_early_talker),
		cmocka_unit_test(test_tarpit),
		cmocka_unit_test(test_null_sender),
		cmocka_unit_test(test_popped),
		cmocka_unit_test(test_etrn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
