/*
 * schedule/: many jobs in many destinations - memory for each, no loop that stands still, a turn
 * that costs no more than with few; one destination with most of the mail leaves the others their
 * share; and one that is woken does not disturb them.
 *
 * SCALE_JOBS and SCALE_DESTINATIONS in the environment make it larger than a test's; then it tells
 * how long everything takes. Times are CPU time, so that other programs do not count.
 */
#include "unit/schedule/rig.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#define JOB_MAX 200		/* octets, by malloc's own count, with its place in the heaps */
#define DESTINATION_MAX 448
#define PAUSE_MAX (100 * MILLISECOND)	/* of a loop */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW_BUILD 1
#endif
#endif
#ifndef SLOW_BUILD
#define SLOW_BUILD 0
#endif

static unsigned long wanted(const char *name, unsigned long usual)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : SLOW_BUILD ? usual / 10 : usual;
}

static uint64_t cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static size_t memory(void)
{
	struct mallinfo2 i = mallinfo2();

	return i.uordblks + i.hblkhd;
}

/* One recipient at the n-th domain; one message for all who go there would need as many. */
static struct message *message_to(unsigned n)
{
	char address[64];
	struct envelope_recipient to = { .address = { address, 0 }, .route = STR("mx") };
	struct envelope e = {
		.sender = STR("a@b.example"),
		.arrived_ms = stepped_wall(NULL),
		.recipients = &to,
		.recipients_n = 1,
	};

	to.address.n = (size_t)snprintf(address, sizeof(address), "user@d%u.example", n);
	return message_new(&e, NULL);
}

/* The longest step of a loop while everything happens that is to happen at once. */
static uint64_t longest_step(void)
{
	uint64_t longest = 0;

	for (;;) {
		uint64_t began = cpu(), took;

		if (!stepped_all())
			return longest;
		took = cpu() - began;
		if (took > longest)
			longest = took;
	}
}

static void tell(const char *what, uint64_t longest)
{
	print_message("%s: longest step %llu us\n", what,
		      (unsigned long long)(longest / 1000));
	assert_true(SLOW_BUILD || longest < PAUSE_MAX);
}

struct ask {
	struct post post;
	const char *route;
	unsigned seen;
	bool done;
	int what;
};

static void see(void *arg, const struct destination_state *d)
{
	(void)d;
	((struct ask *)arg)->seen++;
}

static void see_way(void *arg, const struct destination_state *d, const struct name *source,
		    struct way *way)
{
	(void)source;
	CHECK(way && d->ready == 10);
	((struct ask *)arg)->seen++;
}

static void wake(struct ask *a)
{
	struct config *c = config_current();

	a->seen = schedule_wake(rig.schedule, config_route(c, str_of(a->route)), STR_NONE, false);
	config_unref(c);
}

static void ask_run(void *arg)
{
	struct ask *a = arg;

	switch (a->what) {
	case 0:
		schedule_destinations(rig.schedule, see, a);
		break;
	case 1:
		CHECK(schedule_describe(rig.schedule, STR("d77.example"), see_way, a));
		break;
	case 2:
		CHECK(schedule_suspend(rig.schedule, SUSPEND_ROUTE, STR("mx"), STR("x")) == 0);
		break;
	case 3:
		CHECK(schedule_resume(rig.schedule, SUSPEND_ROUTE, STR("mx")) == 0);
		break;
	default:
		wake(a);
	}
	a->done = true;
}

static void ask_post(struct post *p)
{
	CHECK(task_start(NULL, ask_run, CONTAINER_OF(p, struct ask, post), "ask"));
}

static unsigned ask(const char *name, int what)
{
	/* of "wake ROUTE" */
	struct ask a = { .what = what, .route = name + 5 };

	loop_post(net_loop(rig.net, 0), &a.post, ask_post);
	tell(name, longest_step());
	assert_true(a.done);
	return a.seen;
}

static void measure_memory(struct message **m, unsigned jobs, unsigned destinations)
{
	size_t before = memory(), one, rest;

	for (unsigned i = 0; i < destinations; i++)
		schedule_add(rig.schedule, m[i]);
	stepped_run(0);
	one = memory() - before;
	for (unsigned i = destinations; i < jobs; i++)
		schedule_add(rig.schedule, m[i]);
	stepped_run(0);
	rest = memory() - before - one;
	one -= rest / (jobs - destinations) * destinations;
	print_message("octets: %zu per job, %zu per destination\n",
		      rest / (jobs - destinations), one / destinations);
	if (SLOW_BUILD)
		return;
	assert_true(rest / (jobs - destinations) <= JOB_MAX);
	assert_true(one / destinations <= DESTINATION_MAX);
}

static void test_many(void **state)
{
	unsigned jobs = (unsigned)wanted("SCALE_JOBS", 200000);
	unsigned destinations = (unsigned)wanted("SCALE_DESTINATIONS", 20000);
	struct message **m = mem_calloc(jobs, sizeof(struct message *));
	uint64_t began;

	(void)state;
	rig_open(2);
	rig_unchecked = true;
	rig.no_tasks = true;
	for (unsigned i = 0; i < jobs; i++)
		m[i] = message_to(i % destinations);
	rig.connections_max = 2;	/* all of them wait for a slot, but two */
	rig_reconfigure(ROUTES);
	rig.no_tasks = false;
	rig.work_ns = HOUR;
	measure_memory(m, jobs, destinations);
	schedule_reload(rig.schedule);
	tell("reload", longest_step());
	assert_int_equal(ask("destinations", 0), destinations);
	assert_int_equal(ask("describe", 1), jobs == 10 * destinations);
	ask("suspend", 2);
	ask("resume", 3);
	assert_true(schedule_check(rig.schedule));
	rig.work_ns = 0;
	rig.connections_max = 100;
	began = cpu();
	rig_reconfigure(ROUTES);
	stepped_run(3 * HOUR);
	print_message("%llu ns per job of turns\n", (unsigned long long)((cpu() - began) / jobs));
	assert_int_equal(rig.jobs_done, jobs);
	for (unsigned i = 0; i < jobs; i++)
		message_unref(m[i]);
	rig_unchecked = false;
	rig_close();
	mem_free(m);
}

static void add(struct message *m)
{
	schedule_add(rig.schedule, m);
	message_unref(m);
}

/*
 * All destinations stand in one line. A reload calls everybody: nobody finds it open, and they
 * stand there again.
 */
static void test_one_line(void **state)
{
	unsigned n = (unsigned)wanted("SCALE_DESTINATIONS", 20000);
	struct limits_stats stats;
	uint64_t began;

	(void)state;
	rig_open(2);
	rig_unchecked = true;
	rig.config_more = "limit 1/day messages via mx\n";
	rig_reconfigure(ROUTES);
	for (unsigned i = 0; i < n; i++)
		add(message_to(i));
	stepped_run(MINUTE);
	limits_stats(schedule_limits(rig.schedule), &stats);
	assert_int_equal(rig.jobs_done, 1);
	assert_int_equal(stats.waiters, n - 1);
	began = cpu();
	schedule_reload(rig.schedule);
	tell("calling all", cpu() - began);
	tell("standing in line again", longest_step());
	limits_stats(schedule_limits(rig.schedule), &stats);
	assert_int_equal(stats.waiters, n - 1);
	assert_true(schedule_check(rig.schedule));
	stepped_run(25 * HOUR);
	assert_int_equal(rig.jobs_done, 2);
	rig_unchecked = false;
	rig_close();
}

/* A destination is woken: in pieces if much waits for it, whatever waits elsewhere. */
static void test_wake(void **state)
{
	unsigned n = (unsigned)wanted("SCALE_JOBS", 200000);
	uint64_t began, small;

	(void)state;
	rig_open(2);
	rig_unchecked = true;
	for (unsigned i = 0; i < n + 10; i++) {
		struct message *m = rig_message(1, i < n ? "4" : "1");

		m->recipients[0].next_ms =
			m->arrived_ms + 3000000 + (int64_t)stepped_random(100000);
		add(m);
	}
	stepped_run(MINUTE);
	rig.work_ns = MILLISECOND;
	began = cpu();
	assert_int_equal(ask("wake r1", 4), 10);
	small = cpu() - began;
	print_message("10 beside %u: %llu us\n", n, (unsigned long long)(small / 1000));
	assert_true(SLOW_BUILD || small < 10 * MILLISECOND);
	stepped_run(SECOND);
	assert_int_equal(rig.jobs_done, 10);
	assert_int_equal(ask("wake r4", 4), n);
	stepped_run(2 * MINUTE);
	assert_int_equal(rig.jobs_done, n + 10);
	assert_true(schedule_check(rig.schedule));
	rig_unchecked = false;
	rig_close();
}

/*
 * Twenty sites get a message each second, which takes them a second; slots are short. How many are
 * done in ten minutes, with so many messages waiting for another site.
 */
static uint64_t others_done;

static void count_others(struct slot *slot)
{
	others_done += destination_domain(slot->destination).n != 0;
}

static uint64_t done_beside(unsigned waiting)
{
	others_done = 0;
	rig_open(1);
	rig_unchecked = true;
	rig.connections_max = 64;
	rig_reconfigure(ROUTES);
	rig.work_ns = SECOND;
	rig.work_hook = count_others;
	for (unsigned i = 0; i < waiting; i++)
		add(rig_message(1, "4"));
	for (int second = 0; second < 600; second++) {
		for (unsigned i = 0; i < 20; i++)
			add(message_to(i));
		stepped_run(SECOND);
	}
	assert_true(schedule_check(rig.schedule));
	rig_unchecked = false;
	rig_close();
	return others_done;
}

static void test_fairness(void **state)
{
	uint64_t alone = done_beside(0);
	uint64_t beside = done_beside((unsigned)wanted("SCALE_JOBS", 200000));

	(void)state;
	print_message("%llu alone, %llu beside a busy one\n", (unsigned long long)alone,
		      (unsigned long long)beside);
	assert_true(alone >= 600 * 20 * 95 / 100);
	assert_true(beside * 100 >= alone * 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_fairness),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
