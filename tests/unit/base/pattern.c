/* base: regular expressions: what they match, what they refuse, and that no pattern runs away. */
#include "base/pattern.h"

#include "unit/unit.h"

#include <limits.h>
#include <pthread.h>
#include <time.h>

/* a task's stack, or the least that the system gives a thread: 128 KiB on aarch64 */
#define SMALL_STACK (size_t)(PTHREAD_STACK_MIN > 64 << 10 ? PTHREAD_STACK_MIN : 64 << 10)

static bool matches(const char *pattern, struct str text)
{
	char error[200] = "";
	struct pattern *p = pattern_new(str_of(pattern), error, sizeof(error));
	bool result;

	if (!p)
		fail_msg("%s: %s", pattern, error);
	result = pattern_matches(p, text);
	pattern_free(p);
	return result;
}

static void test_matches(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} cases[] = {
		{ "too many", "421 Too MANY connections", true },
		{ "TOO many", "too much", false },
		{ "^too", "not too", false },
		{ "\\bTSS0[1-9]\\b", "[TSS04] deferred", true },
		{ "\\bTSS0[1-9]\\b", "[TSS044] deferred", false },
		{ "first.*second", "the first line\nthe second", true },	/* over lines */
		{ "x$", "x\n", true },
		{ "", "", false },
		{ ".", "", false },
		{ "a*", "", true },
		{ "(a|b){2}c", "xabcx", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (*cases[i].pattern && matches(cases[i].pattern, str_of(cases[i].text)) !=
						 cases[i].fits)
			fail_msg("%s, %s", cases[i].pattern, cases[i].text);
	assert_true(matches("a*", STR_NONE));
}

/* Replies hold what they like: NUL, what is no UTF-8, half of a character. */
static void test_any_octets(void **state)
{
	(void)state;
	assert_true(matches("b.c", str_make("a\0b\xff"
					    "c", 5)));
	assert_true(matches("\\xff", str_make("\xff", 1)));
	assert_true(matches("gr\303\274", str_of("gr\303\274\303")));
	assert_false(matches("\303\234", str_of("\303\274")));	/* no case but that of ASCII */
}

static void test_long_text(void **state)
{
	static char text[PATTERN_TEXT_MAX + 10];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[PATTERN_TEXT_MAX - 1] = 'a';
	text[PATTERN_TEXT_MAX] = 'b';
	assert_true(matches("a", str_make(text, sizeof(text))));
	assert_false(matches("b", str_make(text, sizeof(text))));	/* behind the limit */
}

static void test_errors(void **state)
{
	static const struct {
		const char *pattern, *error;
	} cases[] = {
		{ "(a", "missing closing parenthesis, at octet 3 of the pattern" },
		{ "a)", "unmatched closing parenthesis, at octet 2 of the pattern" },
		{ "[z-a]", "range out of order in character class, at octet 4 of the pattern" },
		{ "*", "quantifier does not follow a repeatable item, at octet 1 of the pattern" },
		{ "", "a pattern has 1 to 1000 octets" },
	};
	char error[200], text[PATTERN_OCTETS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(pattern_new(str_of(cases[i].pattern), error, sizeof(error)));
		assert_string_equal(error, cases[i].error);
	}
	/* it may not ask for UTF-8, whose faults would be errors of matching */
	assert_null(pattern_new(STR("(*UTF)a"), error, sizeof(error)));
	memset(text, 'a', sizeof(text));
	assert_null(pattern_new(str_make(text, sizeof(text)), error, sizeof(error)));
	pattern_free(pattern_new(str_make(text, sizeof(text) - 1), error, sizeof(error)));
	memset(text, '(', 500);
	memset(text + 500, ')', 500);
	assert_null(pattern_new(str_make(text, 1000), error, sizeof(error)));
	assert_null(pattern_new(STR("(a"), error, 10));	/* cut to what there is */
	assert_string_equal(error, "missing c");
	pattern_free(NULL);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each would take longer than the age of the world without the limits. */
static void test_runaways(void **state)
{
	static const char *const patterns[] = { "(a+)+$", "(a|aa)+$", "(.*)*b$", "(a*)*(a*)*c",
						"(x+x+)+y", "(?:(?:a|b|ab)*)*c", "(?R)?a+b",
						"(*NO_JIT)(a+)+$", "(*NO_JIT)(a|aa)+$" };
	static char text[PATTERN_TEXT_MAX];
	double from = seconds();

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		memset(text, strchr(patterns[i], 'x') ? 'x' : 'a', sizeof(text));
		text[sizeof(text) - 1] = '!';
		assert_false(matches(patterns[i], str_make(text, sizeof(text))));
		/* and the thread can match afterwards */
		assert_true(matches("a+!?$", STR("aaa!")));
	}
	assert_true(seconds() - from < 2);
}

static char many[PATTERN_TEXT_MAX];

/* 64 KiB of stack, as a task has. */
static void *on_small_stack(void *arg)
{
	const struct pattern *const *p = arg;
	uintptr_t result = 0;

	result += pattern_matches(p[0], str_make(many, sizeof(many)));
	result += pattern_matches(p[1], str_make(many, sizeof(many)));
	result += pattern_matches(p[2], STR("blocked using x"));
	return (void *)result;
}

static void test_threads(void **state)
{
	char error[200];
	struct pattern *p[3] = {
		pattern_new(STR("(?:a|b)*c|^(a|b){50}"), error, sizeof(error)),
		pattern_new(STR("(*NO_JIT)((a|aa)+)+$x"), error, sizeof(error)),
		pattern_new(STR("blocked (by|using)"), error, sizeof(error)),
	};
	pthread_t threads[8];
	pthread_attr_t attributes;
	void *result;

	(void)state;
	memset(many, 'a', sizeof(many));
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, SMALL_STACK), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], &attributes, on_small_stack, p), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		/* the first may be over its limit; the last never */
		assert_true((uintptr_t)result == 1 || (uintptr_t)result == 2);
	}
	pthread_attr_destroy(&attributes);
	for (int i = 0; i < 3; i++)
		pattern_free(p[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches),	 cmocka_unit_test(test_any_octets),
		cmocka_unit_test(test_long_text), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_runaways), cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
