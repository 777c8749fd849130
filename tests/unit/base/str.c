/* base/str: comparing, finding, splitting, numbers. */
#include "base/mem.h"
#include "unit/unit.h"

static void test_compare(void **state)
{
	(void)state;
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq(STR("a\0b"), str_make("a\0b", 3)));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_true(str_eq_nocase(STR("MaIl"), STR("mAiL")));
	/* differ in the bit that letters' cases differ in */
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR("")));
	assert_false(str_starts(STR("ab"), STR("abc")));
	assert_true(str_starts_nocase(STR("ABc"), STR("ab")));
	assert_true(str_ends_nocase(STR("a.ORG"), STR(".org")));
	assert_false(str_ends_nocase(STR("org"), STR(".org")));
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("b"), STR("ab")) > 0);
	assert_true(str_cmp(STR_NONE, STR("")) == 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
}

static void test_slices(void **state)
{
	struct str rest = STR(" \tMAIL  FROM:<a> \t");

	(void)state;
	assert_str_equal(str_sub(STR("abc"), 1, 2), STR("b"));
	assert_str_equal(str_sub(STR("abc"), 2, 1), STR(""));
	assert_str_equal(str_sub(STR("abc"), 5, 9), STR(""));
	assert_str_equal(str_from(STR("abc"), 1), STR("bc"));
	assert_str_equal(str_from(STR("abc"), SIZE_MAX), STR(""));
	assert_str_equal(str_sub(STR_NONE, 1, 2), STR(""));
	assert_str_equal(str_trim(STR(" \ta b\t ")), STR("a b"));
	assert_str_equal(str_trim(STR(" \t ")), STR(""));
	assert_str_equal(str_word(&rest), STR("MAIL"));
	assert_str_equal(str_word(&rest), STR("FROM:<a>"));
	assert_str_equal(str_word(&rest), STR(""));
	assert_int_equal(rest.n, 0);
}

static void test_find(void **state)
{
	(void)state;
	assert_int_equal(str_find(STR("abcb"), 'b'), 1);
	assert_int_equal(str_rfind(STR("abcb"), 'b'), 3);
	assert_int_equal(str_find(STR("abc"), 'x'), -1);
	assert_int_equal(str_find(STR_NONE, 'x'), -1);
	assert_int_equal(str_rfind(STR_NONE, 'x'), -1);
	assert_int_equal(str_search(STR("a\r\n.\r\n"), STR("\r\n.")), 1);
	assert_int_equal(str_search(STR("ab"), STR("abc")), -1);
	assert_int_equal(str_search(STR("ab"), STR("")), 0);
	assert_int_equal(str_search(STR_NONE, STR("a")), -1);
	assert_true(str_has_control(STR("a\tb")));
	assert_true(str_has_control(STR("\177")));
	assert_true(str_has_control(STR("a\0")));
	assert_false(str_has_control(STR("a ~\xff")));
	assert_true(str_is_ascii(STR("a\177")));
	assert_false(str_is_ascii(STR("a\x80")));
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool valid;
		uint64_t value;
	} cases[] = {
		{ "0", 0, true, 0 },
		{ "007", 10, true, 7 },
		{ "10", 10, true, 10 },
		{ "11", 10, false, 0 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, false, 0 },
		{ "99999999999999999999", UINT64_MAX, false, 0 },
		{ "", 10, false, 0 },
		{ "-1", 10, false, 0 },
		{ "+1", 10, false, 0 },
		{ " 1", 10, false, 0 },
		{ "1a", 10, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 77;
		bool valid = str_parse_u64(str_of(cases[i].text), cases[i].max, &value);

		if (valid == cases[i].valid && value == (valid ? cases[i].value : 77))
			continue;
		print_error("\"%s\": %d\n", cases[i].text, valid);
		fail();
	}
}

static void test_copies(void **state)
{
	char four[4], word[] = "A-Z@\xc4";
	char *z = str_dup(STR("abc"));

	(void)state;
	assert_string_equal(z, "abc");
	mem_free(z);
	assert_string_equal(str_copy(four, 4, STR("abc")), "abc");
	assert_string_equal(str_copy(four, 4, STR("abcd")), "abc");
	assert_string_equal(str_copy(four, 4, STR_NONE), "");
	str_lower(word, 5);
	assert_string_equal(word, "a-z@\xc4");
	assert_int_equal(ascii_upper('z'), 'Z');
	assert_int_equal(ascii_upper('{'), '{');
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(str_distance(STR("accept"), STR("ACCEPT")), 0);
	assert_int_equal(str_distance(STR("accept"), STR("acept")), 1);
	assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
	assert_int_equal(str_distance(STR(""), STR("abc")), 3);
	assert_int_equal(str_distance(STR("0123456789012345678901234567890123"), STR("a")), 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare), cmocka_unit_test(test_slices),
		cmocka_unit_test(test_find),	cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_copies),	cmocka_unit_test(test_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
