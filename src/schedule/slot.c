/*
 * slot - who works on a destination: starting slots, and the round trip in which they ask for their
 * next job.
 *
 * A slot is a task of deliver/ on any core. It is started on the core that has the fewest of the
 * destination's slots, the home first, so that one smarthost uses all cores while a small site
 * stays on one (and finds its idle connection there again). Because the least loaded core is always
 * taken, no core ever runs more than its even share of a destination's slots, which bounds what the
 * connection pools keep.
 */
#include "schedule/home.h"

static unsigned least_loaded(const struct destination *d)
{
	unsigned n = net_workers(d->home->schedule->net), home = loop_index(d->home->loop);
	unsigned best = home;

	for (unsigned i = 1; i < n; i++) {
		unsigned at = (home + i) % n;

		if (d->slots_on[at] < d->slots_on[best])
			best = at;
	}
	return best;
}

static void slot_count(struct destination *d, unsigned core, int by)
{
	d->slots += (unsigned)by;
	d->slots_on[core] = (uint16_t)(d->slots_on[core] + by);
	d->home->slots += (unsigned)by;
}

/* Tasks or stacks are used up: not the destination's fault, so this is not counted as one. */
static void start_failed(struct destination *d, unsigned core)
{
	slot_count(d, core, -1);
	d->asking--;
	destination_pause(d, PAUSE_NS);
}

static void on_start_back(struct post *p)
{
	struct destination *d = CONTAINER_OF(p, struct destination, start);
	struct home *h = d->home;

	d->start_pending = false;
	if (d->start_failed)
		start_failed(d, d->start_core);
	destination_update(d);
	home_fill(h);
	home_arm(h);
}

static void on_start(struct post *p)
{
	struct destination *d = CONTAINER_OF(p, struct destination, start);
	struct schedule *s = d->home->schedule;

	d->start_failed = atomic_load(&s->stopping) || !s->up.slot_start(s->up.deliver, d);
	loop_post(d->home->loop, &d->start, on_start_back);
}

/* To other cores one start is under way at a time: it says whether there was a task to be had. */
void slot_start(struct destination *d)
{
	struct schedule *s = d->home->schedule;
	unsigned core = least_loaded(d);

	list_remove(&d->in_want);
	d->want = WANT_NONE;
	slot_count(d, core, 1);
	d->asking++;
	if (net_loop(s->net, core) != d->home->loop) {
		d->start_core = core;
		d->start_pending = true;
		loop_post(net_loop(s->net, core), &d->start, on_start);
	} else if (!s->up.slot_start(s->up.deliver, d)) {
		start_failed(d, core);
	}
	destination_update(d);
}

/* ---- the turn */

static void job_back(struct slot *slot)
{
	struct destination *d = slot->destination;
	struct job *j = slot->finished;

	slot->finished = NULL;
	job_take(j, JOB_TRAVELLING);
	if (slot->result == JOB_UNTRIED) {
		if (slot->learnt == DESTINATION_UNKNOWN)
			destination_pause(d, UNTRIED_PAUSE_NS);
		job_place(j, true, 0);
		return;
	}
	if (slot->result == JOB_DEFERRED) {
		j->attempts += j->attempts < UINT16_MAX;
		j->next_ms = slot->next_ms;
	}
	job_place(j, false, 0);
}

static void learn(struct slot *slot)
{
	struct destination *d = slot->destination;

	if (slot->epoch != d->epoch)
		return;
	if (slot->learnt == DESTINATION_WORKS)
		destination_works(d);
	else if (slot->learnt == DESTINATION_DOWN)
		destination_down(d, str_of(slot->said));
}

/*
 * Somebody else waits for a slot: then this one ends after its job, and its destination stands at
 * the end of the line.
 */
static bool others_wait(const struct destination *d)
{
	const struct home *h = d->home;
	const struct list *more = list_first(&h->more);

	return list_first(&h->first) || (more && (more != &d->in_want || more->next != &h->more));
}

static struct job *next_job(struct slot *slot)
{
	struct destination *d = slot->destination;
	unsigned allowed = d->probing ? 1 : d->allowed;
	struct list *at = list_first(&d->ready);
	struct job *j;

	if (!at || destination_is_resting(d) || d->slots > allowed ||
	    (slot->known && others_wait(d)) || atomic_load(&d->home->schedule->stopping))
		return NULL;
	j = LIST_ENTRY(at, struct job, in_queue);
	job_take(j, JOB_IN_FLIGHT);
	slot->epoch = d->epoch;
	return j;
}

static void turn(struct slot *slot)
{
	struct destination *d = slot->destination;
	struct home *h = d->home;

	if (slot->finished) {
		job_back(slot);
		learn(slot);
	}
	slot->job = next_job(slot);
	if (!slot->known)
		d->asking--;
	slot->known = true;
	if (!slot->job)
		slot_count(d, loop_index(slot->loop), -1);
	destination_update(d);
	home_fill(h);
	home_arm(h);
}

static void on_answer(struct post *p)
{
	struct slot *slot = CONTAINER_OF(p, struct slot, post);

	slot->answered = true;
	task_wake(slot->task);
}

static void on_question(struct post *p)
{
	struct slot *slot = CONTAINER_OF(p, struct slot, post);

	turn(slot);
	loop_post(slot->loop, &slot->post, on_answer);
}

void schedule_turn(struct schedule *s, struct slot *slot)
{
	struct home *h = slot->destination->home;

	(void)s;
	slot->loop = loop_self();
	slot->task = task_self();
	slot->answered = false;
	if (slot->loop == h->loop) {
		turn(slot);
		return;
	}
	loop_post(h->loop, &slot->post, on_question);
	while (!slot->answered)
		task_wait_uncancellable();
}
