/*
 * crash - what supervisor and worker share about crashes: a page that outlives the worker (DESIGN
 * section 5, Poison).
 *
 * The worker's loops note in it what they work on; after a crash the supervisor counts each
 * message that was noted. A message that was there twice is held at the next start. Counts that
 * the worker has recorded in the spool are taken out of the table, so that they survive both
 * processes. Pure but for the mapping.
 */
#ifndef RUN_CRASH_H
#define RUN_CRASH_H

#include "base/id.h"
#include "net/loop.h"

#define CRASH_LOOPS_MAX 256
#define CRASH_SUSPECTS_MAX 512
#define CRASHES_UNTIL_HELD 2

struct suspect {
	struct message_id id;
	uint32_t crashes;		/* since the count was last recorded in the spool */
};

/* How the last worker died, for the next one to log. */
struct death {
	bool is_set;
	int status;			/* as from waitpid */
	uint32_t crashes;		/* in a row */
	uint32_t delay_s;		/* until the restart */
	struct crash_note note;		/* one of those that were there */
};

struct crash_page {
	struct crash_note notes[CRASH_LOOPS_MAX];	/* written by the worker */
	/* written by the supervisor; the worker clears */
	struct suspect suspects[CRASH_SUSPECTS_MAX];
	struct death death;
};

struct crash_page *crash_page_new(void);	/* shared, zeroed; NULL: no memory */

/*
 * After a crash: every noted message is counted, the notes are cleared; *ret_note is one of them,
 * or empty.
 */
void crash_collect(struct crash_page *p, struct crash_note *ret_note);

/* Crashes of a message that are not recorded yet. */
uint32_t crash_count(const struct crash_page *p, const struct message_id *id);
bool crash_has_suspects(const struct crash_page *p);
void crash_clear_suspects(struct crash_page *p);	/* they are recorded */

#endif
