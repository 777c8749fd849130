/*
 * recipients_inner - what recipients.c and recipients_file.c share.
 */
#ifndef POLICY_RECIPIENTS_INNER_H
#define POLICY_RECIPIENTS_INNER_H

#include "base/hash.h"
#include "base/list.h"
#include "base/name.h"
#include "policy/gate.h"
#include "policy/recipients.h"
#include "report/kept.h"

#include <pthread.h>

struct known {
	struct map_node node;
	struct list by_use;		/* in existing or others: the newest last */
	const struct name *route;	/* without its variant */
	int64_t until_ms;		/* believed until: wall clock, as it outlives the process */
	uint8_t word;			/* enum recipient_word */
	struct str address;		/* within this allocation; empty: the hosts */
};

struct recipients {
	struct recipients_ask ask;
	struct gate gate;
	pthread_mutex_t lock;
	struct map map;
	struct list existing;		/* WORD_YES */
	struct list others;		/* who does not exist, hosts that do not answer */
	unsigned others_n;
	unsigned max;
	/* recipients_file.c */
	struct kept *kept;		/* owned; NULL: nothing is kept */
	struct world *world;
	size_t bucket_saved;		/* its actor's: how far it has come */
};

/* Makes room if it must. No address: the route's hosts. */
void recipients_learn(struct recipients *x, const struct name *route, struct str address,
		      enum recipient_word word, int64_t until_ms);

#endif
