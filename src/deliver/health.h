/*
 * health - which hosts work: a circuit breaker for each (name, port) of a route. See health.c. Any
 * thread.
 */
#ifndef DELIVER_HEALTH_H
#define DELIVER_HEALTH_H

#include "config/config.h"

struct health;

enum host_state {
	HOST_WORKS,	/* or nothing is known against it */
	HOST_PROBE,	/* its rest is over: one attempt will show */
	HOST_RESTS,
};

struct health *health_new(void);
void health_free(struct health *h);
enum host_state health_state(struct health *h, const struct route_host *host, uint64_t now,
			     uint64_t *ret_until);
/* an attempt: others wait for its result */
void health_begins(struct health *h, const struct route_host *host, uint64_t now);
void health_works(struct health *h, const struct route_host *host);
void health_failed(struct health *h, const struct route_host *host, uint64_t now, struct str said);

#endif
