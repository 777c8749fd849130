/*
 * net/stack: what 50,000 parked tasks cost, trimming, both kinds of guard, and the end of the
 * mappings.
 *
 * A guard is tested by a child process that runs over the end of a stack whose lower neighbour is
 * mapped: without a guard it would end well.
 */
#include "net/stack.h"
#include "unit/net/run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define PARKED 25000	/* of some 28,000 where mprotect must guard them */
#define RSS_MAX 8192		/* octets of memory for each parked task */

/* Octets of memory that this process uses. */
static uint64_t rss(void)
{
	char line[256];
	unsigned long kib = 0;
	FILE *f = fopen("/proc/self/smaps_rollup", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Rss: %lu kB", &kib) == 1)
			break;
	fclose(f);
	return (uint64_t)kib * 1024;
}

static void parked(void *arg)
{
	(void)arg;
	CHECK_EQ(task_wait(in_seconds(600)), -ECANCELED);
}

static void touch(size_t n)
{
	volatile char frame[512];

	frame[0] = (char)n;
	if (n > sizeof(frame))
		touch(n - sizeof(frame));
	frame[1] = frame[0];
}

static void touched_then_parked(void *arg)
{
	touch(20000);
	parked(arg);
}

struct measure {
	void (*fn)(void *arg);
	unsigned n;
	uint64_t each, each_later;	/* octets, at once and two seconds later */
};

static void measure_task(void *arg)
{
	struct measure *m = arg;
	struct task_group g;
	uint64_t before = rss();

	task_group_init(&g);
	for (unsigned i = 0; i < m->n; i++) {
		CHECK(task_start(&g, m->fn, NULL, "parked"));
		if (i % 1000 == 999)
			task_yield();
	}
	task_yield();
	m->each = (rss() - before) / m->n;
	task_sleep_until(in_ms(2500));
	m->each_later = (rss() - before) / m->n;
	task_group_cancel(&g);
	CHECK_EQ(task_group_wait(&g, in_seconds(60)), 0);
}

static void test_memory_of_parked(void **state)
{
	struct measure m = { .fn = parked, .n = is_slow() ? 1000 : PARKED };

	(void)state;
	run_in_task(measure_task, &m);
	printf("%u parked tasks: %llu octets each\n", m.n, (unsigned long long)m.each);
	if (!is_slow())
		assert_true(m.each <= RSS_MAX);
}

static void test_trimming(void **state)
{
	struct measure m = { .fn = touched_then_parked, .n = is_slow() ? 500 : 10000 };

	(void)state;
	run_in_task(measure_task, &m);
	printf("%u tasks that touched 20,000 octets: %llu octets each, later %llu\n", m.n,
	       (unsigned long long)m.each, (unsigned long long)m.each_later);
#if defined(TASKS_switch)
	if (!is_slow()) {
		assert_true(m.each > 20000);
		assert_true(m.each_later <= RSS_MAX);
	}
#endif
}

/* What a task has on its stack survives the trimming, above the stack pointer. */
static void keeper(void *arg)
{
	unsigned char kept[8000];
	unsigned *ok = arg;

	touch(20000);
	for (size_t i = 0; i < sizeof(kept); i++)
		kept[i] = (unsigned char)(i * 7);
	for (int round = 0; round < 2; round++) {
		__asm__ volatile("" : : "r"(kept) : "memory");
		task_sleep_until(in_ms(2100));
		for (size_t i = 0; i < sizeof(kept); i++)
			CHECK(kept[i] == (unsigned char)(i * 7));
		touch(20000);
	}
	++*ok;
}

static void keepers_task(void *arg)
{
	struct task_group g;

	task_group_init(&g);
	for (int i = 0; i < 20; i++)
		CHECK(task_start(&g, keeper, arg, "keeper"));
	CHECK_EQ(task_group_wait(&g, in_seconds(60)), 0);
}

static void test_trimming_keeps(void **state)
{
	unsigned ok = 0;

	(void)state;
	run_in_task(keepers_task, &ok);
	assert_int_equal(ok, 20);
}

/* ---- reuse */

static void short_lived(void *arg)
{
	++*(unsigned *)arg;
}

static void reuse_task(void *arg)
{
	struct loop_stats stats;

	for (int i = 0; i < 1000; i++) {
		CHECK(task_start(NULL, short_lived, arg, "short"));
		task_yield();
	}
	loop_stats(loop_self(), &stats);
	CHECK(stats.stacks_mapped <= 3);
}

static void test_reuse(void **state)
{
	unsigned n = 0;

	(void)state;
	run_in_task(reuse_task, &n);
	assert_int_equal(n, 1000);
}

/* ---- guards */

/* Past the end of the stack, and no farther than the neighbour's upper pages. */
static char overrun(uintptr_t start, size_t size)
{
	volatile char frame[512];

	frame[0] = 1;
	if (start - (uintptr_t)frame < size)
		frame[0] = overrun(start, size);
	return frame[0];
}

static void overrun_task(void *arg)
{
	volatile char here = 0;

#if defined(TASKS_threads)
	overrun((uintptr_t)&here, 8 * 1024 * 1024);
#else
	overrun((uintptr_t)&here, STACK_SIZE + STACK_PAGE);
#endif
	(void)arg;
}

static void guard_task(void *arg)
{
	struct task_group g;

	task_group_init(&g);
	for (int i = 0; i < 10; i++)
		CHECK(task_start(&g, parked, NULL, "parked"));
	task_yield();
	CHECK(task_start(NULL, overrun_task, arg, "overrun"));
	task_yield();
	_exit(0);	/* nothing stopped it */
}

static void check_guard(bool by_mprotect)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit no_core = { 0, 0 };
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 2);
		setrlimit(RLIMIT_CORE, &no_core);
		if (!CHECKED_STACKS)
			/* cmocka's handler has no stack to run on */
			signal(SIGSEGV, SIG_DFL);
		stack_force_mprotect(by_mprotect, 0);
		run_in_task(guard_task, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (CHECKED_STACKS)
		assert_int_not_equal(status, 0);	/* the sanitizer reports it its own way */
	else
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void test_guard_installed(void **state)
{
	(void)state;
	check_guard(false);
}

static void test_guard_by_mprotect(void **state)
{
	(void)state;
	check_guard(true);
}

static void many_task(void *arg)
{
	unsigned n = 0, *ret = arg;
	struct task_group g;
	void *large;

	task_group_init(&g);
	while (n < 70000 && task_start(&g, parked, NULL, "parked"))
		n++;
	*ret = n;
	large = malloc(100 * 1024 * 1024);	/* there are mappings left for others */
	CHECK(large);
	free(large);
	task_group_cancel(&g);
	CHECK_EQ(task_group_wait(&g, in_seconds(60)), 0);
}

/* With mprotect the number of stacks is limited, and the limit is met by NULL, not by a crash. */
static void test_mappings_run_out(void **state)
{
	unsigned n = 0;

	(void)state;
	if (!is_slow()) {
		stack_force_mprotect(true, 0);
		run_in_task(many_task, &n);
		printf("%u stacks guarded by mprotect\n", n);
		assert_true(n >= 10000);
	}
	stack_force_mprotect(true, 300);
	for (int i = 0; i < 2; i++) {		/* a pool that ends gives its share back */
		run_in_task(many_task, &n);
		assert_int_equal(n, 299);	/* and the one that starts them */
	}
	stack_force_mprotect(false, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_of_parked),
		cmocka_unit_test(test_trimming),
		cmocka_unit_test(test_trimming_keeps),
		cmocka_unit_test(test_reuse),
		cmocka_unit_test(test_guard_installed),
		cmocka_unit_test(test_guard_by_mprotect),
		cmocka_unit_test(test_mappings_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
