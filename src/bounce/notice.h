/*
 * notice - the pure parts of bounce/: which notices are due, to whom, and what they look like.
 *
 * Bytes and structs in, bytes and structs out; nothing here suspends, so all of it is tested bare.
 * Private to bounce/ and its tests. RFC 3461 (who wants what), 3462 and 6522 (multipart/report),
 * 3463 (status codes), 3464 (the fields), 6533 (the same in UTF-8), 3834 (Auto-Submitted).
 */
#ifndef BOUNCE_NOTICE_H
#define BOUNCE_NOTICE_H

#include "config/config.h"
#include "spool/spool.h"

enum notice_kind { NOTICE_FAILED, NOTICE_DELAYED, NOTICE_SUCCESS };
#define NOTICE_KINDS 3
#define NOTICE_NONE (-1)

const char *notice_kind_name(enum notice_kind k);	/* "failed", "delayed", "success" */

/* ---- notice.c, notice_text.c: what a notice looks like */
struct notice_recipient {
	struct str address, orcpt;	/* orcpt as sent: "rfc822;xtext" */
	enum recipient_state state;	/* QUEUED: delayed */
	struct enhanced status;
	struct reply reply;		/* .code 0: nobody said anything */
	struct str host;		/* who said it: "mx.example (192.0.2.1)"; empty: we did */
	int64_t last_attempt_ms;	/* 0: none */
	int64_t will_retry_until_ms;	/* 0: not at all */
};

struct notice {
	enum notice_kind kind;
	bool to_postmaster;		/* the sender could not be told */
	struct str hostname;		/* Reporting-MTA */
	struct str sender;		/* of the original; may be empty if to_postmaster */
	struct str to;			/* whom this goes to */
	struct str envid;		/* xtext as sent; empty: none */
	struct str id;			/* of the original */
	struct str notice_id;		/* of this one */
	struct str boundary;		/* [0-9A-Za-z]{16,60}, random: no original can hold it */
	int64_t arrived_ms, now_ms;	/* wall clock */
	bool full; /* the whole message comes along, between notice_start and notice_end */
	bool smtputf8;			/* message/global-* (RFC 6533) */
	bool eightbit;			/* what comes along has octets >= 0x80 */
	struct str headers; /* the original's header section; empty: it could not be read */
	const struct notice_recipient *recipients;
	unsigned recipients_n;
};

#define NOTICE_HEADERS_MAX                                                                         \
	(64 * 1024) /* octets of an original's header section that are looked at */
#define NOTICE_LINE_MAX 998		/* octets of a line without CRLF, RFC 5322 2.1.1 */

/*
 * A multipart/report message up to where the original begins, and what stands behind it. Between
 * them the caller puts the original as it is if .full; else the header section is in the first part
 * already. False: it does not fit into out.
 */
bool notice_start(struct buf *out, const struct notice *n);
bool notice_end(struct buf *out, const struct notice *n);

/* The human-readable part, lines with CRLF, UTF-8. */
void notice_text(struct buf *out, const struct notice *n);

/*
 * A header section that is safe in any MIME part: bare CR, bare LF and NUL become '?', lines are
 * cut at NOTICE_LINE_MAX, the empty line is left out, the last line ends in CRLF.
 */
void notice_headers(struct buf *out, struct str headers);

/* For fields that must be ASCII: 7-bit bytes as they are, UTF-8 as "\x{E9}" (RFC 6533 3), other
 * bytes as '?'. */
void notice_ascii(struct buf *out, struct str s);

/* The Message-ID of a header section, if it is one that may stand in References; else empty. */
struct str notice_original_id(struct str headers);

/* ---- notice_policy.c: who gets what */

/*
 * The code for a report. What the peer said if it fits the state; else derived from the reply code
 * by a table; 5.4.7 if the time is up; X.4.2 if the connection was lost (reply.code 0).
 */
struct enhanced notice_status(enum recipient_state state, const struct reply *reply, bool expired);

/* When a recipient is given up, wall-clock ms; INT64_MAX: never (schedule.h, by the recipient's
 * route). */
int64_t notice_expiry_ms(const struct config *c, const struct message *m, uint32_t recipient);

/* What is known when an outcome is judged. */
struct judgement {
	const struct config *config;
	const struct message *message;
	int64_t now_ms, retry_ms;	/* retry_ms: the wait before the next attempt, if the
					   outcome brings no time of its own */
	bool was_warned;		/* recipient.warned and .next_ms as they are now */
	int64_t next_ms;
};

/*
 * Turns what an attempt brought into what is recorded: a recipient past its time becomes FAILED,
 * next_ms and warned are set. Returns the notice that is due by NOTIFY (enum notice_kind), or
 * NOTICE_NONE. *ret_expired: given up now.
 */
int notice_judge(const struct judgement *j, struct outcome *o, bool *ret_expired);

/*
 * Whether a deadline that comes now has anything to do for a recipient that is still queued: to
 * warn about it, if that was not done, or to give it up.
 */
bool notice_is_due(const struct config *c, const struct message *m, uint32_t recipient, bool warned,
		   int64_t now_ms);

/*
 * Whether a delayed notice that another recipient made due may tell of this one, which is queued:
 * wanted, its route warns at some time, and it is not past its own.
 */
bool notice_may_warn(const struct config *c, const struct message *m, uint32_t recipient,
		     int64_t now_ms);

/* Whether this sender can be told at all: not the null sender, not about a bounce (RFC 5321 6.1,
 * RFC 3461 6.2). */
bool notice_has_addressee(const struct message *m);

/* Whether the message is itself a notice to the postmaster, about which nobody is told. */
bool notice_is_for_postmaster(const struct config *c, const struct message *m);

/* ---- quota.c: notices per sender and hour, in bounded memory */
#define QUOTA_SETS 1024
#define QUOTA_WAYS 4

struct quota_slot {
	uint64_t hash;			/* of the address; 0: empty */
	int64_t since_ms;		/* the hour began */
	uint32_t count;
};

/* When a set is full the slot with the fewest notices gives way: who is over the limit stays known.
 */
struct quota {
	struct quota_slot slots[QUOTA_SETS][QUOTA_WAYS];
};

/* Counts one; false: that address had max in this hour. max 0: none is allowed. */
bool quota_take(struct quota *q, struct str address, uint32_t max, int64_t now_ms);
/* One that was counted was not made after all. */
void quota_give_back(struct quota *q, struct str address, int64_t now_ms);

#endif
