/* pop/command: lines of POP3, the end of replies however they are cut, APOP. */
#include "pop/command.h"

#include "unit/unit.h"

static void test_lines(void **state)
{
	static const struct {
		const char *line;
		enum pop_verb verb;
		const char *args;
	} cases[] = {
		{ "USER anna", POP_USER, "anna" }, { "pass  a b ", POP_PASS, " a b " },
		{ "QUIT", POP_QUIT, "" }, { "Capa ", POP_CAPA, "" }, { "STLSX", POP_UNKNOWN, "" },
		{ "", POP_BAD, NULL }, { " USER x", POP_BAD, NULL }, { "USER a\tb", POP_BAD, NULL },
		{ "USER a\nPASS b", POP_BAD, NULL }, { "USER\ra", POP_BAD, NULL },
		{ "1", POP_BAD, NULL }, { "PASS p\303\244ss", POP_PASS, "p\303\244ss" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str args = STR_NONE;

		assert_int_equal(pop_parse(str_of(cases[i].line), &args), cases[i].verb);
		if (cases[i].args)
			assert_str_equal(args, str_of(cases[i].args));
	}
	assert_int_equal(pop_status(STR("+OK")), POP_OK);
	assert_int_equal(pop_status(STR("+OK hi")), POP_OK);
	assert_int_equal(pop_status(STR("-ERR no")), POP_ERR);
	assert_int_equal(pop_status(STR("+ abc")), POP_CONTINUE);
	assert_int_equal(pop_status(STR("+OKAY")), POP_NONSENSE);
	assert_int_equal(pop_status(STR("220 hi")), POP_NONSENSE);
	assert_true(pop_is_multiline(POP_LIST, STR_NONE));
	assert_false(pop_is_multiline(POP_LIST, STR("1")));
	assert_true(pop_is_multiline(POP_RETR, STR("1")));
	assert_false(pop_is_multiline(POP_STAT, STR_NONE));
}

/* However it is cut, the same end. */
static void test_ends(void **state)
{
	static const struct {
		const char *octets;
		ssize_t end;		/* -1: not there */
	} cases[] = {
		{ ".\r\n", 3 }, { ".\r\nx", 3 }, { "a\r\n.\r\n", 6 }, { "a\r\n..\r\n.\r\n+OK", 10 },
		{ "a\n.\n", -1 }, { "a\n.\r\nb", -1 }, { "a\r\n.\nb", -1 }, { "a\r.\r\n", -1 },
		{ "\r\r\n.\r\n", 6 }, { ".\r\r\n.\r\n", 7 }, { ". \r\n", -1 }, { "\r\n.\r", -1 },
		{ "", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str all = str_of(cases[i].octets);

		for (size_t cut = 0; cut <= all.n; cut++) {
			unsigned s = 0;
			size_t n = pop_find_end(&s, str_sub(all, 0, cut));

			n += pop_find_end(&s, str_from(all, cut));
			if ((s == POP_ENDED ? (ssize_t)n : -1) != cases[i].end)
				fail_msg("case %zu cut at %zu", i, cut);
		}
	}
}

static void test_apop(void **state)
{
	struct str name, digest;

	(void)state;
	assert_str_equal(pop_timestamp(STR("+OK POP3 <1896.697170952@dbc.mtview.ca.us>")),
			 STR("<1896.697170952@dbc.mtview.ca.us>"));
	assert_int_equal(pop_timestamp(STR("+OK > <")).n, 0);
	assert_true(pop_apop_parse(STR("mrose c4c9334bac560ecc979e58001b3e22fb"), &name, &digest));
	assert_str_equal(name, STR("mrose"));
	/* the example of RFC 1939 */
	assert_true(pop_apop_is(STR("<1896.697170952@dbc.mtview.ca.us>"), STR("tanstaaf"), digest));
	assert_false(pop_apop_is(STR("<1896.697170952@dbc.mtview.ca.us>"), STR("tanstaag"),
				 digest));
	assert_false(pop_apop_parse(STR("c4c9334bac560ecc979e58001b3e22fb"), &name, &digest));
	assert_false(pop_apop_parse(STR("a c4"), &name, &digest));
	assert_false(pop_apop_parse(STR_NONE, &name, &digest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_apop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
