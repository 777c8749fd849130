/* smtp/command: verbs, BDAT, xtext. */
#include "smtp/command.h"
#include "unit/unit.h"

static void test_verbs(void **state)
{
	static const struct {
		const char *line;
		enum verb verb;
		const char *rest;
	} cases[] = {
		{ "EHLO a.example", VERB_EHLO, "a.example" },
		{ "ehlo  a.example ", VERB_EHLO, "a.example" },
		{ "HeLo", VERB_HELO, "" },
		{ "LHLO x", VERB_LHLO, "x" },
		{ "MAIL FROM:<a@b> SIZE=1", VERB_MAIL, "FROM:<a@b> SIZE=1" },
		{ "MAIL  FROM: <a@b>", VERB_MAIL, "FROM: <a@b>" },
		{ "RCPT TO:<a@b>", VERB_RCPT, "TO:<a@b>" },
		{ "DATA", VERB_DATA, "" },
		{ "DATA ", VERB_DATA, "" },
		{ "DATAX", VERB_UNKNOWN, "" },
		{ "DATA\t", VERB_UNKNOWN, "" },
		{ "BDAT 10 LAST", VERB_BDAT, "10 LAST" },
		{ "RSET", VERB_RSET, "" },
		{ "NOOP hello", VERB_NOOP, "hello" },
		{ "VRFY a", VERB_VRFY, "a" },
		{ "EXPN a", VERB_EXPN, "a" },
		{ "HELP", VERB_HELP, "" },
		{ "QUIT", VERB_QUIT, "" },
		{ "STARTTLS", VERB_STARTTLS, "" },
		{ "AUTH PLAIN AGEAYg==", VERB_AUTH, "PLAIN AGEAYg==" },
		{ "ETRN @a", VERB_ETRN, "@a" },
		{ "XCLIENT ADDR=::1", VERB_XCLIENT, "ADDR=::1" },
		{ "GET / HTTP/1.1", VERB_HTTP, "/ HTTP/1.1" },
		{ "post /", VERB_HTTP, "/" },
		{ "Host:relay", VERB_HTTP, "" },
		{ "host: relay", VERB_HTTP, "relay" },
		{ "Hostess: x", VERB_UNKNOWN, "x" },
		{ "Subject: x", VERB_UNKNOWN, "x" },
		{ "QUIT\001", VERB_UNKNOWN, "" },
		{ "NOOP \177", VERB_UNKNOWN, "\177" },
		{ "NOOP a\rMAIL", VERB_UNKNOWN, "a\rMAIL" },
		{ "", VERB_UNKNOWN, "" },
		{ " MAIL", VERB_UNKNOWN, "MAIL" },
		{ "MAI", VERB_UNKNOWN, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str rest;
		enum verb v = command_verb(str_of(cases[i].line), &rest);

		if (v != cases[i].verb) {
			print_error("\"%s\": %s, want %s\n", cases[i].line, verb_name(v),
				    verb_name(cases[i].verb));
			fail();
		}
		if (v)
			assert_str_equal(rest, str_of(cases[i].rest));
	}
	assert_string_equal(verb_name(VERB_STARTTLS), "STARTTLS");
	assert_string_equal(verb_name(VERB_HTTP), "HTTP");
	assert_string_equal(verb_name(VERB_UNKNOWN), "unknown");
}

static void test_bdat(void **state)
{
	static const struct {
		const char *args;
		bool valid, last;
		uint64_t size;
	} cases[] = {
		{ "0", true, false, 0 },
		{ "0 LAST", true, true, 0 },
		{ "1000 last", true, true, 1000 },
		{ "1000  LAST ", true, true, 1000 },
		{ "9223372036854775807", true, false, INT64_MAX },
		{ "9223372036854775808", false, false, 0 },
		{ "99999999999999999999999", false, false, 0 },
		{ "", false, false, 0 },
		{ "LAST", false, false, 0 },
		{ "-1", false, false, 0 },
		{ "+1", false, false, 0 },
		{ "1x", false, false, 0 },
		{ "0x10", false, false, 0 },
		{ "10 LASTX", false, false, 0 },
		{ "10 LAST x", false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t size = 0;
		bool last = false, valid = bdat_parse(str_of(cases[i].args), &size, &last);

		if (valid == cases[i].valid && last == cases[i].last && size == cases[i].size)
			continue;
		print_error("\"%s\": %d, %zu, %d\n", cases[i].args, valid, (size_t)size, last);
		fail();
	}
}

static void test_xtext(void **state)
{
	static const struct {
		const char *text;
		bool valid, printable;
	} cases[] = {
		{ "", true, true },	  { "abc", true, true },    { "a+2Bb", true, true },
		{ "+", false, false },	  { "+4", false, false },   { "+4g", false, false },
		{ "+2b", false, false },  { "a=b", false, false },  { "a b", false, false },
		{ "+0D+0A", true, false }, { "+7F", true, false },  { "+E4", true, true },
		{ "\xe4", false, false }, { "\177", false, false }, { "<>", true, true },
	};
	char all[256];
	struct buf out = BUF_INIT(1000), back = BUF_INIT(1000);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str s = str_of(cases[i].text);

		if (xtext_is_valid(s) == cases[i].valid &&
		    xtext_is_printable(s) == cases[i].printable &&
		    xtext_decode(&back, s) == cases[i].valid)
			continue;
		print_error("xtext \"%s\"\n", cases[i].text);
		fail();
	}
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	buf_clear(&back);
	xtext_encode(&out, str_make(all, sizeof(all)));
	assert_true(xtext_is_valid(buf_str(&out)));
	assert_true(xtext_decode(&back, buf_str(&out)));
	assert_str_equal(buf_str(&back), str_make(all, sizeof(all)));
	buf_clear(&out);
	xtext_encode(&out, STR("a+b=c d"));
	assert_str_equal(buf_str(&out), STR("a+2Bb+3Dc+20d"));
	buf_done(&out);
	buf_done(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_xtext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
