/*
 * gate - see gate.h.
 *
 * Who leaves hands his place to the first in line, so nobody can slip in between. That is a post to
 * the loop of the one who waits, and lies on his stack: once it is under way he waits for it, even
 * if his time is up, and gives the place on.
 */
#include "policy/gate.h"

#include "net/loop.h"

#include <errno.h>

struct waiter {
	struct list in_line;
	struct post post;
	struct loop *loop;
	struct task *task;
	bool is_called; /* under the lock: the place is his */
	bool has_come;	/* on his loop: so he knows */
};

void gate_init(struct gate *g, unsigned inside_max, unsigned waiting_max)
{
	*g = (struct gate){.inside_max = inside_max, .waiting_max = waiting_max};
	pthread_mutex_init(&g->lock, NULL);
	list_init(&g->line);
}

void gate_done(struct gate *g)
{
	pthread_mutex_destroy(&g->lock);
}

static void on_called(struct post *p)
{
	struct waiter *w = CONTAINER_OF(p, struct waiter, post);

	w->has_come = true;
	task_wake(w->task);
}

/* 0: inside at once. 1: in line. -EBUSY. */
static int enter_or_queue(struct gate *g, struct waiter *w)
{
	int r = 1;

	pthread_mutex_lock(&g->lock);
	if (g->inside < g->inside_max) {
		g->inside++;
		r = 0;
	} else if (g->waiting >= g->waiting_max || !w->task) {
		r = -EBUSY;
	} else {
		g->waiting++;
		list_push(&g->line, &w->in_line);
	}
	pthread_mutex_unlock(&g->lock);
	return r;
}

/* Out of the line. False: too late, he was called. */
static bool give_up(struct gate *g, struct waiter *w)
{
	bool is_called;

	pthread_mutex_lock(&g->lock);
	is_called = w->is_called;
	if (!is_called) {
		list_remove(&w->in_line);
		g->waiting--;
	}
	pthread_mutex_unlock(&g->lock);
	return !is_called;
}

int gate_enter(struct gate *g, uint64_t deadline)
{
	struct waiter w = {.loop = loop_self(), .task = task_self()};
	int r;

	list_init(&w.in_line);
	r = enter_or_queue(g, &w);
	if (r <= 0)
		return r;
	for (r = 0; r == 0 && !w.has_come;)
		r = task_wait(deadline);
	if (w.has_come)
		return 0;
	if (give_up(g, &w))
		return r;
	while (!w.has_come)
		task_wait_uncancellable();
	gate_leave(g);
	return r;
}

void gate_leave(struct gate *g)
{
	struct list *at;
	struct waiter *w;

	pthread_mutex_lock(&g->lock);
	at = list_pop(&g->line);
	if (!at) {
		g->inside--;
		pthread_mutex_unlock(&g->lock);
		return;
	}
	w = LIST_ENTRY(at, struct waiter, in_line);
	w->is_called = true;
	g->waiting--;
	/* under the lock: once he sees is_called the post is under way */
	loop_post(w->loop, &w->post, on_called);
	pthread_mutex_unlock(&g->lock);
}
