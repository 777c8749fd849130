/*
 * inner - what the files of net/ know of each other: the structs behind the headers.
 *
 * Not for other folders. A task moves FREE -> READY -> RUNNING -> WAITING -> READY ...; what it
 * waits for are bits, so that a task_wake that comes while it waits for its socket is kept for its
 * next task_wait.
 */
#ifndef NET_INNER_H
#define NET_INNER_H

#include "net/loop.h"
#include "net/stack.h"
#include "net/stream.h"
#include "net/switch.h"

#include <pthread.h>
#include <stdatomic.h>

#define EVENTS_PER_TURN 256
#define HOOKS_MAX 8

/* Why a waiting task may go on. */
#define WAKE_USER 1		/* task_wake */
#define WAKE_IO 2		/* its stream */
#define WAKE_OFFLOAD 4		/* its pool job is done */
#define WAKE_GROUP 8		/* the group that it waits for is empty */

enum task_state { TASK_FREE, TASK_READY, TASK_RUNNING, TASK_WAITING };

/* At the top of its stack: one mapping, and the page is touched anyway. */
struct task {
	struct context context;
	struct loop *loop;
	struct task *next;		/* in the loop's queue while READY */
	/* may be set to an earlier time than .deadline, never to a later one */
	struct timer timer;
	uint64_t deadline;		/* of the wait under way */
	uint64_t parked_at;		/* when it began to wait */
	uint8_t state;			/* enum task_state */
	uint8_t wakes;			/* WAKE_* that came and were not taken yet */
	uint8_t waits_for;		/* WAKE_*, while WAITING */
	bool can_cancel;		/* the wait under way */
	bool cancelled;
	bool trimmed;			/* since it was parked */
	bool has_note;
	unsigned moved;			/* octets since the last suspension */
	uint8_t note_id[16];
	const char *note_stage;		/* a literal, or NULL */
	const char *note_peer;		/* borrowed from the session, or NULL */
	void (*fn)(void *arg);
	void *arg;
	const char *name;
	struct task_group *group;
	struct list group_link;
	struct stack stack;
#if FIBERS_ASAN
	void *fake_stack;
#endif
#if FIBERS_TSAN
	void *fiber;
#endif
};

struct task_queue {
	struct task *first, *last;
	unsigned n;
};

struct hook {
	void (*fn)(void *arg);
	void *arg;
};

struct buffer {			/* a free stream buffer */
	struct buffer *next;
};

struct loop {
	/* What other threads write, apart from what the loop writes all the time. */
	_Atomic(struct post *) posts;	/* newest first */
	struct post *taken;		/* out of .posts, oldest first */
	atomic_bool sleeps;		/* a poster must wake it */
	char pad[64];

	struct net *net;
	struct world *world;
	_Atomic(struct actor *) actor;
	unsigned index;
	int poller;
	uint64_t now;
	int64_t wall_ms;
	struct heap timers;
	struct task *current;		/* the task that runs; NULL: the loop itself */
	struct context context;		/* the loop's own */
	struct task_queue ready;	/* may run in this turn */
	struct task_queue yielded;	/* have had their share of it */
	bool stopping;

	struct stack_pool stacks;
	struct timer sweep;		/* looks for stacks to trim */
	unsigned sweep_slab, sweep_index;
	bool sweep_left;		/* this round saw stacks that are still too young */

	struct buffer *buffers;		/* free ones; the top was used last */
	unsigned buffers_n;

	struct crash_note *page;	/* shared memory, or NULL */
	bool page_used;
	struct hook hooks[HOOKS_MAX];
	unsigned hooks_n;
	struct loop_stats stats;

	struct poll_event events[EVENTS_PER_TURN];
	int events_at, events_n;	/* those not handled yet, see loop_poll_remove */
#if FIBERS_ASAN
	void *fake_stack;
	const void *stack_low;		/* the thread's own */
	size_t stack_size;
#endif
#if FIBERS_TSAN
	void *fiber;
#endif
};

struct worker {			/* a pool thread */
	struct pool *pool;
	struct actor *actor;
	struct list link;		/* in pool->idle */
	bool idle;
};

struct pool {
	struct world *world;
	pthread_mutex_t lock;		/* jobs, idle, stopping */
	struct list jobs, idle;
	bool stopping;
	unsigned n;
	struct worker *workers;		/* owned */
};

struct net {
	struct world *world;
	unsigned n;
	struct loop **loops;		/* owned */
	struct pool pool;
	bool started;
	int reserve_from;		/* see net_reserve; 0: none */
};

/* ---- loop.c */
void loop_set_self(struct loop *l);
char *loop_buffer_get(struct loop *l);	/* STREAM_BUFFER octets */
void loop_buffer_put(struct loop *l, char *p);

/* ---- task.c */
void tasks_init(struct loop *l);
void tasks_done(struct loop *l);
void tasks_new_turn(struct loop *l);	/* those that yielded are ready again */
bool tasks_run(struct loop *l);		/* those that are ready; whether there were any */
void tasks_sweep(struct timer *t);
static inline bool tasks_are_ready(const struct loop *l)
{
	return l->ready.first || l->yielded.first;
}

/* Wait until one of the wakes (WAKE_*) comes: 0, -ETIMEDOUT, -ECANCELED. */
int task_wait_for(unsigned wakes, uint64_t deadline) SUSPENDS;
void task_wait_for_uncancellable(unsigned wakes) SUSPENDS;
void task_signal(struct task *t, unsigned wake);
void task_write_note(struct loop *l, const struct task *t);

/* ---- offload.c */
void offload_init(struct pool *p, struct world *w, unsigned n);
void offload_start(struct pool *p);
void offload_done(struct pool *p);

#endif
