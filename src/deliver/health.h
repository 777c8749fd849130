/*
 * health - which hosts work, and by which address family: a circuit breaker for each (name, port).
 * See health.c. Any thread.
 */
#ifndef DELIVER_HEALTH_H
#define DELIVER_HEALTH_H

#include "config/config.h"

struct health;

/* A host as it is tried: one of a route's, or a mail exchanger. */
struct host {
	struct str name;		/* borrowed */
	struct endpoint endpoint;	/* ip unset: the name is to be looked up */
	uint16_t port;
	uint16_t preference;		/* of exchangers */
	bool is_exchanger;
};

enum host_state {
	HOST_WORKS,	/* or nothing is known against it */
	HOST_PROBE,	/* its rest is over: one attempt will show */
	HOST_RESTS,
};

struct health *health_new(void);
void health_free(struct health *h);
enum host_state health_state(struct health *h, const struct host *host, uint64_t now,
			     uint64_t *ret_until);
/* an attempt: others wait for its result */
void health_begins(struct health *h, const struct host *host, uint64_t now);
void health_works(struct health *h, const struct host *host, uint64_t now);
void health_failed(struct health *h, const struct host *host, uint64_t now, struct str said);

/* ---- IPv4 and IPv6; a family is 4 or 6 */
/* The host could be reached by that family and not by the other. */
void health_prefers(struct health *h, const struct host *host, int family, uint64_t now);
/* This machine has no way into any network of that family, it seems. */
void health_no_network(struct health *h, int family, uint64_t now);
/* Which family's addresses are to be tried first. */
int health_first_family(struct health *h, const struct host *host, uint64_t now);

#endif
