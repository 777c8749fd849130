/*
 * on_loop - see on_loop.h.
 */
#include "control/on_loop.h"

#include <pthread.h>

struct errand {
	struct post post;
	struct timer again;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool is_done;		/* under lock */
};

static void errand_task(void *arg)
{
	struct errand *e = arg;

	e->fn(e->arg);
	pthread_mutex_lock(&e->lock);
	e->is_done = true;
	pthread_cond_signal(&e->ended);
	pthread_mutex_unlock(&e->lock);
}

/*
 * While there is no stack for it, it is tried again: an errand of start or shutdown must not get
 * lost.
 */
static void errand_start(struct errand *e)
{
	if (!task_start(NULL, errand_task, e, "errand"))
		timer_set(&e->again, in_ms(100));
}

static void on_again(struct timer *t)
{
	errand_start(CONTAINER_OF(t, struct errand, again));
}

static void on_post(struct post *p)
{
	struct errand *e = CONTAINER_OF(p, struct errand, post);

	timer_init(&e->again, on_again);
	errand_start(e);
}

void on_loop(struct net *n, unsigned index, void (*fn)(void *arg), void *arg)
{
	struct errand e = { .fn = fn, .arg = arg };

	pthread_mutex_init(&e.lock, NULL);
	pthread_cond_init(&e.ended, NULL);
	loop_post(net_loop(n, index), &e.post, on_post);
	pthread_mutex_lock(&e.lock);
	while (!e.is_done)
		pthread_cond_wait(&e.ended, &e.lock);
	pthread_mutex_unlock(&e.lock);
	pthread_cond_destroy(&e.ended);
	pthread_mutex_destroy(&e.lock);
}
