/*
 * limits - how much may go where at once and in which time: the `limit` statements, what providers
 * are known to bear, and what destinations were seen to bear. Exact, and shared by all cores.
 *
 * For each limit and each thing that it counts for (a destination, a provider, a source, ...) there
 * is a gate. What applies to one way - a destination, its provider, the source from which it is
 * reached - is a struct way: its gates, found once. All gates of a way are passed together or not
 * at all, under one lock for all (held for some tens of nanoseconds; docs/design/scheduler.md says
 * why there is just one).
 *
 * Kinds of gates:
 *  - connections: so many at once.
 *  - rates: so many messages, recipients or octets in a period. Exact: what was spent comes back
 *    one period later (rounded up by at most period / 64), so in no window of that length more
 *    passes than the limit says; a burst of all of it at once is allowed unless `evenly`. One
 *    message larger than the whole limit of octets passes when all of it is there, and the next
 *    one waits as many periods as it was limits large.
 *  - warm-up: so many messages per day (UTC) from a source to a provider.
 *  - a route's bound for one destination, where several lanes lead there or one lane leads to many.
 *  - lanes: one for each hop and source, where hop is the provider or, for a destination of none,
 *    the destination; learnt, not configured. Connections at once grow with success and shrink with
 *    refusals; a gap between messages grows when the other side says "too fast" and shrinks with
 *    success; it may be closed for a while. Each change is logged with its cause.
 *
 * Waiting: who is refused stands in line at the gate that refused him, first come first served,
 * without a timer of his own; when the gate opens the first in line is woken, and only as many as
 * can pass. Who does not come back for it lets the next one have it. A lane that is closed
 * (way_close) and a reload call everybody.
 */
#ifndef SCHEDULE_LIMITS_H
#define SCHEDULE_LIMITS_H

#include "base/list.h"
#include "config/config.h"
#include "net/loop.h"

struct limits;
struct gate;
struct way;

/*
 * state: the folder in which what was spent is kept over restarts (STATE/limits, written every few
 * seconds when it changed and by limits_stop, read here; damaged or missing: all is unspent, with a
 * log line); NULL: nothing is kept. The limits are config_current()'s, if there is one, until
 * limits_reload. Loops need not run yet (its timer is on the first).
 */
struct limits *limits_new(struct net *n, const char *state);
void limits_stop(struct limits *l);	/* no more wakes; saves; from the main thread */
void limits_free(struct limits *l);	/* stopped, no ways and waiters are left, the loops ended */
/*
 * A new configuration: gates of limits whose text is the same keep what was spent. Ways made before
 * keep working by the old one until they are made anew: way_is_old says so.
 */
void limits_reload(struct limits *l, struct config *c);

/* ---- ways */
struct hop {
	struct str destination;		/* its name: "route" or "domain"; unique with route */
	struct str domain;		/* of MX destinations, for `to domain`; else empty */
	const struct name *route;	/* the base route */
	const struct name *provider;	/* NULL: belongs to none */
	const struct name *source;	/* NULL: the system's choice */
	unsigned connections_max;	/* the route's bound for the destination */
};

/* Counted; any thread. */
struct way *way_get(struct limits *l, const struct hop *h);
struct way *way_ref(struct way *w);
void way_unref(struct way *w);			/* NULL is fine */
bool way_is_old(const struct way *w);		/* there is a newer configuration */
/* the strictest `messages per connection` and the provider's; UINT32_MAX: none */
uint32_t way_messages_per_connection(const struct way *w);

/* ---- passing. waiter may be NULL: then one is only told no. */

/*
 * In at most one line at a time; zeroed with limit_waiter_init. wake is called once per refusal,
 * from any thread, under the limits' lock: it must only post. After it was called the waiter asks
 * again, or says that it does not want to any more (limits_leave): until then its turn is kept for
 * it. Who asks again without having been called keeps its place. A reload calls everybody. Its
 * functions are for one thread at a time; it leaves before the way by which it asked goes.
 */
struct limit_waiter {
	struct list in_line;
	struct gate *gate;		/* private: where it waits or was called; NULL: nowhere */
	bool called;			/* private */
	bool robbed;			/* private: another one took what was kept for it */
	uint32_t least, wish;		/* private: units that it needs, and could use */
	uint32_t kept;			/* private: units kept for it since it was called */
	void (*wake)(struct limit_waiter *w);
};

void limit_waiter_init(struct limit_waiter *w, void (*wake)(struct limit_waiter *w));
void limits_leave(struct limits *l, struct limit_waiter *w);	/* out of its line, if in one */
bool limits_is_waiting(const struct limit_waiter *w);	/* in a line, or called */

/*
 * One message with so many recipients and octets. False: not now, and the waiter is in line.
 * True: *ret_recipients of them may go (at least 1).
 */
bool way_pass(struct way *w, unsigned recipients, uint64_t octets, unsigned *ret_recipients,
	      struct limit_waiter *waiter);
/*
 * Nothing was begun after all (no host could be reached, shutdown): what way_pass took is given
 * back. passed_at: the time just before way_pass was called (never after it), by the world's clock;
 * what is so old that it came back by itself is not given twice.
 */
void way_give_back(struct way *w, unsigned recipients, uint64_t octets, uint64_t passed_at);

/* One connection. True: until way_disconnect. */
bool way_connect(struct way *w, struct limit_waiter *waiter);
void way_disconnect(struct way *w);
/*
 * Connections that are kept idle count, too. While somebody is in line for a connection, idle ones
 * should go: fn(arg) is called under the lock, from any thread, when the first comes into line
 * (it must only post); way_wanted tells for a connection that is to be kept.
 */
void limits_set_reclaim(struct limits *l, void (*fn)(void *arg), void *arg);
bool way_wanted(const struct way *w);

/*
 * An idle connection of the way came into a core's pool, or left it, however that was. One of them
 * is promised to a slot that is about to start on its core: it needs no way_connect. By then the
 * connection may be closed, or somebody else's. Each promise ends with way_idle_add, whatever came
 * of it; so when the last reference to the way goes, what was added and taken must be even.
 */
void way_idle_add(struct way *w, unsigned core);
bool way_idle_is_spare(const struct way *w, unsigned core);	/* one that nobody was promised */
void way_idle_remove(struct way *w, unsigned core);
/* first: the core that is looked at first */
bool way_idle_promise(struct way *w, unsigned first, unsigned *ret_core);

/*
 * When both way_pass (one recipient) and way_connect would go, by the world's clock: 0: now; the
 * latest time that is known; UINT64_MAX: when others end, and nothing else is in the way. For
 * choosing among sources.
 */
uint64_t way_opens_at(const struct way *w, uint64_t now);
/* A warm-up cap is why not: the pool's overflow may be used. */
bool way_is_warming(const struct way *w);

/* ---- what was learnt; said: words for the log, not expanded */
/* A message was taken or judged. */
void way_works(struct way *w);
/*
 * No more connections for now: one (which counts until way_disconnect) was refused or timed out
 * while others work. True: from now on only as many as there are beside it. False: no other is
 * there, or none of them got anything done in the last minute, so this says nothing about how many
 * are allowed: the host is down.
 */
bool way_refused(struct way *w, struct str said);
void way_slow(struct way *w, struct str said);	/* "too fast" */
/*
 * Nothing goes for that time; a longer one that is under way stays. Calls everybody who is in line
 * at the lane: they may have another way to go by, or stand in line anew.
 */
void way_close(struct way *w, uint64_t ns, struct str said);

/* ---- for people */
/*
 * One line for each gate: what it is, what is spent of what, when it opens, who learnt what, how
 * many wait; the one that binds is marked. For relevo explain --destination.
 */
struct gate_state {
	char what[200];		/* "limit 100/min messages per destination" */
	char state[200];	/* "100 of 100 used, opens in 12 s" */
	bool binds;		/* it is why nothing goes now */
	uint64_t opens_at;	/* world's clock; 0: it is open */
	unsigned waiting;
};

void way_describe(struct way *w, void (*fn)(void *arg, const struct gate_state *s), void *arg);
/* Words for queue show and top: which gate it waits at. Empty: none. */
void limit_waiter_describe(struct limits *l, const struct limit_waiter *w, char *ret, size_t size);

struct limits_stats {
	unsigned gates, ways, waiters;
};

void limits_stats(struct limits *l, struct limits_stats *ret);

#endif
