/*
 * kept - what is remembered over restarts: a file of lines below the state folder, read at the
 * start, and written again by an actor of its own when something has changed.
 *
 * The first change after a quiet time is written at once, others within .every_ns; where the disk
 * is slow, less often, so that writing never takes more than a twentieth of its time. kept_stop
 * writes what is owed. So a crash loses what changed since the last writing, a clean end nothing.
 *
 * The file is text (base/fields.h) and replaced whole (net/file.h). Its first line tells what it
 * is, and in which version; another one's is left alone until something is to be written. A damaged
 * line is left out, and one line in the log tells of all of them; so do failures to read, and the
 * first of several failures to write.
 *
 * Times in such a file are wall-clock milliseconds, times in memory the world's nanoseconds: see
 * struct moment.
 */
#ifndef REPORT_KEPT_H
#define REPORT_KEPT_H

#include "base/fields.h"
#include "base/hash.h"
#include "net/world.h"

struct kept;

struct kept_kind {
	const char *file;		/* its name below the state folder; the actor's, too */
	const char *head;		/* the first line: "relevo limits 1" */
	const char *what;		/* "what greylisting knows", for the log */
	size_t size_max;		/* octets that are read */
	uint64_t every_ns;
	/* At the start: a line without its newline, which it may change. False: damaged. */
	bool (*line)(void *arg, char *line, size_t n);
	/*
	 * Appends the next few lines, under the owner's lock; first: begins anew. False: these were
	 * the last. From the actor.
	 */
	bool (*some)(void *arg, bool first, struct buf *out);
};

/*
 * Reads (blocks; .line is called before it returns), then begins to keep. kind and state live as
 * long. NULL: the folder cannot be opened, which is reported; nothing is kept.
 */
struct kept *kept_start(struct world *w, const char *state, const struct kept_kind *kind,
			void *arg);
/*
 * Something that .some writes is another now: after the change, or under the lock that .some takes.
 * Any thread, NULL is fine, cheap when it is known already.
 */
void kept_changed(struct kept *k);
/* Writes what is owed and ends the actor: from the main thread. Changes count no more. */
void kept_stop(struct kept *k);		/* twice or NULL is fine */
void kept_free(struct kept *k);		/* stops; NULL is fine */

/*
 * Only the reading: how many lines are damaged, the first of them (counted from 1) in *ret_first.
 * -errno: it cannot be read; -ENOENT: there is none.
 */
int kept_read(struct world *w, int folder, const struct kept_kind *kind, void *arg,
	      unsigned *ret_first);

/*
 * For .some: put is called with the members of the next few of a map's buckets. *at: where, 0 at
 * first. False: that was all. The map may have changed since the call before: a member that moved
 * as the map grew may be left out; it is in the next file.
 */
bool kept_walk(const struct map *m, size_t *at,
	       void (*put)(void *arg, const struct map_node *node, struct buf *out), void *arg,
	       struct buf *out);

/* ---- one instant by both clocks */
struct moment {
	uint64_t now;			/* ns, the world's */
	int64_t wall_ms;
};

struct moment moment_now(struct world *w);
/* A time of the world's clock by the wall clock, rounded up; 0 stays 0: never. */
int64_t moment_to_wall(const struct moment *t, uint64_t at);
/* How long ago that was, in ns; negative: it is to come. At most a hundred years. */
int64_t moment_ago(const struct moment *t, int64_t wall_ms);

#endif
