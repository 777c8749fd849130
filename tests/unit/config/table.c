/* config/table: entries, lookups, a million of them. */
#include "base/arena.h"
#include "base/mem.h"
#include "config/table.h"
#include "smtp/address.h"
#include "unit/unit.h"

#include <stdio.h>

static struct table *make(struct arena *a, const char *const *entries)
{
	struct table *t = table_new(a, STR("t"));
	struct entry e;

	for (; *entries; entries++) {
		if (!entry_parse(str_of(*entries), &e))
			fail_msg("%s %s", *entries, e.error);
		table_insert(t, &e);
	}
	return t;
}

#define HEX "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"
#define DASH "01-12:23:34:45:56:67:78:89:9a:ab:bc:cd:de:ef:f0:" \
	"01:12:23:34:45:56:67:78:89:9a:ab:bc:cd:de:ef:f0"
#define COLONS "01:12:23:34:45:56:67:78:89:9a:ab:bc:cd:de:ef:f0" \
	":01:12:23:34:45:56:67:78:89:9a:ab:bc:cd:de:ef:f0"

static void test_fingerprints(void **state)
{
	static const char *const entries[] = { HEX, COLONS, "example.org", NULL };
	static const char *const bad[] = {
		/* 63 digits: a domain */
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeef",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeefff",
		DASH,
	};
	struct arena a;
	struct table *t;
	struct entry e;

	(void)state;
	arena_init(&a);
	t = make(&a, entries);
	assert_int_equal(table_count_kind(t, ENTRY_FINGERPRINT), 2);
	assert_int_equal(table_count_kind(t, ENTRY_DOMAIN), 1);
	assert_true(table_has_fingerprint(
		t, STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")));
	assert_true(table_has_fingerprint(
		t, STR("011223344556677889" "9aabbccddeeff00112233445566778899aabbccddeeff0")));
	assert_false(table_has_fingerprint(
		t, STR("10112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")));
	assert_false(table_has_fingerprint(t, STR("")));
	assert_false(table_has_fingerprint(t, STR("example.org")));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (entry_parse(str_of(bad[i]), &e) && e.kind == ENTRY_FINGERPRINT)
			fail_msg("%s", bad[i]);
	table_done(t);
	arena_done(&a);
}

static void test_logins(void **state)
{
	static const char *const entries[] = { "alice", "bob@example.org", "john_doe", "10.0.0.1",
					       "\"two words\"@example.org",
					       "gr\xc3\xbc\xc3\x9f", NULL };
	static const struct {
		const char *name;
		bool fits;
	} cases[] = {
		{ "alice", true }, { "ALICE", true }, { "alice@alice", false }, { "alic", false },
		{ "bob@example.org", true }, { "Bob@Example.ORG", true }, { "bob", false },
		{ "example.org", false }, { "john_doe", true }, { "John_Doe", true },
		{ "10.0.0.1", true }, { "two words@example.org", true },
		{ "gr\xc3\xbc\xc3\x9f", true }, { "", false }, { "@example.org", false },
		{ "bob@", false }, { "@", false },
	};
	struct arena a;
	struct table *t;
	struct entry e;

	(void)state;
	arena_init(&a);
	t = table_new(&a, STR("t"));
	for (size_t i = 0; entries[i]; i++) {
		if (!entry_parse_login(str_of(entries[i]), &e))
			fail_msg("%s %s", entries[i], e.error);
		table_insert(t, &e);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (table_has_login(t, str_of(cases[i].name)) != cases[i].fits)
			fail_msg("%s", cases[i].name);
	assert_false(entry_parse_login(STR(""), &e));
	assert_false(entry_parse_login(STR("a\nb"), &e));
	assert_true(table_has_helo(t, STR("JOHN_doe")));
	assert_true(table_has_helo(t, STR("Alice")));
	assert_false(table_has_helo(t, STR("bob@example.org")));
	table_done(t);
	arena_done(&a);
}

static bool is_second(void *arg, struct str name)
{
	unsigned *n = arg;

	return ++*n && str_eq(name, STR("two words@example.com"));
}

static void test_any_name(void **state)
{
	static const char *const entries[] = { "a.example", "b.example", ".c.example", "10.0.0.1",
					       "\"two words\"@example.com", NULL };
	struct arena a;
	struct table *t;
	unsigned n = 0;

	(void)state;
	arena_init(&a);
	t = make(&a, entries);
	assert_true(table_any_name(t, is_second, &n));
	assert_int_equal(n, 3);
	table_done(t);
	t = make(&a, (const char *const[]){ ".c.example", "10.0.0.1", NULL });
	assert_false(table_any_name(t, is_second, &n));
	assert_int_equal(n, 3);
	table_done(t);
	arena_done(&a);
}

static void test_addresses(void **state)
{
	static const char *const entries[] = {
		"user@example.org",
		"\"two words\"@example.org",
		"\"quoted\"@example.org",
		"example.com",
		".example.com",
		".Example.NET",
		"[192.0.2.1]",
		"a@[IPv6:2001:db8:0::1]",
		"m\xc3\xbc@b\xc3\xbc.example",
		"10.0.0.0/8",
		NULL,
	};
	static const struct {
		const char *address;
		bool address_fits, domain_fits;
	} cases[] = {
		{ "user@example.org", true, false },
		{ "USER@EXAMPLE.ORG", true, false },
		{ "\"user\"@example.org", true, false },
		{ "\"us\\er\"@example.org", true, false },
		{ "users@example.org", false, false },
		{ "user@sub.example.org", false, false },
		{ "\"two words\"@example.org", true, false },
		{ "\"two\\ words\"@example.org", true, false },
		{ "quoted@example.org", true, false },
		{ "anyone@example.com", true, true },
		{ "anyone@EXAMPLE.com", true, true },
		{ "anyone@sub.example.com", true, true },
		{ "anyone@a.b.sub.example.com", true, true },
		{ "anyone@xexample.com", false, false },
		{ "anyone@example.com.evil.example", false, false },
		{ "anyone@com", false, false },
		{ "anyone@example.net", false, false },
		{ "anyone@mail.example.net", true, true },
		{ "user%example.com@other.example", false, false },
		{ "user!example.com@other.example", false, false },
		{ "\"x@example.com\"@other.example", false, false },
		{ "x@[192.0.2.1]", true, true },
		{ "x@[192.0.2.2]", false, false },
		{ "a@[IPv6:2001:DB8::1]", true, false },
		{ "b@[IPv6:2001:db8::1]", false, false },
		{ "m\xc3\xbc@b\xc3\xbc.EXAMPLE", true, false },
		{ "x@10.0.0.1", false, false },
	};
	struct arena a;
	struct table *t;

	(void)state;
	arena_init(&a);
	t = make(&a, entries);
	assert_int_equal(table_count(t), 10);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address x = address_split(str_of(cases[i].address));

		if (table_has_address(t, x.local, x.domain) != cases[i].address_fits ||
		    table_has_domain(t, x.domain) != cases[i].domain_fits)
			fail_msg("%s", cases[i].address);
	}
	table_done(t);
	arena_done(&a);
}

static void test_networks(void **state)
{
	static const char *const entries[] = {
		"10.0.0.0/8",  "192.0.2.128/25",	 "198.51.100.7", "2001:db8::/32",
		"2001:db9::1", "::ffff:203.0.113.0/120", "example.org",	 NULL,
	};
	static const struct {
		const char *ip;
		bool fits;
	} cases[] = {
		{ "10.0.0.0", true },	     { "10.255.255.255", true },
		{ "11.0.0.0", false },	     { "9.255.255.255", false },
		{ "192.0.2.127", false },    { "192.0.2.128", true },
		{ "192.0.2.255", true },     { "192.0.3.128", false },
		{ "198.51.100.7", true },    { "198.51.100.8", false },
		{ "2001:db8::", true },	     { "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true },
		{ "2001:db9::", false },     { "2001:db9::1", true },
		{ "203.0.113.9", true },     { "::ffff:203.0.113.9", true },
		{ "::ffff:10.1.2.3", true }, { "::203.0.113.9", false },
		{ "0.0.0.0", false },	     { "::", false },
	};
	static const char *const everything[] = { "0.0.0.0/0", NULL };
	struct arena a;
	struct table *t;
	struct ip none = { 0 };

	(void)state;
	arena_init(&a);
	t = make(&a, entries);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip ip;

		assert_true(ip_parse(str_of(cases[i].ip), &ip));
		if (table_has_ip(t, &ip) != cases[i].fits)
			fail_msg("%s", cases[i].ip);
	}
	assert_false(table_has_ip(t, &none));
	table_done(t);
	t = make(&a, everything);
	struct ip four, six;

	assert_true(ip_parse(STR("203.0.113.9"), &four) && ip_parse(STR("2001:db8::1"), &six));
	assert_true(table_has_ip(t, &four) && !table_has_ip(t, &six) && !table_has_ip(t, &none));
	table_done(t);
	arena_done(&a);
}

#define MANY 1000000u

/* One probe for each lookup, whatever the size; a quadratic table would not end. */
static void test_many(void **state)
{
	struct arena a = { .block_size = 1 << 16 };
	struct table *t = table_new(&a, STR("t"));
	struct entry e;
	char text[64];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), i % 2 ? "user%u@example.org" : "%u.%u.%u.0/24",
			 i % 2 ? i : i >> 16, i >> 8 & 255, i & 255);
		assert_true(entry_parse(str_of(text), &e));
		table_insert(t, &e);
		table_insert(t, &e);	/* twice is once */
	}
	assert_int_equal(table_count(t), MANY);
	for (unsigned i = 1; i < MANY; i += 2) {
		snprintf(text, sizeof(text), "User%u", i);
		assert_true(table_has_address(t, str_of(text), STR("EXAMPLE.org")));
		assert_false(table_has_address(t, str_of(text), STR("example.com")));
	}
	struct ip in, out;

	assert_true(ip_parse(STR("1.2.4.77"), &in) && ip_parse(STR("1.2.5.77"), &out));
	assert_true(table_has_ip(t, &in));
	assert_false(table_has_ip(t, &out));
	table_done(t);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fingerprints),
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_any_name),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
