/* run/watchdog: loops that turn and one that does not, the supervisor's clock, systemd's. */
#include "run/watchdog.h"
#include "unit/net/run.h"

static atomic_bool hangs;

static void hang(void *arg)
{
	(void)arg;
	while (atomic_load(&hangs))
		usleep(1000);
}

static bool turns_within(struct heartbeat *h, unsigned ms)
{
	for (unsigned i = 0; i < ms / 10; i++) {
		if (heartbeat_turn(h))
			return true;
		usleep(10 * 1000);
	}
	return false;
}

struct hanging {
	struct post post;
};

static void on_hang(struct post *p)
{
	(void)p;
	hang(NULL);
}

static void test_loops(void **state)
{
	struct net *n = net_new(world_real(), 3, 0);
	struct heartbeat *h = heartbeat_new(n);
	struct hanging hanging;

	(void)state;
	net_start(n);
	assert_true(heartbeat_turn(h));		/* nothing was asked before */
	assert_true(turns_within(h, 5000));
	atomic_store(&hangs, true);
	loop_post(net_loop(n, 1), &hanging.post, on_hang);
	usleep(20 * 1000);
	heartbeat_turn(h);			/* may be true: the last posts */
	assert_false(turns_within(h, 300));	/* two loops of three are not all */
	atomic_store(&hangs, false);
	assert_true(turns_within(h, 5000));
	net_stop(n);
	heartbeat_free(h);
}

struct look {
	uint64_t at_s;
	enum watchdog_verdict verdict;
	bool feeds;
};

static void test_clock(void **state)
{
	static const struct look looks[] = {
		{ 1, WATCHDOG_FINE, true },
		{ 5, WATCHDOG_FINE, false },	/* systemd was told a moment ago */
		{ 29, WATCHDOG_FINE, true },
		{ 30, WATCHDOG_FINE, false },	/* late: it is given a grace, nobody is told */
		{ 34, WATCHDOG_FINE, false },
		{ 35, WATCHDOG_ABORT, false },
		{ 39, WATCHDOG_FINE, false },
		{ 40, WATCHDOG_KILL, false },
		{ 46, WATCHDOG_KILL, false },
	};
	struct watchdog w = { .feed_every = 15 * SECOND };
	uint64_t start = 1000 * SECOND;

	(void)state;
	assert_int_equal(watchdog_look(&w, start), WATCHDOG_FINE);	/* no word is expected */
	assert_int_equal(watchdog_next(&w), 15 * SECOND);
	watchdog_expect(&w, start, HANG_S);
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		uint64_t at = start + looks[i].at_s * SECOND;

		if (watchdog_look(&w, at) != looks[i].verdict)
			fail_msg("after %u s", (unsigned)looks[i].at_s);
		if (watchdog_feeds(&w, at) != looks[i].feeds)
			fail_msg("feeding after %u s", (unsigned)looks[i].at_s);
	}
	watchdog_forget(&w);			/* it has died: systemd may be told again */
	assert_true(watchdog_feeds(&w, start + 50 * SECOND));
	w.feed_every = 0;
	assert_int_equal(watchdog_next(&w), 0);
	watchdog_expect(&w, start, RELOAD_MAX_S);
	assert_int_equal(watchdog_next(&w), start + RELOAD_MAX_S * SECOND);
	assert_false(watchdog_feeds(&w, start));
}

/* A word in the time of grace: all is forgiven. */
static void test_late_word(void **state)
{
	struct watchdog w = { 0 };

	(void)state;
	watchdog_expect(&w, SECOND, HANG_S);
	assert_int_equal(watchdog_look(&w, 32 * SECOND), WATCHDOG_FINE);
	watchdog_expect(&w, 33 * SECOND, HANG_S);
	assert_int_equal(watchdog_look(&w, 38 * SECOND), WATCHDOG_FINE);
	assert_int_equal(watchdog_look(&w, 62 * SECOND), WATCHDOG_FINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_late_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
