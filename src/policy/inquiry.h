/*
 * inquiry - several questions at once: a small task for each, and the asker waits for all of them.
 *
 * Belongs to the task that asks, on its stack or in its memory: no question outlives inquiry_wait,
 * not even when the asker is cancelled. Each has a deadline of its own in its function.
 */
#ifndef POLICY_INQUIRY_H
#define POLICY_INQUIRY_H

#include "net/task.h"

struct inquiry {
	struct task_group questions;
};

void inquiry_init(struct inquiry *q);
/* fn(arg) beside the others. False: no task could be started, so that question is not asked. */
bool inquiry_ask(struct inquiry *q, void (*fn)(void *arg), void *arg);
/* Until all have ended. A cancelled asker cancels them, and stays cancelled. */
void inquiry_wait(struct inquiry *q) SUSPENDS;

#endif
