/*
 * vouch - what the host whose turn it is must prove before it gets this message. See vouch.c.
 */
#ifndef DELIVER_VOUCH_H
#define DELIVER_VOUCH_H

#include "deliver/client.h"
#include "verify/dane.h"
#include "verify/sts.h"
#include "verify/tlsrpt.h"

struct delivery;
struct host;

struct vouch {
	struct arena arena;		/* of one walk */
	struct message *message;	/* borrowed from the job */
	enum trust_wish wish;
	bool has_wish;			/* it was looked for */
	bool has_sts;			/* likewise */
	struct sts_answer sts;
	const struct host *host;	/* whose .trust is; NULL: nobody's */
	enum failure failure;		/* of that host */
	struct dane dane;
	struct trust_decision decision;
	struct trust trust;
	char why[160];
};

/* Does this message go only where TLS is verified and REQUIRETLS is offered (RFC 8689 4.2.1)? */
bool vouch_is_demanded(const struct message *m);
void vouch_begin(struct delivery *v, struct message *m);
void vouch_done(struct vouch *x);
/*
 * The current candidate: FAIL_NONE, and v->vouch.trust is what it must prove; or a failure of
 * STAGE_TLS: it is not to be tried.
 */
enum failure vouch_host(struct delivery *v) SUSPENDS;
/* May the slot's connection, opened for another message, carry this one? */
bool vouch_keeps(const struct delivery *v, const struct client *c);
/* ---- for TLS reports and the pool */
void vouch_opened(struct delivery *v, struct client *c);
void vouch_told(void *delivery, const struct client *c, enum stage stage, enum failure f);

/*
 * For explain: what is known of a host, for a message without wishes, in words. Tells nothing to
 * reports.
 */
struct vouch_question {
	const struct config *config;
	const struct route *route;
	struct dns *dns;
	struct str domain;		/* empty: not by MX */
	bool is_secure;			/* the exchangers' names were signed */
	const struct host *host;
};

void vouch_facts(const struct vouch_question *q, struct vouch *x, struct trust_facts *ret) SUSPENDS;

#endif
