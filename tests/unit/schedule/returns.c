/*
 * schedule/: a next hop that was down comes back - found within a minute, in order, from few
 * connections on; and what its quota counts meanwhile.
 */
#include "policy/domain_quota.h"
#include "unit/schedule/rig.h"

static struct destination_state seen;

static void see(void *arg, const struct destination_state *d)
{
	if (!strcmp(d->name, arg))
		seen = *d;
}

static void look(void *arg)
{
	seen = (struct destination_state){ .name = "" };
	schedule_destinations(rig.schedule, see, arg);
}

static void add(unsigned n, const char *routes)
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = rig_message(1, routes);

		schedule_add(rig.schedule, m);
		message_unref(m);
	}
}

/* Down for a day: two connections at first, doubling, all of them when the slow start is over. */
static void test_gently(void **state)
{
	unsigned most = 0, at_first = 0, seconds = 0;

	(void)state;
	rig_open(2);
	rig.down[3] = true;
	add(2000, "3");
	rig_run(24 * HOUR);
	assert_int_equal(rig.jobs_done, 0);
	rig.down[3] = false;
	rig.work_ns = SECOND;
	while (rig.jobs_done == 0 && seconds++ < 60)
		rig_run(SECOND);
	assert_in_range(seconds, 0, 60);
	for (seconds = 0; rig.jobs_done < 1000; seconds++) {
		rig_run(SECOND);
		rig_call(look, "r3");
		if (seconds < 5 && seen.slots > at_first)
			at_first = seen.slots;
		if (seen.slots > most)
			most = seen.slots;
		assert_true(seconds < 600);
	}
	assert_in_range(at_first, 1, 4);
	assert_int_equal(most, 20);
	rig_close();
}

static uint64_t messages, octets;

static void waiting(const char *domain)
{
	struct config *c = config_current();
	const struct route *r = config_route(c, STR("r3"));

	domain_quota_waiting(schedule_quota(rig.schedule), r, str_of(domain), &messages, &octets);
	config_unref(c);
}

/* What waits is counted once, in flight and split too, and not any more when it is gone. */
static void test_quota(void **state)
{
	struct message *m;
	struct str domain;
	char name[300];

	(void)state;
	rig_open(2);
	rig.route_more = "quota 5 messages";
	config_set_current(rig_config(ROUTES));
	schedule_reload(rig.schedule);
	rig_run(0);
	rig.down[3] = true;
	m = rig_message(200, "3");	/* three jobs of one message */
	domain = address_split(recipient_address(m, 0)).domain;
	str_copy(name, sizeof(name), domain);
	schedule_add(rig.schedule, m);
	rig_run(HOUR);
	waiting(name);
	assert_in_range(messages, 1, 3);
	assert_int_equal(octets, messages * m->size);
	rig.down[3] = false;
	rig_run(2 * MINUTE);
	assert_true(rig_is_done(m));
	waiting(name);
	assert_int_equal(messages, 0);
	assert_int_equal(octets, 0);
	message_unref(m);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gently),
		cmocka_unit_test(test_quota),
	};

	hash_seed(1, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
