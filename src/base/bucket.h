/*
 * bucket - what was spent in the last period, exactly enough: pure arithmetic on time.
 *
 * A period is divided into BUCKET_CELLS - 1 parts; what is spent is counted in the cell of its
 * time, and a cell is forgotten when the last instant of it is a period ago. So what is spent at
 * time t counts at all times before t + period, and no longer than t + period * 65/64: in no window
 * [s, s + period) is more spent than was left, and whoever takes what he can get has at least 64/65
 * of the limit.
 *
 * Cells are two octets wide where the limit is below 65,536 units (154 for a bucket), else
 * four.
 *
 * Rejected: the token bucket that refills steadily (2 N in one period after an idle one, so
 * "100/min" would be broken by a burst and what follows it); a log of all events (exact, but
 * 10,000/day per destination is 80 KiB each).
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define BUCKET_CELLS 65

struct bucket {
	uint64_t width;		/* of a cell, ns */
	uint64_t end;		/* where the newest cell ends */
	uint32_t spent;		/* in all cells */
	uint8_t newest;		/* index */
	bool is_wide;
	uint8_t known;		/* cells since nothing was spent: the older ones never held any */
	uint16_t cells[];
};

/* units_max: no more is ever spent in a period. An empty one. */
struct bucket *bucket_new(uint64_t period_ns, uint32_t units_max);
void bucket_free(struct bucket *b);			/* NULL is fine */

/* now may fall back behind the time of an earlier call: then it counts as that. */
uint32_t bucket_spent(struct bucket *b, uint64_t now);
void bucket_spend(struct bucket *b, uint64_t now, uint32_t units);
/*
 * Of what was spent at or after the time at, no longer ago than a period, that much was not needed.
 * The units are taken from the newest cell that can hold them and no newer one: none of the others
 * comes back before its time. At may be the time of a clock that is behind, as a loop's is within
 * its turn: what lies before the oldest cell, but in the period, was spent in that.
 */
void bucket_give_back(struct bucket *b, uint64_t now, uint64_t at, uint32_t units);
/* When no more than units are spent, if nothing else is; now: it is so already. */
uint64_t bucket_falls_to(struct bucket *b, uint64_t now, uint32_t units);

/* ---- for keeping it: cells by age, 0 the newest */
uint32_t bucket_cell(const struct bucket *b, unsigned age);
/*
 * A bucket of which the newest cell ended ns ago (or, if negative, will end: at most one width is
 * believed, what lies in the future was spent now). cells[BUCKET_CELLS] by age; their sum must fit
 * 32 bits.
 */
struct bucket *bucket_restore(uint64_t width, uint64_t now, int64_t ended_ago_ns,
			      const uint32_t *cells);

#endif
