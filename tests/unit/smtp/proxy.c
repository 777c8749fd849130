/* smtp/proxy: headers of the PROXY protocol, whole, cut anywhere and malformed; XCLIENT. */
#include "smtp/proxy.h"

#include "unit/unit.h"

#include <errno.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define FOUR "\12\0\0\1\12\0\0\2\0\31\2\113"	/* 10.0.0.1, 10.0.0.2, 25, 587 */
#define SIX \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\31\2\113"
#define MAPPED \
	"\0\0\0\0\0\0\0\0\0\0\xff\xff\12\0\0\1\0\0\0\0\0\0\0\0\0\0\xff\xff\12\0\0\2\0\31\2\113"
#define TEXT(s) { "" s, sizeof(s) - 1 }

static const struct {
	struct str in;
	int octets;		/* or -EPROTO */
	const char *source;	/* with the port; NULL: the connection's own */
} cases[] = {
	{ TEXT("PROXY TCP4 10.0.0.1 10.0.0.2 25 587\r\nEHLO"), 38 - 1, "10.0.0.1:25" },
	{ TEXT("PROXY TCP6 ::1 ::2 0 65535\r\n"), 28, "[::1]:0" },
	{ TEXT("PROXY UNKNOWN\r\n"), 15, NULL },
	{ TEXT("PROXY UNKNOWN ffff::1 what ever\r\n"), 33, NULL },
	{ TEXT("PROXY TCP4 ::1 ::2 1 2\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP6 1.2.3.4 1.2.3.5 1 2\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP5 1.2.3.4 1.2.3.5 1 2\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.5 1 65536\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.5 1\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 3\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP4  1.2.3.4 1.2.3.5 1 2\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.5 1 2 \r\n"), 33, "1.2.3.4:1" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n\r\n"), -EPROTO, NULL },
	{ TEXT("PROXY \r\n       "), -EPROTO, NULL },
	{ TEXT("proxy TCP4 1.2.3.4 1.2.3.5 1 2\r\n"), -EPROTO, NULL },
	{ TEXT("EHLO client.example\r\n"), -EPROTO, NULL },
	{ TEXT("\x16\3\1\2\0\1\0\1\xfc\3\3 a handshake"), -EPROTO, NULL },
	{ TEXT(V2 "\x21\x11\0\14" FOUR "220"), 28, "10.0.0.1:25" },
	{ TEXT(V2 "\x21\x11\0\21" FOUR "\1\0\2ab"), 33, "10.0.0.1:25" },	/* a TLV */
	{ TEXT(V2 "\x21\x21\0\44" SIX), 52, "[2001:db8::1]:25" },
	{ TEXT(V2 "\x21\x21\0\44" MAPPED), 52, "10.0.0.1:25" },
	{ TEXT(V2 "\x20\x11\0\14" FOUR), 28, NULL },		/* LOCAL */
	{ TEXT(V2 "\x21\0\0\0"), 16, NULL },			/* unspecified */
	{ TEXT(V2 "\x21\x31\0\4abcd"), 20, NULL },		/* unix */
	{ TEXT(V2 "\x21\x41\0\14" FOUR), -EPROTO, NULL },	/* no such family */
	{ TEXT(V2 "\x21\x12\0\14" FOUR), -EPROTO, NULL },	/* datagrams */
	{ TEXT(V2 "\x21\x13\0\14" FOUR), -EPROTO, NULL },
	{ TEXT(V2 "\x22\x11\0\14" FOUR), -EPROTO, NULL },	/* no such command */
	{ TEXT(V2 "\x11\x11\0\14" FOUR), -EPROTO, NULL },	/* version 1 */
	{ TEXT(V2 "\x21\x11\0\13" FOUR), -EPROTO, NULL },	/* too short for its addresses */
	{ TEXT(V2 "\x21\x21\0\14" FOUR), -EPROTO, NULL },
	{ TEXT(V2 "\x21\x11\xff\xff" FOUR), -EPROTO, NULL },	/* too long */
};

static void test_headers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[ENDPOINT_TEXT_MAX];
		struct proxy p;
		size_t more;
		ssize_t n = proxy_parse(cases[i].in, &p, &more);

		if (n != cases[i].octets)
			fail_msg("case %u: %zd octets", i, n);
		if (n < 0)
			continue;
		if (p.has_addresses != (cases[i].source != NULL))
			fail_msg("case %u: has_addresses", i);
		if (cases[i].source)
			assert_string_equal(endpoint_text(text, &p.source), cases[i].source);
	}
}

/* Reading only what was asked for never reads beyond the header, and ends with the same result. */
static void test_pieces(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str whole = cases[i].in;
		size_t there = 0, more = 0;
		struct proxy p;
		ssize_t n;

		while ((n = proxy_parse(str_sub(whole, 0, there), &p, &more)) == 0) {
			assert_true(more > 0);
			if (there + more > whole.n)
				break;
			there += more;
		}
		if (cases[i].octets > 0 && (n != cases[i].octets || (size_t)n != there))
			fail_msg("case %u: %zd octets of %zu", i, n, there);
	}
}

static void test_endless(void **state)
{
	char endless[120] = "PROXY UNKNOWN ";
	struct proxy p;
	size_t more;

	(void)state;
	memset(endless + 14, 'x', sizeof(endless) - 14);
	assert_int_equal(proxy_parse(str_make(endless, 106), &p, &more), 0);
	assert_int_equal(proxy_parse(str_make(endless, 107), &p, &more), -EPROTO);
}

static void test_xclient(void **state)
{
	static const char *const good[] = {
		"ADDR=1.2.3.4", "addr=IPV6:::1", "ADDR=::1", "NAME=a.example HELO=[1.2.3.4]",
		"NAME=[UNAVAILABLE] ADDR=[TEMPUNAVAIL]", "LOGIN=a+40b", "PORT=25 DESTPORT=0",
		"PROTO=ESMTP", "PROTO=smtp", "DESTADDR=10.0.0.1", "LOGIN=[UNAVAILABLE]",
	};
	static const char *const bad[] = {
		"", "ADDR", "ADDR=", "=1.2.3.4", "ADDR=1.2.3.4.5", "ADDR=IPV6:1.2.3.4", "X=1",
		"ADDR=1.2.3.4 ADDR=1.2.3.4", "NAME=a+0Db", "NAME=a+", "LOGIN=", "LOGIN=a+00",
		"LOGIN=a+0D+0A", "PORT=65536", "PORT=x", "PROTO=LMTP", "HELO=a+20b",
	};
	char long_one[600] = "LOGIN=";
	struct xclient x;

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!xclient_parse(str_of(good[i]), &x))
			fail_msg("not taken: %s", good[i]);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (xclient_parse(str_of(bad[i]), &x))
			fail_msg("taken: %s", bad[i]);
	memset(long_one + 6, 'a', 255);
	assert_true(xclient_parse(str_of(long_one), &x));
	memset(long_one + 6, 'a', 256);
	assert_false(xclient_parse(str_of(long_one), &x));
	assert_true(xclient_parse(STR("LOGIN=a+40b ADDR=[UNAVAILABLE] PORT=7"), &x));
	assert_string_equal(x.login, "a@b");
	assert_true(x.unavailable == 1u << XCLIENT_ADDR && x.port == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_xclient),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
