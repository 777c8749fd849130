/*
 * window - see window.h. The period is half open: an event is forgotten when exactly one period
 * has passed.
 */
#include "tool/window.h"

#include "base/mem.h"

#define SIZE_FIRST 16

void window_done(struct window *w)
{
	mem_free(w->at);
	*w = (struct window){ 0 };
}

size_t window_count(struct window *w, uint64_t now, uint64_t period_ns)
{
	while (w->n && w->at[w->first] + period_ns <= now) {
		w->first = (w->first + 1) % w->size;
		w->n--;
	}
	return w->n;
}

static void grow(struct window *w)
{
	size_t size = w->size ? size_mul(w->size, 2) : SIZE_FIRST;
	uint64_t *at = mem_alloc(size_mul(size, sizeof(*at)));

	for (size_t i = 0; i < w->n; i++)
		at[i] = w->at[(w->first + i) % w->size];
	mem_free(w->at);
	w->at = at;
	w->first = 0;
	w->size = size;
}

void window_add(struct window *w, uint64_t now, uint64_t period_ns)
{
	window_count(w, now, period_ns);
	if (w->n == w->size)
		grow(w);
	w->at[(w->first + w->n++) % w->size] = now;
	if (w->n > w->peak)
		w->peak = w->n;
}
