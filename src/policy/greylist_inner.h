/*
 * greylist_inner - what greylist.c and greylist_file.c share.
 */
#ifndef POLICY_GREYLIST_INNER_H
#define POLICY_GREYLIST_INNER_H

#include "base/hash.h"
#include "base/list.h"
#include "policy/greylist.h"
#include "report/kept.h"

#include <pthread.h>

#define GREYLIST_DIGEST 16		/* octets of SHA-256 that are kept */

enum greylist_kind { GREYLIST_TRIPLE, GREYLIST_NETWORK, GREYLIST_KINDS };

/* All times are wall-clock ms. */
struct grey {
	struct map_node node;
	struct list by_use;		/* the newest last */
	unsigned char digest[GREYLIST_DIGEST];
	int64_t first_ms;		/* of a triple that waits: the first attempt */
	int64_t until_ms;		/* it is forgotten */
	uint32_t good;			/* a triple: 0 waits, 1 passes; a network: messages */
};

struct greys {
	struct map map;
	struct list by_use;
	unsigned max;
};

struct greylist {
	pthread_mutex_t lock;
	struct greys kinds[GREYLIST_KINDS];
	/* greylist_file.c */
	struct kept *kept;		/* owned; NULL: nothing is kept */
	struct world *world;
	size_t kind_saved, bucket_saved;	/* its actor's: how far it has come */
};

/* Under the lock. NULL: there is none. */
struct grey *greylist_find(struct greylist *g, enum greylist_kind k, const unsigned char *digest);
/* Makes room if it must. There is none of that digest yet. */
struct grey *greylist_add(struct greylist *g, enum greylist_kind k, const unsigned char *digest);

#endif
