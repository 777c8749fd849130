/*
 * deliver/ with schedule/: slots on several loops work queues off, within the limits; stopping in
 * the middle leaves nothing behind. Only filing is a stub, so that threads really meet
 * (ThreadSanitizer).
 */
#include "unit/deliver/rig.h"

static _Atomic unsigned filed;
static struct schedule *schedule;

static void never_due(void *arg, struct job *j)
{
	(void)arg;
	(void)j;
	abort();
}

/* Instead of the rig's single loop: several, with a schedule. */
static void open_all(unsigned workers)
{
	struct upcalls up = { .slot_start = deliver_slot_start, .deadline = never_due };

	rig_open();
	deliver_stop(rig.deliver, 0);
	net_stop(rig.net);
	deliver_free(rig.deliver);
	rig.net = net_new(world_real(), workers, 1);
	rig.deliver = deliver_new(rig.net, NULL, NULL);
	rig.route.timeout_ns = 5 * SECOND;
	rig.route.connections_max = 10;
	rig.route.messages_max = 0;
	up.deliver = rig.deliver;
	schedule = schedule_new(rig.net, NULL, &up);
	deliver_set_schedule(rig.deliver, schedule);
	rig.keep_nothing = true;
	rig.filed = &filed;
	filed = 0;
	net_start(rig.net);
}

static void close_all(void)
{
	schedule_stop(schedule);
	deliver_stop(rig.deliver, 5 * SECOND);
	net_stop(rig.net);
	deliver_free(rig.deliver);
	schedule_free(schedule);
	mem_free(rig.destination);
	config_set_current(NULL);
}

static const struct mail plain = {.content = {RIG_CONTENT, sizeof(RIG_CONTENT) - 1},
				  .recipients_n = 2};

static void test_queue_is_worked_off(void **state)
{
	unsigned n = is_slow() ? 300 : 2000;
	struct message **m = mem_calloc(n, sizeof(*m));
	struct peer p = { 0 };

	(void)state;
	open_all(3);
	rig_peer(0, &p);
	for (unsigned i = 0; i < n; i++) {
		m[i] = rig_message(&plain);
		schedule_add(schedule, m[i]);
	}
	for (int i = 0; i < 3000 && filed < 2 * n; i++)
		usleep(10000);
	assert_int_equal(filed, 2 * n);
	close_all();
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(m[i]->jobs_n, 0);
		assert_int_equal(m[i]->recipients[1].state, RECIPIENT_RELAYED);
		message_unref(m[i]);
	}
	peer_stop(&p);
	assert_int_equal(p.transactions, n);
	/* at once at most 10; the pools' share is rounded up */
	assert_in_range(p.connections, 1, 12);
	peer_forget(&p);
	mem_free(m);
}

/* Some are in flight, some stand at a peer that says nothing: all jobs go back, no task stays. */
static void test_stop(void **state)
{
	struct peer p = { .dot = { "!stall" } };
	struct message *m[50];

	(void)state;
	open_all(2);
	rig_peer(0, &p);
	for (int i = 0; i < 50; i++) {
		m[i] = rig_message(&plain);
		schedule_add(schedule, m[i]);
	}
	usleep(200000);
	schedule_stop(schedule);
	deliver_stop(rig.deliver, 100 * MILLISECOND);
	close_all();
	for (int i = 0; i < 50; i++) {
		assert_int_equal(m[i]->recipients[0].state, RECIPIENT_QUEUED);
		assert_int_equal(m[i]->refs, 1);
		message_unref(m[i]);
	}
	peer_stop(&p);
	peer_forget(&p);
}

/* Nobody listens: the destination rests, nothing is tried again and again. */
static void test_down(void **state)
{
	struct peer p = { 0 };
	struct message *m[20];

	(void)state;
	open_all(2);
	peer_start(&p);
	rig_host(0, "127.0.0.1", p.port);
	peer_stop(&p);
	for (int i = 0; i < 20; i++) {
		m[i] = rig_message(&plain);
		schedule_add(schedule, m[i]);
	}
	usleep(200000);
	close_all();
	assert_int_equal(filed, 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(m[i]->recipients[0].attempts, 0);
		message_unref(m[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_is_worked_off),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
