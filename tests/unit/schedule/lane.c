/*
 * What a hop takes, learnt: lanes in all their moods.
 */
#include "unit/unit.h"

#include "base/mem.h"
#include "schedule/lane.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define MINUTE (60 * SECOND)

static struct lane lane_with(uint32_t bound, bool known, uint32_t in_use)
{
	struct lane l;

	lane_init(&l, bound, known, SECOND);
	for (uint32_t i = 0; i < in_use; i++)
		lane_connect(&l);
	return l;
}

static void the_start_depends_on_who_named_it(void **state)
{
	static const struct {
		uint32_t bound;
		bool known;
		uint32_t allowed;
	} cases[] = {
		{ 20, false, 5 }, { 5, false, 5 }, { 3, false, 3 }, { 1, false, 1 },
		{ 20, true, 20 }, { 500, true, 500 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lane l = lane_with(cases[i].bound, cases[i].known, 0);

		assert_int_equal(lane_connections(&l, SECOND), cases[i].allowed);
		assert_true(lane_may_send(&l, SECOND));
		assert_int_equal(lane_fades(&l, SECOND), SECOND);
	}
}

static void it_grows_only_when_all_is_used(void **state)
{
	struct lane l = lane_with(20, false, 4);

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(lane_works(&l, 2 * SECOND), LANE_SAME);
	assert_int_equal(l.allowed, 5);
	for (unsigned i = 0; i < 100; i++) {
		while (lane_connections(&l, 2 * SECOND))
			lane_connect(&l);
		assert_int_equal(lane_works(&l, 2 * SECOND), LANE_SAME);
	}
	assert_int_equal(l.allowed, 20);
}

static void a_refusal_tells_how_many_there_may_be(void **state)
{
	struct lane l = lane_with(20, true, 8);
	bool means;

	(void)state;
	lane_works(&l, 2 * SECOND);
	assert_int_equal(lane_refused(&l, 2 * SECOND, &means), LANE_SLOWED);
	assert_true(means);
	assert_int_equal(l.allowed, 7);
	lane_disconnect(&l);
	assert_int_equal(lane_connections(&l, 2 * SECOND), 0);
	/* one more for each 32 good ones, no faster */
	for (unsigned i = 1; i <= 3 * LANE_GOOD; i++) {
		while (lane_connections(&l, 2 * SECOND))
			lane_connect(&l);
		lane_works(&l, 2 * SECOND);
		assert_int_equal(l.allowed, 7 + i / LANE_GOOD);
	}
}

static void a_refusal_means_nothing_while_nothing_works(void **state)
{
	struct lane l = lane_with(20, true, 8);
	bool means = true;

	(void)state;
	assert_int_equal(lane_refused(&l, 2 * SECOND, &means), LANE_SAME);
	assert_false(means);			/* none of the others got anything done */
	lane_works(&l, 2 * SECOND);
	assert_int_equal(lane_refused(&l, 2 * SECOND + LANE_WORKS, &means), LANE_SAME);
	assert_false(means);			/* not lately */
	lane_works(&l, 3 * SECOND);
	while (l.in_use > 1)
		lane_disconnect(&l);
	lane_refused(&l, 3 * SECOND, &means);
	assert_false(means);			/* there is no other */
	lane_disconnect(&l);
	lane_connect(&l);
	lane_connect(&l);
	lane_refused(&l, 3 * SECOND, &means);
	assert_false(means);			/* these are new */
	assert_int_equal(l.allowed, 20);
}

static void too_fast_halves_and_makes_a_gap(void **state)
{
	struct lane l = lane_with(20, true, 20);
	uint64_t now = 2 * SECOND, gap = LANE_GAP_FIRST;

	(void)state;
	for (unsigned i = 0; i < 15; i++) {
		uint32_t allowed = l.allowed > 1 ? l.allowed / 2 : 1;
		bool changes = l.allowed > 1 || l.gap < LANE_GAP_MOST;

		assert_int_equal(lane_slow(&l, now), changes ? LANE_SLOWED : LANE_SAME);
		assert_int_equal(l.allowed, allowed);
		assert_int_equal(l.gap, gap);
		assert_false(lane_may_send(&l, now));
		assert_int_equal(lane_opens(&l, now), now + gap);
		/* the other connections hear it, too */
		assert_int_equal(lane_slow(&l, now + SECOND - 1), LANE_SAME);
		if (gap > SECOND)
			assert_int_equal(lane_slow(&l, now + gap - 1), LANE_SAME);
		now += gap > SECOND ? gap : SECOND;
		gap = 2 * gap < LANE_GAP_MOST ? 2 * gap : LANE_GAP_MOST;
	}
	assert_int_equal(l.allowed, 1);
	assert_int_equal(l.gap, LANE_GAP_MOST);
}

static void messages_keep_the_gap(void **state)
{
	struct lane l = lane_with(20, true, 1);
	uint64_t now = 10 * SECOND;

	(void)state;
	lane_slow(&l, now);
	for (unsigned i = 0; i < 3; i++) {
		now = lane_opens(&l, now);
		assert_true(lane_may_send(&l, now));
		lane_send(&l, now);
		assert_false(lane_may_send(&l, now + LANE_GAP_FIRST - 1));
	}
	assert_int_equal(now, 10 * SECOND + 3 * LANE_GAP_FIRST);
}

/* With success all comes back; people hear of it a few times, the last time at the end. */
static void success_ends_the_gap(void **state)
{
	struct lane l = lane_with(16, true, 16);
	uint64_t now = 10 * SECOND, gap;
	unsigned news = 0, messages = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++, now += MINUTE)
		lane_slow(&l, now);
	assert_int_equal(l.gap, 8 * LANE_GAP_FIRST);
	assert_int_equal(l.allowed, 1);
	gap = l.gap;
	while (l.before) {
		now = lane_opens(&l, now) + MS;
		lane_send(&l, now);
		news += lane_works(&l, now) == LANE_QUICKENED;
		assert_true(l.gap <= gap);
		assert_true(!l.gap || l.gap >= gap - gap / 8);
		gap = l.gap;
		assert_true(++messages < 10000);
	}
	assert_int_equal(l.gap, 0);
	assert_int_equal(l.allowed, 16);
	assert_in_range(news, 2, 5);
}

static void a_burst_of_success_does_not_end_the_gap_at_once(void **state)
{
	struct lane l = lane_with(16, true, 16);

	(void)state;
	lane_slow(&l, 10 * SECOND);
	for (unsigned i = 0; i < 100; i++)
		lane_works(&l, 10 * SECOND + LANE_GAP_FIRST);
	assert_int_equal(l.gap, LANE_GAP_FIRST - LANE_GAP_FIRST / 8);
}

static void what_is_stale_goes(void **state)
{
	struct lane l = lane_with(40, true, 20);
	uint64_t now = 10 * SECOND;
	unsigned news = 0;

	(void)state;
	for (unsigned i = 0; i < 12; i++, now += MINUTE)
		lane_slow(&l, now);
	now = l.touched;
	assert_int_equal(l.allowed, 1);
	assert_int_equal(l.gap, LANE_GAP_MOST);
	assert_int_equal(lane_age(&l, now + LANE_STALE - 1), LANE_SAME);
	assert_int_equal(l.allowed, 1);
	assert_int_equal(lane_age(&l, now + LANE_STALE), LANE_QUICKENED);
	assert_int_equal(l.allowed, 2);
	assert_int_equal(l.gap, LANE_GAP_MOST / 4);
	assert_int_equal(lane_age(&l, now + LANE_STALE + 1), LANE_SAME);
	assert_int_equal(lane_fades(&l, now), now + LANE_STALE + LANE_FORGET);
	for (unsigned i = 2; i < 10; i++)
		news += lane_age(&l, now + i * LANE_STALE) == LANE_QUICKENED;
	assert_true(news > 0);
	assert_int_equal(l.allowed, 40);
	assert_int_equal(l.gap, 0);
	assert_int_equal(l.before, 0);
	now += 10 * LANE_STALE;
	assert_int_equal(lane_fades(&l, now), now);

	/* the same after a long sleep */
	lane_slow(&l, now);
	assert_int_equal(lane_age(&l, now + 1000 * LANE_STALE), LANE_QUICKENED);
	assert_int_equal(l.allowed, 40);
	assert_int_equal(l.gap, 0);
}

static void closing_opens_by_itself(void **state)
{
	struct lane l = lane_with(20, true, 1);
	uint64_t now = 10 * SECOND;

	(void)state;
	assert_int_equal(lane_close(&l, now, MINUTE), LANE_PAUSED);
	assert_int_equal(lane_close(&l, now, SECOND), LANE_SAME);	/* the longer one stays */
	assert_int_equal(lane_close(&l, now + SECOND, MINUTE - SECOND / 2), LANE_SAME);
	assert_int_equal(lane_connections(&l, now + MINUTE - 1), 0);
	assert_false(lane_may_send(&l, now + MINUTE - 1));
	assert_int_equal(lane_opens(&l, now), l.closed_until);
	now = l.closed_until;
	assert_int_equal(lane_connections(&l, now), 19);
	assert_true(lane_may_send(&l, now));
	assert_int_equal(lane_close(&l, now, UINT64_MAX), LANE_PAUSED);
	assert_false(lane_may_send(&l, UINT64_MAX - 2));
}

static void a_new_bound_counts_at_once(void **state)
{
	struct lane l = lane_with(20, true, 10);
	bool means;

	(void)state;
	lane_set_bound(&l, 30, true);
	assert_int_equal(l.allowed, 30);
	lane_set_bound(&l, 5, true);
	assert_int_equal(l.allowed, 5);
	assert_int_equal(lane_connections(&l, SECOND), 0);
	lane_works(&l, SECOND);
	l.in_use = 4;
	lane_refused(&l, SECOND, &means);
	assert_int_equal(l.allowed, 3);
	lane_set_bound(&l, 50, true);
	assert_int_equal(l.allowed, 3);		/* that was learnt */
}

/* Whatever happens, in whatever order: it stays within its bounds, and all fades at last. */
static void anything_goes(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct lane l = lane_with(1 + round % 40, round % 3 == 0, 0);
		uint64_t now = SECOND;
		bool means;

		for (unsigned i = 0; i < 500; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			now += (seed >> 20) % (i % 50 ? 2 * SECOND : 3 * LANE_STALE);
			lane_age(&l, now);
			switch (seed >> 60) {
			case 0:
				lane_refused(&l, now, &means);
				break;
			case 1:
				lane_slow(&l, now);
				break;
			case 2:
				lane_close(&l, now, (seed >> 30) % MINUTE);
				break;
			case 3:
			case 4:
				if (l.in_use)
					lane_disconnect(&l);
				break;
			case 5:
			case 6:
			case 7:
				if (lane_connections(&l, now))
					lane_connect(&l);
				break;
			default:
				lane_works(&l, now);
			}
			assert_in_range(l.allowed, 1, l.bound);
			assert_true(!l.gap || (l.gap >= LANE_GAP_LEAST && l.gap <= LANE_GAP_MOST));
			assert_true(l.before <= l.bound);
			assert_true(!l.gap || l.before);
			assert_true(lane_opens(&l, now) >= now);
		}
		now = lane_fades(&l, now);
		lane_age(&l, now);
		assert_int_equal(lane_fades(&l, now), now);
		assert_true(lane_may_send(&l, now));
		assert_int_equal(l.gap, 0);
		assert_true(l.allowed >= l.start);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_start_depends_on_who_named_it),
		cmocka_unit_test(it_grows_only_when_all_is_used),
		cmocka_unit_test(a_refusal_tells_how_many_there_may_be),
		cmocka_unit_test(a_refusal_means_nothing_while_nothing_works),
		cmocka_unit_test(too_fast_halves_and_makes_a_gap),
		cmocka_unit_test(messages_keep_the_gap),
		cmocka_unit_test(success_ends_the_gap),
		cmocka_unit_test(a_burst_of_success_does_not_end_the_gap_at_once),
		cmocka_unit_test(what_is_stale_goes),
		cmocka_unit_test(closing_opens_by_itself),
		cmocka_unit_test(a_new_bound_counts_at_once),
		cmocka_unit_test(anything_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
