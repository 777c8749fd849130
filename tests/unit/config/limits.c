/* config: limits: what they say, whom they are about, and what they cannot say. */
#include "unit/config/text.h"

static const struct text_case message_cases[] = {
	{
		"limits that are fine",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.2\n"
		"pool p { source a; source b }\n"
		"table t { x.example }\n"
		"providers none\n"
		"provider x { mx .x.example }\n"
		"provider y { mx .y.example }\n"
		"limit 20 connections per destination\n"
		"limit 100/min messages to domain slow.example\n"
		"limit 10/s recipients per provider per source\n"
		"limit 10/s recipients per provider source\n"
		"limit 10M/h bytes to provider x y\n"
		"limit 1000/day messages to domain table t\n"
		"limit 50 messages per connection to domain a.example .b.example\n"
		"limit 5 connections per source to provider x from source a b via r mx\n"
		"limit 6/min messages per route via mx evenly\n"
		"limit 1K/min bytes per destination evenly\n"
		"limit 3 connections via smtp://10.0.0.1:26\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"limit, how much",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.2\n"
		"pool p { source a; source b }\n"
		"table t { x.example }\n"
		"providers none\n"
		"provider x { mx .x.example }\n"
		"provider y { mx .y.example }\n"
		"limit\n"
		"limit 20\n"
		"limit 20 connexions per destination\n"
		"limit connections per destination\n"
		"limit 20/min connections per destination\n"
		"limit 0 connections per destination\n"
		"limit 1000000001 connections per destination\n"
		"limit x connections per destination\n"
		"limit 20 messages per destination\n"
		"limit 20K bytes per destination\n"
		"limit 20 recipients per destination\n"
		"limit 0/min messages per destination\n"
		"limit 1000000001/s messages per destination\n"
		"limit 1K/min messages per destination\n"
		"limit 2000000G/s bytes per destination\n"
		"limit 20/week messages per destination\n"
		"limit 20/min messages per connection to domain a.example\n"
		"limit x messages per connection per destination\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:9:6: error: the limit is not finished; expected a number or a rate\n"
		"t.conf:10:9: error: the limit is not finished; expected one of connections, "
		"messages, recipients, bytes, handshakes\n"
		"t.conf:11:10: error: unexpected \"connexions\"; expected one of connections, "
		"messages, recipients, bytes, handshakes; did you mean \"connections\"?\n"
		"t.conf:12:19: error: unexpected \"per\"; expected one of connections, messages, "
		"recipients, bytes, handshakes\n"
		"t.conf:13:7: error: connections are counted at once, not in a time; expected a "
		"number such as 20\n"
		"t.conf:14:7: error: \"0\" is not a number from 1 to 1000000000\n"
		"t.conf:15:7: error: \"1000000001\" is not a number from 1 to 1000000000\n"
		"t.conf:16:7: error: \"x\" is not a number from 1 to 1000000000\n"
		"t.conf:17:7: error: messages are counted in a time; expected a rate such as "
		"100/min, or: COUNT messages per connection\n"
		"t.conf:18:7: error: this is counted in a time; expected a rate such as 100/min\n"
		"t.conf:19:7: error: this is counted in a time; expected a rate such as 100/min\n"
		"t.conf:20:7: error: a limit of 0 would let nothing through\n"
		"t.conf:21:7: error: this rate is too large to be a limit\n"
		"t.conf:22:7: error: \"1K/min\" is not a rate; expected one such as 100/min, "
		"10/s or 1000/day\n"
		"t.conf:23:7: error: this rate is too large to be a limit\n"
		"t.conf:24:7: error: \"20/week\" is not a rate; expected one such as 100/min, "
		"10/s or 1000/day\n"
		"t.conf:25:7: error: messages per connection have no time; expected a number "
		"such as 100\n"
		"t.conf:26:7: error: \"x\" is not a number from 1 to 1000000000\n",
	},
	{
		"limit, of what",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.2\n"
		"pool p { source a; source b }\n"
		"table t { x.example }\n"
		"providers none\n"
		"provider x { mx .x.example }\n"
		"provider y { mx .y.example }\n"
		"limit 20 connections\n"
		"limit 10/min messages\n"
		"limit 10 messages per connection\n"
		"limit 20 connections for all\n"
		"limit 20 connections per\n"
		"limit 20 connections per host\n"
		"limit 20 connections per destination destination\n"
		"limit 20 connections per destination per destination\n"
		"limit 20 connections per connection\n"
		"limit 20 recipients per connection\n"
		"limit 20 connections to\n"
		"limit 20 connections to a.example\n"
		"limit 20 connections to domain\n"
		"limit 20 connections to domain a@b.example\n"
		"limit 20 connections to domain table\n"
		"limit 20 connections to domain a.example to domain b.example\n"
		"limit 20 connections to domain table t to domain b.example\n"
		"limit 20 connections to provider\n"
		"limit 20 connections to provider x to provider y\n"
		"limit 20 connections from a\n"
		"limit 20 connections from source\n"
		"limit 20 connections via\n"
		"limit 20 connections via r via mx\n"
		"limit 20 connections per destination evenly\n"
		"limit 20 messages per connection per destination evenly\n"
		"limit 20/min messages evenly\n"
		"limit 20/min messages per destination evenly now\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:9:21: error: the limit is not finished; expected one of per, to, from, "
		"via\n"
		"t.conf:10:22: error: the limit is not finished; expected one of per, to, from, "
		"via\n"
		"t.conf:11:33: error: the limit is not finished; expected one of per, to, from, "
		"via\n"
		"t.conf:12:22: error: unexpected \"for\"; expected one of per, to, from, via; "
		"did you mean \"per\"?\n"
		"t.conf:13:25: error: the limit is not finished; expected one of destination, "
		"provider, source, route, client, client-network, login\n"
		"t.conf:14:26: error: unexpected \"host\"; expected one of destination, "
		"provider, source, route, client, client-network, login\n"
		"t.conf:15:38: error: this stands twice in one limit\n"
		"t.conf:16:42: error: this stands twice in one limit\n"
		"t.conf:17:26: error: only messages are counted per connection\n"
		"t.conf:18:7: error: this is counted in a time; expected a rate such as 100/min\n"
		"t.conf:19:24: error: the limit is not finished; expected one of domain, "
		"provider\n"
		"t.conf:20:25: error: unexpected \"a.example\"; expected one of domain, "
		"provider\n"
		"t.conf:21:31: error: the limit is not finished; expected a domain\n"
		"t.conf:22:32: error: \"a@b.example\" is not a domain\n"
		"t.conf:23:37: error: the limit is not finished; expected the name of a table\n"
		"t.conf:24:45: error: a limit has one list of domains\n"
		"t.conf:25:43: error: a limit has one list of domains\n"
		"t.conf:26:33: error: the limit is not finished; expected the name of a "
		"provider\n"
		"t.conf:27:39: error: this stands twice in one limit\n"
		"t.conf:28:27: error: unexpected \"a\"; expected source\n"
		"t.conf:29:33: error: the limit is not finished; expected the name of a source\n"
		"t.conf:30:25: error: the limit is not finished; expected the name of a route\n"
		"t.conf:31:28: error: this stands twice in one limit\n"
		"t.conf:32:38: error: only a rate can be spread evenly\n"
		"t.conf:33:50: error: only a rate can be spread evenly\n"
		"t.conf:34:23: error: unexpected \"evenly\"; expected one of per, to, from, via\n"
		"t.conf:35:46: error: unexpected \"now\"; expected the end of the line\n",
	},
	{
		"limit, of clients",
		"version 1\n"
		"limit 60/min messages per login\n"
		"limit 20 connections per client\n"
		"limit 200 connections per client-network\n"
		"limit 10M/h bytes per client\n"
		"limit 10000/day recipients per login\n"
		"limit 120/min handshakes per client\n"
		"limit 50/s handshakes per client-network\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"limit, of clients, mixed up",
		"version 1\n"
		"limit 20/min recipients per destination login\n"
		"limit 20/min recipients per client login\n"
		"limit 20/min recipients per client to domain a.example\n"
		"limit 20/min recipients per login via r\n"
		"limit 20 messages per connection per client\n"
		"limit 20 connections per login\n"
		"limit 20/min messages per client evenly\n"
		"limit 20/min handshakes per destination\n"
		"limit 20/min handshakes per login\n"
		"limit 20 handshakes per client\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:41: error: client, client-network or login is the only key of a limit\n"
		"t.conf:3:36: error: client, client-network or login is the only key of a limit\n"
		"t.conf:4:46: error: a limit for those who send to us cannot depend on where "
		"mail goes\n"
		"t.conf:5:39: error: a limit for those who send to us cannot depend on where "
		"mail goes\n"
		"t.conf:6:38: error: messages per connection are limited where mail goes; "
		"expected a rate of messages\n"
		"t.conf:8:34: error: what others send cannot be spread evenly\n"
		"t.conf:9:29: error: handshakes are those of clients; expected: per client or "
		"per client-network\n"
		"t.conf:10:29: error: a handshake comes before a login; expected: per client or "
		"per client-network\n"
		"t.conf:11:7: error: this is counted in a time; expected a rate such as 100/min\n",
	},
	{
		"limits for those who send, too many",
		"version 1\n"
		"limit 20 connections per login\n"
		"limit 2/min messages per client\n"
		"limit 3/min messages per client\n"
		"limit 4/min messages per client\n"
		"limit 5/min messages per client\n"
		"limit 6/min messages per client\n"
		"limit 7/min messages per client\n"
		"limit 8/min messages per client\n"
		"limit 9/min messages per client\n"
		"limit 10/min messages per client\n"
		"limit 11/min messages per client\n"
		"limit 12/min messages per client\n"
		"limit 13/min messages per client\n"
		"limit 14/min messages per client\n"
		"limit 15/min messages per client\n"
		"limit 16/min messages per client\n"
		"limit 20 connections per destination\n"
		"limit 1 connections per client\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:19:25: error: there are too many limits for those who send to us; "
		"expected 16 at most\n",
	},
	{
		"limit, names",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.2\n"
		"pool p { source a; source b }\n"
		"table t { x.example }\n"
		"providers none\n"
		"provider x { mx .x.example }\n"
		"provider y { mx .y.example }\n"
		"limit 20 connections to provider z\n"
		"limit 20 connections from source c\n"
		"limit 20 connections from source p\n"
		"limit 20 connections via q\n"
		"limit 20 connections to domain table u\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:9:34: error: unknown provider \"z\"; expected one of x, y\n"
		"t.conf:10:34: error: unknown source \"c\"; expected one of a, b\n"
		"t.conf:11:34: error: p is a pool; expected the name of a source\n"
		"t.conf:12:26: error: unknown route \"q\"; expected one of r, mx\n"
		"t.conf:13:38: error: unknown table \"u\"; expected t\n",
	},
	{
		"limit twice",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.2\n"
		"pool p { source a; source b }\n"
		"table t { x.example }\n"
		"providers none\n"
		"provider x { mx .x.example }\n"
		"provider y { mx .y.example }\n"
		"limit 20 connections   per destination\n"
		"limit 20 connections per destination # again\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:10:1: error: this limit stands already in t.conf:9\n",
	},
};

static void test_messages(void **state)
{
	(void)state;
	check_cases(message_cases, sizeof(message_cases) / sizeof(message_cases[0]));
}

static void test_values(void **state)
{
	static const struct {
		enum limit_what what;
		uint64_t count, period_ns;
		bool evenly;
		unsigned per;
	} want[] = {
		{ LIMIT_CONNECTIONS, 20, 0, false, LIMIT_PER_DESTINATION },
		{ LIMIT_MESSAGES_PER_CONNECTION, 50, 0, false, 0 },
		{ LIMIT_MESSAGES, 100, 60000000000, false, 0 },
		{ LIMIT_RECIPIENTS, 5, 1000000000, true,
		  LIMIT_PER_PROVIDER | LIMIT_PER_SOURCE | LIMIT_PER_ROUTE },
		{ LIMIT_OCTETS, 10 << 20, 3600000000000, false, 0 },
		{ LIMIT_MESSAGES, 10000, 86400000000000, false, LIMIT_PER_SOURCE },
	};
	struct config *c = load_sound(
		"version 1\nlisten 127.0.0.1\naccept from local to any via mx\n"
		"limit  20 connections   per destination\n"
		"limit 50 messages per connection to domain a.example\n"
		"limit 100/min messages to domain a.example\n"
		"limit 5/s recipients per provider source per route evenly\n"
		"limit 10M/h bytes via mx\n"
		"limit 10000/day messages per source\n");

	(void)state;
	assert_int_equal(c->limits_n, 6 + 2);	/* and the defaults for clients */
	for (unsigned i = 0; i < 6; i++) {
		const struct limit *l = &c->limits[i];

		assert_int_equal(l->what, want[i].what);
		assert_int_equal(l->count, want[i].count);
		assert_int_equal(l->period_ns, want[i].period_ns);
		assert_int_equal(l->evenly, want[i].evenly);
		assert_int_equal(l->per, want[i].per);
		assert_int_equal(l->place.line, 4 + i);
	}
	assert_str_equal(c->limits[0].text, STR("limit 20 connections per destination"));
	config_unref(c);
}

/* Of this kind, one client's, at that address (NULL: any); 0: none. */
static uint64_t of_client(const struct config *c, enum limit_what what,
			  const struct config_listen *listen)
{
	for (unsigned i = 0; i < c->limits_n; i++) {
		const struct limit *l = &c->limits[i];

		if (l->what == what && l->per == LIMIT_PER_CLIENT &&
		    (!l->listen || l->listen == &listen->endpoint))
			return l->count;
	}
	return 0;
}

/* What holds where nothing is written, and what takes its place. */
static void test_defaults(void **state)
{
	static const struct {
		const char *limit;
		uint64_t connections[6], handshakes;
	} cases[] = {
		{ "", { 1000, 20, 20, 10, 1, 100000 }, 1000 },
		{ "limit 77 connections per client\n", { 77, 77, 77, 77, 77, 77 }, 1000 },
		{ "limit 77 connections per client-network\n", { 1000, 20, 20, 10, 1, 100000 },
		  1000 },
		{ "limit 5/min handshakes per client\n", { 1000, 20, 20, 10, 1, 100000 }, 5 },
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *c;

		snprintf(text, sizeof(text),
			 "version 1\naccept from local to any via mx\n%s"
			 "listen 127.0.0.1:1\nlisten 127.0.0.1:2 { connections_max 209 }\n"
			 "listen 127.0.0.1:3 { connections_max 40 }\n"
			 "listen 127.0.0.1:4 { connections_max 19 }\n"
			 "listen 127.0.0.1:5 { connections_max 1 }\n"
			 "listen 127.0.0.1:6 { connections_max 1000000 }\n", cases[i].limit);
		c = load_sound(text);
		for (unsigned at = 0; at < 6; at++)
			assert_int_equal(of_client(c, LIMIT_CONNECTIONS, &c->listens[at]),
					 cases[i].connections[at]);
		assert_int_equal(of_client(c, LIMIT_HANDSHAKES, NULL), cases[i].handshakes);
		config_unref(c);
	}
}

/* As many addresses as can be listened on, and one more. */
static void test_listeners(void **state)
{
	struct buf text = BUF_INIT(65536);

	(void)state;
	buf_add_lit(&text, "version 1\nhostname r.example\naccept from local to any via mx\n"
			   "pop 127.0.0.1 { upstream a.example }\n");
	for (unsigned i = 1; i < CONFIG_LISTENERS_MAX; i++)
		buf_printf(&text, "listen 127.0.0.%u\n", i);
	config_unref(load_sound(buf_cstr(&text)));
	buf_add_lit(&text, "listen 127.0.1.1\n");
	check_cases(&(struct text_case){ "one too many", buf_cstr(&text), "t.conf:260:8: error: "
					 "more than 256 addresses to listen on\n" }, 1);
	buf_done(&text);
}

static void test_applies(void **state)
{
	struct config *c = load_sound(
		"version 1\nlisten 127.0.0.1\naccept from local to any via mx\n"
		"route bulk { mx }\n"
		"source s address 192.0.2.1\nsource t address 192.0.2.2\n"
		"table slow { b.example .b.example }\n"
		"limit 1 connections per destination\n"
		"limit 1 connections to domain a.example .c.example\n"
		"limit 1 connections to domain table slow\n"
		"limit 1 connections to provider google yahoo\n"
		"limit 1 connections from source s\n"
		"limit 1 connections via bulk\n"
		"limit 1 connections to domain a.example to provider google from source s t "
		"via mx\n"
		/* of those who send to us: never here */
		"limit 1 connections per client\n"
		"limit 1/s messages per login\n");
	/* the limits that apply, as digits */
	static const struct {
		const char *domain, *provider, *source, *route, *limits;
	} cases[] = {
		{ "x.example", NULL, NULL, "mx", "0" },
		{ "A.Example", NULL, NULL, "mx", "01" },
		{ "x.a.example", NULL, NULL, "mx", "0" },
		{ "c.example", NULL, NULL, "mx", "0" },
		{ "x.c.example", NULL, NULL, "mx", "01" },
		{ "b.example", NULL, NULL, "mx", "02" },
		{ "y.b.example", NULL, NULL, "bulk", "025" },
		{ "x.example", "google", NULL, "mx", "03" },
		{ "x.example", "yahoo", "t", "mx", "03" },
		{ "x.example", "gmx", "s", "mx", "04" },
		{ "a.example", "google", "t", "mx", "0136" },
		{ "a.example", "google", "s", "mx", "01346" },
		{ "a.example", "google", "s", "bulk", "01345" },
		{ "a.example", "yahoo", "s", "mx", "0134" },
		{ "[192.0.2.1]", NULL, NULL, "mx", "0" },
		{ "", NULL, NULL, "r", "0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[16];
		size_t n = 0;

		for (unsigned j = 0; j < c->limits_n; j++)
			if (limit_applies(&c->limits[j], str_of(cases[i].domain),
					  name_intern(str_of(cases[i].provider)),
					  name_intern(str_of(cases[i].source)),
					  name_intern(str_of(cases[i].route))))
				got[n++] = (char)('0' + j);
		got[n] = 0;
		if (!str_eq(str_of(got), str_of(cases[i].limits)))
			fail_msg("%s %s %s %s: %s", cases[i].domain, cases[i].provider,
				 cases[i].source, cases[i].route, got);
	}
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_applies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
