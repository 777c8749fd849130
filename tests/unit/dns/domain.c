/* dns/domain: names as they are asked for, literals. */
#include "dns/inner.h"
#include "unit/unit.h"

#define L63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static const struct {
	const char *in, *out;		/* NULL: no name */
} names[] = {
	{ "example.com", "example.com" },
	{ "Example.COM.", "example.com" },
	{ "a", "a" },
	{ "_25._tcp.mx.example", "_25._tcp.mx.example" },
	{ "0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa" },
	{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
	{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
	{ "B\xc3\x9c" "CHER.Example.", "xn--bcher-kva.example" },
	{ "fa\xc3\x9f.example", "xn--fa-hia.example" },	/* not "fass": non-transitional */
	{ "b\xc3\xbc" "cher\xe3\x80\x82" "example", "xn--bcher-kva.example" },
	{ L63 ".example", L63 ".example" },
	{ L63 "." L63 "." L63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi",
	  L63 "." L63 "." L63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi" },
	{ "", NULL },
	{ ".", NULL },
	{ "..", NULL },
	{ ".example", NULL },
	{ "a..example", NULL },
	{ "example..", NULL },
	{ L63 "l.example", NULL },
	{ L63 "." L63 "." L63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij",
	  NULL },
	{ "a b.example", NULL },
	{ "a\\b.example", NULL },
	{ "a\tb.example", NULL },
	{ "a@b.example", NULL },
	{ "[192.0.2.1]", NULL },
	{ "\xff.example", NULL },
	{ "\xc3.example", NULL },
	{ "\xe2\x80\x8b.example", NULL },
};

static void test_names(void **state)
{
	char out[DNS_NAME_MAX + 1];
	char nul[] = "a\0b.example", longest[2000];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		bool ok = dns_name_ascii(str_of(names[i].in), out);

		if (ok != (names[i].out != NULL) || (ok && strcmp(out, names[i].out)))
			fail_msg("\"%s\": %s", names[i].in, ok ? out : "no name");
	}
	assert_false(dns_name_ascii(str_make(nul, sizeof(nul) - 1), out));
	assert_false(dns_name_ascii(STR_NONE, out));
	for (size_t i = 0; i < sizeof(longest); i += 2)
		memcpy(longest + i, "\xc3\xbc", 2);
	assert_false(dns_name_ascii(str_make(longest, sizeof(longest)), out));
}

static void test_literals(void **state)
{
	static const struct {
		const char *in;
		unsigned family;
	} cases[] = {
		{ "192.0.2.1", 4 },  { "[192.0.2.1]", 4 },	{ "[IPv6:2001:db8::1]", 6 },
		{ "[2001:db8::1]", 6 }, { "2001:db8::1", 6 },	{ "[ipv6:::1]", 6 },
		{ "[]", 0 },	     { "[192.0.2.256]", 0 },	{ "[example.com]", 0 },
		{ "192.0.2.1.", 0 }, { "", 0 },			{ "[192.0.2.1", 0 },
	};
	struct ip ip;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = literal_parse(str_of(cases[i].in), &ip);

		if (ok != (cases[i].family != 0) || (ok && ip.family != cases[i].family))
			fail_msg("\"%s\"", cases[i].in);
	}
}

static void test_texts(void **state)
{
	(void)state;
	for (enum dns_status s = DNS_OK; s <= DNS_INVALID; s++)
		assert_true(dns_status_text(s) && *dns_status_text(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
