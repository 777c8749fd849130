/*
 * waiting - what several answers say of a message that waits: its hold, its job, its next attempt.
 */
#ifndef CONTROL_WAITING_H
#define CONTROL_WAITING_H

#include "control/answer.h"

/* Of its first recipient that waits. */
struct waiting {
	unsigned recipients;
	uint32_t first;		/* index */
	const char *hold;	/* its name; NULL: not held */
	bool has_job;
	struct job_state job;
};

const char *waiting_hold(struct message *m);	/* "held", "restored", or NULL */
struct str waiting_sender(const struct message *m);	/* "<>" for the null one */
/* "held", "now", "sending", "12m" */
void waiting_add_next(struct answer *a, const struct waiting *w);
void waiting_json(struct answer *a, const struct job_state *job);	/* fields */
/* Blanks up to the column, at least one. */
void answer_pad(struct answer *a, size_t from, size_t width);

#endif
