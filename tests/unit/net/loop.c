/*
 * net/loop: timers, posts between loops under load, hooks, offload from many tasks, notes, start
 * and stop.
 */
#include "net/loop.h"
#include "unit/net/run.h"

#include <pthread.h>
#include <stdatomic.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* ---- timers */

struct tick {
	struct timer timer;
	uint64_t at;
	unsigned fired;
	unsigned again;		/* sets itself so many times */
};

static uint64_t last_tick;

static void on_tick(struct timer *t)
{
	struct tick *tick = CONTAINER_OF(t, struct tick, timer);

	CHECK(loop_now() >= tick->at);
	CHECK(tick->at >= last_tick);
	CHECK(!timer_is_set(t));
	CHECK(!task_self());
	last_tick = tick->at;
	tick->fired++;
	if (tick->again) {
		tick->again--;
		tick->at = loop_now() + MILLISECOND;
		timer_set(t, tick->at);
	}
}

static void timers_task(void *arg)
{
	static struct tick ticks[200];
	struct tick again = { .again = 5 };

	(void)arg;
	last_tick = 0;
	for (unsigned i = 0; i < LENGTH(ticks); i++) {
		ticks[i].at = in_ms((i * 37) % 20);
		timer_init(&ticks[i].timer, on_tick);
		timer_set(&ticks[i].timer, in_ms(1000));
		timer_set(&ticks[i].timer, ticks[i].at);
		CHECK(timer_is_set(&ticks[i].timer));
	}
	for (unsigned i = 0; i < LENGTH(ticks); i += 5) {
		timer_clear(&ticks[i].timer);
		timer_clear(&ticks[i].timer);
		CHECK(!timer_is_set(&ticks[i].timer));
	}
	CHECK_EQ(task_sleep_until(in_ms(30)), 0);
	for (unsigned i = 0; i < LENGTH(ticks); i++)
		CHECK_EQ(ticks[i].fired, i % 5 != 0);
	timer_init(&again.timer, on_tick);
	again.at = loop_now();
	timer_set(&again.timer, again.at);
	CHECK_EQ(task_sleep_until(in_ms(100)), 0);
	CHECK_EQ(again.fired, 6);
}

static void test_timers(void **state)
{
	(void)state;
	run_in_task(timers_task, NULL);
}

/*
 * ---- posts: every loop and some foreign threads post to every loop; order is kept per poster,
 * none is lost
 */

#define LOOPS 3
#define THREADS 2
#define POSTERS (LOOPS + THREADS)

struct letter {
	struct post post;
	unsigned from, number;
};

static struct net *net;
static unsigned letters_n;
static unsigned expected[LOOPS][POSTERS];
static atomic_uint arrived, posters_ended;

static void on_letter(struct post *p)
{
	struct letter *letter = CONTAINER_OF(p, struct letter, post);
	unsigned *next = &expected[loop_index(loop_self())][letter->from];

	CHECK_EQ(letter->number, *next);
	++*next;
	free(letter);
	atomic_fetch_add(&arrived, 1);
}

static void send_letters(unsigned from, unsigned i)
{
	for (unsigned to = 0; to < LOOPS; to++) {
		struct letter *letter = calloc(1, sizeof(*letter));

		letter->from = from;
		letter->number = i;
		loop_post(net_loop(net, to), &letter->post, on_letter);
	}
}

static void posting_task(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < letters_n; i++) {
		send_letters(loop_index(loop_self()), i);
		if (i % 100 == 99)
			task_yield();
		if (i % 1000 == 999)
			/* so that loops go to sleep and must be woken */
			task_sleep_until(in_ms(1));
	}
	atomic_fetch_add(&posters_ended, 1);
}

static void *posting_thread(void *arg)
{
	for (unsigned i = 0; i < letters_n; i++) {
		send_letters(LOOPS + *(unsigned *)arg, i);
		if (i % 1000 == 0)
			usleep(500);
	}
	return NULL;
}

static void start_posting(void *arg)
{
	(void)arg;
	CHECK(task_start(NULL, posting_task, NULL, "posting"));
}

static void test_posts(void **state)
{
	pthread_t threads[THREADS];
	unsigned numbers[THREADS];

	(void)state;
	letters_n = is_slow() ? 3000 : 30000;
	net = net_new(world_real(), LOOPS, 1);
	net_start(net);
	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, posting_thread, &numbers[i]);
	}
	for (unsigned i = 0; i < LOOPS; i++)
		run_on(net_loop(net, i), start_posting, NULL, false);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	while (atomic_load(&arrived) < letters_n * LOOPS * POSTERS ||
	       atomic_load(&posters_ended) < LOOPS)
		usleep(1000);
	net_stop(net);
	for (unsigned i = 0; i < LOOPS * POSTERS; i++)
		assert_int_equal(expected[i / POSTERS][i % POSTERS], letters_n);
}

/* A loop that sleeps is woken by each single post. */
static void nothing(void *arg)
{
	++*(unsigned *)arg;
}

static void test_wake_from_sleep(void **state)
{
	struct net *n = net_new(world_real(), 1, 0);
	unsigned count = 0;

	(void)state;
	net_start(n);
	for (unsigned i = 0; i < (is_slow() ? 500 : 20000); i++)
		run_on(net_loop(n, 0), nothing, &count, false);
	net_stop(n);
	assert_int_equal(count, is_slow() ? 500 : 20000);
}

/* ---- hooks and numbers */

static void count_turn(void *arg)
{
	CHECK(!task_self());
	++*(unsigned *)arg;
}

static unsigned all_turns;	/* the hook outlives its task */

static void hook_task(void *arg)
{
	(void)arg;
	loop_at_turn_end(loop_self(), count_turn, &all_turns);
	task_yield();
	task_yield();
	CHECK(all_turns >= 2);
}

static void stats_task(void *arg)
{
	struct loop_stats stats;

	(void)arg;
	task_yield();
	loop_stats(loop_self(), &stats);
	CHECK(stats.turns >= 1 && stats.switches >= 2);
	CHECK_EQ(stats.tasks_live, 1);
	CHECK_EQ(stats.tasks_peak, 1);
	CHECK_EQ(stats.stacks_mapped, 1);
	CHECK(loop_wall_ms() > 1600000000000);
	CHECK_EQ(net_workers(loop_net(loop_self())), 1);
	CHECK(world_self() == world_real());
}

static void test_hooks_and_stats(void **state)
{
	(void)state;
	run_in_task(hook_task, NULL);
	run_in_task(stats_task, NULL);
}

/* ---- offload from many tasks at once */

static atomic_int in_pool;

static int square(void *arg)
{
	int n = *(int *)arg;

	CHECK(!loop_self() && !task_self());
	atomic_fetch_add(&in_pool, 1);
	return n * n;
}

static void offloading(void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < 50; i++, n++)
		CHECK_EQ(net_offload(square, &n), n * n);
}

static void offload_task(void *arg)
{
	static int numbers[100];
	struct task_group g;

	(void)arg;
	task_group_init(&g);
	for (int i = 0; i < 100; i++) {
		numbers[i] = i;
		CHECK(task_start(&g, offloading, &numbers[i], "offloading"));
	}
	task_yield();
	task_group_cancel(&g);		/* has no effect on net_offload */
	CHECK_EQ(task_group_wait(&g, in_seconds(60)), 0);
}

static void test_offload(void **state)
{
	int n = 7;

	(void)state;
	atomic_store(&in_pool, 0);
	run_in_task(offload_task, NULL);
	assert_int_equal(atomic_load(&in_pool), 5000);
	assert_int_equal(net_offload(square, &n), 49);	/* outside tasks: a plain call */
}

/* ---- notes for the supervisor */

static struct crash_note page;

static void silent(void *arg)
{
	(void)arg;
	CHECK_EQ(page.stage[0], 0);
	CHECK_EQ(page.id[0], 0);
}

static void see_empty_page(struct timer *t)
{
	(void)t;
	CHECK_EQ(page.id[0], 0);
	CHECK_EQ(page.peer[0], 0);
}

static void note_task(void *arg)
{
	const uint8_t id[16] = { 1, 2, 3 };
	struct timer timer;

	(void)arg;
	loop_set_note_page(loop_self(), &page);
	task_note(id, "a stage whose name is longer than the page's field");
	task_note_peer("192.0.2.1:25");
	CHECK_EQ(page.id[1], 2);
	CHECK_EQ(strlen(page.stage), sizeof(page.stage) - 1);
	CHECK(task_start(NULL, silent, NULL, "silent"));
	timer_init(&timer, see_empty_page);
	timer_set(&timer, loop_now());
	task_sleep_until(in_ms(3));
	CHECK_EQ(page.id[1], 2);
	CHECK(strcmp(page.peer, "192.0.2.1:25") == 0);
	task_note(NULL, NULL);
	task_note_peer(NULL);
	CHECK_EQ(page.id[1], 0);
	CHECK_EQ(page.peer[0], 0);
	loop_set_note_page(loop_self(), NULL);
}

static void test_notes(void **state)
{
	(void)state;
	run_in_task(note_task, NULL);
}

static void test_start_and_stop(void **state)
{
	(void)state;
	net_stop(net_new(world_real(), 2, 2));	/* never started */
	for (int i = 0; i < 50; i++) {
		struct net *n = net_new(world_real(), 2, 2);

		net_start(n);
		net_stop(n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_posts),
		cmocka_unit_test(test_wake_from_sleep),
		cmocka_unit_test(test_hooks_and_stats),
		cmocka_unit_test(test_offload),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_start_and_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
