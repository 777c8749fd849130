/*
 * service - what the files of deliver/ share: the service, its share on each core, a slot at work.
 * Not for other folders.
 */
#ifndef DELIVER_SERVICE_H
#define DELIVER_SERVICE_H

#include "deliver/deliver.h"
#include "deliver/pool.h"
#include "deliver/route.h"
#include "deliver/transaction.h"

struct core {
	struct deliver *deliver;
	struct loop *loop;
	struct task_group slots;
	struct pool pool;
	bool stopping;
};

struct deliver {
	struct net *net;
	struct spool *spool;
	struct bounce *bounce;
	struct schedule *schedule;
	struct hosts *hosts;		/* owned */
	struct health *health;		/* owned */
	unsigned cores_n;		/* the net may be gone before us */
	struct core *cores;		/* owned; one per loop */
	/* RFC 5321 4.5.3.2.6: 10 minutes, whatever the route says about other replies */
	uint64_t dot_timeout_ns;
};

/* A slot at work: owned by its task. */
struct delivery {
	struct slot slot;
	struct deliver *deliver;
	struct core *core;
	struct config *config;		/* counted; of the current job */
	const struct route *route;	/* of it */
	struct client *client;		/* owned; kept from job to job */
	struct buf flight;
	/* ---- of one job */
	struct candidates candidates;
	struct arena words;
	struct problem problem;		/* why there is no host left */
	uint32_t *open;			/* owned; recipients that are to be tried */
	unsigned open_n;
	unsigned queued;		/* recipients filed as deferred */
	bool reached;			/* a host talked to us */
	bool worked;			/* and judged something */
	bool fresh;			/* connections from the pool are no good */
	bool cancelled;
	struct outcome outcomes[TRANSACTION_RECIPIENTS_MAX];
	uint8_t marks[TRANSACTION_RECIPIENTS_MAX];
};

/* One job, with all that follows from it: fills the question in v->slot. */
void attempt(struct delivery *v, struct job *j) SUSPENDS;
void attempt_release(struct delivery *v);	/* the connection goes to the pool */

#endif
