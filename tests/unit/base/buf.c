/* base/buf: growing to the maximum and not past it. */
#include "base/buf.h"
#include "unit/unit.h"

static void test_add(void **state)
{
	struct buf b = BUF_INIT(1000);

	(void)state;
	assert_str_equal(buf_str(&b), STR(""));
	assert_true(buf_add(&b, NULL, 0));
	assert_true(buf_add_lit(&b, "abc"));
	assert_true(buf_add_byte(&b, '-'));
	assert_true(buf_add_u64(&b, 0));
	assert_true(buf_add_u64(&b, UINT64_MAX));
	assert_true(buf_printf(&b, "%d%s", -5, "x"));
	assert_str_equal(buf_str(&b), STR("abc-018446744073709551615-5x"));
	assert_string_equal(buf_cstr(&b), "abc-018446744073709551615-5x");
	buf_consume(&b, 4);
	assert_str_equal(buf_str(&b), STR("018446744073709551615-5x"));
	buf_consume(&b, 99);
	assert_int_equal(b.n, 0);
	buf_done(&b);
	assert_int_equal(b.max, 1000);
	assert_true(buf_add_lit(&b, "again"));
	buf_done(&b);
}

static void test_full(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	assert_true(buf_add_lit(&b, "abc"));
	assert_false(buf_add_lit(&b, "def"));
	assert_str_equal(buf_str(&b), STR("abc"));
	assert_false(buf_ok(&b));
	assert_true(buf_add_lit(&b, "de"));	/* what fits is still added, */
	assert_false(buf_ok(&b));		/* the mark stays */
	assert_string_equal(buf_cstr(&b), "");
	buf_clear(&b);
	assert_true(buf_ok(&b));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_null(buf_reserve(&b, 6));
	assert_non_null(buf_reserve(&b, 5));
	buf_done(&b);
}

/* Formatted text may fill the buffer to the last byte. */
static void test_printf_to_the_end(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	assert_true(buf_printf(&b, "%s", "abcde"));
	assert_str_equal(buf_str(&b), STR("abcde"));
	assert_true(buf_printf(&b, "%s", ""));
	assert_false(buf_printf(&b, "%s", "f"));
	buf_clear(&b);
	assert_false(buf_printf(&b, "%s", "abcdef"));
	assert_int_equal(b.n, 0);
	buf_done(&b);
}

static void test_growth(void **state)
{
	struct buf b = BUF_INIT(100000);

	(void)state;
	for (size_t i = 0; i < 100000; i++)
		assert_true(buf_add_byte(&b, (char)(i % 251)));
	assert_false(buf_add_byte(&b, 'x'));
	assert_true(b.size <= b.max);
	for (size_t i = 0; i < b.n; i++)
		assert_int_equal(b.p[i], (char)(i % 251));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_printf_to_the_end),
		cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
