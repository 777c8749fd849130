/*
 * stream - a connection as tasks see it: buffered, with deadlines; later with TLS beneath.
 *
 * Owned by one task at a time, on one loop. Buffers are taken when there is something to buffer and
 * given back when empty, so that an idle connection holds none. A recv is tried only after the
 * poller said readable, and a short recv ends it: no needless EAGAIN. Reading many bytes yields
 * (task_moved).
 *
 * All waits: 0 or a count, -ETIMEDOUT, -ECANCELED, -ECONNRESET, -EPIPE or another -errno; then the
 * stream is dead for that direction.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "net/loop.h"

#define STREAM_BUFFER (16 * 1024)	/* octets of the input and of the output buffer */

struct stream;

/* Takes fd (registers it with the current loop). peer is copied. */
struct stream *stream_new(int fd, const struct endpoint *peer);
void stream_free(struct stream *s);	/* closes at once; NULL is fine */

/* local: source address, or NULL. On success *ret is the stream. -ETIMEDOUT, -ECONNREFUSED, ... */
int stream_connect(const struct endpoint *local, const struct endpoint *remote, uint64_t deadline,
		   struct stream **ret) SUSPENDS;

const struct endpoint *stream_peer(const struct stream *s);
int stream_local(const struct stream *s, struct endpoint *ret);

/* ---- reading */
/* what is buffered; valid until the next read call */
struct str stream_peek(const struct stream *s);
void stream_consume(struct stream *s, size_t n);	/* at most what is buffered */
/*
 * Wait for more input and append it to what is buffered. Returns octets added, 0 at the end of the
 * stream, -ENOBUFS if the buffer is full, or an error.
 */
ssize_t stream_fill(struct stream *s, uint64_t deadline) SUSPENDS;
/*
 * The same, but at most max octets: for what stands before a TLS handshake, which must find its
 * own first octet in the socket.
 */
ssize_t stream_fill_some(struct stream *s, size_t max, uint64_t deadline) SUSPENDS;
/* Take what the socket holds by now without waiting; the same results, or -EAGAIN. */
ssize_t stream_fill_now(struct stream *s);
/*
 * One line that ends in CRLF, without it; borrowed until the next read call. A bare LF does not end
 * it (D7). Returns 1; 0 at the end of the stream (a started line is dropped); -EMSGSIZE: longer
 * than max octets with CRLF - it was read and thrown away to its end, up to 1 MiB, then
 * -ECONNABORTED; or an error. max <= STREAM_BUFFER.
 */
int stream_line(struct stream *s, size_t max, uint64_t deadline, struct str *ret) SUSPENDS;
/* buffered, or waiting in the socket as far as the poller told; never waits */
bool stream_has_input(struct stream *s);
/* the end was read, or the peer hung up as far as the poller told */
bool stream_is_ended(const struct stream *s);

/* ---- writing */
/*
 * Append to the output buffer; when it is full, flush first. Large pieces are sent from where they
 * are, together with what is buffered, in one call, without a copy.
 */
int stream_write(struct stream *s, const void *p, size_t n, uint64_t deadline) SUSPENDS;
/*
 * Send what is buffered. While the socket is not writable and input arrives, the input is taken
 * into the input buffer as far as it has room: no deadlock when both sides are full, and a reply in
 * mid-body can be seen by stream_peek.
 */
int stream_flush(struct stream *s, uint64_t deadline) SUSPENDS;
size_t stream_unsent(const struct stream *s);

/*
 * Before an orderly close: flush, shut our side down and read away what still comes, for at most
 * that long and 64 KiB, so that our last reply is not lost to a reset. Then stream_free.
 */
void stream_linger(struct stream *s, uint64_t deadline) SUSPENDS;

/* ---- listening: one per loop and listening socket */
struct listener {
	int fd;			/* not owned: the supervisor's */
	/*
	 * Called outside tasks with a connected fd, to keep or to close (world->sock_close). Owned
	 * by user.
	 */
	void (*accepted)(struct listener *, int fd, const struct endpoint *peer);
	bool may_use_reserve;	/* see net_reserve; the user's, before listener_start */
	bool paused;		/* descriptors or memory ran out; tries again after 100 ms */
	struct pollable pollable; /* private */
	struct timer resume;	/* private */
	struct loop *loop;	/* private */
};

int listener_start(struct listener *l, int fd,
		   void (*accepted)(struct listener *, int fd, const struct endpoint *peer));
void listener_stop(struct listener *l);

/*
 * ---- everything that is read and written, for transcripts: NULL for none. Called with plain text
 * (below TLS).
 */
void stream_set_tap(struct stream *s, void (*tap)(void *arg, bool outgoing, struct str bytes),
		    void *arg);

#endif
