/*
 * segment - one file of the log. Format and rules in segment.c.
 */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "base/list.h"
#include "net/world.h"
#include "spool/record.h"

#include <stdatomic.h>

#define SEGMENT_START RECORD_PAGE	/* octets before the first record */
#define SEGMENT_SIZE_MIN (1u << 20)
#define SEGMENT_SIZE_MAX (64u << 20)
#define SEGMENT_VERSION 1
#define SEGMENT_NAME 24			/* "0000000000000001.log" and NUL */

struct segment {
	struct list link;		/* spool->segments */
	_Atomic uint32_t refs;
	struct world *world;
	int fd;
	uint64_t number;
	uint64_t size;			/* octets of the file when it was opened */
	_Atomic uint64_t disk;		/* octets that it takes now */
	uint8_t salt[RECORD_SALT];
	uint32_t spool, incarnation;
	/* ---- the committer's until it is full, then constant */
	_Atomic uint64_t used;		/* octets up to the end of the last batch */
	_Atomic uint64_t synced;	/* of these, on stable storage for certain */
	uint64_t zeroed;		/* octets that were written with zeros ahead */
	/* ---- under spool->lock */
	struct list messages;		/* whose newest copy lies here */
	uint64_t live_n, live_octets;
	uint64_t unreadable_n;		/* of live_n: cannot be copied, and stay until they are
					   final */
	uint64_t speaks_from;		/* the oldest segment that may hold a message that
					   records here speak of */
	uint64_t dead_batch;		/* the highest batch that made one of its messages final
					   or copied it */
	uint64_t full_at;		/* when it was left, world's ns; 0: still active, or
					   found at opening */
	bool is_full;			/* nothing more is appended */
	bool poisoned;			/* D4 */
	bool trimmed;			/* given back what was not used */
	bool unlinked;			/* its name is gone; the folder is not synced yet */
};

struct segment_place {
	struct world *world;
	int dir;			/* of segments */
	uint32_t spool, incarnation;
	bool read_only;			/* for those who look at the spool of a running relay */
};

/*
 * A new file: allocated, header written, file and folder synced. 0 or -errno; nothing is left
 * behind on failure.
 */
int segment_create(const struct segment_place *p, uint64_t number, uint64_t size,
		   struct segment **ret);
/*
 * An existing one: header read and checked. -EBADMSG: not a segment; -EPROTO: a version that we do
 * not know (*ret_version); -ENODATA: nothing is in it, it was never finished; other -errno.
 */
int segment_open(const struct segment_place *p, uint64_t number, struct segment **ret,
		 uint32_t *ret_version);
/*
 * The first octets of a segment that is not written any more, in a new file that takes its name,
 * all of it synced. 0; -errno: the name is still the old file's, or it is not known whose.
 */
int segment_renew(const struct segment_place *p, struct segment *g, uint64_t octets);
/* Writes up to n zeros at its end of zeros and syncs them. Before it is used. 0 or -errno. */
int segment_zero(struct segment *g, uint64_t n);

static inline struct segment *segment_ref(struct segment *g)
{
	atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
	return g;
}

void segment_unref(struct segment *g);	/* the last one closes the file; NULL is fine */

/* All n octets or -errno (-ENODATA: the file ends before). */
int segment_read(struct segment *g, void *p, size_t n, uint64_t offset);
/* All of iov (which is changed on the way). 0 or -errno. */
int segment_write(struct segment *g, struct iovec *iov, unsigned iov_n, uint64_t offset);

char *segment_name(char dst[SEGMENT_NAME], uint64_t number);
bool segment_name_parse(const char *name, uint64_t *ret_number);

#endif
