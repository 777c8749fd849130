/*
 * committer - the inside of the committer: commit.c (actor, segments, failures), group.c (one
 * batch), apply.c (effects).
 */
#ifndef SPOOL_COMMITTER_H
#define SPOOL_COMMITTER_H

#include "spool/inner.h"

struct message_list {
	struct message **messages;	/* counted; owned */
	unsigned n, size;
};

struct batch_queue {
	struct batch *first, *last;
};

struct committer {
	struct spool *spool;
	struct segment *active;		/* counted; NULL: the last one was poisoned and no new
					   one could be opened */
	uint64_t last_number;		/* of the segment that was active last */
	uint64_t next_batch;
	struct batch_queue pending;
	struct copy *copies, *copies_last;
	/* ---- since the last sync */
	bool page_is_synced;		/* I2: the next batch begins on a page of its own */
	uint64_t unsynced_from;		/* number of the first unsynced batch; 0: none */
	uint64_t unsynced_start, unsynced_at;	/* its offset; when it was written */
	struct message_list noted;	/* whose state in memory is ahead of what is synced */
	/* ---- after a failure */
	struct message_list unrecorded;	/* whose state in memory is ahead of the log: goes into
					   the next batch */
	unsigned unrecorded_placed;	/* how many of them stand in the batch being made */
	struct seal *seals;		/* owned; go into the first batch of the next segment */
	unsigned seals_n;
	struct batch_queue doomed;	/* they fail when the seals are synced */
	int error;			/* why the spool cannot be written now */
	uint64_t retry_at, backoff;
	/* ---- the batch being made */
	struct arena scratch;		/* records that only the committer makes */
	struct iovec *iov;		/* owned */
	unsigned iov_n, iov_size;
	uint64_t start, at;		/* offsets */
	uint32_t records, checksum;
	struct batch_queue group;
	struct copy *group_copies;
	/* ---- afterwards */
	struct batch_queue *finished;	/* one per loop; owned */
	struct batch_queue unreplicated;
};

static inline void queue_push(struct batch_queue *q, struct batch *b)
{
	b->next = NULL;
	if (q->last)
		q->last->next = b;
	else
		q->first = b;
	q->last = b;
}

static inline struct batch *queue_pop(struct batch_queue *q)
{
	struct batch *b = q->first;

	if (b && !(q->first = b->next))
		q->last = NULL;
	return b;
}

/* ---- group.c */
void group_begin(struct committer *c);	/* an empty batch at the active segment's end */
bool group_fits(const struct committer *c, uint64_t octets);
void group_add_seals(struct committer *c);
void group_add_unrecorded(struct committer *c);
bool group_add_copy(struct committer *c, struct copy *copy);	/* false: not needed any more */
void group_add_batch(struct committer *c, struct batch *b);
void group_decide(struct batch *b);	/* for one that will not be placed */
void group_end(struct committer *c);	/* the COMMIT record */
uint64_t group_unrecorded_octets(const struct committer *c);

/* ---- apply.c */
void apply_batch(struct committer *c, struct batch *b, uint64_t number);
void apply_copies(struct committer *c, uint64_t number);	/* and hands them back */
void apply_undo_decisions(struct batch *b);
void messages_add(struct message_list *l, struct message *m);
void messages_drop(struct message_list *l, unsigned n);	/* the first n */
void messages_clear(struct message_list *l);

#endif
