/*
 * deadline - a job's warning or expiry is due: a task of its own settles it; see bounce.h.
 *
 * Called by the job's home. The open recipients that have something due are settled as if an
 * attempt had brought nothing new: notice_judge sees by the clock what is due, so warning and
 * expiry are one path, and a time that came early does no harm. The reason told is what the last
 * attempt left with the recipient.
 *
 * If no task can be started the job is kept here and tried again: it must not be lost (D9).
 * bounce_stop cancels tasks that wait for the spool; their jobs go back unsettled.
 */
#include "bounce/service.h"

#include "base/mem.h"

#include <stdatomic.h>

#define AGAIN_MS 1000	/* before a task is tried again */

struct deadline {
	struct bounce *bounce;
	struct job *job;	/* lent by its home until schedule_settled */
	struct timer again;
};

/* What is open and has something due; another destination's notice may have told of it already. */
static unsigned find_due(const struct deadline *d, uint32_t *indices)
{
	struct config *c = config_current();
	struct message *m = d->job->message;
	unsigned open = job_open(d->job, indices), n = 0;

	for (unsigned i = 0; i < open; i++) {
		bool warned;

		message_lock(m);
		warned = m->recipients[indices[i]].warned;
		message_unlock(m);
		if (notice_is_due(c, m, indices[i], warned, loop_wall_ms()))
			indices[n++] = indices[i];
	}
	config_unref(c);
	return n;
}

static void settle(struct deadline *d) SUSPENDS
{
	struct job *job = d->job;
	uint32_t *due = mem_calloc(job->recipients_n, sizeof(*due));
	unsigned n = find_due(d, due);
	struct outcome *outcomes = mem_calloc(n, sizeof(*outcomes));
	struct recalled *memories = mem_calloc(n, sizeof(*memories));

	for (unsigned i = 0; i < n; i++) {
		recall(job->message, due[i], &memories[i]);
		outcomes[i] = memories[i].outcome;
	}
	if (n)
		bounce_settle(d->bounce, job->message, outcomes, n, job->attempts);
	for (unsigned i = 0; i < n; i++)
		mem_free(memories[i].last);
	mem_free(memories);
	mem_free(outcomes);
	mem_free(due);
}

static void deadline_task(void *arg)
{
	struct deadline *d = arg;

	task_note(&d->job->message->id, "deadline");
	settle(d);
	task_note(NULL, "deadline");
	schedule_settled(d->bounce->schedule, d->job);
	mem_free(d);
}

static void start(struct deadline *d)
{
	struct task_group *group = &d->bounce->deadlines[loop_index(loop_self())];

	if (!task_start(group, deadline_task, d, "deadline"))
		timer_set(&d->again, in_ms(AGAIN_MS));
}

static void start_again(struct timer *t)
{
	start(CONTAINER_OF(t, struct deadline, again));
}

void bounce_deadline(void *bounce, struct job *job)
{
	struct deadline *d = mem_zalloc(sizeof(*d));

	d->bounce = bounce;
	d->job = job;
	timer_init(&d->again, start_again);
	start(d);
}

/* ---- the end */

#define LOOK_AGAIN (2 * MILLISECOND)

struct stopping {
	struct bounce *bounce;
	_Atomic unsigned left;	/* loops whose tasks are not gone yet */
};

struct stop_post {
	struct post post;
	struct stopping *stopping;
};

static void stop_task(void *arg)
{
	struct stopping *s = arg;
	struct task_group *group = &s->bounce->deadlines[loop_index(loop_self())];

	task_group_cancel(group);
	task_group_wait(group, NEVER);
	atomic_fetch_sub(&s->left, 1);
}

static void stop_on_loop(struct post *p)
{
	struct stop_post *sp = CONTAINER_OF(p, struct stop_post, post);
	struct task_group *group = &sp->stopping->bounce->deadlines[loop_index(loop_self())];

	if (!group->n) {
		atomic_fetch_sub(&sp->stopping->left, 1);
	} else if (!task_start(NULL, stop_task, sp->stopping, "bounce-stop")) {
		/* Stacks are used up: those tasks are on their way out, and it is looked at again.
		 */
		task_group_cancel(group);
		loop_post(loop_self(), p, stop_on_loop);
	}
}

static int64_t is_stopped_step(void *arg)
{
	struct stopping *s = arg;

	return atomic_load(&s->left) ? (int64_t)LOOK_AGAIN : STEP_DONE;
}

/* Waits by an actor that looks at a counter: that works in the simulated world too, where no thread
 * may block. */
void bounce_stop(struct bounce *b)
{
	struct world *w = net_world(b->net);
	unsigned workers = net_workers(b->net);
	struct stop_post *posts = mem_calloc(workers, sizeof(*posts));
	struct stopping s = { .bounce = b, .left = workers };

	for (unsigned i = 0; i < workers; i++) {
		posts[i].stopping = &s;
		loop_post(net_loop(b->net, i), &posts[i].post, stop_on_loop);
	}
	w->actor_join(w, w->actor_start(w, "bounce-stop", is_stopped_step, &s));
	mem_free(posts);
}
