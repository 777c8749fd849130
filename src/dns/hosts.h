/*
 * hosts - the addresses of a host's name, with a small cache.
 *
 * Each loop has its own cache and at most one lookup under way per name; who asks meanwhile waits
 * for its answer. The lookup itself is the world's (getaddrinfo, in the pool) and cannot be cut
 * short, so the one who waits has a deadline and the lookup a task of its own.
 */
#ifndef DNS_HOSTS_H
#define DNS_HOSTS_H

#include "net/loop.h"

#define HOSTS_ADDRESSES_MAX 16	/* of one name */

struct hosts;

struct hosts *hosts_new(struct net *n);
void hosts_free(struct hosts *h);	/* the loops have ended */

/*
 * Up to max addresses, in the order in which they should be tried. How many there are (at least 1);
 * -ENOENT: no such name, or none of its addresses; -EAGAIN: no answer for now; -ETIMEDOUT,
 * -ECANCELED.
 */
int hosts_lookup(struct hosts *h, struct str name, struct ip *ret, int max,
		 uint64_t deadline) SUSPENDS;

/* Waits until this loop's lookups have ended: before the loop ends. */
void hosts_wait(struct hosts *h) SUSPENDS;

#endif
