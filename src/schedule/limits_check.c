/*
 * limits_check - the invariants of gate.h looked at, for tests whose threads stand still.
 *
 * Time may have come for a gate without the timer having run yet: then its opening, which is not
 * later than now, is in the heap. A warm-up goes by the wall clock, which may have been set: it is
 * looked at once a minute.
 */
#include "schedule/gate.h"

#include <stdio.h>

static bool bad(const char *what, const struct gate *g)
{
	fprintf(stderr, "limits_check: %s (kind %d, %u waiting, %u called, %u kept)\n", what,
		g->kind, g->waiting, g->called, g->kept);
	return false;
}

static bool check_gate(struct limits *l, struct gate *g, uint64_t now)
{
	const struct list *at = list_first(&g->line);
	unsigned n = 0;
	uint64_t key = heap_has(&g->in_openings) ? heap_key(&l->openings, &g->in_openings)
						 : UINT64_MAX;
	uint32_t least;

	LIST_FOR(i, &g->line)
		n++;
	if (n != g->waiting || (!g->called && g->kept) || g->firm > g->kept)
		return bad("G3: miscounted", g);
	if (!at || l->stopped)
		return true;
	least = LIST_ENTRY(at, struct limit_waiter, in_line)->least;
	if (g->kind == GATE_WARM_UP && key <= now + 60 * SECOND)
		return true;
	if (key > now && gate_free(l, g, now, 0) >= least)
		return bad("G1: somebody waits at an open gate", g);
	if (key > gate_opens(l, g, now, least))
		return bad("G2: nobody will open it in time", g);
	return true;
}

static bool check_meter(struct limits *l, struct meter *m, uint64_t now)
{
	if (!m->refs && !m->gate.waiting && !m->gate.called && !heap_has(&m->gate.in_openings))
		return bad("G4: it is forgotten by nobody", &m->gate);
	return check_gate(l, &m->gate, now);
}

static bool check_track(struct limits *l, struct track *t, uint64_t now)
{
	bool left = !t->connections.waiting && !t->connections.called && !t->pace.waiting &&
		    !t->pace.called;

	if (!t->refs && left && !heap_has(&t->connections.in_openings))
		return bad("G4: it is forgotten by nobody", &t->connections);
	return check_gate(l, &t->connections, now) && check_gate(l, &t->pace, now);
}

bool limits_check(struct limits *l)
{
	uint64_t now = l->world->now(l->world);
	bool ok;

	pthread_mutex_lock(&l->lock);
	ok = l->stopped || heap_first_key(&l->openings) >= l->armed;
	if (!ok)
		fprintf(stderr, "limits_check: G2: the timer is late\n");
	for (struct map_node *at = map_walk(&l->meters, NULL); at && ok;
	     at = map_walk(&l->meters, at))
		ok = check_meter(l, CONTAINER_OF(at, struct meter, node), now);
	for (struct map_node *at = map_walk(&l->tracks, NULL); at && ok;
	     at = map_walk(&l->tracks, at))
		ok = check_track(l, CONTAINER_OF(at, struct track, node), now);
	pthread_mutex_unlock(&l->lock);
	return ok;
}
