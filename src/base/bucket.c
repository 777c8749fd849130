/*
 * bucket - see bucket.h.
 *
 * The cells are a ring; .newest is the one that time stands in, or stood in when the bucket was
 * last looked at. Invariant: .spent is the sum of all cells, .end - .width <= the latest time seen
 * < .end.
 */
#include "base/bucket.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

static size_t cells_size(bool is_wide)
{
	return BUCKET_CELLS * (is_wide ? sizeof(uint32_t) : sizeof(uint16_t));
}

static struct bucket *make(uint64_t width, bool is_wide)
{
	struct bucket *b = mem_zalloc(sizeof(*b) + cells_size(is_wide));

	b->width = width;
	b->is_wide = is_wide;
	return b;
}

struct bucket *bucket_new(uint64_t period_ns, uint32_t units_max)
{
	uint64_t parts = BUCKET_CELLS - 1;

	assert(period_ns);
	return make((period_ns - 1) / parts + 1, units_max > UINT16_MAX);
}

void bucket_free(struct bucket *b)
{
	mem_free(b);
}

/* ---- cells */
static unsigned index_of(const struct bucket *b, unsigned age)
{
	return b->newest >= age ? b->newest - age : b->newest + BUCKET_CELLS - age;
}

uint32_t bucket_cell(const struct bucket *b, unsigned age)
{
	unsigned at = index_of(b, age);
	uint32_t value;

	if (!b->is_wide)
		return b->cells[at];
	memcpy(&value, (const char *)b->cells + at * sizeof(value), sizeof(value));
	return value;
}

static void set_cell(struct bucket *b, unsigned age, uint32_t value)
{
	unsigned at = index_of(b, age);

	assert(b->is_wide || value <= UINT16_MAX);
	if (b->is_wide)
		memcpy((char *)b->cells + at * sizeof(value), &value, sizeof(value));
	else
		b->cells[at] = (uint16_t)value;
}

static void forget_all(struct bucket *b, uint64_t now)
{
	memset(b->cells, 0, cells_size(b->is_wide));
	b->spent = 0;
	b->known = 1;
	b->end = now + b->width;
}

/* So that time stands in the newest cell. */
static void advance(struct bucket *b, uint64_t now)
{
	uint64_t steps;

	if (now < b->end)
		return;
	steps = (now - b->end) / b->width + 1;
	if (!b->spent || steps >= BUCKET_CELLS) {
		forget_all(b, now);
		return;
	}
	b->end += steps * b->width;
	b->known = b->known + steps < BUCKET_CELLS ? (uint8_t)(b->known + steps) : BUCKET_CELLS;
	for (; steps; steps--) {
		b->newest = b->newest + 1 < BUCKET_CELLS ? b->newest + 1 : 0;
		b->spent -= bucket_cell(b, 0);
		set_cell(b, 0, 0);
	}
}

/* ---- spending */
uint32_t bucket_spent(struct bucket *b, uint64_t now)
{
	advance(b, now);
	return b->spent;
}

void bucket_spend(struct bucket *b, uint64_t now, uint32_t units)
{
	advance(b, now);
	assert(units <= UINT32_MAX - b->spent);
	set_cell(b, 0, bucket_cell(b, 0) + units);
	b->spent += units;
}

void bucket_give_back(struct bucket *b, uint64_t now, uint64_t at, uint32_t units)
{
	uint64_t age = 0;

	advance(b, now);
	if (at < b->end - b->width)
		age = (b->end - b->width - at - 1) / b->width + 1;
	if (age < BUCKET_CELLS && age >= b->known)
		age = b->known - 1;	/* there was nothing then that had not come back */
	for (; age < BUCKET_CELLS && units; age++) {
		uint32_t there = bucket_cell(b, (unsigned)age), n = units < there ? units : there;

		set_cell(b, (unsigned)age, there - n);
		b->spent -= n;
		units -= n;
	}
}

uint64_t bucket_falls_to(struct bucket *b, uint64_t now, uint32_t units)
{
	uint32_t left;

	advance(b, now);
	left = b->spent;
	if (left <= units)
		return now;
	for (unsigned age = BUCKET_CELLS; age-- > 0;) {
		left -= bucket_cell(b, age);
		if (left <= units)
			return b->end + (BUCKET_CELLS - 1 - age) * b->width;
	}
	assert(false);
	return now;
}

/* ---- keeping */
struct bucket *bucket_restore(uint64_t width, uint64_t now, int64_t ended_ago_ns,
			      const uint32_t *cells)
{
	struct bucket *b = make(width, true);
	uint64_t steps = 0, ahead = width;

	assert(width);
	if (ended_ago_ns >= 0) {
		steps = (uint64_t)ended_ago_ns / width + 1;
		ahead = steps * width - (uint64_t)ended_ago_ns;
	} else if ((uint64_t)-ended_ago_ns < width) {
		ahead = (uint64_t)-ended_ago_ns;
	}
	b->known = BUCKET_CELLS;
	b->end = now + ahead;
	for (unsigned age = 0; age + steps < BUCKET_CELLS; age++) {
		set_cell(b, age + (unsigned)steps, cells[age]);
		b->spent += cells[age];
	}
	return b;
}
