/*
 * scan - one record of a segment after the other, over damage; see scan.c.
 */
#ifndef SPOOL_SCAN_H
#define SPOOL_SCAN_H

#include "spool/inner.h"

struct scan {
	struct segment *g;	/* borrowed */
	uint64_t at, limit;	/* the next record; octets of the segment that count */
	char *window;		/* owned: octets of it that are in memory */
	size_t window_n, window_size;
	uint64_t window_at;
	uint64_t octets_read;
	bool unreadable;	/* some of it could not be read, again and again ... */
	uint64_t unreadable_at;	/* ... the last page of that */
};

struct scanned {
	struct record header;
	const char *record;	/* header and envelope; borrowed until the next call */
	uint64_t offset;
	uint64_t damage_from;	/* not 0: the octets from here to offset (at the end: to limit)
				   are damaged */
};

void scan_init(struct scan *sc, struct segment *g, uint64_t from, uint64_t limit);
void scan_done(struct scan *sc);
bool scan_next(struct scan *sc, struct scanned *ret);	/* false: the end */
/* Does not search: false if none begins here. */
bool scan_next_in_place(struct scan *sc, struct scanned *ret);
struct str scan_envelope(const struct scanned *f);
bool scan_content_is_sound(struct scan *sc, const struct scanned *f);	/* moves the window */

/* ---- quarantine.c */
void quarantine_range(struct spool *s, struct segment *g, uint64_t from, uint64_t to);
int quarantine_file(struct spool *s, const char *folder, const char *name);

#endif
