/*
 * Limits under a random crowd: people of all ways pass, connect, wait, come late, leave, are
 * refused and slowed, while configurations change. After every step the invariants hold (nobody
 * waits at an open gate), no limit is ever exceeded by a naive count, and at the end everybody who
 * waits is called.
 */
#include "unit/schedule/limits_rig.h"

#define WAYS 12
#define PEOPLE 60
#define EVENTS_MAX 200000

enum doing { IDLE, WANTS_TO_PASS, WANTS_TO_CONNECT, CONNECTED };

struct one {
	struct person person;
	enum doing doing;
	unsigned way;
	struct way *connected;		/* counted */
	unsigned recipients;
	uint64_t octets;
};

static struct {
	struct one people[PEOPLE];
	struct way *ways[WAYS];
	struct event {
		uint64_t at;
		unsigned way;
		uint64_t messages, recipients, octets;
	} events[EVENTS_MAX];
	unsigned events_n;
	uint64_t passed, connected, called;
} crowd;

static const char *const domains[3] = { "a.example", "b.example", "c.example" };
static const char *const providers[2] = { NULL, "huge" };
static const char *const sources[2] = { "x", "y" };

static unsigned domain_of(unsigned way)
{
	return way % 3;
}

static bool is_of_provider(unsigned way)
{
	return way / 3 % 2;
}

static unsigned source_of(unsigned way)
{
	return way / 6;
}

static void make_way(unsigned i)
{
	way_unref(crowd.ways[i]);
	crowd.ways[i] = rig_way(domains[domain_of(i)], providers[is_of_provider(i)],
				sources[source_of(i)]);
}

static void limits_of_this_test(void)
{
	rig_limit("limit 30/min messages per destination", LIMIT_MESSAGES, 30, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_limit("limit 100/min recipients per source", LIMIT_RECIPIENTS, 100, MINUTE,
		  LIMIT_PER_SOURCE);
	rig_limit("limit 1M/10m bytes per provider", LIMIT_OCTETS, 1 << 20, 10 * MINUTE,
		  LIMIT_PER_PROVIDER | LIMIT_PER_SOURCE);
	rig_limit("limit 12 connections", LIMIT_CONNECTIONS, 12, 0, 0);
	rig_limit("limit 60/min messages to provider huge evenly", LIMIT_MESSAGES, 60, MINUTE, 0)
		->evenly = true;
	rig.limits_of[4].providers = &rig.provider_of[0].name;
	rig.limits_of[4].providers_n = 1;
}

/* ---- the naive count: what events of the last period say, of those that are counted together */
static bool same_destination(unsigned a, unsigned b)
{
	return domain_of(a) == domain_of(b);
}

static bool same_source(unsigned a, unsigned b)
{
	return source_of(a) == source_of(b);
}

static bool same_provider_and_source(unsigned a, unsigned b)
{
	return same_source(a, b) && is_of_provider(a) == is_of_provider(b) &&
	       (is_of_provider(a) || same_destination(a, b));
}

static void check_window(const struct event *last)
{
	uint64_t messages = 0, recipients = 0, octets = 0;

	for (const struct event *e = last; e >= crowd.events; e--) {
		if (e->at + 10 * MINUTE <= last->at)
			break;
		if (same_provider_and_source(e->way, last->way))
			octets += e->octets;
		if (e->at + MINUTE <= last->at)
			continue;
		if (same_destination(e->way, last->way))
			messages += e->messages;
		if (same_source(e->way, last->way))
			recipients += e->recipients;
	}
	assert_in_range(messages, 1, 30);
	assert_in_range(recipients, 1, 100);
	assert_in_range(octets, 0, 1 << 20);
}

/* ---- what people do */
static void ask(struct one *x, bool in_line)
{
	struct limit_waiter *w = in_line || limits_is_waiting(&x->person.waiter)
					 ? &x->person.waiter : NULL;
	struct way *way = crowd.ways[x->way];
	unsigned n;

	if (x->doing == WANTS_TO_CONNECT) {
		if (way_connect(way, w)) {
			x->connected = way_ref(way);
			x->doing = CONNECTED;
			crowd.connected++;
		}
	} else if (way_pass(way, x->recipients, x->octets, &n, w)) {
		struct event *e = &crowd.events[crowd.events_n++];

		assert_true(crowd.events_n < EVENTS_MAX);
		assert_in_range(n, 1, x->recipients);
		*e = (struct event){ stepped.now, x->way, 1, n, x->octets };
		check_window(e);
		x->doing = IDLE;
		crowd.passed++;
		if (stepped_random(20) == 0) {
			way_give_back(way, n, x->octets, stepped.now);
			e->messages = e->recipients = e->octets = 0;
		}
	}
	if (!w && x->doing != CONNECTED)
		x->doing = IDLE;
}

static void begin(struct one *x)
{
	x->way = (unsigned)stepped_random(WAYS);
	x->recipients = 1 + (unsigned)(stepped_random(4) ? 0 : stepped_random(30));
	x->octets = stepped_random(200) ? stepped_random(20000) : stepped_random(1 << 20);
	x->doing = stepped_random(3) ? WANTS_TO_PASS : WANTS_TO_CONNECT;
	ask(x, stepped_random(5) != 0);
}

static void hang_up(struct one *x)
{
	if (stepped_random(30) == 0)
		way_refused(x->connected, STR("421 too many"));
	way_disconnect(x->connected);
	way_unref(x->connected);
	x->connected = NULL;
	x->doing = IDLE;
}

static void act(struct one *x)
{
	bool called = x->person.waiter.called;

	switch (x->doing) {
	case IDLE:
		begin(x);
		return;
	case CONNECTED:
		if (stepped_random(3))
			way_works(x->connected);
		else
			hang_up(x);
		return;
	default:
		if (stepped_random(10) == 0) {
			limits_leave(rig.limits, &x->person.waiter);
			x->doing = IDLE;
		} else if (called || stepped_random(5) == 0) {
			crowd.called += called;
			ask(x, true);
		}
	}
}

static void something_happens(void)
{
	struct way *w = crowd.ways[stepped_random(WAYS)];

	switch (stepped_random(200)) {
	case 0:
		way_slow(w, STR("450 too fast"));
		break;
	case 1:
		way_close(w, stepped_random(2 * MINUTE), STR("554 go away"));
		break;
	case 2:
		limits_reload(rig.limits, rig.config);
		break;
	case 3:
		for (unsigned i = 0; i < WAYS; i++)
			if (way_is_old(crowd.ways[i]))
				make_way(i);
		break;
	default:
		break;
	}
}

/* Nobody comes any more; who is connected hangs up; who is called asks. */
static void all_end(void)
{
	unsigned left = PEOPLE;

	for (unsigned round = 0; round < 5000 && left; round++) {
		left = 0;
		for (unsigned i = 0; i < PEOPLE; i++) {
			struct one *x = &crowd.people[i];

			if (x->doing == CONNECTED)
				hang_up(x);
			else if (x->doing != IDLE && x->person.waiter.called)
				ask(x, true);
			left += x->doing != IDLE;
		}
		stepped_run(SECOND);
	}
	assert_int_equal(left, 0);
}

static void a_random_crowd(uint64_t seed)
{
	struct limits_stats stats;

	rig_open();
	stepped.seed = seed;
	memset(&crowd, 0, sizeof(crowd));
	limits_of_this_test();
	rig_provider("huge", 6);
	rig_source("x");
	rig_source("y");
	rig_start(NULL);
	for (unsigned i = 0; i < WAYS; i++)
		make_way(i);
	for (unsigned i = 0; i < PEOPLE; i++)
		people_init(&crowd.people[i].person, 1);
	for (unsigned i = 0; i < 12000; i++) {
		act(&crowd.people[stepped_random(PEOPLE)]);
		something_happens();
		assert_true(limits_check(rig.limits));
		if (stepped_random(4) == 0)
			stepped_run(stepped_random(i % 100 ? 2 * SECOND : 5 * MINUTE));
	}
	all_end();
	assert_true(crowd.passed > 500 && crowd.connected > 200 && crowd.called > 500);
	for (unsigned i = 0; i < WAYS; i++)
		way_unref(crowd.ways[i]);
	stepped_run(3 * HOUR);
	limits_stats(rig.limits, &stats);
	assert_int_equal(stats.gates, 0);
	assert_int_equal(stats.waiters, 0);
	assert_int_equal(rig.limits->openings.n, 0);
	rig_close();
}

static void crowds_wait_at_no_open_gate(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++)
		a_random_crowd(seed * 7919);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crowds_wait_at_no_open_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
