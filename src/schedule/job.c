/*
 * job - one message's recipients at one destination, and the one place where it is (invariants in
 * home.h).
 *
 * A job is one allocation. It is made where the message was committed, posted to its home, and from
 * then on moved between places by job_take and job_place only. The message's jobs form a ring
 * through which the queue commands find them: the ring is under message_lock, everything else is
 * the home's.
 */
#include "schedule/home.h"

/*
 * A deadline that passed while the relay was down or the message held leaves time for one more
 * attempt.
 */
#define GRACE_NS (600 * SECOND)
/* a time that a slot has just named; none that was recorded before the clocks may have jumped */
#define DEFER_MAX_NS (30 * 24 * 3600 * SECOND)
#define NUMBER_BITS 20		/* of a message's number, below 44 of its time in ms */

struct job *job_new(struct message *m, const struct home *home, const uint32_t *recipients,
		    uint32_t n)
{
	struct job *j = mem_zalloc(size_add(sizeof(*j), size_mul(n, sizeof(*recipients))));

	j->message = message_ref(m);
	list_init(&j->in_queue);
	j->state = JOB_TRAVELLING;
	j->home = (uint16_t)loop_index(home->loop);
	j->recipients_n = n;
	memcpy(j->recipients, recipients, n * sizeof(*recipients));
	return j;
}

void job_link(struct job *j)
{
	struct job *first = j->message->jobs;

	list_init(&j->in_message);
	if (first)
		list_push(&first->in_message, &j->in_message);
	else
		j->message->jobs = j;
}

static void job_unlink(struct job *j)
{
	struct message *m = j->message;
	struct list *next;

	message_lock(m);
	next = list_first(&j->in_message);
	if (m->jobs == j)
		m->jobs = next ? LIST_ENTRY(next, struct job, in_message) : NULL;
	list_remove(&j->in_message);
	message_unlock(m);
	atomic_fetch_sub(&m->jobs_n, 1);
}

/* The job ends: it must be in no place but on the way. */
void job_end(struct job *j)
{
	assert(j->state == JOB_TRAVELLING && list_is_empty(&j->in_queue) &&
	       !heap_has(&j->in_waiting));
	home_forget_deadline(j->destination->home, j);
	domain_quota_return(j->destination->home->schedule->quota, j->ticket);
	job_unlink(j);
	message_unref(j->message);
	mem_free(j);
}

unsigned job_open(const struct job *j, uint32_t *indices)
{
	struct message *m = j->message;
	unsigned n = 0;

	message_lock(m);
	for (uint32_t i = 0; i < j->recipients_n; i++)
		if (m->recipients[j->recipients[i]].state == RECIPIENT_QUEUED)
			indices[n++] = j->recipients[i];
	message_unlock(m);
	return n;
}

/*
 * Forgets the recipients that are final, sees whether the others were warned about; true: the
 * message is held.
 */
static bool job_look(struct job *j)
{
	struct message *m = j->message;
	uint32_t n = 0;
	bool held;

	j->warned = true;
	message_lock(m);
	held = m->flags & MESSAGE_HELD;
	for (uint32_t i = 0; i < j->recipients_n; i++) {
		const struct recipient *r = &m->recipients[j->recipients[i]];

		if (r->state != RECIPIENT_QUEUED)
			continue;
		j->warned &= r->warned != 0;
		j->recipients[n++] = j->recipients[i];
	}
	message_unlock(m);
	j->recipients_n = n;
	return held;
}

uint32_t job_refresh(struct job *j)
{
	job_look(j);
	return j->recipients_n;
}

static int64_t job_deadline_ms(struct job *j)
{
	struct destination *d = j->destination;

	return deadline_next_ms(home_config(d->home), d->route, j->message, j->warned);
}

/* floor_ns: a deadline that has passed comes in that time. */
void job_set_deadline(struct job *j, uint64_t floor_ns)
{
	struct home *h = j->destination->home;
	int64_t at_ms = job_deadline_ms(j), now_ms = loop_wall_ms();

	home_forget_deadline(h, j);
	if (at_ms == INT64_MAX)
		return;
	if (at_ms <= now_ms)
		at_ms = now_ms + (int64_t)(floor_ns / MILLISECOND);
	heap_insert(&h->deadlines, &j->in_deadlines, (uint64_t)(at_ms > 0 ? at_ms : 0));
}

/* By arrival; of one millisecond by number, as far as there is room for it. */
static uint64_t arrival_of(const struct job *j)
{
	uint64_t ms = j->message->arrived_ms > 0 ? (uint64_t)j->message->arrived_ms : 0;

	return ms << NUMBER_BITS | (j->message->id.counter & ((1u << NUMBER_BITS) - 1));
}

struct job *job_first(const struct destination *d)
{
	struct list *at = list_first(&d->ready);
	struct job *j = at ? LIST_ENTRY(at, struct job, in_queue) : NULL;

	if (!d->woken.n || (j && arrival_of(j) <= heap_first_key(&d->woken)))
		return j;
	return CONTAINER_OF(heap_first(&d->woken), struct job, in_waiting);
}

static void place_woken(struct job *j)
{
	struct destination *d = j->destination;

	j->state = JOB_READY;
	d->ready_n++;
	heap_insert(&d->woken, &j->in_waiting, arrival_of(j));
}

static void take_woken(struct destination *d, struct job *j)
{
	heap_remove(&d->woken, &j->in_waiting);
	if (!d->woken.n)
		heap_done(&d->woken);
}

static void place_ready(struct job *j, bool front)
{
	struct destination *d = j->destination;

	j->state = JOB_READY;
	d->ready_n++;
	if (front)
		list_push_front(&d->ready, &j->in_queue);
	else
		list_push(&d->ready, &j->in_queue);
}

/* For each domain of its recipients: it counts until the last part of it ends. */
static void take_ticket(struct job *j)
{
	struct destination *d = j->destination;
	struct str *domains = mem_calloc(j->recipients_n, sizeof(*domains));
	unsigned n = 0;

	for (uint32_t i = 0; i < j->recipients_n; i++) {
		struct str domain = address_split(recipient_address(j->message,
								    j->recipients[i])).domain;

		if (!n || !str_eq_nocase(domain, domains[n - 1]))
			domains[n++] = domain;
	}
	j->ticket = domain_quota_take(d->home->schedule->quota, d->route, domains, n,
				      j->message->size);
	mem_free(domains);
}

void job_count(struct job *j)
{
	bool counts = domain_quota_counts(j->destination->route);

	if (counts == (j->ticket != NULL))
		return;
	if (counts) {
		take_ticket(j);
		return;
	}
	domain_quota_return(j->destination->home->schedule->quota, j->ticket);
	j->ticket = NULL;
}

static void place(struct job *j, bool front, uint64_t floor_ns, uint64_t wait_max_ns)
{
	struct destination *d = j->destination;
	struct home *h = d->home;
	bool held = job_look(j);
	uint64_t at;

	assert(j->state == JOB_TRAVELLING);
	if (j->recipients_n == 0) {
		job_end(j);
		return;
	}
	job_count(j);
	if (held) {
		j->state = JOB_HELD;
		d->held_n++;
		list_push(&d->held, &j->in_queue);
		home_forget_deadline(h, j);
		return;
	}
	at = home_time(j->next_ms, wait_max_ns);
	if (at > loop_now()) {
		j->state = JOB_WAITING;
		d->waiting_n++;
		list_push(&d->waiting, &j->in_queue);
		heap_insert(&h->waiting, &j->in_waiting, at);
	} else {
		place_ready(j, front);
	}
	job_set_deadline(j, floor_ns);
	job_check(j);
}

void job_place(struct job *j, bool front, uint64_t floor_ns)
{
	place(j, front, floor_ns, j->destination->home->wait_max_ns);
}

void job_defer(struct job *j, int64_t next_ms)
{
	j->next_ms = next_ms;
	place(j, false, 0, DEFER_MAX_NS);
}

/*
 * Tried before, if it comes from recovery: the earliest time of its recipients counts, and the most
 * failures.
 */
static void take_history(struct job *j)
{
	message_lock(j->message);
	for (uint32_t i = 0; i < j->recipients_n; i++) {
		const struct recipient *r = &j->message->recipients[j->recipients[i]];

		if (i == 0 || r->next_ms < j->next_ms)
			j->next_ms = r->next_ms;
		if (r->attempts > j->attempts)
			j->attempts = r->attempts;
	}
	message_unlock(j->message);
}

/* ---- parts of a job */

static struct job *part_of(struct job *j, const uint32_t *recipients, uint32_t n)
{
	struct job *part = job_new(j->message, j->destination->home, recipients, n);

	part->destination = j->destination;
	part->attempts = j->attempts;
	part->next_ms = j->next_ms;
	job_count(j);
	part->ticket = domain_quota_share(j->ticket);
	atomic_fetch_add(&j->message->jobs_n, 1);
	message_lock(j->message);
	job_link(part);
	message_unlock(j->message);
	return part;
}

void job_split(struct job *j, uint32_t n)
{
	struct job *part;

	assert(j->state == JOB_READY && n && n < j->recipients_n);
	part = part_of(j, j->recipients + n, j->recipients_n - n);
	j->recipients_n = n;
	job_place(part, false, 0);
	if (part->state != JOB_READY)
		return;
	list_remove(&part->in_queue);
	if (!heap_has(&j->in_waiting)) {
		list_push_front(&j->in_queue, &part->in_queue);
		return;
	}
	j->destination->ready_n--;
	place_woken(part);
}

/* Those whose next attempt is still to come, to the end. Returns how many there are. */
static uint32_t put_deferred_last(struct job *j)
{
	int64_t now_ms = loop_wall_ms();
	uint32_t from = 0, to = j->recipients_n;

	message_lock(j->message);
	while (from < to) {
		uint32_t at = j->recipients[from];

		if (j->message->recipients[at].next_ms <= now_ms) {
			from++;
			continue;
		}
		j->recipients[from] = j->recipients[--to];
		j->recipients[to] = at;
	}
	message_unlock(j->message);
	return j->recipients_n - from;
}

void job_place_partly(struct job *j)
{
	uint32_t n = job_refresh(j), deferred = put_deferred_last(j);

	if (deferred && deferred < n) {
		struct job *part = part_of(j, j->recipients + n - deferred, deferred);

		j->recipients_n -= deferred;
		take_history(part);
		job_defer(part, part->next_ms);
	}
	if (n && deferred == n) {
		take_history(j);
		job_defer(j, j->next_ms);
		return;
	}
	j->next_ms = 0;
	job_place(j, true, 0);
}

void job_arrive(struct job *j, struct home *h)
{
	struct route_key k = route_key_of(j->message, j->recipients[0]);
	struct destination *d = destination_get(h, &k);

	j->destination = d;
	take_history(j);
	job_place(j, false, GRACE_NS);
	destination_update(d);
}

static void leave_waiting(struct job *j)
{
	struct destination *d = j->destination;

	assert(j->state == JOB_WAITING);
	d->waiting_n--;
	list_remove(&j->in_queue);
	heap_remove(&d->home->waiting, &j->in_waiting);
}

void job_take(struct job *j, enum job_place next)
{
	struct destination *d = j->destination;

	job_check(j);
	switch ((enum job_place)j->state) {
	case JOB_READY:
		d->ready_n--;
		if (heap_has(&j->in_waiting))
			take_woken(d, j);
		list_remove(&j->in_queue);
		break;
	case JOB_HELD:
		d->held_n--;
		list_remove(&j->in_queue);
		break;
	case JOB_WAITING:
		leave_waiting(j);
		break;
	case JOB_IN_FLIGHT:
		d->in_flight_n--;
		break;
	case JOB_SETTLING:
		d->settling_n--;
		break;
	case JOB_TRAVELLING:
		assert(!"a job on the way is in no place");
	}
	home_forget_deadline(d->home, j);
	j->state = (uint8_t)next;
	d->in_flight_n += next == JOB_IN_FLIGHT;
	d->settling_n += next == JOB_SETTLING;
}

void job_release(struct job *j, bool front)
{
	job_take(j, JOB_TRAVELLING);
	job_place(j, front, GRACE_NS);
}

void job_due(struct job *j)
{
	leave_waiting(j);
	place_ready(j, false);
	job_check(j);
	destination_update(j->destination);
}

void job_forget_time(struct job *j)
{
	j->next_ms = 0;
	message_lock(j->message);
	for (uint32_t i = 0; i < j->recipients_n; i++)
		j->message->recipients[j->recipients[i]].next_ms = 0;
	message_unlock(j->message);
}

void job_wake(struct job *j)
{
	job_forget_time(j);
	leave_waiting(j);
	place_woken(j);
	job_check(j);
}

void job_deadline(struct job *j)
{
	struct destination *d = j->destination;
	struct upcalls *up = &d->home->schedule->up;

	if (job_deadline_ms(j) > loop_wall_ms()) {
		job_set_deadline(j, 0);
		return;
	}
	job_take(j, JOB_SETTLING);
	destination_update(d);
	up->deadline(up->bounce, j);
}

void job_check(const struct job *j)
{
	bool ready = j->state == JOB_READY, waiting = j->state == JOB_WAITING;
	bool woken = ready && heap_has(&j->in_waiting);

	assert(list_is_empty(&j->in_queue) ==
	       (woken || !(ready || waiting || j->state == JOB_HELD)));
	assert(heap_has(&j->in_waiting) == (woken || waiting));
	assert(ready || waiting || !heap_has(&j->in_deadlines));
}
