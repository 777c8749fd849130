/*
 * Standing in line at gates: places that are kept, going on from one gate to another, and who has
 * the right of way when two gates call at once.
 */
#include "unit/schedule/limits_rig.h"

static void who_asks_again_keeps_his_place(void **state)
{
	struct person p[2];
	struct way *a, *b;

	(void)state;
	rig_open();
	rig_limit("limit 1/min messages per destination", LIMIT_MESSAGES, 1, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_start(NULL);
	a = rig_way("a.example", NULL, NULL);
	b = rig_way("b.example", NULL, NULL);
	people_init(p, 2);
	assert_true(passes(a, NULL));
	assert_false(passes(a, &p[0]));
	assert_false(passes(a, &p[1]));
	assert_false(passes(a, &p[0]));
	stepped_run(MINUTE + SECOND);
	assert_int_equal(p[0].calls, 1);
	assert_int_equal(p[1].calls, 0);
	assert_true(passes(b, &p[0]));		/* goes elsewhere: the next one's turn */
	assert_int_equal(p[1].calls, 1);
	assert_true(passes(a, &p[1]));
	way_unref(a);
	way_unref(b);
	rig_close();
}

static void who_is_called_and_finds_another_gate_shut_goes_there(void **state)
{
	struct person p[2];
	struct way *w, *x;

	(void)state;
	rig_open();
	rig_limit("limit 2/min messages per destination", LIMIT_MESSAGES, 2, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_limit("limit 4/h messages per source", LIMIT_MESSAGES, 4, HOUR, LIMIT_PER_SOURCE);
	rig_start(NULL);
	w = rig_way("a.example", NULL, "x");
	x = rig_way("b.example", NULL, "x");
	people_init(p, 2);
	assert_true(passes(w, NULL));
	assert_true(passes(w, NULL));
	assert_false(passes(w, &p[0]));		/* at the first gate */
	assert_false(passes(w, &p[1]));
	assert_true(passes(x, NULL));
	stepped_run(MINUTE + SECOND);
	assert_int_equal(calls_made, 2);
	assert_true(passes(x, NULL));		/* the fourth of this hour */
	assert_false(passes(w, &p[0]));		/* now at the second */
	assert_false(passes(w, &p[1]));
	assert_true(limits_check(rig.limits));
	stepped_run(HOUR + MINUTE);
	assert_int_equal(p[0].calls, 2);
	assert_int_equal(p[1].calls, 2);
	assert_true(passes(w, &p[1]));
	assert_true(passes(w, &p[0]));
	way_unref(w);
	way_unref(x);
	rig_close();
}

/*
 * A connection ends and frees a unit of two gates, each of which calls somebody who needs the other
 * as well. If they gave way to each other, and to those behind them, none would ever pass.
 */
static void who_are_called_at_two_gates_do_not_hinder_each_other(void **state)
{
	struct person p[6];
	struct way *w, *before;
	unsigned passed = 0;

	(void)state;
	rig_open();
	rig_limit("limit 1 connections per provider", LIMIT_CONNECTIONS, 1, 0, LIMIT_PER_PROVIDER);
	rig_limit("limit 1 connections per source", LIMIT_CONNECTIONS, 1, 0, LIMIT_PER_SOURCE);
	rig_start(NULL);
	w = rig_way("a.example", "huge", "x");
	before = rig_way("a.example", "huge", "y");
	people_init(p, 6);
	assert_true(way_connect(before, NULL));
	for (unsigned i = 0; i < 3; i++)
		assert_false(way_connect(w, &p[i].waiter));	/* at the provider's gate */
	way_disconnect(before);			/* calls the first */
	assert_int_equal(calls_made, 1);
	way_unref(before);
	before = rig_way("b.example", NULL, "x");
	assert_true(way_connect(before, NULL));
	for (unsigned i = 3; i < 6; i++)
		assert_false(way_connect(before, &p[i].waiter));	/* at the source's */
	assert_int_equal(p[0].calls, 1);
	way_disconnect(before);
	way_unref(before);
	assert_int_equal(p[3].calls, 1);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 6; i++) {
			if (!p[i].waiter.called || !way_connect(w, &p[i].waiter))
				continue;
			passed++;
			assert_true(limits_check(rig.limits));
			way_disconnect(w);
		}
	}
	assert_int_equal(passed, 6);
	assert_in_range(calls_made, 6, 20);
	way_unref(w);
	rig_close();
}

/* The right of way of those at an earlier gate is no way to keep others waiting for ever. */
static void who_was_robbed_once_is_not_robbed_again(void **state)
{
	struct person p[4];
	struct way *w, *x;

	(void)state;
	rig_open();
	rig_limit("limit 1 connections per provider", LIMIT_CONNECTIONS, 1, 0, LIMIT_PER_PROVIDER);
	rig_limit("limit 1 connections per source", LIMIT_CONNECTIONS, 1, 0, LIMIT_PER_SOURCE);
	rig_start(NULL);
	w = rig_way("a.example", "huge", "x");
	x = rig_way("b.example", NULL, "x");
	people_init(p, 4);
	assert_true(way_connect(w, NULL));
	for (unsigned i = 0; i < 3; i++)
		assert_false(way_connect(w, &p[i].waiter));
	assert_false(way_connect(x, &p[3].waiter));
	way_disconnect(w);			/* the first and the last are called */
	assert_int_equal(p[0].calls, 1);
	assert_int_equal(p[3].calls, 1);
	assert_true(way_connect(w, &p[0].waiter));
	assert_false(way_connect(x, &p[3].waiter));
	way_disconnect(w);
	assert_int_equal(p[1].calls, 1);
	assert_int_equal(p[3].calls, 2);
	assert_false(way_connect(w, &p[1].waiter));
	assert_true(way_connect(x, &p[3].waiter));
	assert_true(limits_check(rig.limits));
	way_disconnect(x);
	for (unsigned i = 0; i < 3; i++)
		limits_leave(rig.limits, &p[i].waiter);
	way_unref(w);
	way_unref(x);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_asks_again_keeps_his_place),
		cmocka_unit_test(who_is_called_and_finds_another_gate_shut_goes_there),
		cmocka_unit_test(who_are_called_at_two_gates_do_not_hinder_each_other),
		cmocka_unit_test(who_was_robbed_once_is_not_robbed_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
