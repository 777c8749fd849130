/*
 * service - what the files of deliver/ share: the service, its share on each core, a slot at work.
 * Not for other folders.
 */
#ifndef DELIVER_SERVICE_H
#define DELIVER_SERVICE_H

#include "deliver/deliver.h"
#include "deliver/pool.h"
#include "deliver/react.h"
#include "deliver/route.h"
#include "deliver/transaction.h"
#include "deliver/vouch.h"

struct core {
	struct deliver *deliver;
	struct loop *loop;
	struct task_group slots;
	struct pool pool;
	struct own own;
	struct post reclaim;
	_Atomic bool reclaim_posted;
	bool stopping;
};

struct deliver {
	struct net *net;
	struct spool *spool;
	struct bounce *bounce;
	struct schedule *schedule;
	struct dns *dns;		/* owned */
	struct health *health;		/* owned */
	struct sts *sts;		/* owned */
	struct tlsrpt *tlsrpt;		/* owned */
	unsigned cores_n;		/* the net may be gone before us */
	struct core *cores;		/* owned; one per loop */
	/* RFC 5321 4.5.3.2.6: 10 minutes, whatever the route says about other replies */
	uint64_t dot_timeout_ns;
	/* when an unusable source may be told of again; one line a minute is enough */
	_Atomic uint64_t source_told_until;
};

/* A slot at work: owned by its task. There may be 10,000: what is large is made per job. */
struct delivery {
	struct slot slot;
	struct deliver *deliver;
	struct core *core;
	struct config *config;		/* counted; of the current job */
	const struct route *route;	/* of it */
	const struct source *source;	/* of the slot; NULL: the system's choice */
	struct client *client;		/* owned; kept from job to job */
	/* owned; the connection before, of no use for this job: it ends when another is opened */
	struct client *former;
	uint64_t provider_until;	/* when the provider is to be looked up again */
	struct buf flight;
	/* ---- of one job */
	struct reactor reactor;
	struct candidates candidates;
	struct vouch vouch;		/* what the host must prove */
	struct arena words;
	struct problem problem;		/* of the last host that was of no use */
	struct outcome *outcomes;	/* owned, with all that follows; for one transaction */
	uint32_t *open;			/* recipients that are to be tried */
	uint8_t *marks;
	unsigned open_n;
	unsigned passed;		/* recipients that may go in the next transaction */
	uint64_t asked_at;		/* .passed is from way_pass; 0: the schedule's */
	unsigned queued;		/* recipients filed as deferred */
	bool begun;			/* a transaction was */
	bool reached;			/* a host talked to us */
	bool worked;			/* and judged something */
	bool has_problem;		/* .problem is why the last host was of no use */
	bool is_verdict;		/* .problem concerns all who are open */
	bool limited;			/* a limit lets nothing more go */
	bool fresh;			/* connections from the pool are no good */
	bool cancelled;
};

/* ---- attempt.c */
/* The configuration as it is now: route and source of the slot. */
void attempt_configure(struct delivery *v);
/* One job, with all that follows from it: fills the question in v->slot. */
void attempt(struct delivery *v, struct job *j) SUSPENDS;

/* ---- connect.c */
void attempt_release(struct delivery *v);	/* the connection goes to the pool */
/* It is closed at once, and the slot may open another. */
void attempt_hang_up(struct delivery *v);
/*
 * There is a connection in v->client. False: none is to be had; .problem, .limited, .cancelled or
 * the slot's reaction tell why.
 */
bool attempt_connect(struct delivery *v) SUSPENDS;
/* Nothing more is to be tried for this job. */
bool attempt_is_over(const struct delivery *v);
/* Whose the exchangers of an MX destination are, for the schedule; if it is time to look. */
void attempt_find_provider(struct delivery *v) SUSPENDS;

#endif
