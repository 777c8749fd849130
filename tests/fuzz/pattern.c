/*
 * Fuzzes base/pattern: the first line is a pattern, the rest is what it is matched with, as a whole
 * and in slices. Operators write patterns, peers the text: no pair may take long (see -timeout),
 * need much of the stack, or read beyond the text, which stands alone on the heap for that.
 */
#include "base/pattern.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SLOW_S 2		/* with sanitizers; MATCH_MAX keeps it to milliseconds without */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool match(const struct pattern *p, struct str text)
{
	char *alone = malloc(text.n ? text.n : 1);
	bool matches;

	memcpy(alone, text.p, text.n);
	matches = pattern_matches(p, str_make(alone, text.n));
	assert(matches == pattern_matches(p, str_make(alone, text.n)));
	free(alone);
	return matches;
}

/* Repeats the text up to what is looked at, and one octet more: where backtracking is worst. */
static void match_long(const struct pattern *p, struct str text)
{
	static char all[PATTERN_TEXT_MAX + 1];

	for (size_t i = 0; text.n && i < sizeof(all); i++)
		all[i] = text.p[i % text.n];
	match(p, str_make(all, text.n ? sizeof(all) : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make((const char *)data, n), text;
	ssize_t end = str_find(in, '\n');
	char error[256] = "";
	struct pattern *p = pattern_new(str_sub(in, 0, end < 0 ? n : (size_t)end), error,
					sizeof(error));
	clock_t start = clock();

	assert(!p == (error[0] != '\0'));
	if (!p)
		return 0;
	text = str_from(in, end < 0 ? n : (size_t)end + 1);
	match(p, text);
	match(p, str_sub(text, 0, text.n / 2));
	match(p, str_from(text, text.n / 2));
	match_long(p, text);
	assert((clock() - start) / CLOCKS_PER_SEC < SLOW_S);
	pattern_free(p);
	return 0;
}
