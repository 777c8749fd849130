/*
 * greylist - a sender who is not known is told to come back; who does is let in (RFC 6647).
 *
 * What is remembered is a triple: the client's network (/24, /64), the sender, the recipient. The
 * first attempt, and those within the delay, are refused for now; one after it and within the
 * window passes, and for pass_ns after its last use the triple passes at once. A client network
 * with a verified name whose mail got through GREYLIST_GOOD times passes with everything.
 *
 * Parts of a sender's local part with digits in them count as equal, so a list's return addresses,
 * another one for each message or subscriber (VERP, BATV, SRS), are one sender.
 *
 * Pure but for the tables and the file; times are wall-clock milliseconds, as they outlive the
 * process. From any loop. Bounded: GREYLIST_TRIPLES and GREYLIST_NETWORKS entries of some 100
 * octets; the one unused for longest goes. Only digests are kept, of addresses nothing.
 */
#ifndef POLICY_GREYLIST_H
#define POLICY_GREYLIST_H

#include "base/buf.h"
#include "net/endpoint.h"
#include "net/world.h"

#define GREYLIST_TRIPLES 200000
#define GREYLIST_NETWORKS 50000
#define GREYLIST_GOOD 5			/* messages until a network passes by itself */

struct greylist;

struct greylist_times {
	uint64_t delay_ms, window_ms, pass_ms;
};

struct greylist_triple {
	struct ip client;
	struct str name;		/* of the client, verified; empty: none */
	struct str sender, recipient;	/* addresses; an empty sender is the null path */
};

enum greylist_answer {
	GREYLIST_PASS,			/* known, or the network is good */
	GREYLIST_PASSED,		/* with this attempt */
	GREYLIST_WAIT,
};

struct greylist *greylist_new(unsigned triples_max, unsigned networks_max);
void greylist_free(struct greylist *g);		/* NULL is fine */

/* WAIT: *ret_seconds until it may come back, at least 1. */
enum greylist_answer greylist_ask(struct greylist *g, const struct greylist_times *t,
				  const struct greylist_triple *x, int64_t now_ms,
				  uint64_t *ret_seconds);
/* A message of his was taken. name empty: nothing is counted. */
void greylist_good(struct greylist *g, const struct greylist_times *t, const struct ip *client,
		   struct str name, int64_t now_ms);
bool greylist_is_good(struct greylist *g, const struct ip *client, struct str name,
		      int64_t now_ms);

struct greylist_stats {
	unsigned triples, networks;
};
void greylist_stats(struct greylist *g, struct greylist_stats *ret);

/* ---- pure */
/* The sender as it is compared: lower case, words with digits folded. Cut at the buffer's end. */
void greylist_sender(struct str sender, struct buf *ret);

/* ---- greylist_file.c: the file STATE/greylist */
/* Before it is asked anything. Reads (blocks), then keeps; what fails is reported in the log. */
void greylist_keep(struct greylist *g, struct world *w, const char *state);
void greylist_stop(struct greylist *g);		/* saves; from the main thread */

#endif
