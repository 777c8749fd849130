/*
 * bounce - filing what became of recipients, and telling senders (RFC 3461-3464, 6522, 6533).
 *
 * bounce_settle is where every outcome goes: from delivery attempts, from deadlines, from
 * operators. It turns what the next hop said into final states, makes the notices that are due, and
 * records all of it in one batch (D2).
 */
#ifndef BOUNCE_BOUNCE_H
#define BOUNCE_BOUNCE_H

#include "schedule/schedule.h"

struct bounce; /* the service: knows spool, schedule, and how many notices each sender had */

struct bounce *bounce_new(struct net *n, struct spool *s);
void bounce_set_schedule(struct bounce *b, struct schedule *s);	/* before the first settle */
/* Cuts the tasks of deadlines short and waits until they are gone. From the main thread, loops
 * running; after schedule_stop. */
void bounce_stop(struct bounce *b);
void bounce_free(struct bounce *b);

/*
 * File outcomes of one message, as an attempt brought them: RELAYED and DELIVERED are final; FAILED
 * is; QUEUED with a 4xx reply is a failed attempt: past the give-up time it becomes FAILED (4.4.7
 * -> 5.4.7), past the warning time a delayed notice is due once. For outcomes that stay QUEUED
 * next_ms is set here from the retry schedule of the recipient's route (failures: the job's
 * consecutive ones, this included), unless it is set already, or they were not attempted: then the
 * recipient keeps its time.
 *
 * Notices: by NOTIFY, never for the null sender or about a bounce, one message for the recipients
 * of one call and kind; committed in the same batch. A delayed notice tells of all recipients of
 * the message that are still queued, and marks them, so there is one for a message (warning.c).
 * Without a notice the outcomes are only noted.
 * Logs an event for each recipient, and DONE. If the spool cannot take it, it waits and tries
 * again, until cancelled (then 0 recorded, -ECANCELED). Returns how many of the recipients named
 * are still queued, or -ECANCELED.
 */
int bounce_settle(struct bounce *b, struct message *m, struct outcome *outcomes, unsigned n,
		  unsigned failures) SUSPENDS;

/*
 * An operator returns recipients to the sender: those that are still queued fail, with a notice as
 * for any failure, and RETURNED is logged for each. Nobody may be working on them: their jobs are
 * taken from the schedule before. why: the operator's words; empty: that it was an operator.
 * Returns how many it was; -errno: the spool could not record it, and nothing was done.
 */
int bounce_return(struct bounce *b, struct message *m, const uint32_t *recipients, unsigned n,
		  struct str why) SUSPENDS;

/* upcalls.deadline: starts a task that warns about or gives up on the job's open recipients. Takes
 * the job until schedule_settled. */
void bounce_deadline(void *bounce, struct job *job);

#endif
