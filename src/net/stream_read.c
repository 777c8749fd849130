/*
 * stream_read - input: filling the buffer, taking lines out of it. See stream.h.
 *
 * What is borrowed (a line, a peek) lies in the buffer and is valid until the next read call. So
 * only read calls move octets or give the buffer back; a flush that takes input in meanwhile only
 * appends.
 */
#include "net/tls_inner.h"

#include <assert.h>
#include <errno.h>

#define DISCARD_MAX (1024 * 1024)	/* of one overlong line */

struct str stream_peek(const struct stream *s)
{
	return s->in ? str_make(s->in + s->in_at, s->in_n - s->in_at) : STR_NONE;
}

void stream_consume(struct stream *s, size_t n)
{
	assert(n <= s->in_n - s->in_at);
	s->in_at += (uint32_t)n;
	if (s->in_seen < s->in_at)
		s->in_seen = s->in_at;
}

bool stream_has_input(struct stream *s)
{
	return s->in_n > s->in_at || (s->tls && s->tls->more) ||
	       (s->ready & (POLL_READ | POLL_ERROR | POLL_END) && !s->ended);
}

bool stream_is_ended(const struct stream *s)
{
	return s->ended || s->ready & (POLL_END | POLL_ERROR);
}

/*
 * A short recv has emptied the socket - but if the peer has sent its last, there is no edge to come
 * for the end.
 */
static void after_recv(struct stream *s, ssize_t r, size_t room)
{
	if (r == -EAGAIN)
		s->ready &= (uint8_t)~(POLL_READ | POLL_END | POLL_ERROR);
	else if (r == 0)
		s->ended = true;
	else if (r < 0)
		s->read_error = (int)r;
	else if ((size_t)r < room && !(s->ready & (POLL_END | POLL_ERROR)))
		s->ready &= (uint8_t)~POLL_READ;
}

ssize_t stream_raw_recv(struct stream *s, void *p, size_t n)
{
	struct world *w = s->loop->world;
	ssize_t r;

	if (s->read_error)
		return s->read_error;
	if (s->ended)
		return 0;
	if (!(s->ready & (POLL_READ | POLL_END | POLL_ERROR)))
		return -EAGAIN;
	r = w->sock_recv(w, s->fd, p, n);
	after_recv(s, r, n);
	return r;
}

static ssize_t take_some(struct stream *s, size_t max)
{
	size_t room = STREAM_BUFFER - s->in_n;
	ssize_t r;

	if (s->read_error)
		return s->read_error;
	if (s->ended)
		return 0;
	if (!(s->ready & (POLL_READ | POLL_END | POLL_ERROR)) && !(s->tls && s->tls->more))
		return -EAGAIN;
	if (room == 0)
		return -ENOBUFS;
	if (!s->in)
		s->in = loop_buffer_get(s->loop);
	room = room < max ? room : max;
	r = s->tls ? tls_take(s, s->in + s->in_n, room)
		   : stream_raw_recv(s, s->in + s->in_n, room);
	if (r > 0) {
		stream_tap(s, false, s->in + s->in_n, (size_t)r);
		s->in_n += (uint32_t)r;
	}
	return r;
}

ssize_t stream_take(struct stream *s)
{
	return take_some(s, STREAM_BUFFER);
}

/*
 * Before a read call adds to the buffer: what is left goes to its front if the room behind it is
 * small.
 */
static void make_room(struct stream *s)
{
	uint32_t left = s->in_n - s->in_at;

	if (left && s->in_n <= STREAM_BUFFER / 2)
		return;
	if (left && s->in_at)
		memmove(s->in, s->in + s->in_at, left);
	s->in_seen -= s->in_at;
	s->in_at = 0;
	s->in_n = left;
}

ssize_t stream_fill_now(struct stream *s)
{
	ssize_t r;

	make_room(s);
	r = stream_take(s);
	if (r == -EAGAIN && s->in_n == 0)
		stream_give_back(s, &s->in);
	return r;
}

ssize_t stream_fill(struct stream *s, uint64_t deadline)
{
	return stream_fill_some(s, STREAM_BUFFER, deadline);
}

ssize_t stream_fill_some(struct stream *s, size_t max, uint64_t deadline)
{
	ssize_t r = stream_begin(deadline);

	if (r < 0)
		return r;
	make_room(s);
	while ((r = take_some(s, max)) == -EAGAIN) {
		if (s->in_n == 0)
			stream_give_back(s, &s->in);
		r = stream_wait(s, POLL_READ | POLL_END, deadline);
		if (r < 0)
			return r;
	}
	if (r > 0)
		task_moved((size_t)r);
	return r;
}

/* Index behind the first CRLF of what is buffered; 0: there is none. */
static size_t find_end(struct stream *s)
{
	const char *start, *end, *at;

	if (!s->in)
		return 0;
	start = s->in + s->in_at;
	end = s->in + s->in_n;
	at = s->in + s->in_seen;
	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		if (at > start && at[-1] == '\r')
			return (size_t)(at + 1 - start);
		at++;
	}
	s->in_seen = s->in_n;
	return 0;
}

/* Read an overlong line away, to its end but not for ever. */
static int discard_line(struct stream *s, uint64_t deadline) SUSPENDS
{
	size_t thrown = 0, end;

	while (!(end = find_end(s))) {
		struct str left = stream_peek(s);
		/* A CR may be the first half of the CRLF. */
		size_t n = left.n && left.p[left.n - 1] == '\r' ? left.n - 1 : left.n;
		ssize_t r;

		thrown += n;
		stream_consume(s, n);
		if (thrown > DISCARD_MAX) {
			s->read_error = -ECONNABORTED;
			return -ECONNABORTED;
		}
		r = stream_fill(s, deadline);
		if (r <= 0)
			return (int)r;
	}
	stream_consume(s, end);
	return -EMSGSIZE;
}

int stream_line(struct stream *s, size_t max, uint64_t deadline, struct str *ret)
{
	size_t end;

	assert(max <= STREAM_BUFFER);
	if (task_is_cancelled())
		return -ECANCELED;
	while (!(end = find_end(s))) {
		ssize_t r;

		if (s->in_n - s->in_at >= max)
			return discard_line(s, deadline);
		r = stream_fill(s, deadline);
		if (r == 0)
			stream_consume(s, s->in_n - s->in_at);
		if (r <= 0)
			return (int)r;
	}
	if (end > max) {
		stream_consume(s, end);
		return -EMSGSIZE;
	}
	*ret = str_make(s->in + s->in_at, end - 2);
	stream_consume(s, end);
	return 1;
}
