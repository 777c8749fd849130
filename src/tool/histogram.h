/*
 * histogram - times in buckets that grow with them: percentiles within 3 %, in constant memory.
 */
#ifndef TOOL_HISTOGRAM_H
#define TOOL_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 32	/* buckets for each doubling */

struct histogram {
	uint64_t n, max;
	uint64_t buckets[64 * HISTOGRAM_STEPS];
};

void histogram_add(struct histogram *h, uint64_t value);
/* The value that the given share of all (per mille) does not pass; 0 if there are none. */
uint64_t histogram_at(const struct histogram *h, unsigned per_mille);

#endif
