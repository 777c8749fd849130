/*
 * schedule/: no job is ever lost or stuck. Random messages, outcomes, outages, commands and clock
 * jumps over virtual days; the invariants are checked after every step, and in the end, when
 * everything works, nothing is left.
 */
#include "unit/schedule/rig.h"

#define MESSAGES 300

static struct message *messages[MESSAGES];
static unsigned messages_n;

static struct message *any_message(void)
{
	return messages_n ? messages[rig_random(messages_n)] : NULL;
}

static void add_random(void)
{
	static const char *const routes[] = {"0", "1",	 "2",	  "3",	"4",	     "5",
					     "6", "012", "34678", "99", "0123456789"};
	struct message *m;

	if (messages_n == MESSAGES)
		return;
	m = rig_message(1 + (uint32_t)rig_random(rig_random(10) ? 3 : 60), routes[rig_random(11)]);
	if (rig_random(20) == 0)
		m->flags = MESSAGE_HELD;
	if (rig_random(10) == 0)
		m->recipients[0].next_ms = rig_wall(NULL) + (int64_t)rig_random(3600000);
	messages[messages_n++] = m;
	schedule_add(rig.schedule, m);
}

struct order {
	struct message *m;
	enum queue_command command;
};

static void command(void *arg)
{
	struct order *o = arg;

	schedule_command(rig.schedule, o->command, o->m);
}

static void command_random(void)
{
	struct order o = { any_message(), (enum queue_command)rig_random(3) };

	if (!o.m)
		return;
	if (o.command != QUEUE_RETRY)
		rig_set_flags(o.m, o.command == QUEUE_HOLD ? MESSAGE_HELD : 0);
	rig_call(command, &o);
}

static void remove_now(void *arg)
{
	unsigned busy;

	schedule_remove(rig.schedule, arg, &busy);
}

static void happen(void)
{
	switch (rig_random(12)) {
	case 0: case 1: case 2: case 3:
		add_random();
		break;
	case 4:
		rig.down[rig_random(ROUTES)] = rig_random(2);
		break;
	case 5:
		command_random();
		break;
	case 6:
		if (any_message() && rig_random(10) == 0)
			rig_call(remove_now, any_message());
		break;
	case 7:
		rig.no_tasks = rig_random(5) == 0;
		break;
	case 8:
		rig.settle_percent = (unsigned)rig_random(101);
		rig.untried_percent = (unsigned)rig_random(30);
		break;
	case 9:
		if (rig_random(10) == 0)
			rig.wall_offset_ms += (int64_t)rig_random(7200000) - 3600000;
		break;
	case 10:
		if (rig_random(5) == 0) {
			config_set_current(rig_config(ROUTES - (unsigned)rig_random(3)));
			schedule_reload(rig.schedule);
		}
		break;
	default:
		rig_run(rig_random(rig_random(4) ? MINUTE : HOUR));
	}
}

/* Everything works from now on: all that is not held must go away by itself. */
static void let_go(void)
{
	config_set_current(rig_config(ROUTES));
	schedule_reload(rig.schedule);
	memset(rig.down, 0, sizeof(rig.down));
	rig.no_tasks = false;
	rig.settle_percent = 100;
	rig.untried_percent = 0;
	for (unsigned i = 0; i < messages_n; i++) {
		struct order o = { messages[i], QUEUE_RELEASE };

		rig_set_flags(messages[i], 0);
		rig_call(command, &o);
	}
	rig_run(5 * HOUR);
}

static void run_seed(uint64_t seed)
{
	rig_open(1 + (unsigned)seed % 4);
	rig.seed = seed;
	rig.work_ns = 20 * SECOND;
	rig.random_work = true;
	messages_n = 0;
	for (int i = 0; i < 2000; i++)
		happen();
	let_go();
	for (unsigned i = 0; i < messages_n; i++) {
		if (!rig_is_done(messages[i]))
			print_error("seed %llu: message %u is stuck\n", (unsigned long long)seed,
				    i);
		assert_true(rig_is_done(messages[i]));
		assert_int_equal(messages[i]->refs, 1);
		message_unref(messages[i]);
	}
	for (unsigned i = 0; i < ROUTES; i++)
		assert_true(rig.peak_of[i] <= rig.routes[i].connections_max);
	assert_int_equal(rig.slots, 0);
	rig_close();
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		run_seed(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
