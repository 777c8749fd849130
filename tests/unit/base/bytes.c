/* base/bytes: numbers out and in again, the cursor's sticky error. */
#include "base/bytes.h"
#include "unit/unit.h"

static void test_round_trip(void **state)
{
	struct buf b = BUF_INIT(100);
	struct cursor c;
	char raw[8];

	(void)state;
	buf_add_le16(&b, 0x0102);
	buf_add_le32(&b, 0x03040506);
	buf_add_le64(&b, 0x0708090a0b0c0d0eu);
	buf_add_str16(&b, STR("abc"));
	buf_add_byte(&b, '\x7f');
	assert_memory_equal(b.p,
			    "\x02\x01\x06\x05\x04\x03\x0e\x0d\x0c\x0b\x0a\x09\x08\x07\x03\x00"
			    "abc\x7f",
			    20);
	c = cursor_of(buf_str(&b));
	assert_int_equal(cursor_u16(&c), 0x0102);
	assert_int_equal(cursor_u32(&c), 0x03040506);
	assert_true(cursor_u64(&c) == 0x0708090a0b0c0d0eu);
	assert_true(str_eq(cursor_str16(&c), STR("abc")));
	assert_int_equal(cursor_u8(&c), 0x7f);
	assert_false(c.bad);
	assert_int_equal(c.rest.n, 0);
	buf_done(&b);
	put_u16(raw, 0xfffe);
	assert_int_equal(get_u16(raw), 0xfffe);
	put_u32(raw, 0xfffefdfc);
	assert_true(get_u32(raw) == 0xfffefdfc);
	put_u64(raw, UINT64_MAX - 1);
	assert_true(get_u64(raw) == UINT64_MAX - 1);
}

static void test_short(void **state)
{
	struct cursor c = cursor_of(STR("\x05\x00" "abc"));

	(void)state;
	assert_int_equal(cursor_str16(&c).n, 0);	/* promises five bytes, has three */
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0);		/* the three are not read either */
	assert_true(c.bad);
	c = cursor_of(STR("\x01\x02\x03"));
	assert_int_equal(cursor_u32(&c), 0);
	assert_true(c.bad);
	c = cursor_of(STR_NONE);
	assert_int_equal(cursor_take(&c, 0).n, 0);
	assert_false(c.bad);
	cursor_u8(&c);
	assert_true(c.bad);
}

/* A string too long for its length field is cut, so that what follows stays readable. */
static void test_long(void **state)
{
	static char text[70000];
	struct buf b = BUF_INIT(100000);
	struct cursor c;

	(void)state;
	memset(text, 'x', sizeof(text));
	buf_add_str16(&b, str_make(text, sizeof(text)));
	buf_add_byte(&b, 'y');
	c = cursor_of(buf_str(&b));
	assert_int_equal(cursor_str16(&c).n, 65535);
	assert_int_equal(cursor_u8(&c), 'y');
	assert_false(c.bad);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
