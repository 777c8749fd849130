/*
 * question - what a task wants to know or have done at a home: it goes there by post and comes
 * back.
 *
 * One home after the other, so that what a question calls is serialised. The answer may come later,
 * when a walk is over. Not cancelled: the question lies on the stack of who asks.
 */
#include "schedule/home.h"

static void on_answer(struct post *p)
{
	struct question *q = CONTAINER_OF(p, struct question, post);

	q->answered = true;
	task_wake(q->asker);
}

void question_answer(struct question *q)
{
	home_fill(q->home);
	home_arm(q->home);
	loop_post(q->asker_loop, &q->post, on_answer);
}

static void on_question(struct post *p)
{
	struct question *q = CONTAINER_OF(p, struct question, post);

	if (q->fn(q))
		question_answer(q);
}

void question_ask(struct question *q, struct home *h)
{
	q->home = h;
	q->asker_loop = loop_self();
	q->asker = task_self();
	q->answered = false;
	loop_post(h->loop, &q->post, on_question);
	while (!q->answered)
		task_wait_uncancellable();
}

void question_ask_all(struct question *q)
{
	for (unsigned i = 0; i < q->schedule->homes_n; i++)
		question_ask(q, &q->schedule->homes[i]);
}
