/*
 * deliver/ with schedule/: slots on several loops work queues off, within the limits, by MX, from
 * several sources; stopping in the middle leaves nothing behind. Only filing is a stub, so that
 * threads really meet (ThreadSanitizer).
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
static void open_with(unsigned workers, const char *statements)
{
	struct upcalls up = { .slot_start = deliver_slot_start, .deadline = never_due };

	rig_open_with(statements);
	deliver_stop(rig.deliver, 0);
	net_stop(rig.net);
	deliver_free(rig.deliver);
	rig.net = net_new(&rig.world, workers, 1);
	rig.deliver = deliver_new(rig.net, NULL, NULL);
	rig.route.timeout_ns = 5 * SECOND;
	rig.route.connections_max = 10;
	rig.route.messages_max = 0;
	up.deliver = rig.deliver;
	schedule = schedule_new(rig.net, NULL, &up, NULL);
	deliver_set_schedule(rig.deliver, schedule);
	rig.keep_nothing = true;
	rig.filed = &filed;
	filed = 0;
	net_start(rig.net);
}

static void open_all(unsigned workers)
{
	open_with(workers, "");
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
	assert_in_range(p.open_max, 1, 10);	/* idle ones, too */
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

/* ---- by MX, with a schedule */

static void go_by_mx(uint16_t port)
{
	rig.route.name = STR("mx:r");
	rig.route.is_mx = true;
	rig.route.mx_port = port;
}

static struct message *mail_to(const char *address)
{
	struct envelope_recipient to = { .address = str_of(address), .route = STR("mx:r") };

	return rig_message(&(struct mail){
		.envelope = { .recipients = &to, .recipients_n = 1 },
		.content = plain.content,
	});
}

static void wait_for(unsigned n)
{
	for (int i = 0; i < 3000 && filed < n; i++)
		usleep(10000);
	assert_int_equal(filed, n);
}

/*
 * A provider takes one connection at a time. The idle one to its first domain's host is in the way
 * of the second's mail: it is closed long before its time.
 */
static void test_idle_ones_make_way(void **state)
{
	struct peer p[2] = { { .at = "127.0.0.1" }, { .at = "127.0.0.2" } };
	struct message *m[2];

	(void)state;
	open_with(2, "provider hoster { mx .hoster.test }\n"
		     "limit 1 connections per provider\n");
	peers_start(p, 2);
	go_by_mx(p[0].port);
	zone_add("a.example MX 10 one.hoster.test");
	zone_add("b.example MX 10 two.hoster.test");
	zone_add("one.hoster.test A 127.0.0.1");
	zone_add("two.hoster.test A 127.0.0.2");
	for (int i = 0; i < 2; i++) {
		m[i] = mail_to(i ? "x@b.example" : "x@a.example");
		schedule_add(schedule, m[i]);
		wait_for((unsigned)i + 1);
		usleep(50000);
	}
	close_all();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(m[i]->recipients[0].state, RECIPIENT_RELAYED);
		message_unref(m[i]);
		peer_stop(&p[i]);
		assert_int_equal(p[i].transactions, 1);
		peer_forget(&p[i]);
	}
}

/* Each job of a domain that does not exist fails by itself, and other domains do not notice. */
static void test_no_such_domain(void **state)
{
	struct peer p = { .at = "127.0.0.1" };
	struct message *m[20];

	(void)state;
	open_with(2, "");
	peer_start(&p);
	go_by_mx(p.port);
	zone_add("a.example A 127.0.0.1");
	for (int i = 0; i < 20; i++) {
		m[i] = mail_to(i % 2 ? "x@nowhere.example" : "x@a.example");
		schedule_add(schedule, m[i]);
	}
	wait_for(20);
	close_all();
	for (int i = 0; i < 20; i++) {
		assert_int_equal(m[i]->recipients[0].state,
				 i % 2 ? RECIPIENT_FAILED : RECIPIENT_RELAYED);
		assert_int_equal(m[i]->refs, 1);
		message_unref(m[i]);
	}
	peer_stop(&p);
	assert_int_equal(p.transactions, 10);
	peer_forget(&p);
}

/* Slots that wait for the DNS are cut like others, before they have a job and with one. */
static void test_stop_while_looking_up(void **state)
{
	struct message *m[4];
	int64_t began;

	(void)state;
	open_with(2, "");
	go_by_mx(9);
	zone.mute = true;
	m[0] = mail_to("x@a.example");
	m[1] = mail_to("x@b.example");
	zone_add("c.example MX 10 mx.c.example");
	m[2] = mail_to("x@c.example");
	m[3] = mail_to("y@a.example");
	for (int i = 0; i < 4; i++)
		schedule_add(schedule, m[i]);
	usleep(100000);
	assert_true(zone.asked >= 3);
	began = world_real()->wall_ms(world_real());
	schedule_stop(schedule);
	deliver_stop(rig.deliver, 100 * MILLISECOND);
	close_all();
	assert_in_range(world_real()->wall_ms(world_real()) - began, 0, 5000);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(m[i]->recipients[0].state, RECIPIENT_QUEUED);
		assert_int_equal(m[i]->refs, 1);
		message_unref(m[i]);
	}
	assert_int_equal(filed, 0);
}

/* Refused by one source, taken from the other, without an attempt being counted. */
static void test_other_source(void **state)
{
	struct peer p = { .refuses_from = "127.0.0.5" };
	struct message *m[10];

	(void)state;
	open_with(2, "providers none\n"
		     "provider any { on reply 554 then other-source 1h }\n"
		     "source five address 127.0.0.5\n"
		     "source six address 127.0.0.6\n"
		     "pool both { source five weight 1000; source six weight 1 }\n"
		     "route unused { mx; source both }\n");
	rig_peer(0, &p);
	rig.route.sources = rig.config->pools[0];
	for (int i = 0; i < 10; i++) {
		m[i] = rig_message(&plain);
		schedule_add(schedule, m[i]);
	}
	wait_for(20);
	close_all();
	for (int i = 0; i < 10; i++) {
		assert_int_equal(m[i]->recipients[0].state, RECIPIENT_RELAYED);
		message_unref(m[i]);
	}
	peer_stop(&p);
	assert_int_equal(p.transactions, 10);
	peer_forget(&p);
}

/* ---- idle connections that are promised to slots */

/* A configuration as a file would have it: two hosts, one of which closes what is idle. */
static struct config *config_of(const struct peer *p, const char *statements)
{
	struct buf messages = BUF_INIT(65536);
	struct config_source source = { .path = "t.conf", .is_alone = true,
					.host_name = "relay.example" };
	unsigned errors, warnings;
	char text[2048];
	struct config *c;

	source.text = text;
	source.text_n = (size_t)snprintf(text, sizeof(text),
		"version 1\nsource a address 127.0.0.5\nsource b address 127.0.0.6\n"
		"pool both { source a; source b }\nproviders none\n"
		"route r {\nhost 127.0.0.1:%u { weight 2 }\nhost 127.0.0.1:%u\n"
		"tls off; source both; connections 6; messages 20\n"
		"connect_timeout 1s; timeout 2s; idle 1s\n}\n%s",
		p[0].port, p[1].port, statements);
	c = config_load_from(&source, &messages, &errors, &warnings);
	if (!c)
		fail_msg("%s", buf_cstr(&messages));
	buf_done(&messages);
	return c;
}

static void reload(const struct peer *p, const char *statements)
{
	config_set_current(config_of(p, statements));
	schedule_reload(schedule);
}

struct steer {
	struct post post;
	bool suspend;
	_Atomic bool done;
};

static void steer_run(void *arg)
{
	struct steer *x = arg;

	if (x->suspend)
		schedule_suspend(schedule, SUSPEND_SOURCE, STR("a"), STR("x"));
	else
		schedule_resume(schedule, SUSPEND_SOURCE, STR("a"));
	x->done = true;
}

static void steer_post(struct post *p)
{
	CHECK(task_start(NULL, steer_run, CONTAINER_OF(p, struct steer, post), "steer"));
}

static void steer(bool suspend)
{
	struct steer x = { .suspend = suspend };

	loop_post(net_loop(rig.net, 0), &x.post, steer_post);
	while (!x.done)
		usleep(1000);
}

/*
 * Bursts and pauses, in which idle connections are promised, used, closed by their hosts, grow old,
 * are wanted by others; reloads with other limits, a suspended source, and an end in the middle of
 * it all. What was counted as idle and what was promised must be even when a way ends (way_unref),
 * and all ways must end.
 */
static void go_through_promises(unsigned round, struct peer p[2])
{
	static const char *const limits[] = {
		"", "limit 2 connections per route\n", "limit 200/s messages per route\n",
		"limit 1 connections per source\n",
	};
	unsigned n = is_slow() ? 100 : 400;
	struct message **m = mem_calloc(n, sizeof(*m));
	struct limits_stats stats;

	open_all(3);
	reload(p, "");
	for (unsigned i = 0; i < n; i++) {
		m[i] = rig_message(&plain);
		schedule_add(schedule, m[i]);
		if (i % 10 == 9 && i < n / 2)	/* the rest at once */
			usleep((i + round) % 7 * 3000);
		if (i % 40 == 39)
			reload(p, limits[(i / 40 + round) % 4]);
		if (i % 50 == 49)
			steer(i % 100 == 49);
	}
	if (round % 2)
		usleep(1500000);		/* all are done, and what is idle grows old */
	deliver_stop(rig.deliver, 0);
	net_stop(rig.net);
	deliver_free(rig.deliver);
	limits_stats(schedule_limits(schedule), &stats);
	print_message("%u filed, %u ways left with their destinations\n", (unsigned)filed,
		      stats.ways);
	schedule_free(schedule);		/* no way outlives it */
	mem_free(rig.destination);
	config_set_current(NULL);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(m[i]->refs, 1);
		message_unref(m[i]);
	}
	mem_free(m);
}

static void test_promises(void **state)
{
	struct peer p[2] = { { 0 }, { .closes_idle = true } };
	unsigned connections;

	(void)state;
	for (int i = 0; i < 2; i++)
		peer_start(&p[i]);
	for (unsigned round = 0; round < 4; round++)
		go_through_promises(round, p);
	connections = p[0].connections;
	for (int i = 0; i < 2; i++)
		peer_stop(&p[i]);
	/* connections were used again, in all of this */
	assert_in_range(connections, 1, p[0].transactions / 2);
	for (int i = 0; i < 2; i++)
		peer_forget(&p[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_is_worked_off),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_down),
		cmocka_unit_test(test_idle_ones_make_way),
		cmocka_unit_test(test_no_such_domain),
		cmocka_unit_test(test_stop_while_looking_up),
		cmocka_unit_test(test_other_source),
		cmocka_unit_test(test_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
