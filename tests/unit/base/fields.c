/* base/fields: whatever stands in a field comes back; damage is seen. */
#include "base/fields.h"

#include "unit/unit.h"

static void test_round_trip(void **state)
{
	static const struct str fields[] = {
		STR("plain"), STR(""), STR("-"), STR("--x"), STR("two words"), STR("100%"),
		STR("a\tb\nc"), STR("\xc3\xa9"), STR("\x01\x7f"), STR("%2D"),
	};
	const unsigned n = sizeof(fields) / sizeof(fields[0]);
	struct buf b = BUF_INIT(1000);
	struct str ret[16];

	(void)state;
	for (unsigned i = 0; i < n; i++)
		fields_add(&b, fields[i]);
	assert_str_equal(buf_str(&b), STR("plain\t-\t%2D\t%2D-x\ttwo words\t100%25\ta%09b%0Ac\t"
					  "%C3%A9\t%01%7F\t%252D\t"));
	assert_int_equal(fields_split(b.p, b.n, ret, 16), n);
	for (unsigned i = 0; i < n; i++)
		assert_str_equal(ret[i], fields[i]);
	buf_done(&b);
}

static void test_damage(void **state)
{
	static const char *const lines[] = {
		"", "a", "a\tb", "a\t\tb\t", "\t", "%\t", "%2\t", "%2g\t", "%2d\t", "%00\t",
		"1\t2\t3\t4\t",
	};
	struct str ret[3];
	char line[32];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		str_copy(line, sizeof(line), str_of(lines[i]));
		if (fields_split(line, strlen(line), ret, 3))
			fail_msg("\"%s\"", lines[i]);
	}
	str_copy(line, sizeof(line), STR("1\t2\t3\t"));
	assert_int_equal(fields_split(line, 6, ret, 3), 3);
}

static void test_numbers(void **state)
{
	int64_t n = -1;

	(void)state;
	assert_true(fields_parse_i64(STR("9223372036854775807"), &n));
	assert_true(n == INT64_MAX);
	assert_false(fields_parse_i64(STR("9223372036854775808"), &n));
	assert_false(fields_parse_i64(STR("-1"), &n));
	assert_false(fields_parse_i64(STR(""), &n));
	assert_true(n == INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
