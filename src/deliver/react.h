/*
 * react - what the configuration's rules for replies make of a refusal. See react.c.
 */
#ifndef DELIVER_REACT_H
#define DELIVER_REACT_H

#include "deliver/errors.h"
#include "schedule/schedule.h"

/* Of one job; zeroed, then filled by who has the slot. */
struct reactor {
	const struct config *config;	/* NULL: no rules */
	const struct provider *provider; /* NULL: nobody's */
	struct slot *slot;		/* .reaction, .reaction_ns, .reacts_to are set */
	const struct message_id *id;	/* for the log; or NULL */
	/* private: the reply that was looked at last, and what fitted it */
	uint64_t last;
	const struct reply_rule *rule;
};

/*
 * p is a refusal with the other side's reply: if a rule fits, it may get another scope and lasting,
 * and the slot a reaction (the gravest of the job).
 */
void react(struct reactor *r, struct problem *p);
/*
 * Nothing more is to be tried now: the source is not wanted there. What is open goes back untried,
 * for another source or for later.
 */
bool react_stops(const struct reactor *r);
/* Without a reply: this source is of no use there for so long. */
void react_source(struct slot *s, uint64_t ns, struct str why);

#endif
