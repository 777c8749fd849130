/*
 * schedule/retry and schedule/deadline: the wait after each failure, and when who is warned and
 * given up.
 */
#include "schedule/schedule.h"
#include "unit/unit.h"

#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const uint64_t waits[] = { 5 * MINUTE, 20 * MINUTE, HOUR };

static void test_wait(void **state)
{
	static const struct {
		unsigned failures;
		uint64_t wait;
	} rows[] = {
		{ 0, 5 * MINUTE },	{ 1, 5 * MINUTE }, { 2, 20 * MINUTE },
		{ 3, HOUR },		{ 4, HOUR },	   { 1000000, HOUR },
	};
	struct config c = { .queue = { .retry_ns = waits, .retry_n = 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t wait = rows[i].wait;

		print_message("failures %u\n", rows[i].failures);
		assert_true(retry_wait_ns(&c, NULL, rows[i].failures, 0) == wait - wait / 10);
		assert_in_range(retry_wait_ns(&c, NULL, rows[i].failures, 1u << 31), wait - 1,
				wait + 1);
		assert_in_range(retry_wait_ns(&c, NULL, rows[i].failures, UINT32_MAX),
				wait + wait / 10 - 1000, wait + wait / 10);
	}
}

static void test_wait_of_route(void **state)
{
	static const uint64_t own[] = { 10 * MINUTE, 2 * HOUR };
	struct config c = { .queue = { .retry_ns = waits, .retry_n = 3 } };
	struct route with = { .retry_ns = own, .retry_n = 2 }, without = { .retry_n = 0 };

	(void)state;
	assert_true(retry_wait_ns(&c, &with, 1, 0) == 9 * MINUTE);
	assert_true(retry_wait_ns(&c, &with, 7, 0) == 108 * MINUTE);
	assert_true(retry_wait_ns(&c, &without, 1, 0) == retry_wait_ns(&c, NULL, 1, 0));
}

/* A route's own time goes before the queue's, also "never". */
static void test_warn_of_route(void **state)
{
	struct config c = {.queue = {.warn_after_ns = 4 * HOUR, .give_up_after_ns = 5 * DAY,
				     .bounce_give_up_after_ns = DAY}};
	struct route r = { .has_warn_after = true, .warn_after_ns = DAY };
	struct message m = { .arrived_ms = 1000, .sender_n = 1 };

	(void)state;
	assert_true(deadline_warn_ms(&c, &r, &m) == 1000 + 86400000);
	r.warn_after_ns = 0;
	assert_true(deadline_warn_ms(&c, &r, &m) == INT64_MAX);
	r.has_warn_after = false;
	assert_true(deadline_warn_ms(&c, &r, &m) == 1000 + 14400000);
}

static void test_wait_extremes(void **state)
{
	static const uint64_t huge[] = { UINT64_MAX / 4 };
	struct config c = { .queue = { .retry_n = 0 } };

	(void)state;
	assert_in_range(retry_wait_ns(&c, NULL, 1, 0), 1, 10 * MINUTE);
	c.queue.retry_ns = huge;
	c.queue.retry_n = 1;
	assert_true(retry_wait_ns(&c, NULL, 1, UINT32_MAX) > huge[0]);
	assert_true(retry_wait_ns(&c, NULL, 1, UINT32_MAX) < huge[0] + huge[0] / 9);
}

static void test_deadlines(void **state)
{
	static const int64_t never = INT64_MAX;
	static const struct {
		const char *name;
		uint64_t warn, give_up, bounce, route;
		bool is_bounce, null_sender, warned;
		int64_t ret_warn, ret_give_up, ret_next;	/* ms after the arrival */
	} rows[] = {
		{"plain", 4 * HOUR, 5 * DAY, DAY, 0, false, false, false, 14400000, 432000000,
		 14400000},
		{"warned", 4 * HOUR, 5 * DAY, DAY, 0, false, false, true, 14400000, 432000000,
		 432000000},
		{"no warnings", 0, 5 * DAY, DAY, 0, false, false, false, never, 432000000,
		 432000000},
		{"route gives up sooner", 4 * HOUR, 5 * DAY, DAY, HOUR, false, false, false, never,
		 3600000, 3600000},
		{"route gives up later", 4 * HOUR, 5 * DAY, DAY, 9 * DAY, false, false, true,
		 14400000, 777600000, 777600000},
		{"bounce", 4 * HOUR, 5 * DAY, DAY, 0, true, true, false, never, 86400000, 86400000},
		{"null sender", 4 * HOUR, 5 * DAY, DAY, 0, false, true, false, never, 86400000,
		 86400000},
		{"bounce by an impatient route", 4 * HOUR, 5 * DAY, DAY, HOUR, true, true, false,
		 never, 3600000, 3600000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config c = {.queue = {.warn_after_ns = rows[i].warn,
					     .give_up_after_ns = rows[i].give_up,
					     .bounce_give_up_after_ns = rows[i].bounce}};
		struct route r = { .give_up_after_ns = rows[i].route };
		struct message m = { .arrived_ms = 1000000, .is_bounce = rows[i].is_bounce,
				     .sender_n = rows[i].null_sender ? 0 : 5 };
		int64_t warn = deadline_warn_ms(&c, &r, &m);

		print_message("%s\n", rows[i].name);
		assert_true(warn ==
			    (rows[i].ret_warn == never ? never : m.arrived_ms + rows[i].ret_warn));
		assert_true(deadline_give_up_ms(&c, &r, &m) == m.arrived_ms + rows[i].ret_give_up);
		assert_true(deadline_next_ms(&c, &r, &m, rows[i].warned) ==
			    m.arrived_ms + rows[i].ret_next);
	}
}

static void test_deadline_without_route(void **state)
{
	struct config c = {.queue = {.give_up_after_ns = HOUR, .bounce_give_up_after_ns = HOUR}};
	struct message m = { .arrived_ms = INT64_MAX - 5, .sender_n = 1 };

	(void)state;
	assert_true(deadline_give_up_ms(&c, NULL, &m) == INT64_MAX);
	m.arrived_ms = 0;
	assert_true(deadline_give_up_ms(&c, NULL, &m) == 3600000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_wait_of_route),
		cmocka_unit_test(test_warn_of_route),
		cmocka_unit_test(test_wait_extremes),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_deadline_without_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
