/*
 * world_poll - the pollers of the real world: an epoll and an eventfd each.
 *
 * Sockets are registered once, edge-triggered for both directions; shared listening sockets
 * level-triggered with EPOLLEXCLUSIVE, so that a new connection wakes one loop. The eventfd is
 * edge-triggered too and therefore never read: each write is an edge, and its counter lasts for
 * ages. Time-outs are rounded up to whole milliseconds: a timer is never early, and epoll_wait
 * exists everywhere.
 */
#include "net/world_real.h"

#include <limits.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define POLLERS_MAX 1024
#define EVENTS_MAX 256

struct poller {
	int epoll, event;
	bool used;
};

static struct poller pollers[POLLERS_MAX];
static pthread_mutex_t pollers_lock = PTHREAD_MUTEX_INITIALIZER;	/* for .used */

static int poller_make(struct poller *p)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int r;

	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0)
		return -errno;
	p->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->event >= 0 && epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->event, &e) == 0)
		return 0;
	r = -errno;
	if (p->event >= 0)
		close(p->event);
	close(p->epoll);
	return r;
}

static int real_poll_open(struct world *w)
{
	int r = -EMFILE;

	(void)w;
	pthread_mutex_lock(&pollers_lock);
	for (int i = 0; i < POLLERS_MAX; i++) {
		if (pollers[i].used)
			continue;
		r = poller_make(&pollers[i]);
		pollers[i].used = r == 0;
		r = r < 0 ? r : i;
		break;
	}
	pthread_mutex_unlock(&pollers_lock);
	return r;
}

static void real_poll_close(struct world *w, int poller)
{
	struct poller *p = &pollers[poller];

	(void)w;
	pthread_mutex_lock(&pollers_lock);
	close(p->epoll);
	close(p->event);
	p->used = false;
	pthread_mutex_unlock(&pollers_lock);
}

static int real_poll_add(struct world *w, int poller, int fd, void *tag, unsigned flags)
{
	struct epoll_event e = { .data.ptr = tag };

	(void)w;
	e.events = flags & ACCEPT_TAG_SHARED ? EPOLLIN | EPOLLEXCLUSIVE
					     : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	return errno_or(epoll_ctl(pollers[poller].epoll, EPOLL_CTL_ADD, fd, &e));
}

static void real_poll_remove(struct world *w, int poller, int fd)
{
	(void)w;
	epoll_ctl(pollers[poller].epoll, EPOLL_CTL_DEL, fd, NULL);
}

static unsigned events_of(uint32_t e)
{
	return (e & EPOLLIN ? POLL_READ : 0) | (e & EPOLLOUT ? POLL_WRITE : 0) |
	       (e & (EPOLLERR | EPOLLHUP) ? POLL_ERROR : 0) |
	       (e & (EPOLLRDHUP | EPOLLHUP) ? POLL_READ | POLL_END : 0);
}

static int timeout_ms(int64_t ns)
{
	if (ns < 0 || ns == STEP_IDLE)
		return -1;
	if (ns / 1000000 >= INT_MAX)
		return INT_MAX;
	return (int)((ns + 999999) / 1000000);
}

static int real_poll_wait(struct world *w, int poller, struct poll_event *events, int max,
			  int64_t timeout_ns)
{
	static _Thread_local struct epoll_event raw[EVENTS_MAX];
	int n;

	(void)w;
	if (max > EVENTS_MAX)
		max = EVENTS_MAX;
	n = epoll_wait(pollers[poller].epoll, raw, max, timeout_ms(timeout_ns));
	if (n < 0) {
		/* A signal counts as a wake: the caller looks around and comes back. */
		events[0] = (struct poll_event){ 0 };
		return errno == EINTR ? 1 : -errno;
	}
	for (int i = 0; i < n; i++) {
		events[i].tag = raw[i].data.ptr;
		events[i].events = raw[i].data.ptr ? events_of(raw[i].events) : 0;
	}
	return n;
}

static void real_poll_wake(struct world *w, int poller)
{
	const uint64_t one = 1;
	ssize_t r = write(pollers[poller].event, &one, sizeof(one));

	(void)w;
	(void)r;	/* fails only if the counter is full, and then the poller is awake */
}

void world_fill_pollers(struct world *w)
{
	w->poll_open = real_poll_open;
	w->poll_close = real_poll_close;
	w->poll_add = real_poll_add;
	w->poll_remove = real_poll_remove;
	w->poll_wait = real_poll_wait;
	w->poll_wake = real_poll_wake;
}
