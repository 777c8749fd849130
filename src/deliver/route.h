/*
 * route - in which order a route's hosts are tried, and one address of them after the other. See
 * route.c.
 */
#ifndef DELIVER_ROUTE_H
#define DELIVER_ROUTE_H

#include "deliver/errors.h"
#include "deliver/health.h"
#include "dns/hosts.h"

/*
 * Pure. Writes indices into r->hosts, in the order in which they are to be tried now; returns how
 * many (at least 1 if there are hosts). states: of each host. random: a number below its argument.
 */
unsigned route_order(const struct route *r, const enum host_state *states,
		     uint64_t (*random)(void *arg, uint64_t below), void *arg, unsigned *ret);

/* The walk over hosts and addresses of one attempt. Zeroed: not begun. */
struct candidates {
	const struct route *route;	/* borrowed; NULL: not begun */
	struct health *health;
	unsigned *order;		/* owned */
	unsigned n, at;
	const struct route_host *host;	/* the current one */
	struct ip ips[HOSTS_ADDRESSES_MAX];
	int ips_n, ip_at;
};

void candidates_begin(struct candidates *c, const struct route *r, struct health *h);
void candidates_done(struct candidates *c);
/*
 * The next address. FAIL_NONE: *ret; a failure: c->host has no address for the moment, go on;
 * *ret_end: there are no more.
 */
enum failure candidates_next(struct candidates *c, struct hosts *names, struct endpoint *ret,
			     bool *ret_end) SUSPENDS;
void candidates_again(struct candidates *c);	/* the same address once more */
void candidates_failed(struct candidates *c, struct str said);	/* what _next gave was of no use */

#endif
