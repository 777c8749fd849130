/*
 * sim_sock - sockets and pollers as a relay of the simulated world sees them.
 *
 * Edges as epoll gives them: every arrival, every end, room after a short send. A listening socket
 * is level-triggered and may be in several pollers. A poller wakes the loop that waited in it last.
 */
#include "sim/internet.h"

#define SOCKETS_MAX 1024
#define POLLERS_MAX 64

struct socket {
	struct node *node;	/* NULL: free */
	int fd;
	struct end *end;	/* NULL: it listens */
	struct port *port;
	struct {
		int poller;	/* 0: none */
		void *tag;
		unsigned edges;
	} polled[8];		/* a connection uses the first */
};

struct poller {
	struct node *node;	/* NULL: free */
	struct actor *actor;
	bool woken;
};

static struct socket sockets[SOCKETS_MAX];
static int sockets_high;	/* descriptors above it were never used */
static struct poller pollers[POLLERS_MAX];

static struct socket *socket_of(int fd)
{
	assert(fd > 0 && fd < SOCKETS_MAX && sockets[fd].node);
	return &sockets[fd];
}

static struct socket *socket_new(struct node *n)
{
	for (int fd = 1; fd < SOCKETS_MAX; fd++) {
		if (sockets[fd].node)
			continue;
		sockets[fd] = (struct socket){ .node = n, .fd = fd };
		if (fd > sockets_high)
			sockets_high = fd;
		return &sockets[fd];
	}
	return NULL;
}

static void poller_wake(int poller)
{
	struct poller *p = &pollers[poller];

	if (p->actor && !p->actor->dead)
		actor_wake_up(p->actor);
}

void socket_ready(struct socket *s, unsigned events)
{
	for (int i = 0; s && i < 8; i++) {
		if (!s->polled[i].poller)
			continue;
		s->polled[i].edges |= events;
		poller_wake(s->polled[i].poller);
	}
}

/* ---- listening */

static int sim_sock_listen(struct world *w, const struct endpoint *e, int backlog)
{
	struct node *n = node_of(w);
	int error = node_fault(n, CALL_LISTEN);
	struct socket *s;

	(void)backlog;
	if (error)
		return error;
	if (port_find(e))
		return -EADDRINUSE;
	s = socket_new(n);
	s->port = port_new(e);
	s->port->node = n;
	s->port->socket = s;
	return s->fd;
}

static int sim_sock_accept(struct world *w, int fd, struct endpoint *ret_peer)
{
	struct node *n = node_of(w);
	struct port *p = socket_of(fd)->port;
	int error = node_fault(n, CALL_ACCEPT);
	struct socket *s;

	if (n->dead || !p->waiting_n)
		return -EAGAIN;
	if (error)
		return error;
	s = socket_new(n);
	s->end = p->waiting[0];
	memmove(p->waiting, p->waiting + 1, --p->waiting_n * sizeof(p->waiting[0]));
	s->end->socket = s;
	*ret_peer = s->end->other->at;
	return s->fd;
}

/* ---- connecting */

static int sim_sock_connect(struct world *w, const struct endpoint *local,
			    const struct endpoint *remote)
{
	struct node *n = node_of(w);
	int error = node_fault(n, CALL_CONNECT);
	struct endpoint from = endpoint_of(n->index ? "10.0.0.2:40000" : "10.0.0.1:40000");
	struct socket *s;

	if (error)
		return error;
	if (local)
		from.ip = local->ip;
	if (!node_call(n))
		return -ENETUNREACH;
	s = socket_new(n);
	s->end = end_connect(&from, remote, n);
	s->end->socket = s;
	limits_opened(n, remote, internet_source(&from.ip));
	return s->fd;
}

static int sim_sock_error(struct world *w, int fd)
{
	struct end *e = socket_of(fd)->end;

	(void)w;
	return e->connected ? e->reset ? -ECONNRESET : 0 : e->error ? e->error : -EINPROGRESS;
}

/* ---- octets */

static ssize_t sim_sock_recv(struct world *w, int fd, void *p, size_t n)
{
	struct node *node = node_of(w);
	struct end *e = socket_of(fd)->end;
	int error = node_fault(node, CALL_RECV);
	size_t got;

	if (node->dead)
		return -EAGAIN;
	if (error) {
		end_reset(e);
		return error;
	}
	if (!e->connected)
		return e->error ? e->error : -EAGAIN;
	if (!node_call(node))
		return -EAGAIN;
	got = end_read(e, p, n);
	if (got)
		return (ssize_t)got;
	return e->reset ? -ECONNRESET : e->ended ? 0 : -EAGAIN;
}

static ssize_t sim_sock_send(struct world *w, int fd, const struct iovec *iov, int iov_n)
{
	struct node *n = node_of(w);
	struct end *e = socket_of(fd)->end;
	int error = node_fault(n, CALL_SEND);
	size_t done = 0;

	if (n->dead || !node_call(n))
		return -EPIPE;
	if (error) {
		end_reset(e);
		return error;
	}
	if (e->reset)
		return -ECONNRESET;
	if (e->shut)
		return -EPIPE;
	if (e->other->closed && e->ended) {
		end_reset(e);
		return -EPIPE;
	}
	for (int v = 0; v < iov_n; v++) {
		size_t room = end_room(e), want = iov[v].iov_len;
		size_t now = want < room ? want : room;

		if (now)
			end_send(e, iov[v].iov_base, now);
		done += now;
		if (now < want) {
			e->wants_room = true;
			return done ? (ssize_t)done : -EAGAIN;
		}
	}
	return (ssize_t)done;
}

static int sim_sock_shutdown(struct world *w, int fd)
{
	struct node *n = node_of(w);
	int error = node_fault(n, CALL_SHUTDOWN);

	if (error || n->dead)
		return error;
	end_shut(socket_of(fd)->end);
	return 0;
}

static int sim_sock_local(struct world *w, int fd, struct endpoint *ret)
{
	struct socket *s = socket_of(fd);

	(void)w;
	*ret = s->end ? s->end->at : s->port->at;
	return 0;
}

static void sim_sock_close(struct world *w, int fd)
{
	struct socket *s = socket_of(fd);

	if (node_of(w)->dead)
		return;
	if (s->end) {
		if (s->end->is_client)
			limits_closed(s->node, &s->end->other->at,
				      internet_source(&s->end->at.ip));
		end_close(s->end);
		s->end->socket = NULL;
	} else {
		s->port->closed = true;
		while (s->port->waiting_n)
			end_reset(s->port->waiting[--s->port->waiting_n]);
	}
	*s = (struct socket){ 0 };
}

/* ---- pollers */

static int sim_poll_open(struct world *w)
{
	for (int i = 1; i < POLLERS_MAX; i++) {
		if (pollers[i].node)
			continue;
		pollers[i] = (struct poller){ .node = node_of(w) };
		return i;
	}
	return -EMFILE;
}

static void sim_poll_close(struct world *w, int poller)
{
	(void)w;
	pollers[poller] = (struct poller){ 0 };
}

static int sim_poll_add(struct world *w, int poller, int fd, void *tag, unsigned flags)
{
	struct socket *s = socket_of(fd);
	int i = 0, error = node_fault(node_of(w), CALL_POLL_ADD);

	if (error)
		return error;
	while (flags & ACCEPT_TAG_SHARED && s->polled[i].poller)
		i++;
	assert(i < 8 && !s->polled[i].poller);
	s->polled[i].poller = poller;
	s->polled[i].tag = tag;
	s->polled[i].edges = 0;
	if (s->end && s->end->connected)
		s->polled[i].edges = POLL_WRITE | (s->end->in_at < s->end->in_n ? POLL_READ : 0) |
				     (s->end->ended ? POLL_READ | POLL_END : 0) |
				     (s->end->reset ? POLL_READ | POLL_ERROR | POLL_END : 0);
	poller_wake(poller);
	return 0;
}

static void sim_poll_remove(struct world *w, int poller, int fd)
{
	struct socket *s = &sockets[fd];

	(void)w;
	for (int i = 0; i < 8; i++)
		if (s->polled[i].poller == poller)
			s->polled[i].poller = 0;
}

static int collect(int poller, struct poll_event *events, int max)
{
	int n = 0;

	for (int fd = 1; fd <= sockets_high && n < max; fd++) {
		struct socket *s = &sockets[fd];

		for (int i = 0; s->node && i < 8 && n < max; i++) {
			unsigned edges = s->polled[i].edges;

			if (s->polled[i].poller != poller)
				continue;
			if (s->port)
				edges = s->port->waiting_n ? POLL_READ : 0;
			s->polled[i].edges = 0;
			if (edges)
				events[n++] = (struct poll_event){ s->polled[i].tag, edges };
		}
	}
	return n;
}

static int sim_poll_wait(struct world *w, int poller, struct poll_event *events, int max,
			 int64_t timeout_ns)
{
	struct poller *p = &pollers[poller];
	int n;

	if (node_of(w)->dead)
		return 0;
	if (fiber_runs()) {	/* somebody who only sleeps */
		fiber_sleep((uint64_t)timeout_ns);
		return 0;
	}
	p->actor = sim.current;
	n = collect(poller, events, p->woken ? max - 1 : max);
	if (p->woken)
		events[n++] = (struct poll_event){ 0 };
	p->woken = false;
	return n;
}

static void sim_poll_wake(struct world *w, int poller)
{
	(void)w;
	pollers[poller].woken = true;
	poller_wake(poller);
}

/* ---- a process has died */

static void on_silence_over(struct event *ev)
{
	end_reset(ev->p);
}

void net_close_all(struct node *n, bool power)
{
	for (int fd = 1; fd < SOCKETS_MAX; fd++) {
		struct socket *s = &sockets[fd];

		if (s->node != n)
			continue;
		if (s->end) {
			s->end->socket = NULL;
			if (power && sim_chance(500))	/* the peer hears nothing for a while */
				sim_at(sim.now + sim_between(1, 60) * SECOND, on_silence_over,
				       s->end->other, 0);
			else if (power || sim_chance(300))
				end_reset(s->end);
			else
				end_close(s->end);
			s->end->closed = true;
		} else {
			s->port->closed = true;
			while (s->port->waiting_n)
				end_reset(s->port->waiting[--s->port->waiting_n]);
		}
		*s = (struct socket){ 0 };
	}
	for (int i = 1; i < POLLERS_MAX; i++)
		if (pollers[i].node == n)
			pollers[i] = (struct poller){ 0 };
}

void net_fill_world(struct world *w)
{
	w->sock_listen = sim_sock_listen;
	w->sock_accept = sim_sock_accept;
	w->sock_connect = sim_sock_connect;
	w->sock_error = sim_sock_error;
	w->sock_recv = sim_sock_recv;
	w->sock_send = sim_sock_send;
	w->sock_shutdown = sim_sock_shutdown;
	w->sock_local = sim_sock_local;
	w->sock_close = sim_sock_close;
	w->poll_open = sim_poll_open;
	w->poll_close = sim_poll_close;
	w->poll_add = sim_poll_add;
	w->poll_remove = sim_poll_remove;
	w->poll_wait = sim_poll_wait;
	w->poll_wake = sim_poll_wake;
}
