/*
 * coverage - how much of the public Internet a set of networks covers: the open-relay check's
 * arithmetic.
 *
 * Private addresses (RFC 1918, loopback, link-local, unique local) are not counted: nobody from
 * outside can have one. Overlaps count once.
 */
#ifndef CONFIG_COVERAGE_H
#define CONFIG_COVERAGE_H

#include "config/table.h"

struct range;

struct coverage {
	struct range *ranges;	/* owned */
	size_t n, size;
};

void coverage_done(struct coverage *c);
void coverage_add(struct coverage *c, const struct network *n);
void coverage_add_table(struct coverage *c, const struct table *t);
/* A /8 of IPv4 or a /16 of IPv6, or more (DESIGN section 7). Reorders the ranges. */
bool coverage_is_wide(struct coverage *c);

#endif
