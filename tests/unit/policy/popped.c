/* popped: for a time, by the exact address, bounded, from many threads. */
#include "policy/popped.h"

#include "base/hash.h"
#include "net/loop.h"
#include "unit/unit.h"

#include <pthread.h>

#define T0 (1000 * SECOND)

static struct ip ip_of(unsigned n)
{
	return (struct ip){ .family = 4, .bytes = { 10, (uint8_t)(n >> 16), (uint8_t)(n >> 8),
						    (uint8_t)n } };
}

static void test_time(void **state)
{
	struct popped *p = popped_new(100);
	struct ip a = ip_of(1), b = ip_of(2), none = { 0 };

	(void)state;
	assert_false(popped_has(p, &a, T0));
	popped_add(p, &a, T0, 30 * SECOND);
	assert_true(popped_has(p, &a, T0 + 30 * SECOND - 1));
	assert_false(popped_has(p, &b, T0));
	/* a shorter time takes nothing away, a later login adds */
	popped_add(p, &a, T0 + SECOND, SECOND);
	assert_true(popped_has(p, &a, T0 + 30 * SECOND - 1));
	popped_add(p, &a, T0 + 20 * SECOND, 30 * SECOND);
	assert_true(popped_has(p, &a, T0 + 49 * SECOND));
	assert_false(popped_has(p, &a, T0 + 50 * SECOND));
	assert_int_equal(popped_count(p), 0);
	popped_add(p, &none, T0, SECOND);
	assert_false(popped_has(p, &none, T0));
	popped_add(p, &a, T0, UINT64_MAX);
	assert_true(popped_has(p, &a, UINT64_MAX - 1));
	popped_free(p);
}

static void test_bounded(void **state)
{
	struct popped *p = popped_new(10);

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct ip ip = ip_of(i), before = ip_of(i - 9);

		popped_add(p, &ip, T0, SECOND);
		assert_true(popped_count(p) <= 10);
		assert_true(i < 9 || popped_has(p, &before, T0));
	}
	/* what is over makes room by itself */
	for (unsigned i = 0; i < 10; i++) {
		struct ip ip = ip_of(5000);

		popped_add(p, &ip, T0 + 10 * SECOND, SECOND);
	}
	for (unsigned i = 5001; i < 5010; i++) {
		struct ip ip = ip_of(i);

		popped_add(p, &ip, T0 + 20 * SECOND * (i - 5000), SECOND);
	}
	assert_in_range(popped_count(p), 1, 2);
	popped_free(p);
}

static void *hammer(void *arg)
{
	struct popped *p = arg;

	for (unsigned i = 0; i < 20000; i++) {
		struct ip ip = ip_of(i % 300);

		popped_add(p, &ip, T0 + i, 100);
		popped_has(p, &ip, T0 + i + i % 200);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct popped *p = popped_new(100);
	pthread_t threads[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, hammer, p);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_true(popped_count(p) <= 100);
	popped_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_threads),
	};

	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
