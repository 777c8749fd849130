/* base: interned names: equal ones are one pointer, in all threads. */
#include "base/name.h"

#include "unit/unit.h"

#include <pthread.h>
#include <stdio.h>

#define NAMES 200

static void test_equal(void **state)
{
	const struct name *a = name_intern(STR("bulk")), *b;
	char text[] = "bulk";

	(void)state;
	b = name_intern(str_of(text));
	text[0] = 'x';		/* the name keeps its own copy */
	assert_ptr_equal(a, b);
	assert_str_equal(name_str(a), STR("bulk"));
	assert_string_equal(a->text, "bulk");
	assert_ptr_not_equal(a, name_intern(STR("bul")));
	assert_ptr_not_equal(a, name_intern(STR("Bulk")));
	assert_ptr_not_equal(name_intern(STR("a\0b")), name_intern(STR("a\0c")));
	assert_int_equal(name_str(NULL).n, 0);
}

static void test_limits(void **state)
{
	static char text[NAME_OCTETS_MAX + 1];

	(void)state;
	memset(text, 'n', sizeof(text));
	assert_null(name_intern(STR_NONE));
	assert_null(name_intern(str_make(text, sizeof(text))));
	assert_int_equal(name_intern(str_make(text, sizeof(text) - 1))->n, NAME_OCTETS_MAX);
}

static void *intern_all(void *arg)
{
	const struct name **names = arg;
	char text[24];

	for (int i = 0; i < NAMES; i++) {
		snprintf(text, sizeof(text), "name-%d", i);
		names[i] = name_intern(str_of(text));
	}
	return NULL;
}

static void test_threads(void **state)
{
	static const struct name *names[4][NAMES];
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, intern_all, names[i]), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 1; i < 4; i++)
		assert_memory_equal(names[0], names[i], sizeof(names[0]));
	assert_ptr_not_equal(names[0][0], names[0][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
