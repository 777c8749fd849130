/*
 * fuzz pop3 - lines of POP3 from a client and from a server: what is parsed is within the line and
 * holds no control octet, and the end of a reply is the same however it is cut.
 */
#include "pop/command.h"

#include <stdlib.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool is_within(struct str part, struct str whole)
{
	return !part.n || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void commands(struct str line)
{
	struct str args = STR_NONE, name, digest;
	enum pop_verb v = pop_parse(line, &args);

	check(v == POP_BAD || (is_within(args, line) && !str_has_control(args)));
	pop_is_multiline(v, args);
	pop_status(line);
	check(is_within(pop_timestamp(line), line));
	if (!pop_apop_parse(line, &name, &digest))
		return;
	check(is_within(name, line) && is_within(digest, line) && digest.n == 32 && name.n);
	pop_apop_is(STR("<1@x>"), name, digest);
}

static void ends(struct str all, size_t cut)
{
	unsigned whole = 0, parts = 0;
	size_t n = pop_find_end(&whole, all);
	size_t m = pop_find_end(&parts, str_sub(all, 0, cut));

	m += pop_find_end(&parts, str_from(all, cut));
	check(n == m && whole == parts && n <= all.n);
	if (whole != POP_ENDED)
		return;
	check(n >= 3 && memcmp(all.p + n - 3, ".\r\n", 3) == 0);
	check(n == 3 || (n >= 5 && memcmp(all.p + n - 5, "\r\n", 2) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str all = { (const char *)data + 1, n ? n - 1 : 0 };

	if (!n)
		return 0;
	commands(all);
	ends(all, all.n ? data[0] % (all.n + 1) : 0);
	return 0;
}
