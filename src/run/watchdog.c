/*
 * watchdog - posts that must come back, and a clock; see watchdog.h.
 */
#include "run/watchdog.h"

#include "base/mem.h"

struct beat {
	struct post post;
	struct loop *loop;
	atomic_bool is_out;
};

struct heartbeat {
	unsigned n;
	struct beat beats[];	/* by loop */
};

struct heartbeat *heartbeat_new(struct net *n)
{
	unsigned loops = net_workers(n);
	struct heartbeat *h = mem_zalloc(sizeof(*h) + size_mul(loops, sizeof(*h->beats)));

	h->n = loops;
	for (unsigned i = 0; i < loops; i++)
		h->beats[i].loop = net_loop(n, i);
	return h;
}

void heartbeat_free(struct heartbeat *h)
{
	mem_free(h);
}

static void on_beat(struct post *p)
{
	atomic_store(&CONTAINER_OF(p, struct beat, post)->is_out, false);
}

bool heartbeat_turn(struct heartbeat *h)
{
	bool all = true;

	for (unsigned i = 0; i < h->n; i++) {
		struct beat *b = &h->beats[i];

		if (atomic_exchange(&b->is_out, true))
			all = false;
		else
			loop_post(b->loop, &b->post, on_beat);
	}
	return all;
}

void watchdog_expect(struct watchdog *w, uint64_t now, unsigned seconds)
{
	w->due = now + seconds * SECOND;
	w->steps = 0;
}

void watchdog_forget(struct watchdog *w)
{
	w->due = 0;
	w->steps = 0;
}

enum watchdog_verdict watchdog_look(struct watchdog *w, uint64_t now)
{
	if (!w->due || now < w->due)
		return WATCHDOG_FINE;
	w->due = now + HANG_GRACE_S * SECOND;
	w->steps++;
	return w->steps == 1 ? WATCHDOG_FINE : w->steps == 2 ? WATCHDOG_ABORT : WATCHDOG_KILL;
}

/* A worker that is late is not covered for. */
bool watchdog_feeds(struct watchdog *w, uint64_t now)
{
	if (!w->feed_every || w->steps || now - w->fed < w->feed_every)
		return false;
	w->fed = now;
	return true;
}

uint64_t watchdog_next(const struct watchdog *w)
{
	uint64_t feed = w->feed_every ? w->fed + w->feed_every : 0;

	if (!w->due || !feed)
		return w->due + feed;
	return feed < w->due ? feed : w->due;
}
