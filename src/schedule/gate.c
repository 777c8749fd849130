/*
 * gate - what the kinds of gates count: how much is free, when more will be, taking it. See gate.h;
 * who waits at them is in line.c.
 *
 * Rates count in units: messages, recipients, or pieces of 2^n octets, n as small as lets the whole
 * limit fit 32 bits (a message is rounded up: below 4 GiB per period a unit is an octet). What
 * passes `evenly`, or is larger than the whole limit, shuts its gate for as long as the limit takes
 * for that much.
 *
 * Days of a warm-up are told by the wall clock, in UTC. If that goes back, the day that it had
 * reached counts on.
 */
#include "schedule/gate.h"

#include <assert.h>

#define DAY_MS (24 * 3600 * 1000ll)

struct meter *gate_meter(struct gate *g)
{
	assert(g->kind <= GATE_WARM_UP);
	return CONTAINER_OF(g, struct meter, gate);
}

struct track *gate_track(struct gate *g)
{
	if (g->kind == GATE_LANE)
		return CONTAINER_OF(g, struct track, connections);
	assert(g->kind == GATE_PACE);
	return CONTAINER_OF(g, struct track, pace);
}

bool gate_is_for_connections(const struct gate *g)
{
	return g->kind == GATE_CONNECTIONS || g->kind == GATE_LANE;
}

bool gate_counts_recipients(struct gate *g)
{
	return g->kind == GATE_RATE && gate_meter(g)->quota->what == LIMIT_RECIPIENTS;
}

/* ---- warm-up */
static int64_t today(struct limits *l, int64_t *ret_midnight_in_ms)
{
	int64_t ms = l->world->wall_ms(l->world), day = ms / DAY_MS - (ms % DAY_MS < 0);

	if (ret_midnight_in_ms)
		*ret_midnight_in_ms = (day + 1) * DAY_MS - ms;
	return day;
}

static void start_day(struct limits *l, struct meter *m)
{
	int64_t day = today(l, NULL);

	if (day <= m->day)
		return;
	m->day = day;
	m->in_use = 0;
}

/* Before its first day a source has the first day's. */
static uint32_t warm_up_cap(const struct meter *m)
{
	int64_t nth = m->day - m->quota->from_day;

	if (nth < 0)
		nth = 0;
	return nth < m->quota->days_n ? m->quota->days[nth] : UINT32_MAX;
}

uint32_t meter_limit(struct limits *l, struct meter *m)
{
	switch (m->quota->kind) {
	case QUOTA_WARM_UP:
		start_day(l, m);
		return warm_up_cap(m);
	case QUOTA_BOUND:
		return m->bound;
	default:
		return m->quota->units;
	}
}

/* ---- how much, and when */
static uint32_t less(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

void gate_needs_more(const struct quota *q, const struct ask *a, uint32_t *ret_least,
		     uint32_t *ret_wish)
{
	uint64_t units;

	if (q->what == LIMIT_RECIPIENTS && a->recipients > 1) {
		*ret_wish = a->recipients < q->units ? a->recipients : q->units;
	} else if (q->what == LIMIT_OCTETS && a->octets) {
		units = ((a->octets - 1) >> q->shift) + 1;
		*ret_least = *ret_wish = units < q->units ? (uint32_t)units : q->units;
	}
}

static uint32_t rate_room(struct meter *m, uint64_t now)
{
	uint32_t spent = m->bucket ? bucket_spent(m->bucket, now) : 0;

	return now < m->not_before ? 0 : less(m->quota->units, spent);
}

/* Units that are there, whomever they are kept for. */
static uint32_t room(struct limits *l, struct gate *g, uint64_t now)
{
	struct meter *m;
	struct track *t;

	switch (g->kind) {
	case GATE_LANE:
		return lane_connections(&gate_track(g)->lane, now);
	case GATE_PACE:
		t = gate_track(g);
		if (!lane_may_send(&t->lane, now))
			return 0;
		return t->lane.gap ? 1 : UINT32_MAX;
	case GATE_RATE:
		return rate_room(gate_meter(g), now);
	default:
		m = gate_meter(g);
		return less(meter_limit(l, m), m->in_use);
	}
}

/* One after the other: while one was called and has not come, there is nothing for others. */
static bool is_single(struct gate *g)
{
	return g->kind == GATE_RATE && gate_meter(g)->quota->evenly;
}

uint32_t gate_free(struct limits *l, struct gate *g, uint64_t now, uint32_t own)
{
	uint32_t kept = g->kept - own, units;

	if (kept && is_single(g))
		return 0;
	units = room(l, g, now);
	return units == UINT32_MAX ? units : less(units, kept);
}

uint32_t gate_takeable(struct limits *l, struct gate *g, uint64_t now)
{
	uint32_t units;

	if (g->firm && is_single(g))
		return 0;
	units = room(l, g, now);
	if (g->waiting && units > g->kept)
		units = g->kept;	/* of what is left for the line nothing is for him */
	return less(units, g->firm);
}

static uint64_t rate_opens(struct meter *m, uint64_t now, uint32_t units)
{
	uint32_t limit = m->quota->units;
	uint64_t at = now;

	if (!limit)
		return UINT64_MAX;
	if (m->bucket)
		at = bucket_falls_to(m->bucket, now, less(limit, units));
	return m->not_before > at ? m->not_before : at;
}

static uint64_t warm_up_opens(struct limits *l, struct meter *m, uint64_t now, uint32_t units)
{
	int64_t ms;

	if (less(meter_limit(l, m), m->in_use) >= units)
		return now;
	today(l, &ms);
	return now + (uint64_t)ms * MILLISECOND;
}

uint64_t gate_opens(struct limits *l, struct gate *g, uint64_t now, uint32_t units)
{
	uint64_t wanted = (uint64_t)units + g->kept, at = now;
	uint32_t n = wanted < UINT32_MAX ? (uint32_t)wanted : UINT32_MAX;
	struct track *t;

	if (gate_free(l, g, now, 0) >= units)
		return now;
	switch (g->kind) {
	case GATE_LANE:
		t = gate_track(g);
		at = now < t->lane.closed_until ? t->lane.closed_until : now;
		break;
	case GATE_PACE:
		at = lane_opens(&gate_track(g)->lane, now);
		break;
	case GATE_RATE:
		at = rate_opens(gate_meter(g), now, n);
		break;
	case GATE_WARM_UP:
		at = warm_up_opens(l, gate_meter(g), now, n);
		break;
	}
	return at > now ? at : UINT64_MAX;
}

/* ---- taking */
/* The time that the limit takes for so many units. */
static uint64_t time_of(const struct quota *q, uint64_t units)
{
	return (uint64_t)(((__uint128_t)q->period_ns * units + q->units - 1) / q->units);
}

static void rate_take(struct meter *m, uint64_t now, uint32_t units, const struct ask *a)
{
	const struct quota *q = m->quota;
	uint64_t whole = units;

	if (q->what == LIMIT_OCTETS && a->octets)
		whole = ((a->octets - 1) >> q->shift) + 1;
	if (!m->bucket)
		m->bucket = bucket_new(q->period_ns, q->units);
	bucket_spend(m->bucket, now, units);
	if (q->evenly || whole > q->units)
		m->not_before = now + time_of(q, whole);
}

void gate_take(struct limits *l, struct gate *g, uint64_t now, uint32_t units,
	       const struct ask *a)
{
	struct meter *m;

	switch (g->kind) {
	case GATE_LANE:
		lane_connect(&gate_track(g)->lane);
		return;
	case GATE_PACE:
		lane_send(&gate_track(g)->lane, now);
		return;
	case GATE_RATE:
		m = gate_meter(g);
		rate_take(m, now, units, a);
		meter_changed(l, m);
		return;
	case GATE_WARM_UP:
		m = gate_meter(g);
		m->in_use += units;
		meter_changed(l, m);
		return;
	default:
		gate_meter(g)->in_use += units;
	}
}

static void warm_up_give_back(struct limits *l, struct meter *m, uint64_t ago_ns, uint32_t units)
{
	int64_t ms;
	int64_t into_day;

	start_day(l, m);
	today(l, &ms);
	into_day = DAY_MS - ms;
	if (ago_ns / MILLISECOND < (uint64_t)into_day)
		m->in_use = less(m->in_use, units);
}

void gate_give_back(struct limits *l, struct gate *g, uint64_t now, uint64_t passed_at,
		    uint32_t units)
{
	struct meter *m;

	if (g->kind != GATE_RATE && g->kind != GATE_WARM_UP)
		return;
	m = gate_meter(g);
	if (g->kind == GATE_WARM_UP)
		warm_up_give_back(l, m, now > passed_at ? now - passed_at : 0, units);
	else if (m->bucket)
		bucket_give_back(m->bucket, now, passed_at, units);
	meter_changed(l, m);
}

void gate_disconnect(struct gate *g)
{
	struct meter *m;

	if (g->kind == GATE_LANE) {
		lane_disconnect(&gate_track(g)->lane);
		return;
	}
	m = gate_meter(g);
	assert(g->kind == GATE_CONNECTIONS && m->in_use);
	m->in_use--;
}

void meter_changed(struct limits *l, struct meter *m)
{
	if (!l->kept || (m->gate.kind == GATE_RATE && m->quota->period_ns < 60 * SECOND))
		return;
	if (list_is_empty(&m->in_saved))
		list_push(&l->saved, &m->in_saved);
	kept_changed(l->kept);
}
