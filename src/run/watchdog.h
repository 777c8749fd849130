/*
 * watchdog - whether the worker's loops still turn: the worker's count of them, and the
 * supervisor's clock.
 *
 * The worker posts to each of its loops, and says LINK_ALIVE when all of them have taken the last
 * post; the supervisor waits for that word, ends a worker that does not say it any more, and
 * tells systemd (WatchdogSec=) that all is well as long as it is, or is being mended.
 */
#ifndef RUN_WATCHDOG_H
#define RUN_WATCHDOG_H

#include "net/loop.h"

#include <stdatomic.h>

#define HEARTBEAT_MS 5000

/* ---- the worker's side; from its main thread */
struct heartbeat;

struct heartbeat *heartbeat_new(struct net *n);
void heartbeat_free(struct heartbeat *h);	/* after the loops have ended; NULL is fine */
/* Have all loops turned since the last call? Asks those that have to do it again. */
bool heartbeat_turn(struct heartbeat *h);

/* ---- the supervisor's side: pure; times in ns */
#define HANG_S 30		/* so long without a word, and it hangs */
#define RELOAD_MAX_S 300	/* a word may take that long while large tables are read */
#define HANG_GRACE_S 5		/* to each of: being late, dying by SIGABRT */

enum watchdog_verdict { WATCHDOG_FINE, WATCHDOG_ABORT, WATCHDOG_KILL };

struct watchdog {
	uint64_t due;		/* the next word, at the latest; 0: none is waited for */
	unsigned steps;		/* since it was due: suspected, aborted */
	uint64_t feed_every;	/* for systemd; 0: it does not ask */
	uint64_t fed;
};

void watchdog_expect(struct watchdog *w, uint64_t now, unsigned seconds);
void watchdog_forget(struct watchdog *w);	/* no worker, or one that ends */
/*
 * After all words that arrived were read. One that is late is given a grace first: it may be the
 * machine that stood still.
 */
enum watchdog_verdict watchdog_look(struct watchdog *w, uint64_t now);
bool watchdog_feeds(struct watchdog *w, uint64_t now);	/* say WATCHDOG=1 now? */
uint64_t watchdog_next(const struct watchdog *w);	/* when to look again; 0: never */

#endif
