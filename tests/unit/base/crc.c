/* base/crc: the check value, RFC 3720's examples, any cut gives the same. */
#include "base/crc.h"
#include "unit/unit.h"

static void test_values(void **state)
{
	unsigned char bytes[32];

	(void)state;
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_true(crc32c(0, "123456789", 9) == 0xe3069283);
	memset(bytes, 0, 32);
	assert_true(crc32c(0, bytes, 32) == 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_true(crc32c(0, bytes, 32) == 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (unsigned char)i;
	assert_true(crc32c(0, bytes, 32) == 0x46dd794e);
}

/* Bit by bit, from the polynomial: what both the instruction and the table must give. */
static uint32_t by_bit(const unsigned char *p, size_t n)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

static void test_cuts(void **state)
{
	unsigned char bytes[100];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * i + 7);
	for (size_t n = 0; n <= sizeof(bytes); n++)
		for (size_t cut = 0; cut <= n; cut++)
			assert_true(crc32c(crc32c(0, bytes, cut), bytes + cut, n - cut) ==
				    by_bit(bytes, n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
