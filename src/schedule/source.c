/*
 * source - from where a destination is reached: its ways, the choice among them, and standing in
 * line at their gates.
 *
 * A destination has a way per source of its route's pool, made when it is first needed, and made
 * anew when the configuration or its provider changed. A slot draws one by weight among those that
 * are open and keeps it to the end of its connection, or slots that never run out of mail would
 * keep the shares that chance gave them. When none will be open for a while, the spare ones (of
 * weight 0) are looked at; when a warm-up cap is why, the pool named as the overflow. When nothing
 * is open the destination stands in line where a gate opens first: in one line at a time, for a
 * connection (before a slot starts) or for a message (in its turn), by one struct limit_waiter.
 * While it stands there and was not called it starts no slots; those that work go on and ask in its
 * name. Who was called and cannot come, because the relay's slots are all in use, leaves the line:
 * the gate is for the next.
 */
#include "schedule/home.h"

#include <limits.h>

#define OVERFLOWS_MAX 4		/* pools that are looked at, one the overflow of the other */
/*
 * "When others end" is soon, as long as mail moves: it goes before a gate that is known to stay
 * shut for longer.
 */
#define OTHERS_END_NS SECOND
#define SPARE_AFTER_NS (60 * SECOND)	/* if none of the others opens within this time */
#define SWAPS_MAX 6			/* between lines, without a message that went */
#define SWAP_PAUSE_NS (50 * MILLISECOND)
#define TURNED_AWAY_MAX 8		/* slots in a row that found their source shut */

/* ---- ways */

static struct way *way_make(struct destination *d, const struct name *source)
{
	struct hop h = {
		.destination = d->domain_n ? destination_domain(d) : name_str(d->base),
		.domain = destination_domain(d),
		.route = d->base,
		.provider = d->provider,
		.source = source,
		.connections_max = d->route && d->route->connections_max ?
					   d->route->connections_max :
					   1,
	};

	return way_get(d->home->schedule->limits, &h);
}

static void permits_drop(const struct destination *d, struct source_way *w)
{
	unsigned cores = d->home->schedule->homes_n;

	for (; w->permits; w->permits--)
		way_disconnect(w->way);
	for (unsigned i = 0; w->promises_on && i < cores; i++)
		for (; w->promises_on[i]; w->promises_on[i]--)
			way_idle_add(w->way, i);
	mem_free(w->promises_on);
	w->promises_on = NULL;
}

static struct source_way *way_entry(struct destination *d, const struct name *source)
{
	struct source_way *w;

	for (unsigned i = 0; i < d->ways_n; i++) {
		w = &d->ways[i];
		if (w->source != source)
			continue;
		if (way_is_old(w->way)) {
			destination_line_leave(d);
			permits_drop(d, w);
			way_unref(w->way);
			w->way = way_make(d, source);
		}
		return w;
	}
	d->ways = mem_realloc(d->ways, size_mul(d->ways_n + 1, sizeof(*d->ways)));
	w = &d->ways[d->ways_n++];
	*w = (struct source_way){ .source = source, .way = way_make(d, source) };
	return w;
}

struct way *destination_way(struct destination *d, const struct name *source)
{
	return way_entry(d, source)->way;
}

/* Slots that are about to start find no permit then, and ask for one by the new way. */
void destination_forget_ways(struct destination *d)
{
	for (unsigned i = 0; i < d->ways_n; i++) {
		permits_drop(d, &d->ways[i]);
		way_unref(d->ways[i].way);
	}
	mem_free(d->ways);
	d->ways = NULL;
	d->ways_n = 0;
}

void destination_set_provider(struct destination *d, const struct name *provider)
{
	if (d->knows_provider && d->provider == provider)
		return;
	d->knows_provider = true;
	if (d->provider != provider) {
		d->provider = provider;
		destination_line_leave(d);
		destination_forget_ways(d);
		destination_obey(d);
	}
}

/* ---- the choice */

struct choice {
	struct destination *destination;
	const struct way *without;	/* not by this one; NULL: by any */
	uint64_t now;
	uint64_t weights;		/* of all that are open */
	bool is_open;			/* .source is */
	const struct name *source;	/* drawn, or the one that opens first */
	uint64_t opens_at;
	uint64_t soonest;		/* when any of the others opens, .without too */
	const struct source_pool *overflow;	/* of one that is warming up */
};

static uint64_t opens_at(const struct way *way, uint64_t now)
{
	uint64_t at = way_opens_at(way, now);

	return at == UINT64_MAX ? now + OTHERS_END_NS : at;
}

static void consider(struct choice *c, const struct source *source, uint32_t weight)
{
	const struct name *name = source ? source->name : NULL;
	struct way *way = destination_way(c->destination, name);
	uint64_t at;

	if (source && source->overflow && !c->overflow && way_is_warming(way))
		c->overflow = source->overflow;
	if (way == c->without)
		return;
	at = opens_at(way, c->now);
	if (at < c->soonest)
		c->soonest = at;
	if (at <= c->now) {
		c->weights += weight;
		if (home_random(c->destination->home) % c->weights < weight)
			c->source = name;
		c->is_open = true;
	} else if (!c->is_open && at < c->opens_at) {
		c->source = name;
		c->opens_at = at;
	}
}

static bool is_suspended_source(const struct destination *d, const struct source *s)
{
	return suspended_find(d->home->suspended, SUSPEND_SOURCE, name_str(s->name));
}

/*
 * In which of the lines it stands is not known here: so it leaves, and asks anew by those sources
 * that are left.
 */
void destination_leave_sources(struct destination *d)
{
	if (!suspended_has(d->home->suspended, SUSPEND_SOURCE))
		return;
	for (unsigned i = 0; i < d->ways_n; i++) {
		if (!d->ways[i].source || !suspended_find(d->home->suspended, SUSPEND_SOURCE,
							  name_str(d->ways[i].source)))
			continue;
		destination_line_leave(d);
		permits_drop(d, &d->ways[i]);
	}
}

static void consider_members(struct choice *c, const struct source_pool *pool, bool spare)
{
	for (unsigned i = 0; i < pool->n; i++) {
		const struct source_member *m = &pool->members[i];

		if (!m->weight == spare && !is_suspended_source(c->destination, m->source))
			consider(c, m->source, spare ? 1 : m->weight);
	}
}

static void consider_pool(struct choice *c, const struct source_pool *pool)
{
	consider_members(c, pool, false);
	if (c->soonest > c->now + SPARE_AFTER_NS)
		consider_members(c, pool, true);
}

static const struct source_pool *pool_of(const struct destination *d)
{
	return d->route && d->route->sources && d->route->sources->n ? d->route->sources : NULL;
}

/* without: not by this one, which opens at that time; NULL, UINT64_MAX: by any. */
static void choose(struct destination *d, const struct way *without, uint64_t without_opens,
		   struct choice *ret)
{
	const struct source_pool *pool = pool_of(d);

	*ret = (struct choice){
		.destination = d, .without = without, .now = loop_now(), .opens_at = UINT64_MAX,
		.soonest = without_opens,
	};
	if (!pool) {
		consider(ret, NULL, 1);
		return;
	}
	consider_pool(ret, pool);
	for (int i = 0; i < OVERFLOWS_MAX && !ret->is_open && ret->overflow; i++) {
		pool = ret->overflow;
		ret->overflow = NULL;
		consider_pool(ret, pool);
	}
}

static bool has_choice(const struct destination *d)
{
	const struct source_pool *pool = pool_of(d);

	return pool && (pool->n > 1 || pool->members[0].source->overflow);
}

bool destination_has_other_way(struct destination *d, const struct way *than, uint64_t its,
			       uint64_t by)
{
	struct choice c;

	if (!has_choice(d))
		return false;
	choose(d, than, its, &c);
	return c.is_open || c.opens_at <= by;
}

bool destination_has_no_source(const struct destination *d)
{
	const struct source_pool *pool = pool_of(d);

	if (!pool || !suspended_has(d->home->suspended, SUSPEND_SOURCE))
		return false;
	for (unsigned i = 0; i < pool->n; i++)
		if (!is_suspended_source(d, pool->members[i].source))
			return false;
	return true;
}

/* ---- lines */

static void come(struct destination *d)
{
	struct home *h = d->home;

	list_remove(&d->in_called);
	d->is_kept = true;
	d->waits = false;
	destination_update(d);
	home_fill(h);
	if (d->line != LINE_NONE && !d->waits && !d->asking)
		destination_line_leave(d);	/* it cannot come now */
	d->is_kept = false;
	destination_update(d);
}

/* A reload calls everybody: not all of them in one turn of the loop. */
static void on_calls(struct post *p)
{
	struct home *h = CONTAINER_OF(p, struct home, calls);
	struct list *at;

	h->calls_posted = false;
	for (int i = 0; i < WALK_PIECE && (at = list_first(&h->called)); i++)
		come(LIST_ENTRY(at, struct destination, in_called));
	if (list_first(&h->called)) {
		h->calls_posted = true;
		loop_post(h->loop, &h->calls, on_calls);
	}
	home_arm(h);
}

static void on_call(struct post *p)
{
	struct destination *d = CONTAINER_OF(p, struct destination, call);
	struct home *h = d->home;

	atomic_store(&d->call_posted, false);
	if (!d->waits) {
		destination_update(d);	/* it may be all that this one was kept for */
		return;
	}
	list_remove(&d->in_called);
	list_push(&h->called, &d->in_called);
	if (!h->calls_posted) {
		h->calls_posted = true;
		loop_post(h->loop, &h->calls, on_calls);
	}
}

/* From any thread, under the limits' lock. */
static void call(struct limit_waiter *w)
{
	struct destination *d = CONTAINER_OF(w, struct destination, waiter);

	if (!atomic_exchange(&d->call_posted, true))
		loop_post(d->home->loop, &d->call, on_call);
}

void destination_line_init(struct destination *d)
{
	limit_waiter_init(&d->waiter, call);
	list_init(&d->in_called);
}

void destination_line_leave(struct destination *d)
{
	if (d->line != LINE_NONE)
		limits_leave(d->home->schedule->limits, &d->waiter);
	list_remove(&d->in_called);
	d->line = LINE_NONE;
	d->waits = false;
}

/*
 * A connection and a message are passed one after the other. Two who each hold what the other needs
 * and give it up for the other's line could do so for ever: who went to and fro without a message
 * steps out of all lines for a moment.
 */
static void stand(struct destination *d, enum line line)
{
	d->swaps += d->stood != line;
	d->stood = (uint8_t)line;
	d->line = (uint8_t)line;
	d->waits = true;
	if (d->swaps < SWAPS_MAX)
		return;
	d->swaps = 0;
	destination_line_leave(d);
	destination_pause(d, SWAP_PAUSE_NS + home_random(d->home) % SWAP_PAUSE_NS);
}

/*
 * One who was called to a gate for messages keeps that place while he asks for the connection that
 * he needs for it; unless there is a line for those, too.
 */
static bool connect_by(struct destination *d, struct way *way)
{
	if (d->line == LINE_PASS) {
		if (way_connect(way, NULL))
			return true;
		destination_line_leave(d);
	}
	if (way_connect(way, &d->waiter)) {
		destination_line_leave(d);
		return true;
	}
	stand(d, LINE_CONNECT);
	return false;
}

static bool pass_by(struct destination *d, struct way *way, unsigned n, uint64_t octets,
		    unsigned *ret_n)
{
	if (d->line == LINE_CONNECT) {
		if (way_pass(way, n, octets, ret_n, NULL))
			return true;
		destination_line_leave(d);
	}
	if (way_pass(way, n, octets, ret_n, &d->waiter)) {
		destination_line_leave(d);
		return true;
	}
	stand(d, LINE_PASS);
	return false;
}

/* ---- slots */

/* An idle connection has its permit; its slot is started where it is. */
static bool promise_idle(struct destination *d, struct source_way *w, unsigned *ret_core)
{
	unsigned core;

	if (!way_idle_promise(w->way, loop_index(d->home->loop), &core))
		return false;
	if (!w->promises_on)
		w->promises_on = mem_calloc(d->home->schedule->homes_n, sizeof(uint16_t));
	w->promises_on[core]++;
	*ret_core = core;
	return true;
}

bool destination_enter(struct destination *d, unsigned *ret_core)
{
	struct source_way *w;
	struct choice c;

	*ret_core = UINT_MAX;
	if (d->is_mx && !d->knows_provider)
		return true;		/* it asks in its first turn */
	choose(d, NULL, UINT64_MAX, &c);
	w = way_entry(d, c.source);	/* once: a reload makes another way of it */
	if (promise_idle(d, w, ret_core)) {
		if (d->line == LINE_CONNECT)
			destination_line_leave(d);
		return true;
	}
	if (!connect_by(d, w->way))
		return false;
	w->permits++;
	return true;
}

/* Any of them: whoever comes next takes what there is. */
static struct source_way *with_permit(struct destination *d)
{
	for (unsigned i = 0; i < d->ways_n; i++)
		if (d->ways[i].permits)
			return &d->ways[i];
	return NULL;
}

static struct source_way *with_promise(struct destination *d, unsigned core)
{
	for (unsigned i = 0; i < d->ways_n; i++)
		if (d->ways[i].promises_on && d->ways[i].promises_on[core])
			return &d->ways[i];
	return NULL;
}

void destination_permit_drop(struct destination *d, unsigned core)
{
	struct source_way *w = with_promise(d, core);

	if (w) {
		w->promises_on[core]--;
		way_idle_add(w->way, core);
		return;
	}
	w = with_permit(d);
	if (!w)
		return;
	w->permits--;
	way_disconnect(w->way);
}

static void slot_take_way(struct slot *slot, const struct source_way *w)
{
	slot->source = w->source;
	slot->way = way_ref(w->way);
}

void slot_take_permit(struct slot *slot)
{
	unsigned core = loop_index(slot->loop);
	struct source_way *w = with_promise(slot->destination, core);

	if (w) {
		w->promises_on[core]--;
		slot_take_way(slot, w);
		slot->takes_idle = true;
		return;
	}
	w = with_permit(slot->destination);
	if (!w)
		return;
	w->permits--;
	slot_take_way(slot, w);
	slot->permit = true;
}

/*
 * The first slot of an MX destination, or one whose permit was withdrawn: where a connection is
 * idle on another core the next slot is started there, for it.
 */
bool slot_enter(struct slot *slot)
{
	struct destination *d = slot->destination;
	unsigned core, here = loop_index(slot->loop);
	struct source_way *w;
	struct choice c;

	choose(d, NULL, UINT64_MAX, &c);
	w = way_entry(d, c.source);	/* once, as above */
	if (way_idle_promise(w->way, here, &core)) {
		if (core == here) {
			if (d->line == LINE_CONNECT)
				destination_line_leave(d);
			slot_take_way(slot, w);
			slot->takes_idle = true;
			return true;
		}
		way_idle_add(w->way, core);
		if (!d->is_mx || d->knows_provider)
			return false;	/* destination_enter will find it */
	}
	if (!connect_by(d, w->way))
		return false;
	slot_take_way(slot, w);
	slot->permit = true;
	return true;
}

void slot_leave(struct slot *slot)
{
	if (slot->permit)
		way_disconnect(slot->way);
	/* counted here and now, so that whoever comes next need not stand in line for it */
	if (slot->takes_idle || (slot->leaves_idle && slot->way))
		way_idle_add(slot->way, loop_index(slot->loop));
	slot->takes_idle = false;
	way_unref(slot->way);
	slot->permit = false;
	slot->way = NULL;
	slot->source = NULL;
}

/*
 * Refused, and another source opens sooner. Where this one waits for others it may be shut for
 * longer, too: then the spare ones are looked at.
 */
static bool turns_away(struct slot *slot)
{
	struct destination *d = slot->destination;
	uint64_t now = loop_now();

	if (d->turned_away == TURNED_AWAY_MAX ||
	    !destination_has_other_way(d, slot->way, way_opens_at(slot->way, now),
				       opens_at(slot->way, now)))
		return false;
	d->turned_away++;
	return true;
}

/*
 * Where another source opens sooner the destination stands in no line: it wants a slot, which will
 * go that way. Should that happen again and again without a message that goes, it does stand in
 * line. Who stands there already, or was called, asks as such.
 */
unsigned slot_pass(struct slot *slot, unsigned n, uint64_t octets)
{
	struct destination *d = slot->destination;
	unsigned passed = 0;

	if (has_choice(d) && d->line != LINE_PASS) {
		if (!way_pass(slot->way, n, octets, &passed, NULL) && turns_away(slot))
			return 0;
	}
	if (!passed && !pass_by(d, slot->way, n, octets, &passed))
		return 0;
	d->turned_away = d->swaps = 0;
	assert(passed >= 1 && passed <= n);
	return passed;
}
