/*
 * dovecot - logins judged by Dovecot, over its socket for other servers' logins (its documentation
 * calls it the auth client protocol, version 1; "service auth { unix_listener ... }" offers one).
 *
 * A conversation of one task: open, start with the mechanism that the client chose, pass messages
 * until OK or FAIL, close. Which mechanisms there are is told by Dovecot; their messages pass
 * through unread. One connection for each login: it costs a connect on this machine and a few
 * hundred octets, and nothing that one login does can disturb another. (A shared one would have to
 * sort answers by id between tasks, and to fail all of them at once when it breaks.)
 */
#ifndef POLICY_DOVECOT_H
#define POLICY_DOVECOT_H

#include "net/stream.h"
#include "smtp/sasl.h"

struct dovecot;

/* What Dovecot is told about the client, for its rules, penalties and log. */
struct dovecot_client {
	const struct endpoint *remote, *local; /* NULL or without an address: not told */
	bool secured;			       /* TLS, or this machine: plain text may pass */
	bool has_certificate;		       /* and it was verified */
	struct str session;		       /* our session's id; empty: not told */
};

enum dovecot_answer {
	DOVECOT_CONTINUE, /* .out is a challenge: dovecot_continue with the client's answer */
	DOVECOT_OK,	  /* .user; .out, if not empty, goes before the 235 as in sasl.h */
	DOVECOT_FAIL,	  /* wrong; .user if it came that far; .reason for the log */
	DOVECOT_LATER,	  /* Dovecot cannot say: 454 */
};

/*
 * Connects and shakes hands. 0; -EPROTO: it speaks something else, or another major version;
 * -ETIMEDOUT, -ECONNREFUSED, ... as other waits.
 */
int dovecot_open(const struct endpoint *where, uint64_t deadline, struct dovecot **ret) SUSPENDS;
void dovecot_close(struct dovecot *d); /* at any time; NULL is fine */
/* Whether it offers the mechanism, and whether only where plain text may pass. */
bool dovecot_has(const struct dovecot *d, enum sasl_mechanism m);
bool dovecot_is_plain_text(const struct dovecot *d, enum sasl_mechanism m);

/*
 * A dovecot_answer, or -errno (then close); -EACCES: a password in clear on a connection that is
 * not secured, which Dovecot itself would let pass; -EINVAL: it was not offered. initial: the
 * initial response, out of base64; has_initial false: there was none. A failure comes late on
 * purpose (auth_failure_delay, 2 s): the deadline must leave room for it.
 */
int dovecot_start(struct dovecot *d, enum sasl_mechanism m, const struct dovecot_client *client,
		  struct str initial, bool has_initial, uint64_t deadline) SUSPENDS;
int dovecot_continue(struct dovecot *d, struct str answer, uint64_t deadline) SUSPENDS;

struct str dovecot_out(const struct dovecot *d);
struct str dovecot_user(const struct dovecot *d);
struct str dovecot_reason(const struct dovecot *d);

#endif
