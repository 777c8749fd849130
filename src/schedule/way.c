/*
 * way - what applies to one way from us to a hop: finding its gates, passing all of them or none.
 * See limits.h; what is learnt on the way is in learn.c.
 *
 * Who is refused stands in line at one gate only, of those that are shut the one that opens last:
 * the others will most likely be open by then. When he is called and another gate is shut by then,
 * he goes on to that one, and what was kept for him is the next one's.
 *
 * The lock is held while a way's few gates are looked at; lines for the log are written after it
 * was given away.
 */
#include "schedule/way.h"

#include "base/mem.h"
#include "config/table.h"

#include <assert.h>

/* What opened may be somebody's turn. */
static void serve(struct limits *l, struct gate *g, uint64_t now)
{
	if (g->waiting)
		line_serve(l, g, now);
}

/* ---- making one */

/* Gates that were found, while a way is made. */
struct found {
	struct gate **gates;
	unsigned n, size;
};

static void found_add(struct found *f, struct gate *g)
{
	if (f->n == f->size) {
		f->size = f->size ? 2 * f->size : 8;
		f->gates = mem_realloc(f->gates, size_mul(f->size, sizeof(struct gate *)));
	}
	f->gates[f->n++] = g;
}

/* The same text twice in a configuration is one limit. */
static void add_meter(struct limits *l, struct found *f, struct quota *q, const struct place *p)
{
	struct meter *m = meter_get(l, q, p);

	for (unsigned i = 0; i < f->n; i++) {
		if (f->gates[i] == &m->gate) {
			m->refs--;
			return;
		}
	}
	found_add(f, &m->gate);
}

static struct place place_of(const struct hop *h, unsigned per)
{
	struct place p = { 0 };

	if (per & LIMIT_PER_DESTINATION || (per & LIMIT_PER_PROVIDER && !h->provider)) {
		p.route = h->route;
		p.destination = h->destination;
	} else if (per & LIMIT_PER_ROUTE) {
		p.route = h->route;
	}
	if (per & LIMIT_PER_PROVIDER)
		p.provider = h->provider;
	if (per & LIMIT_PER_SOURCE)
		p.source = h->source;
	return p;
}

static bool applies(const struct limit *x, const struct hop *h)
{
	return limit_applies(x, h->domain, h->provider, h->source, h->route);
}

static bool is_for_connections(const struct limit *x)
{
	return x->what == LIMIT_CONNECTIONS;
}

static void add_limits(struct limits *l, struct terms *t, const struct hop *h, struct found *f,
		       bool of_connections)
{
	for (unsigned i = 0; i < t->quotas_n; i++) {
		const struct limit *x = &t->config->limits[i];
		struct place p;

		if (x->what == LIMIT_MESSAGES_PER_CONNECTION ||
		    is_for_connections(x) != of_connections || !applies(x, h))
			continue;
		p = place_of(h, x->per);
		add_meter(l, f, t->quotas[i], &p);
	}
}

static void add_warm_up(struct limits *l, struct terms *t, const struct hop *h, struct found *f)
{
	const struct source *s = t->config ? config_source(t->config, h->source) : NULL;
	struct place p = place_of(h, LIMIT_PER_PROVIDER);
	struct quota *q;

	if (!s || !s->warm_up_n)
		return;
	q = quota_of_warm_up(l, s);
	add_meter(l, f, q, &p);
	quota_put(l, q);
}

/* Where a lane is not the destination's own the route's bound for it needs a gate of its own. */
static void add_bound(struct limits *l, const struct hop *h, struct found *f, uint64_t now)
{
	struct place p = place_of(h, LIMIT_PER_DESTINATION);
	struct meter *m;

	if (!h->provider && !h->source)
		return;
	m = meter_get(l, l->bounds, &p);
	m->bound = h->connections_max ? h->connections_max : 1;
	found_add(f, &m->gate);
	serve(l, &m->gate, now);	/* the bound may have been raised */
}

static struct track *track_of(struct limits *l, const struct terms *terms, const struct hop *h,
			      uint64_t now)
{
	const struct provider *p =
		terms->config && h->provider ? config_provider(terms->config, h->provider) : NULL;
	struct place place = place_of(h, LIMIT_PER_PROVIDER | LIMIT_PER_SOURCE);
	uint32_t bound = h->connections_max ? h->connections_max : 1;
	struct track *t;

	if (h->provider)
		bound = p && p->connections_max ? p->connections_max : LANE_BOUND;
	t = track_get(l, &place, bound, !h->domain.n, now);
	serve(l, &t->connections, now);
	return t;
}

static uint32_t messages_per_connection(const struct terms *t, const struct hop *h)
{
	uint64_t most = UINT32_MAX;
	const struct provider *p;

	if (!t->config)
		return UINT32_MAX;
	for (unsigned i = 0; i < t->quotas_n; i++) {
		const struct limit *x = &t->config->limits[i];

		if (x->what == LIMIT_MESSAGES_PER_CONNECTION && x->count < most && applies(x, h))
			most = x->count;
	}
	p = h->provider ? config_provider(t->config, h->provider) : NULL;
	if (p && p->messages_max && p->messages_max < most)
		most = p->messages_max;
	return most ? (uint32_t)most : 1;
}

static struct way *make(struct limits *l, const struct hop *h, uint64_t now)
{
	struct terms *t = l->terms;
	struct track *track = track_of(l, t, h, now);
	struct found f = { 0 };
	struct way *w;
	unsigned pass_n;

	add_warm_up(l, t, h, &f);
	add_limits(l, t, h, &f, false);
	found_add(&f, &track->pace);
	pass_n = f.n;
	add_limits(l, t, h, &f, true);
	add_bound(l, h, &f, now);
	found_add(&f, &track->connections);
	w = mem_zalloc(sizeof(*w) + f.n * sizeof(w->gates[0]));
	memcpy(w->gates, f.gates, f.n * sizeof(w->gates[0]));
	mem_free(f.gates);
	w->limits = l;
	atomic_init(&w->refs, 1);
	w->idle_on = mem_calloc(l->cores_n, sizeof(*w->idle_on));
	w->messages_per_connection = messages_per_connection(t, h);
	w->terms = t;
	t->refs++;
	w->track = track;
	w->pass_n = (uint16_t)pass_n;
	w->connect_n = (uint16_t)(f.n - pass_n);
	return w;
}

/*
 * ---- one way per hop: a destination may have gone and come again while its idle connections hold
 * the way
 */
static uint64_t hop_hash(const struct hop *h, uint64_t seed)
{
	const struct name *names[] = { h->route, h->provider, h->source };
	uint64_t numbers[6] = { seed, hash_bytes(h->destination.p, h->destination.n),
				hash_bytes(h->domain.p, h->domain.n) };

	for (int i = 0; i < 3; i++)
		numbers[3 + i] = names[i] ? names[i]->hash : 0;
	return hash_bytes(numbers, sizeof(numbers)) + h->connections_max;
}

/* One that is held by somebody else, too: its last holder may be about to free it. */
static bool ref_if_held(struct way *w)
{
	uint32_t refs = atomic_load(&w->refs);

	while (refs && !atomic_compare_exchange_weak(&w->refs, &refs, refs + 1))
		;
	return refs;
}

static struct way *find(struct limits *l, uint64_t hash, uint64_t check)
{
	for (struct map_node *n = map_first(&l->by_hop, hash); n; n = map_next(n)) {
		struct way *w = CONTAINER_OF(n, struct way, node);

		if (w->check == check && w->terms == l->terms && ref_if_held(w))
			return w;
	}
	return NULL;
}

struct way *way_get(struct limits *l, const struct hop *h)
{
	uint64_t hash = hop_hash(h, 1), check = hop_hash(h, 2);
	struct way *w;

	pthread_mutex_lock(&l->lock);
	w = find(l, hash, check);
	if (!w) {
		w = make(l, h, l->world->now(l->world));
		w->check = check;
		map_insert(&l->by_hop, &w->node, hash);
		atomic_fetch_add(&l->ways, 1);
	}
	pthread_mutex_unlock(&l->lock);
	return w;
}

struct way *way_ref(struct way *w)
{
	atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
	return w;
}

void way_unref(struct way *w)
{
	struct limits *l;
	uint64_t now;

	if (!w || atomic_fetch_sub(&w->refs, 1) != 1)
		return;
	l = w->limits;
	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	for (unsigned i = 0; i < w->pass_n + w->connect_n; i++)
		if (w->gates[i]->kind <= GATE_WARM_UP)
			meter_put(l, gate_meter(w->gates[i]), now);
	track_put(l, w->track, now);
	terms_put(l, w->terms);
	map_remove(&l->by_hop, &w->node);
	pthread_mutex_unlock(&l->lock);
	atomic_fetch_sub(&l->ways, 1);
	for (unsigned i = 0; i < l->cores_n; i++)
		assert(!atomic_load(&w->idle_on[i]));
	mem_free(w->idle_on);
	mem_free(w);
}

bool way_is_old(const struct way *w)
{
	return w->terms->generation !=
	       atomic_load_explicit(&w->limits->generation, memory_order_relaxed);
}

uint32_t way_messages_per_connection(const struct way *w)
{
	return w->messages_per_connection;
}

/* ---- passing: all of gates[n] or none, under the lock */
struct passing {
	struct limits *limits;
	struct gate *const *gates;
	unsigned n;
	uint64_t now;
	struct ask ask;			/* .recipients: how many may go, in the end */
	struct limit_waiter *waiter;	/* or NULL */
	unsigned called_at;		/* index; UINT32_MAX: at none of these */
};

/*
 * Units that gate number i has for him. Two who were called at two gates, and each need the other's
 * unit, would give way to each other, and to all those behind them, for ever: therefore the one who
 * was called at the earlier gate has the right of way.
 */
static uint32_t room_at(const struct passing *p, unsigned i)
{
	struct gate *g = p->gates[i];

	if (i == p->called_at)
		return gate_free(p->limits, g, p->now, p->waiter->kept);
	if (i > p->called_at)
		return gate_takeable(p->limits, g, p->now);
	return g->waiting ? 0 : gate_free(p->limits, g, p->now, 0);
}

/* Whether it lets him pass; lowers the number of recipients to those for which there is room. */
static bool lets_pass(struct passing *p, unsigned i)
{
	struct gate *g = p->gates[i];
	uint32_t least, wish, there;

	gate_needs(g, &p->ask, &least, &wish);
	there = room_at(p, i);
	if (there < least)
		return false;
	/* which may be fewer than asked for because the whole limit is: wish says so */
	if (gate_counts_recipients(g) && there < wish)
		wish = there;
	if (gate_counts_recipients(g) && wish < p->ask.recipients)
		p->ask.recipients = wish;
	return true;
}

/* The gate that is shut and opens last; NULL: none is shut. */
static struct gate *shut_gate(struct passing *p)
{
	struct gate *last = NULL;
	uint64_t last_at = 0;

	for (unsigned i = 0; i < p->n; i++) {
		uint32_t least, wish;
		uint64_t at;

		if (lets_pass(p, i))
			continue;
		gate_needs(p->gates[i], &p->ask, &least, &wish);
		at = gate_opens(p->limits, p->gates[i], p->now, least);
		if (!last || at > last_at) {
			last = p->gates[i];
			last_at = at;
		}
	}
	return last;
}

/* UINT32_MAX: it is not among them. */
static unsigned index_of(const struct passing *p, const struct gate *g)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->gates[i] == g)
			return i;
	return UINT32_MAX;
}

/* Asked again without having been called: it keeps its place, if it is a place on this way. */
static bool keeps_place(struct passing *p)
{
	struct limit_waiter *w = p->waiter;
	struct gate *g = w ? w->gate : NULL;

	if (!g || w->called)
		return false;
	if (index_of(p, g) != UINT32_MAX) {
		gate_needs(g, &p->ask, &w->least, &w->wish);
		line_serve(p->limits, g, p->now);
		return true;
	}
	line_leave(p->limits, w);
	line_serve(p->limits, g, p->now);
	return false;
}

/*
 * To the line of a shut gate; in front, if he was called there and it shut meanwhile: then what
 * will be kept for him next time is his.
 */
static void wait_at(struct passing *p, struct gate *shut, uint32_t recipients)
{
	struct limit_waiter *w = p->waiter;
	struct gate *left;

	if (!w)
		return;
	left = line_leave(p->limits, w);
	p->ask.recipients = recipients;
	gate_needs(shut, &p->ask, &w->least, &w->wish);
	if (left == shut) {
		w->robbed = true;
		line_join_front(p->limits, shut, w, p->now);
		return;
	}
	line_join(p->limits, shut, w, p->now);
	if (left)
		line_serve(p->limits, left, p->now);
}

static void take_all(struct passing *p)
{
	struct gate *left = p->waiter ? line_leave(p->limits, p->waiter) : NULL;

	for (unsigned i = 0; i < p->n; i++) {
		uint32_t least, wish;

		gate_needs(p->gates[i], &p->ask, &least, &wish);
		gate_take(p->limits, p->gates[i], p->now, wish, &p->ask);
		/* it may have been kept for somebody: then it opens anew by time */
		if (p->gates[i]->waiting && i > p->called_at)
			line_serve(p->limits, p->gates[i], p->now);
	}
	if (left)
		line_serve(p->limits, left, p->now);
}

static bool pass(struct passing *p)
{
	uint32_t recipients = p->ask.recipients;
	struct gate *shut;

	if (p->waiter && p->waiter->gate && keeps_place(p))
		return false;
	p->called_at = p->waiter && p->waiter->called ? index_of(p, p->waiter->gate) : UINT32_MAX;
	shut = shut_gate(p);
	if (shut) {
		wait_at(p, shut, recipients);
		return false;
	}
	take_all(p);
	return true;
}

static bool try_passing(struct way *w, struct passing *p)
{
	struct limits *l = w->limits;
	struct learnt learnt = { 0 };
	bool passed;

	p->limits = l;
	pthread_mutex_lock(&l->lock);
	p->now = l->world->now(l->world);	/* never earlier than for whoever was before */
	if (p->now >= w->track->lane.touched + LANE_STALE)
		learn_age(w, p->now, &learnt);
	passed = pass(p);
	pthread_mutex_unlock(&l->lock);
	if (learnt.news != LANE_SAME)
		learn_tell(w, &learnt);
	return passed;
}

bool way_pass(struct way *w, unsigned recipients, uint64_t octets, unsigned *ret_recipients,
	      struct limit_waiter *waiter)
{
	struct passing p = { .gates = w->gates, .n = w->pass_n, .waiter = waiter };

	assert(recipients);
	p.ask = (struct ask){ recipients, octets };
	if (!try_passing(w, &p))
		return false;
	*ret_recipients = p.ask.recipients;
	return true;
}

bool way_connect(struct way *w, struct limit_waiter *waiter)
{
	struct passing p = { .gates = w->gates + w->pass_n, .n = w->connect_n, .waiter = waiter };

	p.ask = (struct ask){ 1, 0 };
	return try_passing(w, &p);
}

/* ---- giving back */
void way_give_back(struct way *w, unsigned recipients, uint64_t octets, uint64_t passed_at)
{
	struct limits *l = w->limits;
	struct ask a = { recipients, octets };
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	for (unsigned i = 0; i < w->pass_n; i++) {
		uint32_t least, wish;

		gate_needs(w->gates[i], &a, &least, &wish);
		gate_give_back(l, w->gates[i], now, passed_at, wish);
		serve(l, w->gates[i], now);
	}
	pthread_mutex_unlock(&l->lock);
}

void way_disconnect(struct way *w)
{
	struct limits *l = w->limits;
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	for (unsigned i = w->pass_n; i < w->pass_n + w->connect_n; i++) {
		gate_disconnect(w->gates[i]);
		serve(l, w->gates[i], now);
	}
	pthread_mutex_unlock(&l->lock);
}

/* ---- idle connections */
void way_idle_add(struct way *w, unsigned core)
{
	atomic_fetch_add(&w->idle_on[core], 1);
}

void way_idle_remove(struct way *w, unsigned core)
{
	atomic_fetch_sub(&w->idle_on[core], 1);
}

bool way_idle_is_spare(const struct way *w, unsigned core)
{
	return atomic_load(&w->idle_on[core]) > 0;
}

bool way_idle_promise(struct way *w, unsigned first, unsigned *ret_core)
{
	for (unsigned i = 0; i < w->limits->cores_n; i++) {
		unsigned core = (first + i) % w->limits->cores_n;
		int32_t n = atomic_load(&w->idle_on[core]);

		while (n > 0 && !atomic_compare_exchange_weak(&w->idle_on[core], &n, n - 1))
			;
		if (n > 0) {
			*ret_core = core;
			return true;
		}
	}
	return false;
}

/* ---- questions */
bool way_wanted(const struct way *w)
{
	bool wanted = false;

	pthread_mutex_lock(&w->limits->lock);
	for (unsigned i = w->pass_n; i < w->pass_n + w->connect_n; i++)
		wanted |= w->gates[i]->waiting != 0;
	pthread_mutex_unlock(&w->limits->lock);
	return wanted;
}

uint64_t way_opens_at(const struct way *w, uint64_t now)
{
	struct limits *l = w->limits;
	bool others = false;
	uint64_t last = 0;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < w->pass_n + w->connect_n; i++) {
		uint64_t at = gate_opens(l, w->gates[i], now, 1);

		if (at <= now && w->gates[i]->waiting)
			at = now + 1;		/* somebody else's turn */
		if (at == UINT64_MAX)
			others = true;
		else if (at > now && at > last)
			last = at;
	}
	pthread_mutex_unlock(&l->lock);
	return last || !others ? last : UINT64_MAX;
}

bool way_is_warming(const struct way *w)
{
	struct limits *l = w->limits;
	uint64_t now;
	bool is = false;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	for (unsigned i = 0; i < w->pass_n; i++)
		is |= w->gates[i]->kind == GATE_WARM_UP &&
		      (w->gates[i]->waiting || !gate_free(l, w->gates[i], now, 0));
	pthread_mutex_unlock(&l->lock);
	return is;
}
