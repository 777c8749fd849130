/*
 * loop - the turn: sockets, timers, posts, tasks, hooks; see loop.h.
 *
 * A turn begins with the poller, which waits only if nothing is left to do, and reads both clocks
 * once, right after it: what runs in a turn sees one time. A turn that found nothing to do returns
 * the time until its next timer: in the simulated world, whose poller never blocks, that is how
 * time knows where to jump; in the real one it does not happen but for the fraction of a
 * millisecond by which a sleep may end early.
 *
 * Posts form a stack that posters push with one compare-and-swap and the loop takes whole with one
 * exchange, then turns round: order is kept per poster. A poster wakes the loop only if .sleeps
 * says so. No wake is lost: the loop sets .sleeps before it looks at the posts for the last time, a
 * poster pushes before it looks at .sleeps, and all four accesses are sequentially consistent.
 */
#include "net/inner.h"

#include "base/mem.h"

#include <assert.h>

#define ROUNDS_PER_TURN 4	/* of posts and tasks, before the sockets are looked at again */
#define POSTS_PER_ROUND 512	/* a million may come at once, after a restart */
#define TIMERS_PER_TURN 4096
#define BUFFERS_KEPT 256	/* 4 MiB */

static _Thread_local struct loop *self;

/*
 * Not inlined: a compiler that keeps the address of a thread's variable across a switch is right
 * only while no task changes thread; the thread backend's first switch does.
 */
__attribute__((noinline)) struct loop *loop_self(void)
{
	return self;
}

__attribute__((noinline)) void loop_set_self(struct loop *l)
{
	self = l;
}

unsigned loop_index(const struct loop *l)
{
	return l->index;
}

struct net *loop_net(const struct loop *l)
{
	return l->net;
}

struct world *loop_world(const struct loop *l)
{
	return l->world;
}

struct world *world_self(void)
{
	return loop_self()->world;
}

uint64_t loop_now(void)
{
	return loop_self()->now;
}

int64_t loop_wall_ms(void)
{
	return loop_self()->wall_ms;
}

/* Sums that pass the end of time stop there: NEVER is a legal setting. */
static uint64_t in_ns(uint64_t n, uint64_t unit)
{
	uint64_t ns, at;

	if (__builtin_mul_overflow(n, unit, &ns) || __builtin_add_overflow(loop_now(), ns, &at))
		return NEVER;
	return at;
}

uint64_t in_seconds(uint64_t s)
{
	return in_ns(s, SECOND);
}

uint64_t in_ms(uint64_t ms)
{
	return in_ns(ms, MILLISECOND);
}

/* ---- posts */

static void loop_wake(struct loop *l)
{
	struct actor *a = atomic_load(&l->actor);

	l->world->poll_wake(l->world, l->poller);
	if (a)		/* the simulated world knows by it whom to step */
		l->world->actor_wake(l->world, a);
}

void loop_post(struct loop *l, struct post *p, void (*fn)(struct post *))
{
	struct post *head = atomic_load_explicit(&l->posts, memory_order_relaxed);

	p->fn = fn;
	do
		p->next = head;
	while (!atomic_compare_exchange_weak(&l->posts, &head, p));
	if (atomic_load(&l->sleeps) && atomic_exchange(&l->sleeps, false))
		loop_wake(l);
}

static bool posts_wait(const struct loop *l)
{
	return l->taken || atomic_load(&l->posts);
}

/* When what was taken is used up: all that came meanwhile. */
static void take_posts(struct loop *l)
{
	struct post *newest;

	if (l->taken || !atomic_load_explicit(&l->posts, memory_order_relaxed))
		return;
	newest = atomic_exchange(&l->posts, NULL);
	while (newest) {
		struct post *p = newest;

		newest = p->next;
		p->next = l->taken;
		l->taken = p;
	}
}

static bool run_posts(struct loop *l)
{
	int n = 0;

	take_posts(l);
	while (l->taken && n++ < POSTS_PER_ROUND) {
		struct post *p = l->taken;

		l->taken = p->next;	/* from its call on, the post is its owner's */
		p->fn(p);
	}
	return n;
}

/* ---- timers */

void timer_init(struct timer *t, void (*fn)(struct timer *))
{
	*t = (struct timer){ .fn = fn };
}

void timer_set(struct timer *t, uint64_t at)
{
	heap_change(&loop_self()->timers, &t->node, at);
}

void timer_clear(struct timer *t)
{
	if (heap_has(&t->node))
		heap_remove(&loop_self()->timers, &t->node);
}

bool timer_is_set(const struct timer *t)
{
	return heap_has(&t->node);
}

static bool run_timers(struct loop *l)
{
	unsigned n = 0;

	while (heap_first_key(&l->timers) <= l->now && n++ < TIMERS_PER_TURN) {
		struct heap_node *first = heap_first(&l->timers);
		struct timer *t = CONTAINER_OF(first, struct timer, node);

		heap_remove(&l->timers, first);
		t->fn(t);
	}
	return n;
}

/* ---- sockets */

int loop_poll_add(struct loop *l, struct pollable *p, int fd, unsigned flags)
{
	return l->world->poll_add(l->world, l->poller, fd, p, flags);
}

void loop_poll_remove(struct loop *l, struct pollable *p, int fd)
{
	l->world->poll_remove(l->world, l->poller, fd);
	/*
	 * Events of this turn that were fetched before but not handled yet must not find what is
	 * gone.
	 */
	for (int i = l->events_at; i < l->events_n; i++)
		if (l->events[i].tag == p)
			l->events[i].tag = NULL;
}

static void run_events(struct loop *l, int n)
{
	l->events_n = n;
	for (int i = 0; i < n; i++) {
		struct pollable *p = l->events[i].tag;

		l->events_at = i + 1;
		if (p)
			p->ready(p, l->events[i].events);
	}
	l->events_at = l->events_n = 0;
}

/* ---- the turn */

/* Nanoseconds until something must be done; STEP_IDLE: nothing known. */
static int64_t time_left(const struct loop *l)
{
	uint64_t first = heap_first_key(&l->timers);

	if (tasks_are_ready(l) || posts_wait(l))
		return 0;
	if (first == UINT64_MAX)
		return STEP_IDLE;
	if (first <= l->now)
		return 0;
	return first - l->now < INT64_MAX ? (int64_t)(first - l->now) : STEP_IDLE;
}

static bool turn_poll(struct loop *l)
{
	struct world *w = l->world;
	int64_t timeout = time_left(l);
	int n;

	if (timeout > 0) {
		atomic_store(&l->sleeps, true);
		if (atomic_load(&l->posts))
			timeout = 0;
	}
	n = w->poll_wait(w, l->poller, l->events, EVENTS_PER_TURN, timeout);
	assert(n >= 0);
	atomic_store(&l->sleeps, false);
	l->now = w->now(w);
	l->wall_ms = w->wall_ms(w);
	run_events(l, n);
	return n > 0;
}

static bool turn_run(struct loop *l)
{
	bool worked = false;

	tasks_new_turn(l);
	for (int i = 0; i < ROUNDS_PER_TURN; i++) {
		bool posts = run_posts(l), tasks = tasks_run(l);

		worked |= posts | tasks;
		if (!posts)
			break;
	}
	return worked;
}

static int64_t turn_rest(struct loop *l)
{
	int64_t rest;

	atomic_store(&l->sleeps, true);		/* a post from now on wakes the actor */
	rest = time_left(l);
	return rest > 0 ? rest : STEP_AGAIN;
}

static int64_t loop_step(void *arg)
{
	struct loop *l = arg, *outer = loop_self();
	bool worked;
	int64_t rest;

	loop_set_self(l);
	worked = turn_poll(l);
	worked |= run_timers(l);
	worked |= turn_run(l);
	for (unsigned i = 0; i < l->hooks_n; i++)
		l->hooks[i].fn(l->hooks[i].arg);
	l->stats.turns++;
	rest = l->stopping && !l->taken ? STEP_DONE : worked ? STEP_AGAIN : turn_rest(l);
	loop_set_self(outer);
	return rest;
}

void loop_at_turn_end(struct loop *l, void (*fn)(void *arg), void *arg)
{
	assert(l->hooks_n < HOOKS_MAX);
	l->hooks[l->hooks_n++] = (struct hook){ fn, arg };
}

void loop_set_note_page(struct loop *l, struct crash_note *page)
{
	l->page = page;
	l->page_used = false;
}

void loop_stats(const struct loop *l, struct loop_stats *ret)
{
	*ret = l->stats;
	ret->stacks_mapped = l->stacks.mapped;
}

/* ---- stream buffers: the one used last is in the cache */

char *loop_buffer_get(struct loop *l)
{
	struct buffer *b = l->buffers;

	if (!b)
		return mem_alloc(STREAM_BUFFER);
	l->buffers = b->next;
	l->buffers_n--;
	return (char *)b;
}

void loop_buffer_put(struct loop *l, char *p)
{
	struct buffer *b = (void *)p;

	if (CHECKERS_ASAN || l->buffers_n == BUFFERS_KEPT) {
		mem_free(p);	/* so that a line kept for too long is found */
		return;
	}
	b->next = l->buffers;
	l->buffers = b;
	l->buffers_n++;
}

/* ---- the loops of a relay */

static struct loop *loop_new(struct net *n, unsigned index)
{
	struct loop *l = mem_zalloc(sizeof(*l));

	l->net = n;
	l->world = n->world;
	l->index = index;
	l->now = l->world->now(l->world);
	l->wall_ms = l->world->wall_ms(l->world);
	heap_init(&l->timers);
	tasks_init(l);
	l->poller = l->world->poll_open(l->world);
	if (l->poller < 0) {
		fprintf(stderr, "cannot open a poller: %s\n", strerror(-l->poller));
		abort();
	}
	return l;
}

static void loop_free(struct loop *l)
{
	tasks_done(l);
	l->world->poll_close(l->world, l->poller);
	while (l->buffers) {
		struct buffer *b = l->buffers;

		l->buffers = b->next;
		mem_free(b);
	}
	heap_done(&l->timers);
	mem_free(l);
}

struct net *net_new(struct world *w, unsigned workers, unsigned pool)
{
	struct net *n = mem_zalloc(sizeof(*n));

	n->world = w;
	n->n = workers;
	n->loops = mem_calloc(workers, sizeof(*n->loops));
	for (unsigned i = 0; i < workers; i++)
		n->loops[i] = loop_new(n, i);
	offload_init(&n->pool, w, pool);
	return n;
}

void net_reserve(struct net *n, int from)
{
	n->reserve_from = from;
}

void net_start(struct net *n)
{
	char name[16];

	offload_start(&n->pool);
	n->started = true;
	for (unsigned i = 0; i < n->n; i++) {
		struct loop *l = n->loops[i];

		snprintf(name, sizeof(name), "loop %u", i % 10000);
		atomic_store(&l->actor, n->world->actor_start(n->world, name, loop_step, l));
	}
}

struct stop {
	struct post post;
	struct loop *loop;
};

static void on_stop(struct post *p)
{
	struct stop *s = CONTAINER_OF(p, struct stop, post);

	s->loop->stopping = true;
	mem_free(s);
}

void net_stop(struct net *n)
{
	assert(!loop_self());
	for (unsigned i = 0; n->started && i < n->n; i++) {
		struct stop *s = mem_alloc(sizeof(*s));

		s->loop = n->loops[i];
		loop_post(s->loop, &s->post, on_stop);
	}
	for (unsigned i = 0; n->started && i < n->n; i++)
		n->world->actor_join(n->world, atomic_load(&n->loops[i]->actor));
	offload_done(&n->pool);
	for (unsigned i = 0; i < n->n; i++)
		loop_free(n->loops[i]);
	mem_free(n->loops);
	mem_free(n);
}

unsigned net_workers(const struct net *n)
{
	return n->n;
}

struct loop *net_loop(struct net *n, unsigned index)
{
	assert(index < n->n);
	return n->loops[index];
}

struct world *net_world(struct net *n)
{
	return n->world;
}
