/*
 * inner - what the files of spool/ share: segments, batches, the spool itself.
 *
 * Who may touch what:
 *   any thread      counters (atomic), inbox (lock-free), what is under spool->lock
 *   the committer   the active segment's end, batch numbers, struct committer, recipients' decided
 *   states the keeper      making the next segment ready, deleting, sweeping, looking at free space
 *   loops           their own batches until they hand them over
 * spool->lock guards index, lists of segments and of messages in them, where a message lies, and
 * live counts. It is held for a few instructions, never across a disk call. message_lock nests
 * inside it.
 */
#ifndef SPOOL_INNER_H
#define SPOOL_INNER_H

#include "base/arena.h"
#include "base/mem.h"
#include "spool/record.h"
#include "spool/segment.h"
#include "spool/spool.h"

#include <errno.h>
#include <pthread.h>

#define BATCH_MAX (8u << 20)		/* octets of a batch, unless one submission alone is
					   larger */
#define BATCH_SWEEP_MAX (1u << 20)	/* octets of it that may be the sweeper's */
#define NOTE_AGE_MAX_NS (50 * MILLISECOND)	/* unsynced bookkeeping is synced at that age */
#define KEEPER_EVERY (1u << 20)		/* octets of log between two looks of the keeper */
#define BACKOFF_MIN_NS (1 * SECOND)	/* after nothing could be written */
#define BACKOFF_MAX_NS (60 * SECOND)

/* ---- a submission */

struct item {
	struct item *next;
	struct message *message;	/* counted */
	char *bytes;			/* in the arena: header and envelope */
	uint32_t octets;		/* of bytes */
	bool is_message;
	struct record_body body;	/* if is_message */
	struct progress flags;		/* has_flags, flags, crashes */
	uint32_t *named;		/* in the arena: these recipients... */
	unsigned named_n;
	const struct name *route;	/* ...go by this; NULL: were warned */
	struct change *changes;		/* in the arena */
	unsigned changes_n;
	uint64_t offset;		/* where the committer put it */
	bool closes;			/* its DONE stands in the same batch */
};

struct batch {
	struct batch *next;
	struct spool *spool;
	struct arena arena;		/* items and their bytes */
	struct item *items, *last;
	uint64_t octets;		/* in the log, DONE records included */
	bool has_messages, is_ordinary;	/* a message that is not a bounce: not for the reserve */
	bool is_note;
	bool applied;
	bool done;			/* set and read on the submitter's loop */
	int result;
	uint64_t number;		/* of the batch in the log that it went into */
	struct task *task;
	struct loop *loop;
	struct post post;
};

/* ---- stored.c: a message's record, read back; blocks in the disk */
struct stored {
	char *record;			/* owned: header and envelope */
	struct record header;
	struct str head;		/* in record */
	struct record_body body;
	char *content;			/* owned: the body, if it stands in the log */
};

/* 0; -EBADMSG: damaged; other -errno. What was read is to be freed in any case. */
int stored_read(struct segment *g, uint64_t offset, struct stored *ret);
void stored_free(struct stored *st);

/* ---- damage.c: what to do about a message whose bytes are not what was written; blocks */

/*
 * Its record in g at offset could not be read: error is -EBADMSG, or the disk's. The first time it
 * is reported, the octets are kept in quarantine, and the message's owner is told if they are
 * damaged. The message stays in the index.
 */
void damage_of_message(struct spool *s, struct message *m, struct segment *g, uint64_t offset,
		       int error);
/* Its content file is short, wrong or missing: it goes to quarantine. */
void damage_of_file(struct spool *s, const struct message_id *id, uint64_t file);

/* The keeper's: a message to be written again at the log's end. */
struct copy {
	struct copy *next;
	struct message *message;	/* counted */
	struct segment *from;		/* counted */
	struct stored old;		/* checked */
	uint64_t offset;		/* of the new record */
	uint32_t octets;
	bool placed;
};

/* ---- memory for content, which may outlive the spool */

struct dead_file {
	struct dead_file *next;
	uint64_t name, octets;		/* octets: that are left of it on disk */
	int fd;				/* of one whose name is gone, while it is given back */
	uint64_t batch;			/* to be removed when this one is on stable storage; 0:
					   at once */
};

struct content_memory {
	_Atomic uint32_t refs;
	_Atomic uint64_t arriving, waiting, arriving_max, waiting_max;
	struct world *world;
	pthread_mutex_t lock;		/* guards spool and dead */
	struct spool *spool;		/* NULL once closed */
	struct dead_file *dead;		/* content files that nobody needs any more */
};

struct spool {
	struct net *net;
	struct world *world;
	int dir, segments_dir, content_dir, lock_fd;
	uint32_t number, incarnation;
	_Atomic uint64_t id_counter;
	uint64_t segment_size;
	void (*event)(void *arg, enum spool_event kind, const char *text);
	void *event_arg;
	struct content_memory *memory;
	struct replica *replica;
	void (*damaged)(void *arg, struct message *m);	/* under lock */
	void *damaged_arg;		/* under lock */

	/* ---- nothing is deleted while a backup copies */
	pthread_mutex_t deleting;	/* held while the keeper deletes, and to pin */
	_Atomic unsigned pins;

	/* ---- under lock */
	pthread_mutex_t lock;
	struct map index;
	struct list segments;		/* all that hold records, by number; the active one last */
	struct segment *ready;		/* the next one; NULL: none yet */
	uint64_t live_octets;		/* records of open messages */
	_Atomic uint64_t next_segment;	/* number */

	/* ---- hand-over */
	_Atomic(struct batch *) inbox;	/* last in first */
	_Atomic(struct copy *) copies;
	_Atomic bool committer_asleep;
	_Atomic bool keeper_wants_sync;	/* something waits for a batch to be on stable storage */
	_Atomic bool stopping;
	struct actor *committer_actor, *keeper_actor;
	struct committer *committer;
	struct keeper *keeper;

	/* ---- space */
	/* of open messages, and of those on their way into the log: counted twice for a moment */
	_Atomic uint64_t recipients, recipients_max;
	_Atomic uint64_t size_max, free_min, free, file_octets;
	_Atomic uint64_t space_at;	/* when free space was last looked at */
	_Atomic bool space_wanted;	/* somebody asked, and the last look is old */
	_Atomic bool accepts;		/* watermarks */
	_Atomic bool tight;		/* no segment beyond the ready one can be made: ordinary
					   messages are refused */
	_Atomic bool failed;		/* nothing can be written */

	/* ---- for the committer's sync and everybody's counting */
	_Atomic uint64_t synced;	/* highest batch on stable storage */
	_Atomic uint64_t commits, batches, syncs, octets_written, swept, poisoned, sync_ns_total,
		sync_ns_max;
};

static inline void spool_lock(struct spool *s)
{
	pthread_mutex_lock(&s->lock);
}

static inline void spool_unlock(struct spool *s)
{
	pthread_mutex_unlock(&s->lock);
}

void spool_report(struct spool *s, enum spool_event kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- batch.c */
void batch_release(struct batch *b);	/* messages and memory; the committer is through with it */

/* ---- commit.c: the committer */
void committer_open(struct spool *s, uint64_t next_batch);	/* no actor yet */
/* Before the start: what the first batch of the first segment shall say. */
void committer_add_unrecorded(struct spool *s, struct message *m);
void committer_add_seal(struct spool *s, const struct seal *seal);
int committer_first_segment(struct spool *s);	/* opens one and writes that; 0 or -errno */
void committer_start(struct spool *s);	/* before the keeper, who wakes it */
void committer_stop(struct spool *s);	/* writes and syncs what is left */
void committer_free(struct spool *s);
void committer_wake(struct spool *s);	/* any thread; costs nothing if it runs */
void committer_submit(struct spool *s, struct batch *b);	/* any thread */
void committer_copy(struct spool *s, struct copy *chain);	/* the keeper */

/* ---- index.c: what becomes of messages in memory; called by the committer and by recovery */
void index_add(struct spool *s, struct message *m, struct segment *g, uint64_t offset,
	       uint32_t octets);
void index_move(struct spool *s, struct message *m, struct segment *to, uint64_t offset,
		uint32_t octets, uint64_t batch);
/* Its DONE is in that batch. g: where the DONE stands. The index's reference goes. */
void index_remove(struct spool *s, struct message *m, uint64_t batch);
/* A record in g speaks of m. Under the lock or by the committer, which alone asks that of m. */
void index_speaks(struct segment *g, const struct message *m);
/* The state of one recipient; a final one stays as it is. */
void index_change(struct message *m, const struct change *c);
/* Both: nothing for one that is final. By another route it is due at once. */
void index_reroute(struct message *m, uint32_t recipient, const struct name *route);
void index_warned(struct message *m, uint32_t recipient);
/* under the lock; not counted */
struct message *index_find(struct spool *s, const struct message_id *id);

/* ---- keeper.c, sweep.c: the keeper */
void keeper_start(struct spool *s);
void keeper_stop(struct spool *s);	/* before the committer, whose copies it still takes back */
void keeper_free(struct spool *s);	/* after it */
void keeper_wake(struct spool *s);	/* any thread */
void keeper_copied(struct spool *s, struct copy *c);	/* the committer is through with it */
struct segment_place spool_segment_place(struct spool *s);
uint64_t spool_new_segment_number(struct spool *s);

/* ---- recover.c */
int recover(struct spool *s, spool_found *found, void *arg, struct spool_recovery *ret,
	    struct buf *error);

/* ---- identity.c: the file "spool" in s->dir */
/*
 * Number and incarnation into s. -ENOENT; -EBADMSG: damaged; -EPROTO: another version, see error.
 */
int identity_read(struct spool *s, struct buf *error);
int identity_write(struct spool *s);
int identity_open(struct spool *s, bool has_segments, uint32_t spool_of_segments,
		  uint32_t incarnation_of_segments, struct buf *error);

/* ---- space.c */
void space_look(struct spool *s);	/* statvfs; sets accepts */
uint64_t space_used(struct spool *s);	/* octets of disk; takes the lock */

/* ---- content.c, content_file.c, content_read.c */
struct chunk {
	struct chunk *next;
	uint32_t n, size;
	char data[];
};

struct content {
	_Atomic uint32_t refs;
	struct content_memory *memory;	/* counted; NULL: without a spool, for tests */
	struct chunk *chunks, *last;	/* owned */
	char *head;			/* owned */
	uint32_t head_n;
	uint32_t crc;			/* of the body */
	uint64_t body_n, hint;
	uint64_t counted;		/* octets of the budget that it holds */
	uint64_t file;			/* name; 0: in memory */
	uint64_t written;		/* octets already in the file */
	int fd;				/* while it is being written */
	int error;
	bool sealed, committed, waiting;	/* which budget: arriving or waiting */
};

/*
 * Its record is on stable storage: the file is the log's now, memory counts against the other
 * budget. False: over it.
 */
bool content_committed(struct content *c);
struct content_memory *content_memory_new(struct spool *s);
void content_memory_unref(struct content_memory *m);
void content_memory_close(struct content_memory *m);	/* the spool goes */
void content_file_dead(struct content_memory *m, uint64_t name, uint64_t octets, uint64_t batch);
#define CONTENT_PIECE ((size_t)64 * 1024)	/* octets read at once */
#define CONTENT_FILE_NAME 17
char *content_file_name(char dst[CONTENT_FILE_NAME], uint64_t name);
bool content_file_name_parse(const char *name, uint64_t *ret);
/* content_file.c: through the pool */
int content_file_open(struct content *c) SUSPENDS;
int content_file_flush(struct content *c) SUSPENDS;
int content_file_seal(struct content *c) SUSPENDS;

#endif
