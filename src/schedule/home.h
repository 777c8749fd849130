/*
 * home - what the files of schedule/ share: the core that owns a destination, and the destination
 * itself.
 *
 * Nothing here is locked: a home, its destinations and their jobs are touched on the home's loop
 * only, except what is marked otherwise. Not for other folders.
 *
 * Invariants (D9), checked by job_check and schedule_check:
 *   J1  a job is in exactly one place: on the way, ready, waiting, held, in flight, being settled.
 *   J2  ready and held jobs are in the destination's lists, waiting ones in the home's heap; others
 *       in none.
 *   J3  a ready or waiting job is in the heap of deadlines unless it has none; others are not.
 *   J4  a destination with ready jobs rests, or is in one of the home's lists of those who want a
 *       slot, or has slots asked for that have not come yet, or has as many slots as it may have,
 *       each of which will ask again.
 */
#ifndef SCHEDULE_HOME_H
#define SCHEDULE_HOME_H

#include "schedule/schedule.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
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

/* of the relay; each home has its share, so that no counter is shared */
#define SLOTS_MAX 2048
#define SLOTS_HOME_MIN 64
#define TICK_MAX 256		/* events handled before others have their turn */
#define PAUSE_NS (100 * MILLISECOND)	/* after a slot could not be started */
#define UNTRIED_PAUSE_NS SECOND	/* after a slot gave a job back without having learnt why */

struct home {
	struct schedule *schedule;
	struct loop *loop;
	struct config *config;		/* counted; taken at the first use and at each reload */
	uint64_t wait_max_ns;		/* no wait is longer, whatever the wall clock does */
	struct map destinations;
	struct heap waiting;		/* of jobs, by next attempt */
	struct heap deadlines;		/* of jobs */
	struct heap resting;		/* of destinations */
	/* destinations that want a slot: those without one, those with */
	struct list first, more;
	unsigned slots, slots_max;
	struct timer timer;
	uint64_t armed;			/* what the timer is set to; UINT64_MAX: not set */
	struct post reload;
	_Atomic bool reload_posted;
};

struct schedule {
	struct net *net;
	struct spool *spool;
	struct upcalls up;
	_Atomic bool stopping;
	unsigned homes_n;
	struct home *homes;		/* owned */
};

struct destination {
	struct map_node node;
	struct home *home;		/* any thread */
	const struct route *route;	/* borrowed from the home's config; NULL: not in it */
	struct list ready, held;
	struct list in_want;
	struct heap_node in_resting;
	uint8_t want;			/* enum want */
	bool probing;			/* it was down: one slot only until it works */
	bool start_pending;		/* .start is on its way */
	bool start_failed;
	unsigned ready_n, waiting_n, held_n;
	unsigned in_flight_n, settling_n;
	unsigned slots;			/* started and not ended */
	/* of these, those that have not asked for their first job */
	unsigned asking;
	unsigned failures;		/* consecutive */
	unsigned epoch;			/* raised by each rest */
	/* slots at once: the route's bound, or fewer where the hosts refused more */
	unsigned allowed;
	unsigned works_n;		/* good news in this epoch */
	unsigned start_core;
	struct post start;		/* to another core, and back */
	char said[160];			/* why it rests */
	uint16_t route_n, domain_n;
	/* route NUL domain NUL, within this allocation; any thread */
	const char *text;
	uint16_t slots_on[];		/* per core */
};

/* ---- home.c */
void home_init(struct home *h, struct schedule *s, unsigned index);
void home_done(struct home *h);
const struct config *home_config(struct home *h);
void home_reload(struct home *h);
void home_fill(struct home *h);		/* start the slots that are wanted and allowed */
void home_arm(struct home *h);		/* after the heaps changed */
uint32_t home_random(struct home *h);
/* Wall clock to the loop's clock, between now and max ns from now. */
uint64_t home_time(int64_t wall_ms, uint64_t max_ns);
bool schedule_check(struct schedule *s);	/* J1-J4, for tests with loops that stand still */

/* ---- destination.c */
struct route_key {
	struct str route, domain;
	uint64_t hash;
};

struct route_key route_key_of(const struct message *m, uint32_t recipient);
bool route_key_eq(const struct route_key *a, const struct route_key *b);
struct home *home_of(struct schedule *s, uint64_t hash);
struct destination *destination_get(struct home *h, const struct route_key *k);	/* makes it */
void destination_configure(struct destination *d);
/* after anything that decides whether it wants a slot; may free it */
void destination_update(struct destination *d);
void destination_down(struct destination *d, struct str said);
void destination_works(struct destination *d);
void destination_pause(struct destination *d, uint64_t ns);
void destination_wake(struct destination *d);	/* its rest is over */
bool destination_is_resting(const struct destination *d);
void destination_free(struct destination *d);

/* ---- slot.c */
void slot_start(struct destination *d);

/* ---- job.c */
struct job *job_new(struct message *m, const struct home *home, const uint32_t *recipients,
		    uint32_t n);
void job_link(struct job *j);		/* into its message's ring; under message_lock */
void job_arrive(struct job *j, struct home *h);	/* at its home */
void job_end(struct job *j);
/*
 * Into the place that its message and time say; ends it when nothing is open. front: before the
 * others that are ready.
 */
void job_place(struct job *j, bool front, uint64_t deadline_floor_ns);
void job_take(struct job *j, enum job_place next);	/* out of its place, to be lent */
/* out of its place and anew into the one that its message says */
void job_release(struct job *j, bool front);
void job_due(struct job *j);		/* its time has come */
void job_deadline(struct job *j);	/* its deadline has come */
void job_set_deadline(struct job *j, uint64_t floor_ns);
void job_check(const struct job *j);

#endif
