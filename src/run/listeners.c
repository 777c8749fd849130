/*
 * listeners - binding and keeping; see listeners.h.
 */
#include "run/listeners.h"

#include "base/mem.h"
#include "net/loop.h"
#include "run/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define BACKLOG 4096
/* A predecessor that was killed holds its sockets until the last of its memory is gone. */
#define IN_USE_WAIT (3 * SECOND)
#define IN_USE_AGAIN_MS 50

int listeners_find(const struct listeners *l, const struct endpoint *e)
{
	for (unsigned i = 0; i < l->n; i++)
		if (endpoint_eq(&l->at[i].endpoint, e))
			return l->at[i].fd;
	return -1;
}

void listeners_put(struct listeners *l, const struct endpoint *e, int fd)
{
	struct listening *place = &l->at[l->n++];

	place->endpoint = *e;
	place->endpoint.path = e->path ? mem_strdup(e->path) : NULL;
	place->fd = fd;
}

void listeners_remove(struct listeners *l, unsigned i)
{
	close(l->at[i].fd);
	mem_free((void *)(uintptr_t)l->at[i].endpoint.path);
	l->at[i] = l->at[--l->n];
}

int listeners_add(struct listeners *l, const struct endpoint *e)
{
	struct world *w = world_real();
	int fd = listeners_find(l, e);

	if (fd >= 0)
		return fd;
	if (l->n == LISTENERS_MAX)
		return -EMFILE;
	fd = w->sock_listen(w, e, BACKLOG);
	if (fd >= 0)
		listeners_put(l, e, fd);
	return fd;
}

bool listeners_wanted(const struct config *c, const struct endpoint *e)
{
	for (unsigned i = 0; i < c->listens_n; i++)
		if (endpoint_eq(&c->listens[i].endpoint, e))
			return true;
	for (unsigned i = 0; i < c->pops_n; i++)
		if (endpoint_eq(&c->pops[i].endpoint, e))
			return true;
	return false;
}

void listeners_drop_except(struct listeners *l, const struct config *c)
{
	for (unsigned i = l->n; i-- > 0;)
		if (!listeners_wanted(c, &l->at[i].endpoint))
			listeners_remove(l, i);
}

/* Sockets that systemd bound for us (Sockets= of the unit): they are made like our own. */
static void take_handed_over(struct listeners *l, const struct config *c, struct buf *messages)
{
	int n = notify_listen_fds();

	for (int fd = LISTEN_FDS_START; fd < LISTEN_FDS_START + n && l->n < LISTENERS_MAX; fd++) {
		struct sockaddr_storage sa = { 0 };
		socklen_t size = sizeof(sa);
		char text[ENDPOINT_TEXT_MAX];
		struct endpoint e;

		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		if (getsockname(fd, (struct sockaddr *)&sa, &size) < 0)
			continue;
		endpoint_from_sockaddr(&e, &sa);
		if (listeners_wanted(c, &e)) {
			listeners_put(l, &e, fd);
			continue;
		}
		buf_printf(messages, "relevo: warning: systemd handed over a socket for %s, but "
				     "no \"listen\" "
			   "names that address; the socket is not used.\n",
				   endpoint_text(text, &e));
		close(fd);
	}
}

/* What an administrator can do about it. */
static const char *bind_hint(int error)
{
	switch (-error) {
	case EADDRINUSE:
		return "another program listens there (\"ss -ltnp\" tells which)";
	case EACCES:
		return "ports below 1024 are for root, or for CAP_NET_BIND_SERVICE";
	case EADDRNOTAVAIL:
		return "this machine does not have that address (yet)";
	default:
		return strerror(-error);
	}
}

/* As after a restart: the one before may be about to end. Said at once, so nobody wonders. */
static void tell_waiting(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	fprintf(stderr, "relevo: another program listens on %s; waiting up to %llu s for it to "
			"end.\n", endpoint_text(text, e),
		(unsigned long long)(IN_USE_WAIT / SECOND));
}

static int add_patiently(struct listeners *l, const struct endpoint *e, uint64_t until)
{
	struct world *w = world_real();
	int r = listeners_add(l, e);

	if (r == -EADDRINUSE && w->now(w) < until)
		tell_waiting(e);
	while (r == -EADDRINUSE && w->now(w) < until) {
		poll(NULL, 0, IN_USE_AGAIN_MS);
		r = listeners_add(l, e);
	}
	return r;
}

static bool bind_one(struct listeners *l, const struct endpoint *e,
		     const struct config_place *place, uint64_t until, struct buf *messages)
{
	char text[ENDPOINT_TEXT_MAX];
	int r = add_patiently(l, e, until);

	if (r >= 0)
		return true;
	buf_printf(messages, "%s:%u: cannot listen on %s: %s.\n", place->file, place->line,
		   endpoint_text(text, e), bind_hint(r));
	return false;
}

bool listeners_bind(struct listeners *l, const struct config *c, bool handed_over,
		    struct buf *messages)
{
	struct world *w = world_real();
	uint64_t until = w->now(w) + IN_USE_WAIT;	/* for all of them together */
	bool all = true;

	if (handed_over)
		take_handed_over(l, c, messages);
	for (unsigned i = 0; i < c->listens_n; i++)
		all &= bind_one(l, &c->listens[i].endpoint, &c->listens[i].place, until, messages);
	for (unsigned i = 0; i < c->pops_n; i++)
		all &= bind_one(l, &c->pops[i].endpoint, &c->pops[i].place, until, messages);
	return all;
}
