/*
 * switch_threads - each task a thread, one of which holds the baton: for debuggers and checkers
 * that do not know coroutines.
 *
 * The stack given is not used (the C library makes its own, guarded, and large enough for any
 * sanitizer); the rest of the code sees no difference. A context that ends hands the baton over and
 * lets its thread end; context_done waits for it.
 */
#if defined(TASKS_threads)
#include "net/switch.h"

#include <errno.h>

#define THREAD_STACK (512 * 1024)

static void wait_for_baton(struct context *c)
{
	while (sem_wait(&c->baton) < 0 && errno == EINTR)
		;
}

static void *thread_main(void *arg)
{
	struct context *c = arg;

	wait_for_baton(c);
	c->entry(c->arg);
	return NULL;
}

void context_init(struct context *c, void *low, size_t size, void (*entry)(void *), void *arg)
{
	pthread_attr_t attr;
	int r;

	(void)low;
	(void)size;
	c->entry = entry;
	c->arg = arg;
	sem_init(&c->baton, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	r = pthread_create(&c->thread, &attr, thread_main, c);
	pthread_attr_destroy(&attr);
	if (r) {
		fprintf(stderr, "cannot start a task's thread: %s\n", strerror(r));
		abort();
	}
}

void context_init_loop(struct context *c)
{
	sem_init(&c->baton, 0, 0);
}

void context_switch(struct context *from, struct context *to)
{
	sem_post(&to->baton);
	wait_for_baton(from);
}

void context_leave(struct context *from, struct context *to)
{
	(void)from;
	sem_post(&to->baton);	/* and return: the thread ends */
}

void context_done(struct context *c)
{
	if (c->entry)
		pthread_join(c->thread, NULL);
	sem_destroy(&c->baton);
}

void *context_sp(const struct context *c)
{
	(void)c;
	return NULL;
}
#else
typedef int switch_threads_is_not_selected;
#endif
