/*
 * Fuzzes control/: any words are a query or a sentence. A query answers for any recipient, the same
 * after its words travelled over the control socket; with one condition turned round it says the
 * opposite.
 */
#include "control/query.h"

#include "base/mem.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define WORDS_MAX 64

static const struct query_subject subjects[] = {
	{ .id = { 7, 1, 42 }, .age_ms = 7200001, .size = 5000, .sender = { "a@b.example", 11 },
	  .recipient = { "c@d.example", 11 }, .domain = { "d.example", 9 },
	  .destination = { "d.example", 9 }, .provider = { "p", 1 }, .route = { "mx:r", 4 },
	  .tag = { "t", 1 }, .status = QUERY_QUEUED | QUERY_NEW | QUERY_READY },
	{ .id = { 1, 2, 3 }, .age_ms = -5, .recipient = { "\"a,*\"@[192.0.2.1]", 17 },
	  .domain = { "[192.0.2.1]", 11 }, .destination = { "s", 1 },
	  .route = { "s+01234567", 10 }, .status = QUERY_QUEUED | QUERY_HELD | QUERY_DEFERRED },
};

/* Words are what stands between zero octets. */
static unsigned split(const uint8_t *data, size_t n, struct str *ret)
{
	struct str rest = str_make((const char *)data, n);
	unsigned words = 0;

	while (rest.n && words < WORDS_MAX) {
		ssize_t end = str_find(rest, '\0');

		ret[words] = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
		rest = str_from(rest, ret[words++].n + 1);
	}
	return words;
}

static char *travel(const struct str *words, unsigned n, struct str *ret)
{
	struct buf b = BUF_INIT(1 << 20);
	size_t ends[WORDS_MAX];

	for (unsigned i = 0; i < n; i++) {
		query_word_encode(&b, words[i]);
		ends[i] = b.n;
	}
	assert(buf_ok(&b) && !str_has_control(buf_str(&b)) && str_find(buf_str(&b), ' ') < 0);
	for (unsigned i = 0; i < n; i++) {
		size_t from = i ? ends[i - 1] : 0;

		assert(query_word_decode(b.p + from, ends[i] - from, &ret[i]));
		assert(str_eq(ret[i], words[i]));
	}
	return b.p;
}

static void check_not(const struct str *words, unsigned n, const struct query *q)
{
	struct str turned[WORDS_MAX + 1];
	struct buf error = BUF_INIT(1 << 16);
	struct query *not;
	unsigned used;

	turned[0] = STR("not");
	memcpy(turned + 1, words, n * sizeof(*words));
	not = query_parse(turned, n + 1, NULL, &used, &error);
	assert(not);
	for (size_t i = 0; i < 2; i++)
		assert(query_matches(not, &subjects[i], 0) != query_matches(q, &subjects[i], 0));
	query_free(not);
	buf_done(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str words[WORDS_MAX], back[WORDS_MAX];
	struct buf error = BUF_INIT(1 << 16), again = BUF_INIT(1 << 16);
	unsigned words_n = split(data, n, words), used = 0, used_again = 0;
	char *travelled = travel(words, words_n, back);
	struct query *q = query_parse(words, words_n, "via", &used, &error);
	struct query *r = query_parse(back, words_n, "via", &used_again, &again);

	assert(!q == !r && used == used_again && !q == (error.n > 0));
	assert(str_eq(buf_str(&error), buf_str(&again)) && !str_has_control(buf_str(&error)));
	for (size_t i = 0; q && i < 2; i++)
		assert(query_matches(q, &subjects[i], 0) == query_matches(r, &subjects[i], 0));
	if (q && used == 2 && words_n == 2 && str_eq(words[0], STR("sender")))
		check_not(words, 2, q);
	query_free(q);
	query_free(r);
	buf_done(&error);
	buf_done(&again);
	mem_free(travelled);
	query_route_name(str_make((const char *)data, n));
	return 0;
}
