/*
 * popped - clients that looked at their mail (POP3) and may relay for a while: SMTP after POP.
 *
 * By the exact address: a login vouches for the host that it came from, not for its neighbours.
 * (Behind a NAT that is everybody there; see docs/design/abuse.md.) Bounded: beyond POPPED_MAX the
 * address that came first is forgotten. Time is given (loop_now). Any thread. Not kept over
 * restarts: mail programs fetch mail every few minutes.
 */
#ifndef POLICY_POPPED_H
#define POLICY_POPPED_H

#include "net/endpoint.h"

#define POPPED_MAX 100000		/* addresses; some 8 MiB */

struct popped;

struct popped *popped_new(unsigned max);
void popped_free(struct popped *p);		/* NULL is fine */
/* It may relay for so long from now; a longer time that it has already stays. */
void popped_add(struct popped *p, const struct ip *ip, uint64_t now, uint64_t allow_ns);
bool popped_has(struct popped *p, const struct ip *ip, uint64_t now);
unsigned popped_count(struct popped *p);	/* with some whose time is over */

#endif
