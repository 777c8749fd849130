/*
 * mx - a domain's mail exchangers, for one who sends to it. See mx.c.
 */
#ifndef DELIVER_MX_H
#define DELIVER_MX_H

#include "deliver/errors.h"
#include "deliver/health.h"
#include "dns/dns.h"

#define MX_LOOKUP_NS (20 * SECOND)	/* for all questions about one name */

struct exchangers {
	struct host *hosts;		/* in the arena; by preference, equals in a random order */
	unsigned n;			/* at least 1 */
	bool is_secure;			/* their names were signed in the DNS */
};

/* FAIL_NONE, or a failure of STAGE_MX (or FAIL_CANCELLED). */
enum failure mx_find(struct dns *d, struct str domain, uint16_t port, struct arena *a,
		     struct exchangers *ret) SUSPENDS;

/* A random number below that; world: a struct world. */
uint64_t world_below(void *world, uint64_t below);

/*
 * Pure, RFC 5321 5.1: hosts with a preference of this or a higher number are not to be tried, as
 * the one whose number it is is ourselves. hosts by preference; returns how many are left.
 */
unsigned mx_below(const struct host *hosts, unsigned n, unsigned preference);

/*
 * Who hosts the domain: whose the exchangers of the lowest number are, else whose domain it is;
 * NULL: nobody that we know.
 */
const struct provider *mx_provider(const struct config *c, const struct exchangers *x,
				   struct str domain);

#endif
