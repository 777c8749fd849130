/*
 * service - what the files of bounce/ share: the service's struct, what was said before, and how a
 * notice is made. Private.
 */
#ifndef BOUNCE_SERVICE_H
#define BOUNCE_SERVICE_H

#include "bounce/bounce.h"
#include "bounce/notice.h"

#include <pthread.h>

struct bounce {
	struct net *net;		/* borrowed, as the next two */
	struct spool *spool;
	struct schedule *schedule;
	struct task_group *deadlines;	/* owned; one for each loop, used on that loop only */
	pthread_mutex_t
		lock; /* of quota: held for a few instructions, never across a suspension */
	struct quota quota;
};

/*
 * A bit of message.flags that is ours: the event "done" was logged. Never recorded, as a message
 * that has it is final.
 */
#define MESSAGE_DONE_TOLD 0x80

/* ---- recall.c */
struct recalled {
	struct outcome outcome;	/* QUEUED, not attempted; its texts borrow .last */
	char *last;		/* owned by the caller; NULL: nothing was said yet */
};

void recall(struct message *m, uint32_t recipient, struct recalled *ret);

/* ---- warning.c */
struct warning {	/* zero: none is due */
	struct message *message;	/* borrowed */
	bool is_mine;
	uint32_t *recipients;		/* owned: beside the outcomes at hand, all to be marked */
	unsigned n;
	struct recalled *told;		/* owned: those of them that the notice reports */
	unsigned told_n;
};

/* False: another task makes a delayed notice about m right now. */
bool warning_claim(struct warning *w, struct message *m);
/* Once claimed: whom else the notice tells of, beside those named. */
void warning_collect(struct warning *w, const struct config *c, const struct outcome *named,
		     unsigned n);
void warning_done(struct warning *w);

/* ---- compose.c */
struct notice_order {
	const struct config *config;
	struct message *about;		/* counted by the caller */
	enum notice_kind kind;
	bool to_postmaster;
	struct str to, route;		/* whom it goes to, and which way */
	const struct notice_recipient *recipients;
	unsigned recipients_n;
};

/*
 * Make the message: its content is sealed, its id is taken, it is not committed. *ret is counted
 * for the caller. 0, -errno of the spool's disk, -ECANCELED. An original that cannot be read is
 * left out, it is no error.
 */
int notice_compose(struct spool *s, const struct notice_order *o, struct message **ret) SUSPENDS;

#endif
