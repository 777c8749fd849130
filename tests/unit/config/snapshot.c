/* config: references, and swaps while other threads take them. */
#include "unit/config/text.h"

#include <pthread.h>

#define TEXT(name) "version 1\nhostname " name "\nlisten 127.0.0.1\nroute r { host a.example }\n" \
	"accept from local to any via r\n"
#define ROUNDS 2000

static void test_references(void **state)
{
	struct config *a = load_sound(TEXT("a.example")), *b = load_sound(TEXT("b.example")), *c;

	(void)state;
	assert_null(config_current());
	config_unref(NULL);
	config_set_current(a);
	c = config_current();
	assert_ptr_equal(c, a);
	config_set_current(b);
	assert_str_equal(c->hostname, STR("a.example"));	/* still there: we hold it */
	config_unref(c);
	c = config_ref(b);
	config_set_current(NULL);
	assert_null(config_current());
	assert_str_equal(c->hostname, STR("b.example"));
	config_unref(c);
}

static void *reader(void *arg)
{
	unsigned *seen = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct config *c = config_current();

		*seen += c->hostname.n == 9 && config_route(c, STR("r")) == c->rules[0].route;
		config_unref(c);
	}
	return NULL;
}

static void test_swaps(void **state)
{
	unsigned seen[3] = { 0 };
	pthread_t threads[3];

	(void)state;
	config_set_current(load_sound(TEXT("a.example")));
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &seen[i]), 0);
	for (int i = 0; i < 50; i++)
		config_set_current(load_sound(i % 2 ? TEXT("a.example") : TEXT("b.example")));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(seen[i], ROUNDS);
	}
	config_set_current(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_swaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
