/*
 * line - standing in line at a gate, being called, coming or leaving. See gate.h, G1-G4.
 *
 * A gate calls from the front of its line, as many as can pass, and keeps for each what it can make
 * use of until it asks again or leaves. Who is called is in no list any more: only counted.
 */
#include "schedule/gate.h"

#include <assert.h>

/* A gate that opens by the wall clock, which may be set, is looked at this often. */
#define LOOK_AGAIN (60 * SECOND)

void line_init(struct gate *g, enum gate_kind kind)
{
	*g = (struct gate){ .kind = (uint8_t)kind };
	list_init(&g->line);
}

void limit_waiter_init(struct limit_waiter *w, void (*wake)(struct limit_waiter *w))
{
	*w = (struct limit_waiter){ .wake = wake };
	list_init(&w->in_line);
}

bool limits_is_waiting(const struct limit_waiter *w)
{
	return w->gate;
}

static void call(struct gate *g, struct limit_waiter *w, uint32_t keep)
{
	list_remove(&w->in_line);
	g->waiting--;
	g->called++;
	g->kept += keep;
	if (w->robbed)
		g->firm += keep;
	w->kept = keep;
	w->called = true;
	w->wake(w);
}

static void set_opening(struct limits *l, struct gate *g, uint64_t now, uint32_t units)
{
	uint64_t at = gate_opens(l, g, now, units);

	if (g->kind == GATE_WARM_UP && at > now + LOOK_AGAIN && at != UINT64_MAX)
		at = now + LOOK_AGAIN;
	if (at == UINT64_MAX) {
		heap_remove(&l->openings, &g->in_openings);
		return;
	}
	heap_change(&l->openings, &g->in_openings, at);
	limits_arm(l);
}

void line_serve(struct limits *l, struct gate *g, uint64_t now)
{
	struct list *at;
	struct limit_waiter *w;

	while (!l->stopped && (at = list_first(&g->line))) {
		uint32_t there = gate_free(l, g, now, 0);

		w = LIST_ENTRY(at, struct limit_waiter, in_line);
		if (there < w->least) {
			set_opening(l, g, now, w->least);
			return;
		}
		call(g, w, w->wish < there ? w->wish : there);
	}
	heap_remove(&l->openings, &g->in_openings);
	if (!g->waiting && !g->called)
		gate_forget(l, g, now);
}

void line_call_all(struct limits *l, struct gate *g)
{
	struct list *at;

	if (!g->waiting)
		return;
	while (!l->stopped && (at = list_first(&g->line)))
		call(g, LIST_ENTRY(at, struct limit_waiter, in_line), 0);
	heap_remove(&l->openings, &g->in_openings);
}

static void join(struct limits *l, struct gate *g, struct limit_waiter *w, uint64_t now)
{
	assert(!w->gate);
	w->gate = g;
	l->waiters++;
	if (g->waiting++ == 0 && gate_is_for_connections(g) && l->reclaim && !l->stopped)
		l->reclaim(l->reclaim_arg);
	line_serve(l, g, now);
}

void line_join(struct limits *l, struct gate *g, struct limit_waiter *w, uint64_t now)
{
	list_push(&g->line, &w->in_line);
	join(l, g, w, now);
}

void line_join_front(struct limits *l, struct gate *g, struct limit_waiter *w, uint64_t now)
{
	list_push_front(&g->line, &w->in_line);
	join(l, g, w, now);
}

struct gate *line_leave(struct limits *l, struct limit_waiter *w)
{
	struct gate *g = w->gate;

	if (!g)
		return NULL;
	if (w->called) {
		g->called--;
		g->kept -= w->kept;
		if (w->robbed)
			g->firm -= w->kept;
	} else {
		list_remove(&w->in_line);
		g->waiting--;
	}
	w->called = w->robbed = false;
	w->kept = 0;
	w->gate = NULL;
	l->waiters--;
	return g;
}

void limits_leave(struct limits *l, struct limit_waiter *w)
{
	uint64_t now;
	struct gate *g;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	g = line_leave(l, w);
	if (g)
		line_serve(l, g, now);
	pthread_mutex_unlock(&l->lock);
}
