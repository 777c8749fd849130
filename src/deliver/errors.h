/*
 * errors - the one table that says what each thing that can go wrong means. See errors.c.
 */
#ifndef DELIVER_ERRORS_H
#define DELIVER_ERRORS_H

#include "base/arena.h"
#include "net/world.h"
#include "smtp/reply.h"
#include "spool/spool.h"

enum stage {		/* where in the conversation */
	STAGE_ROUTE,
	STAGE_MX,		/* the domain's mail exchangers */
	STAGE_LOOKUP,		/* a host's addresses */
	STAGE_CONNECT, STAGE_GREETING, STAGE_HELLO, STAGE_TLS, STAGE_LOGIN, STAGE_OFFERS,
	STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_BODY, STAGE_DOT,
};

enum failure {		/* what happened; FAIL_NONE: nothing */
	FAIL_NONE = 0,
	/* the other side said so; TOO_MANY: 452 or 552 for one recipient (RFC 5321 4.5.3.1.10) */
	FAIL_4XX, FAIL_421, FAIL_5XX, FAIL_TOO_MANY,
	/* the conversation broke */
	FAIL_LOST, FAIL_TIMEOUT, FAIL_GARBAGE, FAIL_REFUSED,
	FAIL_NO_NETWORK,	/* there is no way to that network */
	/* what the DNS says: the servers failed, DNSSEC failed, ... */
	FAIL_NO_ANSWER, FAIL_BOGUS, FAIL_NO_NAME, FAIL_NO_DATA, FAIL_BAD_NAME, FAIL_NULL_MX,
	/* we cannot or must not */
	FAIL_NO_ROUTE, FAIL_NO_FAMILY, FAIL_NO_SOURCE, FAIL_LOOP,
	FAIL_SIZE, FAIL_EIGHTBIT, FAIL_BINARY, FAIL_UTF8,
	FAIL_UNSPEAKABLE, FAIL_CONTENT, FAIL_DAMAGED,
	/* TLS: not offered, no agreement, not who it should be, octets before it began */
	FAIL_NO_TLS, FAIL_HANDSHAKE, FAIL_CERTIFICATE, FAIL_INJECTION,
	/* nothing vouches for the host's name; the message's own demand cannot be met */
	FAIL_NOT_LISTED, FAIL_WISH,
	/* logins: no secret, no mechanism that both know, the server cannot prove itself */
	FAIL_NO_SECRET, FAIL_NO_MECHANISM, FAIL_UNPROVEN,
	FAIL_CANCELLED,		/* in no row: nothing is concluded from it */
	FAIL_N
};

enum scope {		/* what it is about, and so what happens next */
	/* the next host; if none is left the destination is down, and rests */
	SCOPE_HOST,
	SCOPE_TRY,		/* the next host; if none is left the message is deferred */
	SCOPE_MESSAGE,		/* all recipients of the transaction */
	SCOPE_RECIPIENT,	/* this one */
};

enum lasting { TEMPORARY, PERMANENT };

struct error {
	enum stage stage;
	enum failure failure;
	enum scope scope;
	enum lasting lasting;
	bool closes;		/* the connection is of no more use */
	struct enhanced enhanced; /* where nobody gave one */
	const char *text;	/* our words, where the other side had none */
};

/*
 * What went wrong, with the words that go into the log and the notices. Scope and lasting are the
 * row's, unless a rule for replies said otherwise (react.c).
 */
struct problem {
	const struct error *error;	/* NULL: nothing */
	enum scope scope;
	enum lasting lasting;
	bool is_ruled;			/* a rule for replies fitted */
	uint64_t wait_ns;		/* until the next attempt; 0: by the retry schedule */
	/* the other side's, or .code 0 with our words; text in the arena */
	struct reply reply;
	struct str host;		/* in the arena; may be empty */
};

const struct error *error_find(enum stage stage, enum failure failure);	/* never NULL */
const struct error *error_table(size_t *ret_n);
const char *stage_name(enum stage s);
const char *failure_name(enum failure f);

/* What a reply means where one of that class (2 or 3) was expected. */
enum failure failure_of_reply(const struct reply *r, unsigned class);
bool failure_is_reply(enum failure f);
/* What an answer of the DNS means; FAIL_NONE for DNS_OK. */
enum failure failure_of_dns(enum dns_status s);

/*
 * said: the other side's reply, copied into the arena, or NULL for our words; detail: behind our
 * words, or empty.
 */
void problem_set(struct problem *p, struct arena *a, enum stage stage, enum failure failure,
		 const struct reply *said, struct str host, struct str detail);
/* Of two hosts' problems: may the second take the place of the first? */
bool problem_replaces(const struct problem *old, const struct problem *new);
/* What it makes of one recipient. */
void problem_outcome(const struct problem *p, uint32_t recipient, struct outcome *ret);

/* docs/reference/errors.md */
void errors_reference(struct buf *out);

#endif
