/*
 * switch - what tasks cost: nanoseconds per switch, per start and end, per wait with a deadline,
 * per post.
 *
 * One switch is one way, loop to task or back; the median of several rounds is printed. Built by
 * hand:
 * 	make O=build build/libnet.a && gcc -std=gnu17 -D_GNU_SOURCE -DTASKS_switch -O2 -Isrc \
 * 		-include base/banned.h bench/switch.c build/libnet.a build/libbase.a -pthread -o build/switch
 */
#include "net/loop.h"
#include "net/stream.h"

#include <errno.h>
#include <semaphore.h>
#include <sys/socket.h>

#define ROUNDS 9

static uint64_t now(void)
{
	return world_real()->now(world_real());
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void measure(const char *name, void (*fn)(unsigned n), unsigned n, double per)
{
	uint64_t took[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t start = now();

		fn(n);
		took[i] = now() - start;
	}
	qsort(took, ROUNDS, sizeof(took[0]), compare);
	printf("%-44s %8.1f ns\n", name, (double)took[ROUNDS / 2] / (n * per));
}

static void nothing(void *arg)
{
	(void)arg;
}

static void start_and_end(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		task_start(NULL, nothing, NULL, "nothing");
		if (i % 100 == 99)
			task_yield();
	}
}

struct pair {
	struct task *a, *b;
	unsigned left;
};

static void wake_other(void *arg)
{
	struct pair *p = arg;

	while (p->left) {
		p->left--;
		task_wake(p->a);
		task_wait(in_seconds(300));
	}
	task_wake(p->a);
}

/* Each wakes the other and waits with a deadline: two switches for each wait. */
static void ping_pong(unsigned n)
{
	struct pair p = { .a = task_self(), .left = n };

	p.b = task_start(NULL, wake_other, &p, "pong");
	while (p.left) {
		task_wait(in_seconds(300));
		task_wake(p.b);
	}
	task_yield();
	while (task_wait(loop_now()) == 0)
		;
}

static void yield_alone(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		task_yield();
}


static void echo(void *arg)
{
	struct stream *s = arg;
	struct str line;

	while (stream_line(s, 512, in_seconds(300), &line) == 1) {
		stream_write(s, "250 2.1.0 Ok\r\n", 14, in_seconds(300));
		stream_flush(s, in_seconds(300));
	}
	stream_free(s);
}

/* A line there and a line back over a unix socket pair. */
static void exchange(unsigned n)
{
	const struct endpoint nobody = { .path = "" };
	struct stream *s;
	struct str line;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		abort();
	s = stream_new(fds[0], &nobody);
	task_start(NULL, echo, stream_new(fds[1], &nobody), "echo");
	for (unsigned i = 0; i < n; i++) {
		stream_write(s, "MAIL FROM:<someone@example.com>\r\n", 33, in_seconds(300));
		stream_flush(s, in_seconds(300));
		stream_line(s, 512, in_seconds(300), &line);
	}
	stream_free(s);
}

struct sent {
	struct post post;
	struct task *task;
};

static void on_post(struct post *p)
{
	task_wake(CONTAINER_OF(p, struct sent, post)->task);
}

static void post_self(unsigned n)
{
	struct sent s = { .task = task_self() };

	for (unsigned i = 0; i < n; i++) {
		loop_post(loop_self(), &s.post, on_post);
		task_wait(NEVER);
	}
}

static int no_work(void *arg)
{
	(void)arg;
	return 0;
}

static void offload(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		net_offload(no_work, NULL);
}

static sem_t done;

static void all(void *arg)
{
	(void)arg;
	measure("switch (two tasks waking each other)", ping_pong, 500000, 4);
	measure("turn with one yielding task", yield_alone, 200000, 1);
	measure("start and end of a task", start_and_end, 200000, 1);
	measure("line there and back over a socket pair", exchange, 50000, 1);
	measure("post to the own loop and wait for it", post_self, 200000, 1);
	measure("offload of nothing", offload, 20000, 1);
	sem_post(&done);
}

static void start_all(struct post *p)
{
	(void)p;
	task_start(NULL, all, NULL, "all");
}

int main(void)
{
	struct net *n = net_new(world_real(), 1, 1);
	struct post p;

	sem_init(&done, 0, 0);
	net_start(n);
	loop_post(net_loop(n, 0), &p, start_all);
	while (sem_wait(&done) < 0)
		;
	net_stop(n);
	return 0;
}
