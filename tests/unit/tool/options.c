/* tool/options: what is read, what is refused, and in which words. */
#include "tool/options.h"
#include "unit/unit.h"

static bool flag;
static const char *text;
static uint64_t number, size, time_ns, rate;
static unsigned calls;

static bool call(void *target, const char *value, struct buf *error)
{
	assert_ptr_equal(target, &calls);
	calls++;
	if (!strcmp(value, "bad"))
		buf_add_lit(error, "bad it is");
	return strcmp(value, "bad") != 0;
}

static const struct option_row rows[] = {
	{ "flag", NULL, OPTION_FLAG, &flag, NULL, "" },
	{ "text", "TEXT", OPTION_TEXT, &text, NULL, "" },
	{ "number", "N", OPTION_NUMBER, &number, NULL, "" },
	{ "size", "SIZE", OPTION_SIZE, &size, NULL, "" },
	{ "time", "TIME", OPTION_TIME, &time_ns, NULL, "" },
	{ "rate", "RATE", OPTION_RATE, &rate, NULL, "" },
	{ "call", "X", OPTION_CALL, &calls, call, "" },
	{ 0 },
};

static const struct {
	const char *line;	/* words */
	const char *error;	/* NULL: fine */
} lines[] = {
	{"--flag --text x --number=7 --size 2K --time 100ms --rate 90/min --call a --call=b file",
	 NULL},
	{"-- --flag", NULL},
	{"-", NULL},
	{"--help --nonsense", NULL},
	{"--flog", "there is no option --flog; did you mean --flag?"},
	{"--xyzzyxyzzy", "there is no option --xyzzyxyzzy"},
	{"--flag=1", "--flag takes no value"},
	{"--text", "--text wants a value: TEXT"},
	{"--number 7x", "--number wants a number, not \"7x\""},
	{"--size 7T", "--size wants a size, as in 4096, 10K or 2M, not \"7T\""},
	{"--time soon", "--time wants a time, as in 100ms, 30s or 5m, not \"soon\""},
	{"--rate 0", "--rate wants a rate, as in 100/s or 30/min, not \"0\""},
	{"--call bad", "bad it is"},
	{"a b", "one argument too many: \"b\""},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct options o = { .usage = "", .purpose = "", .rows = rows, .operands_max = 1 };
		struct buf error = BUF_INIT(1000);
		char copy[200], *words[32], *rest = copy;
		int n = 0;
		bool help, fine;

		str_copy(copy, sizeof(copy), str_of(lines[i].line));
		while ((words[n] = strsep(&rest, " ")))
			n++;
		fine = options_parse(&o, n, words, &help, &error);
		if (fine != !lines[i].error ||
		    (!fine && strcmp(buf_cstr(&error), lines[i].error) != 0))
			fail_msg("%s: %s", lines[i].line, buf_cstr(&error));
		assert_int_equal(help, strstr(lines[i].line, "--help") != NULL);
		buf_done(&error);
	}
	assert_true(flag);
	assert_int_equal(number, 7);
	assert_int_equal(size, 2048);
	assert_int_equal(time_ns, 100000000);
	assert_int_equal(rate, 1500);
}

static const struct {
	const char *s;
	bool fine;
	uint32_t share;
} shares[] = {
	{"10%", true, 100000}, {"100%", true, 1000000}, {"0.5%", true, 5000},
	{"1.25", true, 12500}, {"0.0001", true, 1},	{"101%", false, 0},
	{"100.1%", false, 0},  {"", false, 0},		{"x", false, 0},
};

static void test_share(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		uint32_t share = 0;

		if (parse_share(str_of(shares[i].s), &share) != shares[i].fine ||
		    share != shares[i].share)
			fail_msg("%s: %u", shares[i].s, share);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
