/*
 * world_actor - actors of the real world: one thread each.
 *
 * The thread steps its actor until STEP_DONE and sleeps in between on a futex as long as the step
 * asked. No wake is lost: the word goes RUNNING -> SLEEPING only by compare-and-swap, and a wake in
 * between has made it WOKEN. A wake costs a system call only if the thread sleeps. All signals are
 * blocked in actors - they belong to the main thread - but for those that a crash raises, which a
 * handler shall see.
 */
#include "net/world_real.h"

#include "base/mem.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RUNNING, WOKEN, SLEEPING };

struct actor {
	struct actor *next;	/* in .free_actors */
	pthread_t thread;
	actor_step *step;
	void *arg;		/* borrowed */
	char name[16];		/* the kernel's limit */
	_Atomic uint32_t word;	/* RUNNING, WOKEN, SLEEPING */
};

/*
 * A waker may be a moment late: what it told the actor's loop has already ended the relay, and the
 * actor was joined, while it still is on its way into actor_wake. So the memory of an actor stays
 * that of an actor: a late wake then hits one at rest or its successor, who does not mind a step
 * too many.
 */
static struct actor *free_actors;	/* owned */
static pthread_mutex_t free_lock = PTHREAD_MUTEX_INITIALIZER;

static struct actor *actor_new(void)
{
	struct actor *a;

	pthread_mutex_lock(&free_lock);
	a = free_actors;
	if (a)
		free_actors = a->next;
	pthread_mutex_unlock(&free_lock);
	return a ? a : mem_zalloc(sizeof(*a));
}

static void actor_free(struct actor *a)
{
	pthread_mutex_lock(&free_lock);
	a->next = free_actors;
	free_actors = a;
	pthread_mutex_unlock(&free_lock);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	struct timespec *timeout = ns == STEP_IDLE ? NULL : &t;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0);
}

static void actor_sleep(struct actor *a, int64_t ns)
{
	uint32_t expected = RUNNING;

	if (atomic_compare_exchange_strong(&a->word, &expected, SLEEPING))
		futex_wait(&a->word, SLEEPING, ns);
	atomic_store(&a->word, RUNNING);
}

static void *actor_main(void *arg)
{
	struct actor *a = arg;
	int64_t rest;

	pthread_setname_np(pthread_self(), a->name);
	while ((rest = a->step(a->arg)) >= 0)
		if (rest > 0)
			actor_sleep(a, rest);
	return NULL;
}

static void block_signals(sigset_t *ret_old)
{
	static const int raised_by_a_crash[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS,
	};
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(raised_by_a_crash) / sizeof(raised_by_a_crash[0]); i++)
		sigdelset(&set, raised_by_a_crash[i]);
	pthread_sigmask(SIG_SETMASK, &set, ret_old);
}

static struct actor *real_actor_start(struct world *w, const char *name, actor_step *step,
				      void *arg)
{
	struct actor *a = actor_new();
	sigset_t old;
	int r;

	(void)w;
	a->step = step;
	a->arg = arg;
	atomic_store(&a->word, RUNNING);
	str_copy(a->name, sizeof(a->name), str_of(name));
	/* a thread inherits the mask: there is no moment in which it has none */
	block_signals(&old);
	r = pthread_create(&a->thread, NULL, actor_main, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		fprintf(stderr, "cannot start the thread %s: %s\n", name, strerror(r));
		abort();
	}
	return a;
}

static void real_actor_wake(struct world *w, struct actor *a)
{
	(void)w;
	if (atomic_exchange(&a->word, WOKEN) == SLEEPING)
		syscall(SYS_futex, &a->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void real_actor_join(struct world *w, struct actor *a)
{
	(void)w;
	pthread_join(a->thread, NULL);
	actor_free(a);
}

void world_fill_actors(struct world *w)
{
	w->actor_start = real_actor_start;
	w->actor_wake = real_actor_wake;
	w->actor_join = real_actor_join;
}
