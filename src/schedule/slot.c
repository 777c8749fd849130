/*
 * slot - who works on a destination: starting slots, and the round trip in which they ask for their
 * next job.
 *
 * A slot is a task of deliver/ on any core. It is started on the core that has the fewest of the
 * destination's slots, the home first, so that one smarthost uses all cores while a small site
 * stays on one (and finds its idle connection there again). Because the least loaded core is always
 * taken, no core ever runs more than its even share of a destination's slots, which bounds what the
 * connection pools keep.
 *
 * A slot is started with a permit for one connection by the way that it will take. In each turn its
 * next job passes the way's gates, all of it or a part; refused, the slot ends, and the destination
 * stands in line instead (source.c): nothing waits in a task.
 */
#include "schedule/home.h"

#include <limits.h>

/* what a rule for replies means that names no time */
#define PAUSE_DEFAULT_NS (600 * SECOND)
#define OTHER_SOURCE_DEFAULT_NS (3600 * SECOND)
#define OTHER_SOON_NS (60 * SECOND)	/* a source that opens within this time can go on */

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
	destination_permit_drop(d, core);
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
static void start_on(struct destination *d, unsigned core)
{
	struct schedule *s = d->home->schedule;

	slot_count(d, core, 1);
	d->asking++;
	if (net_loop(s->net, core) != d->home->loop) {
		d->start_core = (uint16_t)core;
		d->start_pending = true;
		loop_post(net_loop(s->net, core), &d->start, on_start);
	} else if (!s->up.slot_start(s->up.deliver, d)) {
		start_failed(d, core);
	}
}

void slot_start(struct destination *d)
{
	unsigned core;

	list_remove(&d->in_want);
	d->want = WANT_NONE;
	if (destination_enter(d, &core))
		start_on(d, core == UINT_MAX ? least_loaded(d) : core);
	destination_update(d);
}

/* ---- the turn: what the slot brings */

/*
 * True: the job is due at once, from another source. What a source is refused for is no attempt of
 * the job's; it keeps its place.
 */
static bool react(struct slot *slot)
{
	struct str said = str_of(slot->reacts_to);
	uint64_t ns = slot->reaction_ns, now = loop_now();

	switch (slot->reaction) {
	case REACT_SLOW:
		way_slow(slot->way, said);
		return false;
	case REACT_PAUSE:
		way_close(slot->way, ns ? ns : PAUSE_DEFAULT_NS, said);
		return false;
	case REACT_OTHER_SOURCE:
		ns = ns ? ns : OTHER_SOURCE_DEFAULT_NS;
		way_close(slot->way, ns, said);
		return destination_has_other_way(slot->destination, slot->way, now + ns,
						 now + OTHER_SOON_NS);
	case REACT_NONE:
	case REACT_BOUNCE:
	case REACT_DEFER:
		break;
	}
	return false;
}

static void untried(struct slot *slot, struct job *j)
{
	way_give_back(slot->way, slot->passed_recipients, slot->passed_octets, slot->passed_at);
	if (slot->learnt == DESTINATION_UNKNOWN)
		destination_pause(slot->destination, UNTRIED_PAUSE_NS);
	job_place(j, true, 0);
}

static void job_back(struct slot *slot, bool at_once)
{
	struct job *j = slot->finished;

	slot->finished = NULL;
	job_take(j, JOB_TRAVELLING);
	switch (slot->result) {
	case JOB_UNTRIED:
		untried(slot, j);
		return;
	case JOB_PARTLY:
		job_place_partly(j);
		return;
	case JOB_DEFERRED:
		if (at_once)
			break;
		j->attempts += j->attempts < UINT16_MAX;
		job_defer(j, slot->next_ms);
		return;
	case JOB_SETTLED:
		at_once = false;
		break;
	}
	if (at_once)
		j->next_ms = 0;
	job_place(j, at_once, 0);
}

static bool is_shy(const struct slot *slot)
{
	return slot->reaction == REACT_SLOW || slot->reaction == REACT_PAUSE ||
	       slot->reaction == REACT_OTHER_SOURCE;
}

static void learn(struct slot *slot)
{
	struct destination *d = slot->destination;

	if (slot->result != JOB_UNTRIED)
		destination_count(d);
	if (is_shy(slot) && slot->reacts_to[0])
		text_set(&d->last, str_of(slot->reacts_to));
	else if (slot->learnt == DESTINATION_DOWN || slot->result == JOB_DEFERRED)
		text_set(&d->last, str_of(slot->said));
	if (slot->epoch != d->epoch)
		return;
	if (slot->learnt == DESTINATION_WORKS)
		destination_works(d, is_shy(slot) ? NULL : slot->way,
				  slot->result == JOB_SETTLED);
	else if (slot->learnt == DESTINATION_DOWN)
		destination_down(d, slot->way, str_of(slot->said));
}

/* ---- the turn: what it gets */

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

/* Its way is still the one that its destination would take from that source. */
static bool way_is_right(struct slot *slot)
{
	struct destination *d = slot->destination;

	return !way_is_old(slot->way) && destination_way(d, slot->source) == slot->way &&
	       !(slot->source && suspended_find(d->home->suspended, SUSPEND_SOURCE,
						name_str(slot->source)));
}

static bool may_go_on(struct slot *slot, bool was_down)
{
	struct destination *d = slot->destination;
	const struct home *h = d->home;

	if (atomic_load(&h->schedule->stopping) || d->is_suspended || d->wake ||
	    destination_is_resting(d) || d->slots > destination_slots_max(d))
		return false;
	if (!slot->known)
		return true;
	if (slot->spent && slot->source)
		return false;
	return !was_down && h->slots <= h->slots_max && !others_wait(d) && way_is_right(slot);
}

/* The first job with anything left to do; those without end here. */
static struct job *first_ready(struct destination *d)
{
	struct job *j;

	while ((j = job_first(d)) && !job_refresh(j)) {
		job_take(j, JOB_TRAVELLING);
		job_end(j);
	}
	return j;
}

static struct job *next_job(struct slot *slot, bool was_down)
{
	struct destination *d = slot->destination;
	struct world *world = loop_world(d->home->loop);
	uint64_t now;
	struct job *j;
	unsigned n;

	if (!may_go_on(slot, was_down))
		return NULL;
	j = first_ready(d);
	if (!j || (!slot->way && !slot_enter(slot)))
		return NULL;
	now = world->now(world);
	n = slot_pass(slot, j->recipients_n, j->message->size);
	if (!n)
		return NULL;
	if (n < j->recipients_n)
		job_split(j, n);
	slot->passed_recipients = n;
	slot->passed_octets = j->message->size;
	slot->passed_at = now;
	job_take(j, JOB_IN_FLIGHT);
	slot->epoch = d->epoch;
	return j;
}

static void turn(struct slot *slot)
{
	struct destination *d = slot->destination;
	struct home *h = d->home;
	bool was_down = slot->finished && slot->learnt == DESTINATION_DOWN;

	if (slot->finished) {
		bool at_once = react(slot);

		job_back(slot, at_once);
		learn(slot);
		slot->reaction = REACT_NONE;
		slot->reacts_to[0] = 0;
	}
	if (slot->knows_provider)
		destination_set_provider(d, slot->provider);
	if (!slot->known)
		slot_take_permit(slot);
	slot->job = next_job(slot, was_down);
	if (!slot->known)
		d->asking--;
	slot->known = true;
	if (!slot->job) {
		slot_leave(slot);
		slot_count(d, loop_index(slot->loop), -1);
	}
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
