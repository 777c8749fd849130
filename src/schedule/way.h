/*
 * way - a way's gates, and what the files about ways share: way.c (passing), learn.c (what lanes
 * learn), limits_describe.c (telling people). Not for other folders.
 */
#ifndef SCHEDULE_WAY_H
#define SCHEDULE_WAY_H

#include "schedule/gate.h"

struct way {
	/* among those that are held: by a hash of its hop, and another one to be sure */
	struct map_node node;
	uint64_t check;
	struct limits *limits;
	_Atomic uint32_t refs;
	uint32_t messages_per_connection;
	struct terms *terms;		/* counted */
	struct track *track;		/* counted */
	uint16_t pass_n, connect_n;
	/*
	 * Per core: idle connections in its pool, less those that were promised; below zero while
	 * promised ones are closed and their slots have not come yet. Owned.
	 */
	_Atomic int32_t *idle_on;
	struct gate *gates[];		/* counted; those to pass, then those of connections */
};

/* What happened to a way's lane, collected under the lock and told after it. */
struct learnt {
	enum lane_news news;
	uint32_t connections;
	uint64_t gap, paused;		/* ns */
	struct str why;			/* borrowed from who said it */
};

void learn_age(struct way *w, uint64_t now, struct learnt *ret);	/* under the lock */
void learn_tell(const struct way *w, const struct learnt *x);	/* writes the log; not under it */

#endif
