/*
 * schedule/: where jobs are and when they move - splitting, order, limits, rests, holds, deadlines.
 */
#include "unit/schedule/rig.h"

static void test_sizes(void **state)
{
	(void)state;
	assert_true(sizeof(struct job) + sizeof(uint32_t) <= 160);
	assert_true(sizeof(struct destination) + 4 * sizeof(uint16_t) + 40 <= 448);
}

static void test_one(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	m = rig_message(3, "0");
	schedule_add(rig.schedule, m);
	assert_int_equal(m->jobs_n, 1);
	stepped_run(SECOND);
	assert_true(rig_is_done(m));
	assert_int_equal(rig.jobs_done, 1);
	assert_int_equal(m->open_n, 0);
	assert_int_equal(m->refs, 1);
	message_unref(m);
	rig_close();
}

static void test_split(void **state)
{
	struct message *m;

	(void)state;
	rig_open(3);
	m = rig_message(1000, "0126789");
	schedule_add(rig.schedule, m);
	/* mx: one place for each domain; 143 or so go to each, more than a transaction takes */
	assert_int_equal(m->jobs_n, 14);
	stepped_run(MINUTE);
	assert_true(rig_is_done(m));
	assert_int_equal(rig.jobs_done, 14);
	assert_int_equal(rig.final, 1000);
	message_unref(m);
	rig_close();
}

static void add(unsigned n, const char *routes)
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = rig_message(1, routes);

		schedule_add(rig.schedule, m);
		message_unref(m);
	}
}

static struct destination_state seen;

static void see(void *arg, const struct destination_state *d)
{
	if (!strcmp(d->name, arg))
		seen = *d;
}

static void look(void *arg)
{
	seen = (struct destination_state){ .name = "" };
	schedule_destinations(rig.schedule, see, arg);
}

static void test_limits(void **state)
{
	static const unsigned limits[ROUTES] = { 1, 2, 5, 20 };

	(void)state;
	rig_open(3);
	rig.work_ns = SECOND;
	for (char route[2] = "0"; route[0] < '4'; route[0]++)
		add(100, route);
	stepped_run(200 * SECOND);
	assert_int_equal(rig.jobs_done, 400);
	for (int i = 0; i < 4; i++)
		assert_int_equal(rig.peak_of[i], limits[i]);
	assert_int_equal(rig.slots, 0);
	rig_close();
}

/*
 * One destination that would take every slot and gives none back; a small one gets its first at
 * once.
 */
static void test_fairness(void **state)
{
	(void)state;
	rig_open(1);
	rig.work_ns = 10 * MINUTE;
	add(10000, "4");
	stepped_run(SECOND);
	assert_int_equal(rig.slots, SLOTS - SLOTS / 4);
	add(100, "2");
	stepped_run(SECOND);
	/* its first is from the reserve, others wait for their turn */
	assert_int_equal(rig.slots_of[2], 1);
	rig.work_ns = SECOND;
	stepped_run(2 * HOUR);
	assert_int_equal(rig.jobs_done, 10100);
	rig_close();
}

/* More destinations than slots, each with work for hours: all of them get on alike. */
static void test_turns(void **state)
{
	char routes[3] = "4";

	(void)state;
	rig_open(1);
	rig.work_ns = SECOND;
	rig.connections_max = 8;
	rig_reconfigure(ROUTES);
	add(1000, "4");
	add(1000, "3");
	for (char c = '0'; c < '3'; c++) {
		routes[0] = c;
		add(1000, routes);
	}
	for (char c = '6'; c <= '9'; c++) {
		routes[0] = c;
		add(200, routes);
	}
	stepped_run(60 * SECOND);
	assert_in_range(rig.slots_peak, 6, 8);
	rig_call(look, "d9.example");
	assert_in_range(200 - seen.ready, 20, 60);
	rig_call(look, "d6.example");
	assert_in_range(200 - seen.ready, 20, 60);
	rig_call(look, "r4");
	assert_in_range(1000 - seen.ready, 20, 200);
	rig_close();
}

static unsigned order[100], order_n;

static void note_order(const struct job *j)
{
	order[order_n++] = (unsigned)j->message->size;
}

static void test_order(void **state)
{
	(void)state;
	rig_open(1);
	rig.work_ns = SECOND;
	rig.job_hook = note_order;
	order_n = 0;
	for (unsigned i = 0; i < 50; i++) {
		struct message *m = rig_message(1, "0");

		m->size = i;
		schedule_add(rig.schedule, m);
		message_unref(m);
	}
	stepped_run(MINUTE);
	assert_int_equal(order_n, 50);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(order[i], i);
	rig_close();
}

static void test_rest(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	rig.down[3] = true;
	add(500, "3");
	m = rig_message(1, "3");
	schedule_add(rig.schedule, m);
	stepped_run(SECOND);
	rig_call(look, "r3");
	assert_int_equal(seen.status, DESTINATION_RESTING);
	assert_int_equal(seen.failures, 1);
	assert_int_equal(seen.ready, 501);
	assert_string_equal(seen.said, "nobody there");
	assert_in_range(rig.downs, 1, 20);
	rig.downs = 0;
	stepped_run(3 * HOUR);		/* it has hosts: every 20 to 40 s, one probe each */
	assert_in_range(rig.downs, 3 * 90, 3 * 180);
	assert_int_equal(m->recipients[0].attempts, 0);
	rig.down[3] = false;
	stepped_run(MINUTE);		/* and it is found out that it is back */
	assert_true(rig_is_done(m));
	assert_int_equal(rig.jobs_done, 501);
	message_unref(m);
	rig_close();
}

/* Slots that set out before the rest began report at all times after: that is one failure, not
 * twenty. */
static void test_stale_reports(void **state)
{
	(void)state;
	rig_open(2);
	rig.down[3] = true;
	rig.work_ns = 3 * MINUTE;
	rig.random_work = true;
	add(100, "3");
	stepped_run(3 * MINUTE);
	/* twenty at once, then one probe after the other, some 20 to 220 s each */
	assert_in_range(rig.downs, 20, 29);
	rig_call(look, "r3");
	assert_in_range(seen.failures, 1, rig.downs - 19);
	rig_close();
}

/* Some of its slots are refused while others work: fewer slots, no rest. */
static void test_fewer_connections(void **state)
{
	(void)state;
	rig_open(1);
	rig.work_ns = SECOND;
	add(1, "3");
	stepped_run(2 * SECOND);
	add(1000, "3");
	rig.refuse_above = 8;
	stepped_run(3 * MINUTE);
	assert_int_equal(rig.jobs_done, 1001);
	assert_in_range(rig.downs, 12, 60);
	rig_close();
}

static void command(void *arg)
{
	struct message *m = arg;

	schedule_command(rig.schedule, m->flags & MESSAGE_HELD ? QUEUE_HOLD : QUEUE_RELEASE, m);
}

static void test_hold(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	m = rig_message(2, "12");
	rig_set_flags(m, MESSAGE_HELD);
	schedule_add(rig.schedule, m);
	stepped_run(200 * HOUR);	/* what is held does not expire */
	assert_int_equal(m->jobs_n, 2);
	assert_int_equal(rig.jobs_done + rig.deadlines, 0);
	rig_call(look, "r1");
	assert_int_equal(seen.held, 1);
	rig_set_flags(m, 0);
	rig_call(command, m);
	stepped_run(SECOND);	/* released it is tried once, though its time is over */
	assert_true(rig_is_done(m));
	assert_int_equal(rig.deadlines, 0);
	message_unref(m);
	rig_close();
}

static void test_hold_waiting(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	m = rig_message(1, "1");
	m->recipients[0].next_ms = stepped_wall(NULL) + 60000;
	schedule_add(rig.schedule, m);
	stepped_run(SECOND);
	rig_call(look, "r1");
	assert_int_equal(seen.waiting, 1);
	rig_set_flags(m, MESSAGE_HELD);
	rig_call(command, m);
	stepped_run(HOUR);
	assert_int_equal(m->jobs_n, 1);
	rig_set_flags(m, 0);
	rig_call(command, m);
	stepped_run(SECOND);
	assert_true(rig_is_done(m));
	message_unref(m);
	rig_close();
}

struct removal {
	struct message *m;
	unsigned removed, busy;
};

static void removing(void *arg)
{
	struct removal *r = arg;

	r->removed = schedule_remove(rig.schedule, r->m, &r->busy);
}

static void test_remove(void **state)
{
	struct removal r = { 0 };

	(void)state;
	rig_open(2);
	rig.work_ns = MINUTE;
	add(1, "0");
	stepped_run(SECOND);	/* its only slot is busy */
	r.m = rig_message(2, "02");
	schedule_add(rig.schedule, r.m);
	stepped_run(SECOND);
	rig_call(removing, &r);
	assert_int_equal(r.removed, 1);
	assert_int_equal(r.busy, 1);
	stepped_run(2 * MINUTE);
	assert_true(rig_is_done(r.m));
	assert_int_equal(r.m->recipients[0].state, RECIPIENT_QUEUED);
	assert_int_equal(r.m->recipients[1].state, RECIPIENT_RELAYED);
	message_unref(r.m);
	rig_close();
}

static void retrying(void *arg)
{
	schedule_command(rig.schedule, QUEUE_RETRY, arg);
}

static void test_retry(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	rig.down[1] = true;
	m = rig_message(1, "1");
	schedule_add(rig.schedule, m);
	stepped_run(SECOND);
	rig.down[1] = false;
	rig_call(retrying, m);
	stepped_run(SECOND);
	assert_true(rig_is_done(m));
	message_unref(m);
	rig_close();
}

/* Retrying while the hop is still down: it rests as after its first failure, however often. */
static void test_retry_in_vain(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	rig.down[1] = true;
	m = rig_message(1, "1");
	schedule_add(rig.schedule, m);
	stepped_run(SECOND);
	for (int i = 0; i < 20; i++) {
		rig_call(retrying, m);
		stepped_run(SECOND);
	}
	rig_call(look, "r1");
	assert_int_equal(seen.status, DESTINATION_RESTING);
	assert_int_equal(seen.failures, 1);
	rig.down[1] = false;
	stepped_run(2 * MINUTE);
	assert_true(rig_is_done(m));
	message_unref(m);
	rig_close();
}

struct job_question {
	struct message *m;
	uint32_t recipient;
	struct job_state state;
	bool found;
};

static void asking(void *arg)
{
	struct job_question *q = arg;

	q->found = schedule_job_state(rig.schedule, q->m, q->recipient, &q->state);
}

static void test_job_state(void **state)
{
	struct job_question q = { .recipient = 1 };

	(void)state;
	rig_open(2);
	q.m = rig_message(2, "12");
	q.m->recipients[1].next_ms = stepped_wall(NULL) + 30000;
	schedule_add(rig.schedule, q.m);
	stepped_run(SECOND);
	rig_call(asking, &q);
	assert_true(q.found);
	assert_string_equal(q.state.destination, "r2");
	assert_string_equal(q.state.state, "waiting");
	assert_in_range(q.state.next_ms - q.m->recipients[1].next_ms + 2, 0, 4);
	q.recipient = 0;
	rig_call(asking, &q);
	assert_false(q.found);
	message_unref(q.m);
	rig_close();
}

static void test_deadlines(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	rig.down[1] = true;
	m = rig_message(1, "1");
	schedule_add(rig.schedule, m);
	stepped_run(5 * HOUR);
	assert_int_equal(rig.deadlines, 1);
	assert_int_equal(m->recipients[0].warned, 1);
	stepped_run(116 * HOUR);
	assert_int_equal(rig.deadlines, 2);
	assert_true(rig_is_done(m));
	assert_int_equal(m->open_n, 0);
	message_unref(m);
	rig_close();
}

/* The wall clock jumps both ways: times are late or early by no more than the longest wait. */
static void test_clock_jumps(void **state)
{
	struct message *m;

	(void)state;
	rig_open(1);
	m = rig_message(1, "1");
	m->recipients[0].next_ms = stepped_wall(NULL) + INT64_C(3600000) * 24 * 365 * 30;
	schedule_add(rig.schedule, m);
	stepped_run(SECOND);
	stepped.wall_offset_ms -= INT64_C(3600000) * 24 * 365;
	stepped_run(2 * HOUR);
	assert_true(rig_is_done(m));
	message_unref(m);
	rig.down[1] = true;
	m = rig_message(1, "1");
	schedule_add(rig.schedule, m);
	stepped_run(SECOND);
	stepped.wall_offset_ms += INT64_C(3600000) * 24 * 365;
	stepped_run(2 * HOUR);
	/* over by the clock on the wall, noticed within the hour */
	assert_int_equal(m->open_n, 0);
	message_unref(m);
	rig_close();
}

/* New mail for a hop that is down: one probe at a time, however much comes. */
static void test_probes(void **state)
{
	(void)state;
	rig_open(2);
	rig.down[3] = true;
	for (int minute = 0; minute < 180; minute++) {
		add(5, "3");
		stepped_run(MINUTE);
	}
	/* at once (five set out together), then every 20 to 40 s */
	assert_in_range(rig.downs, 5 + 3 * 90, 5 + 3 * 180);
	rig_call(look, "r3");
	assert_in_range(seen.failures, 3 * 90, 3 * 180);
	assert_int_equal(seen.ready, 900);
	rig_close();
}

static int64_t deadline_at;

static void note_deadline(void *arg, struct job *j)
{
	deadline_at = stepped_wall(NULL);
	rig_deadline(arg, j);
}

/* To the millisecond by the wall clock; a jump forward is noticed within a minute. */
static void test_exact_deadlines(void **state)
{
	struct message *m;

	(void)state;
	rig_open(1);
	rig.schedule->up.deadline = note_deadline;
	rig.down[1] = true;
	stepped_run(123456789);
	m = rig_message(1, "1");
	schedule_add(rig.schedule, m);
	stepped_run(4 * HOUR - MILLISECOND);
	assert_int_equal(rig.deadlines, 0);
	stepped_run(2 * MILLISECOND);
	assert_int_equal(rig.deadlines, 1);
	assert_true(deadline_at == m->arrived_ms + 4 * 3600000);
	stepped.wall_offset_ms -= 3600000;		/* back: it lives an hour longer */
	stepped_run(117 * HOUR - MINUTE);
	assert_int_equal(rig.deadlines, 1);
	stepped_run(2 * MINUTE);
	assert_int_equal(rig.deadlines, 2);
	assert_true(deadline_at == m->arrived_ms + 120 * 3600000);
	message_unref(m);
	m = rig_message(1, "1");
	schedule_add(rig.schedule, m);
	stepped_run(HOUR);
	stepped.wall_offset_ms += 4 * 3600000;
	stepped_run(MINUTE);
	assert_int_equal(rig.deadlines, 3);
	message_unref(m);
	rig_close();
}

static void test_no_tasks(void **state)
{
	(void)state;
	rig_open(2);
	rig.no_tasks = true;
	add(100, "3");
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 0);
	rig.no_tasks = false;
	stepped_run(SECOND);
	assert_int_equal(rig.jobs_done, 100);
	rig_close();
}

/* Without its route the destination has one slot; a reload that brings it ends the rest at once. */
static void test_reload(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	rig_reconfigure(3);
	rig.down[3] = true;
	m = rig_message(1, "3");
	schedule_add(rig.schedule, m);
	add(50, "3");
	stepped_run(MINUTE / 2);
	assert_int_equal(rig.downs, 1);
	assert_int_equal(rig.peak_of[3], 1);
	rig.down[3] = false;
	rig_reconfigure(ROUTES);
	stepped_run(SECOND);
	assert_true(rig_is_done(m));
	assert_int_equal(rig.jobs_done, 51);
	message_unref(m);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_fewer_connections),
		cmocka_unit_test(test_stale_reports),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_hold_waiting),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_retry_in_vain),
		cmocka_unit_test(test_job_state),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_clock_jumps),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_exact_deadlines),
		cmocka_unit_test(test_no_tasks),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
