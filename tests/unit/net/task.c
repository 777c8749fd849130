/* net/task: order, wakes, groups, yielding, notes, offload, errors of scheduling under load. */
#include "net/task.h"
#include "unit/net/run.h"

#include <fenv.h>

struct trace {
	char text[64];
	unsigned n;
};

static struct trace trace;

static void mark(char c)
{
	trace.text[trace.n++] = c;
}

static void yielder(void *arg)
{
	const char *name = arg;

	for (int i = 0; i < 3; i++) {
		mark(*name);
		task_yield();
	}
}

static void order_task(void *arg)
{
	struct task_group g;

	(void)arg;
	trace = (struct trace){ 0 };
	task_group_init(&g);
	task_start(&g, yielder, "a", "a");
	task_start(&g, yielder, "b", "b");
	mark('0');
	CHECK_EQ(g.n, 2);
	CHECK_EQ(task_group_wait(&g, NEVER), 0);
	CHECK(strcmp(trace.text, "0ababab") == 0);
}

static void test_order(void **state)
{
	(void)state;
	run_in_task(order_task, NULL);
}

static void latched_task(void *arg)
{
	(void)arg;
	task_wake(task_self());
	task_wake(task_self());
	CHECK_EQ(task_wait(in_seconds(5)), 0);
	CHECK_EQ(task_wait(in_ms(5)), -ETIMEDOUT);
	task_wake(task_self());
	CHECK_EQ(task_sleep_until(in_ms(2)), 0);
	CHECK_EQ(task_wait(in_seconds(5)), 0);
	task_wake(task_self());
	task_wait_uncancellable();
	CHECK_EQ(task_wait(in_ms(1)), -ETIMEDOUT);
}

static void test_latched_wake(void **state)
{
	(void)state;
	run_in_task(latched_task, NULL);
}

static int work(void *arg)
{
	CHECK(!loop_self());
	usleep(1000);
	return ++*(int *)arg;
}

static void offload_task(void *arg)
{
	int n = 41;

	(void)arg;
	CHECK_EQ(net_offload(work, &n), 42);
	CHECK_EQ(n, 42);
	task_cancel(task_self());
	CHECK_EQ(net_offload(work, &n), 43);
	CHECK_EQ(task_wait(NEVER), -ECANCELED);
}

static void test_offload(void **state)
{
	(void)state;
	run_in_task(offload_task, NULL);
}

/* Rounding modes belong to a task: what one sets must not leak into another. */
static void rounder(void *arg)
{
	int mode = *(const int *)arg;

	CHECK_EQ(fegetround(), FE_TONEAREST);
	CHECK_EQ(fesetround(mode), 0);
	for (int i = 0; i < 3; i++) {
		task_yield();
		CHECK_EQ(fegetround(), mode);
	}
}

static void rounding_task(void *arg)
{
	static const int modes[] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
	struct task_group g;

	(void)arg;
	task_group_init(&g);
	for (size_t i = 0; i < 3; i++)
		CHECK(task_start(&g, rounder, (void *)&modes[i], "rounder"));
	CHECK_EQ(task_group_wait(&g, in_seconds(5)), 0);
	CHECK_EQ(fegetround(), FE_TONEAREST);
}

static void test_rounding_modes(void **state)
{
	(void)state;
	run_in_task(rounding_task, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_latched_wake),
		cmocka_unit_test(test_offload),
		cmocka_unit_test(test_rounding_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
