/*
 * sts - the MTA-STS policies of domains: fetched, remembered, refreshed (RFC 8461). See sts.c.
 */
#ifndef VERIFY_STS_H
#define VERIFY_STS_H

#include "verify/sts_policy.h"

struct sts;

struct sts_options {
	const char *state;		/* the folder in which to keep them; NULL: in memory only */
	uint16_t port;			/* of the web servers: 443 */
	unsigned timeout_ms;		/* of one fetch */
};

/* Reads what was kept; blocks. */
struct sts *sts_new(struct world *w, const struct sts_options *o);
void sts_stop(struct sts *s);		/* fetches under way end soon; no new ones. Any thread */
void sts_free(struct sts *s);		/* nobody asks any more */

struct sts_answer {
	struct sts_policy policy;	/* mode NONE: there is none that counts */
	struct str text;		/* as the domain wrote it, for reports; empty: none */
	bool failed;			/* the domain says that it has one; it could not be had */
	char why[96];
};

/*
 * The policy of a domain that mail goes to, in the arena. If none is known and the domain has one,
 * it is fetched first, which takes up to the time-out; one that is old is refreshed by a task of
 * the group while the old one serves.
 */
void sts_find(struct sts *s, struct dns *d, struct task_group *g, struct str domain,
	      struct arena *a, struct sts_answer *ret) SUSPENDS;
/* What is remembered, without asking anybody: for explain. False: nothing. Any thread. */
bool sts_known(struct sts *s, struct str domain, struct arena *a, struct sts_answer *ret,
	       int64_t *ret_expires_ms);

#endif
