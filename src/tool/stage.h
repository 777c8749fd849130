/*
 * stage - a relay's test tool on its own threads: what send, sink and load share.
 *
 * stage_open starts the loops with all signals blocked, so that the main thread alone takes SIGINT
 * and SIGTERM, and stage_wait gives it time: until something is done (stage_done, any thread), a
 * signal, or a time. For the command line only, in the real world.
 */
#ifndef TOOL_STAGE_H
#define TOOL_STAGE_H

#include "net/loop.h"

struct stage {
	struct net *net;
	_Atomic bool done;
	bool interrupted;	/* SIGINT or SIGTERM came */
	uint64_t start_ns;
};

void stage_open(struct stage *s, unsigned workers);
void stage_close(struct stage *s);	/* all tasks have ended */
void stage_done(struct stage *s);	/* any thread: stage_wait returns */
/* Returns true when done or interrupted, false when that time has passed. */
bool stage_wait(struct stage *s, uint64_t ns);
uint64_t stage_now(void);		/* ns, monotonic; any thread */

/* fn(arg) as a task of that loop. From outside the loops. */
void stage_start_task(struct stage *s, unsigned worker, void (*fn)(void *arg), void *arg,
		      const char *name);
/* The same; waits until it has ended. */
void stage_run_task(struct stage *s, unsigned worker, void (*fn)(void *arg), void *arg,
		    const char *name);
/* fn(arg) on that loop, outside tasks; waits until it has run. From outside the loops. */
void stage_call(struct stage *s, unsigned worker, void (*fn)(void *arg), void *arg);

/* "HOST:PORT", also by name (blocks); a sentence in error if not. */
bool stage_resolve(const char *text, uint16_t port_default, struct endpoint *ret,
		   struct buf *error);

/* Processor seconds of this process so far. */
double stage_cpu_s(void);

/* The whole file, or standard input (NULL or "-"). 0, or -errno. */
int stage_read_file(const char *path, struct buf *ret);

#endif
