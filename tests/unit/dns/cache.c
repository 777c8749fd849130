/*
 * dns/cache, address, mx: questions, waiting, keeping and bounds, with answers that the test gives
 * and a clock that it moves.
 */
#include "base/mem.h"
#include "dns/dns.h"
#include "unit/net/run.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

static struct world world;
static struct net *net;
static struct dns *dns;
static atomic_ullong clock_offset;
static atomic_uint asked, cancelled;
static struct dns_query *held[64];	/* not answered yet; on one loop only */
static unsigned held_n;
static uint32_t ttl = 60;
static int ask_error;

static uint64_t moved_now(struct world *w)
{
	return world_real()->now(w) + clock_offset;
}

static void turn(void)
{
	task_sleep_until(in_ms(1));
}

static void move_clock(uint64_t ns)
{
	clock_offset += ns;
	turn();
}

static void answer(struct dns_query *q, enum dns_status status, const struct dns_record *records,
		   unsigned n)
{
	q->status = status;
	q->ttl = strstr(q->name, q->type == DNS_MX ? "nosoa" : "nosoaboth") ? 0 : ttl;
	q->records = records;
	q->records_n = n;
	q->done(q);
}

static bool starts(const struct dns_query *q, const char *prefix)
{
	return strncmp(q->name, prefix, strlen(prefix)) == 0;
}

static void answer_by_name(struct dns_query *q)
{
	static unsigned char big[60000];
	static const struct dns_record a = { (const unsigned char *)"\300\0\2\1", 4 };
	static const struct dns_record aaaa = {
		(const unsigned char *)" \1\r\270\0\0\0\0\0\0\0\0\0\0\0\1", 16 };
	static const struct dns_record many = { big, sizeof(big) };
	bool v4 = q->type == DNS_A;

	if (starts(q, "none") || (starts(q, "noaddress") && q->type != DNS_MX))
		answer(q, DNS_NXDOMAIN, NULL, 0);
	else if (starts(q, "fail"))
		answer(q, DNS_SERVFAIL, NULL, 0);
	else if (starts(q, "bogus"))
		answer(q, DNS_BOGUS, NULL, 0);
	else if (starts(q, "big"))
		answer(q, DNS_OK, &many, 1);
	else if (q->type == DNS_MX || starts(q, "empty") || (v4 && starts(q, "six")) ||
		 (!v4 && starts(q, "four")))
		answer(q, DNS_NODATA, NULL, 0);
	else if (v4 && starts(q, "halffail"))
		answer(q, DNS_SERVFAIL, NULL, 0);
	else
		answer(q, DNS_OK, v4 ? &a : &aaaa, 1);
}

static void *answer_on_thread(void *arg)
{
	usleep(1000);
	answer_by_name(arg);
	return NULL;
}

static int fake_ask(struct world *w, struct dns_query *q)
{
	pthread_t t;

	(void)w;
	if (ask_error)
		return ask_error;
	asked++;
	if (starts(q, "hold") || (q->type == DNS_AAAA && starts(q, "late"))) {
		CHECK(held_n < 64);
		held[held_n++] = q;
	} else if (starts(q, "thread")) {
		CHECK_EQ(pthread_create(&t, NULL, answer_on_thread, q), 0);
		pthread_detach(t);
	} else {
		answer_by_name(q);
	}
	return 0;
}

static void release(enum dns_status status)
{
	while (held_n)
		answer(held[--held_n], status, NULL, 0);
}

static void fake_cancel(struct world *w, struct dns_query *q)
{
	(void)w;
	if (starts(q, "thread"))	/* its answer is on its way: nothing to hasten */
		return;
	cancelled++;
	CHECK(held_n && held[held_n - 1] == q);
	held_n--;
	answer(q, DNS_CANCELLED, NULL, 0);
}

/* ---- asking */

static enum dns_status look(const char *name, unsigned type, uint64_t deadline)
{
	struct dns_answer a;
	struct arena arena;

	arena_init(&arena);
	dns_lookup(dns, str_of(name), type, deadline, &arena, &a);
	arena_done(&arena);
	return a.status;
}

static unsigned asks(const char *name, unsigned type)	/* how often the world is asked by it */
{
	unsigned before = asked;

	look(name, type, NEVER);
	return asked - before;
}

struct waiting {
	const char *name;
	uint64_t ms;
	enum dns_status status;
	struct task *task;
	bool has_ended;
};

static void wait_for(void *arg)
{
	struct waiting *w = arg;

	w->status = look(w->name, DNS_A, in_ms(w->ms));
	w->has_ended = true;
}

/* ---- cases, each in a task */

static void kept(void *arg)
{
	(void)arg;
	CHECK_EQ(look("a.example", DNS_A, NEVER), DNS_OK);
	CHECK_EQ(asks("a.example", DNS_A), 0);
	CHECK_EQ(asks("A.Example.", DNS_A), 0);
	CHECK_EQ(asks("a.example", DNS_AAAA), 1);
	CHECK_EQ(asks("ab.example", DNS_A), 1);
	CHECK_EQ(look("none.example", DNS_A, NEVER), DNS_NXDOMAIN);
	CHECK_EQ(asks("none.example", DNS_A), 0);
	CHECK_EQ(look("a..example", DNS_A, NEVER), DNS_INVALID);
	CHECK_EQ(look("", DNS_A, NEVER), DNS_INVALID);
	/* times to live: as told, and within bounds */
	move_clock(59 * SECOND);
	CHECK_EQ(asks("a.example", DNS_A), 0);
	move_clock(2 * SECOND);
	CHECK_EQ(asks("a.example", DNS_A), 1);
	CHECK_EQ(asks("none.example", DNS_A), 1);
	ttl = 0;
	CHECK_EQ(asks("short.example", DNS_A), 1);
	move_clock(4 * SECOND);
	CHECK_EQ(asks("short.example", DNS_A), 0);
	move_clock(2 * SECOND);
	CHECK_EQ(asks("short.example", DNS_A), 1);
	ttl = 1000000;
	CHECK_EQ(asks("long.example", DNS_A), 1);
	move_clock(3590 * SECOND);
	CHECK_EQ(asks("long.example", DNS_A), 0);
	move_clock(11 * SECOND);
	CHECK_EQ(asks("long.example", DNS_A), 1);
	/* a failure: 5 s, 10, 20, 40, 60, 60; what was well starts anew */
	CHECK_EQ(look("fail.example", DNS_A, NEVER), DNS_SERVFAIL);
	for (unsigned i = 0, s = 5; i < 6; i++, s = s * 2 < 60 ? s * 2 : 60) {
		move_clock((s - 1) * SECOND);
		CHECK_EQ(asks("fail.example", DNS_A), 0);
		move_clock(2 * SECOND);
		CHECK_EQ(asks("fail.example", DNS_A), 1);
	}
	ttl = 60;
}

static void forgotten(void *arg)
{
	(void)arg;
	CHECK_EQ(asks("f.example", DNS_A), 1);
	CHECK_EQ(asks("f.example", DNS_A), 0);
	dns_forget(dns);
	CHECK_EQ(asks("f.example", DNS_A), 1);
	CHECK_EQ(asks("f.example", DNS_A), 0);
}

static void refused(void *arg)
{
	(void)arg;
	ask_error = -ESHUTDOWN;
	CHECK_EQ(look("refused.example", DNS_A, NEVER), DNS_SERVFAIL);
	ask_error = 0;
	world.dns_ask = NULL;
	CHECK_EQ(look("nobody.example", DNS_A, NEVER), DNS_SERVFAIL);
	world.dns_ask = fake_ask;
	move_clock(6 * SECOND);
	CHECK_EQ(look("refused.example", DNS_A, NEVER), DNS_OK);
}

static void waited_for(void *arg)
{
	struct waiting w[10];
	struct task_group group;
	unsigned before = asked;

	(void)arg;
	task_group_init(&group);
	for (int i = 0; i < 10; i++) {
		w[i] = (struct waiting){ .name = "hold.example", .ms = i == 3 ? 10 : 20000 };
		w[i].task = task_start(&group, wait_for, &w[i], "waits");
	}
	turn();
	CHECK_EQ(asked - before, 1);
	task_cancel(w[5].task);
	task_sleep_until(in_ms(30));
	CHECK(w[3].has_ended && w[5].has_ended && group.n == 8);
	CHECK_EQ(w[3].status, DNS_TIMEOUT);
	CHECK_EQ(w[5].status, DNS_CANCELLED);
	CHECK_EQ(cancelled, 0);
	release(DNS_NXDOMAIN);
	task_group_wait(&group, NEVER);
	for (int i = 0; i < 10; i++)
		CHECK(i == 3 || i == 5 || w[i].status == DNS_NXDOMAIN);
	/* an answer of the resolver's end is no cancellation of ours */
	w[0] = (struct waiting){ .name = "hold2.example", .ms = 20000 };
	task_start(&group, wait_for, &w[0], "waits");
	turn();
	release(DNS_CANCELLED);
	task_group_wait(&group, NEVER);
	CHECK_EQ(w[0].status, DNS_SERVFAIL);
}

static void cancelled_and_asked(void *arg)
{
	unsigned before = cancelled;

	(void)arg;
	CHECK_EQ(look("hold3.example", DNS_A, in_ms(5)), DNS_TIMEOUT);
	CHECK_EQ(cancelled - before, 1);	/* its answer is in a post: not here yet */
	CHECK_EQ(look("hold3.example", DNS_A, in_ms(20)), DNS_TIMEOUT);
	CHECK_EQ(cancelled - before, 2);	/* asked again when the first had ended */
	dns_wait(dns);
	CHECK_EQ(held_n, 0);
	for (int i = 0; i < 20; i++)
		look("thread.example", DNS_A, loop_now() + (uint64_t)i * 100000);
	CHECK_EQ(look("thread.example", DNS_A, NEVER), DNS_OK);
	dns_wait(dns);
}

static void bounded(void *arg)
{
	size_t before, n = is_slow() ? 20000 : 100000;
	char name[32];

	(void)arg;
	CHECK_EQ(asks("first.example", DNS_A), 1);
	before = mallinfo2().uordblks;
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "n%zu.example", i);
		CHECK_EQ(look(name, DNS_A, NEVER), DNS_OK);
		if (i % 1000 == 0)	/* what is in use stays */
			CHECK_EQ(asks("used.example", DNS_A), i == 0);
	}
	CHECK_EQ(asks(name, DNS_A), 0);
	CHECK_EQ(asks("first.example", DNS_A), 1);
	CHECK(is_slow() || mallinfo2().uordblks - before < 6 * 1024 * 1024);
	for (int i = 0; i < 1000; i++) {	/* 60 MB of records */
		snprintf(name, sizeof(name), "big%d.example", i);
		CHECK_EQ(look(name, DNS_A, NEVER), DNS_OK);
	}
	CHECK_EQ(asks("big999.example", DNS_A), 0);
	CHECK_EQ(asks("big900.example", DNS_A), 1);
	CHECK(is_slow() || mallinfo2().uordblks - before < 6 * 1024 * 1024);
	/* nothing fits beside them, and still nothing is wrong */
	CHECK_EQ(look("n1.example", DNS_A, NEVER), DNS_OK);
}

static void addresses(void *arg)
{
	static const struct {
		const char *name;
		unsigned families;
		enum dns_status status;
		unsigned n, first;	/* family */
	} cases[] = {
		{ "both.example", 3, DNS_OK, 2, 6 },
		{ "both.example", DNS_IPV4, DNS_OK, 1, 4 },
		{ "four.example", 3, DNS_OK, 1, 4 },
		{ "six.example", 3, DNS_OK, 1, 6 },
		{ "six.example", DNS_IPV4, DNS_NODATA, 0, 0 },
		{ "empty.example", 3, DNS_NODATA, 0, 0 },
		{ "none.example", 3, DNS_NXDOMAIN, 0, 0 },
		{ "fail.x.example", 3, DNS_SERVFAIL, 0, 0 },
		{ "bogus.example", 3, DNS_BOGUS, 0, 0 },
		{ "halffail.example", 3, DNS_OK, 1, 6 },
		{ "halffail.example", DNS_IPV4, DNS_SERVFAIL, 0, 0 },
		{ "192.0.2.1", 3, DNS_OK, 1, 4 },
		{ "192.0.2.1", DNS_IPV6, DNS_NODATA, 0, 0 },
		{ "[IPv6:2001:db8::1]", 3, DNS_OK, 1, 6 },
		{ "a..b", 3, DNS_INVALID, 0, 0 },
	};
	struct dns_addresses a;

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dns_addresses(dns, str_of(cases[i].name), cases[i].families, NEVER, &a);
		if (a.status != cases[i].status || a.n != cases[i].n ||
		    (a.n && a.ips[0].family != cases[i].first))
			fprintf(stderr, "%s\n", cases[i].name), abort();
	}
}

static void late_family(void *arg)
{
	uint64_t before = loop_now();
	struct dns_addresses a;

	(void)arg;
	dns_addresses(dns, STR("late.example"), 3, in_seconds(30), &a);
	CHECK_EQ(a.status, DNS_OK);
	CHECK_EQ(a.n, 1);
	CHECK(loop_now() - before >= SECOND && loop_now() - before < 10 * SECOND);
	CHECK_EQ(held_n, 1);		/* it goes on for the cache */
	release(DNS_TIMEOUT);
	dns_wait(dns);
	before = asked;
	dns_addresses(dns, STR("late.example"), 3, in_seconds(30), &a);
	CHECK_EQ(asked, before);
	CHECK_EQ(a.status, DNS_OK);
	/* nothing of the other: the whole deadline, then cancelled */
	before = cancelled;
	dns_addresses(dns, STR("hold4.example"), DNS_IPV4, in_ms(20), &a);
	CHECK_EQ(a.status, DNS_TIMEOUT);
	CHECK_EQ(cancelled, before + 1);
}

static void implicit(void *arg)
{
	static const struct {
		const char *name;
		enum dns_status status;
	} cases[] = {
		{ "four.mx.example", DNS_OK },	     { "six.mx.example", DNS_OK },
		{ "empty.mx.example", DNS_NODATA },  { "four.nosoa.example", DNS_OK },
		/* that there is no MX is not sure: wait, whatever the addresses say */
		{ "empty.nosoa.example", DNS_SERVFAIL },
		{ "empty.nosoaboth.example", DNS_SERVFAIL },
		{ "noaddress.nosoa.example", DNS_SERVFAIL },
	};
	struct mx_answer *m = mem_alloc(sizeof(*m));
	struct arena arena;

	(void)arg;
	arena_init(&arena);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dns_mx(dns, str_of(cases[i].name), NEVER, &arena, m);
		CHECK_EQ(m->status, cases[i].status);
		CHECK(m->is_implicit && !m->is_null);
		CHECK_EQ(m->n, m->status == DNS_OK);
		CHECK(!m->n || str_eq(m->hosts[0].name, str_of(cases[i].name)));
	}
	dns_mx(dns, STR("none.mx.example"), NEVER, &arena, m);
	CHECK_EQ(m->status, DNS_NXDOMAIN);
	CHECK(!m->is_implicit);
	dns_mx(dns, STR("hold.mx.example"), in_ms(5), &arena, m);
	CHECK_EQ(m->status, DNS_TIMEOUT);
	arena_done(&arena);
	mem_free(m);
	dns_wait(dns);
}

static void in_world(void (*fn)(void *arg))
{
	world = *world_real();
	world.now = moved_now;
	world.dns_ask = fake_ask;
	world.dns_cancel = fake_cancel;
	asked = cancelled = held_n = 0;
	net = net_new(&world, 1, 1);
	dns = dns_new(net);
	net_start(net);
	run_on(net_loop(net, 0), fn, NULL, true);
	net_stop(net);
	dns_free(dns);
}

#define CASE(name) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		in_world(name); \
	}

CASE(kept)
CASE(forgotten)
CASE(refused)
CASE(waited_for)
CASE(cancelled_and_asked)
CASE(bounded)
CASE(addresses)
CASE(late_family)
CASE(implicit)

/* ---- mx_shuffle: pure */

static uint64_t state_of_chance = 1;

static uint64_t chance(void *arg, uint64_t below)
{
	++*(unsigned *)arg;
	state_of_chance = state_of_chance * 6364136223846793005u + 1442695040888963407u;
	return (state_of_chance >> 33) % below;
}

/* Three of one preference between two others: each order a sixth of the time. */
static void test_shuffle(void **state)
{
	static const char *const names[] = { "x", "a", "b", "c", "y" };
	static const uint16_t preferences[] = { 5, 10, 10, 10, 20 };
	unsigned counts[27] = { 0 }, calls = 0, orders = 0;
	struct mx_answer m = { .n = 5 };

	(void)state;
	for (int round = 0; round < 6000; round++) {
		for (int i = 0; i < 5; i++)
			m.hosts[i] = (struct mx_host){ str_of(names[i]), preferences[i] };
		mx_shuffle(&m, chance, &calls);
		assert_str_equal(m.hosts[0].name, STR("x"));
		assert_str_equal(m.hosts[4].name, STR("y"));
		counts[(m.hosts[1].name.p[0] - 'a') * 9 + (m.hosts[2].name.p[0] - 'a') * 3 +
		       (m.hosts[3].name.p[0] - 'a')]++;
	}
	for (int i = 0; i < 27; i++) {
		orders += counts[i] > 0;
		assert_true(counts[i] == 0 || (counts[i] > 850 && counts[i] < 1150));
	}
	assert_int_equal(orders, 6);
	assert_int_equal(calls, 12000);
	m.n = 0;
	mx_shuffle(&m, chance, &calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_waited_for),
		cmocka_unit_test(test_cancelled_and_asked),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_late_family),
		cmocka_unit_test(test_implicit),
		cmocka_unit_test(test_shuffle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
