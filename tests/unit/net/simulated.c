/*
 * net/ in other worlds: one that is stepped by hand in virtual time and never blocks, one that
 * counts calls, and ones whose calls fail.
 *
 * A world is a table of functions, so a copy of the real one with some rows replaced is a world,
 * too.
 */
#include "unit/net/run.h"
#include "unit/net/stepped.h"

#include <sys/socket.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* ---- stepped by hand */

struct day {
	struct post post;
	struct loop *other;
	unsigned hours, answers;
	struct task *task;
	bool done;
};

static int noon(void *arg)
{
	CHECK(!loop_self());
	return *(int *)arg + 1;
}

static void on_answer(struct post *p)
{
	struct day *d = CONTAINER_OF(p, struct day, post);

	d->answers++;
	task_wake(d->task);
}

static void on_question(struct post *p)
{
	struct day *d = CONTAINER_OF(p, struct day, post);

	CHECK_EQ(loop_index(loop_self()), 1);
	loop_post(d->other, p, on_answer);
}

/* Sleeps for hours, asks the other loop, has work done in the pool, talks over a socket pair. */
static void day_task(void *arg)
{
	struct day *d = arg;
	struct stream *a, *b;
	struct str line;
	int n = 11;

	d->task = task_self();
	d->other = loop_self();
	stream_pair(&a, &b);
	for (d->hours = 0; d->hours < 24; d->hours++) {
		uint64_t start = loop_now();

		CHECK_EQ(task_sleep_until(in_seconds(3600)), 0);
		CHECK_EQ(loop_now() - start, 3600 * SECOND);
		CHECK_EQ(net_offload(noon, &n), 12);
		loop_post(net_loop(loop_net(loop_self()), 1), &d->post, on_question);
		CHECK_EQ(task_wait(in_seconds(10)), 0);
		CHECK_EQ(stream_write(b, "tick\r\n", 6, NEVER), 0);
		CHECK_EQ(stream_flush(b, NEVER), 0);
		CHECK_EQ(stream_line(a, 10, in_seconds(10), &line), 1);
		CHECK_EQ(stream_line(a, 10, in_seconds(10), &line), -ETIMEDOUT);
	}
	stream_free(a);
	stream_free(b);
	d->done = true;
}

static void start_day(struct post *p)
{
	CHECK(task_start(NULL, day_task, CONTAINER_OF(p, struct day, post), "day"));
}

static void test_virtual_time(void **state)
{
	struct day d = { 0 };
	struct net *n;

	(void)state;
	stepped_init(1700000000000, NULL);
	n = net_new(&stepped.world, 2, 2);
	net_start(n);
	loop_post(net_loop(n, 0), &d.post, start_day);
	while (!d.done)
		stepped_on();
	assert_int_equal(d.hours, 24);
	assert_int_equal(d.answers, 24);
	assert_true(stepped.now >= 24 * 3600 * SECOND);
	assert_true(stepped.now < 25 * 3600 * SECOND);
	net_stop(n);
}

/* ---- counted: no call is made in vain */

static unsigned recvs, sends, in_vain;

static ssize_t counted_recv(struct world *w, int fd, void *p, size_t n)
{
	ssize_t r = world_real()->sock_recv(w, fd, p, n);

	recvs++;
	in_vain += r == -EAGAIN;
	return r;
}

static ssize_t counted_send(struct world *w, int fd, const struct iovec *iov, int n)
{
	ssize_t r = world_real()->sock_send(w, fd, iov, n);

	sends++;
	in_vain += r == -EAGAIN;
	return r;
}

static void echo(void *arg)
{
	struct stream *s = arg;
	struct str line;

	while (stream_line(s, 512, in_seconds(20), &line) == 1) {
		CHECK_EQ(stream_write(s, "250 2.0.0 ", 10, NEVER), 0);
		CHECK_EQ(stream_write(s, "Ok\r\n", 4, NEVER), 0);
		if (!stream_has_input(s))
			CHECK_EQ(stream_flush(s, in_seconds(20)), 0);
	}
	stream_free(s);
}

static void counted_task(void *arg)
{
	struct stream *s, *other;
	struct str line;
	struct task_group g;

	(void)arg;
	task_group_init(&g);
	stream_pair(&s, &other);
	CHECK(task_start(&g, echo, other, "echo"));
	recvs = sends = in_vain = 0;
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(stream_write(s, "MAIL FROM:<a@b.c>\r\n", 19, NEVER), 0);
		CHECK_EQ(stream_write(s, "RCPT TO:<d@e.f>\r\n", 17, NEVER), 0);
		CHECK_EQ(stream_flush(s, in_seconds(20)), 0);
		CHECK_EQ(stream_line(s, 512, in_seconds(20), &line), 1);
		CHECK_EQ(stream_line(s, 512, in_seconds(20), &line), 1);
	}
	CHECK_EQ(sends, 200);		/* one each way, however many lines */
	CHECK_EQ(recvs, 200);
	CHECK_EQ(in_vain, 0);
	stream_free(s);
	CHECK_EQ(task_group_wait(&g, in_seconds(20)), 0);
	CHECK_EQ(recvs, 201);		/* the end */
}

static void run_in(struct world *w, void (*fn)(void *), void *arg)
{
	struct net *n = net_new(w, 1, 0);

	net_start(n);
	run_on(net_loop(n, 0), fn, arg, true);
	net_stop(n);
}

static void test_calls(void **state)
{
	struct world w = *world_real();

	(void)state;
	w.sock_recv = counted_recv;
	w.sock_send = counted_send;
	run_in(&w, counted_task, NULL);
}

/* ---- failing */

static ssize_t reset_recv(struct world *w, int fd, void *p, size_t n)
{
	(void)w;
	(void)fd;
	(void)p;
	(void)n;
	return -ECONNRESET;
}

static ssize_t short_send(struct world *w, int fd, const struct iovec *iov, int n)
{
	struct iovec one = iov[0];

	(void)n;
	one.iov_len = one.iov_len < 7 ? one.iov_len : 7;
	return world_real()->sock_send(w, fd, &one, 1);
}

static int refused_poll_add(struct world *w, int poller, int fd, void *tag, unsigned flags)
{
	(void)w;
	(void)poller;
	(void)fd;
	(void)tag;
	(void)flags;
	return -ENOMEM;
}

static void reset_task(void *arg)
{
	struct stream *s, *other;
	struct str line;

	(void)arg;
	stream_pair(&s, &other);
	CHECK_EQ(stream_write(other, "x\r\n", 3, NEVER), 0);
	CHECK_EQ(stream_flush(other, NEVER), 0);
	CHECK_EQ(stream_line(s, 512, in_seconds(5), &line), -ECONNRESET);
	CHECK_EQ(stream_fill_now(s), -ECONNRESET);
	CHECK_EQ(stream_fill(s, in_seconds(5)), -ECONNRESET);
	stream_free(s);
	stream_free(other);
}

static void unpolled_task(void *arg)
{
	struct endpoint at;
	int fd = listen_on("127.0.0.1", &at);
	struct stream *s, *other;

	(void)arg;
	stream_pair(&s, &other);
	CHECK_EQ(stream_fill(s, in_seconds(5)), -ENOMEM);
	CHECK_EQ(stream_write(s, "x", 1, in_seconds(5)), -ENOMEM);
	stream_free(s);
	stream_free(other);
	CHECK_EQ(stream_connect(NULL, &at, in_seconds(5), &s), -ENOMEM);
	close(fd);
}

static void slow_writer(void *arg)
{
	struct stream *s = arg;
	char text[5000];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	CHECK_EQ(stream_write(s, "head ", 5, in_seconds(20)), 0);
	CHECK_EQ(stream_write(s, text, sizeof(text), in_seconds(20)), 0);
	CHECK_EQ(stream_write(s, "\r\n", 2, in_seconds(20)), 0);
	CHECK_EQ(stream_flush(s, in_seconds(20)), 0);
	stream_free(s);
}

static void short_task(void *arg)
{
	struct stream *s, *other;
	struct str line;

	(void)arg;
	stream_pair(&s, &other);
	CHECK(task_start(NULL, slow_writer, other, "writer"));
	CHECK_EQ(stream_line(s, 6000, in_seconds(20), &line), 1);
	CHECK_EQ(line.n, 5005);
	for (size_t i = 5; i < line.n; i++)
		CHECK(line.p[i] == (char)('a' + (i - 5) % 26));
	stream_free(s);
}

static void test_failures(void **state)
{
	struct world w = *world_real();

	(void)state;
	w.sock_recv = reset_recv;
	run_in(&w, reset_task, NULL);
	w = *world_real();
	w.poll_add = refused_poll_add;
	run_in(&w, unpolled_task, NULL);
	w = *world_real();
	w.sock_send = short_send;
	run_in(&w, short_task, NULL);
}

/* ---- a pollable that another one's callback removes in the same turn is not called any more */

struct watched {
	struct pollable pollable;
	int fds[2];
	struct watched *other;
	unsigned called;
};

static void on_watched(struct pollable *p, unsigned events)
{
	struct watched *w = CONTAINER_OF(p, struct watched, pollable);

	if (!(events & POLL_READ))
		return;
	w->called++;
	loop_poll_remove(loop_self(), &w->other->pollable, w->other->fds[0]);
}

static void remove_task(void *arg)
{
	struct watched a = { 0 }, b = { .other = &a };

	(void)arg;
	a.other = &b;
	for (int i = 0; i < 2; i++) {
		struct watched *w = i ? &b : &a;

		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->fds), 0);
		w->pollable.ready = on_watched;
		CHECK_EQ(send(w->fds[1], "x", 1, 0), 1);
		CHECK_EQ(loop_poll_add(loop_self(), &w->pollable, w->fds[0], 0), 0);
	}
	task_sleep_until(in_ms(10));
	CHECK_EQ(a.called + b.called, 1);
	for (int i = 0; i < 4; i++)
		close(i < 2 ? a.fds[i] : b.fds[i - 2]);
}

static void test_remove_in_turn(void **state)
{
	(void)state;
	run_in_task(remove_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_virtual_time),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_remove_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
