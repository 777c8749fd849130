/*
 * command - the queue commands' view of the queues: retry, hold, release, remove, and what stands
 * where.
 *
 * An order goes to one home after the other and waits for each answer; the homes change what is
 * theirs. Jobs that are in flight are never touched: the slot's report decides, or the home sees
 * the message's flags when they come back.
 */
#include "schedule/home.h"

struct order {
	struct question question;
	struct message *message;
	enum queue_command command;
	uint32_t recipient;
	unsigned touched, busy;
	struct job_state *state;
};

static struct order *order_of(struct question *q)
{
	return CONTAINER_OF(q, struct order, question);
}

/*
 * This home's jobs of a message, in an array of its own (mem_free); *ret_n how many. Jobs on the
 * way here are not among them: their post was made before the question's by the one who committed
 * the message, or they are of another home.
 */
static struct job **own_jobs(const struct order *o, unsigned *ret_n)
{
	struct message *m = o->message;
	unsigned room = atomic_load(&m->jobs_n), n = 0;
	struct job **jobs = mem_calloc(room, sizeof(struct job *)), *first, *at;

	message_lock(m);
	at = first = m->jobs;
	while (at && n < room) {
		if (at->home == loop_index(o->question.home->loop) && at->state != JOB_TRAVELLING)
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
	if (j->state == JOB_HELD)
		return false;
	if (j->state == JOB_WAITING) {
		job_forget_time(j);
		job_due(j);
	}
	destination_rouse(j->destination);
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

static bool command_at_home(struct question *q)
{
	struct order *o = order_of(q);
	unsigned n;
	struct job **jobs = own_jobs(o, &n);

	for (unsigned i = 0; i < n; i++)
		o->touched += command_job(jobs[i], o->command);
	mem_free(jobs);
	return true;
}

unsigned schedule_command(struct schedule *s, enum queue_command c, struct message *m)
{
	struct order o = {
		.question = { .schedule = s, .fn = command_at_home },
		.message = m,
		.command = c,
	};

	question_ask_all(&o.question);
	return o.touched;
}

/* ---- remove */

static bool remove_at_home(struct question *q)
{
	struct order *o = order_of(q);
	unsigned n;
	struct job **jobs = own_jobs(o, &n);

	for (unsigned i = 0; i < n; i++) {
		struct destination *d = jobs[i]->destination;

		if (is_lent(jobs[i])) {
			o->busy++;
			continue;
		}
		job_take(jobs[i], JOB_TRAVELLING);
		job_end(jobs[i]);
		destination_update(d);
		o->touched++;
	}
	mem_free(jobs);
	return true;
}

unsigned schedule_remove(struct schedule *s, struct message *m, unsigned *ret_busy)
{
	struct order o = {
		.question = { .schedule = s, .fn = remove_at_home },
		.message = m,
	};

	question_ask_all(&o.question);
	*ret_busy = o.busy;
	return o.touched;
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

static const char *const place_names[] = {
	[JOB_TRAVELLING] = "ready", [JOB_READY] = "ready",	   [JOB_WAITING] = "waiting",
	[JOB_HELD] = "held",	    [JOB_IN_FLIGHT] = "in-flight", [JOB_SETTLING] = "in-flight",
};

static void describe_job(const struct job *j, struct job_state *ret)
{
	const struct destination *d = j->destination;
	bool is_shut = d->is_suspended && (j->state == JOB_READY || j->state == JOB_WAITING);

	*ret = (struct job_state){ .next_ms = 0 };
	str_copy(ret->destination, sizeof(ret->destination), str_of(destination_name(d)));
	str_copy(ret->state, sizeof(ret->state),
		 str_of(is_shut ? "suspended" : place_names[j->state]));
	if (j->state == JOB_WAITING)
		ret->next_ms = wall_of(heap_key(&d->home->waiting, &j->in_waiting));
	else if (j->state == JOB_READY && destination_is_resting(d))
		ret->next_ms = wall_of(heap_key(&d->home->resting, &d->in_resting));
	if (is_shut || j->state == JOB_READY)
		destination_why(d, ret->said, sizeof(ret->said));
}

static bool has_recipient(const struct job *j, uint32_t recipient)
{
	for (uint32_t i = 0; i < j->recipients_n; i++)
		if (j->recipients[i] == recipient)
			return true;
	return false;
}

static bool state_at_home(struct question *q)
{
	struct order *o = order_of(q);
	unsigned n;
	struct job **jobs = own_jobs(o, &n);

	for (unsigned i = 0; i < n && !o->touched; i++) {
		if (!has_recipient(jobs[i], o->recipient))
			continue;
		describe_job(jobs[i], o->state);
		o->touched = 1;
	}
	mem_free(jobs);
	return true;
}

bool schedule_job_state(struct schedule *s, struct message *m, uint32_t recipient,
			struct job_state *ret)
{
	struct order o = {
		.question = { .schedule = s, .fn = state_at_home },
		.message = m,
		.recipient = recipient,
		.state = ret,
	};
	struct route_key k = route_key_of(m, recipient);

	question_ask(&o.question, home_of(s, k.hash));
	return o.touched;
}
