/* base64: the vectors of RFC 4648 section 10, all lengths there and back, and what is no base64. */
#include "smtp/base64.h"

#include "unit/unit.h"

static void test_vectors(void **state)
{
	static const struct {
		const char *plain, *text;
	} rows[] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xff\xfe\xfd", "//79"},
		{"\xfb\xef\xbe", "++++"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT(64);

		base64_encode(&b, rows[i].plain, strlen(rows[i].plain));
		assert_str_equal(buf_str(&b), str_of(rows[i].text));
		buf_clear(&b);
		assert_true(base64_decode(&b, str_of(rows[i].text)));
		assert_str_equal(buf_str(&b), str_of(rows[i].plain));
		buf_done(&b);
	}
}

static void test_all_lengths(void **state)
{
	unsigned char octets[256];
	struct buf text = BUF_INIT(1024), back = BUF_INIT(1024);

	(void)state;
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (unsigned char)(i * 167 + 13);
	for (size_t n = 0; n <= sizeof(octets); n++) {
		buf_clear(&text);
		buf_clear(&back);
		base64_encode(&text, octets, n);
		assert_int_equal(text.n, (n + 2) / 3 * 4);
		assert_true(base64_decode(&back, buf_str(&text)));
		assert_str_equal(buf_str(&back), str_make((char *)octets, n));
	}
	buf_done(&text);
	buf_done(&back);
}

static void test_refused(void **state)
{
	static const struct str rows[] = {
		{"Z", 1},	 {"Zg", 2},	 {"Zg=", 3},  {"Zm9vZ", 5}, /* padding left out */
		{"Zh==", 4},	 {"Zm9=", 4}, /* bits behind the end */
		{"Z===", 4},	 {"====", 4},	 {"=g==", 4}, {"Zg==Zg==", 8},
		{"Zm8=Zm8=", 8}, /* padding in the middle */
		{"Zm9v\r\n", 6}, {"Zm 9", 4},	 {" Zm9", 4}, {"Zm9v\n   ", 8},
		{"Zm9-", 4},	 {"Zm9_", 4}, /* the URL alphabet */
		{"Zm9\0", 4},	 {"Zm9\xc3", 4}, {"Z=g=", 4}, {"*", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT(64);

		buf_add_lit(&b, "before");
		if (base64_decode(&b, rows[i]))
			fail_msg("row %zu was taken", i);
		assert_str_equal(buf_str(&b), STR("before"));
		buf_done(&b);
	}
}

/* A buffer that has no room keeps what it held. */
static void test_bounds(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	assert_false(base64_decode(&b, STR("Zm9vYmFy")));
	assert_int_equal(b.n, 0);
	buf_clear(&b);
	assert_true(base64_decode(&b, STR("Zm9vYmE=")));
	assert_str_equal(buf_str(&b), STR("fooba"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_all_lengths),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
