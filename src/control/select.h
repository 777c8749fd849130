/*
 * select - the recipients that a query selects, and their messages, for one command.
 *
 * Of a million messages: collected, matched and sorted in the pool, in pieces, so that neither a
 * loop nor a pool thread is kept for long. What is asked later of one message is asked of it as it
 * is then: it may have become final meanwhile.
 */
#ifndef CONTROL_SELECT_H
#define CONTROL_SELECT_H

#include "control/answer.h"
#include "control/query.h"
#include "control/survey.h"

struct selection {
	struct message **at;	/* owned, counted; in order of arrival, or as the ids were given */
	size_t n, size;
	/* private */
	struct query *query;	/* owned */
	struct survey *survey;	/* owned; NULL: nothing was asked that it knows */
	struct schedule *schedule;
	int64_t now_ms;
};

/* What a command wants of its query. */
enum selection_want {
	SELECT_ANY,		/* no word at all: everything */
	SELECT_NAMED,		/* that must be said: `all` */
};

/*
 * From the words at w->at[w->from]; up to stop (NULL: all of them), which w->from is moved to. An
 * id that is not in the queue is answered with an error line. False: the words are wrong, which was
 * answered; nothing is to be freed.
 */
bool selection_make(struct selection *s, struct answer *a, struct words *w,
		    enum selection_want want, const char *stop) SUSPENDS;
/* With a survey, whatever the query asks: for counts by provider or status. */
void selection_survey(struct selection *s) SUSPENDS;
void selection_free(struct selection *s) SUSPENDS;

/* Indices of those recipients that wait and fit, into ret (room for all); how many. */
uint32_t selection_recipients(const struct selection *s, struct message *m, uint32_t *ret) SUSPENDS;
/*
 * A recipient as the query sees it; any thread. False: it is final. What the home alone knows
 * (in flight) is not among .status.
 */
bool selection_subject(const struct selection *s, struct message *m, uint32_t i,
		       struct query_subject *ret);
/* The same but in flight: for those that are in no job. */
bool selection_fits_idle(const struct selection *s, struct message *m, uint32_t i);

/*
 * fn for each piece [from, to) of the selection, in the pool; between them others have their turn.
 * Stops when fn says something else than 0.
 */
void selection_in_pool(struct selection *s,
		       int (*fn)(struct selection *s, size_t from, size_t to, void *arg),
		       void *arg) SUSPENDS;

#endif
