/*
 * check - the invariants of home.h, of all homes at once: for tests whose loops stand still.
 *
 * Costs all that waits, so nothing else calls it.
 */
#include "schedule/home.h"

static bool is_full(const struct destination *d)
{
	bool starts_slowly = d->moment && !d->probing;

	return d->slots && (starts_slowly || d->slots >= destination_slots_max(d));
}

/* J4 */
static bool is_served(const struct destination *d)
{
	return atomic_load(&d->home->schedule->stopping) || d->is_suspended || d->waits ||
	       d->wake || d->want != WANT_NONE || destination_is_resting(d) || d->start_pending ||
	       d->ready_n <= d->asking || is_full(d);
}

/* Whoever waits is in line or was called, and the other way round. */
static bool line_is_right(const struct destination *d)
{
	if (d->waits && d->line == LINE_NONE)
		return false;
	return !d->waits || limits_is_waiting(&d->waiter) || atomic_load(&d->call_posted);
}

static bool destination_check(const struct destination *d)
{
	unsigned ready = d->woken.n, waiting = 0, held = 0, permits = 0;

	for (unsigned i = 0; i < d->ways_n; i++)
		permits += d->ways[i].permits;
	LIST_FOR(at, &d->ready) {
		job_check(LIST_ENTRY(at, struct job, in_queue));
		ready++;
	}
	for (uint32_t i = 0; i < d->woken.n; i++)
		job_check(CONTAINER_OF(d->woken.slots[i].node, struct job, in_waiting));
	LIST_FOR(at, &d->waiting) {
		job_check(LIST_ENTRY(at, struct job, in_queue));
		waiting++;
	}
	LIST_FOR(at, &d->held) {
		job_check(LIST_ENTRY(at, struct job, in_queue));
		held++;
	}
	/* those of a wake that is under way are not in the list */
	if (d->wake ? waiting > d->waiting_n : waiting != d->waiting_n)
		return false;
	/* nor are those that a reload is counting */
	if (held != d->held_n && list_is_empty(&d->home->held_to_count))
		return false;
	return ready == d->ready_n && held <= d->held_n && d->asking <= d->slots &&
	       permits <= d->asking && line_is_right(d) && (is_served(d) || !d->ready_n);
}

static bool home_check(const struct home *h)
{
	unsigned waiting = 0, slots = 0;
	size_t n = 0;

	LIST_FOR(at, &h->all) {
		struct destination *d = LIST_ENTRY(at, struct destination, in_home);

		if (!destination_check(d))
			return false;
		waiting += d->waiting_n;
		slots += d->slots;
		n++;
	}
	return waiting == h->waiting.n && slots == h->slots && n == h->destinations.n;
}

bool schedule_check(struct schedule *s)
{
	for (unsigned i = 0; i < s->homes_n; i++)
		if (!home_check(&s->homes[i]))
			return false;
	return true;
}
