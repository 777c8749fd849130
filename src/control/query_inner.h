/*
 * query_inner - a parsed query, as query.c makes and query_match.c reads it. Not for other files.
 */
#ifndef CONTROL_QUERY_INNER_H
#define CONTROL_QUERY_INNER_H

#include "base/arena.h"
#include "control/query.h"

enum query_key {
	QUERY_SENDER,
	QUERY_RECIPIENT,
	QUERY_DOMAIN,
	QUERY_DESTINATION,
	QUERY_PROVIDER,
	QUERY_ROUTE,
	QUERY_AGE,
	QUERY_SIZE,
	QUERY_TAG,
	QUERY_STATUS,
	QUERY_ID,
	QUERY_KEYS
};

/* What stands behind a key. */
enum query_take { TAKE_ADDRESSES, TAKE_NAMES, TAKE_TIME, TAKE_SIZE, TAKE_STATUS, TAKE_IDS };

struct query_name {
	struct query_name *next;
	struct str text;	/* empty: none, the null sender */
};

/* One condition: any of its names, its ids or its statuses; or its bound. */
struct condition {
	struct condition *next;
	enum query_key key;
	bool negated;
	bool is_over;			/* of the bound: more than .amount; else less */
	uint64_t amount;		/* ns, octets */
	unsigned status;
	struct query_name *names;
	struct message_id *ids;
	unsigned ids_n;
};

struct query {
	struct arena arena;		/* owns all below */
	struct condition *conditions, **end;
	bool is_all;
};

#endif
