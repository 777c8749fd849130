/*
 * deliver/route and deliver/health: which hosts are tried in which order, and when one rests.
 */
#include "unit/deliver/rig.h"

#define W HOST_WORKS
#define P HOST_PROBE
#define S HOST_RESTS
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t draw_seed;

static uint64_t draw(void *arg, uint64_t below)
{
	(void)arg;
	draw_seed = draw_seed * 6364136223846793005u + 1442695040888963407u;
	return (draw_seed >> 33) % below;
}

static void test_order(void **state)
{
	static const struct {
		const char *name;
		bool backup[4];
		enum host_state states[4];
		const char *first, *last;	/* digits of hosts that may come first and last */
		unsigned n;
	} rows[] = {
		{ "alike", { 0, 0, 0, 0 }, { W, W, W, W }, "0123", "0123", 4 },
		{ "backups last", { 1, 0, 1, 0 }, { W, W, W, W }, "13", "02", 4 },
		{ "one rests", { 0, 0, 0, 0 }, { S, W, W, W }, "123", "123", 3 },
		{ "primaries rest", { 0, 0, 1, 1 }, { S, S, W, W }, "23", "23", 2 },
		{ "all rest", { 0, 0, 1, 1 }, { S, S, S, S }, "01", "23", 4 },
		{ "to be probed", { 0, 0, 1, 1 }, { P, S, W, W }, "0", "23", 3 },
	};
	unsigned order[4];

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct route_host hosts[4];
		struct route r = { .hosts = hosts, .hosts_n = 4 };

		print_message("%s\n", rows[i].name);
		for (int h = 0; h < 4; h++)
			hosts[h] = (struct route_host){ .backup = rows[i].backup[h], .weight = 1 };
		for (int round = 0; round < 100; round++) {
			unsigned seen = 0;

			assert_int_equal(route_order(&r, rows[i].states, draw, NULL, order),
					 rows[i].n);
			for (unsigned h = 0; h < rows[i].n; h++)
				seen |= 1u << order[h];
			assert_int_equal(__builtin_popcount(seen), rows[i].n);
			assert_non_null(strchr(rows[i].first, '0' + (int)order[0]));
			assert_non_null(strchr(rows[i].last, '0' + (int)order[rows[i].n - 1]));
		}
	}
}

static void test_weights(void **state)
{
	static const enum host_state works[3] = { HOST_WORKS, HOST_WORKS, HOST_WORKS };
	struct route_host hosts[3] = { { .weight = 1 }, { .weight = 3 }, { .weight = 6 } };
	struct route r = { .hosts = hosts, .hosts_n = 3 };
	unsigned firsts[3] = { 0 }, order[3];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		route_order(&r, works, draw, NULL, order);
		firsts[order[0]]++;
	}
	assert_in_range(firsts[0], 800, 1200);
	assert_in_range(firsts[1], 2700, 3300);
	assert_in_range(firsts[2], 5700, 6300);
}

static void test_breaker(void **state)
{
	struct health *h = health_new();
	struct host a = { .name = STR("a.example"), .port = 25 },
		    b = { .name = STR("a.example"), .port = 26 };
	uint64_t until, now = SECOND;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(health_state(h, &a, now, &until), HOST_WORKS);
		health_failed(h, &a, now, STR("no"));
	}
	assert_int_equal(health_state(h, &a, now, &until), HOST_RESTS);
	assert_true(until > now);
	assert_int_equal(health_state(h, &b, now, &until), HOST_WORKS);
	assert_int_equal(health_state(h, &a, now + 31 * SECOND, &until), HOST_PROBE);
	health_begins(h, &a, now + 31 * SECOND);	/* one probes, the others wait */
	assert_int_equal(health_state(h, &a, now + 31 * SECOND, &until), HOST_RESTS);
	health_failed(h, &a, now + 32 * SECOND, STR("no"));
	assert_int_equal(health_state(h, &a, now + 80 * SECOND, &until), HOST_RESTS);
	assert_int_equal(health_state(h, &a, now + 93 * SECOND, &until), HOST_PROBE);
	health_works(h, &a, now);
	assert_int_equal(health_state(h, &a, now, &until), HOST_WORKS);
	for (int i = 0; i < 40; i++)
		health_failed(h, &a, now, STR("no"));
	assert_int_equal(health_state(h, &a, now + 601 * SECOND, &until), HOST_PROBE);
	health_free(h);
}

/* Thousands of dead exchangers: the table does not grow, and a route's hosts are not forgotten. */
static void test_breaker_is_bounded(void **state)
{
	struct health *h = health_new();
	struct host smarthost = { .name = STR("smart.example"), .port = 25 };
	char name[32];
	uint64_t until;

	(void)state;
	for (int k = 0; k < 3; k++)
		health_failed(h, &smarthost, SECOND, STR_NONE);
	for (int i = 0; i < 100000; i++) {
		struct host host = { .port = 25, .is_exchanger = true };

		snprintf(name, sizeof(name), "h%d.example", i);
		host.name = str_of(name);
		for (int k = 0; k < 3; k++)
			health_failed(h, &host, SECOND, STR_NONE);
		assert_int_equal(health_state(h, &host, SECOND, &until), HOST_RESTS);
	}
	assert_int_equal(health_state(h, &smarthost, SECOND, &until), HOST_RESTS);
	health_free(h);
}

static void test_families(void **state)
{
	struct health *h = health_new();
	struct host a = { .name = STR("a.example"), .port = 25 },
		    b = { .name = STR("b.example"), .port = 25 };
	uint64_t now = SECOND;

	(void)state;
	assert_int_equal(health_first_family(h, &a, now), 6);
	health_prefers(h, &a, 4, now);
	assert_int_equal(health_first_family(h, &a, now), 4);
	assert_int_equal(health_first_family(h, &b, now), 6);
	health_works(h, &a, now);	/* remembered, though nothing is wrong with the host */
	assert_int_equal(health_first_family(h, &a, now + 599 * SECOND), 4);
	assert_int_equal(health_first_family(h, &a, now + 600 * SECOND), 6);
	health_no_network(h, 6, now);
	assert_int_equal(health_first_family(h, &b, now + 59 * SECOND), 4);
	assert_int_equal(health_first_family(h, &b, now + 60 * SECOND), 6);
	health_no_network(h, 4, now);	/* neither: as if nothing were known */
	assert_int_equal(health_first_family(h, &b, now + 1), 6);
	now += 3600 * SECOND;
	health_prefers(h, &a, 4, now);	/* but then it is IPv4 that is gone altogether */
	health_no_network(h, 4, now);
	assert_int_equal(health_first_family(h, &a, now), 6);
	health_free(h);
}

/* ---- errors */

static void test_table(void **state)
{
	size_t n;
	const struct error *table = error_table(&n);
	struct buf text = BUF_INIT(65536);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct error *e = &table[i];

		assert_ptr_equal(error_find(e->stage, e->failure), e);	/* one row each */
		assert_int_equal(e->enhanced.class, e->lasting == PERMANENT ? 5 : 4);
		assert_true(e->text[0]);
		if (e->stage <= STAGE_HELLO)	/* only the DNS judges before that */
			assert_int_equal(e->scope, e->lasting == PERMANENT ? SCOPE_MESSAGE
									   : SCOPE_HOST);
		if (e->lasting == PERMANENT)
			assert_true(e->stage == STAGE_MX || e->stage > STAGE_HELLO);
		if (e->stage == STAGE_DOT)
			assert_int_equal(e->scope, SCOPE_MESSAGE);
		if (e->failure == FAIL_LOST || e->failure == FAIL_TIMEOUT ||
		    e->failure == FAIL_GARBAGE || e->failure == FAIL_NO_ANSWER ||
		    e->failure == FAIL_BOGUS || e->failure == FAIL_NO_FAMILY)
			assert_int_equal(e->lasting, TEMPORARY);
	}
	errors_reference(&text);
	assert_true(buf_ok(&text));
	buf_done(&text);
}

/* From MAIL on everything that a reply or its absence can mean has a row. */
static void test_table_is_complete(void **state)
{
	static const enum failure always[] = {FAIL_4XX,	 FAIL_5XX,     FAIL_421,
					      FAIL_LOST, FAIL_TIMEOUT, FAIL_GARBAGE};

	(void)state;
	for (enum stage s = STAGE_GREETING; s <= STAGE_DOT; s++)
		for (size_t i = 0; s != STAGE_OFFERS && i < LENGTH(always); i++)
			assert_non_null(error_find(s, always[i]));
}

static void test_replies(void **state)
{
	static const struct {
		uint16_t code;
		unsigned class;
		enum failure failure;
	} rows[] = {
		{250, 2, FAIL_NONE},	{251, 2, FAIL_NONE},	{354, 3, FAIL_NONE},
		{250, 3, FAIL_GARBAGE}, {354, 2, FAIL_GARBAGE}, {421, 2, FAIL_421},
		{450, 2, FAIL_4XX},	{550, 3, FAIL_5XX},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct reply r = { .code = rows[i].code };

		assert_int_equal(failure_of_reply(&r, rows[i].class), rows[i].failure);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	 cmocka_unit_test(test_weights),
		cmocka_unit_test(test_breaker),	 cmocka_unit_test(test_breaker_is_bounded),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_table),	 cmocka_unit_test(test_table_is_complete),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
