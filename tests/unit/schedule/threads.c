/*
 * schedule/ on real threads: messages come from everywhere, slots work on all cores, while limits,
 * reloads and suspensions change - for the sanitizers, and that everything is done in the end.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "schedule/home.h"
#include "unit/unit.h"

#include <unistd.h>

#define WORKERS 3
#define MESSAGES 3000
#define WAIT_S 60

static struct net *net;
static struct schedule *schedule;
static _Atomic unsigned done, tasks;

static struct config *make_config(unsigned connections)
{
	struct buf text = BUF_INIT(4096), messages = BUF_INIT(4096);
	struct config_source source = {
		.path = "t.conf", .is_alone = true, .host_name = "a.example"
	};
	unsigned errors, warnings;
	struct config *c;

	buf_printf(&text,
		   "version 1\naccept from local to any via mx\n"
		   "limit %u connections per provider\nlimit 1000/s messages via mx\n",
		   connections);
	source.text = text.p;
	source.text_n = text.n;
	c = config_load_from(&source, &messages, &errors, &warnings);
	assert_non_null(c);
	buf_done(&text);
	buf_done(&messages);
	return c;
}

static void finish(struct slot *slot)
{
	struct job *j = slot->job;

	message_lock(j->message);
	for (uint32_t i = 0; i < j->recipients_n; i++)
		j->message->recipients[j->recipients[i]].state = RECIPIENT_RELAYED;
	message_unlock(j->message);
	slot->finished = j;
	slot->result = JOB_SETTLED;
	slot->learnt = DESTINATION_WORKS;
	atomic_fetch_add(&done, 1);
}

static void slot_run(void *arg)
{
	struct slot *slot = arg;

	slot->knows_provider = true;
	slot->provider = name_intern(STR("p"));
	schedule_turn(schedule, slot);
	while (slot->job) {
		task_sleep_until(loop_now() + 100000);
		finish(slot);
		schedule_turn(schedule, slot);
	}
	mem_free(slot);
	atomic_fetch_sub(&tasks, 1);
}

static bool slot_begin(void *arg, struct destination *d)
{
	struct slot *slot = mem_zalloc(sizeof(*slot));

	(void)arg;
	slot->destination = d;
	atomic_fetch_add(&tasks, 1);
	if (task_start(NULL, slot_run, slot, "slot"))
		return true;
	atomic_fetch_sub(&tasks, 1);
	mem_free(slot);
	return false;
}

static void no_deadline(void *arg, struct job *j)
{
	(void)arg;
	schedule_settled(schedule, j);
}

static void add(unsigned n)
{
	char address[40];
	struct envelope_recipient to = { .address = { address, 0 }, .route = STR("mx") };
	struct envelope e = {
		.sender = STR("a@b.example"),
		.arrived_ms = world_real()->wall_ms(world_real()),
		.recipients = &to,
		.recipients_n = 1,
	};
	struct message *m;

	to.address.n = (size_t)snprintf(address, sizeof(address), "u@d%u.example", n % 37);
	m = message_new(&e, NULL);
	schedule_add(schedule, m);
	message_unref(m);
}

/* ---- an operator who cannot decide, on each core */
static void see(void *arg, const struct destination_state *d)
{
	*(unsigned *)arg += d->ready;
}

static void operate(void *arg)
{
	struct str name = arg ? STR("d3.example") : STR("d5.example");
	unsigned ready = 0;

	for (int i = 0; i < 20; i++) {
		schedule_suspend(schedule, SUSPEND_DESTINATION, name, STR("why not"));
		schedule_destinations(schedule, see, &ready);
		schedule_resume(schedule, SUSPEND_DESTINATION, name);
	}
	atomic_fetch_sub(&tasks, 1);
}

static void on_operator(struct post *p)
{
	assert_non_null(task_start(NULL, operate, loop_index(loop_self()) ? p : NULL, "operator"));
}

/* False: not within WAIT_S. */
static bool wait_until_done(void)
{
	for (unsigned i = 0; i < WAIT_S * 100; i++) {
		if (atomic_load(&done) == MESSAGES && !atomic_load(&tasks))
			return true;
		usleep(10000);
	}
	return false;
}

static void test_threads(void **state)
{
	static const struct upcalls up = { .slot_start = slot_begin, .deadline = no_deadline };
	struct post operators[WORKERS];

	(void)state;
	config_set_current(make_config(10));
	net = net_new(world_real(), WORKERS, 2);
	schedule = schedule_new(net, NULL, &up, NULL);
	net_start(net);
	atomic_fetch_add(&tasks, WORKERS);
	for (unsigned i = 0; i < WORKERS; i++)
		loop_post(net_loop(net, i), &operators[i], on_operator);
	for (unsigned i = 0; i < MESSAGES; i++) {
		add(i);
		if (i % 500 == 0) {
			config_set_current(make_config(3 + i % 11));
			schedule_reload(schedule);
		}
	}
	assert_true(wait_until_done());
	schedule_stop(schedule);
	net_stop(net);
	schedule_free(schedule);
	config_set_current(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
