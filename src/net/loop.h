/*
 * loop - one per core: sockets, timers, posts from other threads, and the tasks that run on it.
 *
 * net_start makes the loops and the pool. Everything but loop_post and net_* is for the loop's own
 * thread.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/heap.h"
#include "base/list.h"
#include "net/task.h"
#include "net/world.h"

#define MILLISECOND 1000000ull
#define SECOND 1000000000ull

struct net;		/* the loops and the pool of one relay */

/* workers: how many loops. pool: how many pool threads. Never fails but by aborting. */
struct net *net_new(struct world *w, unsigned workers, unsigned pool);
/*
 * Descriptors from this number on are not for connections that come in (the system hands out the
 * lowest free one), but for listeners with .may_use_reserve: what goes out, files and the control
 * socket still have them when clients took all others. Before net_start.
 */
void net_reserve(struct net *n, int from);
void net_start(struct net *n);		/* the loops begin to run */
/*
 * Ends the loops (whose tasks must have ended) and the pool, waits for them and frees everything.
 * From outside the loops.
 */
void net_stop(struct net *n);
unsigned net_workers(const struct net *n);
struct loop *net_loop(struct net *n, unsigned index);
struct world *net_world(struct net *n);

struct loop *loop_self(void);		/* the current thread's; NULL elsewhere */
unsigned loop_index(const struct loop *l);
struct net *loop_net(const struct loop *l);
struct world *loop_world(const struct loop *l);
struct world *world_self(void);		/* loop_world(loop_self()) */
uint64_t loop_now(void);		/* ns; read once per turn of the loop, cheap */
int64_t loop_wall_ms(void);		/* ms since 1970; read once per turn */

/* A deadline that many seconds or milliseconds from now. */
uint64_t in_seconds(uint64_t s);
uint64_t in_ms(uint64_t ms);

/*
 * A post: fn(post) runs on loop l soon, outside any task, in order of posting per poster; it must
 * not suspend. Any thread may post. The struct belongs to the loop until fn is called (embed it in
 * what is sent).
 */
struct post {
	struct post *next;	/* private */
	void (*fn)(struct post *);
};

void loop_post(struct loop *l, struct post *p, void (*fn)(struct post *));

/*
 * Something that the loop's poller watches: a stream, a listener, a foreign library's socket.
 * ready(p, POLL_*) is called outside tasks; it may remove itself and others.
 */
struct pollable {
	void (*ready)(struct pollable *, unsigned events);
};

/* world.h: poll_add */
int loop_poll_add(struct loop *l, struct pollable *p, int fd, unsigned flags);
/* ready is not called any more */
void loop_poll_remove(struct loop *l, struct pollable *p, int fd);

/* A timer: fn(timer) runs once at or after its time, outside any task; may set itself again. */
struct timer {
	struct heap_node node;
	void (*fn)(struct timer *);
};

void timer_init(struct timer *t, void (*fn)(struct timer *));
void timer_set(struct timer *t, uint64_t at);	/* moves it if it was set */
void timer_clear(struct timer *t);
bool timer_is_set(const struct timer *t);

/*
 * fn(arg) on a pool thread; waits for it, returns what it returns. Cannot be cancelled. For what
 * blocks: files, password hashes, getaddrinfo. Outside a task (start-up) it simply calls fn.
 */
int net_offload(int (*fn)(void *arg), void *arg) SUSPENDS;

/*
 * Called at the end of each turn, before the loop sleeps: flush logs, hand gathered work on. At
 * most 8.
 */
void loop_at_turn_end(struct loop *l, void (*fn)(void *arg), void *arg);

/*
 * What was noted by task_note for the task that runs now, kept in the page given here (see run/).
 */
struct crash_note {
	uint8_t id[16];		/* all zero: none */
	char stage[32];
	char peer[64];
};

/* shared memory, one per loop */
void loop_set_note_page(struct loop *l, struct crash_note *page);

/* For metrics and tests. */
struct loop_stats {
	uint64_t turns, switches, tasks_live, tasks_peak, stacks_mapped;
};

void loop_stats(const struct loop *l, struct loop_stats *ret);

#endif
