/*
 * schedule/: no job is ever lost or stuck. Random messages, outcomes, outages, commands, limits,
 * sources, reactions, suspensions and clock jumps over virtual days; the invariants are checked
 * after every step, and in the end, when everything works, nothing is left.
 */
#include "unit/schedule/rig.h"

#define MESSAGES 300

static struct message *messages[MESSAGES];
static unsigned messages_n;

static struct message *any_message(void)
{
	return messages_n ? messages[stepped_random(messages_n)] : NULL;
}

static void add_random(void)
{
	static const char *const routes[] = {"0", "1",	 "2",	  "3",	"4",	     "5",
					     "6", "012", "34678", "99", "0123456789"};
	struct message *m;

	if (messages_n == MESSAGES)
		return;
	m = rig_message(1 + (uint32_t)stepped_random(stepped_random(10) ? 3 : 60),
			routes[stepped_random(11)]);
	if (stepped_random(20) == 0)
		m->flags = MESSAGE_HELD;
	if (stepped_random(10) == 0)
		m->recipients[0].next_ms = stepped_wall(NULL) + (int64_t)stepped_random(3600000);
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
	struct order o = { any_message(), (enum queue_command)stepped_random(3) };

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

/* ---- limits, sources, providers */

static const char *const configs[] = {
	"",
	"limit 30/min messages per destination\nlimit 2 connections per provider\n",
	"limit 100/min recipients per provider evenly\n",
	"limit 3 connections to domain d6.example d7.example\nlimit 500/h messages per source\n",
	"limit 100K/min bytes per destination\nlimit 20/min messages to domain d8.example\n",
};

static const char *const pools[] = {
	"source s0 address 192.0.2.1\n",
	"source s1 address 192.0.2.2\n"
	"source s0 address 192.0.2.1 {\nwarm_up from 2023-11-13 40 80 160 320 overflow s1\n}\n",
	"source s1 address 192.0.2.2\nsource s2 address 192.0.2.3\n"
	"pool s0 { source s1 weight 2; source s2 }\n",
	"source s1 address 192.0.2.2\nsource s2 address 192.0.2.3\n"
	"pool s0 { source s1; source s2 weight 0 }\n",
};

static char config_text[1000];

static void reconfigure_random(void)
{
	snprintf(config_text, sizeof(config_text), "%s%s", pools[stepped_random(4)],
		 configs[stepped_random(5)]);
	rig.config_more = config_text;
	rig.route_more = stepped_random(2) ? "source s0" : "";
	rig.connections_max = stepped_random(3) ? SLOTS : 1 + (unsigned)stepped_random(20);
	config_set_current(rig_config(ROUTES - (unsigned)stepped_random(3)));
	schedule_reload(rig.schedule);
}

static void provider_random(void)
{
	static const char *const names[] = { "p", "q" };
	uint64_t which = stepped_random(3);

	rig.providers[6 + stepped_random(4)] =
		which < 2 ? name_intern(str_of(names[which])) : NULL;
	rig.provider_unknown = stepped_random(10) == 0;
}

static unsigned reaction_percent;

/* A transaction of which only a part could be made; replies that ask for something. */
static void react_random(struct slot *slot)
{
	static const enum reaction reactions[] = { REACT_SLOW, REACT_PAUSE, REACT_OTHER_SOURCE,
						   REACT_DEFER, REACT_BOUNCE };

	if (slot->result == JOB_DEFERRED && stepped_random(5) == 0)
		slot->result = JOB_PARTLY;
	if (stepped_random(100) >= reaction_percent)
		return;
	slot->reaction = reactions[stepped_random(5)];
	slot->reaction_ns = stepped_random(2) * (1 + stepped_random(HOUR));
	str_copy(slot->reacts_to, sizeof(slot->reacts_to), STR("421 later"));
}

/* ---- suspensions */

static const struct {
	enum suspend_kind kind;
	const char *name;
} suspensions[] = {
	{ SUSPEND_DESTINATION, "d6.example" }, { SUSPEND_DESTINATION, "r3" },
	{ SUSPEND_PROVIDER, "p" },	       { SUSPEND_SOURCE, "s0" },
	{ SUSPEND_SOURCE, "s1" },	       { SUSPEND_ROUTE, "mx" },
	{ SUSPEND_ROUTE, "r2" },
};

#define SUSPENSIONS (sizeof(suspensions) / sizeof(suspensions[0]))

static void suspend(void *arg)
{
	size_t i = (size_t)stepped_random(SUSPENSIONS);

	(void)arg;
	schedule_suspend(rig.schedule, suspensions[i].kind, str_of(suspensions[i].name), STR(""));
}

static void resume(void *arg)
{
	size_t i = (size_t)stepped_random(SUSPENSIONS);

	(void)arg;
	schedule_resume(rig.schedule, suspensions[i].kind, str_of(suspensions[i].name));
}

static void resume_all(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < SUSPENSIONS; i++)
		schedule_resume(rig.schedule, suspensions[i].kind, str_of(suspensions[i].name));
}

static void see(void *arg, const struct destination_state *d)
{
	CHECK(destination_status_name(d->status));
	*(unsigned *)arg += d->ready;
}

static void look(void *arg)
{
	unsigned ready = 0;

	(void)arg;
	schedule_destinations(rig.schedule, see, &ready);
}

static void happen(void)
{
	switch (stepped_random(17)) {
	case 12:
		provider_random();
		break;
	case 13:
		rig_call(suspend, NULL);
		break;
	case 14:
		rig_call(resume, NULL);
		break;
	case 15:
		reaction_percent = (unsigned)stepped_random(30);
		break;
	case 16:
		rig_call(look, NULL);
		break;
	case 0: case 1: case 2: case 3:
		add_random();
		break;
	case 4:
		rig.down[stepped_random(ROUTES)] = stepped_random(2);
		break;
	case 5:
		command_random();
		break;
	case 6:
		if (any_message() && stepped_random(10) == 0)
			rig_call(remove_now, any_message());
		break;
	case 7:
		rig.no_tasks = stepped_random(5) == 0;
		break;
	case 8:
		rig.settle_percent = (unsigned)stepped_random(101);
		rig.untried_percent = (unsigned)stepped_random(30);
		break;
	case 9:
		if (stepped_random(10) == 0)
			stepped.wall_offset_ms += (int64_t)stepped_random(7200000) - 3600000;
		break;
	case 10:
		if (stepped_random(5) == 0)
			reconfigure_random();
		break;
	default:
		stepped_run(stepped_random(stepped_random(4) ? MINUTE : HOUR));
	}
}

/* Everything works from now on: all that is not held must go away by itself. */
static void let_go(void)
{
	rig.config_more = rig.route_more = NULL;
	rig.connections_max = SLOTS;
	config_set_current(rig_config(ROUTES));
	schedule_reload(rig.schedule);
	rig_call(resume_all, NULL);
	reaction_percent = 0;
	memset(rig.down, 0, sizeof(rig.down));
	rig.no_tasks = false;
	rig.settle_percent = 100;
	rig.untried_percent = 0;
	for (unsigned i = 0; i < messages_n; i++) {
		struct order o = { messages[i], QUEUE_RELEASE };

		rig_set_flags(messages[i], 0);
		rig_call(command, &o);
	}
	stepped_run(5 * HOUR);
}

/* Where what should have gone still is. */
static void tell_stuck(void *arg)
{
	struct message *m = arg;
	struct job_state job;

	for (uint32_t i = 0; i < m->recipients_n; i++)
		if (schedule_job_state(rig.schedule, m, i, &job))
			print_error("recipient %u: %s at %s, next %lld s: %s\n", i, job.state,
				    job.destination,
				    (long long)(job.next_ms - stepped_wall(NULL)) / 1000, job.said);
}

static void run_seed(uint64_t seed)
{
	rig_open(1 + (unsigned)seed % 4);
	stepped.seed = seed;
	rig.work_ns = 20 * SECOND;
	rig.random_work = true;
	rig.work_hook = react_random;
	reaction_percent = 0;
	messages_n = 0;
	for (int i = 0; i < 2000; i++)
		happen();
	let_go();
	for (unsigned i = 0; i < messages_n; i++) {
		if (!rig_is_done(messages[i])) {
			print_error("seed %llu: message %u is stuck\n", (unsigned long long)seed,
				    i);
			rig_call(tell_stuck, messages[i]);
		}
		assert_true(rig_is_done(messages[i]));
		assert_int_equal(messages[i]->refs, 1);
		message_unref(messages[i]);
	}
	for (unsigned i = 0; i < ROUTES; i++)
		assert_true(rig.peak_of[i] <= rig_slots_max[i]);
	assert_int_equal(rig.slots, 0);
	rig_close();
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 80; seed++)
		run_seed(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
