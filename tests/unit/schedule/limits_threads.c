/*
 * Limits from many threads at once, with real loops: the exact count of what passed, and every
 * waiter called. For ThreadSanitizer most of all.
 */
#include "unit/unit.h"

#include "base/mem.h"
#include "schedule/way.h"

#include <sched.h>

#define THREADS 4
#define PEOPLE 6		/* of each thread */
#define STEPS 30000
#define PER_PERIOD 400
#define PERIOD (100 * MILLISECOND)

struct person {
	struct limit_waiter waiter;
	atomic_bool called;
	bool connects;
	struct way *connected;
};

struct walker {
	pthread_t thread;
	uint64_t seed;
	uint64_t passed, calls;
};

static struct net *net;
static struct limits *limits;
static struct config *config;
static _Atomic(struct way *) ways[3];
static pthread_mutex_t ways_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int in_use;
static _Atomic uint64_t passed;
static atomic_bool over;

static void on_wake(struct limit_waiter *w)
{
	atomic_store(&CONTAINER_OF(w, struct person, waiter)->called, true);
}

static void on_reclaim(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static uint64_t rnd(struct walker *x, uint64_t below)
{
	x->seed = x->seed * 6364136223846793005u + 1442695040888963407u;
	return (x->seed >> 33) % below;
}

static struct way *make_way(unsigned i)
{
	static const char *const domains[] = { "a.example", "b.example", "c.example" };
	struct hop h = {
		.destination = str_of(domains[i]),
		.route = name_intern(STR("mx")),
		.connections_max = 6,
	};

	return way_get(limits, &h);
}

static struct way *take_way(unsigned i)
{
	struct way *w;

	pthread_mutex_lock(&ways_lock);
	w = atomic_load(&ways[i]);
	if (way_is_old(w)) {
		way_unref(w);
		w = make_way(i);
		atomic_store(&ways[i], w);
	}
	way_ref(w);
	pthread_mutex_unlock(&ways_lock);
	return w;
}

static void connect_or_not(struct walker *x, struct person *p, struct way *w)
{
	if (p->connected) {
		if (rnd(x, 2))
			way_works(p->connected);
		atomic_fetch_sub(&in_use, 1);
		way_disconnect(p->connected);
		way_unref(p->connected);
		p->connected = NULL;
		return;
	}
	if (!way_connect(w, &p->waiter))
		return;
	p->connected = way_ref(w);
	if (atomic_fetch_add(&in_use, 1) >= 8)
		abort();		/* more than the limit of connections */
}

static void step(struct walker *x, struct person *p)
{
	struct way *w = take_way((unsigned)rnd(x, 3));
	bool called = atomic_exchange(&p->called, false);
	unsigned n;

	x->calls += called;
	if (limits_is_waiting(&p->waiter) && !called) {
		if (rnd(x, 200) == 0)
			limits_leave(limits, &p->waiter);
	} else if (p->connects) {
		connect_or_not(x, p, w);
	} else if (way_pass(w, 1, 100, &n, &p->waiter)) {
		x->passed++;
	}
	if (rnd(x, 20000) == 0)
		way_slow(w, STR("slow"));
	if (rnd(x, 500) == 0)
		way_close(w, rnd(x, 3 * MILLISECOND), STR("closed"));
	way_unref(w);
}

static void *walk(void *arg)
{
	struct walker *x = arg;
	struct person people[PEOPLE] = { 0 };

	for (unsigned i = 0; i < PEOPLE; i++) {
		limit_waiter_init(&people[i].waiter, on_wake);
		people[i].connects = i % 2;
	}
	for (unsigned i = 0; i < STEPS; i++) {
		step(x, &people[rnd(x, PEOPLE)]);
		if (i % 16 == 0)
			sched_yield();
	}
	for (unsigned i = 0; i < PEOPLE; i++) {
		limits_leave(limits, &people[i].waiter);
		if (people[i].connected)
			connect_or_not(x, &people[i], NULL);
	}
	atomic_fetch_add(&passed, x->passed);
	return NULL;
}

static void *reload_now_and_then(void *arg)
{
	char words[200];

	(void)arg;
	while (!atomic_load(&over)) {
		struct limits_stats stats;
		struct limit_waiter nobody;

		limits_reload(limits, config);
		limits_stats(limits, &stats);
		limit_waiter_init(&nobody, on_wake);
		limit_waiter_describe(limits, &nobody, words, sizeof(words));
		for (unsigned i = 0; i < 200 && !atomic_load(&over); i++)
			sched_yield();
	}
	return NULL;
}

static void limits_of_this_test(void)
{
	static struct limit all[2];

	all[0] = (struct limit){ .text = STR("limit 4000/s messages"), .what = LIMIT_MESSAGES,
				 .count = PER_PERIOD, .period_ns = PERIOD };
	all[1] = (struct limit){ .text = STR("limit 8 connections"), .what = LIMIT_CONNECTIONS,
				 .count = 8 };
	config = mem_zalloc(sizeof(*config));
	atomic_init(&config->refs, 1);
	config->limits = all;
	config->limits_n = 2;
}

static void many_threads_pass_exactly(void **state)
{
	struct world *world = world_real();
	struct walker walkers[THREADS] = { 0 };
	_Atomic unsigned reclaims = 0;
	pthread_t reloader;
	uint64_t start, took, calls = 0;

	(void)state;
	limits_of_this_test();
	net = net_new(world, 2, 0);
	limits = limits_new(net, NULL);
	limits_reload(limits, config);
	limits_set_reclaim(limits, on_reclaim, &reclaims);
	net_start(net);
	start = world->now(world);
	for (unsigned i = 0; i < 3; i++)
		atomic_store(&ways[i], make_way(i));
	pthread_create(&reloader, NULL, reload_now_and_then, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		walkers[i].seed = i + 1;
		pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(walkers[i].thread, NULL);
		calls += walkers[i].calls;
	}
	took = world->now(world) - start;
	atomic_store(&over, true);
	pthread_join(reloader, NULL);
	assert_int_equal(atomic_load(&in_use), 0);
	/* lanes that were slowed let few pass */
	assert_true(atomic_load(&passed) > 0 && calls > 0);
	assert_true(atomic_load(&passed) <= (took / PERIOD + 1) * PER_PERIOD);
	for (unsigned i = 0; i < 3; i++)
		way_unref(atomic_load(&ways[i]));
	limits_stop(limits);
	net_stop(net);
	limits_free(limits);
	assert_int_equal(atomic_load(&config->refs), 1);
	mem_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_threads_pass_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
