/*
 * stream_inner - what stream.c, stream_read.c and stream_write.c share. Not for other files.
 */
#ifndef NET_STREAM_INNER_H
#define NET_STREAM_INNER_H

#include "net/inner.h"

struct tls;

struct stream {
	struct pollable pollable;
	struct loop *loop;
	struct task *waiter;	/* the task that waits for it, if one does */
	int fd;			/* owned */
	uint8_t ready;		/* POLL_*: reported and not used up yet */
	uint8_t wants;		/* POLL_*: what the waiter waits for */
	bool is_polled;
	bool ended;		/* the end was read */
	int read_error;		/* -errno: that direction is dead */
	int write_error;
	char *in;		/* owned; STREAM_BUFFER octets, NULL while nothing is buffered */
	char *out;		/* owned; likewise */
	uint32_t in_at, in_n;	/* buffered: [in_at, in_n) */
	uint32_t in_seen;	/* [in_at, in_seen) holds no CRLF */
	uint32_t out_at, out_n;
	void (*tap)(void *arg, bool outgoing, struct str bytes);
	void *tap_arg;
	struct tls *tls;	/* owned; NULL: plain */
	struct endpoint peer;
	char *path;		/* owned; peer.path, or NULL */
};

void stream_give_back(struct stream *s, char **buffer);
int stream_wait(struct stream *s, unsigned wants, uint64_t deadline) SUSPENDS;
/* what stops a call before it does anything: 0, -ECANCELED, -ETIMEDOUT */
int stream_begin(uint64_t deadline);
/*
 * One recv behind what is buffered, as far as there is room and the poller said so: a count, 0,
 * -EAGAIN or another -errno.
 */
ssize_t stream_take(struct stream *s);

static inline void stream_tap(struct stream *s, bool outgoing, const void *p, size_t n)
{
	if (s->tap)
		s->tap(s->tap_arg, outgoing, str_make(p, n));
}

#endif
