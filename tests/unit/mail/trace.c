/* mail/trace: Received fields and dates. */
#include "mail/header.h"
#include "mail/trace.h"
#include "unit/unit.h"

#include <time.h>

#define NOW 1795321140	/* Sun, 22 Nov 2026 04:19:00 +0000 */

static void test_received(void **state)
{
	static const struct {
		struct trace trace;
		const char *want;
	} cases[] = {
		{ { { "c.example", 9 },
		    { "192.0.2.1", 9 },
		    { "rev.example", 11 },
		    { "mx.example", 10 },
		    { "ESMTP", 5 },
		    { "ABC", 3 },
		    { "a@b.example", 11 },
		    NOW,
		    { NULL, 0 } },
		  "Received: from c.example (rev.example [192.0.2.1])\r\n\tby mx.example with "
		  "ESMTP id ABC\r\n"
		  "\tfor <a@b.example>; Sun, 22 Nov 2026 04:19:00 +0000\r\n" },
		{ { { "c.example", 9 },
		    { "IPv6:2001:db8::1", 16 },
		    { NULL, 0 },
		    { "mx.example", 10 },
		    { "ESMTPS", 6 },
		    { "ABC", 3 },
		    { NULL, 0 },
		    NOW,
		    { NULL, 0 } },
		  "Received: from c.example ([IPv6:2001:db8::1])\r\n\tby mx.example with ESMTPS id "
		  "ABC;\r\n"
		  "\tSun, 22 Nov 2026 04:19:00 +0000\r\n" },
		{ { { NULL, 0 },
		    { "192.0.2.1", 9 },
		    { NULL, 0 },
		    { "mx.example", 10 },
		    { "SMTP", 4 },
		    { "ABC", 3 },
		    { NULL, 0 },
		    NOW,
		    { NULL, 0 } },
		  "Received: from [192.0.2.1] ([192.0.2.1])\r\n\tby mx.example with SMTP id "
		  "ABC;\r\n"
		  "\tSun, 22 Nov 2026 04:19:00 +0000\r\n" },
		{ { { NULL, 0 },
		    { NULL, 0 },
		    { NULL, 0 },
		    { "mx.example", 10 },
		    { "local", 5 },
		    { "ABC", 3 },
		    { NULL, 0 },
		    NOW,
		    { NULL, 0 } },
		  "Received: by mx.example with local id ABC;\r\n\tSun, 22 Nov 2026 04:19:00 "
		  "+0000\r\n" },
		{ { { "c.example", 9 },
		    { "192.0.2.1", 9 },
		    { NULL, 0 },
		    { "mx.example", 10 },
		    { "ESMTPSA", 7 },
		    { "ABC", 3 },
		    { NULL, 0 },
		    NOW,
		    { "TLSv1.3 TLS_AES_256_GCM_SHA384 256 bits", 39 } },
		  "Received: from c.example ([192.0.2.1])\r\n\tby mx.example with ESMTPSA (TLSv1.3 "
		  "TLS_AES_256_GCM_SHA384 256 bits) id ABC;\r\n"
		  "\tSun, 22 Nov 2026 04:19:00 +0000\r\n" },
		/* A peer's names end no clause, open no comment and hold no line end. */
		{ { { "x) by y;\r\nBcc: z", 16 },
		    { "192.0.2.1", 9 },
		    { "(a\0b", 4 },
		    { "mx.example", 10 },
		    { "ES MTP", 6 },
		    { "A;C", 3 },
		    { "\"a\n\"@b", 6 },
		    NOW,
		    { NULL, 0 } },
		  "Received: from x??by?y???Bcc:?z (?a?b [192.0.2.1])\r\n\tby mx.example with "
		  "ES?MTP id A?C\r\n"
		  "\tfor <\"a?\"@b>; Sun, 22 Nov 2026 04:19:00 +0000\r\n" },
	};
	struct buf out = BUF_INIT(4000);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct header_field f;
		struct str rest;

		buf_clear(&out);
		received_format(&out, &cases[i].trace);
		assert_str_equal(buf_str(&out), str_of(cases[i].want));
		rest = buf_str(&out);
		assert_true(header_next(&rest, &f));
		assert_str_equal(f.name, STR("Received"));
		assert_int_equal(rest.n, 0);
	}
	buf_done(&out);
}

/* Against the C library, over more than every month of every kind of year. */
static void test_dates(void **state)
{
	struct buf out = BUF_INIT(200);
	char want[100];

	(void)state;
	for (int64_t t = 0; t < INT64_C(253402300799);
	     t += 86400 * 11 + 3607 + (t < 4000000000 ? 0 : 86400 * 1000)) {
		struct tm tm;
		time_t time = (time_t)t;

		assert_non_null(gmtime_r(&time, &tm));
		buf_clear(&out);
		date_format(&out, t);
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S +0000", &tm);
		assert_str_equal(buf_str(&out), str_of(want));
		buf_clear(&out);
		timestamp_format(&out, t * 1000 + 7);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.007Z", &tm);
		assert_str_equal(buf_str(&out), str_of(want));
	}
	buf_clear(&out);
	date_format(&out, -5);
	assert_str_equal(buf_str(&out), STR("Thu, 01 Jan 1970 00:00:00 +0000"));
	buf_clear(&out);
	date_format(&out, INT64_MAX);
	assert_str_equal(buf_str(&out), STR("Fri, 31 Dec 9999 23:59:59 +0000"));
	buf_clear(&out);
	date_format(&out, 951782400);
	assert_str_equal(buf_str(&out), STR("Tue, 29 Feb 2000 00:00:00 +0000"));
	buf_clear(&out);
	timestamp_format(&out, 999);
	assert_str_equal(buf_str(&out), STR("1970-01-01T00:00:00.999Z"));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received),
		cmocka_unit_test(test_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
