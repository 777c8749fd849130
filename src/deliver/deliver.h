/*
 * deliver - route -> hosts -> connection pool -> session -> verdict for each recipient (DESIGN
 * section 6).
 */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include "bounce/bounce.h"
#include "schedule/schedule.h"

struct deliver;

struct deliver *deliver_new(struct net *n, struct spool *s, struct bounce *b);
void deliver_set_schedule(struct deliver *d, struct schedule *q);
bool deliver_slot_start(void *deliver, struct destination *d);	/* upcalls.slot_start */
/*
 * Stops the schedule, so that slots get nothing new. They finish the job they have until the
 * deadline, then they are cut; idle connections get QUIT. Returns when all are gone. From the main
 * thread.
 */
void deliver_stop(struct deliver *d, uint64_t grace_ns);
void deliver_free(struct deliver *d);

/* The DNS as slots ask it: to be told of a resolver that was configured anew (dns_forget). */
struct dns *deliver_dns(struct deliver *d);

/* ---- for explain and queries */
/*
 * Where mail by that route to that domain (of MX routes; else ignored) would go now, a line for
 * each host in the order of preference: its addresses, which families its source (NULL: the
 * system's choice) can use, its health, what it must prove (route, DANE, MTA-STS), and what is left
 * out because it is this relay; or why there is nothing to try. In a task of a loop.
 */
void deliver_describe_hosts(struct buf *out, struct deliver *d, const struct config *c,
			    const struct route *r, struct str domain,
			    const struct source *source) SUSPENDS;

#endif
