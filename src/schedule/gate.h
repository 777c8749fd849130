/*
 * gate - what the files behind limits.h share: gates, who stands in line at them, and what they
 * count. Not for other folders, nor for the rest of this one.
 *
 * Everything here is under limits.lock, but what is marked otherwise. There are two things with
 * gates: a meter (one gate: a configured limit, a warm-up or a route's bound, counted for one
 * place) and a track (two: the lane of a hop, with a gate for its connections and one for its
 * pace).
 *
 * Invariants, checked by limits_check:
 *   G1  who is first in a line could not pass: fewer units are free than it needs.
 *   G2  if time alone will change that, the gate stands in the heap of openings at that time or
 *       before, and the loop's timer at the first of the heap or before.
 *   G3  .waiting is the length of the line; units kept for those who were called and have not come
 *       yet are not free for others, and only who was called passes a gate at which others wait;
 *       except that who was called at a gate may take what is kept at a later one of his way (all
 *       ways have the same order), but not from the same waiter twice.
 *   G4  a thing without ways, waiters and anything spent or learnt does not exist; one that is only
 *       remembered stands in the heap at the time when it may be forgotten.
 */
#ifndef SCHEDULE_GATE_H
#define SCHEDULE_GATE_H

#include "schedule/limits.h"

#include "base/hash.h"
#include "base/bucket.h"
#include "report/kept.h"
#include "report/kept.h"
#include "schedule/lane.h"

#include <pthread.h>
#include <stdatomic.h>

enum gate_kind {
	GATE_CONNECTIONS,	/* a meter: so many at once */
	GATE_RATE,		/* a meter: so many units in a period */
	GATE_WARM_UP,		/* a meter: so many messages today */
	GATE_LANE,		/* a track's connections */
	GATE_PACE,		/* a track's gap between messages */
};

struct gate {
	struct list line;		/* of limit_waiter, those not called; first come first */
	struct heap_node in_openings;
	uint32_t waiting;		/* in line */
	uint32_t called;		/* were called and have not come or left yet */
	uint32_t kept;			/* units, for those */
	uint32_t firm;			/* of these, those that nobody else may take */
	uint8_t kind;			/* enum gate_kind */
};

/* What counts as one: fields that do not matter are NULL or empty. */
struct place {
	const struct name *route, *provider, *source;
	struct str destination;		/* in the same allocation */
};

/*
 * What a meter measures: a limit of the configuration, known by its text; or the warm-up plan of a
 * source; or the bound of routes (one quota for all of them: each meter has its own number).
 */
enum quota_kind { QUOTA_LIMIT, QUOTA_WARM_UP, QUOTA_BOUND };

struct quota {
	struct list in_quotas;
	uint32_t refs;			/* meters, and the terms that name it */
	uint8_t kind;			/* enum quota_kind */
	uint8_t what;			/* enum limit_what */
	uint8_t shift;			/* a unit is so many octets: 1 << shift */
	bool evenly;
	uint32_t units;			/* LIMIT: how many */
	uint64_t period_ns;		/* of rates */
	int64_t from_day;		/* WARM_UP: as struct source has it */
	unsigned days_n;
	uint32_t *days;			/* owned */
	struct str text;		/* in the same allocation */
};

struct meter {
	struct gate gate;
	struct map_node node;
	struct quota *quota;		/* counted */
	struct bucket *bucket;		/* RATE; owned; NULL: nothing was spent */
	uint64_t not_before;		/* RATE: evenly, or after a message larger than the limit */
	int64_t day;			/* WARM_UP: for which .in_use counts, since 1970 */
	uint32_t in_use;		/* CONNECTIONS; WARM_UP: messages */
	uint32_t bound;			/* BOUND: how many */
	uint32_t refs;			/* ways */
	struct list in_saved;		/* if it is to be kept over a restart */
	struct place place;
};

struct track {
	struct gate connections, pace;
	struct map_node node;
	struct lane lane;
	uint32_t refs;			/* ways */
	char *why;			/* owned; why it is slowed or closed; NULL */
	struct place place;
};

/*
 * A configuration with its quotas, as long as ways by it are about: .quotas are those of
 * config->limits, one for each.
 */
struct terms {
	uint32_t refs;			/* ways, and limits.terms */
	struct config *config;		/* counted; NULL: none */
	unsigned generation, quotas_n;
	struct quota *quotas[];		/* counted */
};

struct limits {
	struct net *net;
	unsigned cores_n;		/* the net may be gone before us */
	struct world *world;
	pthread_mutex_t lock;
	struct terms *terms;		/* in force; counted */
	_Atomic unsigned generation;	/* of .terms; any thread */
	_Atomic unsigned ways;
	struct map by_hop;		/* of ways that somebody holds */
	struct list quotas;
	struct quota *bounds;		/* the one of all routes; counted */
	struct map meters, tracks;
	struct heap openings;		/* of gates, by time */
	unsigned waiters;		/* in lines, or called */
	bool stopped;
	void (*reclaim)(void *arg);
	void *reclaim_arg;
	/* ---- the timer of the first loop */
	struct timer timer;		/* the loop's own */
	struct post post;
	bool posted;
	uint64_t armed;			/* what it is set to, or about to be; UINT64_MAX: nothing */
	/* ---- limits_state.c */
	struct kept *kept;		/* owned; NULL: nothing is kept */
	struct list saved;		/* of meters */
	struct list marker;		/* in .saved, while it is written: how far that has come */
};

/* What somebody wants to pass with. */
struct ask {
	uint32_t recipients;
	uint64_t octets;
};

/* ---- gate.c: what a gate counts */
struct meter *gate_meter(struct gate *g);
struct track *gate_track(struct gate *g);
bool gate_is_for_connections(const struct gate *g);
bool gate_counts_recipients(struct gate *g);
void gate_needs_more(const struct quota *q, const struct ask *a, uint32_t *ret_least,
		     uint32_t *ret_wish);
/* Units that are free at now beside those kept for others; own: those kept for who asks. */
uint32_t gate_free(struct limits *l, struct gate *g, uint64_t now, uint32_t own);
/* Units that one may take at now who was called at a gate before this one. */
uint32_t gate_takeable(struct limits *l, struct gate *g, uint64_t now);
/* What time alone brings: when so many will be free. UINT64_MAX: it depends on others. */
uint64_t gate_opens(struct limits *l, struct gate *g, uint64_t now, uint32_t units);
void gate_take(struct limits *l, struct gate *g, uint64_t now, uint32_t units,
	       const struct ask *a);
/* Of what was taken at passed_at so many units were not needed. */
void gate_give_back(struct limits *l, struct gate *g, uint64_t now, uint64_t passed_at,
		    uint32_t units);
void gate_disconnect(struct gate *g);
uint32_t meter_limit(struct limits *l, struct meter *m);	/* units; today's of a warm-up */
void meter_changed(struct limits *l, struct meter *m);		/* it is to be saved */

/* Units that one needs at least, and those that it can make use of: nearly always one. */
static inline void gate_needs(struct gate *g, const struct ask *a, uint32_t *ret_least,
			      uint32_t *ret_wish)
{
	const struct quota *q;

	*ret_least = *ret_wish = 1;
	if (g->kind != GATE_RATE)
		return;
	q = CONTAINER_OF(g, struct meter, gate)->quota;
	if (q->what != LIMIT_MESSAGES)
		gate_needs_more(q, a, ret_least, ret_wish);
}

/* ---- line.c: waiting */
void line_init(struct gate *g, enum gate_kind kind);
void line_join(struct limits *l, struct gate *g, struct limit_waiter *w, uint64_t now);
void line_join_front(struct limits *l, struct gate *g, struct limit_waiter *w, uint64_t now);
/*
 * Out of where it waits or was called; returns that gate, of which the caller must call line_serve.
 */
struct gate *line_leave(struct limits *l, struct limit_waiter *w);
/*
 * After anything that may have opened the gate: calls those who can pass; forgets the gate if
 * nobody needs it. It may be gone afterwards.
 */
void line_serve(struct limits *l, struct gate *g, uint64_t now);
void line_call_all(struct limits *l, struct gate *g);	/* whether they can pass or not */

/* ---- meter.c and quota.c: making and finding */
struct quota *quota_get(struct limits *l, struct str text);	/* by its text; counted */
struct quota *quota_of_limit(struct limits *l, const struct limit *x);	/* counted */
struct quota *quota_of_warm_up(struct limits *l, const struct source *s);	/* counted */
void quota_put(struct limits *l, struct quota *q);
/* Both counted. */
struct meter *meter_get(struct limits *l, struct quota *q, const struct place *p);
struct track *track_get(struct limits *l, const struct place *p, uint32_t bound, bool known,
			uint64_t now);
void meter_put(struct limits *l, struct meter *m, uint64_t now);
void track_put(struct limits *l, struct track *t, uint64_t now);
/* Nobody waits at it: frees its thing if nothing is left of it, or sees to it that it will be. */
void gate_forget(struct limits *l, struct gate *g, uint64_t now);
void meters_done(struct limits *l);

/* ---- limits.c */
void limits_arm(struct limits *l);	/* after the heap of openings changed */
bool limits_check(struct limits *l);	/* G1-G4; for tests; takes the lock */
void terms_put(struct limits *l, struct terms *t);

/* ---- limits_state.c */
void limits_state_open(struct limits *l, const char *state);

#endif
