/*
 * stream_write - output: gathering small pieces, sending large ones from where they are. See
 * stream.h.
 *
 * Two sides that both send until the other reads would wait for each other for ever, so whoever
 * waits to write takes input in, as far as the input buffer has room behind what is in it.
 */
#include "net/tls_inner.h"

#include <errno.h>

#define LARGE 4096	/* octets from which a copy costs more than a second element of sendmsg */

size_t stream_unsent(const struct stream *s)
{
	return s->out_n - s->out_at;
}

/* Octets of the buffer, then of the piece, are gone. */
static void sent(struct stream *s, struct str *piece, size_t n)
{
	size_t buffered = stream_unsent(s);
	size_t own = n < buffered ? n : buffered;

	s->out_at += (uint32_t)own;
	if (s->out_at == s->out_n)
		s->out_at = s->out_n = 0;
	*piece = str_from(*piece, n - own);
}

ssize_t stream_raw_send(struct stream *s, const struct iovec *iov, int n, size_t total)
{
	ssize_t r;

	if (s->write_error)
		return s->write_error;
	if (!(s->ready & (POLL_WRITE | POLL_ERROR)))
		return -EAGAIN;
	r = s->loop->world->sock_send(s->loop->world, s->fd, iov, n);
	if (r == -EAGAIN || (r >= 0 && (size_t)r < total))
		s->ready &= (uint8_t)~(POLL_WRITE | POLL_ERROR);
	else if (r < 0)
		s->write_error = (int)r;
	return r;
}

/* One send of what is buffered and the piece: 0, -EAGAIN: the socket is full, or an error. */
static ssize_t send_once(struct stream *s, struct str *piece)
{
	struct iovec iov[2];
	size_t total = stream_unsent(s) + piece->n;
	ssize_t r;
	int n = 0;

	if (stream_unsent(s))
		iov[n++] = (struct iovec){ s->out + s->out_at, stream_unsent(s) };
	if (piece->n)
		iov[n++] = (struct iovec){ (char *)piece->p, piece->n };
	r = s->tls ? tls_send(s, iov, n) : stream_raw_send(s, iov, n, total);
	if (s->tls && r < 0 && r != -EAGAIN)
		s->write_error = (int)r;
	if (r > 0)
		sent(s, piece, (size_t)r);
	return r;
}

/* The socket is full: wait until it is not, and meanwhile take in what the peer sends. */
static int wait_to_write(struct stream *s, uint64_t deadline) SUSPENDS
{
	unsigned wants = POLL_WRITE;

	while (!(s->ready & (POLL_WRITE | POLL_ERROR))) {
		ssize_t r = stream_take(s);

		if (r > 0)
			continue;
		/* Full, ended or broken: then only the other direction matters. */
		wants = r == -EAGAIN ? POLL_WRITE | POLL_READ : POLL_WRITE;
		r = stream_wait(s, wants, deadline);
		if (r < 0)
			return (int)r;
	}
	return 0;
}

static int send_all(struct stream *s, struct str *piece, uint64_t deadline) SUSPENDS
{
	while (stream_unsent(s) + piece->n) {
		ssize_t r = send_once(s, piece);

		if (r > 0)
			task_moved((size_t)r);
		if (r == -EAGAIN || (r >= 0 && !(s->ready & POLL_WRITE)))
			r = stream_unsent(s) + piece->n ? wait_to_write(s, deadline) : 0;
		if (r < 0)
			return (int)r;
	}
	stream_give_back(s, &s->out);
	return 0;
}

static void gather(struct stream *s, const void *p, size_t n)
{
	if (!s->out)
		s->out = loop_buffer_get(s->loop);
	memcpy(s->out + s->out_n, p, n);
	s->out_n += (uint32_t)n;
}

int stream_write(struct stream *s, const void *p, size_t n, uint64_t deadline)
{
	struct str piece = str_make(p, n);
	int r = 0;

	if (s->write_error)
		return s->write_error;
	if (task_is_cancelled())
		return -ECANCELED;
	if (n == 0)
		return 0;
	stream_tap(s, true, p, n);
	if (n >= LARGE)
		return send_all(s, &piece, deadline);
	if (n > STREAM_BUFFER - s->out_n)
		r = stream_flush(s, deadline);
	if (r == 0)
		gather(s, p, n);
	return r;
}

int stream_flush(struct stream *s, uint64_t deadline)
{
	struct str none = STR_NONE;
	int r;

	if (s->write_error)
		return s->write_error;
	if (stream_unsent(s) == 0)
		return task_is_cancelled() ? -ECANCELED : 0;
	r = stream_begin(deadline);
	return r < 0 ? r : send_all(s, &none, deadline);
}
