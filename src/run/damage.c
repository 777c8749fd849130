/*
 * damage - gives up a message that was found damaged on disk (promise D9).
 *
 * Delivery that meets damage lets the message fail by itself. But the sweeper or a command may be
 * first, long before the next attempt, and the destination may be down for days: so the message is
 * taken out of the queues here, its recipients fail, and the sender gets a notice made of the
 * envelope, which is in memory. What a slot has in its hands is left to it.
 */
#include "run/worker.h"

#include "base/mem.h"
#include "control/on_loop.h"

struct damaged {
	struct post post;
	struct worker *worker;
	struct message *message; /* counted */
};

static void damaged_free(struct damaged *d)
{
	message_unref(d->message);
	mem_free(d);
}

static void damaged_task(void *arg)
{
	const struct reply reply = {
		.enhanced = { 5, 3, 0 },
		.text = STR("the message was damaged on this relay's disk"),
	};
	struct damaged *d = arg;
	struct schedule *s = d->worker->schedule;
	struct outcome *out = mem_calloc(d->message->recipients_n, sizeof(*out));
	uint32_t *indices = mem_calloc(d->message->recipients_n, sizeof(*indices));
	unsigned n, busy = 0;

	task_note(&d->message->id, "damaged");
	schedule_remove(s, d->message, &busy);
	n = schedule_jobless(s, d->message, indices);
	for (unsigned i = 0; i < n; i++)
		out[i] = (struct outcome){ .recipient = indices[i], .state = RECIPIENT_FAILED,
			.reply = reply };
	/* cancelled by a shutdown: recovery will find them open, and the damage again */
	if (n)
		bounce_settle(d->worker->bounce, d->message, out, n, 1);
	task_note(NULL, "");
	mem_free(indices);
	mem_free(out);
	damaged_free(d);
}

/* No stack to be had: it stays in its queue, and its delivery will meet the damage. */
static void damaged_start(struct post *p)
{
	struct damaged *d = CONTAINER_OF(p, struct damaged, post);

	if (!task_start(&d->worker->damaged, damaged_task, d, "damaged"))
		damaged_free(d);
}

static void on_damaged(void *arg, struct message *m)
{
	struct damaged *d = mem_zalloc(sizeof(*d));

	d->worker = arg;
	d->message = message_ref(m);
	loop_post(net_loop(d->worker->net, 0), &d->post, damaged_start);
}

void damaged_begin(struct worker *w)
{
	task_group_init(&w->damaged);
	spool_set_damaged(w->spool, on_damaged, w);
}

static void end_task(void *arg) /* SUSPENDS: a task's entry */
{
	struct worker *w = arg;

	task_group_cancel(&w->damaged);
	task_group_wait(&w->damaged, NEVER);
}

void damaged_end(struct worker *w)
{
	spool_set_damaged(w->spool, NULL, NULL);
	on_loop(w->net, 0, end_task, w);
}
