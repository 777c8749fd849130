/*
 * run - what the tests of net/ share: loops in which a function runs as a task, scaling, sockets.
 *
 * A test does net_new, runs functions as tasks of loop 0 from the main thread, which waits for
 * each. cmocka's asserts jump out of the test and may do so only on the main thread's own stack:
 * tasks use CHECK, which aborts.
 */
#ifndef UNIT_NET_RUN_H
#define UNIT_NET_RUN_H

#include "net/checkers.h"
#include "net/loop.h"
#include "net/stream.h"
#include "unit/unit.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHECK(condition) check_at(condition, #condition, __FILE__, __LINE__)
#define CHECK_EQ(a, b) check_eq_at((long long)(a), (long long)(b), #a " == " #b, __FILE__, __LINE__)

static inline void check_at(bool ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	abort();
}

static inline void check_eq_at(long long a, long long b, const char *what, const char *file,
			       int line)
{
	if (a == b)
		return;
	fprintf(stderr, "%s:%d: %s: %lld, %lld\n", file, line, what, a, b);
	abort();
}

/* Whether something makes everything ten times slower: counts are cut down. */
static inline bool is_slow(void)
{
#if defined(TASKS_threads)
	return true;
#else
	return CHECKERS_ASAN || CHECKERS_TSAN || RUNNING_ON_VALGRIND;
#endif
}

struct run {
	struct post post;
	void (*fn)(void *arg);
	void *arg;
	bool as_task;
	sem_t done;
};

static inline void run_task(void *arg)
{
	struct run *r = arg;

	r->fn(r->arg);
	sem_post(&r->done);
}

static inline void run_posted(struct post *p)
{
	struct run *r = CONTAINER_OF(p, struct run, post);

	if (r->as_task)
		CHECK(task_start(NULL, run_task, r, "test"));
	else
		run_task(r);
}

/* r: the caller's, until run_has_ended says so. */
static inline void run_begin(struct loop *l, struct run *r, void (*fn)(void *arg), void *arg,
			     bool as_task)
{
	*r = (struct run){ .fn = fn, .arg = arg, .as_task = as_task };
	sem_init(&r->done, 0, 0);
	loop_post(l, &r->post, run_posted);
}

/* Waits for its end, at most that long. */
static inline bool run_has_ended(struct run *r, unsigned ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (sem_timedwait(&r->done, &until) < 0)
		return false;
	sem_destroy(&r->done);
	return true;
}

static inline void run_on(struct loop *l, void (*fn)(void *arg), void *arg, bool as_task)
{
	struct run r;

	run_begin(l, &r, fn, arg, as_task);
	while (!run_has_ended(&r, 1000))
		;
}

/* fn(arg) as a task of a loop of its own; returns when it and the loop have ended. */
static inline void run_in_task(void (*fn)(void *arg), void *arg)
{
	struct net *n = net_new(world_real(), 1, 2);

	net_start(n);
	run_on(net_loop(n, 0), fn, arg, true);
	net_stop(n);
}

/* A TCP listening socket on 127.0.0.x with a free port, whose endpoint comes back. */
static inline int listen_on(const char *ip, struct endpoint *ret)
{
	struct world *w = world_real();
	struct endpoint e = { 0 };
	int fd;

	CHECK(ip_parse(str_of(ip), &e.ip));
	fd = w->sock_listen(w, &e, 4096);
	CHECK(fd >= 0);
	CHECK_EQ(w->sock_local(w, fd, ret), 0);
	return fd;
}

/* Two connected streams over a unix socket pair, on the current loop. */
static inline void stream_pair(struct stream **a, struct stream **b)
{
	const struct endpoint nobody = { .path = "" };
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	*a = stream_new(fds[0], &nobody);
	*b = stream_new(fds[1], &nobody);
}

/* How many descriptors there may be, after raising the limit as far as it goes. */
static inline unsigned raise_descriptors(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur > 1000000 ? 1000000 : (unsigned)limit.rlim_cur;
}

#endif
