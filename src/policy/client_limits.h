/*
 * client_limits - how much one client, its network or its login sends: the limits per client,
 * client network and login (config.h: LIMIT_PER_CLIENT ...).
 *
 * Rates are exact windows (base/bucket.h); connections are counted while they last. A count belongs
 * to a limit by its text, so a reload that leaves a limit as it is forgets nothing. One table for
 * all cores, bounded. Time is given (loop_now): nothing here suspends. From any loop.
 */
#ifndef POLICY_CLIENT_LIMITS_H
#define POLICY_CLIENT_LIMITS_H

#include "config/config.h"

struct client_limits;

/* Where one connection is counted; zeroed at the start. */
struct connection_counts {
	/* private: one limit's count for one client */
	struct counted *at[LIMITS_OF_SENDER_MAX];
	unsigned n;
};

/* Who sends. What is missing (family 0, empty login) no limit counts. */
struct sender {
	struct ip ip;
	struct str login;
	const struct endpoint *listen;	/* where he came to; NULL: no matter */
};

#define CLIENT_COUNTS_MAX 65536		/* counts that are kept: some 25 MiB when all are in use */

struct client_limits *client_limits_new(unsigned counts_max);
void client_limits_free(struct client_limits *l);	/* NULL is fine */

/*
 * Connections at once. per: LIMIT_PER_* that are looked at (of a login, once it is known). NULL: it
 * is counted, and ret has where, beside what it had before. Else the limit that is full, and
 * nothing is counted.
 */
const struct limit *client_limits_connect(struct client_limits *l, const struct config *c,
					  const struct sender *from, unsigned per,
					  struct connection_counts *ret);
/* Gives back all that it was counted in, but the first so many. */
void client_limits_disconnect(struct client_limits *l, struct connection_counts *counts,
			      unsigned keep);

struct spending {
	const struct config *config;
	const struct sender *from;
	uint64_t messages, recipients, octets, handshakes;	/* more of each */
	uint64_t now;
};

/*
 * NULL: all of it is counted. Else the limit that makes it wait longest, nothing is counted, and
 * *ret_again_ns is how long until it fits. What is more than a limit allows in a period passes
 * alone, once in it.
 */
const struct limit *client_limits_spend(struct client_limits *l, const struct spending *x,
					uint64_t *ret_again_ns);
/* The same for what has happened already: nothing is asked. */
void client_limits_charge(struct client_limits *l, const struct spending *x);

unsigned client_limits_count(struct client_limits *l);	/* counts that are kept */

#endif
