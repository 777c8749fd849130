/*
 * pool - one core's idle connections, kept for the next message to the same host. See pool.c.
 */
#ifndef DELIVER_POOL_H
#define DELIVER_POOL_H

#include "deliver/client.h"

struct pool {
	struct map by_endpoint;
	struct list idle;		/* clients, the one that came first first */
	struct list leaving;		/* clients that are to be told QUIT */
	/* the task that looks after both lists, while there is something in them */
	struct task_group keepers;
	struct task *keeper;
	unsigned n;			/* idle */
	bool closing;
	bool reclaiming;		/* some wait for what idle ones take up */
};

void pool_init(struct pool *p);
void pool_done(struct pool *p);
/* One that proved what is wanted (trust_covers); NULL: none. */
struct client *pool_take(struct pool *p, const struct endpoint *e, enum route_protocol protocol,
			 const struct name *source, const struct trust *wanted);
/* Whether it is what pool_take looks for. */
bool pool_fits(const struct client *c, const struct endpoint *e, enum route_protocol protocol,
	       const struct name *source, const struct trust *wanted);
/* A slot of that way takes what it was promised (limits.h), once; NULL: it has gone. */
struct client *pool_take_promised(struct pool *p, struct way *w);
/*
 * Takes the client: kept until idle_ns from now, if it may be used again and nobody waits for a
 * connection that it takes up; else it is told QUIT, or simply closed.
 */
void pool_put(struct pool *p, struct client *c, uint64_t idle_ns);
/* Some wait for connections that idle ones take up: those are told QUIT, one after the other. */
void pool_reclaim(struct pool *p);
/* QUIT to all and wait until they are gone. */
void pool_close(struct pool *p) SUSPENDS;

#endif
