/* policy: rules against clients, senders and recipients; <postmaster>; what explain says. */
#include "config/table.h"
#include "policy/match.h"
#include "policy/policy.h"
#include "unit/config/text.h"

static const char text[] =
	"version 1\n"
	"hostname relay.example.net\n"
	"listen 127.0.0.1\n"
	/* 4 */
	"route inside { host 10.0.0.5; host 10.0.0.6 { backup; weight 3 } }\n"
	"route out { host smtp.provider.example:587 }\n"
	"table partners {\n\texample.org .example.org\n\tboss@example.com \"\\\"two "
	"words\\\"@example.com\"\n}\n"
	/* 10 */
	"table offices { 192.0.2.0/24 2001:db8:17::/48 }\n"
	"postmaster admin@example.net via inside\n"
	/* 12 */
	"reject from 192.0.2.66 to any \"not you\"\n"
	/* 13 */
	"reject from any to address gone@example.org \"has left\"\n"
	"accept from any to domain table partners via inside\n" /* 14 */
	/* 15 */
	"accept from table offices sender example.net boss@example.com to any via out\n"
	/* 16 */
	"accept from 198.51.100.0/24 to address a@b.example via lmtp://10.0.0.9\n"
	/* 17 */
	"accept from any to table partners via inside\n"
	/* 18 */
	"accept from any to domain [192.0.2.1] via inside\n"
	/* 19 */
	"accept from local to any via out\n";

struct decide_case {
	const char *client, *sender, *recipient;
	const char *route;	/* NULL: refused */
	unsigned line;		/* of the rule; 0: none */
};

static const struct decide_case cases[] = {
	/* to our domains: everyone */
	{ "203.0.113.1", "x@stranger.example", "someone@example.org", "inside", 14 },
	{ "203.0.113.1", "", "someone@example.org", "inside", 14 },
	{ "203.0.113.1", "x@stranger.example", "someone@EXAMPLE.ORG", "inside", 14 },
	{ "203.0.113.1", "x@stranger.example", "someone@sub.example.org", "inside", 14 },
	{ "203.0.113.1", "x@stranger.example", "someone@sub.sub.example.org", "inside", 14 },
	{ "203.0.113.1", "x@stranger.example", "someone@xexample.org", NULL, 0 },
	{ "203.0.113.1", "x@stranger.example", "someone@example.org.evil.example", NULL, 0 },
	/* addresses of a table: not for `domain table`, but for `table` */
	{ "203.0.113.1", "x@stranger.example", "boss@example.com", "inside", 17 },
	{ "203.0.113.1", "x@stranger.example", "BOSS@Example.Com", "inside", 17 },
	{ "203.0.113.1", "x@stranger.example", "\"boss\"@example.com", "inside", 17 },
	{ "203.0.113.1", "x@stranger.example", "\"two words\"@example.com", "inside", 17 },
	{ "203.0.113.1", "x@stranger.example", "clerk@example.com", NULL, 0 },
	/* an earlier rule wins */
	{ "203.0.113.1", "x@stranger.example", "gone@example.org", NULL, 13 },
	{ "127.0.0.1", "x@stranger.example", "gone@example.org", NULL, 13 },
	{ "192.0.2.66", "x@example.net", "someone@example.org", NULL, 12 },
	{ "192.0.2.66", "x@example.net", "x@far.example", NULL, 12 },
	/* to anywhere: offices, with a sender of ours */
	{ "192.0.2.1", "x@example.net", "x@far.example", "out", 15 },
	{ "::ffff:192.0.2.1", "x@example.net", "x@far.example", "out", 15 },
	{ "2001:db8:17::1", "x@EXAMPLE.net", "x@far.example", "out", 15 },
	{ "2001:db8:18::1", "x@example.net", "x@far.example", NULL, 0 },
	{ "192.0.2.1", "boss@example.com", "x@far.example", "out", 15 },
	{ "192.0.2.1", "clerk@example.com", "x@far.example", NULL, 0 },
	{ "192.0.2.1", "x@sub.example.net", "x@far.example", NULL, 0 },
	{ "192.0.2.1", "", "x@far.example", NULL, 0 },
	{ "192.0.3.1", "x@example.net", "x@far.example", NULL, 0 },
	{ "203.0.113.1", "boss@example.com", "x@far.example", NULL, 0 },
	/* one address, a route written out */
	{ "198.51.100.9", "x@y.example", "A@B.example", "lmtp://10.0.0.9", 16 },
	{ "198.51.101.9", "x@y.example", "a@b.example", NULL, 0 },
	/* the percent hack and its kin: at its domain and nothing else, and not for strangers */
	{ "203.0.113.1", "x@y.example", "victim%far.example@example.org", NULL, 14 },
	{ "203.0.113.1", "x@y.example", "someone%example.org@far.example", NULL, 0 },
	{ "203.0.113.1", "x@y.example", "example.org!someone@far.example", NULL, 0 },
	{ "203.0.113.1", "x@y.example", "\"someone@example.org\"@far.example", NULL, 0 },
	{ "203.0.113.1", "x@y.example", "\"victim@far.example\"@example.org", NULL, 14 },
	{ "203.0.113.1", "x@y.example", "far.example!victim@example.org", NULL, 14 },
	{ "127.0.0.1", "x@y.example", "victim%far.example@far.example", "out", 19 },
	/* literals */
	{ "203.0.113.1", "x@y.example", "x@[192.0.2.1]", "inside", 18 },
	{ "203.0.113.1", "x@y.example", "x@[192.0.2.2]", NULL, 0 },
	{ "203.0.113.1", "x@y.example", "x@[IPv6:::ffff:192.0.2.2]", NULL, 0 },
	/* local */
	{ "127.0.0.1", "x@y.example", "x@far.example", "out", 19 },
	{ "127.9.9.9", "", "x@far.example", "out", 19 },
	{ "::1", "x@y.example", "x@far.example", "out", 19 },
	{ "::ffff:127.0.0.1", "x@y.example", "x@far.example", "out", 19 },
	{ "", "x@y.example", "x@far.example", "out", 19 },
	{ "::2", "x@y.example", "x@far.example", NULL, 0 },
	{ "128.0.0.1", "x@y.example", "x@far.example", NULL, 0 },
	/* <postmaster> */
	{ "203.0.113.1", "x@y.example", "postmaster", "inside", 0 },
	{ "203.0.113.1", "", "Postmaster", "inside", 0 },
	{ "127.0.0.1", "", "postmaster", "inside", 0 },
	{ "192.0.2.66", "x@y.example", "postmaster", NULL, 12 },
};

static struct client client_of(const char *ip)
{
	struct endpoint peer = { .port = 12345 };
	struct client client;

	assert_true(!*ip || ip_parse(str_of(ip), &peer.ip));
	client_init(&client, &peer);
	return client;
}

static struct address address_of(const char *s)
{
	struct address a = { 0 };

	assert_true(!*s || address_parse(str_of(s), ADDRESS_POSTMASTER, &a) == ADDRESS_OK);
	return a;
}

static void check_case(const struct config *c, const struct decide_case *t)
{
	struct client client = client_of(t->client);
	struct address sender = address_of(t->sender), recipient = address_of(t->recipient);
	struct decision d;
	bool is_postmaster = !recipient.domain.n;

	policy_decide(c, &client, &sender, &recipient, &d);
	if ((d.verdict == VERDICT_ACCEPT) != (t->route != NULL) ||
	    (d.rule ? d.rule->place.line : 0) != t->line ||
	    (t->route && !str_eq(d.route->name, str_of(t->route))))
		fail_msg("%s <%s> <%s>: verdict %d, line %u", t->client, t->sender, t->recipient,
			 d.verdict, d.rule ? d.rule->place.line : 0);
	if (d.verdict == VERDICT_ACCEPT)
		assert_str_equal(d.recipient,
				 is_postmaster ? STR("admin@example.net") : str_of(t->recipient));
	else
		assert_true(d.reply.code == 550 && d.reply.enhanced.class == 5 &&
			    d.reply.text.n > 0);
}

static void test_decide(void **state)
{
	struct config *c = load_sound(text);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(c, &cases[i]);
	config_unref(c);
}

static void test_replies(void **state)
{
	struct config *c = load_sound(text);
	struct client client = client_of("203.0.113.1");
	struct address sender = address_of("x@y.example"), gone = address_of("gone@example.org"),
		       far = address_of("x@far.example");
	struct decision d;
	struct buf out = BUF_INIT(1000);

	(void)state;
	policy_decide(c, &client, &sender, &gone, &d);
	reply_describe(&out, &d.reply);
	assert_string_equal(buf_cstr(&out), "550 5.7.1 has left");
	buf_clear(&out);
	policy_decide(c, &client, &sender, &far, &d);
	reply_describe(&out, &d.reply);
	assert_string_equal(buf_cstr(&out), "550 5.7.1 relaying denied: no rule takes mail for "
					    "this recipient from you");
	buf_done(&out);
	config_unref(c);
}

/* What becomes of <postmaster> in configurations that say less about it. */
static void test_postmaster(void **state)
{
#define BASE                                                                                       \
	"version 1\nhostname relay.example.net\nlisten 127.0.0.1\nroute r { host a.example "       \
	"}\nroute s { host b.example }\n"
	static const struct {
		const char *name, *text, *client;
		const char *route;	/* NULL: refused */
	} some[] = {
		{ "no rules, a stranger", BASE "postmaster p@x.example via s\n", "203.0.113.1",
		  NULL },
		{ "no rules, local", BASE "postmaster p@x.example via s\n", "127.0.0.1", "s" },
		{ "no rules, local, no postmaster", BASE, "127.0.0.1", NULL },
		{ "networks only, a stranger",
		  BASE "postmaster p@x.example via s\naccept from 192.0.2.0/24 to any via r\n",
		  "203.0.113.1", NULL },
		{ "networks only, one of them",
		  BASE "postmaster p@x.example via s\naccept from 192.0.2.0/24 to any via r\n",
		  "192.0.2.1", "s" },
		{ "from any",
		  BASE "postmaster p@x.example via s\naccept from any to domain y.example via r\n",
		  "203.0.113.1", "s" },
		{ "from any, behind a refusal of all",
		  BASE "postmaster p@x.example via s\nreject from any to any\n"
		       "accept from any to domain y.example via r\n",
		  "203.0.113.1", NULL },
		{ "local, behind a refusal of all",
		  BASE "postmaster p@x.example via s\nreject from any to any\n", "127.0.0.1", "s" },
		{ "by the rules, as the stranger",
		  BASE "postmaster p@y.example\naccept from any to domain y.example via r\n",
		  "203.0.113.1", "r" },
		{ "by the rules, as the relay itself",
		  BASE "postmaster p@x.example\naccept from any to domain y.example via r\n"
		       "accept from local to any via s\n",
		  "203.0.113.1", "s" },
		{ "by the rules, which have none",
		  BASE "postmaster p@x.example\naccept from any to domain y.example via r\n",
		  "203.0.113.1", NULL },
		{ "nobody named", BASE "accept from any to domain y.example via r\n", "203.0.113.1",
		  NULL },
	};
	const struct address sender = address_of("x@stranger.example"),
			     postmaster = address_of("postmaster");

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		struct config *c = load_sound(some[i].text);
		struct client client = client_of(some[i].client);
		struct decision d;

		policy_decide(c, &client, &sender, &postmaster, &d);
		if ((d.verdict == VERDICT_ACCEPT) != (some[i].route != NULL) ||
		    (some[i].route && !str_eq(d.route->name, str_of(some[i].route))))
			fail_msg("%s: verdict %d", some[i].name, d.verdict);
		config_unref(c);
	}
}

static void test_hope(void **state)
{
	static const struct {
		const char *rules, *client;
		bool hope;
	} some[] = {
		{ "", "203.0.113.1", false },
		{ "", "127.0.0.1", true },
		{ "", "", true },
		{ "reject from any to any\n", "203.0.113.1", false },
		{ "accept from 192.0.2.0/24 to any via r\n", "203.0.113.1", false },
		{ "accept from 192.0.2.0/24 to any via r\n", "192.0.2.9", true },
		{ "accept from any to domain y.example via r\n", "203.0.113.1", true },
		{ "accept from local to any via r\n", "203.0.113.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		struct buf full = BUF_INIT(4096);
		struct client client = client_of(some[i].client);
		struct config *c;

		buf_printf(&full, BASE "%s", some[i].rules);
		c = load_sound(buf_cstr(&full));
		if (policy_has_hope(c, &client) != some[i].hope)
			fail_msg("%zu: %s %s", i, some[i].rules, some[i].client);
		config_unref(c);
		buf_done(&full);
	}
}

static void explained(const struct config *c, const char *from, const char *sender,
		      const char *recipient, const char *expected)
{
	struct client client = client_of(from);
	struct address s = address_of(sender), r = address_of(recipient);
	struct buf out = BUF_INIT(1 << 16);

	policy_explain(&out, c, &client, &s, &r);
	if (!str_eq(buf_str(&out), str_of(expected))) {
		print_error("--- expected\n%s--- got\n%s", expected, buf_cstr(&out));
		fail();
	}
	buf_done(&out);
}

static void test_explain(void **state)
{
	struct config *c = load_sound(text);

	(void)state;
	explained(c, "192.0.2.1", "clerk@example.com", "someone@sub.example.org",
		  "client 192.0.2.1, from <clerk@example.com>, to <someone@sub.example.org>\n"
		  "t.conf:12: reject from 192.0.2.66 to any \"not you\"\n"
		  "    does not fit: the client 192.0.2.1 is not in what the rule lists\n"
		  "t.conf:13: reject from any to address gone@example.org \"has left\"\n"
		  "    does not fit: the recipient <someone@sub.example.org> is not in what the "
		  "rule lists\n"
		  "t.conf:14: accept from any to domain table partners via inside\n"
		  "    fits\n"
		  "accepted for <someone@sub.example.org> by t.conf:14\n"
		  "route: inside (SMTP, t.conf:4, TLS if it is offered)\n"
		  "    host 10.0.0.5:25\n"
		  "    host 10.0.0.6:25, weight 3, backup\n");
	explained(c, "192.0.2.1", "clerk@example.com", "x@far.example",
		  "client 192.0.2.1, from <clerk@example.com>, to <x@far.example>\n"
		  "t.conf:12: reject from 192.0.2.66 to any \"not you\"\n"
		  "    does not fit: the client 192.0.2.1 is not in what the rule lists\n"
		  "t.conf:13: reject from any to address gone@example.org \"has left\"\n"
		  "    does not fit: the recipient <x@far.example> is not in what the rule lists\n"
		  "t.conf:14: accept from any to domain table partners via inside\n"
		  "    does not fit: the recipient <x@far.example> is not in table partners as a "
		  "domain\n"
		  "t.conf:15: accept from table offices sender example.net boss@example.com to any "
		  "via out\n"
		  "    does not fit: the sender <clerk@example.com> is not in what the rule lists\n"
		  "t.conf:16: accept from 198.51.100.0/24 to address a@b.example via "
		  "lmtp://10.0.0.9\n"
		  "    does not fit: the client 192.0.2.1 is not in what the rule lists\n"
		  "t.conf:17: accept from any to table partners via inside\n"
		  "    does not fit: the recipient <x@far.example> is not in table partners\n"
		  "t.conf:18: accept from any to domain [192.0.2.1] via inside\n"
		  "    does not fit: the recipient <x@far.example> is not in what the rule lists\n"
		  "t.conf:19: accept from local to any via out\n"
		  "    does not fit: the client 192.0.2.1 is not local\n"
		  "no other rule fits\n"
		  "refused: 550 5.7.1 relaying denied: no rule takes mail for this recipient from "
		  "you\n");
	explained(c, "203.0.113.1", "", "postmaster",
		  "client 203.0.113.1, from <>, to <postmaster>\n"
		  "<postmaster> is taken from local and from whomever a rule takes mail from\n"
		  "t.conf:14: accept from any to domain table partners via inside\n"
		  "accepted for <admin@example.net>\n"
		  "route: inside (SMTP, t.conf:4, TLS if it is offered)\n"
		  "    host 10.0.0.5:25\n"
		  "    host 10.0.0.6:25, weight 3, backup\n");
	config_unref(c);
}

/* Who has shown who he is: by login, certificate or POP; and HELO, which only makes it worse. */
#define PRINT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char who_text[] =
	"version 1\n"
	"hostname relay.example.net\n"
	"listen 127.0.0.1\n"
	"users file users\n"
	"pop 127.0.0.1\n"
	"route out { host smtp.provider.example }\n"
	"table staff { alice bob@example.net }\n"
	/* 8 */
	"reject from helo .dyn.example \"MY_PC\" to any \"no\"\n"
	"reject from login mallory to any\n" /* 9 */
	"accept from login table staff sender example.net to any via out\n" /* 10 */
	"accept from login carol to domain a.example via out\n" /* 11 */
	"accept from certificate " PRINT " to domain b.example via out\n" /* 12 */
	"accept from pop to domain c.example via out\n" /* 13 */
	"accept from login to domain d.example via out\n"; /* 14 */

struct who_case {
	const char *login, *helo, *fingerprint;
	bool has_popped;
	const char *sender, *recipient;
	bool accepted;
	unsigned line;		/* 0: no rule */
};

static const struct who_case who_cases[] = {
	{ NULL, NULL, NULL, false, "x@example.net", "y@far.example", false, 0 },
	{ "alice", NULL, NULL, false, "x@example.net", "y@far.example", true, 10 },
	{ "ALICE", NULL, NULL, false, "x@example.net", "y@far.example", true, 10 },
	{ "bob@EXAMPLE.net", NULL, NULL, false, "x@example.net", "y@far.example", true, 10 },
	{ "bob", NULL, NULL, false, "x@example.net", "y@far.example", false, 0 },
	{ "alice", NULL, NULL, false, "x@else.example", "y@far.example", false, 0 },
	{ "mallory", NULL, NULL, false, "x@example.net", "y@d.example", false, 9 },
	{ "carol", NULL, NULL, false, "", "y@a.example", true, 11 },
	{ "alice", NULL, NULL, false, "", "y@a.example", false, 0 },
	{ "dave", NULL, NULL, false, "", "y@d.example", true, 14 },
	{ "", NULL, NULL, false, "", "y@d.example", false, 0 },
	{ NULL, NULL, PRINT, false, "", "y@b.example", true, 12 },
	{ NULL, NULL, OTHER, false, "", "y@b.example", false, 0 },
	{ NULL, NULL, NULL, false, "", "y@b.example", false, 0 },
	{ NULL, NULL, NULL, true, "", "y@c.example", true, 13 },
	{ NULL, NULL, NULL, false, "", "y@c.example", false, 0 },
	{ "alice", "x.dyn.example", NULL, false, "x@example.net", "y@far.example", false, 8 },
	{ "alice", "dyn.example", NULL, false, "x@example.net", "y@far.example", true, 10 },
	{ "alice", "my_pc", NULL, false, "x@example.net", "y@far.example", false, 8 },
};

static void test_who(void **state)
{
	struct config *c = load_sound(who_text);
	struct endpoint peer = { .ip = { 4, { 203, 0, 113, 1 } } };

	(void)state;
	for (size_t i = 0; i < sizeof(who_cases) / sizeof(who_cases[0]); i++) {
		const struct who_case *w = &who_cases[i];
		struct address sender = { 0 }, recipient = address_split(str_of(w->recipient));
		struct client client;
		struct decision d;

		if (*w->sender)
			sender = address_split(str_of(w->sender));
		client_init(&client, &peer);
		client.login = str_of(w->login);
		client.helo = str_of(w->helo);
		client.fingerprint = str_of(w->fingerprint);
		client.has_popped = w->has_popped;
		policy_decide(c, &client, &sender, &recipient, &d);
		if ((d.verdict == VERDICT_ACCEPT) != w->accepted ||
		    (d.rule ? d.rule->place.line : 0) != w->line)
			fail_msg("case %zu: line %u", i, d.rule ? d.rule->place.line : 0);
	}
	config_unref(c);
}

/* Whether it is worth while to go on talking to somebody. */
static void test_hope_by_login(void **state)
{
	struct config *c = load_sound("version 1\nlisten 127.0.0.1\nusers file u\n"
				      "reject from helo x.example to any\n"
				      "accept from login to any via mx\n");
	struct endpoint peer = { .ip = { 4, { 203, 0, 113, 1 } } };
	struct client client;

	(void)state;
	client_init(&client, &peer);
	assert_false(policy_has_hope(c, &client));
	client.helo = STR("x.example");
	assert_false(policy_has_hope(c, &client));
	client.login = STR("alice");
	assert_true(policy_has_hope(c, &client));
	config_unref(c);
}

/* Nobody vouches for it, and its names cannot be asked: then there are none. */
static void test_certificate_alone(void **state)
{
	struct rule rule = { .accept = true, .who = WHO_CERTIFICATE };
	struct client client = { .fingerprint = STR(PRINT) };
	const struct address none = { 0 };
	struct arena a;
	struct table *t;
	struct entry e;

	(void)state;
	assert_int_equal(policy_match(&rule, &client, &none, &none), MATCH_NOT_WHO);
	client.certificate_verified = true;
	assert_int_equal(policy_match(&rule, &client, &none, &none), MATCH_ALL);
	arena_init(&a);
	t = table_new(&a, STR_NONE);
	assert_true(entry_parse(STR("client.example"), &e));
	table_insert(t, &e);
	rule.who_table = t;
	assert_int_equal(policy_match(&rule, &client, &none, &none), MATCH_NOT_WHO);
	assert_true(entry_parse(STR(PRINT), &e));
	table_insert(t, &e);
	client.certificate_verified = false;
	assert_int_equal(policy_match(&rule, &client, &none, &none), MATCH_ALL);
	table_done(t);
	arena_done(&a);
}

static void test_explain_who(void **state)
{
	struct config *c = load_sound(who_text);
	struct endpoint peer = { .ip = { 4, { 203, 0, 113, 1 } } };
	struct address sender = address_split(STR("x@example.net")),
		       recipient = address_split(STR("y@far.example"));
	struct buf out = BUF_INIT(1 << 16);
	struct client client;

	(void)state;
	client_init(&client, &peer);
	client.login = STR("dave");
	client.helo = STR("pc.example");
	policy_explain(&out, c, &client, &sender, &recipient);
	assert_str_equal(buf_str(&out), str_of(
		"client 203.0.113.1, logged in as dave, HELO pc.example, from <x@example.net>, "
		"to <y@far.example>\n"
		"t.conf:8: reject from helo .dyn.example \"MY_PC\" to any \"no\"\n"
		"    does not fit: the client says HELO pc.example, which is not in what the "
		"rule lists\n"
		"t.conf:9: reject from login mallory to any\n"
		"    does not fit: the client has logged in as dave, who is not in what the "
		"rule lists\n"
		"t.conf:10: accept from login table staff sender example.net to any via out\n"
		"    does not fit: the client has logged in as dave, who is not in table staff\n"
		"t.conf:11: accept from login carol to domain a.example via out\n"
		"    does not fit: the client has logged in as dave, who is not in what the "
		"rule lists\n"
		"t.conf:12: accept from certificate "
		PRINT
		" to domain b.example via out\n"
		"    does not fit: the client has shown no certificate\n"
		"t.conf:13: accept from pop to domain c.example via out\n"
		"    does not fit: the client has not looked at its mail\n"
		"t.conf:14: accept from login to domain d.example via out\n"
		"    does not fit: the recipient <y@far.example> is not in what the rule lists\n"
		"no other rule fits\n"
		"refused: 550 5.7.1 relaying denied: no rule takes mail for this recipient "
		"from you\n"));
	buf_done(&out);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decide),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_hope_by_login),
		cmocka_unit_test(test_certificate_alone),
		cmocka_unit_test(test_explain_who),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_postmaster),
		cmocka_unit_test(test_hope),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
