/*
 * Every function of net/ that suspends, against cancellation before and during it, and deadlines:
 * one table.
 *
 * A row says how the function waits for ever when nothing happens; the table then checks that it
 * returns -ECANCELED or -ETIMEDOUT in time, that a cancelled task waits no more, and that
 * task_uncancel heals it.
 */
#include "unit/net/run.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct bench {
	struct stream *s, *peer;	/* a pair; the peer neither reads nor writes */
	struct endpoint full;		/* a listening socket whose backlog is full */
	struct task_group group;	/* one task in it that does not end */
	struct task *parked;
	char *large;
	size_t large_n;
};

static int do_wait(struct bench *b, uint64_t deadline)
{
	(void)b;
	return task_wait(deadline);
}

static int do_sleep(struct bench *b, uint64_t deadline)
{
	int r;

	(void)b;
	r = task_sleep_until(deadline);
	return r == 0 ? -ETIMEDOUT : r;		/* the deadline is what it is asked for */
}

static int do_group_wait(struct bench *b, uint64_t deadline)
{
	return task_group_wait(&b->group, deadline);
}

static int do_fill(struct bench *b, uint64_t deadline)
{
	return (int)stream_fill(b->s, deadline);
}

static int do_line(struct bench *b, uint64_t deadline)
{
	struct str line;

	return stream_line(b->s, 512, deadline, &line);
}

static int do_long_line(struct bench *b, uint64_t deadline)
{
	struct str line;

	return stream_line(b->s, 2, deadline, &line);
}

static int do_write(struct bench *b, uint64_t deadline)
{
	return stream_write(b->s, b->large, b->large_n, deadline);
}

static int do_small_writes(struct bench *b, uint64_t deadline)
{
	int r;

	do
		r = stream_write(b->s, "0123456789", 10, deadline);
	while (r == 0);
	return r;
}

static int do_flush(struct bench *b, uint64_t deadline)
{
	int r = stream_write(b->s, b->large, b->large_n, loop_now());

	/* The socket is full, and something is left in the buffer. */
	if (r == -ETIMEDOUT)
		r = stream_write(b->s, "x", 1, deadline);
	return r ? r : stream_flush(b->s, deadline);
}

static int do_linger(struct bench *b, uint64_t deadline)
{
	stream_linger(b->s, deadline);
	return (int)stream_fill(b->s, deadline);	/* says why the linger ended */
}

static int do_connect(struct bench *b, uint64_t deadline)
{
	struct stream *s;
	int r = stream_connect(NULL, &b->full, deadline, &s);

	CHECK(r != 0);
	return r;
}

static const struct {
	const char *name;
	int (*fn)(struct bench *b, uint64_t deadline);
} calls[] = {
	{ "task_wait", do_wait },
	{ "task_sleep_until", do_sleep },
	{ "task_group_wait", do_group_wait },
	{ "stream_fill", do_fill },
	{ "stream_line", do_line },
	{ "stream_line, overlong", do_long_line },
	{ "stream_write, large", do_write },
	{ "stream_write, small", do_small_writes },
	{ "stream_flush", do_flush },
	{ "stream_linger", do_linger },
	{ "stream_connect", do_connect },
};

static void park_task(void *arg)
{
	(void)arg;
	while (task_wait(NEVER) != -ECANCELED)
		;
}

/* A backlog of 0 holds one connection: the next ones get no answer to their SYN. */
static int fill_backlog(struct bench *b, struct stream *fillers[3])
{
	struct world *w = world_self();
	struct endpoint e = { 0 };
	int fd;

	CHECK(ip_parse(STR("127.0.0.1"), &e.ip));
	fd = w->sock_listen(w, &e, 0);
	CHECK(fd >= 0);
	CHECK_EQ(w->sock_local(w, fd, &b->full), 0);
	for (int i = 0; i < 3; i++)
		if (stream_connect(NULL, &b->full, in_ms(20), &fillers[i]) < 0)
			fillers[i] = NULL;
	return fd;
}

struct attempt {
	struct bench *b;
	int (*fn)(struct bench *b, uint64_t deadline);
	uint64_t deadline;
	int result, again, healed;
	bool done;
};

static void attempt_task(void *arg)
{
	struct attempt *a = arg;

	a->result = a->fn(a->b, a->deadline);
	a->again = a->fn(a->b, a->deadline);	/* cancelled: again at once; late: late again */
	a->done = true;
	task_uncancel();
	a->healed = task_wait(loop_now());
}

static struct attempt attempt(struct bench *b, size_t row, uint64_t deadline, int cancel_after_ms)
{
	struct attempt a = { .b = b, .fn = calls[row].fn, .deadline = deadline };
	const uint64_t start = loop_now();
	struct task_group g;
	struct task *t;

	stream_pair(&b->s, &b->peer);
	if (calls[row].fn == do_long_line) {
		CHECK_EQ(stream_write(b->peer, "long, and no end", 16, NEVER), 0);
		CHECK_EQ(stream_flush(b->peer, NEVER), 0);
	}
	task_group_init(&g);
	t = task_start(&g, attempt_task, &a, calls[row].name);
	CHECK(t);
	if (cancel_after_ms > 0)
		task_sleep_until(in_ms((uint64_t)cancel_after_ms));
	if (cancel_after_ms >= 0) {
		CHECK(!a.done);
		task_cancel(t);
	}
	CHECK_EQ(task_group_wait(&g, in_seconds(20)), 0);
	CHECK(loop_now() - start < 10 * SECOND);
	CHECK_EQ(a.healed, -ETIMEDOUT);
	stream_free(b->s);
	stream_free(b->peer);
	return a;
}

static void check_row(struct bench *b, size_t row, int cancel_after_ms)
{
	const int expected = cancel_after_ms < 0 ? -ETIMEDOUT : -ECANCELED;
	uint64_t deadline = cancel_after_ms < 0 ? in_ms(30) : NEVER;
	struct attempt a = attempt(b, row, deadline, cancel_after_ms);

	if (a.result != expected || a.again != expected) {
		fprintf(stderr, "%s, cancelled after %d ms: %d and %d, not %d\n", calls[row].name,
			cancel_after_ms, a.result, a.again, expected);
		abort();
	}
}

static void table_task(void *arg)
{
	struct stream *fillers[3];
	struct bench b = { .large_n = 4000000 };
	int fd = fill_backlog(&b, fillers);

	(void)arg;
	b.large = calloc(1, b.large_n);
	task_group_init(&b.group);
	b.parked = task_start(&b.group, park_task, NULL, "parked");
	for (size_t row = 0; row < LENGTH(calls); row++) {
		check_row(&b, row, 0);		/* before it began */
		check_row(&b, row, 10);		/* while it waits */
		check_row(&b, row, -1);		/* the deadline passes */
	}
	task_cancel(b.parked);
	CHECK_EQ(task_group_wait(&b.group, in_seconds(5)), 0);
	for (int i = 0; i < 3; i++)
		stream_free(fillers[i]);
	world_self()->sock_close(world_self(), fd);
	free(b.large);
}

static void test_table(void **state)
{
	(void)state;
	run_in_task(table_task, NULL);
}

/* ---- what cancellation does not end */

static void stubborn_task(void *arg)
{
	bool *done = arg;

	task_wait_uncancellable();
	CHECK(task_is_cancelled());
	CHECK_EQ(task_wait(NEVER), -ECANCELED);
	CHECK_EQ(task_sleep_until(NEVER), -ECANCELED);
	*done = true;
}

static void uncancellable_task(void *arg)
{
	bool done = false;
	struct task_group g;
	struct task *t;

	(void)arg;
	task_group_init(&g);
	t = task_start(&g, stubborn_task, &done, "stubborn");
	task_yield();
	task_cancel(t);
	task_sleep_until(in_ms(5));
	CHECK(!done);
	task_wake(t);
	CHECK_EQ(task_group_wait(&g, in_seconds(5)), 0);
	CHECK(done);
}

static void test_uncancellable(void **state)
{
	(void)state;
	run_in_task(uncancellable_task, NULL);
}

/* A wake while the task waits for its stream is for its next task_wait, not for the stream. */
static void mixed_waiter(void *arg)
{
	struct bench *b = arg;

	CHECK_EQ(stream_fill(b->s, in_seconds(5)), 2);
	CHECK_EQ(task_wait(in_seconds(5)), 0);
	CHECK_EQ(task_wait(in_ms(1)), -ETIMEDOUT);
}

static void mixed_task(void *arg)
{
	struct bench b = { 0 };
	struct task_group g;
	struct task *t;

	(void)arg;
	task_group_init(&g);
	stream_pair(&b.s, &b.peer);
	t = task_start(&g, mixed_waiter, &b, "mixed");
	task_yield();
	task_wake(t);
	task_sleep_until(in_ms(2));
	CHECK_EQ(stream_write(b.peer, "ok", 2, NEVER), 0);
	CHECK_EQ(stream_flush(b.peer, NEVER), 0);
	CHECK_EQ(task_group_wait(&g, in_seconds(5)), 0);
	stream_free(b.s);
	stream_free(b.peer);
}

static void test_wake_is_kept(void **state)
{
	(void)state;
	run_in_task(mixed_task, NULL);
}

/*
 * Deadlines that move later, then earlier: the timer's lazy entry must neither fire early nor late.
 */
static void moving_task(void *arg)
{
	uint64_t start;

	(void)arg;
	CHECK_EQ(task_wait(in_ms(5)), -ETIMEDOUT);
	task_wake(task_self());
	CHECK_EQ(task_wait(in_ms(5)), 0);
	start = loop_now();
	CHECK_EQ(task_wait(in_ms(30)), -ETIMEDOUT);
	CHECK(loop_now() - start >= 30 * MILLISECOND);
	task_cancel(task_self());
	CHECK_EQ(task_wait(in_seconds(100)), -ECANCELED);
	task_uncancel();
	start = loop_now();
	CHECK_EQ(task_wait(in_ms(10)), -ETIMEDOUT);
	CHECK(loop_now() - start >= 10 * MILLISECOND && loop_now() - start < 5 * SECOND);
	CHECK_EQ(task_wait(loop_now()), -ETIMEDOUT);
	CHECK_EQ(task_wait(0), -ETIMEDOUT);
	CHECK(in_seconds(UINT64_MAX) == NEVER && in_ms(UINT64_MAX) == NEVER);
}

static void test_moving_deadline(void **state)
{
	(void)state;
	run_in_task(moving_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_uncancellable),
		cmocka_unit_test(test_wake_is_kept),
		cmocka_unit_test(test_moving_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
