/* base/arena: pieces that do not overlap, aligned, of any size; strings. */
#include "base/arena.h"
#include "unit/unit.h"

#define N 1000

static void test_pieces(void **state)
{
	struct arena a;
	unsigned char *pieces[N];

	(void)state;
	arena_init(&a);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < N; i++) {
			size_t n = i % 7 == 0 ? i * 5 : i % 50;

			pieces[i] = arena_alloc(&a, n);
			assert_int_equal((uintptr_t)pieces[i] % 16, 0);
			memset(pieces[i], (int)(i % 255), n);
		}
		for (size_t i = 0; i < N; i++) {
			size_t n = i % 7 == 0 ? i * 5 : i % 50;

			for (size_t j = 0; j < n; j++)
				assert_int_equal(pieces[i][j], i % 255);
		}
		assert_true(a.total >= 5 * N);
		arena_done(&a);
		assert_int_equal(a.total, 0);
	}
}

static void test_strings(void **state)
{
	struct arena a;
	struct str s;
	char *zero;

	(void)state;
	arena_init(&a);
	a.block_size = 64;
	s = arena_str(&a, STR("a\0b"));
	assert_str_equal(s, STR("a\0b"));
	assert_str_equal(arena_str(&a, STR_NONE), STR(""));
	assert_string_equal(arena_cstr(&a, STR("abc")), "abc");
	assert_str_equal(arena_printf(&a, "%d-%s", 7, "x"), STR("7-x"));
	zero = arena_zalloc(&a, 500);
	for (int i = 0; i < 500; i++)
		assert_int_equal(zero[i], 0);
	assert_str_equal(s, STR("a\0b"));
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
