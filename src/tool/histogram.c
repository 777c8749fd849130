/*
 * histogram - times in buckets that grow with them; see histogram.h.
 *
 * A value's bucket is given by its highest bit and the five bits below it; values under 32 have one
 * each.
 */
#include "tool/histogram.h"

static unsigned bucket_of(uint64_t value)
{
	unsigned high;

	if (value < HISTOGRAM_STEPS)
		return (unsigned)value;
	high = 63 - (unsigned)__builtin_clzll(value);
	return (high - 4) * HISTOGRAM_STEPS +
	       (unsigned)(value >> (high - 5) & (HISTOGRAM_STEPS - 1));
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
	unsigned high = bucket / HISTOGRAM_STEPS + 4;
	uint64_t step = bucket % HISTOGRAM_STEPS;

	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	return ((HISTOGRAM_STEPS + step + 1) << (high - 5)) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->n++;
	if (value > h->max)
		h->max = value;
	h->buckets[bucket_of(value)]++;
}

uint64_t histogram_at(const struct histogram *h, unsigned per_mille)
{
	uint64_t wanted = (h->n * per_mille + 999) / 1000, seen = 0;

	if (per_mille >= 1000)
		return h->max;
	for (unsigned i = 0; i < 64 * HISTOGRAM_STEPS && h->n; i++) {
		seen += h->buckets[i];
		if (seen >= wanted && seen)
			return bucket_end(i) < h->max ? bucket_end(i) : h->max;
	}
	return 0;
}
