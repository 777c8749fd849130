/*
 * recipients - whom a relay domain has: by a table, or by what its own server says, remembered
 * (struct route: recipients, callout).
 *
 * What the server said of an address is believed for a day if it exists, for an hour if not. While
 * the server is down, what exists still does, however long ago it was asked, and who is not known
 * is accepted: the server will say when it is back. Its word is asked for by an upcall, as SMTP out
 * is higher on the ladder (deliver/callout.h): few at once, and none for half a minute after it
 * could not be reached.
 *
 * Bounded, from any loop. Kept over restarts (recipients_keep): a relay that starts while the
 * primary is down still knows whom it has.
 */
#ifndef POLICY_RECIPIENTS_H
#define POLICY_RECIPIENTS_H

#include "config/config.h"
#include "smtp/address.h"
#include "net/task.h"

struct recipients;

#define RECIPIENTS_MAX 100000		/* addresses; some 16 MiB */
#define RECIPIENTS_AT_ONCE 8		/* questions under way */

/* What the route's hosts say. */
enum recipient_word {
	WORD_YES, WORD_NO,
	WORD_LATER,			/* they talk, and will not say now */
	WORD_NONE,			/* nobody could be asked, or it was no answer to that */
};

struct recipients_ask {
	/* an enum recipient_word, or -ECANCELED */
	int (*ask)(void *arg, const struct config *c, const struct route *r,
		   struct str recipient) SUSPENDS;
	void *arg;
};

enum recipient_known {
	RECIPIENT_EXISTS,
	RECIPIENT_MISSING,		/* 550 5.1.1 */
	RECIPIENT_UNSURE,		/* accept: nobody can be asked */
	RECIPIENT_LATER,		/* 450 4.2.0 */
};

struct recipients *recipients_new(const struct recipients_ask *ask, unsigned max);
void recipients_free(struct recipients *r);	/* NULL is fine */

/*
 * At RCPT, once the rules have accepted it. EXISTS too where the route knows no recipients.
 * MISSING, LATER: *ret is the reply. An enum recipient_known, or -ECANCELED.
 */
int recipients_known(struct recipients *x, const struct config *c, const struct route *r,
		     const struct address *recipient, uint64_t deadline,
		     struct reply *ret) SUSPENDS;

/* Pure: what a reply to RCPT says about whether the recipient exists. */
enum recipient_word recipients_word(const struct reply *r);

unsigned recipients_count(struct recipients *x);

/* ---- recipients_file.c: the file STATE/recipients */
/* Before anybody asks. Reads (blocks), then keeps; what fails is reported in the log. */
void recipients_keep(struct recipients *x, struct world *w, const char *state);
void recipients_stop(struct recipients *x);	/* saves; from the main thread */

#endif
