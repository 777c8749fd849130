/* client_limits: exact windows for each client, network and login; bounded; connections counted. */
#include "policy/client_limits.h"

#include "base/hash.h"
#include "net/loop.h"
#include "unit/unit.h"

#include <pthread.h>

#define T0 (1000 * SECOND)
#define MINUTE (60 * SECOND)

static struct limit limit_of(const char *text, enum limit_what what, uint64_t count,
			     uint64_t period_ns, unsigned per)
{
	return (struct limit){ .text = str_of(text), .what = what, .count = count,
			       .period_ns = period_ns, .per = per };
}

static struct sender from(const char *ip, const char *login)
{
	struct sender s = { .login = str_of(login) };

	if (*ip)
		assert_true(ip_parse(str_of(ip), &s.ip));
	return s;
}

static const struct limit *spend_one(struct client_limits *l, const struct config *c,
				     const struct sender *s, enum limit_what what, uint64_t n,
				     uint64_t now, uint64_t *ret_again)
{
	struct spending x = { .config = c, .from = s, .now = now };

	if (what == LIMIT_MESSAGES)
		x.messages = n;
	else if (what == LIMIT_RECIPIENTS)
		x.recipients = n;
	else
		x.octets = n;
	return client_limits_spend(l, &x, ret_again);
}

static bool spends(struct client_limits *l, const struct config *c, const char *ip,
		   const char *login, enum limit_what what, uint64_t n, uint64_t now)
{
	const struct sender s = from(ip, login);
	uint64_t again = 0;

	if (!spend_one(l, c, &s, what, n, now, &again))
		return true;
	assert_true(again > 0);
	return false;
}

/* Whom a limit counts together. */
static void test_keys(void **state)
{
	static const struct {
		const char *a, *b, *login_a, *login_b;
		unsigned per;
		bool same;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", "", "", LIMIT_PER_CLIENT, true },
		{ "192.0.2.1", "192.0.2.2", "", "", LIMIT_PER_CLIENT, false },
		{ "192.0.2.1", "192.0.2.2", "", "", LIMIT_PER_CLIENT_NETWORK, true },
		{ "192.0.2.1", "192.0.3.1", "", "", LIMIT_PER_CLIENT_NETWORK, false },
		{ "2001:db8::1", "2001:db8::ffff:1", "", "", LIMIT_PER_CLIENT, true },
		{ "2001:db8::1", "2001:db8:0:1::1", "", "", LIMIT_PER_CLIENT, false },
		{ "2001:db8::1", "2001:db8:0:1::1", "", "", LIMIT_PER_CLIENT_NETWORK, true },
		{ "2001:db8::1", "2001:db8:1::1", "", "", LIMIT_PER_CLIENT_NETWORK, false },
		{ "192.0.2.1", "198.51.100.1", "anna", "Anna", LIMIT_PER_LOGIN, true },
		{ "192.0.2.1", "192.0.2.1", "anna", "bert", LIMIT_PER_LOGIN, false },
		{ "192.0.2.1", "192.0.2.2", "anna", "anna", LIMIT_PER_LOGIN | LIMIT_PER_CLIENT,
		  false },
		{ "192.0.2.1", "192.0.2.1", "anna", "anna", LIMIT_PER_LOGIN | LIMIT_PER_CLIENT,
		  true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct limit limit = limit_of("x", LIMIT_MESSAGES, 1, MINUTE, cases[i].per);
		struct config c = { .limits = &limit, .limits_n = 1 };
		struct client_limits *l = client_limits_new(100);
		bool second;

		assert_true(spends(l, &c, cases[i].a, cases[i].login_a, LIMIT_MESSAGES, 1, T0));
		second = spends(l, &c, cases[i].b, cases[i].login_b, LIMIT_MESSAGES, 1, T0);
		if (second == cases[i].same)
			fail_msg("case %zu", i);
		client_limits_free(l);
	}
}

/* What does not fit by its octets has not spent a message either. */
static void test_one_spending(void **state)
{
	struct limit limits[] = {
		limit_of("a", LIMIT_MESSAGES, 2, MINUTE, LIMIT_PER_CLIENT),
		limit_of("b", LIMIT_OCTETS, 100, MINUTE, LIMIT_PER_CLIENT),
	};
	struct config c = { .limits = limits, .limits_n = 2 };
	struct client_limits *l = client_limits_new(100);
	const struct sender s = from("192.0.2.1", "");
	struct spending x = { .config = &c, .from = &s, .messages = 1, .octets = 60, .now = T0 };
	uint64_t again = 0;

	(void)state;
	assert_null(client_limits_spend(l, &x, &again));
	for (unsigned i = 0; i < 5; i++)
		assert_ptr_equal(client_limits_spend(l, &x, &again), &limits[1]);
	x.octets = 40;
	assert_null(client_limits_spend(l, &x, &again));
	x.octets = 0;
	assert_ptr_equal(client_limits_spend(l, &x, &again), &limits[0]);
	client_limits_free(l);
}

static void test_without_a_key(void **state)
{
	struct limit limits[] = { limit_of("a", LIMIT_MESSAGES, 1, MINUTE, LIMIT_PER_LOGIN),
				  limit_of("b", LIMIT_MESSAGES, 1, MINUTE, LIMIT_PER_CLIENT),
				  limit_of("c", LIMIT_MESSAGES, 1, MINUTE, LIMIT_PER_DESTINATION) };
	struct config c = { .limits = limits, .limits_n = 3 };
	struct client_limits *l = client_limits_new(100);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_true(spends(l, &c, "", "", LIMIT_MESSAGES, 1, T0));
	assert_int_equal(client_limits_count(l), 0);
	client_limits_free(l);
}

static void test_window(void **state)
{
	struct limit limit = limit_of("10/min", LIMIT_RECIPIENTS, 10, MINUTE, LIMIT_PER_CLIENT);
	struct config c = { .limits = &limit, .limits_n = 1 };
	struct client_limits *l = client_limits_new(100);
	const struct sender s = from("192.0.2.1", "");
	uint64_t again = 0, now = T0;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_null(spend_one(l, &c, &s, LIMIT_RECIPIENTS, 1, now++, &again));
	assert_ptr_equal(spend_one(l, &c, &s, LIMIT_RECIPIENTS, 1, now, &again), &limit);
	assert_in_range(again, MINUTE - 10, MINUTE + MINUTE / 64 + 10);
	/* refusals cost nothing, however many */
	for (unsigned i = 0; i < 1000; i++)
		spend_one(l, &c, &s, LIMIT_RECIPIENTS, 1, now, &again);
	assert_ptr_equal(spend_one(l, &c, &s, LIMIT_RECIPIENTS, 1, T0 + MINUTE - 1,
					     &again), &limit);
	assert_null(spend_one(l, &c, &s, LIMIT_RECIPIENTS, 10,
					T0 + MINUTE + MINUTE / 64 + 20, &again));
	/* another kind is another matter */
	assert_null(spend_one(l, &c, &s, LIMIT_MESSAGES, 1, now, &again));
	client_limits_free(l);
}

/* One of two limits refuses: the other is not charged. */
static void test_all_or_none(void **state)
{
	struct limit limits[] = { limit_of("a", LIMIT_MESSAGES, 100, MINUTE, LIMIT_PER_CLIENT),
				  limit_of("b", LIMIT_MESSAGES, 2, SECOND, LIMIT_PER_CLIENT) };
	struct config c = { .limits = limits, .limits_n = 2 };
	struct config a_alone = { .limits = limits, .limits_n = 1 };
	struct client_limits *l = client_limits_new(100);
	unsigned passed = 0;

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		passed += spends(l, &c, "192.0.2.1", "", LIMIT_MESSAGES, 1, T0);
	assert_int_equal(passed, 2);
	assert_false(spends(l, &a_alone, "192.0.2.1", "", LIMIT_MESSAGES, 99, T0));
	assert_true(spends(l, &a_alone, "192.0.2.1", "", LIMIT_MESSAGES, 98, T0));
	client_limits_free(l);
}

static void test_octets(void **state)
{
	struct limit limit = limit_of("o", LIMIT_OCTETS, 100ull << 30, MINUTE, LIMIT_PER_CLIENT);
	struct config c = { .limits = &limit, .limits_n = 1 };
	struct client_limits *l = client_limits_new(100);
	const struct sender s = from("192.0.2.1", "");

	(void)state;
	assert_true(spends(l, &c, "192.0.2.1", "", LIMIT_OCTETS, 60ull << 30, T0));
	assert_false(spends(l, &c, "192.0.2.1", "", LIMIT_OCTETS, 60ull << 30, T0));
	assert_true(spends(l, &c, "192.0.2.1", "", LIMIT_OCTETS, 30ull << 30, T0));
	/* more than the limit itself: alone, once in a period */
	assert_true(spends(l, &c, "192.0.2.2", "", LIMIT_OCTETS, 500ull << 30, T0));
	assert_false(spends(l, &c, "192.0.2.2", "", LIMIT_OCTETS, 1, T0 + 1));
	/* what has happened is charged, up to the brim */
	client_limits_charge(l, &(struct spending){ .config = &c, .from = &s,
						.octets = UINT64_MAX, .now = T0 });
	assert_false(spends(l, &c, "192.0.2.1", "", LIMIT_OCTETS, 1000, T0));
	assert_true(spends(l, &c, "192.0.2.1", "", LIMIT_OCTETS, 1000, T0 + 2 * MINUTE));
	client_limits_free(l);
}

static void test_connections(void **state)
{
	struct limit limits[] = { limit_of("a", LIMIT_CONNECTIONS, 3, 0, LIMIT_PER_CLIENT_NETWORK),
				  limit_of("b", LIMIT_CONNECTIONS, 2, 0, LIMIT_PER_CLIENT) };
	struct config c = { .limits = limits, .limits_n = 2 };
	struct client_limits *l = client_limits_new(100);
	const struct sender a = from("192.0.2.1", ""), b = from("192.0.2.2", "");
	struct connection_counts counts[6] = { 0 };
	unsigned per = LIMIT_PER_CLIENT | LIMIT_PER_CLIENT_NETWORK;

	(void)state;
	assert_null(client_limits_connect(l, &c, &a, per, &counts[0]));
	assert_int_equal(counts[0].n, 2);
	assert_null(client_limits_connect(l, &c, &a, per, &counts[1]));
	assert_ptr_equal(client_limits_connect(l, &c, &a, per, &counts[2]), &limits[1]);
	assert_int_equal(counts[2].n, 0);
	/* the refused one left nothing behind: the network has room for one */
	assert_null(client_limits_connect(l, &c, &b, per, &counts[3]));
	assert_ptr_equal(client_limits_connect(l, &c, &b, per, &counts[4]), &limits[0]);
	client_limits_disconnect(l, &counts[0], 0);
	assert_null(client_limits_connect(l, &c, &b, per, &counts[5]));
	client_limits_disconnect(l, &counts[1], 0);
	client_limits_disconnect(l, &counts[3], 0);
	client_limits_disconnect(l, &counts[5], 0);
	client_limits_free(l);
}

/* As many as may be written, and the one that holds unwritten: none is left out. */
static void test_all_of_them(void **state)
{
	struct limit limits[LIMITS_OF_SENDER_MAX];
	struct config c = { .limits = limits, .limits_n = LIMITS_OF_SENDER_MAX };
	struct client_limits *l = client_limits_new(100);
	const struct sender a = { .ip = from("192.0.2.1", "").ip, .login = STR("anna") };
	struct connection_counts counts[2] = { 0 };
	char texts[LIMITS_OF_SENDER_MAX][8];

	(void)state;
	for (unsigned i = 0; i < LIMITS_OF_SENDER_MAX; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%u", i);
		limits[i] = limit_of(texts[i], LIMIT_CONNECTIONS, 10, 0, LIMIT_PER_LOGIN);
	}
	limits[LIMITS_PER_SENDER_MAX].per = LIMIT_PER_CLIENT;
	limits[LIMITS_PER_SENDER_MAX - 1].count = 1;
	for (unsigned i = 0; i < 2; i++)
		assert_null(client_limits_connect(l, &c, &a, LIMIT_PER_CLIENT, &counts[i]));
	assert_null(client_limits_connect(l, &c, &a, LIMIT_PER_LOGIN, &counts[0]));
	assert_int_equal(counts[0].n, LIMITS_OF_SENDER_MAX);
	assert_ptr_equal(client_limits_connect(l, &c, &a, LIMIT_PER_LOGIN, &counts[1]),
			 &limits[LIMITS_PER_SENDER_MAX - 1]);
	client_limits_disconnect(l, &counts[0], 1);
	assert_int_equal(counts[0].n, 1);
	assert_null(client_limits_connect(l, &c, &a, LIMIT_PER_LOGIN, &counts[1]));
	for (unsigned i = 0; i < 2; i++)
		client_limits_disconnect(l, &counts[i], 0);
	client_limits_free(l);
}

/* A limit of one listening address counts those who come there. */
static void test_addresses(void **state)
{
	struct endpoint here = { .port = 25 }, there = { .port = 26 };
	struct limit limit = limit_of("a", LIMIT_CONNECTIONS, 1, 0, LIMIT_PER_CLIENT);
	struct config c = { .limits = &limit, .limits_n = 1 };
	struct client_limits *l = client_limits_new(100);
	struct sender a = from("192.0.2.1", "");
	struct connection_counts counts = { 0 }, others = { 0 };

	(void)state;
	limit.listen = &here;
	a.listen = &(struct endpoint){ .port = 25 };
	assert_null(client_limits_connect(l, &c, &a, LIMIT_PER_CLIENT, &counts));
	assert_int_equal(counts.n, 1);
	assert_ptr_equal(client_limits_connect(l, &c, &a, LIMIT_PER_CLIENT, &others), &limit);
	a.listen = &there;
	assert_null(client_limits_connect(l, &c, &a, LIMIT_PER_CLIENT, &others));
	assert_int_equal(others.n, 0);
	a.listen = NULL;
	assert_null(client_limits_connect(l, &c, &a, LIMIT_PER_CLIENT, &others));
	assert_int_equal(others.n, 0);
	client_limits_disconnect(l, &counts, 0);
	client_limits_free(l);
}

/* Full: the idle ones go, the oldest first; those with connections stay. */
static void test_bounded(void **state)
{
	struct limit limits[] = { limit_of("a", LIMIT_MESSAGES, 1, MINUTE, LIMIT_PER_CLIENT),
				  limit_of("b", LIMIT_CONNECTIONS, 1, 0, LIMIT_PER_CLIENT) };
	struct config c = { .limits = limits, .limits_n = 2 };
	struct client_limits *l = client_limits_new(8);
	struct connection_counts counts = { 0 }, others = { 0 };
	struct sender s = from("10.0.0.0", "");

	(void)state;
	assert_null(client_limits_connect(l, &c, &s, LIMIT_PER_CLIENT, &counts));
	for (unsigned i = 1; i < 10000; i++) {
		uint64_t again;

		s.ip.bytes[2] = (uint8_t)(i >> 8);
		s.ip.bytes[3] = (uint8_t)i;
		assert_null(spend_one(l, &c, &s, LIMIT_MESSAGES, 1, T0, &again));
		assert_true(client_limits_count(l) <= 8);
	}
	assert_false(spends(l, &c, "10.0.39.15", "", LIMIT_MESSAGES, 1, T0));	/* the last */
	assert_true(spends(l, &c, "10.0.0.1", "", LIMIT_MESSAGES, 1, T0));	/* forgotten */
	s = from("10.0.0.0", "");
	assert_non_null(client_limits_connect(l, &c, &s, LIMIT_PER_CLIENT, &others));
	client_limits_disconnect(l, &counts, 0);
	client_limits_free(l);
}

/* A reload: the same text is the same limit, wherever it stands. */
static void test_reload(void **state)
{
	struct limit before = limit_of("a", LIMIT_MESSAGES, 1, MINUTE, LIMIT_PER_CLIENT);
	struct limit after[] = { limit_of("z", LIMIT_MESSAGES, 9, MINUTE, LIMIT_PER_CLIENT),
				 before };
	struct config one = { .limits = &before, .limits_n = 1 };
	struct config two = { .limits = after, .limits_n = 2 };
	struct client_limits *l = client_limits_new(100);

	(void)state;
	assert_true(spends(l, &one, "192.0.2.1", "", LIMIT_MESSAGES, 1, T0));
	assert_false(spends(l, &two, "192.0.2.1", "", LIMIT_MESSAGES, 1, T0));
	client_limits_free(l);
}

/* ---- threads: never more than the limit in all */

static struct client_limits *shared;
static struct limit shared_limits[2];
static struct config shared_config = { .limits = shared_limits, .limits_n = 2 };

static void *spend_much(void *arg)
{
	unsigned *passed = arg;
	const struct sender s = from("192.0.2.1", "");

	for (unsigned i = 0; i < 20000; i++) {
		struct connection_counts counts = { 0 };
		uint64_t again;

		*passed += !spend_one(shared, &shared_config, &s, LIMIT_MESSAGES, 1,
						T0 + i, &again);
		if (!client_limits_connect(shared, &shared_config, &s, LIMIT_PER_CLIENT, &counts))
			client_limits_disconnect(shared, &counts, 0);
	}
	return NULL;
}

static void test_threads(void **state)
{
	unsigned passed[4] = { 0 };
	pthread_t threads[4];

	(void)state;
	shared = client_limits_new(100);
	shared_limits[0] = limit_of("m", LIMIT_MESSAGES, 777, MINUTE, LIMIT_PER_CLIENT);
	shared_limits[1] = limit_of("c", LIMIT_CONNECTIONS, 2, 0, LIMIT_PER_CLIENT);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, spend_much, &passed[i]);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(passed[0] + passed[1] + passed[2] + passed[3], 777);
	client_limits_free(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_one_spending),
		cmocka_unit_test(test_without_a_key),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_all_or_none),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_all_of_them),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_threads),
	};

	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
