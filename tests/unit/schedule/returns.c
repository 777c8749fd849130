/*
 * schedule/: a next hop that was down comes back, or asks for its mail - found within a minute, all
 * of its mail in order of arrival, from few connections on; and what its quota counts meanwhile.
 */
#include "policy/domain_quota.h"
#include "unit/schedule/rig.h"

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

static void add(unsigned n, const char *routes)
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = rig_message(1, routes);

		schedule_add(rig.schedule, m);
		message_unref(m);
	}
}

/* Down for a day: two connections at first, doubling, all of them when the slow start is over. */
static void test_gently(void **state)
{
	unsigned most = 0, at_first = 0, seconds = 0;

	(void)state;
	rig_open(2);
	rig.down[3] = true;
	add(2000, "3");
	stepped_run(24 * HOUR);
	assert_int_equal(rig.jobs_done, 0);
	rig.down[3] = false;
	rig.work_ns = SECOND;
	while (rig.jobs_done == 0 && seconds++ < 60)
		stepped_run(SECOND);
	assert_in_range(seconds, 0, 60);
	for (seconds = 0; rig.jobs_done < 1000; seconds++) {
		stepped_run(SECOND);
		rig_call(look, "r3");
		if (seconds < 5 && seen.slots > at_first)
			at_first = seen.slots;
		if (seen.slots > most)
			most = seen.slots;
		assert_true(seconds < 600);
	}
	assert_in_range(at_first, 1, 4);
	assert_int_equal(most, 20);
	rig_close();
}

/* ---- what its host had deferred */

#define MANY 5000

/* Jobs are deferred: at first for a while, so that they come back in any order; then for long. */
static bool for_long;

static void defer(struct slot *slot)
{
	if (slot->result == JOB_DEFERRED)
		slot->next_ms = loop_wall_ms() + (for_long ? 36000000 : 0) +
				(int64_t)stepped_random(100000);
}

static int64_t arrived_last;
static unsigned in_disorder;

static void note_order(const struct job *j)
{
	in_disorder += j->message->arrived_ms < arrived_last;
	arrived_last = j->message->arrived_ms;
}

static unsigned waiting_at(const char *name)
{
	rig_call(look, (void *)(uintptr_t)name);
	return seen.waiting;
}

/* One after the other, and each was deferred, some of them several times. */
static void add_deferred(unsigned n, const char *routes, const char *name)
{
	rig.settle_percent = 0;
	rig.work_hook = defer;
	for_long = false;
	for (unsigned i = 0; i < n; i++) {
		add(1, routes);
		stepped_run(10 * MILLISECOND);
	}
	stepped_run(MINUTE);
	for_long = true;
	stepped_run(10 * MINUTE);
	assert_int_equal(waiting_at(name), n);
	rig.settle_percent = 100;
	arrived_last = 0;
	in_disorder = 0;
	rig.jobs_done = 0;
	rig.job_hook = note_order;
}

static void setup_deferring(void)
{
	rig_open(2);
	rig_unchecked = true;		/* with thousands it takes minutes */
}

static void finish(void)
{
	assert_true(schedule_check(rig.schedule));
	rig_unchecked = false;
	rig_close();
}

struct call {
	const char *route, *domain;
	bool below;
	unsigned found;
};

static void wake(void *arg)
{
	struct call *x = arg;
	struct config *c = config_current();

	x->found = schedule_wake(rig.schedule, config_route(c, str_of(x->route)),
				 str_of(x->domain), x->below);
	config_unref(c);
}

/* ETRN: all of it, however much that is, and nothing of what waits elsewhere. */
static void test_asked(void **state)
{
	struct call call = { .route = "r0", .domain = "ignored.example" };

	(void)state;
	setup_deferring();
	add_deferred(MANY, "0", "r0");
	add_deferred(100, "2", "r2");
	rig_call(wake, &call);
	assert_int_equal(call.found, MANY);
	stepped_run(10 * MINUTE);
	assert_int_equal(rig.jobs_done, MANY);
	assert_int_equal(in_disorder, 0);
	assert_int_equal(waiting_at("r2"), 100);
	rig_call(wake, &call);
	assert_int_equal(call.found, 0);
	finish();
}

/* What was deferred before it went down does not wait for its own time when it is back. */
static void test_deferred_before(void **state)
{
	(void)state;
	setup_deferring();
	add_deferred(MANY, "0", "r0");
	rig.down[0] = true;
	for (unsigned i = 0; i < 100; i++) {
		add(1, "0");
		stepped_run(SECOND);
	}
	stepped_run(10 * MINUTE);
	assert_int_equal(rig.jobs_done, 0);
	rig.down[0] = false;
	arrived_last = 0;
	in_disorder = 0;
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, MANY + 100);
	/* the one by which it was seen that it is back */
	assert_int_equal(in_disorder, 1);
	finish();
}

/* While all that it says is "later" it is not back. */
static void test_not_yet(void **state)
{
	(void)state;
	setup_deferring();
	add_deferred(20, "0", "r0");
	rig.down[0] = true;
	add(10, "0");
	stepped_run(10 * MINUTE);
	rig.down[0] = false;
	rig.settle_percent = 0;
	stepped_run(10 * MINUTE);
	assert_int_equal(rig.jobs_done, 10);
	assert_int_equal(waiting_at("r0"), 30);
	rig.settle_percent = 100;
	add(1, "0");
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 10 + 31);
	finish();
}

/* Who asks has just started: from two connections on. */
static void test_asked_gently(void **state)
{
	struct call call = { .route = "r3" };

	(void)state;
	setup_deferring();
	add_deferred(MANY, "3", "r3");
	rig.work_ns = SECOND;
	rig_call(wake, &call);
	stepped_run(3 * SECOND);
	rig_call(look, (char[]){ "r3" });
	assert_in_range(seen.slots, 1, 4);
	stepped_run(2 * MINUTE);
	rig_call(look, (char[]){ "r3" });
	assert_int_equal(seen.slots, 20);
	stepped_run(10 * MINUTE);
	assert_int_equal(rig.jobs_done, MANY);
	finish();
}

static void add_old_variant(void)
{
	struct envelope_recipient to = { .address = STR("u@d2.example"),
					 .route = STR("r2+0a1b2c3d") };
	struct message *m = message_new(&(struct envelope){
		.sender = STR("a@b.example"), .arrived_ms = stepped_wall(NULL),
		.recipients = &to, .recipients_n = 1,
	}, NULL);

	m->recipients[0].next_ms = m->arrived_ms + 3600000;
	schedule_add(rig.schedule, m);
	message_unref(m);
	stepped_run(SECOND);
}

/* By MX a domain is a destination, and there may be others below a name. */
static void test_domains(void **state)
{
	struct call exact = { .route = "mx", .domain = "D6.example" };
	struct call wrong = { .route = "mx", .domain = "6.example", .below = true };
	struct call all = { .route = "mx", .domain = "example", .below = true };
	struct call other = { .route = "r0", .domain = "example", .below = true };

	(void)state;
	setup_deferring();
	add_deferred(30, "6", "d6.example");
	add_deferred(20, "7", "d7.example");
	rig_call(wake, &wrong);
	assert_int_equal(wrong.found, 0);
	rig_call(wake, &other);
	assert_int_equal(other.found, 0);
	rig_call(wake, &exact);
	assert_int_equal(exact.found, 30);
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 30);
	rig_call(wake, &all);
	assert_int_equal(all.found, 20);
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 50);
	finish();
}

/* Mail by a rule's variant of a route that has gone goes by the route itself. */
static void test_variants(void **state)
{
	struct call call = { .route = "r2" };

	(void)state;
	setup_deferring();
	add_deferred(10, "6", "d6.example");
	add_deferred(5, "2", "r2");
	add_old_variant();
	rig_call(wake, &call);
	assert_int_equal(call.found, 5 + 1);
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 6);
	finish();
}

/* The parts of a message, and jobs that come back untried, keep their places among those woken. */
static void test_woken_parts(void **state)
{
	struct call call = { .route = "r0" };
	struct message *m;

	(void)state;
	rig_open(2);
	rig.config_more = "limit 10/min recipients via r0\n";
	rig_reconfigure(ROUTES);
	rig.settle_percent = 0;
	rig.work_hook = defer;
	for_long = true;
	m = rig_message(45, "0");
	schedule_add(rig.schedule, m);
	stepped_run(10 * MINUTE);
	assert_in_range(waiting_at("r0"), 5, 45);
	add(5, "0");
	rig.settle_percent = 100;
	rig.untried_percent = 50;
	rig.job_hook = note_order;
	in_disorder = 0;
	arrived_last = 0;
	rig_call(wake, &call);
	stepped_run(5 * MINUTE);
	assert_int_equal(rig.final, 10 * 5);
	assert_true(rig_is_done(m));
	assert_int_equal(in_disorder, 0);
	message_unref(m);
	rig_close();
}

/* It ends while most are still to be woken, and with some that are. */
static void test_end(void **state)
{
	struct call call = { .route = "r0" };

	(void)state;
	setup_deferring();
	add_deferred(2000, "0", "r0");
	rig_call(wake, &call);
	assert_int_equal(call.found, 2000);
	finish();
}

/* ---- quotas */

static uint64_t messages, octets;

static void waiting(const char *domain)
{
	struct config *c = config_current();
	const struct route *r = config_route(c, STR("r3"));

	domain_quota_waiting(schedule_quota(rig.schedule), r, str_of(domain), &messages, &octets);
	config_unref(c);
}

static bool accepts_more(void)
{
	struct config *c = config_current();
	struct reply reply;
	bool yes = domain_quota_accepts(schedule_quota(rig.schedule), config_route(c, STR("r3")),
					STR("d3.example"), 0, &reply);

	config_unref(c);
	return yes;
}

static void set_quota(const char *words)
{
	rig.route_more = words;
	rig_reconfigure(ROUTES);
}

/* What waits is counted once, in flight and split too, and not any more when it is gone. */
static void test_quota(void **state)
{
	struct message *m;

	(void)state;
	rig_open(2);
	set_quota("quota 5 messages");
	rig.down[3] = true;
	m = rig_message(200, "3");	/* three jobs of one message */
	schedule_add(rig.schedule, m);
	stepped_run(HOUR);
	waiting("d3.example");
	assert_in_range(messages, 1, 3);
	assert_int_equal(octets, messages * m->size);
	rig.down[3] = false;
	stepped_run(2 * MINUTE);
	assert_true(rig_is_done(m));
	waiting("d3.example");
	assert_int_equal(messages, 0);
	assert_int_equal(octets, 0);
	message_unref(m);
	rig_close();
}

static void release(void *m)
{
	schedule_command(rig.schedule, QUEUE_RELEASE, m);
}

/* Some in each place where a job may be: held, waiting, woken, ready, in flight. */
static void fill_all_places(struct message *held[2])
{
	struct call call = { .route = "r3" };

	for (int i = 0; i < 2; i++) {
		held[i] = rig_message(1, "3");
		rig_set_flags(held[i], MESSAGE_HELD);
		schedule_add(rig.schedule, held[i]);
	}
	rig.settle_percent = 0;
	rig.work_hook = defer;
	for_long = true;
	add(7, "3");
	stepped_run(MINUTE);
	rig.connections_max = 1;		/* of the whole relay */
	rig_reconfigure(ROUTES);
	rig.work_ns = HOUR;
	add(1, "3");				/* it will be in flight */
	stepped_run(SECOND);
	rig_call(wake, &call);			/* seven are woken */
	add(4, "3");				/* these are ready */
	stepped_run(SECOND);
}

/* A quota that a reload brings, changes or drops is for what waits already. */
static void test_quota_of_a_reload(void **state)
{
	struct message *held[2];

	(void)state;
	rig_open(1);
	fill_all_places(held);
	rig_call(look, (char[]){ "r3" });
	assert_int_equal(seen.ready, 7 + 4);
	assert_int_equal(seen.held, 2);
	assert_int_equal(seen.in_flight, 1);
	waiting("d3.example");
	assert_int_equal(messages, 0);
	set_quota("quota 13 messages");
	waiting("d3.example");
	assert_int_equal(messages, 13);		/* and the one that is in flight, when it is back */
	assert_false(accepts_more());
	set_quota("quota 14 messages");
	assert_true(accepts_more());
	set_quota("quota 3 messages");
	assert_false(accepts_more());
	set_quota("quota 100M 100 messages");
	waiting("d3.example");
	assert_int_equal(messages, 13);
	assert_int_equal(octets, 13 * held[0]->size);
	set_quota(NULL);
	assert_true(accepts_more());
	set_quota("quota 50M");
	stepped_run(2 * HOUR);
	waiting("d3.example");
	assert_int_equal(messages, 14);
	for (int i = 0; i < 2; i++) {
		rig_set_flags(held[i], 0);
		rig_call(release, held[i]);
		message_unref(held[i]);
	}
	rig.settle_percent = 100;
	rig.work_ns = 0;
	stepped_run(24 * HOUR);
	waiting("d3.example");
	assert_int_equal(messages, 0);
	assert_int_equal(octets, 0);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gently),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_deferred_before),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_asked_gently),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_woken_parts),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_quota_of_a_reload),
	};

	hash_seed(1, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
