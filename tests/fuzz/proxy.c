/*
 * Fuzzes smtp/proxy: headers of the PROXY protocol, and what stands behind XCLIENT. What is asked
 * for more is bounded, and comes to the same result as the whole at once; nothing is taken from
 * behind the header.
 */
#include "smtp/proxy.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* As a session reads it: never more than what was asked for. */
static ssize_t in_pieces(const char *p, size_t n, struct proxy *ret)
{
	size_t have = 0, more = 1;

	for (;;) {
		char *alone = malloc(have ? have : 1);
		ssize_t r;

		memcpy(alone, p, have);
		r = proxy_parse(str_make(alone, have), ret, &more);
		free(alone);
		if (r)
			return r;
		assert(more > 0 && have + more <= PROXY_HEADER_MAX);
		if (have + more > n)
			return 0;
		have += more;
	}
}

static void check_xclient(struct str args)
{
	struct xclient x = { 0 };

	if (!xclient_parse(args, &x))
		return;
	assert(x.given && !(x.unavailable & ~x.given));
	assert(!(x.given >> XCLIENT_ATTRIBUTES_N));
	assert(strlen(x.name) <= XCLIENT_VALUE_MAX && strlen(x.helo) <= XCLIENT_VALUE_MAX);
	assert(!str_has_control(str_of(x.name)) && !str_has_control(str_of(x.helo)));
	assert(!str_has_control(str_of(x.login)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct proxy whole = { 0 }, pieces = { 0 };
	size_t more = 0;
	ssize_t a = proxy_parse(str_make((const char *)data, n), &whole, &more);
	ssize_t b = in_pieces((const char *)data, n, &pieces);

	assert(a <= (ssize_t)n && a <= PROXY_HEADER_MAX);
	assert((a > 0) == (b > 0));
	assert(a <= 0 || (a == b && whole.has_addresses == pieces.has_addresses));
	assert(a != 0 || more > 0);
	check_xclient(str_make((const char *)data, n));
	return 0;
}
