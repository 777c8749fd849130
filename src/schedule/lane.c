/*
 * lane - see lane.h.
 *
 * A slow phase begins with the first bad news (.before: how many connections were allowed then) and
 * ends when the gap has vanished, as many are allowed again, and LANE_GOOD messages went well
 * since. People hear of each step down that is not to where it stood when they last heard; of steps
 * up only when the number has doubled since, and of the end.
 */
#include "schedule/lane.h"

#include <assert.h>

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint64_t since(uint64_t then, uint64_t now)
{
	return now > then ? now - then : 0;
}

static uint32_t start_of(uint32_t bound, bool known)
{
	return known ? bound : min_u32(bound, LANE_START);
}

void lane_init(struct lane *l, uint32_t bound, bool known, uint64_t now)
{
	assert(bound);
	*l = (struct lane){ .bound = bound, .start = start_of(bound, known), .touched = now };
	l->allowed = l->start;
}

void lane_set_bound(struct lane *l, uint32_t bound, bool known)
{
	uint32_t start = start_of(bound, known);

	assert(bound);
	if (!l->shrunk && l->allowed < start)
		l->allowed = start;
	l->allowed = min_u32(l->allowed, bound);
	l->before = min_u32(l->before, bound);
	l->bound = bound;
	l->start = start;
}

/* After good news: whether the slow phase is over, or much better than when people last heard. */
static enum lane_news improved(struct lane *l, bool is_proven)
{
	if (!l->before)
		return LANE_SAME;
	if (!l->gap && (l->allowed > l->before || (l->allowed == l->before && is_proven)))
		l->before = 0;
	else if (l->allowed < 2 * l->told)
		return LANE_SAME;
	l->told = l->allowed;
	l->told_gap = l->gap;
	return LANE_QUICKENED;
}

static enum lane_news worsen(struct lane *l, uint32_t allowed, uint64_t gap)
{
	bool is_new = !l->before;

	if (is_new)
		l->before = l->allowed;
	l->allowed = allowed ? allowed : 1;
	l->gap = gap;
	l->shrunk = true;
	l->good = 0;
	if (!is_new && l->allowed == l->told && l->gap == l->told_gap)
		return LANE_SAME;
	l->told = l->allowed;
	l->told_gap = l->gap;
	return LANE_SLOWED;
}

static void shorten(struct lane *l, uint64_t gap)
{
	l->gap = gap < LANE_GAP_LEAST ? 0 : gap;
}

enum lane_news lane_age(struct lane *l, uint64_t now)
{
	uint64_t steps;

	if (now < l->touched + LANE_STALE)
		return LANE_SAME;
	steps = since(l->touched, now) / LANE_STALE;
	l->touched += steps * LANE_STALE;
	if (!l->shrunk)
		return LANE_SAME;
	for (; steps && (l->gap || l->allowed < l->start); steps--) {
		shorten(l, l->gap / 4);
		if (l->allowed < l->start)
			l->allowed = min_u32(l->start, 2 * l->allowed);
	}
	if (!l->gap && l->allowed >= l->start) {
		l->shrunk = false;
		l->before = min_u32(l->before, l->allowed);
	}
	return improved(l, true);
}

/* ---- passing */
uint32_t lane_connections(const struct lane *l, uint64_t now)
{
	return now < l->closed_until || l->in_use >= l->allowed ? 0 : l->allowed - l->in_use;
}

bool lane_may_send(const struct lane *l, uint64_t now)
{
	return now >= l->closed_until && (!l->gap || now >= l->next_at);
}

void lane_connect(struct lane *l)
{
	l->in_use++;
}

void lane_disconnect(struct lane *l)
{
	assert(l->in_use);
	if (!--l->in_use)
		l->worked = 0;
}

void lane_send(struct lane *l, uint64_t now)
{
	l->next_at = now + l->gap;
}

uint64_t lane_opens(const struct lane *l, uint64_t now)
{
	uint64_t at = l->gap && l->next_at > now ? l->next_at : now;

	return l->closed_until > at ? l->closed_until : at;
}

/* ---- learning */
static void touch(struct lane *l, uint64_t now)
{
	if (now > l->touched)
		l->touched = now;
}

enum lane_news lane_works(struct lane *l, uint64_t now)
{
	touch(l, now);
	if (l->in_use)
		l->worked = l->touched;
	if (l->gap && since(l->eased, now) >= l->gap) {
		shorten(l, l->gap - l->gap / 8);
		l->eased = now;
	}
	l->good += l->good < LANE_GOOD;
	if (l->allowed < l->bound && l->in_use >= l->allowed &&
	    (!l->shrunk || l->good == LANE_GOOD)) {
		l->allowed++;
		l->good = 0;
	}
	return l->before ? improved(l, l->good == LANE_GOOD) : LANE_SAME;
}

enum lane_news lane_refused(struct lane *l, uint64_t now, bool *ret_means)
{
	*ret_means = l->in_use > 1 && l->worked && since(l->worked, now) < LANE_WORKS;
	if (!*ret_means)
		return LANE_SAME;
	touch(l, now);
	if (l->in_use - 1 >= l->allowed)
		return LANE_SAME;
	return worsen(l, l->in_use - 1, l->gap);
}

enum lane_news lane_slow(struct lane *l, uint64_t now)
{
	uint64_t bunch = l->gap > LANE_BUNCH ? l->gap : LANE_BUNCH, gap = 2 * l->gap;

	if (l->slowed && since(l->slowed, now) < bunch)
		return LANE_SAME;
	touch(l, now);
	if (gap < LANE_GAP_FIRST)
		gap = LANE_GAP_FIRST;
	if (gap > LANE_GAP_MOST)
		gap = LANE_GAP_MOST;
	l->slowed = l->eased = now;
	l->next_at = now + gap;
	return worsen(l, l->allowed / 2, gap);
}

enum lane_news lane_close(struct lane *l, uint64_t now, uint64_t ns)
{
	uint64_t until = ns < UINT64_MAX - now ? now + ns : UINT64_MAX - 1;
	uint64_t was = l->closed_until > now ? l->closed_until : now;

	touch(l, now);
	if (until <= was)
		return LANE_SAME;
	l->closed_until = until;
	return until - was >= LANE_BUNCH ? LANE_PAUSED : LANE_SAME;
}

uint64_t lane_fades(const struct lane *l, uint64_t now)
{
	uint64_t at = l->closed_until > now ? l->closed_until : now;

	if (!l->shrunk && !l->gap && !l->before)
		return at;
	return l->touched + LANE_FORGET > at ? l->touched + LANE_FORGET : at;
}
