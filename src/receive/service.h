/*
 * service - what the listening side and the sessions know of each other; private to receive/.
 *
 * A struct receive has one reception per loop: its sessions and a scratch buffer, touched by that
 * loop only. A listening address has one door per loop (net/doors). What several loops touch is
 * atomic counters: how many sessions there are in all (doors.live), on an address (for
 * connections_max) and on a loop (a new connection goes to the loop with the fewest).
 */
#ifndef RECEIVE_SERVICE_H
#define RECEIVE_SERVICE_H

#include "base/list.h"
#include "net/doors.h"
#include "policy/popped.h"
#include "receive/receive.h"

#include <stdatomic.h>

struct listening;

/* One loop's share of the service. */
struct reception {
	_Atomic unsigned sessions_n;	/* read by all loops */
	struct receive *receive;	/* borrowed */
	struct loop *loop;
	struct list sessions;		/* struct session.in_reception */
	bool stopping;
	struct timer grace;		/* its end: what still talks is cut */
	struct post stop;		/* private to receive.c */
	/*
	 * Shared by the sessions of this loop between two suspensions: where content that is
	 * thrown away goes while its end is looked for (data_read), and where a Received field is
	 * put together.
	 */
	char *thrown;			/* owned; THROWN_MAX octets, made when first needed */
	struct buf head;
};

#define THROWN_MAX (STREAM_BUFFER + 2)

/* A listening address. Lives until receive_free: sessions count themselves here. */
struct listening {
	struct door_address at;		/* first: doors makes it */
	_Atomic unsigned sessions_n;
	_Atomic unsigned tarpitted_n;	/* sessions that wait before a refusal */
};

struct receive {
	struct net *net;
	struct spool *spool;
	struct schedule *schedule;
	struct reception *receptions;	/* owned; one per loop */
	unsigned receptions_n;		/* the net may be gone before us */
	struct receive_helpers help;	/* set before the first receive_listen */
	struct bans *handshakes;	/* owned; clients whose TLS fails again and again */
	struct doors doors;		/* of struct listening */
	uint64_t grace_ns;		/* set before the stop posts */
};

/*
 * A connection is over: takes back what the door counted. The last thing a session does with
 * anything of the service, which may be freed as soon as live is 0.
 */
void service_leave(struct reception *r, struct listening *l);

/* Has it looked at its mail from there a while ago? */
static inline bool service_has_popped(const struct receive *r, const struct ip *ip)
{
	return r->help.popped && popped_has(r->help.popped, ip, loop_now());
}

#endif
