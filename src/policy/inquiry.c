/*
 * inquiry - see inquiry.h.
 *
 * The one thing that is not plain: a cancelled task may not wait, and yet its questions hold
 * pointers into its memory. So they are cancelled too, which ends each of them in the same turn or
 * the next, and the asker waits for that with its own cancellation put aside.
 */
#include "policy/inquiry.h"

void inquiry_init(struct inquiry *q)
{
	task_group_init(&q->questions);
}

bool inquiry_ask(struct inquiry *q, void (*fn)(void *arg), void *arg)
{
	return task_start(&q->questions, fn, arg, "inquiry") != NULL;
}

void inquiry_wait(struct inquiry *q)
{
	bool was_cancelled = false;

	while (task_group_wait(&q->questions, NEVER) < 0) {
		was_cancelled = true;
		task_group_cancel(&q->questions);
		task_uncancel();
	}
	if (was_cancelled)
		task_cancel(task_self());
}
