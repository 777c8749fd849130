/*
 * home - what the files of schedule/ share: the core that owns a destination, and the destination
 * itself.
 *
 * Nothing here is locked: a home, its destinations and their jobs are touched on the home's loop
 * only, except what is marked otherwise. Not for other folders.
 *
 * Invariants (D9), checked by job_check and schedule_check:
 *   J1  a job is in exactly one place: on the way, ready, waiting, held, in flight, being settled.
 *   J2  held jobs are in the destination's list, ready ones in its list or, if they were woken
 *       before their time, in its heap; waiting ones are in the home's heap and in the
 *       destination's list or that of a wake; others in none.
 *   J3  a ready or waiting job is in one of the heaps of deadlines unless it has none; others are
 *       not.
 *   J4  a destination with ready jobs is suspended, or rests, or is being woken, or stands in line
 *       at a gate, or is in one of the home's lists of those who want a slot, or has slots asked
 *       for that have not come yet, or has as many slots as it may have, each of which will ask
 *       again - and if it starts slowly, more of them may start then.
 */
#ifndef SCHEDULE_HOME_H
#define SCHEDULE_HOME_H

#include "policy/domain_quota.h"
#include "schedule/schedule.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

enum job_place {
	JOB_TRAVELLING,		/* posted to its home */
	JOB_READY,
	JOB_WAITING,
	JOB_HELD,
	JOB_IN_FLIGHT,		/* a slot has it */
	JOB_SETTLING,		/* bounce/ has it, for a deadline */
};

/* Which of its home's lists a destination is in. */
enum want { WANT_NONE, WANT_FIRST, WANT_MORE };

/* What a destination stood in line for last: another connection, or its next message. */
enum line { LINE_NONE, LINE_CONNECT, LINE_PASS };

/* outgoing slots of the relay, where the configuration says nothing */
#define SLOTS_DEFAULT 10000
#define TICK_MAX 256		/* events handled before others have their turn */
#define WALK_PIECE 128		/* destinations looked at before others have their turn */
#define PAUSE_NS (100 * MILLISECOND)	/* after a slot could not be started */
#define UNTRIED_PAUSE_NS SECOND	/* after a slot gave a job back without having learnt why */
/* between two looks whether a route's own hosts are back: from one to twice that */
#define LOOK_NS (20 * SECOND)
#define SLOW_START_FROM 2	/* slots at once, when they are */

struct home;
struct suspended;
struct wake;

/*
 * All destinations of a home, in pieces: the loop does other things in between. Each that is there
 * from the beginning to the end is seen once; of those made meanwhile those by MX.
 */
struct walk {
	struct post post;
	struct home *home;
	struct list in_walks;		/* of its home; linked while it is under way */
	struct list *next;		/* in .all of its home: who comes next */
	void (*step)(struct walk *w, struct destination *d);	/* may free d */
	void (*done)(struct walk *w);
};

struct home {
	struct schedule *schedule;
	struct loop *loop;
	struct config *config;		/* counted; taken at the first use and at each reload */
	uint64_t wait_max_ns;		/* of recorded times, whatever the wall clock did */
	struct map destinations;
	/* the same: those of routes with hosts, then those by MX in the order in which they were
	   made */
	struct list all;
	struct list walks;		/* those under way */
	struct list wakes;		/* likewise, see wake.c; owned */
	struct heap waiting;		/* of jobs, by next attempt (the loop's clock) */
	struct heap deadlines;		/* of jobs, by the wall clock's ms */
	/* those that a reload has not looked at yet: by the old configuration */
	struct heap stale_deadlines;
	struct heap resting;		/* of destinations (the loop's clock) */
	/* destinations that want a slot: those without one, those with */
	struct list first, more;
	unsigned slots, slots_max;
	struct list called;		/* destinations whose turn at a gate it is */
	struct post calls;
	bool calls_posted;
	struct suspended *suspended;	/* counted */
	struct timer timer;
	uint64_t armed;			/* what the timer is set to; UINT64_MAX: not set */
	struct post reload;
	_Atomic bool reload_posted;
	/* a reload under way: the walk, then the deadlines */
	struct walk reload_walk;
	struct config **old_configs;	/* owned, counted: routes are still borrowed from them */
	unsigned old_configs_n;
	struct list held_to_count;	/* held jobs that it has not looked at yet */
	struct post redo;
	bool is_redoing, redo_again;
};

struct schedule {
	struct net *net;
	struct spool *spool;
	struct upcalls up;
	struct limits *limits;		/* owned */
	struct domain_quota *quota;	/* owned */
	_Atomic bool stopping;
	unsigned homes_n;
	struct home *homes;		/* owned */
	char *state;			/* owned; NULL: suspensions are not kept */
	pthread_mutex_t recording;	/* one at a time; only in the pool */
	pthread_mutex_t lock;		/* of .suspended, for some instructions */
	struct suspended *suspended;	/* counted */
};

/* How a destination is reached from one source. */
struct source_way {
	const struct name *source;	/* NULL: the system's choice */
	struct way *way;		/* counted */
	unsigned permits;		/* for slots that have not asked yet, at most one each */
	/* per core: such slots that were promised an idle connection; owned, or NULL */
	uint16_t *promises_on;
};

struct destination {
	struct map_node node;
	struct list in_home;
	struct home *home;		/* any thread */
	/* borrowed from the home's config (or, while a reload walks, one before); NULL: none */
	const struct route *route;
	const struct name *base;	/* the route without its variant */
	const struct name *provider;	/* NULL: none, or not known yet */
	struct list ready, waiting, held;
	struct heap woken;		/* ready ones, too: by arrival */
	struct wake *wake;		/* one is under way: no job is given to slots; or NULL */
	struct list in_want, in_called;
	struct heap_node in_resting;
	uint8_t want;			/* enum want */
	uint8_t line;			/* enum line */
	bool is_suspended;
	uint8_t refusals;		/* in a row, without a rest */
	uint8_t stood, swaps;		/* see stand() in source.c */
	uint8_t turned_away;		/* slots in a row that found their source shut */
	bool waits;			/* in line, and not called yet */
	bool is_kept;			/* come() has it in its hands */
	bool is_mx, knows_provider;
	bool probing;			/* it was down: one slot only until it works */
	bool was_down;			/* and has settled nothing since */
	bool start_pending;		/* .start is on its way */
	bool start_failed;
	_Atomic bool call_posted;	/* any thread: .call is on its way */
	uint16_t start_core;
	unsigned ready_n, waiting_n, held_n;
	unsigned in_flight_n, settling_n;
	unsigned slots;			/* started and not ended */
	/* of these, those that have not asked for their first job */
	unsigned asking;
	unsigned failures;		/* consecutive */
	unsigned epoch;			/* raised by each rest */
	unsigned works_n;		/* good news in this epoch */
	/* s, the loop's: when people hear again that it is down, or since when it is back and
	   starts slowly; 0: neither */
	uint32_t moment;
	float rate;			/* messages per second at .rate_at, see destination_rate */
	uint64_t rate_at;		/* the loop's clock */
	uint64_t messages;
	struct post start;		/* to another core, and back */
	struct post call;		/* it is its turn at the gate */
	struct limit_waiter waiter;
	struct source_way *ways;	/* owned; made when they are needed */
	unsigned ways_n;
	uint16_t route_n, domain_n;
	char *said, *last;		/* owned, or NULL: why it rests; the last bad news */
	/* route NUL domain NUL, within this allocation; any thread */
	const char *text;
	uint16_t slots_on[];		/* per core */
};

/* ---- home.c */
void home_init(struct home *h, struct schedule *s, unsigned index);
void home_done(struct home *h);
const struct config *home_config(struct home *h);
void home_fill(struct home *h);		/* start the slots that are wanted and allowed */
void home_arm(struct home *h);		/* after the heaps changed */
uint32_t home_random(struct home *h);
/* Wall clock to the loop's clock, between now and max ns from now. */
uint64_t home_time(int64_t wall_ms, uint64_t max_ns);
/* Out of the heap of deadlines it is in, if in one. */
void home_forget_deadline(struct home *h, struct job *j);

/* ---- reload.c: what takes all of a home, in pieces */
void walk_start(struct walk *w, struct home *h);	/* .step and .done are set */
void home_reload(struct home *h);
void home_reload_done(struct home *h);

/* ---- check.c */
bool schedule_check(struct schedule *s);	/* J1-J4, for tests with loops that stand still */

/* ---- destination.c */
struct route_key {
	struct str route, domain;
	uint64_t hash;
};

struct route_key route_key_make(struct str route, struct str domain);
struct route_key route_key_of(const struct message *m, uint32_t recipient);
bool route_key_eq(const struct route_key *a, const struct route_key *b);
struct home *home_of(struct schedule *s, uint64_t hash);
struct destination *destination_find(struct home *h, const struct route_key *k);
struct destination *destination_get(struct home *h, const struct route_key *k);	/* makes it */
void destination_configure(struct destination *d);
void destination_obey(struct destination *d);	/* the home's suspensions, looked at anew */
/* Why it is suspended; NULL: it is not, or all its sources are. */
const struct suspension *destination_suspension(const struct destination *d);
unsigned destination_slots_max(const struct destination *d);
/* after anything that decides whether it wants a slot; may free it */
void destination_update(struct destination *d);
/* way: by which it was found down; its connections may be one too many instead */
void destination_down(struct destination *d, struct way *way, struct str said);
/* settled: it did not just put off what it was given */
void destination_works(struct destination *d, struct way *way, bool settled);
void destination_pause(struct destination *d, uint64_t ns);
void destination_wake(struct destination *d);	/* its rest is over */
/* The same because somebody asks for it; that must not lengthen the next one. May free it. */
void destination_rouse(struct destination *d);
bool destination_is_resting(const struct destination *d);
void destination_count(struct destination *d);	/* a transaction that settled something */
double destination_rate(const struct destination *d);	/* messages per second */
void destination_free(struct destination *d);
void text_set(char **text, struct str to);	/* an owned text, NULL if empty */

/* ---- source.c */
struct way *destination_way(struct destination *d, const struct name *source);	/* borrowed */
void destination_forget_ways(struct destination *d);
void destination_set_provider(struct destination *d, const struct name *provider);
/* Most likely a source other than this way's, which opens at .its, is open by then. */
bool destination_has_other_way(struct destination *d, const struct way *than, uint64_t its,
			       uint64_t by);
/* No slot may start by a source that is suspended now, and nobody waits for it. */
void destination_leave_sources(struct destination *d);
/* All sources that it could use are suspended. */
bool destination_has_no_source(const struct destination *d);
/*
 * A permit for a slot that is about to start, or the promise of an idle connection: *ret_core is
 * where that is, else UINT_MAX. False: none, and it stands in line.
 */
bool destination_enter(struct destination *d, unsigned *ret_core);
/* the slot could not be started on that core */
void destination_permit_drop(struct destination *d, unsigned core);
void slot_take_permit(struct slot *slot);	/* one of those, if there is one */
bool slot_enter(struct slot *slot);	/* there was none: false as above */
void slot_leave(struct slot *slot);	/* it ends */
/* Of n recipients, how many may go in a transaction now; 0: none, and it stands in line. */
unsigned slot_pass(struct slot *slot, unsigned n, uint64_t octets);
void destination_line_init(struct destination *d);
void destination_line_leave(struct destination *d);

/* ---- slot.c */
void slot_start(struct destination *d);

/* ---- wake.c */
/* Those that wait become due, if there are many after it returned; destination_update follows. */
void wake_jobs(struct destination *d);
void wakes_done(struct home *h);

/* ---- job.c */
struct job *job_new(struct message *m, const struct home *home, const uint32_t *recipients,
		    uint32_t n);
void job_link(struct job *j);		/* into its message's ring; under message_lock */
void job_arrive(struct job *j, struct home *h);	/* at its home */
void job_end(struct job *j);
/* Forgets the recipients that are final; returns how many there are. */
uint32_t job_refresh(struct job *j);
/* A ready job keeps its first n recipients; the others become a job behind it. */
void job_split(struct job *j, uint32_t n);
/*
 * Into the place that its message and time say; ends it when nothing is open. front: before the
 * others that are ready.
 */
void job_place(struct job *j, bool front, uint64_t deadline_floor_ns);
/* The same for one that was just told when to come back: a rule for replies may say "in a day". */
void job_defer(struct job *j, int64_t next_ms);
/*
 * The same after a part of it was done: recipients whose next attempt is still to come become a job
 * of their own that waits for it, the others stand at the front.
 */
void job_place_partly(struct job *j);
void job_take(struct job *j, enum job_place next);	/* out of its place, to be lent */
/* out of its place and anew into the one that its message says */
void job_release(struct job *j, bool front);
void job_due(struct job *j);		/* its time has come */
void job_wake(struct job *j);		/* before its time, to its place by arrival */
struct job *job_first(const struct destination *d);	/* of those that are ready; or NULL */
/* Its recipients are not known any more to have to wait. */
void job_forget_time(struct job *j);
void job_deadline(struct job *j);	/* its deadline has come */
void job_set_deadline(struct job *j, uint64_t floor_ns);
void job_count(struct job *j);		/* for the quota of its route, or not any more */
void job_check(const struct job *j);

/* ---- suspend.c */
struct suspended *suspended_open(struct world *w, const char *state);	/* counted; never NULL */
void suspended_unref(struct suspended *s);
/* NULL: it is not suspended. Names of destinations are compared without case. */
const struct suspension *suspended_find(const struct suspended *s, enum suspend_kind kind,
					struct str name);
bool suspended_has(const struct suspended *s, enum suspend_kind kind);	/* any of that kind */
void home_take_suspended(struct home *h);	/* those in force now */

/* ---- question.c: asked by a task, answered at a home */
struct question {
	struct post post;
	struct schedule *schedule;
	struct home *home;
	struct loop *asker_loop;
	struct task *asker;
	bool answered;
	/* at the home; false: question_answer comes later */
	bool (*fn)(struct question *q);
};

void question_ask(struct question *q, struct home *h) SUSPENDS;
void question_ask_all(struct question *q) SUSPENDS;
void question_answer(struct question *q);

/* ---- status.c */
int64_t wall_of(uint64_t at);		/* the loop's clock to the wall's ms */
/* Why nothing goes there now, in words; empty: nothing is in the way. */
void destination_why(const struct destination *d, char *ret, size_t size);

#endif
