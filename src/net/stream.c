/*
 * stream - a connection's life: made, connected, lingering, closed; and what its files share. See
 * stream.h.
 *
 * The poller reports edges; .ready keeps what was reported until a short recv or send shows that it
 * is used up. Reading is in stream_read.c, writing in stream_write.c.
 */
#include "net/tls_inner.h"

#include "base/mem.h"

#include <errno.h>

#define LINGER_MAX (64 * 1024)

static void on_ready(struct pollable *p, unsigned events)
{
	struct stream *s = CONTAINER_OF(p, struct stream, pollable);

	s->ready |= (uint8_t)events;
	if (s->waiter && events & (s->wants | POLL_ERROR))
		task_signal(s->waiter, WAKE_IO);
}

static void copy_endpoint(struct stream *s, const struct endpoint *e)
{
	s->peer = *e;
	if (!e->path)
		return;
	s->path = mem_strdup(e->path);
	s->peer.path = s->path;
}

static struct stream *stream_make(int fd, const struct endpoint *peer, unsigned ready)
{
	struct stream *s = mem_zalloc(sizeof(*s));
	int r;

	s->loop = loop_self();
	s->fd = fd;
	s->ready = (uint8_t)ready;
	s->pollable.ready = on_ready;
	copy_endpoint(s, peer);
	r = loop_poll_add(s->loop, &s->pollable, fd, 0);
	if (r < 0) {		/* out of kernel memory: as if the peer had gone */
		s->read_error = s->write_error = r;
		s->is_polled = false;
	} else {
		s->is_polled = true;
	}
	return s;
}

struct stream *stream_new(int fd, const struct endpoint *peer)
{
	return stream_make(fd, peer, POLL_WRITE);
}

void stream_give_back(struct stream *s, char **buffer)
{
	if (*buffer)
		loop_buffer_put(s->loop, *buffer);
	*buffer = NULL;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	if (s->is_polled)
		loop_poll_remove(s->loop, &s->pollable, s->fd);
	tls_free(s->tls);
	s->loop->world->sock_close(s->loop->world, s->fd);
	stream_give_back(s, &s->in);
	stream_give_back(s, &s->out);
	mem_free(s->path);
	mem_free(s);
}

int stream_wait(struct stream *s, unsigned wants, uint64_t deadline)
{
	struct task *t = task_self();
	int r;

	t->wakes &= (uint8_t)~WAKE_IO;
	s->wants = (uint8_t)wants;
	s->waiter = t;
	r = task_wait_for(WAKE_IO, deadline);
	s->waiter = NULL;
	return r;
}

int stream_begin(uint64_t deadline)
{
	if (task_is_cancelled())
		return -ECANCELED;
	return deadline < loop_now() ? -ETIMEDOUT : 0;
}

int stream_connect(const struct endpoint *local, const struct endpoint *remote, uint64_t deadline,
		   struct stream **ret)
{
	struct world *w = world_self();
	struct stream *s;
	int fd, r = stream_begin(deadline);

	if (r < 0)
		return r;
	fd = w->sock_connect(w, local, remote);
	if (fd < 0)
		return fd;
	s = stream_make(fd, remote, 0);
	r = s->write_error;
	if (!r && !(s->ready & POLL_WRITE))
		r = stream_wait(s, POLL_WRITE, deadline);
	if (!r)
		r = w->sock_error(w, fd);
	if (r < 0) {
		stream_free(s);
		return r;
	}
	s->ready |= POLL_WRITE;
	*ret = s;
	return 0;
}

const struct endpoint *stream_peer(const struct stream *s)
{
	return &s->peer;
}

int stream_local(const struct stream *s, struct endpoint *ret)
{
	return s->loop->world->sock_local(s->loop->world, s->fd, ret);
}

void stream_set_tap(struct stream *s, void (*tap)(void *arg, bool outgoing, struct str bytes),
		    void *arg)
{
	s->tap = tap;
	s->tap_arg = arg;
}

/*
 * A close while input waits unread makes the kernel send a reset, and a reset may destroy our last
 * reply in the peer's socket before the peer has read it (RFC 1122 4.2.2.13). So: half a close,
 * then read what comes.
 */
void stream_linger(struct stream *s, uint64_t deadline)
{
	struct world *w = s->loop->world;
	size_t thrown = 0;
	ssize_t r;

	if (stream_flush(s, deadline) < 0)
		return;
	tls_say_goodbye(s);
	if (w->sock_shutdown(w, s->fd) < 0)
		return;
	do {
		struct str left = stream_peek(s);

		thrown += left.n;
		stream_consume(s, left.n);
		r = stream_fill(s, deadline);
	} while (r > 0 && thrown < LINGER_MAX);
}
