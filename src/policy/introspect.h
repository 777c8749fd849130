/*
 * introspect - whose is this token? Asked of the server that gave it out (RFC 7662), for XOAUTH2
 * and OAUTHBEARER.
 *
 * An HTTP POST (net/https.h), in the pool: TLS verified, no redirections, the answer bounded.
 * Tokens that were good are remembered by their hash for at most a minute and never past their end;
 * a token that was not is asked for again. What the server says is believed, no more than what it
 * was asked.
 */
#ifndef POLICY_INTROSPECT_H
#define POLICY_INTROSPECT_H

#include "base/buf.h"
#include "net/task.h"
#include "smtp/sasl.h"

#define INTROSPECT_CACHE_MS (60 * 1000)
#define INTROSPECT_ANSWER_MAX (64 * 1024) /* octets */

struct introspect_options {
	/* "https://..."; "http://" only to this machine, for tokens are secrets */
	struct str url;
	struct str client_id, client_secret; /* HTTP Basic (RFC 7662 2.1); empty: none */
	struct str ca_file;		     /* empty: the system's authorities */
	struct str scope;		     /* that a token must have; empty: any */
	struct str audience;		     /* that it must be meant for; empty: any */
	/* the member that holds the user's name; empty: the first of username, email, sub */
	struct str claim;
	unsigned timeout_ms;  /* of a whole question */
	unsigned at_once_max; /* questions at once; others wait in line */
	unsigned cache_max;   /* tokens that are remembered */
};

enum token_verdict {
	TOKEN_GOOD, /* active, in time, with the scope and the audience, and names a user */
	TOKEN_BAD,
	TOKEN_LATER, /* nobody could be asked: 454 */
};

struct token_facts {
	char user[SASL_NAME_MAX + 1]; /* of GOOD */
	int64_t expires_ms;	      /* of GOOD: wall clock; 0: not told */
	char why[160];		      /* of the others, for the log; no part of the token */
};

struct introspector;

/* Copies the options. NULL: error holds a sentence. */
struct introspector *introspector_new(const struct introspect_options *o, struct buf *error);
void introspector_free(struct introspector *i); /* nobody asks any more; NULL is fine */
/* Was it made with these, whatever the secret? */
bool introspector_serves(const struct introspector *i, const struct introspect_options *o);

/*
 * user: who the client says he is; he must be whom the token names (without case). Empty: whoever
 * that is. A token_verdict, or -ECANCELED.
 */
int introspect(struct introspector *i, struct str token, struct str user, uint64_t deadline,
	       struct token_facts *ret) SUSPENDS;

/* ---- the answer, pure: what is in it counts at that time */
enum token_verdict introspect_judge(const struct introspect_options *o, struct str json,
				    int64_t now_ms, struct token_facts *ret);

#endif
