/*
 * limits_describe - gates in words, for relevo explain, queue show and top. See limits.h.
 */
#include "schedule/way.h"

#include <stdio.h>

struct words {
	char *p;
	size_t n, size;
};

static void say(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct words *w, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(w->p + w->n, w->size - w->n, format, ap);
	va_end(ap);
	if (n > 0)
		w->n = w->n + (size_t)n < w->size ? w->n + (size_t)n : w->size - 1;
}

static struct words words_in(char *p, size_t size)
{
	p[0] = '\0';
	return (struct words){ p, 0, size };
}

/* "350 ms", "12 s", "4 min", "3 h": rounded up, so that it is over by then. */
static void say_time(struct words *w, uint64_t ns)
{
	static const struct {
		uint64_t below, unit;
		const char *name;
	} steps[] = {
		{ 2 * SECOND, MILLISECOND, "ms" },
		{ 120 * SECOND, SECOND, "s" },
		{ 7200 * SECOND, 60 * SECOND, "min" },
		{ 48 * 3600 * SECOND, 3600 * SECOND, "h" },
		{ UINT64_MAX, 24 * 3600 * SECOND, "d" },
	};
	unsigned i = 0;
	uint64_t n;

	while (ns >= steps[i].below && i < 4)
		i++;
	n = ns ? (ns - 1) / steps[i].unit + 1 : 0;
	say(w, "%llu %s", (unsigned long long)n, steps[i].name);
}

/* ---- what it is */
static void say_meter(struct words *w, const struct meter *m)
{
	const struct quota *q = m->quota;
	struct str text = q->text;

	if (q->kind == QUOTA_BOUND) {
		say(w, "route %.*s: %u connections per destination",
		    STR_ARG(name_str(m->place.route)), m->bound);
		return;
	}
	if (q->kind == QUOTA_LIMIT && !str_starts(text, STR("limit ")))
		say(w, "limit ");
	say(w, "%.*s", STR_ARG(text));
	if (q->kind == QUOTA_WARM_UP)
		say(w, " towards %.*s",
		    STR_ARG(m->place.provider ? name_str(m->place.provider)
					      : m->place.destination));
}

static void say_what(struct words *w, struct gate *g)
{
	const struct lane *lane;

	if (g->kind <= GATE_WARM_UP) {
		say_meter(w, gate_meter(g));
		return;
	}
	lane = &gate_track(g)->lane;
	if (g->kind == GATE_LANE) {
		say(w, "learnt: %u connections (at most %u)", lane->allowed, lane->bound);
	} else if (lane->gap) {
		say(w, "learnt: ");
		say_time(w, lane->gap);
		say(w, " between messages");
	} else {
		say(w, "learnt: no gap between messages");
	}
}

/* ---- how it is */
static unsigned long long octets_or_units(const struct quota *q, uint64_t units)
{
	return q->what == LIMIT_OCTETS ? units << q->shift : units;
}

static void say_used(struct limits *l, struct words *w, struct meter *m, uint64_t now)
{
	uint32_t limit = meter_limit(l, m), used = m->in_use;
	bool is_warm_up = m->gate.kind == GATE_WARM_UP;

	if (m->gate.kind == GATE_RATE)
		used = m->bucket ? bucket_spent(m->bucket, now) : 0;
	if (is_warm_up && limit == UINT32_MAX)
		say(w, "%u used today, warmed up", used);
	else
		say(w, "%llu of %llu used%s", octets_or_units(m->quota, used),
		    octets_or_units(m->quota, limit), is_warm_up ? " today" : "");
}

static void say_lane(struct words *w, struct gate *g, uint64_t now)
{
	const struct track *t = gate_track(g);

	if (now < t->lane.closed_until)
		say(w, "paused");
	else if (g->kind == GATE_LANE)
		say(w, "%u of %u open", t->lane.in_use, t->lane.allowed);
	else
		say(w, "%s", t->lane.gap ? "slowed" : "open");
	if (t->why)
		say(w, " (%s)", t->why);
}

static void say_state(struct limits *l, struct words *w, struct gate *g, uint64_t now)
{
	uint64_t at = gate_opens(l, g, now, 1);

	if (g->kind <= GATE_WARM_UP)
		say_used(l, w, gate_meter(g), now);
	else
		say_lane(w, g, now);
	if (at == now)
		return;
	if (at == UINT64_MAX) {
		say(w, ", opens when others end");
		return;
	}
	say(w, ", opens in ");
	say_time(w, at - now);
}

/* ---- for whom */
static void describe(struct limits *l, struct gate *g, uint64_t now, struct gate_state *ret)
{
	struct words what = words_in(ret->what, sizeof(ret->what));
	struct words state = words_in(ret->state, sizeof(ret->state));
	uint64_t at = gate_opens(l, g, now, 1);

	say_what(&what, g);
	say_state(l, &state, g, now);
	ret->opens_at = at == now ? 0 : at;
	ret->waiting = g->waiting + g->called;
}

/* The gate that opens last, if any is shut. */
static const struct gate *binding(struct way *w, uint64_t now)
{
	const struct gate *last = NULL;
	uint64_t last_at = now;

	for (unsigned i = 0; i < w->pass_n + w->connect_n; i++) {
		uint64_t at = gate_opens(w->limits, w->gates[i], now, 1);

		if (at > last_at) {
			last = w->gates[i];
			last_at = at;
		}
	}
	return last;
}

void way_describe(struct way *w, void (*fn)(void *arg, const struct gate_state *s), void *arg)
{
	struct limits *l = w->limits;
	uint64_t now = l->world->now(l->world);

	for (unsigned i = 0; i < w->pass_n + w->connect_n; i++) {
		struct gate_state s = { 0 };

		pthread_mutex_lock(&l->lock);
		describe(l, w->gates[i], now, &s);
		s.binds = binding(w, now) == w->gates[i];
		pthread_mutex_unlock(&l->lock);
		fn(arg, &s);
	}
}

void limit_waiter_describe(struct limits *l, const struct limit_waiter *w, char *ret, size_t size)
{
	struct words words = words_in(ret, size);
	uint64_t now = l->world->now(l->world);

	pthread_mutex_lock(&l->lock);
	if (w->gate) {
		say_what(&words, w->gate);
		say(&words, ": ");
		say_state(l, &words, w->gate, now);
	}
	pthread_mutex_unlock(&l->lock);
}
