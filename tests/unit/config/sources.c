/* config: sources, pools, routes by MX and the variants that the blocks of rules make. */
#include "unit/config/text.h"

#include <stdio.h>

static const struct text_case message_cases[] = {
	{
		"source",
		"version 1\n"
		"source a address 192.0.2.1 2001:db8::1 helo out.example.net\n"
		"source b address 2001:db8::2 192.0.2.2\n"
		"source c address 192.0.2.3 helo [192.0.2.3]\n"
		"source d address ::ffff:192.0.2.4\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"source, faults",
		"version 1\n"
		"source a\n"
		"source b adress 192.0.2.1\n"
		"source c address helo\n"
		"source c address host.example\n"
		"source c address 192.0.2.0/24\n"
		"source c address 192.0.2.1 192.0.2.2\n"
		"source c address 2001:db8::1 2001:db8::2\n"
		"source c address 0.0.0.0\n"
		"source c address ::\n"
		"source c address 224.0.0.1\n"
		"source c address ff02::1\n"
		"source c address 192.0.2.1 helo\n"
		"source c address 192.0.2.1 helo a_b\n"
		"source c address 192.0.2.1 helo a.example x\n"
		"source a/b address 192.0.2.1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:9: error: source is not finished; expected: source NAME address "
		"ADDRESS [ADDRESS] [helo NAME]\n"
		"t.conf:3:10: error: unexpected \"adress\"; expected address; did you mean "
		"\"address\"?\n"
		"t.conf:4:18: error: unexpected \"helo\"; expected an IP address\n"
		"t.conf:5:18: error: \"host.example\" is not an IP address such as 192.0.2.10 or "
		"2001:db8::10\n"
		"t.conf:6:18: error: \"192.0.2.0/24\" is not an IP address such as 192.0.2.10 or "
		"2001:db8::10\n"
		"t.conf:7:28: error: a source has one IPv4 address at most; several sources make "
		"a pool\n"
		"t.conf:8:30: error: a source has one IPv6 address at most; several sources make "
		"a pool\n"
		"t.conf:9:18: error: nothing can be sent from 0.0.0.0\n"
		"t.conf:10:18: error: nothing can be sent from ::\n"
		"t.conf:11:18: error: nothing can be sent from 224.0.0.1\n"
		"t.conf:12:18: error: nothing can be sent from ff02::1\n"
		"t.conf:13:32: error: the source is not finished; expected a host name\n"
		"t.conf:14:33: error: \"a_b\" is not a host name such as out1.example.net\n"
		"t.conf:15:43: error: unexpected \"x\"; expected the end of the line\n"
		"t.conf:16:8: error: \"a/b\" cannot name a source; expected letters, digits, -, "
		"_ or .\n",
	},
	{
		"source twice",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source a address 192.0.2.2\n"
		"pool a { source a }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:8: error: a is already the name of a source, in t.conf:2\n"
		"t.conf:4:6: error: a is already the name of a source, in t.conf:2\n",
	},
	{
		"pool, then source of its name",
		"version 1\n"
		"source x address 192.0.2.1\n"
		"pool a { source x }\n"
		"source a address 192.0.2.2\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:4:8: error: a is already the name of a pool, in t.conf:3\n",
	},
	{
		"one address in two sources",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.1\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:1: warning: sources b and a send from the same address; limits and "
		"warm-up plans count them apart\n",
	},
	{
		"sources as later blocks see them",
		"version 1\n"
		"pool p { source a; source b weight 0 }\n"
		"route bulk { mx; source p }\n"
		"route one { mx; source a }\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.2 { warm_up from 2026-01-01 50 100 overflow a }\n"
		"listen 127.0.0.1\n"
		"accept from local to domain a.example via bulk\n"
		"accept from local to any via one\n",
		"",
	},
	{
		"warm_up, faults",
		"version 1\n"
		"source a address 192.0.2.1 { warm_up 2026-01-01 50 }\n"
		"source b address 192.0.2.2 { warm_up from 2026-02-29 50 }\n"
		"source c address 192.0.2.3 { warm_up from 2026-13-01 50 }\n"
		"source d address 192.0.2.4 { warm_up from 1.1.2026 50 }\n"
		"source e address 192.0.2.5 { warm_up from 2026-01-01 overflow x }\n"
		"source f address 192.0.2.6 { warm_up from 2026-01-01 50 0 }\n"
		"source g address 192.0.2.7 { warm_up from 2026-01-01 50 many }\n"
		"source h address 192.0.2.8 { warm_up from 2026-01-01 50 overflow }\n"
		"source i address 192.0.2.9 { warm_up from 2026-01-01 50 overflow x y }\n"
		"source j address 192.0.2.10 { warm_up from 2026-01-01 }\n"
		"source k address 192.0.2.11 { warm_up from 2026-01-01 1000000001 }\n"
		"source l address 192.0.2.12 { warm up }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:51: error: warm_up is not finished; expected: warm_up from YYYY-MM-DD "
		"COUNT ... [overflow NAME]\n"
		"t.conf:3:43: error: \"2026-02-29\" is not a day such as 2026-03-31\n"
		"t.conf:4:43: error: \"2026-13-01\" is not a day such as 2026-03-31\n"
		"t.conf:5:43: error: \"1.1.2026\" is not a day such as 2026-03-31\n"
		"t.conf:6:54: error: unexpected \"overflow\"; expected the messages of the first "
		"day\n"
		"t.conf:7:57: error: \"0\" is not a number of messages for a day; expected 1 to "
		"1000000000\n"
		"t.conf:8:57: error: \"many\" is not a number of messages for a day; expected 1 "
		"to 1000000000\n"
		"t.conf:9:65: error: warm_up is not finished; expected the name of a source or "
		"pool\n"
		"t.conf:10:68: error: unexpected \"y\"; expected the end of the line\n"
		"t.conf:11:54: error: warm_up is not finished; expected: warm_up from YYYY-MM-DD "
		"COUNT ... [overflow NAME]\n"
		"t.conf:12:55: error: \"1000000001\" is not a number of messages for a day; "
		"expected 1 to 1000000000\n"
		"t.conf:13:31: error: unknown statement in a source block: \"warm\"; expected "
		"warm_up\n"
		"t.conf:10:66: error: unknown source \"x\"; expected one of a, b, c, d, e, f, g, "
		"h, i, j, k, l\n",
	},
	{
		"overflow to nobody",
		"version 1\n"
		"source a address 192.0.2.1 { warm_up from 2026-01-01 50 overflow b }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:66: error: unknown source \"b\"; expected a\n",
	},
	{
		"overflow to itself",
		"version 1\n"
		"source a address 192.0.2.1 { warm_up from 2026-01-01 50 overflow a }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:66: error: the overflow of source a leads back to source a\n",
	},
	{
		"overflow to a pool that holds it",
		"version 1\n"
		"source a address 192.0.2.1 { warm_up from 2026-01-01 50 overflow p }\n"
		"source b address 192.0.2.2\n"
		"pool p { source b; source a }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:66: error: the overflow of source a leads back to source a\n",
	},
	{
		"overflows in a ring",
		"version 1\n"
		"source a address 192.0.2.1 { warm_up from 2026-01-01 50 overflow b }\n"
		"source b address 192.0.2.2 { warm_up from 2026-01-01 50 overflow p }\n"
		"pool p { source c }\n"
		"source c address 192.0.2.3 { warm_up from 2026-01-01 50 overflow a }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:5:66: error: the overflow of source c leads back to source a\n",
	},
	{
		"overflows that meet are no loop",
		"version 1\n"
		"source a address 192.0.2.1 { warm_up from 2026-01-01 50 overflow p }\n"
		"source b address 192.0.2.2 { warm_up from 2026-01-01 50 overflow d }\n"
		"source c address 192.0.2.3 { warm_up from 2026-01-01 50 overflow d }\n"
		"source d address 192.0.2.4\n"
		"pool p { source b; source c }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"pool, faults",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"pool p { }\n"
		"pool q { source a weight 0 }\n"
		"pool s { source a weight 1001 }\n"
		"pool t { source a weight }\n"
		"pool u { source a heavy 3 }\n"
		"pool v { source weight }\n"
		"pool w { source b }\n"
		"pool x { source a; source a weight 2 }\n"
		"pool y { source x }\n"
		"pool z { pool a }\n"
		"pool x/y { source a }\n"
		"pool none\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:1: error: pool p has no source\n"
		"t.conf:4:1: error: pool q has no source with a weight above 0\n"
		"t.conf:5:26: error: weight must be between 0 and 1000\n"
		"t.conf:6:25: error: the member is not finished; expected a number\n"
		"t.conf:7:19: error: unexpected \"heavy\"; expected the end of the line\n"
		"t.conf:8:17: error: unexpected \"weight\"; expected the name of a source\n"
		"t.conf:12:10: error: unknown statement in a pool: \"pool\"; expected source\n"
		"t.conf:12:1: error: pool z has no source\n"
		"t.conf:13:6: error: \"x/y\" cannot name a pool; expected letters, digits, -, _ "
		"or .\n"
		"t.conf:14:10: error: pool needs a block; expected { at the end of the line\n"
		"t.conf:9:17: error: unknown source \"b\"; expected a\n"
		"t.conf:10:27: error: source a is in this pool already\n"
		"t.conf:11:17: error: x is a pool; expected the name of a source\n",
	},
	{
		"route by MX, faults",
		"version 1\n"
		"route a { mx; host b.example }\n"
		"route b { mx; protocol lmtp }\n"
		"route c { host a.example; port 26 }\n"
		"route d { mx; port 0 }\n"
		"route e { mx; port 65536 }\n"
		"route f { mx on }\n"
		"route g { port 25 }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:1: error: route a goes by MX: no host can stand in it\n"
		"t.conf:3:1: error: route b goes by MX: mail exchangers speak SMTP, not LMTP\n"
		"t.conf:4:1: error: route c does not go by MX: its port is written behind the "
		"host, as in: host smtp.example.net:587\n"
		"t.conf:5:20: error: port must be between 1 and 65535\n"
		"t.conf:6:20: error: port must be between 1 and 65535\n"
		"t.conf:7:14: error: \"on\" is too much here; expected: mx\n"
		"t.conf:7:1: error: route f has no host\n"
		"t.conf:8:1: error: route g has no host\n"
		"t.conf:8:1: error: route g does not go by MX: its port is written behind the "
		"host, as in: host smtp.example.net:587\n",
	},
	{
		"route mx",
		"version 1\n"
		"route mx { connections 3 }\n"
		"route bulk { mx; port 2525 }\n"
		"accept from local to domain b.example via bulk\n"
		"accept from local to domain c.example via mx\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"route mx twice",
		"version 1\n"
		"route mx { connections 3 }\n"
		"route mx { mx; idle 1s }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:7: error: route mx is already defined in t.conf:2\n",
	},
	{
		"families",
		"version 1\n"
		"route a { mx; families both }\n"
		"route b { mx; families ipv4 ipv6 }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:24: error: unknown family \"both\"; expected one of any, ipv4, ipv6\n"
		"t.conf:3:29: error: \"ipv6\" is too much here; expected: families "
		"any|ipv4|ipv6\n",
	},
	{
		"families that a source lacks",
		"version 1\n"
		"source a address 192.0.2.1\n"
		"source b address 192.0.2.2 2001:db8::2\n"
		"pool p { source a; source b weight 0 }\n"
		"pool q { source a; source b }\n"
		"route s { mx; families ipv6; source a }\n"
		"route t { mx; families ipv6; source p }\n"
		"route u { mx; families ipv6; source q }\n"
		"route v { mx; families ipv4; source p }\n"
		"route w { mx; families ipv6 }\n"
		"accept from local to domain b.example via w { source a }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:6:1: error: route s goes by IPv6 alone, but source a has no such "
		"address\n"
		"t.conf:7:1: error: route t goes by IPv6 alone, but source p has no such "
		"address\n"
		"t.conf:11:1: error: route w goes by IPv6 alone, but source a has no such "
		"address\n",
	},
	{
		"route's own times",
		"version 1\n"
		"route a { mx; retry 1m 0s }\n"
		"route b { mx; retry }\n"
		"route c { mx; warn_after 366d }\n"
		"route d { mx; warn_after never; retry 1s 1w }\n"
		"route e { mx; source }\n"
		"route f { mx; source nobody }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:24: error: a wait must be between 1s and 1w\n"
		"t.conf:3:20: error: retry is not finished; expected: retry TIME ...\n"
		"t.conf:4:26: error: warn_after must be between 1s and 365d, or the word never\n"
		"t.conf:6:21: error: source is not finished; expected: source NAME\n"
		"t.conf:7:22: error: unknown source \"nobody\"\n",
	},
};

static void test_messages(void **state)
{
	(void)state;
	check_cases(message_cases, sizeof(message_cases) / sizeof(message_cases[0]));
}

#define TOP "version 1\nlisten 127.0.0.1\n"

static const struct name *named(const char *text)
{
	return name_intern(str_of(text));
}

static void test_sources(void **state)
{
	struct config *c = load_sound(
		TOP "accept from local to any via mx\n"
		    "source a address 2001:db8::1 192.0.2.1 helo out.example.net\n"
		    "source b address 192.0.2.2 { warm_up from 1970-01-02 50 100 overflow p }\n"
		    "source c address 192.0.2.3 { warm_up from 2024-02-29 7 overflow a }\n"
		    "pool p { source a weight 1000; source c weight 0 }\n");
	const struct source *a = config_source(c, named("a")), *b = config_source(c, named("b"));

	(void)state;
	assert_int_equal(c->sources_n, 3);
	assert_int_equal(c->pools_n, 1);
	assert_non_null(a);
	assert_null(config_source(c, named("p")));
	assert_null(config_source(c, NULL));
	assert_int_equal(a->ipv4.family, 4);
	assert_int_equal(a->ipv6.family, 6);
	assert_str_equal(a->helo, STR("out.example.net"));
	assert_int_equal(a->warm_up_n, 0);
	assert_null(a->overflow);
	assert_int_equal(b->ipv6.family, 0);
	assert_int_equal(b->helo.n, 0);
	assert_int_equal(b->warm_up_n, 2);
	assert_int_equal(b->warm_up[1], 100);
	assert_int_equal(b->warm_up_from_day, 1);
	assert_ptr_equal(b->overflow, c->pools[0]);
	assert_int_equal(b->overflow->n, 2);
	assert_ptr_equal(b->overflow->members[0].source, a);
	assert_int_equal(b->overflow->members[0].weight, 1000);
	assert_int_equal(b->overflow->members[1].weight, 0);
	/* 2024-02-29 is the day 19782 */
	assert_int_equal(config_source(c, named("c"))->warm_up_from_day, 19782);
	/* one alone is a pool of one */
	assert_int_equal(config_source(c, named("c"))->overflow->n, 1);
	assert_ptr_equal(config_source(c, named("c"))->overflow->members[0].source, a);
	assert_ptr_equal(config_source(c, named("c"))->overflow->name, named("a"));
	config_unref(c);
}

static void test_mx(void **state)
{
	struct config *c = load_sound(TOP "route bulk { mx; port 2525; families ipv6; source a }\n"
					  "source a address 192.0.2.1 2001:db8::1\n"
					  "accept from local to domain a.example via bulk\n"
					  "accept from local to any via mx\n");
	const struct route *bulk = config_route(c, STR("mx:bulk")), *mx = c->rules[1].route;

	(void)state;
	assert_ptr_equal(c->rules[0].route, bulk);
	assert_true(bulk->is_mx && bulk->mx_port == 2525 && bulk->families == FAMILIES_IPV6);
	assert_int_equal(bulk->hosts_n, 0);
	assert_ptr_equal(bulk->base, named("bulk"));
	assert_ptr_equal(bulk->sources->members[0].source, config_source(c, named("a")));
	assert_null(config_route(c, STR("bulk")));
	assert_ptr_equal(config_route_named(c, STR("bulk")), bulk);
	assert_ptr_equal(config_route(c, STR("mx")), mx);
	assert_ptr_equal(config_route_named(c, STR("mx")), mx);
	assert_null(config_route_named(c, STR("none")));
	assert_null(config_route_named(c, STR_NONE));
	/* the defaults of a block, though there is none */
	assert_true(mx->is_mx && mx->mx_port == 25 && mx->families == FAMILIES_ANY);
	assert_ptr_equal(mx->base, named("mx"));
	assert_int_equal(mx->connections_max, bulk->connections_max);
	assert_int_equal(mx->messages_max, bulk->messages_max);
	assert_int_equal(mx->timeout_ns, bulk->timeout_ns);
	assert_int_equal(mx->connect_timeout_ns, bulk->connect_timeout_ns);
	assert_int_equal(mx->idle_ns, bulk->idle_ns);
	assert_null(mx->sources);
	assert_null(mx->retry_ns);
	assert_false(mx->has_warn_after);
	config_unref(c);
}

/* It is there when anything names it, and not before. */
static void test_built_in_mx(void **state)
{
	static const char *const texts[] = {
		"route r { host a.example }\naccept from local to any via mx\n",
		"route r { host a.example }\naccept from local to any via r\n"
		"postmaster a@b.example via mx\n",
		"route r { host a.example }\naccept from local to any via r\n"
		"limit 3 connections via mx\n",
		"route r { host a.example }\naccept from local to any via r\n"
		"route mx { idle 1s }\n",
	};
	char text[300];
	struct config *c = load_sound(TOP "route r { host a.example }\n"
					  "accept from local to any via r\n");

	(void)state;
	assert_null(config_route(c, STR("mx")));
	config_unref(c);
	for (size_t i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), TOP "%s", texts[i]);
		c = load_sound(text);
		assert_true(config_route(c, STR("mx")) && config_route(c, STR("mx"))->is_mx);
		assert_int_equal(c->routes_n, 2);
		config_unref(c);
	}
}

static void test_times(void **state)
{
	struct config *c = load_sound(
		TOP "route r { host a.example; retry 1s 2m; warn_after never }\n"
		    "route s { host b.example; warn_after 1h }\n"
		    "accept from local to domain a.example via s\n"
		    "accept from local to any via r\n");
	const struct route *r = config_route(c, STR("r")), *s = config_route(c, STR("s"));

	(void)state;
	assert_int_equal(r->retry_n, 2);
	assert_int_equal(r->retry_ns[1], 120000000000);
	assert_true(r->has_warn_after && !r->warn_after_ns);
	assert_true(s->has_warn_after && s->warn_after_ns == 3600000000000);
	assert_int_equal(s->retry_n, 0);
	assert_int_equal(c->queue.connections_max, 10000);
	config_unref(c);
}

#define SOURCE "source a address 192.0.2.1\n"

static void test_variants(void **state)
{
	struct config *c = load_sound(
		TOP SOURCE
		"route r { host a.example; retry 5m; connections 7 }\n"
		"accept from local to domain a.example via r { retry 60s 2m; tag x }\n"
		"accept from local to domain b.example via r { tag y; retry 1m 120s }\n"
		"accept from local to domain c.example via r { tag z }\n"
		"accept from local to domain d.example via r { retry 1m 2m; give_up_after 1h }\n"
		"accept from local to domain e.example via r {\n"
		"\tgive_up_after 1h; warn_after never; source a\n"
		"}\n"
		"accept from local to domain f.example via mx { retry 1m 2m }\n"
		"accept from local to domain g.example via smtp://10.0.0.1 { retry 1m 2m }\n"
		"accept from local to any via r\n");
	const struct rule *rules = c->rules;
	const struct route *r = config_route(c, STR("r")), *v = rules[0].route;

	(void)state;
	/* what the spool holds of an older version must be found by this one: never change these */
	assert_str_equal(v->name, STR("r+e3458a4e"));
	assert_str_equal(rules[5].route->name, STR("mx+e3458a4e"));
	assert_str_equal(rules[6].route->name, STR("smtp://10.0.0.1+e3458a4e"));
	assert_str_equal(rules[3].route->name, STR("r+670f521d"));
	assert_str_equal(rules[4].route->name, STR("r+e0ca5300"));
	assert_ptr_equal(rules[1].route, v);	/* says the same in other words */
	assert_ptr_equal(rules[2].route, r);	/* a tag alone makes no variant */
	assert_ptr_equal(rules[7].route, r);
	assert_ptr_equal(rules[0].tag, named("x"));
	assert_ptr_equal(rules[1].tag, named("y"));
	assert_null(rules[7].tag);
	assert_ptr_equal(v->base, named("r"));
	assert_ptr_equal(rules[5].route->base, named("mx"));
	assert_int_equal(v->retry_n, 2);
	assert_int_equal(v->connections_max, 7);
	assert_ptr_equal(v->hosts, r->hosts);
	assert_int_equal(v->give_up_after_ns, 0);
	assert_int_equal(r->retry_n, 1);
	assert_int_equal(rules[4].route->give_up_after_ns, 3600000000000);
	assert_true(rules[4].route->has_warn_after && !rules[4].route->warn_after_ns);
	assert_int_equal(rules[4].route->retry_n, 1);	/* the route's own */
	assert_ptr_equal(rules[4].route->sources->name, named("a"));
	/* by its name; by the route's where it is gone */
	assert_ptr_equal(config_route(c, v->name), v);
	assert_ptr_equal(config_route(c, STR("r+00000000")), r);
	assert_ptr_equal(config_route(c, STR("mx+0123abcd")), config_route(c, STR("mx")));
	assert_null(config_route(c, STR("r+0000000")));
	assert_null(config_route(c, STR("r+0000000g")));
	assert_null(config_route(c, STR("+00000000")));
	assert_null(config_route(c, STR("q+00000000")));
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_mx),
		cmocka_unit_test(test_built_in_mx),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_variants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
