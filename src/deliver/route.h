/*
 * route - in which order hosts are tried, and one address of them after the other. See route.c.
 */
#ifndef DELIVER_ROUTE_H
#define DELIVER_ROUTE_H

#include "deliver/mx.h"
#include "deliver/own.h"

/*
 * Pure. Writes indices into r->hosts, in the order in which they are to be tried now; returns how
 * many (at least 1 if there are hosts). states: of each host. random: a number below its argument.
 */
unsigned route_order(const struct route *r, const enum host_state *states,
		     uint64_t (*random)(void *arg, uint64_t below), void *arg, unsigned *ret);

/* What a walk needs; borrowed. */
struct walk_means {
	const struct config *config;
	struct dns *dns;
	struct health *health;
	struct own *own;
};

/* The walk over hosts and addresses of one attempt. Zeroed: not begun. */
struct candidates {
	struct walk_means means;
	const struct route *route;	/* NULL: not begun */
	unsigned families;		/* DNS_IPV4, DNS_IPV6: that route and source can use */
	struct arena arena;
	struct exchangers all;		/* of a route: its own hosts */
	unsigned *order;		/* in the arena */
	unsigned n, at;
	unsigned left;			/* of all: those before ourselves; routes: all */
	unsigned compared;		/* of all: those whose addresses were compared with ours */
	const struct host *host;	/* the current one */
	struct ip *ips;			/* owned; its addresses, in the order of trial */
	unsigned ips_n, ip_at;
	unsigned failed;		/* families by which it could not be reached */
	enum stage stage;		/* of the failure that was returned last */
};

/*
 * Which families route and source (NULL: the system's choice) can use.
 */
unsigned route_families(const struct route *r, const struct source *s);

/*
 * domain: of an MX destination, else empty. A failure: of .stage, there is nothing to try; the walk
 * is not begun.
 */
enum failure candidates_begin(struct candidates *c, const struct route *r,
			      const struct source *source, struct str domain) SUSPENDS;
void candidates_done(struct candidates *c);	/* .means stay */
/*
 * The next address. FAIL_NONE: *ret. A failure of STAGE_LOOKUP: c->host has no address for the
 * moment, go on; of STAGE_MX: there are no more, and why. *ret_end: there are no more.
 */
enum failure candidates_next(struct candidates *c, struct endpoint *ret, bool *ret_end) SUSPENDS;
void candidates_again(struct candidates *c);	/* the same address once more */
/* what _next gave was of no use; f: why it could not be reached, else FAIL_NONE */
void candidates_failed(struct candidates *c, enum failure f, struct str said);
/* the host is left out, with all its addresses; blameless: others may try it as before */
void candidates_skip(struct candidates *c, struct str said, bool is_blameless);
void candidates_worked(struct candidates *c);
void candidates_is_us(struct candidates *c);	/* its greeting says so */

#endif
