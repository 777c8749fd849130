/*
 * limits - the service: start and end, a new configuration, and the one timer that opens gates when
 * their time has come. See limits.h for what it is for, gate.h for its inside, and
 * docs/design/scheduler.md for why there is one lock.
 *
 * The timer is the first loop's. Who makes an earlier time necessary, on whatever thread, posts it
 * there; while a post is on its way no other is sent. After limits_stop nobody is called any more
 * and the timer does nothing; what is left is freed when the loops have ended.
 */
#include "schedule/gate.h"

#include "base/mem.h"

#include <assert.h>

#define OPENINGS_AT_ONCE 64	/* gates opened without giving the lock away in between */

/* ---- the timer */
static void on_armed(struct post *p)
{
	struct limits *l = CONTAINER_OF(p, struct limits, post);
	uint64_t at;

	pthread_mutex_lock(&l->lock);
	l->posted = false;
	at = l->armed;
	pthread_mutex_unlock(&l->lock);
	if (at != UINT64_MAX)
		timer_set(&l->timer, at);
}

void limits_arm(struct limits *l)
{
	uint64_t first = heap_first_key(&l->openings);

	if (first >= l->armed || l->stopped)
		return;
	l->armed = first;
	if (l->posted)
		return;
	l->posted = true;
	loop_post(net_loop(l->net, 0), &l->post, on_armed);
}

/* Some of the gates whose time has come; whether there are more. */
static bool open_some(struct limits *l)
{
	uint64_t now = l->world->now(l->world);
	bool more;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < OPENINGS_AT_ONCE && heap_first_key(&l->openings) <= now; i++) {
		struct gate *g = CONTAINER_OF(heap_first(&l->openings), struct gate, in_openings);

		heap_remove(&l->openings, &g->in_openings);
		line_serve(l, g, now);
	}
	more = !l->stopped && heap_first_key(&l->openings) <= now;
	if (!more)
		l->armed = l->stopped ? UINT64_MAX : heap_first_key(&l->openings);
	pthread_mutex_unlock(&l->lock);
	return more;
}

static void on_timer(struct timer *t)
{
	struct limits *l = CONTAINER_OF(t, struct limits, timer);
	uint64_t at;

	while (open_some(l))
		;
	pthread_mutex_lock(&l->lock);
	at = l->armed;
	pthread_mutex_unlock(&l->lock);
	if (at != UINT64_MAX)
		timer_set(t, at);
}

/* ---- configurations */
static struct terms *terms_new(struct limits *l, struct config *c, unsigned generation)
{
	unsigned n = c ? c->limits_n : 0;
	struct terms *t = mem_zalloc(sizeof(*t) + n * sizeof(t->quotas[0]));

	t->refs = 1;
	t->config = c ? config_ref(c) : NULL;
	t->generation = generation;
	t->quotas_n = n;
	for (unsigned i = 0; i < n; i++)
		t->quotas[i] = quota_of_limit(l, &c->limits[i]);
	return t;
}

void terms_put(struct limits *l, struct terms *t)
{
	if (--t->refs)
		return;
	for (unsigned i = 0; i < t->quotas_n; i++)
		quota_put(l, t->quotas[i]);
	config_unref(t->config);
	mem_free(t);
}

static void call_everybody(struct limits *l)
{
	for (struct map_node *at = map_walk(&l->meters, NULL); at; at = map_walk(&l->meters, at))
		line_call_all(l, &CONTAINER_OF(at, struct meter, node)->gate);
	for (struct map_node *at = map_walk(&l->tracks, NULL); at; at = map_walk(&l->tracks, at)) {
		struct track *t = CONTAINER_OF(at, struct track, node);

		line_call_all(l, &t->connections);
		line_call_all(l, &t->pace);
	}
}

void limits_reload(struct limits *l, struct config *c)
{
	struct terms *old;

	pthread_mutex_lock(&l->lock);
	old = l->terms;
	l->terms = terms_new(l, c, old->generation + 1);
	atomic_store(&l->generation, l->terms->generation);
	terms_put(l, old);
	call_everybody(l);
	pthread_mutex_unlock(&l->lock);
}

/* ---- start and end */
struct limits *limits_new(struct net *n, const char *state)
{
	struct limits *l = mem_zalloc(sizeof(*l));
	struct config *c = config_current();

	l->net = n;
	l->cores_n = net_workers(n);
	l->world = net_world(n);
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->quotas);
	list_init(&l->saved);
	timer_init(&l->timer, on_timer);
	l->armed = UINT64_MAX;
	l->bounds = quota_get(l, STR("connections per destination"));
	l->bounds->kind = QUOTA_BOUND;
	l->terms = terms_new(l, c, 0);
	config_unref(c);
	if (state)
		limits_state_open(l, state);
	return l;
}

void limits_stop(struct limits *l)
{
	pthread_mutex_lock(&l->lock);
	l->stopped = true;
	pthread_mutex_unlock(&l->lock);
	kept_stop(l->kept);
}

void limits_free(struct limits *l)
{
	if (!l)
		return;
	assert(!atomic_load(&l->ways));
	kept_free(l->kept);
	meters_done(l);
	terms_put(l, l->terms);
	quota_put(l, l->bounds);
	map_done(&l->by_hop);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

void limits_set_reclaim(struct limits *l, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&l->lock);
	l->reclaim = fn;
	l->reclaim_arg = arg;
	pthread_mutex_unlock(&l->lock);
}

void limits_stats(struct limits *l, struct limits_stats *ret)
{
	pthread_mutex_lock(&l->lock);
	*ret = (struct limits_stats){
		.gates = (unsigned)(l->meters.n + 2 * l->tracks.n),
		.ways = atomic_load(&l->ways),
		.waiters = l->waiters,
	};
	pthread_mutex_unlock(&l->lock);
}
