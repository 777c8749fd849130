/*
 * deliver/ by MX: which exchangers are tried in which order, what the DNS says when there are none,
 * and never to ourselves (RFC 5321 5.1).
 */
#include "unit/deliver/rig.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define NOBODY 9

static const struct mail plain = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } };

static void go_by_mx(uint16_t port)
{
	rig.route.is_mx = true;
	rig.route.mx_port = port;
	rig_destination("r", "there.example");
}

/* ---- pure: the lower-preference rule */

static void test_below(void **state)
{
	static const struct {
		unsigned preferences[5], n, own, left;
	} rows[] = {
		{ { 10, 20, 30 }, 3, 30, 2 },
		{ { 10, 20, 30 }, 3, 20, 1 },
		{ { 10, 20, 30 }, 3, 10, 0 },
		{ { 10, 20, 20, 20, 30 }, 5, 20, 1 },	/* equals are dropped, too */
		{ { 10, 10 }, 2, 10, 0 },
		{ { 0, 65535 }, 2, 65535, 1 },
		{ { 0 }, 1, 0, 0 },
		{ { 10, 20 }, 2, 99, 2 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct host hosts[5] = { { .port = 25 } };

		for (unsigned k = 0; k < rows[i].n; k++)
			hosts[k].preference = (uint16_t)rows[i].preferences[k];
		assert_int_equal(mx_below(hosts, rows[i].n, rows[i].own), rows[i].left);
	}
}

static void test_own_addresses(void **state)
{
	static const struct {
		const char *listen, *self, *interface, *ip;
		uint16_t port;
		bool ours;
	} rows[] = {
		{ "192.0.2.1", NULL, NULL, "192.0.2.1", 25, true },
		{ "192.0.2.1", NULL, NULL, "192.0.2.1", 26, false },
		{ "192.0.2.1", NULL, "192.0.2.2", "192.0.2.2", 25, false },
		{ "0.0.0.0", NULL, "192.0.2.2", "192.0.2.2", 25, true },
		{ "0.0.0.0", NULL, "192.0.2.2", "192.0.2.3", 25, false },
		{ "0.0.0.0", NULL, "192.0.2.2", "192.0.2.2", 26, false },
		{ "0.0.0.0", NULL, NULL, "127.3.2.1", 25, true },
		{ "0.0.0.0", NULL, "2001:db8::1", "2001:db8::1", 25, false },
		{ "::", NULL, "2001:db8::1", "2001:db8::1", 25, true },
		{ "::", NULL, NULL, "::1", 25, true },
		{ "192.0.2.1", NULL, NULL, "127.0.0.1", 25, false },
		{ "192.0.2.1", NULL, NULL, "0.0.0.0", 25, true },
		{ "192.0.2.1", "198.51.100.7", NULL, "198.51.100.7", 25, true },
		{ "192.0.2.1", "198.51.100.7", NULL, "198.51.100.7", 26, true },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct config_listen listens[1] = { { .endpoint.port = 25 } };
		struct ip self, interface, ip;
		struct own own = { .ips = &interface, .n = rows[i].interface != NULL };
		struct config c = { .listens = listens, .listens_n = 1, .self_ips = &self,
				    .self_ips_n = rows[i].self != NULL };

		ip_parse(str_of(rows[i].listen), &listens[0].endpoint.ip);
		ip_parse(str_of(rows[i].self), &self);
		ip_parse(str_of(rows[i].interface), &interface);
		assert_true(ip_parse(str_of(rows[i].ip), &ip));
		if (own_ip_is_ours(&c, &own, &ip, rows[i].port) != rows[i].ours)
			fail_msg("row %zu", i);
	}
}

static void test_own_names(void **state)
{
	static const struct str selves[] = { STR("mail.example"), STR("mx2.example") };
	struct config c = { .hostname = STR("relay.example"), .self_names = selves,
			    .self_names_n = 2 };

	(void)state;
	assert_true(own_has_name(&c, STR("Relay.Example")));
	assert_true(own_has_name(&c, STR("relay.example.")));
	assert_true(own_has_name(&c, STR("mx2.example")));
	assert_false(own_has_name(&c, STR("mx.example")));
	assert_false(own_has_name(&c, STR("")));
}

/* ---- what the DNS says */

static void test_verdicts(void **state)
{
	static const struct {
		const char *name;
		const char *lines[4];
		const char *status;		/* of what is filed; NULL: the destination rests */
		const char *text;
	} rows[] = {
		{ "no such domain", { "x.example A 192.0.2.1" }, "5.1.2", "does not exist" },
		{ "null MX", { "there.example MX 0 ." }, "5.1.10", "takes no mail" },
		{ "nothing", { "there.example TXT x" }, "5.4.4", "neither mail exchangers" },
		{ "servers fail", { "there.example MX !servfail" }, NULL, "servers failed" },
		{ "no answer", { "there.example MX !timeout" }, NULL, "no answer in time" },
		{ "forged", { "there.example MX !bogus" }, NULL, "DNSSEC validation failed" },
		{ "no MX, address unknown", { "there.example A !servfail",
					      "there.example AAAA !servfail" }, NULL, "servers" },
		{ "exchanger unknown", { "there.example MX 10 mx.there.example" }, NULL,
		  "mx.there.example: the host's name does not exist" },
		{ "exchanger without address", { "there.example MX 10 mx.there.example",
						 "mx.there.example TXT x" }, NULL,
		  "mx.there.example: the host's name has no address" },
		{ "exchanger not found now", { "there.example MX 10 mx.there.example",
					       "mx.there.example A !servfail",
					       "mx.there.example AAAA !servfail" }, NULL,
		  "mx.there.example: the host's name could not be looked up" },
		{ "exchanger forged", { "there.example MX 10 mx.there.example",
					"mx.there.example A !bogus",
					"mx.there.example AAAA !bogus" }, NULL, "DNSSEC" },
		{ "several without address", { "there.example MX 10 a.there.example",
					       "there.example MX 20 b.there.example" }, NULL,
		  "b.there.example: the host's name does not exist" },
		{ "ourselves by name", { "there.example MX 10 relay.example",
					 "relay.example A 192.0.2.1" }, "5.4.6", "loops back" },
		{ "ourselves, implicit", { "there.example A 198.51.100.7" }, "5.4.6",
		  "loops back" },
		{ "ourselves by address", { "there.example MX 10 mx.there.example",
					    "mx.there.example A 198.51.100.7" }, "5.4.6",
		  "loops back" },
		{ "the equal of ourselves", { "there.example MX 10 a.there.example",
					      "there.example MX 10 b.there.example",
					      "a.there.example A 127.0.0.1",
					      "b.there.example A 198.51.100.7" }, "5.4.6",
		  "loops back" },
	};
	struct mail two = { .content = plain.content, .recipients_n = 2 };

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct peer p = { .at = "127.0.0.1" };

		print_message("%s\n", rows[i].name);
		rig_open_with("self 198.51.100.7\n");
		peer_start(&p);
		go_by_mx(p.port);
		for (unsigned k = 0; k < 4 && rows[i].lines[k]; k++)
			zone_add(rows[i].lines[k]);
		rig_try_one(&two);
		if (rows[i].status) {
			char status[16];

			snprintf(status, sizeof(status), "%u.%u.%u", rig.kept[1].enhanced.class,
				 rig.kept[1].enhanced.subject, rig.kept[1].enhanced.detail);
			assert_int_equal(rig.result, JOB_SETTLED);
			assert_int_equal(rig.learnt, DESTINATION_UNKNOWN);
			assert_int_equal(rig.kept[0].state, RECIPIENT_FAILED);
			assert_int_equal(rig.kept[1].state, RECIPIENT_FAILED);
			assert_string_equal(status, rows[i].status);
			assert_non_null(strstr(rig.kept[1].text, rows[i].text));
			assert_non_null(strstr(rig.kept[1].text, "there.example"));
		} else {
			assert_int_equal(rig.result, JOB_UNTRIED);
			assert_int_equal(rig.learnt, DESTINATION_DOWN);
			assert_int_equal(rig.settles, 0);
			assert_non_null(strstr(rig.said, rows[i].text));
		}
		rig_close();
		peer_stop(&p);
		assert_int_equal(p.connections, 0);
	}
}

static void test_impossible_name(void **state)
{
	(void)state;
	rig_open();
	rig.route.is_mx = true;
	rig.route.mx_port = 25;
	rig_destination("r", "a..b");
	rig_try_one(&plain);
	assert_int_equal(rig.kept[0].state, RECIPIENT_FAILED);
	assert_int_equal(rig.kept[0].enhanced.subject, 1);
	assert_int_equal(zone.asked, 0);
	rig_close();
}

/* For hosts that an administrator named, a missing name is a slip that is put right. */
static void test_configured_host_waits(void **state)
{
	(void)state;
	rig_open();
	rig_host(0, "smart.example", 25);
	rig_try_one(&plain);
	assert_int_equal(rig.learnt, DESTINATION_DOWN);
	assert_int_equal(rig.settles, 0);
	assert_non_null(strstr(rig.said, "does not exist"));
	rig_close();
}

/* ---- orders */

static void test_order(void **state)
{
	static const struct {
		const char *name;
		const char *lines[8];
		const char *greetings[3];	/* of 127.0.0.1, .2, .3 */
		const char *seen;		/* which of them were connected to, and got it */
		unsigned got;
	} rows[] = {
		{ "the best first",
		  { "there.example MX 20 b.example", "there.example MX 10 a.example",
		    "a.example A 127.0.0.1", "b.example A 127.0.0.2" },
		  { NULL, NULL, NULL }, "100", 0 },
		{ "then the next",
		  { "there.example MX 20 b.example", "there.example MX 10 a.example",
		    "a.example A 127.0.0.1", "b.example A 127.0.0.2" },
		  { "554 no", NULL, NULL }, "110", 1 },
		{ "all addresses of a host",
		  { "there.example MX 10 a.example", "there.example MX 20 b.example",
		    "a.example A 127.0.0.1", "a.example A 127.0.0.2", "b.example A 127.0.0.3" },
		  { "!close", "!close", NULL }, "111", 2 },
		{ "one that does not exist",
		  { "there.example MX 10 a.example", "there.example MX 20 b.example",
		    "b.example A 127.0.0.2" }, { NULL, NULL, NULL }, "010", 1 },
		{ "no MX", { "there.example A 127.0.0.3" }, { NULL, NULL, NULL }, "001", 2 },
		{ "better than ourselves, by name",
		  { "there.example MX 10 a.example", "there.example MX 20 relay.example",
		    "there.example MX 30 c.example", "a.example A 127.0.0.1",
		    "relay.example A 127.0.0.2", "c.example A 127.0.0.3" },
		  { NULL, NULL, NULL }, "100", 0 },
		{ "better than ourselves, by address",
		  { "there.example MX 10 a.example", "there.example MX 20 b.example",
		    "there.example MX 20 c.example", "a.example A 127.0.0.1",
		    "b.example A 198.51.100.7", "c.example A 127.0.0.3" },
		  { NULL, NULL, NULL }, "100", 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct peer p[3] = { { .at = "127.0.0.1" }, { .at = "127.0.0.2" },
				     { .at = "127.0.0.3" } };

		print_message("%s\n", rows[i].name);
		for (int k = 0; k < 3; k++)
			p[k].greeting = rows[i].greetings[k];
		rig_open_with("self 198.51.100.7\n");
		peers_start(p, 3);
		go_by_mx(p[0].port);
		for (unsigned k = 0; k < 8 && rows[i].lines[k]; k++)
			zone_add(rows[i].lines[k]);
		rig_try_one(&plain);
		assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
		rig_close();
		for (unsigned k = 0; k < 3; k++) {
			peer_stop(&p[k]);
			assert_int_equal(p[k].connections, rows[i].seen[k] - '0');
			assert_int_equal(p[k].transactions, k == rows[i].got);
			peer_forget(&p[k]);
		}
	}
}

/* What is worse than ourselves is not tried even if all that is better fails: the mail waits. */
static void test_not_behind_ourselves(void **state)
{
	struct peer p[2] = { { .at = "127.0.0.1", .greeting = "554 no" }, { .at = "127.0.0.2" } };

	(void)state;
	rig_open_with("self mx.elsewhere.example\n");
	peers_start(p, 2);
	go_by_mx(p[0].port);
	zone_add("there.example MX 10 a.example");
	zone_add("there.example MX 20 mx.elsewhere.example");
	zone_add("there.example MX 30 c.example");
	zone_add("a.example A 127.0.0.1");
	zone_add("c.example A 127.0.0.2");
	for (int i = 0; i < 5; i++) {	/* the best one rests after some: still not the others */
		rig_try_one(&plain);
		assert_int_equal(rig.learnt, DESTINATION_DOWN);
		assert_int_equal(rig.settles, 0);
	}
	rig_close();
	peer_stop(&p[0]);
	peer_stop(&p[1]);
	assert_int_equal(p[1].connections, 0);
	peer_forget(&p[0]);
}

/* The same, if ourselves is found by address only, and the better one rests by then. */
static void test_better_one_rests(void **state)
{
	struct peer p = { .at = "127.0.0.1", .greeting = "554 no" };

	(void)state;
	rig_open_with("self 198.51.100.7\n");
	peer_start(&p);
	go_by_mx(p.port);
	zone_add("there.example MX 10 a.example");
	zone_add("there.example MX 20 b.example");
	zone_add("a.example A 127.0.0.1");
	zone_add("b.example A 198.51.100.7");
	for (int i = 0; i < 5; i++) {
		rig_try_one(&plain);
		assert_int_equal(rig.learnt, DESTINATION_DOWN);
		assert_int_equal(rig.settles, 0);
	}
	rig_close();
	peer_stop(&p);
	assert_int_equal(p.connections, 5);
	peer_forget(&p);
}

/* A host that greets us by our own name on the exchangers' port, and what stands behind it. */
static void test_greets_as_ourselves(void **state)
{
	struct peer p[3] = { { .at = "127.0.0.1", .ehlo = "250 relay.example" },
			     { .at = "127.0.0.2" }, { .at = "127.0.0.3" } };

	(void)state;
	rig_open();
	peers_start(p, 3);
	go_by_mx(p[0].port);
	zone_add("there.example MX 10 a.example");
	zone_add("there.example MX 20 b.example");
	zone_add("a.example A 127.0.0.1");
	zone_add("a.example A 127.0.0.3");
	zone_add("b.example A 127.0.0.2");
	p[2].ehlo = "250 relay.example";
	rig_try_one(&plain);
	assert_int_equal(rig.learnt, DESTINATION_DOWN);
	assert_non_null(strstr(rig.said, "loops back to myself"));
	rig_close();
	for (int i = 0; i < 3; i++)
		peer_stop(&p[i]);
	assert_int_equal(p[0].connections + p[2].connections, 1);
	assert_int_equal(p[1].connections, 0);
	for (int i = 0; i < 3; i++)
		peer_forget(&p[i]);
}

/* Equal ones share the load. */
static void test_shuffle(void **state)
{
	struct peer p[2] = { { .at = "127.0.0.1", .closes_idle = true },
			     { .at = "127.0.0.2", .closes_idle = true } };

	(void)state;
	rig_open();
	peers_start(p, 2);
	go_by_mx(p[0].port);
	zone_add("there.example MX 10 a.example");
	zone_add("there.example MX 10 b.example");
	zone_add("a.example A 127.0.0.1");
	zone_add("b.example A 127.0.0.2");
	for (int i = 0; i < 40; i++)
		rig_try_one(&plain);
	rig_close();
	for (int i = 0; i < 2; i++) {
		peer_stop(&p[i]);
		assert_in_range(p[i].transactions, 5, 35);	/* 1 in 10^6 by chance */
		peer_forget(&p[i]);
	}
}

/* ---- families */

static bool has_ipv6(void)
{
	struct peer p = { .at = "::1" };
	bool has = peer_try_start(&p);

	if (has)
		peer_stop(&p);
	return has;
}

static void test_families(void **state)
{
	static const struct {
		const char *name;
		enum families families;
		const char *lines[3];
		const char *greetings[2];	/* of ::1 and 127.0.0.1 */
		int got;			/* 0: IPv6; -1: no address */
	} rows[] = {
		{ "IPv6 first", FAMILIES_ANY,
		  { "there.example AAAA ::1", "there.example A 127.0.0.1" },
		  { NULL, NULL }, 0 },
		{ "then IPv4", FAMILIES_ANY,
		  { "there.example AAAA ::1", "there.example A 127.0.0.1" },
		  { "554 no", NULL }, 1 },
		{ "only IPv4", FAMILIES_IPV4, { "there.example AAAA ::1",
						"there.example A 127.0.0.1" }, { NULL, NULL }, 1 },
		{ "only IPv6", FAMILIES_IPV6, { "there.example AAAA ::1",
						"there.example A 127.0.0.1" }, { NULL, NULL }, 0 },
		{ "no IPv6 there", FAMILIES_IPV6, { "there.example MX 10 a.example",
						    "a.example A 127.0.0.1" }, { NULL, NULL }, -1 },
		{ "no IPv4 there", FAMILIES_IPV4, { "there.example MX 10 a.example",
						    "a.example AAAA ::1" }, { NULL, NULL }, -1 },
	};

	(void)state;
	if (!has_ipv6())
		skip();
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct peer p[2] = { { .at = "::1", .greeting = rows[i].greetings[0] },
				     { .at = "127.0.0.1", .greeting = rows[i].greetings[1] } };

		print_message("%s\n", rows[i].name);
		rig_open();
		peers_start(p, 2);
		go_by_mx(p[0].port);
		rig.route.families = rows[i].families;
		for (unsigned k = 0; k < 3 && rows[i].lines[k]; k++)
			zone_add(rows[i].lines[k]);
		rig_try_one(&plain);
		if (rows[i].got < 0) {
			assert_int_equal(rig.learnt, DESTINATION_DOWN);
			assert_non_null(strstr(rig.said, "no address of a family"));
		} else {
			assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
		}
		rig_close();
		for (int k = 0; k < 2; k++) {
			peer_stop(&p[k]);
			assert_int_equal(p[k].transactions, k == rows[i].got);
			peer_forget(&p[k]);
		}
	}
}

/* IPv6 is refused, IPv4 works: the next one begins with IPv4. */
static void test_family_is_remembered(void **state)
{
	struct peer p[2] = { { .at = "127.0.0.1" }, { .at = "::1" } };

	(void)state;
	if (!has_ipv6())
		skip();
	rig_open();
	peers_start(p, 2);
	peer_stop(&p[1]);
	rig.route.idle_ns = 0;
	go_by_mx(p[0].port);
	zone_add("there.example AAAA ::1");
	zone_add("there.example A 127.0.0.1");
	rig_try_one(&plain);
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	p[1].connections = 0;
	p[1].stopping = false;
	assert_true(peer_try_start(&p[1]));	/* now IPv6 would work, too */
	rig_try_one(&plain);
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	rig_close();
	peer_stop(&p[0]);
	peer_stop(&p[1]);
	assert_int_equal(p[0].transactions, 2);
	assert_int_equal(p[1].connections, 0);
	peer_forget(&p[0]);
}

static int no_ipv6_connect(struct world *w, const struct endpoint *local,
			   const struct endpoint *remote)
{
	if (remote->ip.family == 6) {
		zone.asked += 1000;
		return -ENETUNREACH;
	}
	return world_real()->sock_connect(w, local, remote);
}

/* A machine without IPv6 learns it from the first host, not from each. */
static void test_no_ipv6_at_all(void **state)
{
	static const char *const lines[][2] = {
		{ "a.example AAAA 2001:db8::1", "a.example A 127.0.0.1" },
		{ "b.example AAAA 2001:db8::2", "b.example A 127.0.0.1" },
		{ "c.example AAAA 2001:db8::3", "c.example A 127.0.0.1" },
	};
	static const char *const domains[] = { "a.example", "b.example", "c.example" };
	struct peer p = { .at = "127.0.0.1" };

	(void)state;
	rig_open();
	peer_start(&p);
	rig.world.sock_connect = no_ipv6_connect;
	rig.route.idle_ns = 0;
	go_by_mx(p.port);
	for (int i = 0; i < 3; i++) {
		zone_add(lines[i][0]);
		zone_add(lines[i][1]);
		rig_destination("r", domains[i]);
		rig_try_one(&plain);
		assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	}
	assert_int_equal(zone.asked / 1000, 1);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
}

/* ---- whose they are */

static void test_provider(void **state)
{
	static const struct {
		const char *lines[4];
		const char *provider;
	} rows[] = {
		{ { "there.example MX 10 in1.hoster.test", "there.example MX 20 mx.there.example" },
		  "hoster" },
		{ { "there.example MX 10 mx.there.example", "there.example MX 20 in1.hoster.test" },
		  NULL },
		{ { "there.example MX 10 other.test", "there.example MX 10 in1.hoster.test" },
		  "hoster" },
		{ { "there.example A 192.0.2.1" }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		rig_open_with("provider hoster { mx .hoster.test }\n");
		go_by_mx(9);
		for (unsigned k = 0; k < 4 && rows[i].lines[k]; k++)
			zone_add(rows[i].lines[k]);
		rig_try_one(&plain);
		assert_true(rig.knows_provider);
		assert_ptr_equal(rig.provider, name_intern(str_of(rows[i].provider)));
		rig_close();
	}
	rig_open();
	go_by_mx(9);
	zone_add("there.example MX !servfail");
	rig_try_one(&plain);
	assert_false(rig.knows_provider);	/* stays what it was */
	rig_close();
}

/* ---- in words */

static void test_describe(void **state)
{
	struct rig_describing t = { .out = BUF_INIT(4096) };

	(void)state;
	rig_open_with("self 198.51.100.7\nsource four address 127.0.0.2\n");
	go_by_mx(25);
	zone_add("there.example MX 10 a.example");
	zone_add("there.example MX 20 b.example");
	zone_add("there.example MX 30 c.example");
	zone_add("a.example A 127.0.0.1");
	zone_add("a.example AAAA 2001:db8::1");
	zone_add("b.example A 198.51.100.7");
	t.source = config_source(rig.config, name_intern(STR("four")));
	assert_non_null(t.source);
	rig_describe(&t);
	assert_string_equal(buf_cstr(&t.out),
		"10 a.example port 25: 2001:db8::1 (not used), 127.0.0.1, TLS off\n"
		"20 b.example port 25: 198.51.100.7, TLS off, this relay itself\n"
		"30 c.example port 25: no such name, TLS off\n"
		"only those before preference 20 are tried\n");
	buf_clear(&t.out);
	t.source = NULL;
	rig_close();
	rig_open();
	go_by_mx(25);
	zone_add("there.example MX 0 .");
	rig_describe(&t);
	assert_string_equal(buf_cstr(&t.out),
			    "nothing to try: the domain takes no mail (5.1.10)\n");
	rig_close();
	buf_done(&t.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_own_addresses),
		cmocka_unit_test(test_own_names),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_impossible_name),
		cmocka_unit_test(test_configured_host_waits),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_not_behind_ourselves),
		cmocka_unit_test(test_better_one_rests),
		cmocka_unit_test(test_greets_as_ourselves),
		cmocka_unit_test(test_shuffle),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_family_is_remembered),
		cmocka_unit_test(test_no_ipv6_at_all),
		cmocka_unit_test(test_provider),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
