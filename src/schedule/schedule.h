/*
 * schedule - which message goes next, and when (DESIGN section 6, promise D9).
 *
 * A message becomes one job per destination (next hop) with the recipients that go there. Each
 * destination has one home core that alone owns its queues, retry state and limits: no locks. Jobs
 * come to their homes by post. Delivery slots (tasks of deliver/) run on any core, ask the home for
 * the next job and report to it. Every job is, at any time, in exactly one of: ready (in order),
 * waiting for its time (a heap), in flight (a slot has it), being settled (a deadline came), held;
 * and, while it is ready or waiting, in its core's heap of deadlines (warning, expiry). What is
 * held does not expire.
 */
#ifndef SCHEDULE_SCHEDULE_H
#define SCHEDULE_SCHEDULE_H

#include "schedule/limits.h"
#include "spool/spool.h"

struct domain_quota;
struct quota_ticket;
struct schedule;
struct destination;

/*
 * As many recipients as one transaction takes (with RSET, MAIL and DATA a flight of 100 commands).
 * A job has no more, so that a job is a transaction: it passes its gates as one, and a limit of 10
 * messages per minute is 10 jobs. What goes to one destination beyond it is a job of its own.
 */
#define JOB_RECIPIENTS_MAX 97

/*
 * One message's recipients at one destination. Owned by the home; lent to one slot or settle task
 * at a time.
 */
struct job {
	struct message *message;	/* counted */
	union {
		struct destination *destination;
		struct schedule *schedule; /* private: on the way to its home for the first time */
	};
	/* ready, waiting or held; on the way: the jobs for the same home */
	struct list in_queue;
	/* ring of the message's jobs, no head; under message_lock */
	struct list in_message;
	struct post post;		/* private: to its home */
	int64_t next_ms;		/* wall clock of the next attempt; 0: at once */
	struct heap_node in_waiting, in_deadlines;
	uint32_t recipients_n;
	uint16_t attempts;		/* consecutive failures of this job */
	uint16_t home;			/* private: its home's number */
	uint8_t state;			/* private */
	/* private: the senders of all open recipients were warned */
	bool warned;
	struct quota_ticket *ticket;	/* private: counted with its parts; NULL: no quota */
	/* indices; those that are final may be among them, see job_open */
	uint32_t recipients[];
};

/* How a slot's work on a job ended, for the home. */
enum job_result {
	JOB_SETTLED,		/* every recipient of it is final: the job ends */
	JOB_DEFERRED,		/* some are not: try again at next_ms */
	/* not tried (host down, shutdown): back to where it was, no attempt counted */
	JOB_UNTRIED,
	/*
	 * A limit let only some of its transactions go: recipients with a next attempt of their own
	 * (in the message) wait for it, the others go on as soon as they may, no attempt counted.
	 */
	JOB_PARTLY,
};

/* What the slot learnt about the destination. */
enum destination_result {
	DESTINATION_WORKS,	/* somebody answered and took or judged a message */
	/* no host could be reached, or all refused to talk: it rests by the retry schedule */
	DESTINATION_DOWN,
	DESTINATION_UNKNOWN,	/* nothing learnt */
};

/*
 * Calls up the ladder; main.c fills them. The only ones in the program: each is listed here.
 */
struct upcalls {
	/*
	 * deliver/: start a slot for the destination on the current loop. False: no task could be
	 * started; asked again later.
	 */
	bool (*slot_start)(void *deliver, struct destination *d);
	void *deliver;
	/*
	 * bounce/: a job's warning or expiry is due: settle it in a task of its own, then
	 * schedule_settled. Current loop: the home.
	 */
	void (*deadline)(void *bounce, struct job *job);
	void *bounce;
};

/*
 * state: the folder of what must survive a restart (limits, suspensions); NULL: nothing does. What
 * is there and cannot be read is reported in the log and left aside.
 */
struct schedule *schedule_new(struct net *n, struct spool *s, const struct upcalls *up,
			      const char *state);
struct limits *schedule_limits(struct schedule *s);
/* How much waits for the domains of routes with a quota (policy/domain_quota.h). */
struct domain_quota *schedule_quota(struct schedule *s);
void schedule_free(struct schedule *s);		/* the loops have ended */

/*
 * Take charge of a committed message (a reference is taken). Any thread; start-up too (recovered
 * messages: due at once if not tried or in flight, else at their recorded time).
 */
void schedule_add(struct schedule *s, struct message *m);
/*
 * The same for some recipients only, which are in no job: after schedule_remove, when what was to
 * follow failed. indices is scratch afterwards.
 */
void schedule_add_recipients(struct schedule *s, struct message *m, uint32_t *indices, uint32_t n);

/*
 * A next hop asks for its mail: all jobs that wait by route r become due now, in order of arrival,
 * and a rest is over. Of routes by MX only those for the domain, or (below) for the names below it,
 * too (none: for all); a route with hosts is one destination, domain and below are ignored. Returns
 * how many jobs are ready then. Costs nothing of what waits elsewhere (below: a look at each
 * destination); many jobs become due in pieces, after it returned.
 */
unsigned schedule_wake(struct schedule *s, const struct route *r, struct str domain,
		       bool below) SUSPENDS;

/* No new slots; those that run end when they ask next. Loops must run. */
void schedule_stop(struct schedule *s);
/* config_current() changed: look again at limits and times */
void schedule_reload(struct schedule *s);

/* ---- for slots (deliver/) */
/*
 * A slot works for one destination by one way (source): it has passed way_connect when it gets its
 * first job, so it may have one connection. The permit is the slot's until a connection takes it
 * over (permit = false; the connection has its own reference to the way and calls way_disconnect
 * when it is closed, be that long after, in the pool); when the slot closes a connection to open
 * another it takes the permit back. A slot that takes a connection out of the pool that has a
 * permit of its own gives its own back at once (way_disconnect). What is left when the slot ends,
 * schedule_turn gives back.
 */
struct slot {
	struct destination *destination;
	struct loop *loop;		/* the slot's own */
	struct post post;		/* private */
	struct task *task;
	/* the question */
	/*
	 * Of MX destinations, resolved before the first turn and whenever the exchangers changed:
	 * whose they are.
	 */
	bool knows_provider;
	const struct name *provider;	/* NULL: nobody's that we know */
	struct job *finished;		/* or NULL */
	enum job_result result;
	enum destination_result learnt;
	int64_t next_ms;		/* wall clock, for JOB_DEFERRED */
	char said[160];			/* why it is down or deferred: for queue show and the log */
	/* its connection of .way goes to this core's pool if there is nothing more to do */
	bool leaves_idle;
	/* its connection is over: with sources to choose from the slot ends, the next draws anew */
	bool spent;
	/* what a reply asked for (config.h), the gravest of this job; REACT_NONE, _BOUNCE, _DEFER:
	   nothing for the home to do */
	enum reaction reaction;
	uint64_t reaction_ns;		/* 0: the default */
	char reacts_to[160];		/* the words that made it so */
	/* ---- the answer */
	struct job *job;		/* or NULL: nothing to do, the slot ends */
	const struct name *source;	/* from where; NULL: the system's choice */
	struct way *way;		/* the slot's reference; further transactions of a job ask
					   way_pass */
	bool permit;			/* a connection may be opened on .way */
	/* instead: one of .way waits in this core's pool; it may be gone, too */
	bool takes_idle;
	/*
	 * What way_pass took for .job; zero at the start. Read by deliver/, whose first transaction
	 * of the job takes no more; the others ask way_pass themselves.
	 */
	unsigned passed_recipients;
	/* private: zero at the start */
	/* of the destination when the job was given: reports of an older one are stale */
	unsigned epoch;
	uint64_t passed_octets;
	uint64_t passed_at;
	bool known, answered;
};

/*
 * Report the finished job, if any, and ask for the next: one round trip to the home. slot->job is
 * the answer; NULL ends the slot (the caller must not ask again, and must not touch the destination
 * any more; its way is gone, too). Cannot be cancelled. The caller sets .destination, the
 * question's fields and zeroes the rest before the first turn.
 */
void schedule_turn(struct schedule *s, struct slot *slot) SUSPENDS;

/* the route's name, as the spool records it */
struct str destination_route(const struct destination *d);
/* of an MX destination; empty for others */
struct str destination_domain(const struct destination *d);
const char *destination_name(const struct destination *d);	/* for logs */

/*
 * The indices of the job's recipients that are not final yet; returns how many (<= recipients_n).
 */
unsigned job_open(const struct job *j, uint32_t *indices);

/*
 * After a deadline upcall: the job goes back to its place, or ends if all its recipients are final.
 * From any loop.
 */
void schedule_settled(struct schedule *s, struct job *job);

/* ---- pure */
/*
 * The wait before attempt number failures + 1 (failures >= 1), with 10 % jitter from random (any 32
 * bits), by the route's table, else (or r NULL) by the queue's.
 */
uint64_t retry_wait_ns(const struct config *c, const struct route *r, unsigned failures,
		       uint32_t random);

/*
 * When the recipients of a message that go by route r (NULL: a route no longer in the
 * configuration) are given up, and when their sender is to be warned, in wall-clock ms. INT64_MAX:
 * never (no warning for bounces and the null sender). deadline_next_ms is the next of both; warned:
 * every open recipient was warned about.
 */
int64_t deadline_give_up_ms(const struct config *c, const struct route *r, const struct message *m);
int64_t deadline_warn_ms(const struct config *c, const struct route *r, const struct message *m);
int64_t deadline_next_ms(const struct config *c, const struct route *r, const struct message *m,
			 bool warned);

/* ---- for the queue commands (control/); from any task. Each returns how many jobs it touched. */
enum queue_command { QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE };
/*
 * Hold and release are recorded in the spool (batch_flags) by the caller first; these move the
 * jobs.
 */
unsigned schedule_command(struct schedule *s, enum queue_command c, struct message *m) SUSPENDS;
/*
 * Take the message out of its queues for deletion: jobs that are in flight are left alone (returned
 * in *ret_busy). The caller then records DELETED outcomes and calls schedule_settled for none: the
 * jobs end here.
 */
unsigned schedule_remove(struct schedule *s, struct message *m, unsigned *ret_busy) SUSPENDS;
/*
 * The open recipients that are in no job: after schedule_remove, those that no delivery has in its
 * hands. indices has room for all; returns how many. None of a message that has not come to
 * schedule_add yet: it is about to.
 */
unsigned schedule_jobless(struct schedule *s, struct message *m, uint32_t *indices) SUSPENDS;

/* ---- suspensions: an operator's word that nothing goes there until another word */
enum suspend_kind { SUSPEND_DESTINATION, SUSPEND_PROVIDER, SUSPEND_SOURCE, SUSPEND_ROUTE };
#define SUSPEND_KINDS 4

/*
 * name: of a destination as destination_name has it (a domain, a route's name), a provider, a
 * source, a route (base). Recorded (STATE/suspended, synced) before it returns, in force on all
 * homes, for what comes later too; slots end after the job they have. What is suspended keeps its
 * place and its deadlines. 0; -EALREADY: it is so already; -errno: it could not be recorded, and
 * nothing was changed.
 */
int schedule_suspend(struct schedule *s, enum suspend_kind kind, struct str name,
		     struct str why) SUSPENDS;
int schedule_resume(struct schedule *s, enum suspend_kind kind, struct str name) SUSPENDS;
/* fn must not suspend. Any thread. */
struct suspension {
	enum suspend_kind kind;
	const char *name, *why;
	int64_t since_ms;
};
void schedule_suspensions(struct schedule *s, void (*fn)(void *arg, const struct suspension *x),
			  void *arg);
const char *suspend_kind_name(enum suspend_kind k);	/* "destination", ... */

/* ---- destinations for people */
enum destination_status {
	DESTINATION_IDLE,		/* nothing is ready */
	DESTINATION_BUSY,		/* slots work */
	DESTINATION_RESTING,		/* no host could be reached */
	DESTINATION_LIMITED,		/* waits at a gate */
	DESTINATION_SUSPENDED,
	DESTINATION_QUEUED,		/* wants a slot; the relay's are all in use */
};

struct destination_state {
	char name[300];
	struct str route;		/* borrowed, with its variant */
	const struct name *provider;	/* NULL: none, or not known yet */
	enum destination_status status;
	unsigned ready, waiting, held, in_flight, slots;
	int64_t rests_until_ms;		/* wall clock; 0: it does not rest */
	unsigned failures;		/* consecutive, of the destination */
	/* since it was made: transactions that settled something, and a rate of the last minute */
	uint64_t messages;
	double per_second;
	char said[160];			/* why it rests, waits or is suspended */
	char last[160];			/* the last words of its hosts that were bad news */
};

const char *destination_status_name(enum destination_status s);

/*
 * One destination in depth, for explain: every way by which its sources reach it. fn is called at
 * its home and must not suspend. False: no mail is queued for that name (by any route).
 */
bool schedule_describe(struct schedule *s, struct str name,
		       void (*fn)(void *arg, const struct destination_state *d,
				  const struct name *source, struct way *way),
		       void *arg) SUSPENDS;

/*
 * Calls fn for each destination, at its home; calls are serialised. A home is walked in pieces, so
 * that no loop stands still for long however many there are: a snapshot of each destination, not of
 * all at one instant. fn must not suspend.
 */
void schedule_destinations(struct schedule *s,
			   void (*fn)(void *arg, const struct destination_state *d),
			   void *arg) SUSPENDS;

/*
 * When a recipient will be tried next and why it waits, in words, for queue show. At the job's
 * home, hence:
 */
struct job_state {
	char destination[300];
	char state[16];			/* ready, waiting, in-flight, held, suspended */
	int64_t next_ms;		/* wall clock; 0: as soon as there is a slot */
	char said[160];
};

bool schedule_job_state(struct schedule *s, struct message *m, uint32_t recipient,
			struct job_state *ret) SUSPENDS;

#endif
