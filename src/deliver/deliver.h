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

/*
 * Drop-in answers for queries: which hosts a route would use now, in order, with their health; for
 * explain.
 */
void deliver_describe_route(struct buf *out, struct deliver *d, const struct route *r);

#endif
