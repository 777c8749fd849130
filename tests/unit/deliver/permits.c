/*
 * deliver/: from which source, with how many connections, transactions and messages per connection
 * - sources, permits, the pool's share, and what the limits are told.
 */
#include "unit/deliver/rig.h"

static const struct mail plain = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } };

/* ---- sources */

#define SOURCES                                                                                    \
	"source one address 127.0.0.5 ::1 helo one.example\n"                                      \
	"source two address 127.0.0.6\n"                                                           \
	"source lost address 192.0.2.55\n"

static const struct name *source_name(const char *text)
{
	return name_intern(str_of(text));
}

static void try_from(const char *source)
{
	rig.source = source_name(source);
	rig_try_one(&plain);
}

static void test_source(void **state)
{
	struct peer p = { 0 };

	(void)state;
	rig_open_with(SOURCES);
	rig_peer(0, &p);
	try_from("one");
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	assert_string_equal(p.from, "127.0.0.5");
	try_from("two");	/* a connection of another source is of no use */
	assert_string_equal(p.from, "127.0.0.6");
	assert_int_equal(p.connections, 2);
	assert_int_equal(rig_pooled(), 2);
	try_from("one");
	try_from("two");
	assert_int_equal(p.connections, 2);
	rig.source = NULL;
	rig_try_one(&plain);
	assert_string_equal(p.from, "127.0.0.1");
	rig_close();
	peer_stop(&p);
	assert_int_equal(p.connections, 3);
	assert_non_null(strstr(p.log, "EHLO one.example\n"));
	assert_non_null(strstr(p.log, "EHLO relay.example\n"));
	peer_forget(&p);
}

static void test_source_is_gone(void **state)
{
	struct peer p = { 0 };

	(void)state;
	rig_open_with(SOURCES);
	rig_peer(0, &p);
	try_from("old");
	assert_int_equal(rig.result, JOB_UNTRIED);
	assert_int_equal(rig.learnt, DESTINATION_UNKNOWN);
	assert_string_equal(rig.said, "source old is not in the configuration");
	rig_close();
	peer_stop(&p);
	assert_int_equal(p.connections, 0);
}

/* It rests there, another may go: the host and its destination are not to blame. */
static void test_source_is_not_ours(void **state)
{
	struct peer p = { 0 };

	(void)state;
	rig_open_with(SOURCES);
	rig_peer(0, &p);
	for (int i = 0; i < 4; i++) {
		try_from("lost");
		assert_int_equal(rig.result, JOB_PARTLY);
		assert_int_equal(rig.learnt, DESTINATION_UNKNOWN);
		assert_int_equal(rig.reaction, REACT_OTHER_SOURCE);
		assert_int_equal(rig.reaction_ns, 60 * SECOND);
		assert_non_null(strstr(rig.reacts_to, "the source's address cannot be used: lost"));
		assert_int_equal(rig.settles, 0);
	}
	try_from("one");
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
}

static void test_source_without_family(void **state)
{
	(void)state;
	rig_open_with(SOURCES);
	rig_host(0, "::1", 9);
	try_from("two");
	assert_int_equal(rig.result, JOB_PARTLY);
	assert_int_equal(rig.learnt, DESTINATION_UNKNOWN);
	assert_int_equal(rig.reaction, REACT_OTHER_SOURCE);
	assert_non_null(strstr(rig.reacts_to, "no address of a family"));
	try_from("one");	/* has one */
	assert_int_equal(rig.learnt, DESTINATION_DOWN);
	rig_host(0, "six.example", 9);
	zone_add("six.example AAAA ::1");
	try_from("two");
	assert_int_equal(rig.reaction, REACT_OTHER_SOURCE);
	rig_close();
}

/* ---- permits */

static struct limits *limits;

static void open_limited(const char *statements)
{
	const struct hop hop = {
		.destination = STR("r"),
		.route = name_intern(STR("r")),
		.connections_max = 100,
	};

	rig_open_with(statements);
	limits = limits_new(rig.net, NULL);
	limits_reload(limits, rig.config);
	rig.way = way_get(limits, &hop);
}

static unsigned free_permits(void)
{
	unsigned n = 0;

	while (n < 200 && way_connect(rig.way, NULL))
		n++;
	for (unsigned i = 0; i < n; i++)
		way_disconnect(rig.way);
	return n;
}

/* Everything that was taken was given back. */
static void close_limited(unsigned permits)
{
	deliver_stop(rig.deliver, SECOND);
	assert_int_equal(free_permits(), permits);
	way_unref(rig.way);
	rig.way = NULL;
	limits_stop(limits);
	rig_close();
	limits_free(limits);
}

#define FEW "limit 2 connections per route\n"
#define ONE "limit 1 connections per route\n"

static void test_permit_goes_with_the_connection(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_limited(FEW);
	rig_peer(0, &p);
	rig_try_one(&plain);
	assert_false(rig.permit_left);
	assert_int_equal(rig_pooled(), 1);
	assert_int_equal(free_permits(), 1);	/* the idle one counts */
	rig_try_one(&plain);
	assert_int_equal(free_permits(), 1);	/* taken out again: still one */
	close_limited(2);
	peer_stop(&p);
	assert_int_equal(p.connections, 1);
	peer_forget(&p);
}

static void test_permit_stays_with_the_slot(void **state)
{
	struct peer p = { .greeting = "554 no" };

	(void)state;
	open_limited(ONE);
	rig_peer(0, &p);
	rig_try_one(&plain);
	assert_true(rig.permit_left);
	rig_try_one(&plain);
	close_limited(1);
	peer_stop(&p);
	assert_int_equal(p.open_max, 1);
	peer_forget(&p);
}

/* To go on to the next host is to give the first one up - where only one is allowed. */
static void test_next_host(void **state)
{
	static const struct {
		const char *limit;
		unsigned pooled, permits;
	} rows[] = {
		{ FEW, 2, 2 },
		{ ONE, 1, 1 },
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct peer a = { .mail = "451 4.3.0 no" }, b = { 0 };

		open_limited(rows[i].limit);
		rig_peer(0, &a);
		rig_peer(1, &b);
		rig.hosts[1].backup = true;
		rig_try_one(&plain);
		assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
		assert_int_equal(rig_pooled(), rows[i].pooled);
		close_limited(rows[i].permits);
		peer_stop(&a);
		peer_stop(&b);
		assert_int_equal(b.transactions, 1);
		assert_non_null(strstr(a.log, "QUIT"));
		peer_forget(&a);
		peer_forget(&b);
	}
}

/* Connections that are full are replaced, never exceeded; the strictest bound counts. */
static void test_messages_per_connection(void **state)
{
	static const struct {
		unsigned route_max, connections;
	} rows[] = { { 0, 3 }, { 100, 3 }, { 3, 3 }, { 2, 5 } };

	(void)state;
	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		struct message *m[9];
		struct peer p = { 0 };

		open_limited(ONE "limit 4 messages per connection per route\n");
		rig.route.messages_max = rows[k].route_max;
		rig_peer(0, &p);
		for (int i = 0; i < 9; i++)
			m[i] = rig_message(&plain);
		rig_try(m, 9);
		for (int i = 0; i < 9; i++) {
			assert_int_equal(m[i]->recipients[0].state, RECIPIENT_RELAYED);
			message_unref(m[i]);
		}
		close_limited(1);
		peer_stop(&p);
		assert_int_equal(p.connections, rows[k].connections);
		assert_int_equal(p.open_max, 1);
		peer_forget(&p);
	}
}

/* A connection that dies under us gives its permit back to the slot. */
static void test_closed_while_idle(void **state)
{
	struct message *m[5];
	struct peer p = { .closes_idle = true };

	(void)state;
	open_limited(ONE);
	rig_peer(0, &p);
	for (int i = 0; i < 5; i++)
		m[i] = rig_message(&plain);
	rig_try(m, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(m[i]->recipients[0].state, RECIPIENT_RELAYED);
		message_unref(m[i]);
	}
	close_limited(1);
	peer_stop(&p);
	assert_int_equal(p.connections, 5);
	peer_forget(&p);
}

/* Of another way (another domain at the same host): it counts where it works. */
static void test_permit_changes_over(void **state)
{
	const struct hop other = {
		.destination = STR("other"),
		.route = name_intern(STR("other")),
		.connections_max = 100,
	};
	struct peer p = { 0 };
	struct way *first;

	(void)state;
	open_limited(FEW);
	rig_peer(0, &p);
	rig_try_one(&plain);
	assert_int_equal(free_permits(), 1);
	first = rig.way;
	rig.way = way_get(limits, &other);
	rig_try_one(&plain);
	assert_int_equal(free_permits(), 1);
	way_unref(rig.way);
	rig.way = first;
	assert_int_equal(free_permits(), 2);
	close_limited(2);
	peer_stop(&p);
	assert_int_equal(p.connections, 1);
	peer_forget(&p);
}

/* ---- further transactions */

#define RCPTMAX "250-x\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=30"

static unsigned kept_n(void)
{
	unsigned n = 0;

	for (int i = 0; i < RIG_KEPT; i++)
		n += rig.kept[i].known;
	return n;
}

static void test_further_transactions_ask(void **state)
{
	static const struct {
		const char *limit;
		unsigned transactions, kept;
		enum job_result result;
	} rows[] = {
		{ "", 3, 70, JOB_SETTLED },
		/* the first transaction was passed by the schedule */
		{ "limit 1/h messages per route\n", 2, 60, JOB_PARTLY },
		/* 40 pass, of which the host takes 30, then 5 of 10 */
		{ "limit 45/h recipients per route\n", 3, 65, JOB_PARTLY },
	};
	struct mail many = { .content = plain.content, .recipients_n = 70 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer p = { .ehlo = RCPTMAX };

		open_limited(rows[i].limit);
		rig_peer(0, &p);
		rig_try_one(&many);
		assert_int_equal(rig.result, rows[i].result);
		assert_int_equal(rig.learnt, DESTINATION_WORKS);
		assert_int_equal(kept_n(), rows[i].kept);
		close_limited(100);
		peer_stop(&p);
		assert_int_equal(p.transactions, rows[i].transactions);
		peer_forget(&p);
	}
}

/* The first host refused for now, a limit does not let the second be asked: that is an attempt. */
static void test_limit_before_the_next_host(void **state)
{
	struct peer a = { .mail = "451 4.3.0 no" }, b = { 0 };

	(void)state;
	open_limited("limit 1/h messages per route\n");
	assert_true(way_pass(rig.way, 1, 100, &(unsigned){ 0 }, NULL));
	rig_peer(0, &a);
	rig_peer(1, &b);
	rig.hosts[1].backup = true;
	rig_try_one(&plain);
	assert_int_equal(rig.kept[0].state, RECIPIENT_QUEUED);
	assert_int_equal(rig.result, JOB_DEFERRED);
	assert_non_null(strstr(rig.said, "451 4.3.0 no"));
	close_limited(100);
	peer_stop(&a);
	peer_stop(&b);
	assert_int_equal(b.transactions, 0);
	peer_forget(&a);
	peer_forget(&b);
}

/* Asked for, and then the connection is stale and nobody there: given back. */
static void test_unused_pass_is_given_back(void **state)
{
	struct peer p = { .ehlo = "250-x\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1",
			  .messages_max = 1, .once = true };
	struct mail two = { .content = plain.content, .recipients_n = 2 };
	unsigned passed;

	(void)state;
	open_limited("limit 1/h messages per route\n");
	rig_peer(0, &p);
	rig_try_one(&two);
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	assert_int_equal(rig.kept[1].state, RECIPIENT_QUEUED);
	assert_true(way_pass(rig.way, 1, 100, &passed, NULL));
	close_limited(100);
	peer_stop(&p);
	peer_forget(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_source_is_gone),
		cmocka_unit_test(test_source_is_not_ours),
		cmocka_unit_test(test_source_without_family),
		cmocka_unit_test(test_permit_goes_with_the_connection),
		cmocka_unit_test(test_permit_stays_with_the_slot),
		cmocka_unit_test(test_next_host),
		cmocka_unit_test(test_messages_per_connection),
		cmocka_unit_test(test_closed_while_idle),
		cmocka_unit_test(test_permit_changes_over),
		cmocka_unit_test(test_further_transactions_ask),
		cmocka_unit_test(test_limit_before_the_next_host),
		cmocka_unit_test(test_unused_pass_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
