/*
 * listener - new connections of one listening socket, on one loop. See stream.h.
 *
 * The socket is level-triggered and shared by all loops (EPOLLEXCLUSIVE wakes one); a turn accepts
 * a bounded number, so that the others get their share and running sessions their turn. When
 * descriptors or memory run out, the socket stays readable: it is left alone for 100 ms instead of
 * being asked again and again. The same where the descriptor that it got belongs to the reserve:
 * that client is cut off, those behind it wait in the system's queue. (To ask first how many are
 * left would cost a call for each connection; the number says it for nothing.)
 */
#include "net/inner.h"

#include <errno.h>

#define ACCEPTS_PER_TURN 32
#define PAUSE_MS 100

static void listener_pause(struct listener *l)
{
	loop_poll_remove(l->loop, &l->pollable, l->fd);
	l->paused = true;
	timer_set(&l->resume, in_ms(PAUSE_MS));
}

static void on_resume(struct timer *t)
{
	struct listener *l = CONTAINER_OF(t, struct listener, resume);

	l->paused = loop_poll_add(l->loop, &l->pollable, l->fd, ACCEPT_TAG_SHARED) < 0;
	if (l->paused)
		timer_set(&l->resume, in_ms(PAUSE_MS));
}

static bool is_exhausted(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS ||
	       error == -ENOSPC;	/* of epoll_ctl: the user's watches */
}

/* Whether a connection may keep this descriptor. */
static bool is_reserved(const struct listener *l, int fd)
{
	int from = l->loop->net->reserve_from;

	return from && fd >= from && !l->may_use_reserve;
}

static void on_readable(struct pollable *p, unsigned events)
{
	struct listener *l = CONTAINER_OF(p, struct listener, pollable);
	struct world *w = l->loop->world;
	struct endpoint peer;

	(void)events;
	/* .loop is NULL once the callback has stopped the listener. */
	for (int i = 0; i < ACCEPTS_PER_TURN && l->loop; i++) {
		int fd = w->sock_accept(w, l->fd, &peer);

		if (fd == -EAGAIN)
			return;
		if (is_exhausted(fd)) {
			listener_pause(l);
			return;
		}
		if (fd >= 0 && is_reserved(l, fd)) {
			w->sock_close(w, fd);
			listener_pause(l);
			return;
		}
		/* else one that was reset while it waited, or its network's error (accept(2)) */
		if (fd >= 0)
			l->accepted(l, fd, &peer);
	}
}

int listener_start(struct listener *l, int fd,
		   void (*accepted)(struct listener *, int fd, const struct endpoint *peer))
{
	int r;

	l->fd = fd;
	l->accepted = accepted;
	l->paused = false;
	l->pollable.ready = on_readable;
	l->loop = loop_self();
	timer_init(&l->resume, on_resume);
	r = loop_poll_add(l->loop, &l->pollable, fd, ACCEPT_TAG_SHARED);
	/* later, or nobody would ever accept here; but a socket that cannot be watched never can */
	if (r < 0 && r != -EBADF && r != -EPERM) {
		l->paused = true;
		timer_set(&l->resume, in_ms(PAUSE_MS));
		return 0;
	}
	if (r < 0)
		l->loop = NULL;
	return r;
}

void listener_stop(struct listener *l)
{
	if (!l->loop)
		return;
	timer_clear(&l->resume);
	if (!l->paused)
		loop_poll_remove(l->loop, &l->pollable, l->fd);
	l->loop = NULL;
}
