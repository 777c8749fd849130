/*
 * sim_world - virtual time, chance, and who runs when.
 *
 * Loops step on the main stack, because a loop's step never suspends. Every other actor (committer,
 * keeper, pool, a node's main thread) has a stack of its own, so that a disk call can take virtual
 * time in the middle of a step while everybody else goes on: what happens between a write and its
 * sync is where the bugs are. Who runs next is drawn among those who may. When nobody may, time
 * jumps to the next event or timer.
 *
 * A stack that is abandoned when its node dies is never resumed; what it held is leaked, for the
 * process lives as long as one seed.
 *
 * Everything that is said with sim_say goes into a hash: two runs of a seed must end with the same.
 */
#include "sim/internet.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIBER_STACK (512 * 1024)
#define STEPS_MAX 30000000

struct sim sim;

/* ---- chance */

uint64_t sim_random(void)
{
	uint64_t z = sim.state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t sim_below(uint64_t n)
{
	return n ? sim_random() % n : 0;
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
	return low + sim_below(high - low + 1);
}

bool sim_chance(unsigned per_mille)
{
	return per_mille && sim_below(1000) < per_mille;
}

bool sim_fault(unsigned per_mille)
{
	return sim.faulty && sim_chance(per_mille);
}

/* ---- what happens is told */

void sim_say(const char *format, ...)
{
	char text[1200];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	sim.hash ^= sim.now;
	for (int i = 0; i < n; i++)
		sim.hash = (sim.hash ^ (uint8_t)text[i]) * 0x100000001b3u;
	if (sim.trace && sim.now >= sim.trace_from)
		printf("%12.6f %s\n", (double)sim.now / 1e9, text);
}

void sim_fail(const char *format, ...)
{
	char text[sizeof(sim.failure)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	sim_say("FAILURE %s", text);
	if (!sim.failure[0])
		memcpy(sim.failure, text, sizeof(text));
}

/* ---- stacks */

static void switch_to(struct fiber *from, struct fiber *to)
{
#if FIBERS_ASAN
	__sanitizer_start_switch_fiber(&from->fake_stack, to->low, to->size);
#endif
	context_switch(&from->context, &to->context);
#if FIBERS_ASAN
	__sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

static void leave(struct actor *a)
{
	switch_to(a->fiber, &sim.main);
}

static void actor_main(void *arg)
{
	struct actor *a = arg;

#if FIBERS_ASAN
	const void *low;
	size_t size;

	__sanitizer_finish_switch_fiber(NULL, &low, &size);
	if (!sim.main.low) {
		sim.main.low = (char *)(uintptr_t)low;
		sim.main.size = size;
	}
#endif
	for (;;) {
		int64_t rest = a->step(a->arg);

		a->done = rest == STEP_DONE;
		a->due = rest == STEP_IDLE || a->done ? UINT64_MAX : sim.now + (uint64_t)rest;
		leave(a);
	}
}

static struct fiber *fiber_new(struct actor *a)
{
	struct fiber *f = mem_zalloc(sizeof(*f));

	f->size = FIBER_STACK;
	f->low = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->low == MAP_FAILED)
		abort();
#if CHECKERS_ASAN
	/* A stack that was abandoned here before has left its marks. */
	ASAN_UNPOISON_MEMORY_REGION(f->low, f->size);
#endif
	context_init(&f->context, f->low, f->size, actor_main, a);
	return f;
}

static void fiber_free(struct fiber *f)
{
	if (f)
		munmap(f->low, f->size);
	mem_free(f);
}

bool fiber_runs(void)
{
	return sim.current && sim.current->fiber;
}

void fiber_sleep(uint64_t ns)
{
	struct actor *a = sim.current;

	if (!fiber_runs())
		return;
	a->in_call = true;
	a->due = ns == UINT64_MAX ? ns : sim.now + ns;
	leave(a);
	a->in_call = false;
}

void fiber_stop(void)
{
	while (fiber_runs()) {
		sim.current->dead = true;
		fiber_sleep(UINT64_MAX);
	}
}

/* ---- actors */

struct actor *actor_new(struct node *n, const char *name, actor_step *step, void *arg)
{
	struct actor *a = mem_zalloc(sizeof(*a));

	a->node = n;
	a->step = step;
	a->arg = arg;
	a->due = sim.now;
	a->on_main = strncmp(name, "loop", 4) == 0;
	snprintf(a->name, sizeof(a->name), "%s/%s", n->name, name);
	list_push(&sim.actors, &a->link);
	return a;
}

void actor_wake_up(struct actor *a)
{
	a->woken = true;
}

void actors_kill(struct node *n)
{
	LIST_FOR(at, &sim.actors) {
		struct actor *a = LIST_ENTRY(at, struct actor, link);

		if (a->node != n)
			continue;
		list_remove(&a->link);
		fiber_free(a->fiber);
		a->fiber = NULL;
		a->dead = true;
	}
}

static struct actor *world_actor_start(struct world *w, const char *name, actor_step *step,
				       void *arg)
{
	return actor_new(node_of(w), name, step, arg);
}

static void world_actor_wake(struct world *w, struct actor *a)
{
	(void)w;
	actor_wake_up(a);
}

static void world_actor_join(struct world *w, struct actor *a)
{
	(void)w;
	assert(fiber_runs());
	while (!a->done) {
		a->joiner = sim.current;
		fiber_sleep(UINT64_MAX);
	}
	list_remove(&a->link);
	fiber_free(a->fiber);
	mem_free(a);
}

static bool may_run(const struct actor *a)
{
	if (a->done || a->dead)
		return false;
	return a->due <= sim.now || (a->woken && !a->in_call);
}

static struct actor *draw_actor(void)
{
	struct actor *found = NULL;
	unsigned n = 0;

	LIST_FOR(at, &sim.actors) {
		struct actor *a = LIST_ENTRY(at, struct actor, link);

		if (may_run(a) && sim_below(++n) == 0)
			found = a;
	}
	return found;
}

static void run_actor(struct actor *a)
{
	struct node *n = a->node;

	sim.current = a;
	if (!a->in_call)
		a->woken = false;
	config_set_current(config_ref(n->config));
	if (a->on_main) {
		int64_t rest = a->step(a->arg);

		a->done = rest == STEP_DONE;
		a->due = rest == STEP_IDLE || a->done ? UINT64_MAX : sim.now + (uint64_t)rest;
	} else {
		if (!a->fiber)
			a->fiber = fiber_new(a);
		switch_to(&sim.main, a->fiber);
	}
	sim.current = NULL;
	if (a->done && a->joiner)
		a->joiner->due = sim.now;
	if (n->dead)
		node_reap(n);
}

/* ---- events: a heap by time, then order of making */

static bool is_before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void sift_up(size_t i)
{
	struct event *e = sim.events[i];

	for (; i && is_before(e, sim.events[(i - 1) / 2]); i = (i - 1) / 2)
		sim.events[i] = sim.events[(i - 1) / 2];
	sim.events[i] = e;
}

static void sift_down(void)
{
	struct event *e = sim.events[0];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sim.events_n) {
		if (child + 1 < sim.events_n && is_before(sim.events[child + 1], sim.events[child]))
			child++;
		if (!is_before(sim.events[child], e))
			break;
		sim.events[i] = sim.events[child];
		i = child;
	}
	sim.events[i] = e;
}

struct event *sim_at(uint64_t at, void (*fn)(struct event *), void *p, uint64_t n)
{
	struct event *e = mem_zalloc(sizeof(*e));

	*e = (struct event){ .at = at, .order = sim.order++, .fn = fn, .p = p, .n = n };
	if (sim.events_n == sim.events_size) {
		sim.events_size = sim.events_size ? sim.events_size * 2 : 256;
		sim.events = mem_realloc(sim.events, sim.events_size * sizeof(*sim.events));
	}
	sim.events[sim.events_n++] = e;
	sift_up(sim.events_n - 1);
	return e;
}

static void run_event(void)
{
	struct event *e = sim.events[0];

	sim.events[0] = sim.events[--sim.events_n];
	if (sim.events_n)
		sift_down();
	e->fn(e);
	mem_free(e->bytes);
	mem_free(e);
}

/* ---- running */

static uint64_t next_time(void)
{
	uint64_t first = sim.events_n ? sim.events[0]->at : UINT64_MAX;

	LIST_FOR(at, &sim.actors) {
		struct actor *a = LIST_ENTRY(at, struct actor, link);

		if (!a->done && !a->dead && a->due < first)
			first = a->due;
	}
	return first;
}

void sim_run(bool (*done)(void *arg), void *arg, uint64_t until)
{
	while (!sim.failure[0] && !done(arg)) {
		struct actor *a;
		uint64_t next;

		if (sim.events_n && sim.events[0]->at <= sim.now) {
			run_event();
			continue;
		}
		a = draw_actor();
		if (a) {
			run_actor(a);
			sim.now += sim_below(20000);
			if (++sim.steps > STEPS_MAX)
				sim_fail("no end: %s steps again and again", a->name);
			continue;
		}
		next = next_time();
		if (next > until) {
			sim.now = until;
			return;
		}
		if (next > sim.now)
			sim.now = next;
	}
}

/* ---- clock and chance as a relay sees them */

static uint64_t world_now(struct world *w)
{
	(void)w;
	return sim.now;
}

static int64_t world_wall_ms(struct world *w)
{
	return sim.wall_ms + node_of(w)->clock_ms + (int64_t)(sim.now / MILLISECOND);
}

static void world_random(struct world *w, void *p, size_t n)
{
	char *to = p;

	(void)w;
	while (n) {
		uint64_t r = sim_random();
		size_t now = n < sizeof(r) ? n : sizeof(r);

		memcpy(to, &r, now);
		to += now;
		n -= now;
	}
}

void sim_fill_world(struct world *w)
{
	w->now = world_now;
	w->wall_ms = world_wall_ms;
	w->random = world_random;
	w->actor_start = world_actor_start;
	w->actor_wake = world_actor_wake;
	w->actor_join = world_actor_join;
}

void sim_begin(uint64_t seed)
{
	bool trace = sim.trace;
	enum breakage breakage = sim.breakage;

	sim = (struct sim){ .seed = seed, .state = seed * 0x2545f4914f6cdd1du + 1, .trace = trace,
			    .trace_from = sim.trace_from, .breakage = breakage, .nth_kind = -1 };
	sim.hash = 0xcbf29ce484222325u;
	sim.now = SECOND;
	sim.wall_ms = 1790000000000;
	list_init(&sim.actors);
	context_init_loop(&sim.main.context);
	net_begin();
	ledger_begin();
	zone_begin();
	provider_begin();
	limits_begin();
	operator_begin();
	internet = (struct internet){ 0 };
}
