/* config: numbers with units; defaults; what is stored where; limits of the text. */
#include "config/value.h"
#include "unit/config/text.h"

static void test_values(void **state)
{
	static const struct {
		enum value kind;
		const char *text;
		bool ok;
		uint64_t value;
		const char *formatted;
	} cases[] = {
		{ VALUE_COUNT, "0", true, 0, "0" },
		{ VALUE_COUNT, "1000", true, 1000, "1000" },
		{ VALUE_COUNT, "1K", false, 0, "" },
		{ VALUE_COUNT, "-1", false, 0, "" },
		{ VALUE_COUNT, "18446744073709551615", true, UINT64_MAX, "18446744073709551615" },
		{ VALUE_COUNT, "18446744073709551616", false, 0, "" },
		{ VALUE_PORT, "25", true, 25, "25" },
		{ VALUE_PORT, "1K", false, 0, "" },
		{ VALUE_SIZE, "1", true, 1, "1" },
		{ VALUE_SIZE, "64K", true, 65536, "64K" },
		{ VALUE_SIZE, "50M", true, 50 * MIB, "50M" },
		{ VALUE_SIZE, "1024M", true, GIB, "1G" },
		{ VALUE_SIZE, "2G", true, 2 * GIB, "2G" },
		{ VALUE_SIZE, "50m", false, 0, "" },
		{ VALUE_SIZE, "50MB", false, 0, "" },
		{ VALUE_SIZE, "K", false, 0, "" },
		{ VALUE_SIZE, "17179869183G", true, 17179869183 * GIB, "17179869183G" },
		{ VALUE_SIZE, "17179869184G", false, 0, "" },
		{ VALUE_DURATION, "30s", true, 30 * SECOND, "30s" },
		{ VALUE_DURATION, "90s", true, 90 * SECOND, "90s" },
		{ VALUE_DURATION, "60s", true, MINUTE, "1m" },
		{ VALUE_DURATION, "4h", true, 4 * HOUR, "4h" },
		{ VALUE_DURATION, "5d", true, 5 * DAY, "5d" },
		{ VALUE_DURATION, "2w", true, 14 * DAY, "2w" },
		{ VALUE_DURATION, "5", false, 0, "" },
		{ VALUE_DURATION, "5M", false, 0, "" },
		{ VALUE_DURATION, "1.5h", false, 0, "" },
		{ VALUE_DURATION, "99999999999d", false, 0, "" },
		{ VALUE_RATE, "100/s", true, 100, "100/s" },
		{ VALUE_RATE, "6K/min", true, 103, "103/s" },
		{ VALUE_RATE, "1/day", true, 1, "1/s" },
		{ VALUE_RATE, "1M/h", true, 292, "292/s" },
		{ VALUE_RATE, "100", false, 0, "" },
		{ VALUE_RATE, "100/", false, 0, "" },
		{ VALUE_RATE, "/s", false, 0, "" },
		{ VALUE_RATE, "100/year", false, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 12345;
		struct buf text = BUF_INIT(100);
		bool ok = value_parse(cases[i].kind, str_of(cases[i].text), &value);

		if (ok)
			value_format(&text, cases[i].kind, value);
		if (ok != cases[i].ok || (ok && value != cases[i].value) ||
		    !str_eq(buf_str(&text), str_of(cases[i].formatted)))
			fail_msg("%s: %d %llu %s", cases[i].text, ok, (unsigned long long)value,
				 buf_cstr(&text));
		assert_true(ok || value == 12345);
		buf_done(&text);
	}
}

static void test_rates(void **state)
{
	static const struct {
		enum value unit;
		const char *text;
		bool ok;
		uint64_t amount, period_ns;
	} cases[] = {
		{ VALUE_COUNT, "60/min", true, 60, MINUTE },
		{ VALUE_COUNT, "1/day", true, 1, DAY },
		{ VALUE_COUNT, "0/s", true, 0, SECOND },
		{ VALUE_COUNT, "10/h", true, 10, HOUR },
		{ VALUE_COUNT, "1K/h", false, 0, 0 },
		{ VALUE_COUNT, "10", false, 0, 0 },
		{ VALUE_COUNT, "10/m", false, 0, 0 },
		{ VALUE_COUNT, "10/5min", false, 0, 0 },
		{ VALUE_SIZE, "1K/h", true, KIB, HOUR },
		{ VALUE_SIZE, "17179869184G/s", false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t amount = 0, period = 0;
		bool ok = value_rate_parse(cases[i].unit, str_of(cases[i].text), &amount, &period);

		if (ok != cases[i].ok || amount != cases[i].amount || period != cases[i].period_ns)
			fail_msg("%s", cases[i].text);
	}
}

static void test_defaults(void **state)
{
	struct config *c = load_sound("version 1\nlisten 127.0.0.1\nroute r { host a.example }\n"
				      "accept from local to any via r\n");
	const struct route *r = config_route(c, STR("r"));

	(void)state;
	assert_str_equal(c->hostname, STR("system.example.net"));
	assert_string_equal(c->state, "/var/lib/relevo");
	assert_int_equal(c->user.n, 0);
	assert_int_equal(c->workers, 0);
	assert_int_equal(c->queue.retry_n, 10);
	assert_true(c->queue.retry_ns[0] == 30 * SECOND && c->queue.retry_ns[9] == 4 * HOUR);
	assert_true(c->queue.warn_after_ns == 4 * HOUR && c->queue.give_up_after_ns == 5 * DAY);
	assert_true(c->queue.bounce_give_up_after_ns == DAY);
	assert_true(c->queue.size_max == 0 && c->queue.free_min == 0 && c->queue.memory == 8 * MIB);
	assert_int_equal(c->queue.notices_max, 100);
	assert_true(c->message.size_max == 50 * MIB && c->message.memory == 16 * MIB);
	assert_true(c->message.bounce_size_max == 64 * KIB);
	assert_int_equal(c->message.recipients_max, 1000);
	assert_int_equal(c->message.hops_max, 50);
	assert_true(c->log.format == LOG_TEXT && c->log.target == LOG_STDERR &&
		    c->log.transcripts_n == 0);
	assert_true(c->postmaster.n == 0 && !c->postmaster_route);
	assert_int_equal(c->listens_n, 1);
	assert_true(c->listens[0].timeout_ns == 5 * MINUTE &&
		    c->listens[0].data_timeout_ns == 3 * MINUTE);
	assert_true(c->listens[0].session_max_ns == 2 * HOUR && c->listens[0].rate_min == 100);
	assert_true(c->listens[0].errors_max == 20 && c->listens[0].connections_max == 10000);
	assert_str_equal(c->listens[0].banner, STR("ESMTP Relevo"));
	assert_int_equal(c->listens[0].endpoint.port, 25);
	assert_non_null(r);
	assert_true(r->protocol == ROUTE_SMTP && !r->is_mx && r->hosts_n == 1 &&
		    r->give_up_after_ns == 0);
	assert_true(r->connect_timeout_ns == 30 * SECOND && r->timeout_ns == 5 * MINUTE &&
		    r->idle_ns == 5 * SECOND);
	assert_true(r->connections_max == 20 && r->messages_max == 100);
	assert_true(r->hosts[0].port == 25 && r->hosts[0].weight == 1 && !r->hosts[0].backup);
	assert_ptr_equal(c->rules[0].route, r);
	config_unref(c);
}

static void test_everything_set(void **state)
{
	struct config *c = load_sound(
		"version 1\nhostname relay.example.net\nstate spool/x\nuser relevo\nworkers 3\n"
		"listen [::1]:2525 { timeout 1m; data_timeout 2m; session_max 3h; rate_min none; "
		"errors_max 5; banner \"a \\\"b\\\\\" }\n"
		"route store {\n\thost unix:/run/lmtp { weight 7 }\n\thost 10.0.0.5 { backup "
		"}\n\thost [::1]:99\n"
		"\tprotocol lmtp\n\tgive_up_after 1w\n\tidle none\n}\n"
		"queue { retry 1s 2s; warn_after never; size_max 1G; free_min 2G; notices_max none "
		"}\n"
		"message { size_max 1M; recipients_max 7 }\n"
		"postmaster admin@example.net via store\n"
		"log { format json; to file log/x; transcript for 192.0.2.0/24 slow.example }\n"
		"accept from local to domain example.org via smtp://[::1]:26\n"
		"accept from local to any via smtp://[::1]:26\n"
		"reject from any to any \"no, \\\"no\\\"\"\n");
	const struct route *r = config_route(c, STR("store"));

	(void)state;
	assert_str_equal(c->hostname, STR("relay.example.net"));
	assert_string_equal(c->state, "spool/x");
	assert_str_equal(c->user, STR("relevo"));
	assert_int_equal(c->workers, 3);
	assert_true(c->listens[0].endpoint.ip.family == 6 && c->listens[0].endpoint.port == 2525);
	assert_true(c->listens[0].timeout_ns == MINUTE && c->listens[0].rate_min == 0);
	assert_str_equal(c->listens[0].banner, STR("a \"b\\"));
	assert_int_equal(r->hosts_n, 3);
	assert_string_equal(r->hosts[0].endpoint.path, "/run/lmtp");
	assert_int_equal(r->hosts[0].weight, 7);
	assert_true(r->hosts[1].backup && r->hosts[1].port == 24 &&
		    r->hosts[1].endpoint.port == 24);
	assert_true(r->hosts[2].port == 99 && r->hosts[2].endpoint.ip.family == 6);
	assert_str_equal(r->hosts[1].name, STR("10.0.0.5"));
	assert_str_equal(r->hosts[2].name, STR("::1"));
	assert_str_equal(r->hosts[0].name, STR("unix:/run/lmtp"));
	assert_true(r->protocol == ROUTE_LMTP && r->give_up_after_ns == 7 * DAY && r->idle_ns == 0);
	assert_true(c->queue.retry_n == 2 && c->queue.retry_ns[1] == 2 * SECOND &&
		    c->queue.warn_after_ns == 0);
	assert_true(c->queue.size_max == GIB && c->queue.free_min == 2 * GIB &&
		    c->queue.notices_max == 0);
	assert_true(c->message.size_max == MIB && c->message.recipients_max == 7 &&
		    c->message.hops_max == 50);
	assert_str_equal(c->postmaster, STR("admin@example.net"));
	assert_ptr_equal(c->postmaster_route, r);
	assert_true(c->log.format == LOG_JSON && c->log.target == LOG_FILE &&
		    c->log.transcripts_n == 2);
	assert_string_equal(c->log.file, "log/x");
	assert_int_equal(c->log.transcripts[0].network.prefix, 24);
	assert_str_equal(c->log.transcripts[1].domain, STR("slow.example"));
	assert_int_equal(c->routes_n, 2);	/* the two rules share the one written out */
	assert_ptr_equal(c->rules[0].route, c->rules[1].route);
	assert_ptr_equal(config_route(c, STR("smtp://[::1]:26")), c->rules[0].route);
	assert_null(config_route(c, STR("nowhere")));
	assert_true(c->rules[0].route->timeout_ns == 5 * MINUTE &&
		    c->rules[0].route->connections_max == 20);
	assert_int_equal(c->rules_n, 3);
	assert_str_equal(c->rules[2].text, STR("reject from any to any \"no, \\\"no\\\"\""));
	assert_str_equal(c->rules[2].reply.text, STR("no, \"no\""));
	assert_int_equal(c->rules[2].place.line, 21);
	config_unref(c);
}

static void test_route_parse(void **state)
{
	static const char *const bad[] = {
		"",
		"r",
		"smtp://",
		"smtp://a.example:0",
		"smtp://a.example:65536",
		"smtp://a..b",
		"http://a.example",
		"smtp://10.0.0.256",
		"smtp://[::1",
		"smtp:a.example",
		"smtp://a@b",
		"smtp://a.example/x",
	};
	struct arena a;
	const struct route *r;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (config_route_parse(&a, str_of(bad[i])))
			fail_msg("%s was taken", bad[i]);
	r = config_route_parse(&a, STR("lmtp://mail.example.net"));
	assert_true(r && r->protocol == ROUTE_LMTP && r->hosts_n == 1 && r->hosts[0].port == 24 &&
		    r->messages_max == 100);
	assert_str_equal(r->name, STR("lmtp://mail.example.net"));
	assert_str_equal(r->hosts[0].name, STR("mail.example.net"));
	r = config_route_parse(&a, STR("smtp://10.0.0.5:2525"));
	assert_true(r && r->protocol == ROUTE_SMTP && r->hosts[0].endpoint.ip.family == 4 &&
		    r->hosts[0].endpoint.port == 2525);
	arena_done(&a);
}

/* A text made of a beginning, a part that is repeated, and an end. */
static struct loaded load_repeated(const char *begin, const char *part, unsigned n, const char *end)
{
	struct buf text = BUF_INIT((size_t)64 << 20);
	struct loaded l;

	buf_add_str(&text, str_of(begin));
	for (unsigned i = 0; i < n; i++)
		buf_add_str(&text, str_of(part));
	buf_add_str(&text, str_of(end));
	assert_true(buf_ok(&text));
	l = load_bytes(text.p, text.n);
	buf_done(&text);
	return l;
}

static void expect(struct loaded l, unsigned errors, const char *message)
{
	if (l.errors != errors || str_search(buf_str(&l.messages), str_of(message)) < 0)
		fail_msg("%u errors, expected %u with \"%s\":\n%s", l.errors, errors, message,
			 buf_cstr(&l.messages));
	loaded_done(&l);
}

static void test_limits(void **state)
{
	(void)state;
	expect(load_repeated("version 1\nroute ", "x", 1001, " {\n}\n"), 1,
	       "t.conf:2:7: error: a word has at most 1000 octets");
	expect(load_repeated("version 1\naccept", " x", 1000, "\n"), 1,
	       "t.conf:2:2006: error: a statement has at most 1000 words; a table can hold more");
	expect(load_repeated("version 1\n", "x\n", 300, ""), 100,
	       "t.conf:101:1: error: 100 errors: the rest is not shown\n");
	expect(load_repeated("version 1\n", "#", 16 << 20, ""), 1,
	       "t.conf: error: t.conf is larger than 16 MiB\n");
	expect(load_repeated("version 1\nroute r {\n", "host a.example\n", 101, "}\n"), 100,
	       "t.conf:103:1: error: more than 100 hosts in one route\n");
	expect(load_repeated("version 1\n", "{ ", 100000, ""), 9, "nested more than 8 deep");
	expect(load_repeated("version 1\npool p {\nsource a\n", "x\n", 300, "}\n"), 100,
	       "the rest is not shown\n");
	expect(load_repeated("version 1\nprovider p {\non reply 421 then slow\n", "x\n", 300, ""),
	       100, "the rest is not shown\n");
	expect(load_repeated("version 1\nprovider any {\n", "on reply 421 then slow\n", 201, "}\n"),
	       1, "t.conf:203:1: error: more than 200 `on` statements in one provider\n");
}

static void test_table_limit(void **state)
{
	struct buf text = BUF_INIT((size_t)16 << 20);

	(void)state;
	buf_add_lit(&text, "version 1\ntable t {\n");
	for (unsigned i = 0; i < 1000001; i++)
		buf_printf(&text, "%x.a\n", i);
	buf_add_lit(&text, "}\n");
	expect(load_bytes(text.p, text.n), 1,
	       "t.conf:1000003:1: error: a table has at most 1000000 entries\n");
	buf_done(&text);
}

static void test_bytes(void **state)
{
	static const char nul[] = "version 1\nlisten \0 127.0.0.1\n";
	static const char bom[] = "\xef\xbb\xbfversion 1\n";

	(void)state;
	expect(load_bytes(nul, sizeof(nul) - 1), 1,
	       "t.conf:2:8: error: a control character (octet 0) cannot stand here\n");
	expect(load_bytes(bom, sizeof(bom) - 1), 2,
	       "t.conf:1:1: error: the first statement must be: version 1\n");
}

static void test_hash(void **state)
{
	static const char text[] = "version 1\nhostname a.example\n";
	struct config *a = load_sound(text), *b = load_sound(text),
		      *c = load_sound("version 1\nhostname b.example\n");

	(void)state;
	assert_str_equal(a->text_hash, b->text_hash);
	assert_false(str_eq(a->text_hash, c->text_hash));
	config_unref(a);
	config_unref(b);
	config_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything_set),
		cmocka_unit_test(test_route_parse),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_table_limit),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
