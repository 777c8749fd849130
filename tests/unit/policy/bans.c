/* bans: delays that grow, bans that end, names and networks apart, memory bounded. */
#include "policy/bans.h"

#include "base/hash.h"
#include "net/loop.h"
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEC SECOND
#define T0 (1000 * SEC)

static const struct ban_limits limits = {
	.free = 2,
	.forget_ms = 60 * 1000,
	.delay_ms = 1000,
	.delay_max_ms = 8000,
	.name_delay_max_ms = 3000,
	.ban_after = 6,
	.ban_ms = 100 * 1000,
	.ban_max_ms = 300 * 1000,
	.entries_max = 8,
};

static struct ip ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(str_of(text), &ip));
	return ip;
}

static void test_delays_grow_and_end(void **state)
{
	static const unsigned delays[] = {0, 0, 1000, 2000, 4000};
	struct bans *b = bans_new(&limits);
	struct ip a = ip_of("192.0.2.1"), other = ip_of("192.0.2.2");

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		assert_false(bans_failed(b, &a, STR_NONE, 0, T0));
		assert_int_equal(bans_delay_ms(b, &a, STR_NONE, T0), delays[i]);
	}
	assert_int_equal(bans_delay_ms(b, &other, STR_NONE, T0), 0);
	assert_int_equal(bans_banned_ms(b, &a, T0), 0);
	/* one is forgotten each minute: 5, 4, 3, 2 */
	assert_int_equal(bans_delay_ms(b, &a, STR_NONE, T0 + 61 * SEC), 2000);
	assert_int_equal(bans_delay_ms(b, &a, STR_NONE, T0 + 121 * SEC), 1000);
	assert_int_equal(bans_delay_ms(b, &a, STR_NONE, T0 + 181 * SEC), 0);
	/* and the longest is the longest */
	for (unsigned i = 0; i < 3; i++)
		bans_failed(b, &a, STR_NONE, 0, T0 + 181 * SEC);
	assert_int_equal(bans_delay_ms(b, &a, STR_NONE, T0 + 182 * SEC), 4000);
	bans_free(b);
}

static void test_ban_and_again(void **state)
{
	struct bans *b = bans_new(&limits);
	struct ip a = ip_of("192.0.2.1"), other = ip_of("192.0.2.2");
	struct bans_stats stats;
	uint64_t now = T0;
	static const uint64_t lengths[] = {100, 200, 300, 300};

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		unsigned failures = round ? 4 : 6; /* back from a ban: the free ones are used up */

		for (unsigned i = 1; i <= failures; i++)
			assert_int_equal(bans_failed(b, &a, STR_NONE, 0, now), i == failures);
		assert_int_equal(bans_banned_ms(b, &a, now), lengths[round] * 1000);
		assert_int_equal(bans_banned_ms(b, &other, now), 0);
		bans_stats(b, &stats);
		assert_int_equal(stats.banned, 1);
		now += lengths[round] * SEC - 1;
		assert_int_equal(bans_banned_ms(b, &a, now), 1);
		now++;
		assert_int_equal(bans_banned_ms(b, &a, now), 0);
		/* at once: as if no time had passed, nothing is forgotten but what drained */
		bans_stats(b, &stats);
		assert_int_equal(stats.banned, 0);
		now -= lengths[round] * SEC;
	}
	bans_free(b);
}

static void test_networks(void **state)
{
	struct bans *b = bans_new(&limits);
	struct ip six = ip_of("2001:db8:1:2::1"), neighbour = ip_of("2001:db8:1:2:ffff::9"),
		  next = ip_of("2001:db8:1:3::1");

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		bans_failed(b, i % 2 ? &six : &neighbour, STR_NONE, 0, T0);
	assert_true(bans_banned_ms(b, &six, T0) > 0 && bans_banned_ms(b, &neighbour, T0) > 0);
	assert_int_equal(bans_banned_ms(b, &next, T0), 0);
	assert_true(bans_lift(b, &six, T0));
	assert_false(bans_lift(b, &six, T0));
	assert_int_equal(bans_banned_ms(b, &neighbour, T0), 0);
	bans_free(b);
}

/* Guesses at one name from everywhere: slow, never a ban; its owner's success ends it. */
static void test_names(void **state)
{
	struct bans *b = bans_new(&limits);
	struct ip fresh = ip_of("198.51.100.1");

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		struct ip from = ip_of("203.0.113.0");

		from.bytes[3] = (uint8_t)i;
		assert_false(bans_failed(b, &from, STR("anna@example.org"), 0, T0));
	}
	assert_int_equal(bans_delay_ms(b, &fresh, STR("Anna@EXAMPLE.org"), T0), 3000);
	assert_int_equal(bans_delay_ms(b, &fresh, STR("bert"), T0), 0);
	assert_int_equal(bans_banned_ms(b, &fresh, T0), 0);
	bans_succeeded(b, STR("ANNA@example.org"));
	assert_int_equal(bans_delay_ms(b, &fresh, STR("anna@example.org"), T0), 0);
	bans_free(b);
}

/* A success of one account does not clear the network that guesses at others. */
static void test_success_is_no_pardon(void **state)
{
	struct bans *b = bans_new(&limits);
	struct ip a = ip_of("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		bans_failed(b, &a, STR("victim"), 0, T0);
		bans_succeeded(b, STR("accomplice"));
	}
	assert_true(bans_failed(b, &a, STR("victim"), 0, T0));
	bans_free(b);
}

/* One wrong password again and again counts once; another one counts. */
static void test_stale_password(void **state)
{
	struct bans *b = bans_new(&limits);
	struct ip a = ip_of("192.0.2.1");

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		assert_false(bans_failed(b, &a, STR("anna"), 4711, T0));
	assert_int_equal(bans_delay_ms(b, &a, STR("anna"), T0), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_false(bans_failed(b, &a, STR("anna"), 5000 + i, T0));
	assert_true(bans_failed(b, &a, STR("anna"), 6000, T0));
	bans_free(b);
}

static void test_memory_is_bounded(void **state)
{
	struct bans *b = bans_new(&limits);
	struct ip banned = ip_of("192.0.2.1");
	struct bans_stats stats;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		bans_failed(b, &banned, STR_NONE, 0, T0);
	for (unsigned i = 0; i < 1000; i++) {
		struct ip from = ip_of("203.0.113.0");
		char name[16];

		from.bytes[2] = (uint8_t)(i >> 8);
		from.bytes[3] = (uint8_t)i;
		snprintf(name, sizeof(name), "user%u", i);
		bans_failed(b, &from, str_of(name), 0, T0 + i);
		bans_stats(b, &stats);
		assert_true(stats.networks <= limits.entries_max &&
			    stats.names <= limits.entries_max);
	}
	/* what is banned is kept when something else can go */
	assert_true(bans_banned_ms(b, &banned, T0 + 1000) > 0);
	bans_free(b);
}

static void test_no_ban_no_forgetting(void **state)
{
	struct ban_limits l = limits;
	struct ip a = ip_of("192.0.2.1");
	struct bans *b;

	(void)state;
	l.ban_after = 0;
	l.forget_ms = 0;
	b = bans_new(&l);
	for (unsigned i = 0; i < 5000; i++)
		assert_false(bans_failed(b, &a, STR("x"), 0, T0));
	assert_int_equal(bans_delay_ms(b, &a, STR_NONE, T0 + 1000000 * SEC), 8000);
	assert_int_equal(bans_delay_ms(b, &a, STR("x"), 0), 8000); /* a clock before */
	bans_free(b);
}

/* ---- the file */

static char folder[] = "/tmp/relevo-bans-XXXXXX", path[64];
static struct world world;
static uint64_t clock_now;
static int64_t wall_ms;

static uint64_t the_now(struct world *w)
{
	(void)w;
	return clock_now;
}

static int64_t the_wall(struct world *w)
{
	(void)w;
	return wall_ms;
}

/* A new process: its clock begins anew, the wall clock has gone on by so many seconds. */
static struct bans *started(int64_t later_s)
{
	struct bans *b = bans_new(&limits);

	world = *world_real();
	world.now = the_now;
	world.wall_ms = the_wall;
	clock_now = 5 * SEC;
	wall_ms += later_s * 1000;
	bans_keep(b, &world, folder);
	return b;
}

static void ended(struct bans *b)
{
	bans_stop(b);
	bans_free(b);
}

static void fail_n(struct bans *b, const char *ip, unsigned n)
{
	struct ip a = ip_of(ip);

	for (unsigned i = 0; i < n; i++)
		bans_failed(b, &a, STR("anna"), 0, clock_now);
}

static void test_kept(void **state)
{
	struct ip a = ip_of("192.0.2.1"), six = ip_of("2001:db8::77"), slow = ip_of("192.0.2.3");
	struct bans_stats stats;
	struct bans *b;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/bans", folder);
	wall_ms = 1700000000000;
	b = started(0);
	fail_n(b, "192.0.2.1", 6);
	fail_n(b, "2001:db8::1", 6);
	fail_n(b, "192.0.2.3", 5);
	assert_int_equal(bans_banned_ms(b, &a, clock_now), 100000);
	ended(b);
	b = started(40);			/* the ban goes on */
	bans_stats(b, &stats);
	assert_int_equal(stats.banned, 2);
	assert_int_equal(stats.networks, 3);
	assert_int_equal(stats.names, 0);
	assert_int_equal(bans_banned_ms(b, &a, clock_now), 60000);
	assert_int_equal(bans_banned_ms(b, &six, clock_now), 60000);
	assert_int_equal(bans_delay_ms(b, &slow, STR_NONE, clock_now), 4000);
	ended(b);
	b = started(61);			/* and ends; the next one is longer */
	assert_int_equal(bans_banned_ms(b, &a, clock_now), 0);
	fail_n(b, "192.0.2.1", 6);
	assert_int_equal(bans_banned_ms(b, &a, clock_now), 200000);
	ended(b);
	wall_ms -= 10000000;			/* a clock that was set back bans nobody for ever */
	b = started(0);
	assert_int_equal(bans_banned_ms(b, &a, clock_now), 300000);
	assert_true(bans_lift(b, &a, clock_now));
	ended(b);
	b = started(0);				/* what was lifted stays lifted */
	assert_int_equal(bans_banned_ms(b, &a, clock_now), 0);
	ended(b);
	b = started(100000);			/* and who keeps still is forgotten */
	bans_stats(b, &stats);
	fail_n(b, "192.0.2.9", 1);
	ended(b);
	b = started(0);
	bans_stats(b, &stats);
	assert_int_equal(stats.networks, 1);
	ended(b);
}

static void test_damaged_file(void **state)
{
	static const struct {
		const char *line;
		unsigned networks;
	} rows[] = {
		{ "network\t192.0.2.1\t6000\t1700000000000\t0\t0\t", 1 },
		{ "network\t192.0.2.1\t6000\t1700000000000\t0\t0", 0 },
		{ "network\t192.0.2\t6000\t1700000000000\t0\t0\t", 0 },
		{ "network\t-\t6000\t1700000000000\t0\t0\t", 0 },
		{ "name\t192.0.2.1\t6000\t1700000000000\t0\t0\t", 0 },
		{ "network\t192.0.2.1\t6000000\t1700000000000\t0\t0\t", 0 },
		{ "network\t192.0.2.1\t6000\t-5\t0\t0\t", 0 },
		{ "network\t192.0.2.1\t6000\t1700000000000\t4294967296\t0\t", 0 },
		{ "network\t192.0.2.1\t6000\t1700000000000\t0\t99999999999999999999\t", 0 },
		{ "network\t192.0.2.1\t6000\t9223372036854775807\t0\t9223372036854775807\t", 1 },
	};
	struct bans_stats stats;

	(void)state;
	wall_ms = 1700000000000;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		FILE *f = fopen(path, "w");
		struct bans *b;

		fprintf(f, "relevo bans 1\n%s\n", rows[i].line);
		fclose(f);
		b = started(0);
		bans_stats(b, &stats);
		if (stats.networks != rows[i].networks)
			fail_msg("row %zu", i);
		ended(b);
	}
}

/* More than there is room for: no more than that is read, too. */
static void test_bounded_file(void **state)
{
	FILE *f = fopen(path, "w");
	struct bans_stats stats;
	struct bans *b;

	(void)state;
	fprintf(f, "relevo bans 1\n");
	for (unsigned i = 0; i < 100; i++)
		fprintf(f, "network\t192.0.2.%u\t6000\t1700000000000\t1\t1700000010000\t\n", i);
	fclose(f);
	b = started(0);
	bans_stats(b, &stats);
	assert_int_equal(stats.networks, limits.entries_max);
	ended(b);
	unlink(path);
	assert_return_code(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delays_grow_and_end),
		cmocka_unit_test(test_ban_and_again),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_success_is_no_pardon),
		cmocka_unit_test(test_stale_password),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_no_ban_no_forgetting),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_damaged_file),
		cmocka_unit_test(test_bounded_file),
	};

	hash_seed(7, 11);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
