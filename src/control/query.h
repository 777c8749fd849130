/*
 * query - which waiting recipients a queue command is about: the one language of list, count, show,
 * hold, release, retry, bounce, delete and reroute.
 *
 *   all | CONDITION...            CONDITION: [not] KEY VALUE[,VALUE...] | ID...
 *
 * Every condition must fit (AND); of the values of one, any (OR). A query selects recipients that
 * wait: what is true of the message (sender, age, size, tag, id, held) is true of each of its
 * recipients. `not` turns one condition round. The table of keys is in query.c.
 *
 * Pure: words in, a query out, or a sentence with the place of the wrong word. What is asked of
 * (struct query_subject) is put together by who knows it; nothing here looks anything up. All of
 * it is bounded: QUERY_WORDS_MAX words, and wildcards are matched without recursion.
 */
#ifndef CONTROL_QUERY_H
#define CONTROL_QUERY_H

#include "base/buf.h"
#include "base/id.h"

#define QUERY_WORDS_MAX 1024

/* Bits: several are true at once. */
enum query_status {
	QUERY_QUEUED = 1,	/* waits at all: true of every subject */
	QUERY_READY = 2,	/* its time has come */
	QUERY_WAITING = 4,	/* its time has not come yet */
	QUERY_HELD = 8,
	QUERY_DEFERRED = 16,	/* was tried before */
	QUERY_NEW = 32,		/* was not */
	QUERY_IN_FLIGHT = 64,
	/* what its destination is just now */
	QUERY_SUSPENDED = 128,
	QUERY_LIMITED = 256,
	QUERY_RESTING = 512,
};

/* One recipient that waits, and its message. */
struct query_subject {
	struct message_id id;
	int64_t age_ms;
	uint64_t size;
	struct str sender, tag;		/* empty: the null sender, none */
	struct str recipient, domain;	/* its address; the domain of it */
	struct str destination;		/* as destination_name: the domain, or the route */
	struct str provider;		/* empty: none that is known */
	struct str route;		/* as the spool has it */
	unsigned status;		/* QUERY_* */
};

const char *query_status_name(enum query_status one);

struct query;

/*
 * stop: a word that ends the query ("via", "by"), or NULL. *ret_used: how many of the n words
 * belong to it. The words are copied. NULL: a sentence was appended to error.
 */
struct query *query_parse(const struct str *words, unsigned n, const char *stop, unsigned *ret_used,
			  struct buf *error);
void query_free(struct query *q);	/* NULL is fine */

/* any_status: bits of .status that are not known: they may be so or not, and fit either way. */
bool query_matches(const struct query *q, const struct query_subject *s, unsigned any_status);

bool query_is_empty(const struct query *q);	/* no word at all: not even `all` */
/* The statuses that it asks about; provider and destination ones need a look at the homes. */
unsigned query_statuses(const struct query *q);
bool query_has_provider(const struct query *q);
/* Nothing but ids: *ret is the array of them, the query's own; else 0. */
unsigned query_ids(const struct query *q, const struct message_id **ret);

/* ---- shared with those who make subjects and answers */
/* A word with `*` for any octets, without case. */
bool query_wildcard(struct str pattern, struct str text);
/* A route without its variant: "NAME+XXXXXXXX" is "NAME", "mx:NAME" stays. */
struct str query_route_base(struct str route);
bool query_route_is_mx(struct str route);
/* What people call it: the base, and of "mx:NAME" the NAME. */
struct str query_route_name(struct str route);

/*
 * Words on their way over the control socket: blanks, controls, `%` and non-ASCII octets as %XX;
 * the empty word as "%". decode works in place and returns the word; false: malformed.
 */
void query_word_encode(struct buf *out, struct str word);
bool query_word_decode(char *p, size_t n, struct str *ret);

#endif
