/*
 * Limits, one kind after the other: what passes, who waits, who is called, what people are told.
 */
#include "unit/schedule/limits_rig.h"

/* ---- rates */
static void a_rate_lets_pass_what_it_says(void **state)
{
	struct person p[3];
	struct way *a, *b;

	(void)state;
	rig_open();
	rig_limit("limit 5/min messages per destination", LIMIT_MESSAGES, 5, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_start(NULL);
	a = rig_way("a.example", NULL, NULL);
	b = rig_way("b.example", NULL, NULL);
	people_init(p, 3);
	for (unsigned i = 0; i < 5; i++)
		assert_true(passes(a, NULL));
	assert_false(passes(a, NULL));
	assert_true(passes(b, NULL));		/* each has its own */
	for (unsigned i = 0; i < 3; i++)
		assert_false(passes(a, &p[i]));
	stepped_run(MINUTE - SECOND);
	assert_int_equal(calls_made, 0);
	stepped_run(3 * SECOND);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(p[i].order, i + 1);	/* first come, first served */
		assert_true(p[i].called_at >= 1000 + MINUTE);
		assert_true(limits_is_waiting(&p[i].waiter));
	}
	/* what is kept for them is not for others */
	assert_true(passes(a, NULL));
	assert_true(passes(a, NULL));
	assert_false(passes(a, NULL));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(passes(a, &p[i]));
		assert_false(limits_is_waiting(&p[i].waiter));
	}
	assert_false(passes(a, NULL));
	way_unref(a);
	way_unref(b);
	rig_close();
}

static void the_strictest_limit_wins(void **state)
{
	struct way *w;
	unsigned n;

	(void)state;
	rig_open();
	rig_limit("limit 100/min messages per route", LIMIT_MESSAGES, 100, MINUTE, LIMIT_PER_ROUTE);
	rig_limit("limit 7/min recipients per source", LIMIT_RECIPIENTS, 7, MINUTE,
		  LIMIT_PER_SOURCE);
	rig_limit("limit 10000/min bytes via mx", LIMIT_OCTETS, 10000, MINUTE, 0);
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	assert_true(way_pass(w, 5, 3000, &n, NULL));
	assert_int_equal(n, 5);
	assert_true(way_pass(w, 5, 3000, &n, NULL));
	assert_int_equal(n, 2);			/* only two of the five */
	assert_false(way_pass(w, 1, 10, &n, NULL));
	way_give_back(w, 2, 3000, stepped.now);
	assert_false(way_pass(w, 1, 7001, &n, NULL));
	assert_true(way_pass(w, 1, 7000, &n, NULL));
	assert_false(way_pass(w, 1, 0, &n, NULL));
	way_unref(w);
	rig_close();
}

static void evenly_is_one_after_the_other(void **state)
{
	struct person p[5];
	struct way *w;

	(void)state;
	rig_open();
	rig_limit("limit 60/min messages per destination evenly", LIMIT_MESSAGES, 60, MINUTE,
		  LIMIT_PER_DESTINATION)->evenly = true;
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	people_init(p, 5);
	assert_true(passes(w, NULL));
	for (unsigned i = 0; i < 5; i++)
		assert_false(passes(w, &p[i]));
	for (unsigned i = 0; i < 5; i++) {
		stepped_run(SECOND);
		assert_int_equal(calls_made, i + 1);
		assert_int_equal(p[i].order, i + 1);
		stepped_run(10 * SECOND);	/* he takes his time; nobody overtakes him */
		assert_int_equal(calls_made, i + 1);
		assert_true(passes(w, &p[i]));
	}
	way_unref(w);
	rig_close();
}

static void a_message_larger_than_the_limit_passes_alone(void **state)
{
	struct person p[2];
	struct way *w;
	unsigned n;

	(void)state;
	rig_open();
	rig_limit("limit 1M/min bytes per destination", LIMIT_OCTETS, 1 << 20, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	people_init(p, 2);
	assert_true(way_pass(w, 1, 1000, &n, NULL));
	assert_false(way_pass(w, 1, 3 << 20, &n, &p[0].waiter));
	assert_false(way_pass(w, 1, 10, &n, &p[1].waiter));	/* behind him */
	stepped_run(2 * MINUTE);
	assert_int_equal(p[0].calls, 1);
	assert_int_equal(p[1].calls, 0);
	assert_true(way_pass(w, 1, 3 << 20, &n, &p[0].waiter));
	stepped_run(3 * MINUTE - SECOND);		/* three limits large: three periods */
	assert_int_equal(p[1].calls, 0);
	stepped_run(SECOND);
	assert_int_equal(p[1].calls, 1);
	limits_leave(rig.limits, &p[1].waiter);
	way_unref(w);
	rig_close();
}

static void giving_back_calls_the_next(void **state)
{
	struct person p[1];
	struct way *w;

	(void)state;
	rig_open();
	rig_limit("limit 1/day messages per provider", LIMIT_MESSAGES, 1, DAY, LIMIT_PER_PROVIDER);
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	people_init(p, 1);
	assert_true(passes(w, NULL));
	assert_false(passes(w, p));
	stepped_run(HOUR);
	way_give_back(w, 1, 1000, 1000);
	assert_int_equal(p->calls, 1);
	assert_true(passes(w, p));
	stepped_run(2 * DAY);
	assert_true(passes(w, NULL));
	way_give_back(w, 1, 1000, 1000 + HOUR);	/* that came back by itself */
	assert_false(passes(w, NULL));
	way_unref(w);
	rig_close();
}

/* ---- whose count it is */
static void counts_are_by_what_the_limit_says(void **state)
{
	static const struct {
		const char *name;
		unsigned per;
		bool shared[4];		/* with the same but: domain, provider, source, all */
	} cases[] = {
		{ "nothing", 0, { true, true, true, true } },
		{ "destination", LIMIT_PER_DESTINATION, { false, true, true, false } },
		{ "provider", LIMIT_PER_PROVIDER, { true, false, true, false } },
		{ "source", LIMIT_PER_SOURCE, { true, true, false, false } },
		{ "route", LIMIT_PER_ROUTE, { true, true, true, true } },
		{ "destination and source", LIMIT_PER_DESTINATION | LIMIT_PER_SOURCE,
		  { false, true, false, false } },
		{ "provider and source", LIMIT_PER_PROVIDER | LIMIT_PER_SOURCE,
		  { true, false, false, false } },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct way *w[5];

		rig_open();
		rig_limit("limit 1/min messages", LIMIT_MESSAGES, 1, MINUTE, cases[i].per);
		rig_start(NULL);
		w[4] = rig_way("a.example", "one", "x");
		w[0] = rig_way("b.example", "one", "x");
		w[1] = rig_way("a.example", "two", "x");
		w[2] = rig_way("a.example", "one", "y");
		w[3] = rig_way("b.example", NULL, NULL);
		assert_true(passes(w[4], NULL));
		for (unsigned k = 0; k < 4; k++) {
			if (passes(w[k], NULL) == cases[i].shared[k])
				fail_msg("per %s, case %u", cases[i].name, k);
			if (!cases[i].shared[k])
				way_give_back(w[k], 1, 1000, stepped.now);
		}
		for (unsigned k = 0; k < 5; k++)
			way_unref(w[k]);
		rig_close();
	}
}

static void without_a_provider_each_destination_is_one(void **state)
{
	struct way *a, *b;

	(void)state;
	rig_open();
	rig_limit("limit 1/min messages per provider", LIMIT_MESSAGES, 1, MINUTE,
		  LIMIT_PER_PROVIDER);
	rig_start(NULL);
	a = rig_way("a.example", NULL, NULL);
	b = rig_way("b.example", NULL, NULL);
	assert_true(passes(a, NULL));
	assert_true(passes(b, NULL));
	assert_false(passes(a, NULL));
	way_unref(a);
	way_unref(b);
	rig_close();
}

/* ---- connections */
static unsigned reclaims;

static void count_reclaim(void *arg)
{
	assert_ptr_equal(arg, &reclaims);
	reclaims++;
}

static void connections_are_counted_together(void **state)
{
	struct person p[3];
	struct way *a, *b;

	(void)state;
	rig_open();
	rig_limit("limit 4 connections per source", LIMIT_CONNECTIONS, 4, 0, LIMIT_PER_SOURCE);
	rig_start(NULL);
	reclaims = 0;
	limits_set_reclaim(rig.limits, count_reclaim, &reclaims);
	a = rig_way("a.example", NULL, "x");
	b = rig_way("b.example", NULL, "x");
	people_init(p, 3);
	for (unsigned i = 0; i < 4; i++)
		assert_true(way_connect(i % 2 ? a : b, NULL));
	assert_false(way_wanted(a));
	for (unsigned i = 0; i < 3; i++)
		assert_false(way_connect(a, &p[i].waiter));
	assert_int_equal(reclaims, 1);		/* when the first came into line */
	assert_true(way_wanted(a));
	assert_true(way_wanted(b));
	assert_int_equal(way_opens_at(a, stepped.now), UINT64_MAX);
	way_disconnect(b);
	assert_int_equal(p[0].calls, 1);
	assert_int_equal(p[1].calls, 0);
	assert_false(way_connect(a, NULL));	/* that one is kept for him */
	limits_leave(rig.limits, &p[0].waiter);	/* he does not want it any more */
	assert_int_equal(p[1].calls, 1);
	assert_true(way_connect(a, &p[1].waiter));
	limits_leave(rig.limits, &p[2].waiter);
	for (unsigned i = 0; i < 4; i++)
		way_disconnect(i < 3 ? a : b);
	assert_int_equal(p[2].calls, 0);
	way_unref(a);
	way_unref(b);
	rig_close();
}

static void a_route_has_its_bound_for_a_destination(void **state)
{
	struct way *w[2];
	unsigned n = 0;

	(void)state;
	rig_open();
	rig_provider("huge", 100);
	rig_start(NULL);
	w[0] = rig_way("a.example", "huge", "x");
	w[1] = rig_way("a.example", "huge", "y");
	for (unsigned i = 0; i < 100; i++) {
		if (!way_connect(w[i % 2], NULL))
			continue;
		n++;
		way_works(w[i % 2]);
	}
	assert_int_equal(n, 10);		/* whatever the source */
	for (unsigned i = 0; i < n; i++)
		way_disconnect(w[i % 2]);
	way_unref(w[0]);
	way_unref(w[1]);
	rig_close();
}

static void a_raised_bound_calls_who_waits(void **state)
{
	struct hop h = { .destination = STR("fixed"), .route = named("fixed"),
			 .source = named("x"), .connections_max = 1 };
	struct person p[2];
	struct way *w, *n;

	(void)state;
	rig_open();
	rig_start(NULL);
	w = way_get(rig.limits, &h);
	people_init(p, 2);
	assert_true(way_connect(w, NULL));
	assert_false(way_connect(w, &p[0].waiter));
	assert_false(way_connect(w, &p[1].waiter));
	h.connections_max = 2;
	n = way_get(rig.limits, &h);
	assert_true(limits_check(rig.limits));
	assert_int_equal(p[0].calls, 1);
	assert_true(way_connect(n, &p[0].waiter));
	limits_leave(rig.limits, &p[1].waiter);
	way_disconnect(w);
	way_disconnect(n);
	way_unref(w);
	way_unref(n);
	rig_close();
}

static void a_providers_lane_is_shared(void **state)
{
	struct way *a, *b, *other;

	(void)state;
	rig_open();
	rig_provider("huge", 3);
	rig_start(NULL);
	a = rig_way("a.example", "huge", NULL);
	b = rig_way("b.example", "huge", NULL);
	other = rig_way("b.example", "huge", "x");
	assert_true(way_connect(a, NULL));
	assert_true(way_connect(a, NULL));
	assert_true(way_connect(b, NULL));
	assert_false(way_connect(b, NULL));
	assert_false(way_connect(a, NULL));
	assert_true(way_connect(other, NULL));	/* from elsewhere */
	way_slow(b, STR("450 too fast"));
	assert_false(passes(a, NULL));
	assert_true(passes(other, NULL));
	assert_int_equal(rig_logged("slowed provider=huge connections=1 gap=100.000 why=\"450"), 1);
	way_disconnect(a);
	way_disconnect(a);
	way_disconnect(b);
	way_disconnect(other);
	way_unref(a);
	way_unref(b);
	way_unref(other);
	rig_close();
}

static void messages_per_connection_are_the_strictest(void **state)
{
	struct way *w;

	(void)state;
	rig_open();
	rig_limit("limit 20 messages per connection", LIMIT_MESSAGES_PER_CONNECTION, 20, 0, 0);
	rig_limit("limit 10 messages per connection to provider p", LIMIT_MESSAGES_PER_CONNECTION,
		  10, 0, 0);
	rig_provider("huge", 0);
	rig.provider_of[0].messages_max = 5;
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(way_messages_per_connection(w), 10);
	way_unref(w);
	w = rig_way("a.example", "huge", NULL);
	assert_int_equal(way_messages_per_connection(w), 5);
	way_unref(w);
	rig.config->limits_n = 0;
	limits_reload(rig.limits, rig.config);
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(way_messages_per_connection(w), UINT32_MAX);
	way_unref(w);
	rig_close();
}

/* ---- what was learnt */
static void a_slowed_hop_gets_one_message_per_gap(void **state)
{
	struct person p[3];
	struct way *w;

	(void)state;
	rig_open();
	rig_start(NULL);
	w = rig_way("a.example", NULL, "x");
	people_init(p, 3);
	way_slow(w, STR("421 too fast"));
	for (unsigned i = 0; i < 3; i++)
		assert_false(passes(w, &p[i]));
	for (unsigned i = 0; i < 3; i++) {
		stepped_run(100 * MILLISECOND);
		assert_int_equal(calls_made, i + 1);
		assert_true(passes(w, &p[i]));
	}
	assert_int_equal(
		rig_logged("slowed destination=a.example source=x connections=2 gap=100.000 "
			   "why=\"421 too fast\""), 1);
	for (unsigned i = 0; i < 2000; i++) {
		stepped_run(100 * MILLISECOND);
		if (way_connect(w, NULL))
			continue;
		if (passes(w, NULL))
			way_works(w);
	}
	assert_int_equal(rig_logged("quickened destination=a.example source=x connections=6 "
				    "gap=0.000"), 1);
	while (w->track->lane.in_use)
		way_disconnect(w);
	way_unref(w);
	rig_close();
}

static void a_closed_hop_opens_by_itself(void **state)
{
	struct person p[2];
	struct way *w;

	(void)state;
	rig_open();
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	people_init(p, 2);
	way_close(w, 10 * MINUTE, STR("554 blocked"));
	way_close(w, MINUTE, STR("421 later"));
	assert_int_equal(
		rig_logged("paused destination=a.example ms=600000.000 why=\"554 blocked\""), 1);
	assert_int_equal(rig_logged("paused"), 1);
	assert_false(passes(w, &p[0]));
	assert_false(way_connect(w, &p[1].waiter));
	assert_int_equal(way_opens_at(w, stepped.now), stepped.now + 10 * MINUTE);
	stepped_run(10 * MINUTE - 1);
	assert_int_equal(calls_made, 0);
	stepped_run(1);
	assert_int_equal(calls_made, 2);
	assert_true(passes(w, &p[0]));
	assert_true(way_connect(w, &p[1].waiter));
	way_disconnect(w);
	way_unref(w);
	rig_close();
}

static void what_was_learnt_outlives_its_ways(void **state)
{
	struct limits_stats stats;
	struct way *w;

	(void)state;
	rig_open();
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	way_slow(w, STR("421"));
	way_unref(w);
	stepped_run(SECOND);
	w = rig_way("a.example", NULL, NULL);
	assert_int_equal(w->track->lane.allowed, 2);
	way_unref(w);
	limits_stats(rig.limits, &stats);
	assert_int_equal(stats.gates, 2);
	assert_int_equal(stats.ways, 0);
	stepped_run(2 * HOUR);
	limits_stats(rig.limits, &stats);
	assert_int_equal(stats.gates, 0);
	rig_close();
}

static void gates_that_nobody_needs_are_forgotten(void **state)
{
	struct limits_stats stats;
	struct way *w[100];
	char name[32];

	(void)state;
	rig_open();
	rig_limit("limit 5/min messages per destination", LIMIT_MESSAGES, 5, MINUTE,
		  LIMIT_PER_DESTINATION);
	rig_limit("limit 5 connections per destination", LIMIT_CONNECTIONS, 5, 0,
		  LIMIT_PER_DESTINATION);
	rig_start(NULL);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		w[i] = rig_way(name, NULL, NULL);
		if (i % 2)
			assert_true(passes(w[i], NULL));
	}
	limits_stats(rig.limits, &stats);
	assert_int_equal(stats.gates, 400);
	assert_int_equal(stats.ways, 100);
	for (unsigned i = 0; i < 100; i++)
		way_unref(w[i]);
	limits_stats(rig.limits, &stats);
	assert_int_equal(stats.gates, 50);	/* what was spent */
	assert_true(limits_check(rig.limits));
	w[1] = rig_way("d1.example", NULL, NULL);
	stepped_run(MINUTE + SECOND);
	limits_stats(rig.limits, &stats);
	assert_int_equal(stats.gates, 4);
	way_unref(w[1]);
	limits_stats(rig.limits, &stats);
	assert_int_equal(stats.gates, 0);
	rig_close();
}

/* ---- warm-up */
static void a_warm_up_counts_days_in_utc(void **state)
{
	static const uint32_t days[] = { 2, 3 };
	struct person p[1];
	struct source *s;
	struct way *w, *cold;

	(void)state;
	rig_open();
	s = rig_source("x");
	s->warm_up = days;
	s->warm_up_n = 2;
	s->warm_up_from_day = DAY_ZERO;
	rig_start(NULL);
	stepped_run(20 * HOUR);
	w = rig_way("a.example", NULL, "x");
	cold = rig_way("a.example", NULL, NULL);
	people_init(p, 1);
	assert_true(passes(w, NULL));
	assert_false(way_is_warming(w));
	assert_true(passes(w, NULL));
	assert_true(way_is_warming(w));
	assert_false(way_is_warming(cold));
	assert_false(passes(w, p));
	assert_int_equal(way_opens_at(w, stepped.now), 24 * HOUR + 1000);
	stepped_run(4 * HOUR - MILLISECOND);
	assert_int_equal(p->calls, 0);
	stepped_run(MINUTE + SECOND);		/* looked at each minute */
	assert_int_equal(p->calls, 1);
	assert_true(passes(w, p));
	assert_true(passes(w, NULL));
	assert_true(passes(w, NULL));
	assert_false(passes(w, p));
	way_give_back(w, 1, 1000, 23 * HOUR);	/* that was yesterday's */
	assert_int_equal(p->calls, 1);
	way_give_back(w, 1, 1000, stepped.now);
	assert_int_equal(p->calls, 2);
	assert_true(passes(w, p));
	stepped_run(24 * HOUR);			/* the plan is over */
	for (unsigned i = 0; i < 1000; i++)
		assert_true(passes(w, NULL));
	way_unref(w);
	way_unref(cold);
	rig_close();
}

static void a_clock_that_goes_back_warms_nothing_up(void **state)
{
	static const uint32_t days[] = { 2, 3 };
	struct person p[1];
	struct source *s;
	struct way *w;

	(void)state;
	rig_open();
	s = rig_source("x");
	s->warm_up = days;
	s->warm_up_n = 2;
	s->warm_up_from_day = DAY_ZERO + 1;
	rig_start(NULL);
	w = rig_way("a.example", NULL, "x");
	people_init(p, 1);
	assert_true(passes(w, NULL));		/* before its first day: as on that */
	assert_true(passes(w, NULL));
	assert_false(passes(w, p));
	stepped.wall_offset_ms -= 86400000ll * 100;
	stepped_run(2 * MINUTE);
	assert_int_equal(p->calls, 0);
	stepped.wall_offset_ms += 86400000ll * 101;
	stepped_run(2 * MINUTE);
	assert_int_equal(p->calls, 1);
	limits_leave(rig.limits, &p->waiter);
	way_unref(w);
	rig_close();
}

/* ---- configurations */
static void a_reload_keeps_what_was_spent_and_calls_all(void **state)
{
	struct person p[2];
	struct way *w, *n;

	(void)state;
	rig_open();
	rig_limit("limit 1/day messages per destination", LIMIT_MESSAGES, 1, DAY,
		  LIMIT_PER_DESTINATION);
	rig_limit("limit 2/day messages per destination", LIMIT_MESSAGES, 2, DAY,
		  LIMIT_PER_DESTINATION);
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	people_init(p, 2);
	assert_true(passes(w, NULL));
	assert_false(passes(w, &p[0]));
	rig.limits_of[0] = rig.limits_of[1];
	rig.config->limits_n = 1;
	limits_reload(rig.limits, rig.config);
	assert_true(way_is_old(w));
	assert_int_equal(p[0].calls, 1);
	assert_true(limits_is_waiting(&p[0].waiter));
	n = rig_way("a.example", NULL, NULL);
	assert_false(way_is_old(n));
	assert_true(passes(n, &p[0]));
	assert_false(passes(n, NULL));		/* the second of two */
	assert_true(limits_check(rig.limits));
	way_unref(w);
	way_unref(n);
	rig_close();
}

static void the_same_limit_twice_is_one(void **state)
{
	struct way *w;

	(void)state;
	rig_open();
	for (unsigned i = 0; i < 2; i++)
		rig_limit("limit 2/day messages per route", LIMIT_MESSAGES, 2, DAY,
			  LIMIT_PER_ROUTE);
	rig_start(NULL);
	w = rig_way("a.example", NULL, NULL);
	assert_true(passes(w, NULL));
	assert_true(passes(w, NULL));
	assert_false(passes(w, NULL));
	way_unref(w);
	rig_close();
}

/* ---- what is told */
/* A hop that takes three connections refuses each fourth one: that is no news. */
static void what_does_not_change_is_told_once(void **state)
{
	struct way *w;
	unsigned open = 0;

	(void)state;
	rig_open();
	rig_start(NULL);
	w = rig_way("a.example", NULL, "x");
	for (unsigned i = 0; i < 3000; i++) {
		stepped_run(100 * MILLISECOND);
		if (open)
			way_works(w);
		if (way_connect(w, NULL) && ++open > 3) {
			way_refused(w, STR("421 too many"));
			way_disconnect(w);
			open--;
		}
	}
	assert_int_equal(rig_logged("slowed destination=a.example source=x connections=3"), 1);
	assert_int_equal(rig_logged("quickened"), 0);
	for (; open; open--)
		way_disconnect(w);
	way_unref(w);
	rig_close();
}

/* ---- for people */
struct told {
	struct gate_state states[8];
	unsigned n;
};

static void on_state(void *arg, const struct gate_state *s)
{
	struct told *t = arg;

	assert_true(t->n < 8);
	t->states[t->n++] = *s;
}

static void people_are_told(void **state)
{
	struct told told = { 0 };
	struct person p[1];
	struct way *w;
	char words[400];

	(void)state;
	rig_open();
	rig_limit("limit 3/min messages to domain slow.example", LIMIT_MESSAGES, 3, MINUTE, 0);
	rig_start(NULL);
	w = rig_way("slow.example", NULL, NULL);
	people_init(p, 1);
	limit_waiter_describe(rig.limits, &p->waiter, words, sizeof(words));
	assert_string_equal(words, "");
	for (unsigned i = 0; i < 3; i++)
		assert_true(passes(w, NULL));
	stepped_run(49 * SECOND);
	assert_false(passes(w, p));
	limit_waiter_describe(rig.limits, &p->waiter, words, sizeof(words));
	assert_string_equal(words, "limit 3/min messages to domain slow.example: "
				   "3 of 3 used, opens in 12 s");
	way_slow(w, STR("450 slow\tdown"));
	way_describe(w, on_state, &told);
	assert_int_equal(told.n, 3);
	assert_string_equal(told.states[0].what, "limit 3/min messages to domain slow.example");
	assert_true(told.states[0].binds);
	assert_int_equal(told.states[0].waiting, 1);
	assert_in_range(told.states[0].opens_at, stepped.now + 11 * SECOND,
			stepped.now + 12 * SECOND);
	assert_string_equal(told.states[1].what, "learnt: 100 ms between messages");
	assert_string_equal(told.states[1].state, "slowed (450 slow\tdown), opens in 100 ms");
	assert_false(told.states[1].binds);
	assert_string_equal(told.states[2].what, "learnt: 2 connections (at most 10)");
	assert_string_equal(told.states[2].state, "0 of 2 open (450 slow\tdown)");
	assert_int_equal(told.states[2].opens_at, 0);
	limit_waiter_describe(rig.limits, &p->waiter, words, 10);
	assert_string_equal(words, "limit 3/m");
	limits_leave(rig.limits, &p->waiter);
	way_unref(w);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_lets_pass_what_it_says),
		cmocka_unit_test(the_strictest_limit_wins),
		cmocka_unit_test(evenly_is_one_after_the_other),
		cmocka_unit_test(a_message_larger_than_the_limit_passes_alone),
		cmocka_unit_test(giving_back_calls_the_next),
		cmocka_unit_test(counts_are_by_what_the_limit_says),
		cmocka_unit_test(without_a_provider_each_destination_is_one),
		cmocka_unit_test(connections_are_counted_together),
		cmocka_unit_test(a_route_has_its_bound_for_a_destination),
		cmocka_unit_test(a_raised_bound_calls_who_waits),
		cmocka_unit_test(a_providers_lane_is_shared),
		cmocka_unit_test(messages_per_connection_are_the_strictest),
		cmocka_unit_test(a_slowed_hop_gets_one_message_per_gap),
		cmocka_unit_test(a_closed_hop_opens_by_itself),
		cmocka_unit_test(what_was_learnt_outlives_its_ways),
		cmocka_unit_test(gates_that_nobody_needs_are_forgotten),
		cmocka_unit_test(a_warm_up_counts_days_in_utc),
		cmocka_unit_test(a_clock_that_goes_back_warms_nothing_up),
		cmocka_unit_test(a_reload_keeps_what_was_spent_and_calls_all),
		cmocka_unit_test(the_same_limit_twice_is_one),
		cmocka_unit_test(what_does_not_change_is_told_once),
		cmocka_unit_test(people_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
