/* strangers: lists, names, greylisting and limits together, with a DNS that the test answers. */
#include "policy/strangers.h"

#include "base/hash.h"
#include "policy/lists.h"
#include "policy/names.h"
#include "unit/policy/zone.h"

#include <stdlib.h>

#define A4(a, b, c, d) ((const char[]){ (char)(a), (char)(b), (char)(c), (char)(d), 0 })
#define ROW_A(name, a, b, c, d) { name, DNS_A, DNS_OK, A4(a, b, c, d), 1, 4 }
#define ROW_TXT(name, text) { name, DNS_TXT, DNS_OK, text, 1, sizeof(text) - 1 }
#define ROW_PTR(name, wire) { name, DNS_PTR, DNS_OK, wire, 1, sizeof(wire) }

static const struct zone_row rows[] = {
	ROW_A("1.2.0.192.block.example", 127, 0, 0, 2),
	ROW_TXT("1.2.0.192.block.example", "\004hell\005o \033[m"),
	ROW_A("1.0.0.2.block.example", 127, 0, 0, 2),
	ROW_A("2.0.0.127.block.example", 127, 0, 0, 2),
	ROW_A("1.2.0.192.some.example", 127, 0, 0, 10),
	ROW_A("2.0.0.127.some.example", 127, 0, 0, 2),
	ROW_A("1.2.0.192.allow.example", 127, 0, 0, 3),
	ROW_A("7.2.0.192.allow.example", 127, 0, 0, 3),
	ROW_A("2.0.0.127.allow.example", 127, 0, 0, 2),
	/* for everybody */
	ROW_A("1.2.0.192.all.example", 127, 0, 0, 2),
	ROW_A("9.2.0.192.all.example", 127, 0, 0, 2),
	ROW_A("1.0.0.127.all.example", 127, 0, 0, 2),
	ROW_A("2.0.0.127.all.example", 127, 0, 0, 2),
	/* error codes, and no list's answer at all */
	ROW_A("1.2.0.192.error.example", 127, 255, 255, 254),
	ROW_A("1.2.0.192.parked.example", 203, 0, 113, 1),
	{ "1.2.0.192.silent.example", DNS_A, DNS_TIMEOUT, NULL, 0, 0 },
	{ "1.0.0.127.silent.example", DNS_A, DNS_TIMEOUT, NULL, 0, 0 },
	{ "1.2.0.192.failing.example", DNS_A, DNS_SERVFAIL, NULL, 0, 0 },
	ROW_A("8.b.d.0.1.0.0.2.v6.example", 127, 0, 0, 2),
	ROW_A("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.block.example", 127,
	      0, 0, 2),
	/* names */
	ROW_PTR("1.2.0.192.in-addr.arpa", "\004mail\001a\007example"),
	ROW_A("mail.a.example", 192, 0, 2, 1),
	ROW_PTR("2.2.0.192.in-addr.arpa", "\004mail\001a\007example"),
	ROW_PTR("3.2.0.192.in-addr.arpa", "\004gone\001a\007example"),
	ROW_PTR("4.2.0.192.in-addr.arpa", "\004slow\001a\007example"),
	{ "slow.a.example", DNS_A, DNS_SERVFAIL, NULL, 0, 0 },
	{ "5.2.0.192.in-addr.arpa", DNS_PTR, DNS_SERVFAIL, NULL, 0, 0 },
	ROW_PTR("6.2.0.192.in-addr.arpa", "\377broken"),
	{ "mxonly.example", DNS_MX, DNS_OK, "\0\012\004mail\001a\007example", 1, 17 },
};

static struct dns_list list_of(const char *zone, int weight)
{
	return (struct dns_list){ .zone = str_of(zone), .weight = weight };
}

static void set_client(struct client *c, const char *ip)
{
	*c = (struct client){ .helo = STR("mail.a.example") };
	CHECK(ip_parse(str_of(ip), &c->ip));
}

static struct strangers *strangers;
static const struct rule any = { .accept = true, .who = WHO_ANY };
static const struct rule known = { .accept = true, .who = WHO_NETWORKS };

static struct decision rcpt(const struct config *c, const struct config_clients *cc,
			    const struct client *client, struct stranger *x, const char *recipient)
{
	struct address sender = address_split(STR("s@sender.example"));
	struct address to = address_split(str_of(recipient));
	struct decision d = { .verdict = VERDICT_ACCEPT, .rule = &any };

	strangers_recipient(strangers, c, cc, client, x, &sender, &to, &d);
	return d;
}

/* ---- lists */

static void test_names_of_lists(void **state)
{
	struct ip ip;
	char name[DNS_NAME_MAX + 1], longest[260];

	(void)state;
	assert_true(ip_parse(STR("192.0.2.1"), &ip));
	assert_true(lists_name(&ip, STR("zen.example"), name));
	assert_string_equal(name, "1.2.0.192.zen.example");
	memset(longest, 'a', sizeof(longest));
	assert_true(lists_name(&ip, str_make(longest, 243), name));
	assert_false(lists_name(&ip, str_make(longest, 244), name));
	assert_true(ip_parse(STR("2001:db8::567:89ab"), &ip));
	assert_true(lists_name(&ip, STR("zen.example"), name));
	assert_string_equal(name, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
				  "8.b.d.0.1.0.0.2.zen.example");
	ip = (struct ip){ 0 };
	assert_false(lists_name(&ip, STR("zen.example"), name));
}

static void test_answers_that_count(void **state)
{
	static const struct {
		const char *answer;
		bool any, named;
	} cases[] = {
		{ "127.0.0.2", true, true }, { "127.0.0.3", true, false },
		{ "127.0.0.4", true, true }, { "127.255.255.254", false, false },
		{ "127.255.255.255", false, false }, { "127.255.254.1", true, false },
		{ "10.0.0.1", false, false }, { "128.0.0.2", false, false },
		{ "::7f00:2", false, false },
	};
	struct ip answers[2], ip;
	struct dns_list list = list_of("x", 1), named = list_of("x", 1);

	(void)state;
	assert_true(ip_parse(STR("127.0.0.2"), &answers[0]));
	assert_true(ip_parse(STR("127.0.0.4"), &answers[1]));
	named.answers = answers;
	named.answers_n = 2;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(ip_parse(str_of(cases[i].answer), &ip));
		if (lists_counts(&list, &ip) != cases[i].any ||
		    lists_counts(&named, &ip) != cases[i].named)
			fail_msg("%s", cases[i].answer);
	}
}

static void ask_lists(void *arg)
{
	const struct dns_list all[] = {
		list_of("block.example", 3), list_of("some.example", 2),
		list_of("allow.example", -1), list_of("all.example", 100),
		list_of("error.example", 100), list_of("parked.example", 100),
		list_of("silent.example", 100), list_of("failing.example", 100),
		list_of("v6.example", 100),
	};
	struct config_clients cc = { .lists = all, .lists_n = 9, .lists_refuse = 4 };
	struct lists *l = lists_new(zone_dns);
	struct listing found;
	struct ip ip;
	uint64_t began = loop_now();
	unsigned asked;

	(void)arg;
	CHECK(ip_parse(STR("192.0.2.1"), &ip));
	lists_ask(l, &cc, &ip, in_ms(300), &found);
	CHECK(loop_now() - began < 2 * SECOND);
	CHECK_EQ(found.score, 4);
	CHECK_EQ(found.n, 3);
	CHECK(strcmp(found.said, "block.example: 127.0.0.2 (hello ?[m); some.example: 127.0.0.10; "
				 "allow.example: 127.0.0.3") == 0);
	/* the dead one is not asked any more, and tests are not made twice in an hour */
	asked = zone_asked;
	CHECK(ip_parse(STR("192.0.2.9"), &ip));
	cc.lists_n = 4;
	lists_ask(l, &cc, &ip, in_ms(300), &found);
	CHECK_EQ(found.score, 0);
	CHECK_EQ(found.n, 0);
	CHECK_EQ(zone_asked - asked, 3);
	/* an hour later it is asked about its health again, and nothing else */
	zone_pass(LISTS_TEST_NS + SECOND);
	asked = zone_asked;
	lists_ask(l, &cc, &ip, in_ms(300), &found);
	CHECK_EQ(found.score, 0);
	CHECK_EQ(zone_asked - asked, 3 + 4 * 2);
	/* IPv6 */
	CHECK(ip_parse(STR("2001:db8::1"), &ip));
	lists_ask(l, &cc, &ip, in_ms(300), &found);
	CHECK_EQ(found.score, 3);
	lists_free(l);
}

static void test_lists(void **state)
{
	(void)state;
	zone_open(rows, sizeof(rows) / sizeof(rows[0]), 1);
	zone_run(ask_lists, NULL);
	zone_close();
}

/* The asker is cancelled: it comes back at once, and nothing is left behind. */
static struct task *asker;
static bool asker_ended;

static void be_asker(void *arg)
{
	const struct dns_list all[] = { list_of("silent.example", 1), list_of("block.example", 1) };
	const struct config_clients cc = { .lists = all, .lists_n = 2 };
	struct listing found;
	struct ip ip;

	CHECK(ip_parse(STR("192.0.2.1"), &ip));
	lists_ask(arg, &cc, &ip, in_seconds(60), &found);
	CHECK(task_is_cancelled());
	asker_ended = true;
}

static void cancel_asker(void *arg)
{
	struct lists *l = lists_new(zone_dns);

	(void)arg;
	asker = task_start(NULL, be_asker, l, "asker");
	CHECK_EQ(task_sleep_until(in_ms(20)), 0);
	CHECK(!asker_ended);
	task_cancel(asker);
	for (int i = 0; i < 100 && !asker_ended; i++)
		task_sleep_until(in_ms(2));
	CHECK(asker_ended);
	lists_free(l);
}

static void test_cancelled(void **state)
{
	(void)state;
	zone_open(rows, sizeof(rows) / sizeof(rows[0]), 1);
	zone_run(cancel_asker, NULL);
	zone_close();
}

/* ---- names */

static void ask_names(void *arg)
{
	static const struct {
		const char *ip;
		enum name_state state;
	} cases[] = {
		{ "192.0.2.1", NAME_VERIFIED }, { "192.0.2.2", NAME_UNVERIFIED },
		{ "192.0.2.3", NAME_UNVERIFIED }, { "192.0.2.4", NAME_UNKNOWN },
		{ "192.0.2.5", NAME_UNKNOWN }, { "192.0.2.6", NAME_NONE },
		{ "192.0.2.99", NAME_NONE }, { "2001:db8::1", NAME_NONE },
	};
	static const struct {
		const char *helo;
		enum name_state valid, resolves, matches;
	} helos[] = {
		{ "mail.a.example", NAME_VERIFIED, NAME_VERIFIED, NAME_VERIFIED },
		{ "other.example", NAME_VERIFIED, NAME_NONE, NAME_NONE },
		{ "mxonly.example", NAME_VERIFIED, NAME_VERIFIED, NAME_NONE },
		{ "slow.a.example", NAME_VERIFIED, NAME_UNKNOWN, NAME_UNKNOWN },
		{ "[192.0.2.1]", NAME_VERIFIED, NAME_VERIFIED, NAME_VERIFIED },
		{ "[192.0.2.2]", NAME_VERIFIED, NAME_VERIFIED, NAME_NONE },
		{ "[IPv6:2001:db8::1]", NAME_VERIFIED, NAME_VERIFIED, NAME_NONE },
		{ "192.0.2.1", NAME_UNVERIFIED, NAME_UNVERIFIED, NAME_UNVERIFIED },
		{ "localhost", NAME_UNVERIFIED, NAME_UNVERIFIED, NAME_UNVERIFIED },
		{ "-a.example", NAME_UNVERIFIED, NAME_UNVERIFIED, NAME_UNVERIFIED },
		{ "a b.example", NAME_UNVERIFIED, NAME_UNVERIFIED, NAME_UNVERIFIED },
		{ "[1.2.3]", NAME_UNVERIFIED, NAME_UNVERIFIED, NAME_UNVERIFIED },
	};
	char name[DNS_NAME_MAX + 1] = "";
	struct ip ip;

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK(ip_parse(str_of(cases[i].ip), &ip));
		CHECK_EQ(names_reverse(zone_dns, &ip, in_seconds(1), name), cases[i].state);
	}
	CHECK(strcmp(name, "mail.a.example") == 0);
	CHECK(ip_parse(STR("192.0.2.1"), &ip));
	for (size_t i = 0; i < sizeof(helos) / sizeof(helos[0]); i++) {
		struct str helo = str_of(helos[i].helo);
		uint64_t until = in_seconds(1);

		CHECK_EQ(names_helo(zone_dns, helo, NAME_IGNORED, &ip, until), NAME_VERIFIED);
		CHECK_EQ(names_helo(zone_dns, helo, NAME_VALID, &ip, until), helos[i].valid);
		CHECK_EQ(names_helo(zone_dns, helo, NAME_RESOLVES, &ip, until), helos[i].resolves);
		CHECK_EQ(names_helo(zone_dns, helo, NAME_MATCHES, &ip, until), helos[i].matches);
	}
}

static void test_names(void **state)
{
	(void)state;
	zone_open(rows, sizeof(rows) / sizeof(rows[0]), 1);
	zone_run(ask_names, NULL);
	zone_close();
}

/* ---- all together */

static void check_reply(const struct decision *d, unsigned code, const char *text)
{
	CHECK_EQ(d->verdict, code == 0 ? VERDICT_ACCEPT : code < 500 ? VERDICT_LATER
								      : VERDICT_REFUSE);
	if (!code)
		return;
	CHECK_EQ(d->reply.code, code);
	CHECK_EQ(d->reply.enhanced.class, code / 100);
	if (str_search(d->reply.text, str_of(text)) < 0)
		fprintf(stderr, "\"%.*s\"\n", STR_ARG(d->reply.text));
	CHECK(str_search(d->reply.text, str_of(text)) >= 0);
}

static void ask_rcpt(void *arg)
{
	const struct dns_list all[] = { list_of("block.example", 3), list_of("allow.example", -5) };
	struct config_clients cc = { .lists = all, .lists_n = 1, .lists_refuse = 3 };
	struct config c = { .limits_n = 0 };
	struct stranger x = { .score = 0 };
	struct client client;
	struct decision d;

	(void)arg;
	set_client(&client, "192.0.2.1");
	/* nothing was looked up yet: nothing is held against him */
	d = rcpt(&c, &cc, &client, &x, "r@r.example");
	check_reply(&d, 0, "");
	strangers_look_up(strangers, &cc, &client, &x, in_seconds(1));
	d = rcpt(&c, &cc, &client, &x, "r@r.example");
	check_reply(&d, 550, "Mail from 192.0.2.1 is refused: block.example: 127.0.0.2 (hello");
	CHECK_EQ(d.reply.enhanced.detail, 1);
	d = rcpt(&c, &cc, &client, &x, "PostMaster@r.example");
	check_reply(&d, 0, "");
	cc.lists_refuse = 4;
	d = rcpt(&c, &cc, &client, &x, "r@r.example");
	check_reply(&d, 0, "");
	cc.lists_refuse = 3;
	cc.lists_n = 2;		/* the allow list outweighs it */
	strangers_look_up(strangers, &cc, &client, &x, in_seconds(1));
	CHECK_EQ(x.score, -2);
	d = rcpt(&c, &cc, &client, &x, "r@r.example");
	check_reply(&d, 0, "");
}

static void ask_known(void *arg)
{
	const struct dns_list all[] = { list_of("block.example", 3) };
	const struct config_clients cc = { .lists = all, .lists_n = 1, .lists_refuse = 1,
					   .greylist = true, .greylist_delay_ns = SECOND,
					   .helo = NAME_VALID };
	struct config c = { .limits_n = 0 };
	struct address sender = { 0 }, to = address_split(STR("r@r.example"));

	(void)arg;
	for (int i = 0; i < 6; i++) {
		struct decision d = { .verdict = VERDICT_ACCEPT, .rule = i == 4 ? &known : &any };
		struct stranger x = { .score = 0 };
		struct decision helo;
		struct client client;

		set_client(&client, "192.0.2.1");
		client.helo = STR("x");
		client.is_local = i == 1;
		client.login = i == 2 ? STR("anna") : STR_NONE;
		client.has_popped = i == 3;
		if (i == 5)
			client.ip.family = 0;	/* the control socket */
		strangers_look_up(strangers, &cc, &client, &x, in_seconds(1));
		strangers_helo(strangers, &cc, &client, &x, &helo);
		strangers_recipient(strangers, &c, &cc, &client, &x, &sender, &to, &d);
		CHECK_EQ(d.verdict, i == 0 ? VERDICT_REFUSE : VERDICT_ACCEPT);
	}
}

static void ask_checks(void *arg)
{
	static const struct {
		const char *ip;
		enum name_check check;
		unsigned code;
		const char *text;
	} cases[] = {
		{ "192.0.2.1", NAME_MATCHES, 0, "" },
		{ "192.0.2.2", NAME_MATCHES, 550, "does not lead back" },
		{ "192.0.2.2", NAME_RESOLVES, 0, "" },
		{ "192.0.2.99", NAME_RESOLVES, 550, "has no name" },
		{ "192.0.2.99", NAME_MATCHES, 550, "has no name" },
		{ "192.0.2.99", NAME_IGNORED, 0, "" },
		{ "192.0.2.4", NAME_MATCHES, 0, "" },		/* the DNS fails */
		{ "192.0.2.5", NAME_RESOLVES, 0, "" },
	};
	struct config c = { .limits_n = 0 };

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config_clients cc = { .reverse_name = cases[i].check,
						   .helo = NAME_RESOLVES };
		struct stranger x = { .score = 0 };
		struct client client;
		struct decision d;

		set_client(&client, cases[i].ip);
		strangers_look_up(strangers, &cc, &client, &x, in_seconds(1));
		d = rcpt(&c, &cc, &client, &x, "r@r.example");
		check_reply(&d, cases[i].code, cases[i].text);
		if (cases[i].code)
			CHECK_EQ(d.reply.enhanced.detail, 25);
		/* what HELO said is told at RCPT, until another HELO is better */
		client.helo = STR("nowhere.example");
		strangers_helo(strangers, &cc, &client, &x, &d);
		check_reply(&d, 550, "does not exist");
		d = rcpt(&c, &cc, &client, &x, "r@r.example");
		check_reply(&d, 550, "does not exist");
		client.helo = STR("mail.a.example");
		strangers_helo(strangers, &cc, &client, &x, &d);
		check_reply(&d, 0, "");
		d = rcpt(&c, &cc, &client, &x, "r@r.example");
		check_reply(&d, cases[i].code, cases[i].text);
	}
}

/* EHLO again and again: the same name is asked about once, and only a few others are. */
static void ask_helos(void *arg)
{
	const struct config_clients cc = { .helo = NAME_RESOLVES };
	struct stranger x = { .score = 0 };
	struct config c = { .limits_n = 0 };
	struct client client;
	struct decision d;
	unsigned before;

	(void)arg;
	set_client(&client, "192.0.2.1");
	for (int i = 0; i < 20; i++) {
		client.helo = i % 2 ? STR("NOWHERE.example") : STR("nowhere.example");
		strangers_helo(strangers, &cc, &client, &x, &d);
		check_reply(&d, 550, "does not exist");
	}
	before = zone_asked;
	for (int i = 0; i < 20; i++) {
		char name[32];

		snprintf(name, sizeof(name), "nowhere%d.example", i);
		client.helo = str_of(name);
		strangers_helo(strangers, &cc, &client, &x, &d);
		check_reply(&d, 550, i < 3 ? "does not exist" : "another name");
		d = rcpt(&c, &cc, &client, &x, "r@r.example");
		check_reply(&d, 550, i < 3 ? "does not exist" : "another name");
	}
	CHECK(zone_asked > before && zone_asked - before <= 3 * 3);
	client.helo = STR("mail.a.example");	/* too late */
	strangers_helo(strangers, &cc, &client, &x, &d);
	check_reply(&d, 550, "another name");
}

static void ask_greylist(void *arg)
{
	const struct dns_list all[] = { list_of("allow.example", -1) };
	const struct config_clients cc = {
		.greylist = true, .greylist_delay_ns = 300 * SECOND, .lists = all, .lists_n = 1,
		.greylist_window_ns = 3600 * SECOND, .greylist_pass_ns = 86400 * SECOND,
	};
	struct config c = { .limits_n = 0 };
	struct stranger x = { .score = 0 }, other = { .score = 0 };
	struct client client;
	struct decision d;

	(void)arg;
	set_client(&client, "192.0.2.1");
	strangers_look_up(strangers, &cc, &client, &x, in_seconds(1));
	x.score = 0;	/* 192.0.2.1 is on the allow list: as if it were not */
	CHECK(strcmp(x.name, "mail.a.example") == 0);
	d = rcpt(&c, &cc, &client, &x, "r@r.example");
	check_reply(&d, 450, "Greylisted: try again in 300 seconds");
	CHECK_EQ(d.reply.enhanced.subject, 7);
	strangers_good(strangers, &c, &cc, &client, &x, 1, 1);	/* nothing has passed: no merit */
	zone_pass(301 * SECOND);
	for (unsigned i = 0; i < 5; i++) {
		d = rcpt(&c, &cc, &client, &x, "r@r.example");
		check_reply(&d, 0, "");
		d = rcpt(&c, &cc, &client, &other, "new@r.example");
		check_reply(&d, 450, "Greylisted");
		strangers_good(strangers, &c, &cc, &client, &x, 1, 1);
	}
	/* five have passed: now anything from there does */
	d = rcpt(&c, &cc, &client, &x, "another@r.example");
	check_reply(&d, 0, "");
	/* an allow list needs none of this */
	set_client(&client, "192.0.2.7");
	strangers_look_up(strangers, &cc, &client, &other, in_seconds(1));
	d = rcpt(&c, &cc, &client, &other, "third@r.example");
	check_reply(&d, 0, "");
}

static void ask_limits(void *arg)
{
	struct limit limits[] = {
		{ .text = STR("a"), .what = LIMIT_CONNECTIONS, .count = 1,
		  .per = LIMIT_PER_CLIENT },
		{ .text = STR("b"), .what = LIMIT_MESSAGES, .count = 2, .period_ns = 60 * SECOND,
		  .per = LIMIT_PER_CLIENT },
		{ .text = STR("c"), .what = LIMIT_RECIPIENTS, .count = 2, .period_ns = 60 * SECOND,
		  .per = LIMIT_PER_CLIENT },
		{ .text = STR("d"), .what = LIMIT_RECIPIENTS, .count = 1, .period_ns = 60 * SECOND,
		  .per = LIMIT_PER_LOGIN },
		{ .text = STR("e"), .what = LIMIT_CONNECTIONS, .count = 1, .per = LIMIT_PER_LOGIN },
		{ .text = STR("f"), .what = LIMIT_HANDSHAKES, .count = 2, .period_ns = 60 * SECOND,
		  .per = LIMIT_PER_CLIENT },
	};
	struct config c = { .limits = limits, .limits_n = 6 };
	const struct config_clients cc = { .lists_n = 0 };
	struct stranger x = { .score = 0 }, y = { .score = 0 };
	struct client client, user;
	struct decision d;

	(void)arg;
	set_client(&client, "192.0.2.1");
	strangers_connected(strangers, &c, &client, &x, &d);
	check_reply(&d, 0, "");
	CHECK(x.counted);
	strangers_connected(strangers, &c, &client, &y, &d);
	check_reply(&d, 421, "Too many connections");
	CHECK(!y.counted);
	for (int i = 0; i < 3; i++) {
		strangers_message(strangers, &c, &client, &x, 0, &d);
		check_reply(&d, i < 2 ? 0 : 450, "Too many messages from you, try again in 6");
	}
	for (int i = 0; i < 3; i++) {
		d = rcpt(&c, &cc, &client, &x, i ? "r@r.example" : "postmaster@r.example");
		check_reply(&d, i < 2 ? 0 : 450, "Too many recipients");
	}
	for (int i = 0; i < 3; i++) {
		strangers_handshake(strangers, &c, &client, &d);
		check_reply(&d, i < 2 ? 0 : 421, "Too many handshakes");
	}
	strangers_disconnected(strangers, &x);
	strangers_connected(strangers, &c, &client, &y, &d);
	check_reply(&d, 0, "");
	/* a login has limits of its own, and only these */
	user = client;
	user.login = STR("anna");
	strangers_logged_in(strangers, &c, &user, &y, &d);
	check_reply(&d, 0, "");
	x = (struct stranger){ .score = 0 };
	strangers_logged_in(strangers, &c, &user, &x, &d);
	check_reply(&d, 421, "Too many connections");
	/* once, however often: STARTTLS forgets it, and it logs in again */
	strangers_logged_in(strangers, &c, &user, &y, &d);
	check_reply(&d, 0, "");
	strangers_logged_out(strangers, &y);
	strangers_logged_out(strangers, &y);
	strangers_logged_in(strangers, &c, &user, &x, &d);
	check_reply(&d, 0, "");
	strangers_disconnected(strangers, &x);
	strangers_disconnected(strangers, &x);
	strangers_connected(strangers, &c, &client, &x, &d);
	check_reply(&d, 421, "Too many connections");	/* its connection still counts */
	strangers_logged_in(strangers, &c, &user, &y, &d);
	check_reply(&d, 0, "");
	for (int i = 0; i < 4; i++) {
		strangers_message(strangers, &c, &user, &y, 0, &d);
		check_reply(&d, 0, "");
	}
	for (int i = 0; i < 2; i++) {
		d = rcpt(&c, &cc, &user, &y, "r@r.example");
		check_reply(&d, i ? 450 : 0, "Too many recipients");
	}
	strangers_disconnected(strangers, &y);
	strangers_disconnected(strangers, &y);
	client.is_local = true;
	for (int i = 0; i < 10; i++) {
		strangers_connected(strangers, &c, &client, &x, &d);
		check_reply(&d, 0, "");
		d = rcpt(&c, &cc, &client, &x, "r@r.example");
		check_reply(&d, 0, "");
		strangers_handshake(strangers, &c, &client, &d);
		check_reply(&d, 0, "");
	}
	strangers_disconnected(strangers, &x);
}

static void with_strangers(void (*fn)(void *arg))
{
	zone_open(rows, sizeof(rows) / sizeof(rows[0]), 1);
	strangers = strangers_new(zone_net, zone_dns, NULL);
	zone_run(fn, NULL);
	strangers_stop(strangers);
	strangers_free(strangers);
	zone_close();
}

static void test_rcpt(void **state)
{
	(void)state;
	with_strangers(ask_rcpt);
}

static void test_known(void **state)
{
	(void)state;
	with_strangers(ask_known);
}

static void test_checks(void **state)
{
	(void)state;
	with_strangers(ask_checks);
}

static void test_helos(void **state)
{
	(void)state;
	with_strangers(ask_helos);
}

static void test_greylist(void **state)
{
	(void)state;
	with_strangers(ask_greylist);
}

static void test_limits(void **state)
{
	(void)state;
	with_strangers(ask_limits);
}

/* ---- kept */

static char folder[] = "/tmp/relevo-strangers-XXXXXX";
static unsigned expected;

static void ask_kept(void *arg)
{
	const struct config_clients cc = {
		.greylist = true, .greylist_delay_ns = SECOND / 2,
		.greylist_window_ns = 3600 * SECOND, .greylist_pass_ns = 86400 * SECOND,
	};
	struct config c = { .limits_n = 0 };
	struct stranger x = { .score = 0 };
	struct client client;
	struct decision d;

	(void)arg;
	set_client(&client, "192.0.2.1");
	d = rcpt(&c, &cc, &client, &x, "r@r.example");
	check_reply(&d, expected, "Greylisted");
}

static void test_kept(void **state)
{
	char path[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/greylist", folder);
	for (int i = 0; i < 2; i++) {
		zone_open(rows, sizeof(rows) / sizeof(rows[0]), 1);
		strangers = strangers_new(zone_net, zone_dns, folder);
		expected = i ? 0 : 450;
		zone_run(ask_kept, NULL);
		strangers_stop(strangers);
		strangers_free(strangers);
		zone_close();
		assert_int_equal(access(path, F_OK), 0);
		usleep(600000);
	}
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_lists),
		cmocka_unit_test(test_answers_that_count),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_helos),
		cmocka_unit_test(test_greylist),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_kept),
	};

	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
