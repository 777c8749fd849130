/*
 * bans_inner - what bans.c and bans_file.c share.
 */
#ifndef POLICY_BANS_INNER_H
#define POLICY_BANS_INNER_H

#include "base/hash.h"
#include "base/list.h"
#include "policy/bans.h"
#include "report/kept.h"

#include <pthread.h>

#define BANS_ONE 1000u			/* a failure, in what entries count */
#define BANS_LEVEL_MAX (1000u * BANS_ONE)

struct count {
	struct map_node node;
	struct list by_use;    /* the newest last */
	struct ip network;     /* of a network; family 0: a name's, of which the keyed
				  hash is enough: a collision would be chance */
	uint32_t level;	       /* thousandths of failures, at drained */
	uint32_t bans;	       /* so far */
	uint64_t drained;      /* ns */
	uint64_t banned_until; /* ns; 0: not banned */
	uint64_t credential;   /* the last that was wrong */
};

struct counts {
	struct map map;
	struct list by_use;
};

struct bans {
	struct ban_limits limits;
	pthread_mutex_t lock;
	struct counts networks, names;
	unsigned banned;
	/* bans_file.c */
	struct kept *kept;		/* owned; NULL: nothing is kept */
	struct world *world;
	size_t bucket_saved;		/* its actor's: how far it has come */
};

/* Under the lock. The network's entry, made if there is none: makes room if it must. */
struct count *bans_network(struct bans *b, const struct ip *network, uint64_t now);
/* What is left of the level; time that is too short for a thousandth stays for the next time. */
void bans_drain(const struct bans *b, struct count *n, uint64_t now);

#endif
