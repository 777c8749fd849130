/*
 * meter - meters and tracks: finding or making the one for a place, counting who uses it,
 * forgetting it. See gate.h, G4.
 *
 * Made under the lock when a way is made, never when a message passes.
 */
#include "schedule/gate.h"

#include "base/mem.h"

#include <assert.h>

static uint64_t place_hash(const struct place *p, uint64_t seed)
{
	const struct name *names[3] = { p->route, p->provider, p->source };

	for (unsigned i = 0; i < 3; i++)
		seed = hash_u64(seed + (names[i] ? names[i]->hash : 0));
	return seed ^ (p->destination.n ? hash_bytes(p->destination.p, p->destination.n) : 0);
}

static bool place_eq(const struct place *a, const struct place *b)
{
	return a->route == b->route && a->provider == b->provider && a->source == b->source &&
	       str_eq(a->destination, b->destination);
}

/* text: room behind the struct that the copy is for. */
static void place_copy(struct place *to, const struct place *from, char *text)
{
	*to = *from;
	if (from->destination.n)
		memcpy(text, from->destination.p, from->destination.n);
	to->destination = str_make(text, from->destination.n);
}

/* ---- meters */
static uint64_t meter_hash(const struct quota *q, const struct place *p)
{
	return place_hash(p, (uint64_t)(uintptr_t)q);
}

static struct meter *meter_find(struct limits *l, const struct quota *q, const struct place *p)
{
	for (struct map_node *at = map_first(&l->meters, meter_hash(q, p)); at; at = map_next(at)) {
		struct meter *m = CONTAINER_OF(at, struct meter, node);

		if (m->quota == q && place_eq(&m->place, p))
			return m;
	}
	return NULL;
}

static enum gate_kind kind_of(const struct quota *q)
{
	if (q->kind == QUOTA_WARM_UP)
		return GATE_WARM_UP;
	return q->kind == QUOTA_LIMIT && q->what != LIMIT_CONNECTIONS ? GATE_RATE
								      : GATE_CONNECTIONS;
}

struct meter *meter_get(struct limits *l, struct quota *q, const struct place *p)
{
	struct meter *m = meter_find(l, q, p);

	if (!m) {
		m = mem_zalloc(sizeof(*m) + p->destination.n);
		line_init(&m->gate, kind_of(q));
		list_init(&m->in_saved);
		place_copy(&m->place, p, (char *)(m + 1));
		m->quota = q;
		q->refs++;
		map_insert(&l->meters, &m->node, meter_hash(q, p));
	}
	if (!m->refs++ && !m->gate.waiting)
		heap_remove(&l->openings, &m->gate.in_openings);
	return m;
}

static void meter_free(struct limits *l, struct meter *m)
{
	assert(!m->gate.waiting && !m->gate.called && !m->refs);
	heap_remove(&l->openings, &m->gate.in_openings);
	list_remove(&m->in_saved);
	map_remove(&l->meters, &m->node);
	quota_put(l, m->quota);
	bucket_free(m->bucket);
	mem_free(m);
}

/* When nothing of it counts any more. */
static uint64_t meter_fades(struct limits *l, struct meter *m, uint64_t now)
{
	uint64_t at = now;

	if (m->gate.kind == GATE_WARM_UP) {
		meter_limit(l, m);	/* of a new day nothing is spent */
		return m->in_use ? now + 60 * SECOND : now;
	}
	if (m->bucket)
		at = bucket_falls_to(m->bucket, now, 0);
	return m->not_before > at ? m->not_before : at;
}

void meter_put(struct limits *l, struct meter *m, uint64_t now)
{
	assert(m->refs);
	m->refs--;
	gate_forget(l, &m->gate, now);
}

/* ---- tracks */
static struct track *track_find(struct limits *l, const struct place *p, uint64_t hash)
{
	for (struct map_node *at = map_first(&l->tracks, hash); at; at = map_next(at)) {
		struct track *t = CONTAINER_OF(at, struct track, node);

		if (place_eq(&t->place, p))
			return t;
	}
	return NULL;
}

struct track *track_get(struct limits *l, const struct place *p, uint32_t bound, bool known,
			uint64_t now)
{
	uint64_t hash = place_hash(p, 0);
	struct track *t = track_find(l, p, hash);

	if (t) {
		lane_set_bound(&t->lane, bound, known);
	} else {
		t = mem_zalloc(sizeof(*t) + p->destination.n);
		line_init(&t->connections, GATE_LANE);
		line_init(&t->pace, GATE_PACE);
		lane_init(&t->lane, bound, known, now);
		place_copy(&t->place, p, (char *)(t + 1));
		map_insert(&l->tracks, &t->node, hash);
	}
	if (!t->refs++ && !t->connections.waiting)
		heap_remove(&l->openings, &t->connections.in_openings);
	return t;
}

static void track_free(struct limits *l, struct track *t)
{
	assert(!t->refs && !t->lane.in_use);
	heap_remove(&l->openings, &t->connections.in_openings);
	heap_remove(&l->openings, &t->pace.in_openings);
	map_remove(&l->tracks, &t->node);
	mem_free(t->why);
	mem_free(t);
}

static bool is_left(const struct gate *g)
{
	return !g->waiting && !g->called;
}

void track_put(struct limits *l, struct track *t, uint64_t now)
{
	assert(t->refs);
	t->refs--;
	gate_forget(l, &t->connections, now);
}

/* ---- forgetting */
static void remember_until(struct limits *l, struct gate *g, uint64_t at)
{
	heap_change(&l->openings, &g->in_openings, at);
	limits_arm(l);
}

static void track_forget(struct limits *l, struct track *t, uint64_t now)
{
	uint64_t at;

	if (t->refs || !is_left(&t->connections) || !is_left(&t->pace))
		return;
	at = lane_fades(&t->lane, now);
	if (at <= now)
		track_free(l, t);
	else
		remember_until(l, &t->connections, at);
}

void gate_forget(struct limits *l, struct gate *g, uint64_t now)
{
	struct meter *m;
	uint64_t at;

	if (g->kind == GATE_LANE || g->kind == GATE_PACE) {
		track_forget(l, gate_track(g), now);
		return;
	}
	m = gate_meter(g);
	if (m->refs || !is_left(g))
		return;
	at = meter_fades(l, m, now);
	if (at <= now)
		meter_free(l, m);
	else
		remember_until(l, g, at);
}

/* All that is only remembered. */
void meters_done(struct limits *l)
{
	for (struct map_node *at = map_walk(&l->meters, NULL), *next; at; at = next) {
		next = map_walk(&l->meters, at);
		meter_free(l, CONTAINER_OF(at, struct meter, node));
	}
	for (struct map_node *at = map_walk(&l->tracks, NULL), *next; at; at = next) {
		next = map_walk(&l->tracks, at);
		track_free(l, CONTAINER_OF(at, struct track, node));
	}
	map_done(&l->meters);
	map_done(&l->tracks);
	heap_done(&l->openings);
}
