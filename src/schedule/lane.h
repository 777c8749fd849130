/*
 * lane - how many connections and how fast a hop takes from one of our sources: learnt from what it
 * says; pure.
 *
 * Like a sender of TCP, which has the same question: connections grow by one for each message that
 * went well until something goes wrong, and by one per LANE_GOOD afterwards. A refused connection
 * tells how many there may be; "too fast" halves them and begins a gap between messages, which
 * doubles with each further one and shrinks by an eighth with success. Only what is made use of
 * grows: two connections that work do not prove that twenty would.
 *
 * Words of the other side come in bunches, one for each connection: they count once in a second (or
 * once in a gap, if that is longer). And what was learnt goes stale: every LANE_STALE without any
 * news doubles the connections again, up to where they began, and shortens the gap to a quarter.
 *
 * Each function that may change a lane so that people should hear of it returns which news that is.
 * A step down to what they heard last is none: a hop that takes three connections refuses the
 * fourth each time that it is tried.
 */
#ifndef SCHEDULE_LANE_H
#define SCHEDULE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#define LANE_START 5			/* connections to who is not known yet */
#define LANE_BOUND 20			/* of a provider whose bound is not known */
#define LANE_GOOD 32			/* messages for one connection more */
#define LANE_GAP_FIRST 100000000ull	/* ns */
#define LANE_GAP_LEAST 10000000ull	/* a shorter one is none */
#define LANE_GAP_MOST 60000000000ull
#define LANE_BUNCH 1000000000ull	/* ns in which bad news count once */
#define LANE_WORKS 60000000000ull	/* ns for which a success proves that the host is up */
#define LANE_STALE 600000000000ull
#define LANE_FORGET (10 * LANE_STALE)	/* by then it is as new, whatever it was */

enum lane_news { LANE_SAME, LANE_SLOWED, LANE_QUICKENED, LANE_PAUSED };

struct lane {
	uint32_t bound;			/* connections; never more are allowed */
	uint32_t start;			/* allowed at first, and again when all is stale */
	uint32_t allowed, in_use;
	uint32_t good;			/* messages since .allowed grew */
	uint32_t before;		/* allowed when it was slowed; 0: it is not slowed */
	uint32_t told;			/* allowed when people last heard of it ... */
	uint64_t told_gap;		/* ... and the gap */
	bool shrunk;			/* no slow start any more */
	uint64_t gap;			/* ns between messages; 0: none */
	uint64_t next_at;		/* of the next message, if there is a gap */
	uint64_t closed_until;
	uint64_t touched;		/* the last news */
	uint64_t worked;		/* the last good one while connections were open; 0: none */
	uint64_t slowed, eased;		/* when the gap grew or shrank */
};

/* known: an administrator named the hosts; then all of bound is allowed at once. bound >= 1 */
void lane_init(struct lane *l, uint32_t bound, bool known, uint64_t now);
void lane_set_bound(struct lane *l, uint32_t bound, bool known);	/* after a reload */

/* Before anything is asked: what is stale goes. */
enum lane_news lane_age(struct lane *l, uint64_t now);
uint32_t lane_connections(const struct lane *l, uint64_t now);	/* that may be added */
bool lane_may_send(const struct lane *l, uint64_t now);
void lane_connect(struct lane *l);
void lane_disconnect(struct lane *l);
void lane_send(struct lane *l, uint64_t now);		/* one message */
/* When it is neither closed nor in its gap. */
uint64_t lane_opens(const struct lane *l, uint64_t now);

enum lane_news lane_works(struct lane *l, uint64_t now);
/* *ret_means: others work, so it says how many there may be */
enum lane_news lane_refused(struct lane *l, uint64_t now, bool *ret_means);
enum lane_news lane_slow(struct lane *l, uint64_t now);
enum lane_news lane_close(struct lane *l, uint64_t now, uint64_t ns);

/* When nothing is left of what it learnt, if nothing happens; now: there is nothing now. */
uint64_t lane_fades(const struct lane *l, uint64_t now);

#endif
