/*
 * window - how much happened in the last so many nanoseconds, exactly.
 *
 * A ring of the times of all events of one period; it grows with them and never shrinks. For the
 * sink, which both refuses what is too much in a period and tells how much there was.
 */
#ifndef TOOL_WINDOW_H
#define TOOL_WINDOW_H

#include <stddef.h>
#include <stdint.h>

struct window {			/* zeroed: empty */
	uint64_t *at;		/* owned */
	size_t first, n, size;
	size_t peak;		/* the most there ever were in one period */
};

void window_done(struct window *w);
/* Events of the period that ends now. Times never go back. */
size_t window_count(struct window *w, uint64_t now, uint64_t period_ns);
void window_add(struct window *w, uint64_t now, uint64_t period_ns);

#endif
