/* control/arguments: words behind a command. */
#include "control/arguments.h"
#include "unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

struct result {
	const char *file;
	bool json, ok;
	int left;
	char *words[8];
};

/* text: words with one space between. Complaints go to /dev/null. */
static struct result parse(char *text)
{
	struct result r = { .file = "default" };
	const struct argument_row rows[] = { { "-c", &r.file, NULL }, { "--json", NULL, &r.json } };
	int old = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);

	for (char *word = text, *end; word; word = end ? end + 1 : NULL) {
		end = strchr(word, ' ');
		if (end)
			*end = '\0';
		if (*word)
			r.words[r.left++] = word;
	}
	dup2(null, STDERR_FILENO);
	r.ok = arguments_parse("test", &r.left, r.words, rows, 2);
	dup2(old, STDERR_FILENO);
	close(old);
	close(null);
	return r;
}

static void test_parse(void **state)
{
	static const struct {
		const char *text, *file;
		bool ok, json;
		int left;
	} cases[] = {
		{ "", "default", true, false, 0 },
		{ "-c a list", "a", true, false, 1 },
		{ "list -c a --json b", "a", true, true, 2 },
		{ "-c=a", "a", true, false, 0 },
		{ "-- -c --json", "default", true, false, 2 },
		{ "-", "default", true, false, 1 },
		{ "-c", "default", false, false, 0 },
		{ "--jsn", "default", false, false, 0 },
		{ "--json=1", "default", false, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		struct result r;

		str_copy(text, sizeof(text), str_of(cases[i].text));
		r = parse(text);
		if (r.ok != cases[i].ok ||
		    (r.ok && (r.left != cases[i].left || r.json != cases[i].json ||
		    strcmp(r.file, cases[i].file) != 0)))
			fail_msg("\"%s\"", cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
