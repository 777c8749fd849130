/*
 * spool - every acknowledged message, on disk, until it is final (promises D1-D4, DESIGN section
 * 5).
 *
 * The one door in and out: receive/, bounce/ and the HTTP API put messages in by spool_commit;
 * schedule/ and deliver/ record what became of them by spool_commit or spool_note. An append-only
 * log of segments with one committer; its formats stand as tables above the code that writes them
 * (segment.c, record.c).
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "net/loop.h"
#include "spool/content.h"
#include "spool/message.h"

struct spool;

enum spool_event {
	SPOOL_EVENT_RECOVERED,	/* counts after opening */
	SPOOL_EVENT_DAMAGE,	/* a record or segment is damaged; it was quarantined */
	SPOOL_EVENT_POISONED,	/* a write or sync failed: its segment takes no more (D4) */
	SPOOL_EVENT_FULL,	/* nothing new is accepted */
	SPOOL_EVENT_ROOM,	/* accepting again */
	SPOOL_EVENT_FAILED,	/* the spool cannot be written at all for now */
};

struct spool_options {
	const char *path;		/* the folder; made if missing (one level) */
	uint64_t size_max;		/* octets of disk that the spool may use; 0: no limit but
					   free space */
	uint64_t free_min;		/* octets of free space below which nothing new is
					   accepted */
	uint64_t arriving_memory_max;	/* octets of content in memory while it arrives */
	uint64_t waiting_memory_max;	/* octets of content kept in memory for the first attempt */
	uint64_t recipients_max;	/* of all open messages: spool_take_places; 0: no limit */
	uint64_t lock_wait_ns;		/* how long to wait for a dying predecessor's lock */
	uint64_t segment_size;		/* octets; 0: min(64 MiB, file system / 16), at least 1
					   MiB */
	/*
	 * Facts for the log; NULL: none. Called from the committer's and pool threads: must not
	 * suspend. text: one line.
	 */
	void (*event)(void *arg, enum spool_event kind, const char *text);
	void *event_arg;
};

/*
 * Found by recovery: a message with an open recipient, its merged state in it. The callee may keep
 * a reference.
 */
typedef void spool_found(void *arg, struct message *m);

struct spool_recovery {
	uint64_t messages, segments, records, octets_read;
	uint64_t torn_batches, damaged_records, quarantined_files;
	uint64_t took_ms;
};

/*
 * Open: lock the folder, read what is there, give every open message to found, start the committer.
 * Outside tasks; blocks. 0; -EWOULDBLOCK: another relay has it; -EPROTO: an unknown format version;
 * -errno. On failure error holds a sentence.
 */
int spool_open(struct net *n, const struct spool_options *o, spool_found *found, void *arg,
	       struct spool **ret, struct spool_recovery *ret_recovery, struct buf *error);
/*
 * Writes and syncs what is left and ends the committer. No task may be in a spool call. Frees the
 * spool.
 */
void spool_close(struct spool *s);

/* ---- records that become durable together: built by one task, used once */
struct batch;

struct outcome {
	uint32_t recipient;		/* index */
	enum recipient_state state;	/* QUEUED: deferred */
	bool warned;			/* set: a delay notice was made or was not due */
	bool attempted;			/* counts as an attempt */
	bool dsn_passed;		/* the next hop offered DSN and took the duty to report
					   over (RFC 3461 5.2.1); not recorded, read by bounce/ */
	int64_t next_ms;		/* of a deferred one: wall clock */
	struct reply reply;		/* what was said; .code 0: nothing was */
	struct str host;		/* by whom: "mx.example (192.0.2.1)"; may be empty */
	struct str tls;			/* "TLSv1.3 cipher dane"; for the log only; empty: plain */
};

struct batch *batch_new(struct spool *s);
/*
 * A new message with sealed content: it gets its id here (readable at once: m->id). The batch
 * counts a reference.
 */
void batch_message(struct batch *b, struct message *m);
/* What became of recipients. Texts are copied. */
void batch_outcomes(struct batch *b, struct message *m, const struct outcome *outcomes, unsigned n);
/* Hold or release, and the crash count. */
void batch_flags(struct batch *b, struct message *m, uint8_t flags, uint8_t crashes);
/*
 * Those recipients go by another route from now on, and are due at once by it; attempts, warnings
 * and what was said stay, and what is final stays final. Who plans deliveries (schedule/) must be
 * told: the jobs that there are belong to the old route.
 */
void batch_route(struct batch *b, struct message *m, const uint32_t *recipients, unsigned n,
		 const struct name *route);
/*
 * Those recipients were told of in a delayed notice that another recipient's delay made due.
 * Nothing else of them changes, so whoever works on them meanwhile is not disturbed.
 */
void batch_warned(struct batch *b, struct message *m, const uint32_t *recipients, unsigned n);
void batch_free(struct batch *b);	/* only for one that was neither committed nor noted */

/*
 * An id before the commit, for the Received field: batch_message then uses it (m->id set by the
 * caller).
 */
struct message_id spool_next_id(struct spool *s);

/*
 * Commit: returns after all records of the batch are on stable storage (D1). Takes the batch, from
 * a task. Cannot be cancelled. When the last open recipient of a message becomes final its DONE
 * record is written too, in the same batch.
 * 0; -ENOSPC and other -errno: nothing of it will ever be acknowledged, the sender gets 451 or 452
 * (D4), and nothing of it was applied; -ESHUTDOWN: not even that is certain, drop the connection
 * without a reply. A batch without a message whose write failed is written again into the next
 * segment: then the answer only comes later.
 */
int spool_commit(struct spool *s, struct batch *b) SUSPENDS;

/*
 * Note: the same for bookkeeping that a crash may undo (a second delivery, never a loss): returns
 * when the records are written; they are synced with the next batch or when 50 ms old. Takes the
 * batch, from a task; no new messages in it. Cannot be cancelled.
 * 0; -errno: it could not be written now. It is applied in memory all the same - what a peer said
 * is true - and written as soon as anything can be: there is nothing to do again.
 */
int spool_note(struct spool *s, struct batch *b) SUSPENDS;

/* ---- state */
bool spool_accepts(struct spool *s);	/* false: below the free-space or above the size limit:
					   MAIL gets 452 4.3.1 */
/* Room for a message of that size (SIZE=) as well. */
bool spool_accepts_size(struct spool *s, uint64_t octets);
/*
 * Memory is bounded by the number of recipients that wait. Places for so many more: taken before a
 * message of strangers is committed, given back when it is (then it has its own) or cannot be.
 * False: there are not so many, and none was taken. Any thread.
 */
bool spool_take_places(struct spool *s, uint32_t recipients);
void spool_give_back_places(struct spool *s, uint32_t recipients);
/* The limits of a reloaded configuration. */
void spool_set_limits(struct spool *s, const struct spool_options *o);
uint32_t spool_number(const struct spool *s);	/* the spool part of ids */

/* Counted; NULL: none or final. */
struct message *spool_find(struct spool *s, const struct message_id *id);
/* Calls fn for each open message (a snapshot of references); fn must not suspend. Any thread. */
void spool_each(struct spool *s, void (*fn)(void *arg, struct message *m), void *arg);

struct spool_stats {
	uint64_t messages;		/* open */
	uint64_t segments, octets_on_disk, octets_live;
	uint64_t commits, batches, syncs, octets_written, swept_messages, poisoned;
	uint64_t memory_arriving, memory_waiting;
	uint64_t sync_ns_total, sync_ns_max;
	bool accepts;
};

void spool_stats(struct spool *s, struct spool_stats *ret);

/*
 * Found damaged on disk, by a reader or by the sweeper: its owner shall give it up. Who delivers it
 * meets the same (-EBADMSG from a content_reader) and lets it fail by himself. Called for those
 * known already, then from the keeper's and pool threads, once for each; must not suspend; the
 * callee may keep a reference. NULL: no more.
 */
void spool_set_damaged(struct spool *s, void (*damaged)(void *arg, struct message *m), void *arg);

/*
 * ---- for a backup: from the pin to the unpin nothing is deleted, neither segments nor content
 * files, so that what the segments hold up to these octets can be copied at leisure, and is what a
 * crash at the moment of the pin would have left. Blocks (through the pool). The caller frees the
 * extents.
 */
struct spool_extent {
	uint64_t segment, octets;
};

struct spool_extent *spool_pin(struct spool *s, unsigned *ret_n);
void spool_unpin(struct spool *s);	/* any thread */

/*
 * ---- the seam for a second copy (DESIGN section 8): the null replica answers that all is synced.
 */
struct replica {
	/*
	 * Batch number n (its bytes as in the log) is on its way; called by the committer, must not
	 * block.
	 */
	void (*append)(struct replica *r, uint64_t n, const struct iovec *iov, int iov_n);
	/* The highest batch number that the second copy holds safely. */
	uint64_t (*synced)(struct replica *r);
};

void spool_set_replica(struct spool *s, struct replica *r);	/* before the first commit */
void spool_replica_synced(struct spool *s);	/* any thread: synced() has grown, look again who
						   can be woken */

#endif
