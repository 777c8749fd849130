/*
 * sink_guard - what a provider refuses: too many connections, messages that come too fast, clients
 * that it does not like, and whom it has never seen.
 *
 * Shared by all threads of a sink, under one lock. What it says goes to the client as it stands;
 * the words are like those of large providers, so that a relay's rules have something to match.
 * The limits are exact: a rate holds in every window of its period; what was refused does not
 * count.
 */
#ifndef TOOL_SINK_GUARD_H
#define TOOL_SINK_GUARD_H

#include "net/endpoint.h"
#include "smtp/reply.h"

#define GUARD_BLOCKED_MAX 64

struct guard_settings {
	uint64_t connections_max;	/* at once; 0: any number */
	bool per_ip;			/* connections and rate count for each client address */
	bool closes;			/* one connection too many is closed without a word */
	uint64_t rate_n, rate_ns;	/* transactions in a period; 0: any number */
	struct reply rate_reply;	/* code 0: 421 4.7.28 */
	uint64_t messages_max;		/* on a connection; 0: any number */
	uint64_t greylist_ns;		/* 0: nobody is kept waiting */
	struct network blocked[GUARD_BLOCKED_MAX];
	unsigned blocked_n;
	struct reply block_reply;	/* code 0: 554 5.7.1 */
};

enum guard_reason {
	GUARD_CONNECTIONS, GUARD_RATE, GUARD_MESSAGES, GUARD_GREYLIST, GUARD_BLOCKLIST,
	GUARD_REASONS
};

struct guard;

struct guard *guard_new(const struct guard_settings *settings);	/* copied */
void guard_free(struct guard *g);				/* NULL is fine */

/* Each returns true if all is well; else *ret_reply is what to say, code 0: nothing, hang up. */
bool guard_connect(struct guard *g, const struct ip *client, struct reply *ret_reply);
/* For each guard_connect, whatever it said. */
void guard_disconnect(struct guard *g, const struct ip *client);
/* messages: taken on this connection so far. now: ns, never backwards. */
bool guard_mail(struct guard *g, const struct ip *client, unsigned messages, uint64_t now,
		struct reply *ret_reply);
bool guard_rcpt(struct guard *g, const struct ip *client, struct str sender, struct str recipient,
		uint64_t now, struct reply *ret_reply);

uint64_t guard_refused(struct guard *g, enum guard_reason reason);
const char *guard_reason_name(enum guard_reason reason);

#endif
