/*
 * keeper - the inside of the keeper: keeper.c (actor, segments, files), sweep.c (copying
 * survivors).
 */
#ifndef SPOOL_KEEPER_H
#define SPOOL_KEEPER_H

#include "spool/inner.h"

struct keeper {
	struct spool *spool;
	_Atomic bool stopping;
	uint64_t retry_at, zeroed_at;	/* world's ns */
	struct list shrinking;		/* deleted segments whose blocks are given back */
	struct dead_file *shrinking_file, *shrinking_last;	/* and content files */
	uint64_t shrink_at;
	/* ---- sweeping */
	struct segment *from;		/* counted; whose survivors are being copied; NULL: none */
	unsigned under_way;		/* copies that the committer has */
	uint64_t survivors;		/* in from, when these were handed over */
	uint64_t sweep_at;		/* not before */
	uint64_t again_at;		/* what could not be read is tried again */
	_Atomic(struct copy *) returned;
};

int64_t sweep(struct keeper *k);	/* a step; returns as an actor's step does */
void sweep_take_back(struct keeper *k);

#endif
