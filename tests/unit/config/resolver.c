/* config: the resolver, the names of this machine, the bound of all connections. */
#include "unit/config/text.h"

static const struct text_case message_cases[] = {
	{
		"resolver that is fine",
		"version 1\n"
		"resolver 192.0.2.53 [2001:db8::53]:5353 2001:db8::54 { dnssec on; timeout 1s; "
		"cache 1M; hosts none }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"resolver, who",
		"version 1\n"
		"resolver\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:9: error: resolver is not finished; expected: resolver "
		"system|recursive|ADDRESS[:PORT] ...\n",
	},
	{
		"resolver, two modes",
		"version 1\n"
		"resolver system recursive\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:17: error: system stands alone; expected the end of the line\n",
	},
	{
		"resolver, servers",
		"version 1\n"
		"resolver 192.0.2.53 dns.example 192.0.2.53:53 unix:/x 192.0.2.54:0 recursive\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:21: error: \"dns.example\" is not a resolver; expected system, "
		"recursive or addresses such as 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]\n"
		"t.conf:2:33: error: 192.0.2.53:53 stands here twice\n"
		"t.conf:2:47: error: \"unix:/x\" is not a resolver; expected system, recursive "
		"or addresses such as 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]\n"
		"t.conf:2:55: error: \"192.0.2.54:0\" is not a resolver; expected system, "
		"recursive or addresses such as 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]\n"
		"t.conf:2:68: error: \"recursive\" is not a resolver; expected system, recursive "
		"or addresses such as 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]\n",
	},
	{
		"resolver twice",
		"version 1\n"
		"resolver system\n"
		"resolver recursive\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:1: error: resolver was already set in t.conf:2\n",
	},
	{
		"resolver, too many",
		"version 1\n"
		"resolver 192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 192.0.2.7 "
		"192.0.2.8 192.0.2.9 192.0.2.10 192.0.2.11 192.0.2.12 192.0.2.13 192.0.2.14 "
		"192.0.2.15 192.0.2.16 192.0.2.17\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:177: error: more than 16 servers of the resolver\n",
	},
	{
		"resolver block, faults",
		"version 1\n"
		"resolver recursive {\n"
		"\tdnssec yes\n"
		"\ttimeout 0s\n"
		"\tcache 1K\n"
		"\ttrust_anchor x\n"
		"\troot_hints y\n"
		"\thosts z\n"
		"\tserver 1.2.3.4\n"
		"}\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:3:9: error: unexpected \"yes\"; expected one of on, off\n"
		"t.conf:4:10: error: timeout must be between 1s and 2m\n"
		"t.conf:5:8: error: cache must be between 1M and 16G\n"
		"t.conf:6:15: error: x: other files cannot be read here\n"
		"t.conf:7:13: error: y: other files cannot be read here\n"
		"t.conf:8:8: error: z: other files cannot be read here\n"
		"t.conf:9:2: error: unknown statement in the resolver block: \"server\"; "
		"expected one of dnssec, trust_anchor, root_hints, hosts, timeout, cache\n",
	},
	{
		"self",
		"version 1\n"
		"self mx2.example.net 192.0.2.1 2001:db8::1\n"
		"self other.example.net\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"",
	},
	{
		"self, faults",
		"version 1\n"
		"self\n"
		"self a_b 192.0.2.0/24 [192.0.2.1]\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:5: error: self is not finished; expected: self NAME|ADDRESS ...\n"
		"t.conf:3:6: error: \"a_b\" is neither a host name nor an address\n"
		"t.conf:3:10: error: \"192.0.2.0/24\" is neither a host name nor an address\n"
		"t.conf:3:23: error: \"[192.0.2.1]\" is neither a host name nor an address\n",
	},
	{
		"connections of the queue",
		"version 1\n"
		"queue { connections_max 0 }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:25: error: connections_max must be between 1 and 100000\n",
	},
	{
		"connections of the queue, too many",
		"version 1\n"
		"queue { connections_max 100001 }\n"
		"listen 127.0.0.1\n"
		"route r { host a.example }\n"
		"accept from local to any via r\n",
		"t.conf:2:25: error: connections_max must be between 1 and 100000\n",
	},
};

static void test_messages(void **state)
{
	(void)state;
	check_cases(message_cases, sizeof(message_cases) / sizeof(message_cases[0]));
}

#define TOP "version 1\nlisten 127.0.0.1\naccept from local to any via mx\n"

static void test_modes(void **state)
{
	static const struct {
		const char *text, *hosts;
		enum resolver_mode mode;
		bool dnssec;
	} cases[] = {
		{ "", "/etc/hosts", RESOLVER_SYSTEM, false },
		{ "resolver system\n", "/etc/hosts", RESOLVER_SYSTEM, false },
		{ "resolver system { hosts none; dnssec on }\n", NULL, RESOLVER_SYSTEM, true },
		{ "resolver recursive\n", NULL, RESOLVER_RECURSIVE, true },
		{ "resolver recursive { dnssec off }\n", NULL, RESOLVER_RECURSIVE, false },
		{ "resolver 192.0.2.53\n", NULL, RESOLVER_SERVERS, false },
		{ "resolver 192.0.2.53 { dnssec on }\n", NULL, RESOLVER_SERVERS, true },
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), TOP "%s", cases[i].text);
		struct config *c = load_sound(text);
		const struct config_resolver *r = &c->resolver;

		assert_int_equal(r->mode, cases[i].mode);
		assert_int_equal(r->dnssec, cases[i].dnssec);
		assert_str_equal(str_of(r->hosts), str_of(cases[i].hosts));
		assert_int_equal(r->servers_n, cases[i].mode == RESOLVER_SERVERS);
		assert_null(r->trust_anchor);
		assert_null(r->root_hints);
		assert_int_equal(r->timeout_ns, 10000000000);
		assert_int_equal(r->cache_max, 32 << 20);
		config_unref(c);
	}
}

static void test_values(void **state)
{
	struct config *c = load_sound(
		TOP "resolver 127.0.0.1:5353 [::1] { timeout 2s; cache 1M }\n"
		    "self b.example 192.0.2.1\nself 2001:db8::1 c.example d.example\n"
		    "queue { connections_max 77 }\n");

	(void)state;
	assert_int_equal(c->resolver.servers_n, 2);
	assert_int_equal(c->resolver.servers[0].port, 5353);
	assert_int_equal(c->resolver.servers[1].port, 53);
	assert_int_equal(c->resolver.servers[1].ip.family, 6);
	assert_int_equal(c->resolver.timeout_ns, 2000000000);
	assert_int_equal(c->resolver.cache_max, 1 << 20);
	assert_int_equal(c->self_names_n, 3);
	assert_str_equal(c->self_names[2], STR("d.example"));
	assert_int_equal(c->self_ips_n, 2);
	assert_int_equal(c->self_ips[1].family, 6);
	assert_int_equal(c->queue.connections_max, 77);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
