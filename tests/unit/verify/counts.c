/*
 * verify/tlsrpt_count: what is counted, and what still is when there is no room any more.
 */
#include "unit/net/run.h"

#include "verify/tlsrpt_inner.h"

#include <malloc.h>
#include <stdio.h>

struct counts {
	json_int_t good, bad, told;	/* told: the sum over the failures' details */
};

static struct counts counts_of(const struct day *d, const char *key)
{
	json_t *whole = json_object_get(d->policies, key), *one;
	json_t *sums = json_object_get(whole, "summary");
	struct counts r = {
		.good = json_integer_value(json_object_get(sums, "total-successful-session-count")),
		.bad = json_integer_value(json_object_get(sums, "total-failure-session-count")),
	};
	size_t i;

	json_array_foreach(json_object_get(whole, "failure-details"), i, one)
		r.told += json_integer_value(json_object_get(one, "failed-session-count"));
	return r;
}

static size_t details_of(const struct day *d, const char *key)
{
	return json_array_size(json_object_get(json_object_get(d->policies, key),
					       "failure-details"));
}

static bool count_failure(struct day *d, const char *domain, enum tlsrpt_type type, unsigned host)
{
	char name[64];
	struct tlsrpt_session s = {
		.domain = str_of(domain), .policy_domain = str_of(domain), .type = type,
		.policy = type == TLSRPT_STS ? STR("version: STSv1\nmode: enforce\n") : STR_NONE,
		.peer = { 4, { 192, 0, 2, 1 } }, .local = { 4, { 192, 0, 2, 2 } },
		.result = TLSRPT_CERTIFICATE_EXPIRED, .why = STR("certificate has expired"),
	};

	snprintf(name, sizeof(name), "mx%u.of.some.quite.long.name.example", host);
	s.host = str_of(name);
	return day_count(d, &s, 0);
}

/* More kinds of failures than are told: the rest is told by its kind. */
static void test_details(void **state)
{
	struct day d = { .policies = json_object() };
	const char key[] = "a.example sts a.example";
	struct counts c;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		assert_true(count_failure(&d, "a.example", TLSRPT_STS, i % 200));
	c = counts_of(&d, key);
	assert_int_equal(c.bad, 1000);
	assert_int_equal(c.told, 1000);
	assert_in_range(details_of(&d, key), 2, 65);
	json_decref(d.policies);
}

/* What it takes as measured, and as it is. */
static void check_memory(size_t before, const struct day *d, const char *what)
{
	size_t taken = mallinfo2().uordblks - before;
	char *text = json_dumps(d->policies, JSON_COMPACT);
	struct day again = { .policies = d->policies };

	day_measure(&again);
	print_message("%s: %zu policies, %zu octets, measured %zu, as text %zu\n", what,
		      json_object_size(d->policies), d->octets, taken, strlen(text));
	assert_true(d->octets <= TLSRPT_OCTETS_MAX);
	assert_true(strlen(text) < TLSRPT_OCTETS_MAX);
	assert_true(is_slow() || (taken < d->octets * 5 / 4 && taken > d->octets / 2));
	assert_in_range(again.octets, d->octets * 9 / 10, d->octets * 11 / 10);
	free(text);
}

/*
 * Domains without number that do all they can to be told of, then some without a policy, then some
 * that have one: these count, in full numbers, and all of it stays below the bound.
 */
static void test_flood(void **state)
{
	size_t before = mallinfo2().uordblks;
	struct day d = { .policies = json_object() };
	struct counts c;
	unsigned lost = 0;
	char domain[64];

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		for (unsigned k = 0; k < 100; k++) {
			snprintf(domain, sizeof(domain), "hostile%u.example", i);
			assert_true(count_failure(&d, domain, TLSRPT_STS, k));
		}
	check_memory(before, &d, "hostile");
	c = counts_of(&d, "hostile999.example sts hostile999.example");
	assert_int_equal(c.bad, 100);
	assert_int_equal(c.told, 100);
	assert_int_equal(details_of(&d, "hostile999.example sts hostile999.example"), 1);
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(domain, sizeof(domain), "plain%u.example", i);
		lost += !count_failure(&d, domain, TLSRPT_NO_POLICY, 0);
	}
	assert_in_range(lost, 90000, 98000);
	c = counts_of(&d, "plain0.example no-policy-found plain0.example");
	assert_int_equal(c.told, 1);
	check_memory(before, &d, "without a policy");
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(domain, sizeof(domain), "good%u.example", i);
		for (unsigned k = 0; k < 3; k++)
			assert_true(count_failure(&d, domain, TLSRPT_STS, k));
	}
	check_memory(before, &d, "with one");
	c = counts_of(&d, "good2999.example sts good2999.example");
	assert_int_equal(c.bad, 3);
	assert_int_equal(c.told, 3);
	lost = 0;
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(domain, sizeof(domain), "more%u.example", i);
		lost += !count_failure(&d, domain, TLSRPT_STS, 0);
	}
	assert_true(lost > 0);
	check_memory(before, &d, "full");
	json_decref(d.policies);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
