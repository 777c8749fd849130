/*
 * command - the queue commands' view of the queues: retry, hold, release, remove, and what stands
 * where.
 *
 * A question goes to one home after the other and waits for each answer; the homes change what is
 * theirs. Jobs that are in flight are never touched: the slot's report decides, or the home sees
 * the message's flags when they come back.
 */
#include "schedule/home.h"

struct question {
	struct post post;
	struct schedule *schedule;
	struct home *home;
	struct loop *asker_loop;
	struct task *asker;
	bool answered;
	void (*fn)(struct question *q);		/* at the home */
	struct message *message;
	enum queue_command command;
	uint32_t recipient;
	unsigned touched, busy;
	struct job_state *state;
	void (*each)(void *arg, const struct destination_state *d);
	void *arg;
};

static void on_answer(struct post *p)
{
	struct question *q = CONTAINER_OF(p, struct question, post);

	q->answered = true;
	task_wake(q->asker);
}

static void on_question(struct post *p)
{
	struct question *q = CONTAINER_OF(p, struct question, post);

	q->fn(q);
	home_fill(q->home);
	home_arm(q->home);
	loop_post(q->asker_loop, &q->post, on_answer);
}

static void ask(struct question *q, struct home *h) SUSPENDS
{
	q->home = h;
	q->asker_loop = loop_self();
	q->asker = task_self();
	q->answered = false;
	loop_post(h->loop, &q->post, on_question);
	while (!q->answered)
		task_wait_uncancellable();
}

static void ask_all(struct question *q) SUSPENDS
{
	for (unsigned i = 0; i < q->schedule->homes_n; i++)
		ask(q, &q->schedule->homes[i]);
}

/*
 * This home's jobs of a message, in an array of its own (mem_free); *ret_n how many. Jobs on the
 * way here are not among them: their post was made before the question's by the one who committed
 * the message, or they are of another home.
 */
static struct job **own_jobs(const struct question *q, unsigned *ret_n)
{
	struct message *m = q->message;
	unsigned room = atomic_load(&m->jobs_n), n = 0;
	struct job **jobs = mem_calloc(room, sizeof(struct job *)), *first, *at;

	message_lock(m);
	at = first = m->jobs;
	while (at && n < room) {
		if (at->home == loop_index(q->home->loop) && at->state != JOB_TRAVELLING)
			jobs[n++] = at;
		at = LIST_ENTRY(at->in_message.next, struct job, in_message);
		if (at == first)
			break;
	}
	message_unlock(m);
	*ret_n = n;
	return jobs;
}

static bool is_lent(const struct job *j)
{
	return j->state == JOB_IN_FLIGHT || j->state == JOB_SETTLING;
}

/* ---- retry, hold, release */

static bool retry(struct job *j)
{
	struct destination *d = j->destination;

	if (j->state == JOB_HELD)
		return false;
	if (j->state == JOB_WAITING) {
		j->next_ms = 0;
		job_due(j);
	}
	if (destination_is_resting(d)) {
		/* `retry all` wakes it for each message: that must not lengthen its next rest */
		d->failures = 0;
		destination_wake(d);
	}
	return true;
}

static bool command_job(struct job *j, enum queue_command c)
{
	struct destination *d = j->destination;

	if (is_lent(j))
		return c == QUEUE_HOLD;		/* it is held when it comes back */
	switch (c) {
	case QUEUE_RETRY:
		return retry(j);
	case QUEUE_HOLD:
	case QUEUE_RELEASE:
		if ((j->state == JOB_HELD) == (c == QUEUE_HOLD))
			return false;
		job_release(j, false);
		destination_update(d);
		return true;
	}
	return false;
}

static void command_at_home(struct question *q)
{
	unsigned n;
	struct job **jobs = own_jobs(q, &n);

	for (unsigned i = 0; i < n; i++)
		q->touched += command_job(jobs[i], q->command);
	mem_free(jobs);
}

unsigned schedule_command(struct schedule *s, enum queue_command c, struct message *m)
{
	struct question q = { .schedule = s, .fn = command_at_home, .message = m, .command = c };

	ask_all(&q);
	return q.touched;
}

/* ---- remove */

static void remove_at_home(struct question *q)
{
	unsigned n;
	struct job **jobs = own_jobs(q, &n);

	for (unsigned i = 0; i < n; i++) {
		struct destination *d = jobs[i]->destination;

		if (is_lent(jobs[i])) {
			q->busy++;
			continue;
		}
		job_take(jobs[i], JOB_TRAVELLING);
		job_end(jobs[i]);
		destination_update(d);
		q->touched++;
	}
	mem_free(jobs);
}

unsigned schedule_remove(struct schedule *s, struct message *m, unsigned *ret_busy)
{
	struct question q = { .schedule = s, .fn = remove_at_home, .message = m };

	ask_all(&q);
	*ret_busy = q.busy;
	return q.touched;
}

unsigned schedule_jobless(struct schedule *s, struct message *m, uint32_t *indices)
{
	struct job_state *state = mem_alloc(sizeof(*state));
	unsigned n = 0;

	for (uint32_t i = 0; i < m->recipients_n && atomic_load(&m->is_scheduled); i++) {
		uint8_t now;

		message_lock(m);
		now = m->recipients[i].state;
		message_unlock(m);
		if (now == RECIPIENT_QUEUED && !schedule_job_state(s, m, i, state))
			indices[n++] = i;
	}
	mem_free(state);
	return n;
}

/* ---- what stands where */

static int64_t wall_of(uint64_t at)
{
	return at > loop_now() ? loop_wall_ms() + (int64_t)((at - loop_now()) / MILLISECOND)
			       : loop_wall_ms();
}

static void describe(const struct destination *d, struct destination_state *ret)
{
	*ret = (struct destination_state){
		.ready = d->ready_n, .waiting = d->waiting_n, .held = d->held_n,
		.in_flight = d->in_flight_n + d->settling_n, .slots = d->slots,
		.resting = destination_is_resting(d), .failures = d->failures,
	};
	if (ret->resting)
		ret->rests_until_ms = wall_of(heap_key(&d->home->resting, &d->in_resting));
	str_copy(ret->name, sizeof(ret->name), str_of(destination_name(d)));
	str_copy(ret->said, sizeof(ret->said), str_of(d->said));
}

static void each_at_home(struct question *q)
{
	struct map *all = &q->home->destinations;

	for (struct map_node *n = map_walk(all, NULL); n; n = map_walk(all, n)) {
		struct destination_state state;

		describe(CONTAINER_OF(n, struct destination, node), &state);
		q->each(q->arg, &state);
	}
}

void schedule_destinations(struct schedule *s,
			   void (*fn)(void *arg, const struct destination_state *d), void *arg)
{
	struct question q = { .schedule = s, .fn = each_at_home, .each = fn, .arg = arg };

	ask_all(&q);
}

static const char *const place_names[] = {
	[JOB_TRAVELLING] = "ready", [JOB_READY] = "ready",	   [JOB_WAITING] = "waiting",
	[JOB_HELD] = "held",	    [JOB_IN_FLIGHT] = "in-flight", [JOB_SETTLING] = "in-flight",
};

static void describe_job(const struct job *j, struct job_state *ret)
{
	const struct destination *d = j->destination;

	*ret = (struct job_state){ .next_ms = 0 };
	str_copy(ret->destination, sizeof(ret->destination), str_of(destination_name(d)));
	str_copy(ret->state, sizeof(ret->state), str_of(place_names[j->state]));
	if (j->state == JOB_WAITING)
		ret->next_ms = wall_of(heap_key(&d->home->waiting, &j->in_waiting));
	else if (j->state == JOB_READY && destination_is_resting(d))
		ret->next_ms = wall_of(heap_key(&d->home->resting, &d->in_resting));
	if (j->state == JOB_READY)
		str_copy(ret->said, sizeof(ret->said), str_of(d->said));
}

static bool has_recipient(const struct job *j, uint32_t recipient)
{
	for (uint32_t i = 0; i < j->recipients_n; i++)
		if (j->recipients[i] == recipient)
			return true;
	return false;
}

static void state_at_home(struct question *q)
{
	unsigned n;
	struct job **jobs = own_jobs(q, &n);

	for (unsigned i = 0; i < n && !q->touched; i++) {
		if (!has_recipient(jobs[i], q->recipient))
			continue;
		describe_job(jobs[i], q->state);
		q->touched = 1;
	}
	mem_free(jobs);
}

bool schedule_job_state(struct schedule *s, struct message *m, uint32_t recipient,
			struct job_state *ret)
{
	struct question q = {
		.schedule = s,
		.fn = state_at_home,
		.message = m,
		.recipient = recipient,
		.state = ret,
	};
	struct route_key k = route_key_of(m, recipient);

	ask(&q, home_of(s, k.hash));
	return q.touched;
}
