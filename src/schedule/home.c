/*
 * home - one core's share of the queues: the heaps, the timer over them, and who gets the next
 * slot.
 *
 * Whatever happens - a job comes, a slot asks, a time is reached - costs O(log n) of what waits and
 * nothing of what is ready. Slots are bounded per home. While there are enough, who wants one gets
 * it at once; when they run short, the last quarter is for destinations that have none, the rest
 * goes round in turns, and a slot that asks for its next job ends instead when others wait for a
 * first one. So one site with half a million messages costs the others nothing.
 *
 * Deadlines are kept by the wall clock, so that they are exact by it: a jump needs no new
 * computing, and is noticed by whatever happens next, within DEADLINE_LOOK at the latest. The other
 * times are the loop's, which does not jump.
 */
#include "schedule/home.h"

#define DEADLINE_LOOK (60 * SECOND)

void home_init(struct home *h, struct schedule *s, unsigned index)
{
	h->schedule = s;
	h->loop = net_loop(s->net, index);
	list_init(&h->first);
	list_init(&h->more);
	list_init(&h->all);
	list_init(&h->walks);
	list_init(&h->wakes);
	list_init(&h->held_to_count);
	list_init(&h->called);
	list_init(&h->reload_walk.in_walks);
	h->armed = UINT64_MAX;
	home_take_suspended(h);
}

static uint64_t longest_of(const uint64_t *ns, unsigned n, uint64_t longest)
{
	for (unsigned i = 0; i < n; i++)
		if (ns[i] > longest)
			longest = ns[i];
	return longest;
}

/*
 * The longest wait of the retry tables, with its jitter: what a recorded time says beyond it is an
 * error of the clocks.
 */
static uint64_t wait_max(const struct config *c)
{
	uint64_t longest = longest_of(c->queue.retry_ns, c->queue.retry_n, 60 * SECOND);

	for (unsigned i = 0; i < c->routes_n; i++)
		longest = longest_of(c->routes[i]->retry_ns, c->routes[i]->retry_n, longest);
	return longest + longest / 10;
}

/* This home's share of all slots: no counter is shared, and the shares make up the whole. */
static unsigned slots_share(const struct home *h, unsigned all)
{
	unsigned n = h->schedule->homes_n, share = all / n + (loop_index(h->loop) < all % n);

	return share ? share : 1;
}

const struct config *home_config(struct home *h)
{
	if (!h->config) {
		h->config = config_current();
		assert(h->config);
		h->wait_max_ns = wait_max(h->config);
		h->slots_max = slots_share(h, h->config->queue.connections_max ?
						      h->config->queue.connections_max :
						      SLOTS_DEFAULT);
	}
	return h->config;
}

uint64_t home_time(int64_t wall_ms, uint64_t max_ns)
{
	int64_t left;

	if (__builtin_sub_overflow(wall_ms, loop_wall_ms(), &left))
		left = wall_ms > 0 ? INT64_MAX : 0;
	if (left <= 0)
		return loop_now();
	return loop_now() +
	       ((uint64_t)left < max_ns / MILLISECOND ? (uint64_t)left * MILLISECOND : max_ns);
}

uint32_t home_random(struct home *h)
{
	struct world *w = loop_world(h->loop);
	uint32_t v;

	w->random(w, &v, sizeof(v));
	return v;
}

void home_fill(struct home *h)
{
	unsigned more_max = h->slots_max - h->slots_max / 4;
	struct list *at;

	if (atomic_load_explicit(&h->schedule->stopping, memory_order_relaxed))
		return;
	while (h->slots < h->slots_max && (at = list_first(&h->first)))
		slot_start(LIST_ENTRY(at, struct destination, in_want));
	while (h->slots < more_max && (at = list_first(&h->more)))
		slot_start(LIST_ENTRY(at, struct destination, in_want));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- deadlines */

static bool is_member(const struct heap *h, const struct heap_node *node)
{
	return heap_has(node) && node->index <= h->n && h->slots[node->index - 1].node == node;
}

void home_forget_deadline(struct home *h, struct job *j)
{
	bool is_stale = is_member(&h->stale_deadlines, &j->in_deadlines);

	heap_remove(is_stale ? &h->stale_deadlines : &h->deadlines, &j->in_deadlines);
}

/* Wall clock, ms; UINT64_MAX: there is none. */
static uint64_t first_deadline(const struct home *h)
{
	return earlier(heap_first_key(&h->deadlines), heap_first_key(&h->stale_deadlines));
}

static struct job *due_deadline(const struct home *h)
{
	const struct heap *from = heap_first_key(&h->deadlines) <=
						heap_first_key(&h->stale_deadlines) ?
					&h->deadlines : &h->stale_deadlines;

	return CONTAINER_OF(heap_first(from), struct job, in_deadlines);
}

static bool is_deadline_due(const struct home *h)
{
	int64_t now = loop_wall_ms();

	return first_deadline(h) <= (uint64_t)(now > 0 ? now : 0);
}

/* ---- the timer */

static void on_timer(struct timer *t);

static uint64_t next_time(const struct home *h)
{
	uint64_t at = earlier(heap_first_key(&h->resting), heap_first_key(&h->waiting));
	uint64_t deadline = first_deadline(h);

	if (deadline == UINT64_MAX)
		return at;
	return earlier(at, home_time((int64_t)deadline, DEADLINE_LOOK));
}

void home_arm(struct home *h)
{
	uint64_t at = next_time(h);

	if (at == h->armed || atomic_load_explicit(&h->schedule->stopping, memory_order_relaxed))
		return;
	h->armed = at;
	h->timer.fn = on_timer;
	if (at == UINT64_MAX)
		timer_clear(&h->timer);
	else
		timer_set(&h->timer, at);
}

/* One thing whose time has come; false: there is none. */
static bool tick(struct home *h)
{
	uint64_t now = loop_now();

	if (heap_first_key(&h->resting) <= now)
		destination_wake(
			CONTAINER_OF(heap_first(&h->resting), struct destination, in_resting));
	else if (heap_first_key(&h->waiting) <= now)
		job_due(CONTAINER_OF(heap_first(&h->waiting), struct job, in_waiting));
	else if (is_deadline_due(h))
		job_deadline(due_deadline(h));
	else
		return false;
	return true;
}

static void on_timer(struct timer *t)
{
	struct home *h = CONTAINER_OF(t, struct home, timer);

	h->armed = UINT64_MAX;
	if (atomic_load(&h->schedule->stopping))
		return;
	for (int i = 0; i < TICK_MAX && tick(h); i++)
		;
	home_fill(h);
	home_arm(h);
}

/* ---- the end */

static void end_job(struct job *j)
{
	job_take(j, JOB_TRAVELLING);
	job_end(j);
}

static void end_held(struct list *held)
{
	LIST_FOR(at, held)
		end_job(LIST_ENTRY(at, struct job, in_queue));
}

void home_done(struct home *h)
{
	struct map_node *n;

	while (heap_first(&h->waiting))
		end_job(CONTAINER_OF(heap_first(&h->waiting), struct job, in_waiting));
	wakes_done(h);
	end_held(&h->held_to_count);
	while ((n = map_walk(&h->destinations, NULL))) {
		struct destination *d = CONTAINER_OF(n, struct destination, node);
		struct job *j;

		while ((j = job_first(d)))
			end_job(j);
		end_held(&d->held);
		destination_free(d);
	}
	map_done(&h->destinations);
	heap_done(&h->waiting);
	heap_done(&h->deadlines);
	heap_done(&h->stale_deadlines);
	heap_done(&h->resting);
	home_reload_done(h);
	suspended_unref(h->suspended);
	config_unref(h->config);
}
