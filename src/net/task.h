/*
 * task - stackful coroutines: conversations that read like the RFC.
 *
 * A task belongs to one loop for life and runs on its thread. It runs until it suspends; every
 * function that may suspend says SUSPENDS in its prototype, and every function that calls one says
 * it too (make tidy follows the calls). Waits end with 0 or a count, -ETIMEDOUT (the deadline
 * passed) or -ECANCELED (somebody cancelled the task; every further wait says so again at once,
 * until task_uncancel), so time-outs, shutdown and errors unwind along one path. Nothing borrowed
 * from a shared structure, and no lock, may be held across a suspension. errno is not kept across
 * one.
 *
 * Deadlines are absolute, in the loop's nanoseconds (loop_now); NEVER means none.
 *
 * Stacks are TASK_STACK bytes reserved, a few KiB touched, guarded below. Frames are at most 1 KiB
 * (-Wframe-larger-than); what needs more uses the heap or net_offload. Backends: our switch
 * (x86-64, aarch64), ucontext, and -DTASKS_threads, in which each task is a thread passing a baton.
 */
#ifndef NET_TASK_H
#define NET_TASK_H

#include "base/list.h"
#include "base/str.h"

#define SUSPENDS		/* marks prototypes; means something to tools/tidy only */
#define NEVER UINT64_MAX
#define TASK_STACK (64 * 1024)

struct loop;
struct task;

/*
 * Tasks that are cancelled and waited for together: the sessions of a listener, the slots of a
 * destination.
 */
struct task_group {
	struct list tasks;
	unsigned n;
	struct task *waiter;	/* private */
};

void task_group_init(struct task_group *g);
void task_group_cancel(struct task_group *g);	/* all of them; they unwind when next scheduled */
int task_group_wait(struct task_group *g, uint64_t deadline) SUSPENDS; /* until it is empty */

/*
 * Start fn(arg) as a task of the current loop; it runs when the caller suspends or returns to the
 * loop. group may be NULL. name: a literal, for stacks and logs. NULL when stacks are used up
 * (admission refuses: 421).
 */
struct task *task_start(struct task_group *g, void (*fn)(void *arg), void *arg, const char *name);

struct task *task_self(void);		/* NULL outside tasks */
const char *task_name(const struct task *t);
void task_cancel(struct task *t);	/* same loop only */
bool task_is_cancelled(void);
void task_uncancel(void);		/* the current task: for a farewell (421) after a cancel */

/*
 * Wait until task_wake. A wake that came before is not lost: the next task_wait returns 0 at once,
 * once. So a wake may be a stale one: look again at what was waited for.
 */
int task_wait(uint64_t deadline) SUSPENDS;
void task_wake(struct task *t);		/* from the same loop */
int task_sleep_until(uint64_t deadline) SUSPENDS; /* 0, or -ECANCELED */
void task_yield(void) SUSPENDS;		/* lets the other runnable tasks and sockets have a turn */

/*
 * A wait that cancellation does not end (spool_commit): returns only when woken. A stale wake
 * counts: loop.
 */
void task_wait_uncancellable(void) SUSPENDS;

/*
 * What this task works on, for the page shared with the supervisor (a message that is present at
 * two crashes is held). id: 16 bytes of message id, NULL for none. stage: a literal.
 */
void task_note(const void *id, const char *stage);
/* whom it talks to; borrowed until the task ends or notes another, NULL for none */
void task_note_peer(const char *peer);

/*
 * Octets moved since the last suspension: over 64 KiB yields, so that a fast peer cannot keep the
 * loop.
 */
void task_moved(size_t n) SUSPENDS;

#endif
