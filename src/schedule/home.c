/*
 * home - one core's share of the queues: the three heaps, the timer over them, and who gets the
 * next slot.
 *
 * Whatever happens - a job comes, a slot asks, a time is reached - costs O(log n) of what waits and
 * nothing of what is ready. Slots are bounded per home. While there are enough, who wants one gets
 * it at once; when they run short, the last quarter is for destinations that have none, the rest
 * goes round in turns, and a slot that asks for its next job ends instead when others wait for a
 * first one. So one site with half a million messages costs the others nothing.
 */
#include "schedule/home.h"

void home_init(struct home *h, struct schedule *s, unsigned index)
{
	unsigned share = SLOTS_MAX / s->homes_n;

	h->schedule = s;
	h->loop = net_loop(s->net, index);
	list_init(&h->first);
	list_init(&h->more);
	h->slots_max = share > SLOTS_HOME_MIN ? share : SLOTS_HOME_MIN;
	h->armed = UINT64_MAX;
}

/*
 * The longest wait of the retry table, with its jitter: what the clocks say beyond it is an error
 * of theirs.
 */
static uint64_t wait_max(const struct config *c)
{
	uint64_t longest = 60 * SECOND;

	for (unsigned i = 0; i < c->queue.retry_n; i++)
		if (c->queue.retry_ns[i] > longest)
			longest = c->queue.retry_ns[i];
	return longest + longest / 10;
}

const struct config *home_config(struct home *h)
{
	if (!h->config) {
		h->config = config_current();
		assert(h->config);
		h->wait_max_ns = wait_max(h->config);
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

static void on_timer(struct timer *t);

void home_arm(struct home *h)
{
	uint64_t at = earlier(heap_first_key(&h->resting),
			      earlier(heap_first_key(&h->waiting), heap_first_key(&h->deadlines)));

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
	else if (heap_first_key(&h->deadlines) <= now)
		job_deadline(CONTAINER_OF(heap_first(&h->deadlines), struct job, in_deadlines));
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

/* All deadlines anew: the one thing here that costs all that waits, once per reload. */
static void reset_deadlines(struct home *h)
{
	struct heap old = h->deadlines;

	heap_init(&h->deadlines);
	for (uint32_t i = 0; i < old.n; i++)
		old.slots[i].node->index = 0;
	for (uint32_t i = 0; i < old.n; i++)
		job_set_deadline(CONTAINER_OF(old.slots[i].node, struct job, in_deadlines), 0);
	heap_done(&old);
}

void home_reload(struct home *h)
{
	struct config *old = h->config;
	struct map_node *n = map_walk(&h->destinations, NULL);

	h->config = NULL;
	home_config(h);
	while (n) {
		struct destination *d = CONTAINER_OF(n, struct destination, node);

		n = map_walk(&h->destinations, n);
		destination_configure(d);
		d->failures = 0;	/* reloads in a row must not lengthen the rest */
		destination_wake(d);
	}
	config_unref(old);
	reset_deadlines(h);
	home_fill(h);
	home_arm(h);
}

static void end_jobs(struct list *jobs)
{
	struct list *at;

	while ((at = list_first(jobs))) {
		struct job *j = LIST_ENTRY(at, struct job, in_queue);

		job_take(j, JOB_TRAVELLING);
		job_end(j);
	}
}

void home_done(struct home *h)
{
	struct map_node *n;

	while (heap_first(&h->waiting)) {
		struct job *j = CONTAINER_OF(heap_first(&h->waiting), struct job, in_waiting);

		job_take(j, JOB_TRAVELLING);
		job_end(j);
	}
	while ((n = map_walk(&h->destinations, NULL))) {
		struct destination *d = CONTAINER_OF(n, struct destination, node);

		end_jobs(&d->ready);
		end_jobs(&d->held);
		destination_free(d);
	}
	map_done(&h->destinations);
	heap_done(&h->waiting);
	heap_done(&h->deadlines);
	heap_done(&h->resting);
	config_unref(h->config);
}

static bool destination_check(const struct destination *d)
{
	unsigned ready = 0, held = 0;
	bool served = atomic_load(&d->home->schedule->stopping) || d->want != WANT_NONE ||
		      destination_is_resting(d) || d->start_pending || d->ready_n <= d->asking ||
		      d->slots >= (d->probing ? 1 : d->allowed);

	LIST_FOR(at, &d->ready) {
		job_check(LIST_ENTRY(at, struct job, in_queue));
		ready++;
	}
	LIST_FOR(at, &d->held) {
		job_check(LIST_ENTRY(at, struct job, in_queue));
		held++;
	}
	return ready == d->ready_n && held == d->held_n && d->asking <= d->slots &&
	       (served || !d->ready_n);
}

bool schedule_check(struct schedule *s)
{
	for (unsigned i = 0; i < s->homes_n; i++) {
		struct home *h = &s->homes[i];
		unsigned waiting = 0, slots = 0;

		for (struct map_node *n = map_walk(&h->destinations, NULL); n;
		     n = map_walk(&h->destinations, n)) {
			struct destination *d = CONTAINER_OF(n, struct destination, node);

			if (!destination_check(d))
				return false;
			waiting += d->waiting_n;
			slots += d->slots;
		}
		if (waiting != h->waiting.n || slots != h->slots || slots > h->slots_max)
			return false;
	}
	return true;
}
