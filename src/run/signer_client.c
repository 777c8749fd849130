/*
 * signer_client - questions and answers over a loop's channel; see signer_client.h.
 *
 * Each loop has a channel of its own, so nothing is shared between threads. A question lies on the
 * stack of the task that waits, in a list of the channel; answers come in the order of questions,
 * so the first of the list is nearly always the one. A task that finds the channel full, or none,
 * waits in another list for room or for a new one, and keeps its turn: nobody goes before those
 * who wait, or a flood of handshakes would starve the first of them. When the signer is gone its
 * questions are put once more to the next one; twice would let a question that kills signers kill
 * every one of them.
 */
#include "run/signer_client.h"

#include "base/mem.h"
#include "net/loop.h"
#include "run/signer.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_S 5

enum question_state { ASKED, ANSWERED, LOST };

struct question {
	struct list link;		/* in .asked or .wants_room */
	uint64_t number;
	struct task *task;
	unsigned char *out;		/* room for KEY_OUTPUT_MAX */
	ssize_t result;
	enum question_state state;
};

struct channel {
	struct pollable pollable;
	struct loop *loop;
	int fd;				/* -1: none */
	uint64_t next_number;
	struct list asked, wants_room;
};

struct signer_client {
	struct key_signer signer;
	unsigned n;
	struct channel channels[];	/* by loop */
};

/* ---- answers; outside tasks */
static void wake_first(const struct channel *c)
{
	struct list *first = list_first(&c->wants_room);

	if (first)
		task_wake(LIST_ENTRY(first, struct question, link)->task);
}

static void channel_lose(struct channel *c)
{
	struct list *at;

	if (c->fd < 0)
		return;
	loop_poll_remove(c->loop, &c->pollable, c->fd);
	close(c->fd);
	c->fd = -1;
	while ((at = list_pop(&c->asked))) {
		struct question *q = LIST_ENTRY(at, struct question, link);

		q->state = LOST;
		task_wake(q->task);
	}
}

static void on_answer(struct channel *c, const struct sign_answer *a)
{
	LIST_FOR(at, &c->asked) {
		struct question *q = LIST_ENTRY(at, struct question, link);

		if (q->number != a->number)
			continue;
		q->result = a->result > KEY_OUTPUT_MAX ? -EIO : a->result;
		if (q->result > 0)
			memcpy(q->out, a->out, (size_t)q->result);
		q->state = ANSWERED;
		list_remove(&q->link);
		task_wake(q->task);
		return;
	}
}

static void on_ready(struct pollable *p, unsigned events)
{
	struct channel *c = CONTAINER_OF(p, struct channel, pollable);
	struct sign_answer *a = mem_alloc(sizeof(*a));
	ssize_t n;

	(void)events;
	do {
		n = recv(c->fd, a, sizeof(*a), MSG_DONTWAIT);
		if (n == sizeof(*a))
			on_answer(c, a);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0 || errno != EAGAIN)
		channel_lose(c);
	mem_free(a);
	wake_first(c);
}

/* ---- channels */
struct attachment {
	struct post post;
	struct channel *channel;
	int fd;
};

static void on_attach(struct post *p)
{
	struct attachment *a = CONTAINER_OF(p, struct attachment, post);
	struct channel *c = a->channel;

	channel_lose(c);
	if (loop_poll_add(c->loop, &c->pollable, a->fd, 0) == 0)
		c->fd = a->fd;
	else
		close(a->fd);
	wake_first(c);
	mem_free(a);
}

void signer_client_attach(struct key_signer *s, unsigned loop, int fd)
{
	struct signer_client *client = CONTAINER_OF(s, struct signer_client, signer);
	struct attachment *a;

	if (loop >= client->n) {
		close(fd);
		return;
	}
	a = mem_zalloc(sizeof(*a));
	a->channel = &client->channels[loop];
	a->fd = fd;
	loop_post(a->channel->loop, &a->post, on_attach);
}

/* ---- questions */

/* 0; -EIO: the time is up, or the task is cancelled. Whoever leaves the line wakes the next. */
static int channel_send(struct channel *c, struct question *q, const struct sign_request *m,
			uint64_t deadline) SUSPENDS
{
	ssize_t n = -1;
	int r = 0;

	if (list_is_empty(&c->wants_room) && c->fd >= 0)
		n = send(c->fd, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == sizeof(*m))
		return 0;
	list_push(&c->wants_room, &q->link);
	while (r == 0 && n != sizeof(*m)) {
		/* A channel that is broken is found out by its poller, and another comes. */
		r = task_wait(deadline);
		if (r == 0 && c->fd >= 0 && list_first(&c->wants_room) == &q->link)
			n = send(c->fd, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	list_remove(&q->link);
	wake_first(c);
	return r < 0 ? -EIO : 0;
}

static int wait_for_answer(struct question *q, uint64_t deadline) SUSPENDS
{
	while (q->state == ASKED) {
		int r = task_wait(deadline);

		if (r < 0 && q->state == ASKED) {
			list_remove(&q->link);
			return -EIO;
		}
	}
	return q->state == LOST ? -EPIPE : 0;
}

static ssize_t ask(struct channel *c, struct sign_request *m, unsigned char *out) SUSPENDS
{
	struct question q = { .task = task_self(), .out = out };
	uint64_t deadline = in_seconds(WAIT_S);

	for (int i = 0; i < 2; i++) {
		int r;

		m->number = q.number = c->next_number++;
		list_init(&q.link);
		r = channel_send(c, &q, m, deadline);
		if (r < 0)
			return r;
		q.state = ASKED;
		list_push(&c->asked, &q.link);
		r = wait_for_answer(&q, deadline);
		if (r != -EPIPE)
			return r < 0 ? r : q.result;
	}
	return -EIO;
}

static ssize_t client_sign(struct key_signer *s, const char *name, enum key_operation op,
			   struct str in, unsigned char *out) SUSPENDS
{
	struct signer_client *client = CONTAINER_OF(s, struct signer_client, signer);
	size_t n = strlen(name);
	struct sign_request *m;
	ssize_t r;

	if (!task_self())
		return -EIO;
	if (n == 0 || n > KEY_NAME_MAX || in.n > KEY_INPUT_MAX)
		return -EINVAL;
	m = mem_zalloc(sizeof(*m));
	m->operation = op;
	m->name_n = (uint16_t)n;
	m->in_n = (uint16_t)in.n;
	memcpy(m->name, name, n);
	memcpy(m->in, in.p, in.n);
	r = ask(&client->channels[loop_index(loop_self())], m, out);
	mem_free(m);
	return r == 0 ? -EIO : r;
}

struct key_signer *signer_client_new(struct net *n)
{
	unsigned loops = net_workers(n);
	struct signer_client *client = mem_zalloc(sizeof(*client) +
						  size_mul(loops, sizeof(*client->channels)));

	client->signer.sign = client_sign;
	client->n = loops;
	for (unsigned i = 0; i < loops; i++) {
		struct channel *c = &client->channels[i];

		c->pollable.ready = on_ready;
		c->loop = net_loop(n, i);
		c->fd = -1;
		/* An answer to a worker that has died must not fit a question of the next one. */
		net_world(n)->random(net_world(n), &c->next_number, sizeof(c->next_number));
		list_init(&c->asked);
		list_init(&c->wants_room);
	}
	return &client->signer;
}

void signer_client_free(struct key_signer *s)
{
	struct signer_client *client;

	if (!s)
		return;
	client = CONTAINER_OF(s, struct signer_client, signer);
	for (unsigned i = 0; i < client->n; i++)
		if (client->channels[i].fd >= 0)
			close(client->channels[i].fd);
	mem_free(client);
}
