/*
 * stepped - a world in virtual time, stepped by hand on one thread, which never blocks.
 *
 * Loops are its actors. Between two steps everything stands still, so invariants can be checked
 * after each (stepped_check).
 */
#ifndef UNIT_NET_STEPPED_H
#define UNIT_NET_STEPPED_H

#include "unit/unit.h"

#include "net/loop.h"

#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

struct actor {
	actor_step *step;
	void *arg;
	uint64_t due;
	bool woken, done;
};

static struct {
	struct world world;
	struct actor actors[16];
	unsigned actors_n;
	uint64_t now, seed;
	int64_t wall_zero_ms;		/* the wall clock when the other one was 0 */
	int64_t wall_offset_ms;		/* how far it has been set since */
} stepped;

static void (*stepped_check)(void);	/* after each step of all */

static inline uint64_t stepped_random(uint64_t below)
{
	stepped.seed = stepped.seed * 6364136223846793005u + 1442695040888963407u;
	return (stepped.seed >> 33) % below;
}

static uint64_t stepped_now(struct world *w)
{
	(void)w;
	return stepped.now;
}

static int64_t stepped_wall(struct world *w)
{
	(void)w;
	return stepped.wall_zero_ms + (int64_t)(stepped.now / MILLISECOND) +
	       stepped.wall_offset_ms;
}

static void stepped_entropy(struct world *w, void *p, size_t n)
{
	(void)w;
	for (size_t i = 0; i < n; i++)
		((uint8_t *)p)[i] = (uint8_t)stepped_random(256);
}

static struct actor *stepped_start(struct world *w, const char *name, actor_step *step, void *arg)
{
	struct actor *a = &stepped.actors[stepped.actors_n++];

	(void)w;
	(void)name;
	*a = (struct actor){ .step = step, .arg = arg, .due = stepped.now };
	return a;
}

static void stepped_wake(struct world *w, struct actor *a)
{
	(void)w;
	a->woken = true;
}

/* One step of each that is due or was woken; false: there is none. */
static bool stepped_all(void)
{
	bool any = false;

	for (unsigned i = 0; i < stepped.actors_n; i++) {
		struct actor *a = &stepped.actors[i];
		int64_t rest;

		if (a->done || (!a->woken && a->due > stepped.now))
			continue;
		a->woken = false;
		rest = a->step(a->arg);
		a->done = rest == STEP_DONE;
		a->due = rest == STEP_IDLE ? UINT64_MAX : stepped.now + (uint64_t)rest;
		any = true;
	}
	return any;
}

static uint64_t stepped_next_due(void)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < stepped.actors_n; i++)
		if (!stepped.actors[i].done && stepped.actors[i].due < first)
			first = stepped.actors[i].due;
	return first;
}

/* One step, or the time goes on to when there is one. */
static inline void stepped_on(void)
{
	if (stepped_all())
		return;
	assert_true(stepped_next_due() != UINT64_MAX);	/* all wait for nothing: a lost wake */
	stepped.now = stepped_next_due();
}

static void stepped_join(struct world *w, struct actor *a)
{
	(void)w;
	while (!a->done)
		stepped_on();
}

static int stepped_poll(struct world *w, int poller, struct poll_event *events, int max,
			int64_t timeout_ns)
{
	(void)timeout_ns;
	return world_real()->poll_wait(w, poller, events, max, 0);
}

/* Everything that happens within that time. */
static inline void stepped_run(uint64_t ns)
{
	uint64_t end = stepped.now + ns;

	for (;;) {
		while (stepped_all())
			if (stepped_check)
				stepped_check();
		if (stepped_next_due() > end)
			break;
		stepped.now = stepped_next_due();
	}
	stepped.now = end;
}

/* check may be NULL. The clock stands at 1000 ns, the wall clock at that time. */
static inline void stepped_init(int64_t wall_zero_ms, void (*check)(void))
{
	memset(&stepped, 0, sizeof(stepped));
	stepped.world = *world_real();
	stepped.now = 1000;
	stepped.seed = 1;
	stepped.wall_zero_ms = wall_zero_ms;
	stepped.world.now = stepped_now;
	stepped.world.wall_ms = stepped_wall;
	stepped.world.random = stepped_entropy;
	stepped.world.actor_start = stepped_start;
	stepped.world.actor_wake = stepped_wake;
	stepped.world.actor_join = stepped_join;
	stepped.world.poll_wait = stepped_poll;
	stepped_check = check;
}

#endif
