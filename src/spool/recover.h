/*
 * recover - the inside of recovery: recover.c (which segments, how far, afterwards), replay.c (the
 * records).
 */
#ifndef SPOOL_RECOVER_H
#define SPOOL_RECOVER_H

#include "spool/scan.h"

struct old_segment {
	struct segment *g;	/* counted */
	uint64_t limit;		/* octets that are valid */
	uint64_t void_batch;	/* number of the first batch that is not; 0: no SEAL says so yet */
	bool is_unused;		/* no COMMIT in it or behind it: to be removed */
	bool is_damaged;	/* octets that are no record, or no COMMIT at its end */
};

struct recovery {
	struct spool *spool;
	struct spool_recovery *stats;
	struct old_segment *segments;	/* by number; owned */
	unsigned n;
	uint64_t last_batch;		/* the highest of a valid COMMIT; 0: none */
	uint64_t checkpoint;		/* the highest that was synced for certain */
	bool unreadable;		/* where the log ends cannot be told: octets there cannot
					   be read */
	uint64_t batch;			/* of the record being replayed */
	struct map done;		/* ids that are final */
	struct arena done_arena;
};

/*
 * recover.c: how far each of the segments is valid; these two need neither the spool nor its index.
 */
void recover_read_seals(struct recovery *r);
void recover_find_end(struct recovery *r);
/* A COMMIT of a batch that begins before it; another says nothing, whatever its checksum. */
bool recover_commit_get(const struct scanned *f, struct commit *ret);

void replay(struct recovery *r);
void replay_done(struct recovery *r);

#endif
