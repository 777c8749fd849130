/*
 * transaction - one message to some recipients over one session: MAIL to the last reply. See
 * transaction.c.
 */
#ifndef DELIVER_TRANSACTION_H
#define DELIVER_TRANSACTION_H

#include "deliver/client.h"
#include "deliver/react.h"
#include "spool/spool.h"

#define TRANSACTION_RECIPIENTS_MAX 97	/* with RSET, MAIL and DATA a flight of 100 commands */

enum mark {		/* where a recipient stands */
	MARK_OPEN,	/* nothing is known */
	MARK_TAKEN,	/* RCPT was accepted: it shares the content's fate */
	/* one too many for this transaction, it has an outcome in case there is no other */
	MARK_AGAIN,
	MARK_SPARED,	/* refused because of the source: it stays open, without an outcome */
	MARK_JUDGED,	/* has its outcome */
};

struct transaction {
	struct client *client;
	struct spool *spool;
	struct message *message;
	const uint32_t *recipients;	/* indices */
	unsigned n;			/* at most TRANSACTION_RECIPIENTS_MAX */
	struct outcome *outcomes;	/* n, filled */
	uint8_t *marks;			/* n, all MARK_OPEN at the start */
	struct arena *words;		/* for the texts of outcomes */
	struct buf *flight;		/* scratch */
	struct reactor *reactor;	/* rules for replies */
	uint64_t dot_timeout_ns;	/* for the replies to the content */
	struct problem problem;		/* of TRANSACTION_NEXT */
	/* private */
	struct str host;		/* in words */
	struct reply last;		/* the reply that was copied last, in words */
	unsigned taken;
	bool use_bdat, wants_content, nothing_said, is_reused;
};

enum transaction_end {
	/* every recipient has its outcome, or is MARK_AGAIN or MARK_SPARED */
	TRANSACTION_DONE,
	TRANSACTION_NEXT,	/* those still open are for the next host; .problem says why */
	/* the used connection takes no more messages, nothing was tried: anew on a fresh one */
	TRANSACTION_STALE,
	TRANSACTION_CANCELLED,
};

enum transaction_end transaction_run(struct transaction *t) SUSPENDS;

#endif
