/*
 * worker_link - the worker's main thread asks the supervisor, one question at a time; see
 * worker.h.
 *
 * The supervisor answers in order, but may say something of its own in between: a new channel to
 * the signer. An answer to a question that was given up earlier is thrown away.
 */
#include "run/worker.h"

#include "run/signer_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define ANSWER_WAIT_MS 15000	/* the supervisor reads the configuration and starts a process */

/* Takes fd if it belongs to m; else it stays the caller's. */
static bool take(const struct worker *w, const struct link_message *m, int fd)
{
	if (m->kind != LINK_SIGNER || fd < 0)
		return false;
	signer_client_attach(w->signer, m->index, fd);
	return true;
}

static void take_or_close(const struct worker *w, const struct link_message *m, int fd)
{
	if (!take(w, m, fd) && fd >= 0)
		close(fd);
}

bool worker_read_link(const struct worker *w)
{
	struct link_message m;
	int r, fd = -1;

	while ((r = link_receive(w->start->link, &m, &fd)) == 1)
		take_or_close(w, &m, fd);
	return r == -EAGAIN || r == -EPROTO;
}

/* 1: the answer of that kind is in *m; or 0 or -errno. */
static int ask(const struct worker *w, struct link_message *m, enum link_kind answer, int wait_ms,
	       int *ret_fd)
{
	struct pollfd p = { .fd = w->start->link, .events = POLLIN };
	int r;

	worker_read_link(w);
	r = link_send(p.fd, m, -1);
	if (r < 0)
		return r;
	for (;;) {
		do
			r = poll(&p, 1, wait_ms);
		while (r < 0 && errno == EINTR);
		if (r <= 0)
			return -ETIMEDOUT;
		r = link_receive(p.fd, m, ret_fd);
		if (r <= 0)
			return r < 0 ? r : -EPIPE;
		if (m->kind == answer)
			return 1;
		take_or_close(w, m, *ret_fd);
	}
}

int worker_ask_listener(const struct worker *w, const struct endpoint *e)
{
	struct link_message m = { .kind = LINK_LISTEN };
	int r, fd = -1;

	link_from_endpoint(&m, e);
	r = ask(w, &m, LINK_LISTENING, ANSWER_WAIT_MS, &fd);
	if (r < 0)
		return r;
	if (m.error < 0)
		return m.error;
	return fd >= 0 ? fd : -EPROTO;
}

bool worker_ask_keys(const struct worker *w, struct buf *messages)
{
	struct link_message m = { .kind = LINK_KEYS };
	int fd = -1, r = ask(w, &m, LINK_KEYED, ANSWER_WAIT_MS, &fd);

	if (fd >= 0)
		close(fd);
	if (r == 1 && m.error == 0)
		return true;
	buf_printf(messages, "error: private keys: %s\n",
		   r == 1 && m.path[0] ? m.path : strerror(r < 0 ? -r : EINVAL));
	return false;
}

/* Copies: the supervisor's table stays as it is, and a channel is closed by its client. */
void worker_take_channels(const struct worker *w)
{
	const struct signer_keeper *k = w->start->signer;

	for (unsigned i = 0; k->start.n && i < k->loops; i++)
		signer_client_attach(w->signer, i, k->channels[i]);
}
