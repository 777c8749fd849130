/* control/query: the language of the queue commands, and what fits. */
#include "control/query.h"

#include "base/mem.h"
#include "unit/unit.h"

#define WORDS_MAX 32

struct split {
	char *text;		/* what the words lie in */
	struct str words[WORDS_MAX];
	unsigned n;
};

/* Words with one space between; '_' stands for a blank within one. */
static void split(struct split *s, const char *text)
{
	struct str rest, word;

	s->text = str_dup(str_of(text));
	s->n = 0;
	rest = str_of(s->text);
	while ((word = str_word(&rest)).n) {
		for (size_t i = 0; i < word.n; i++)
			if (word.p[i] == '_')
				((char *)word.p)[i] = ' ';
		s->words[s->n++] = word;
	}
}

static struct query *parse(const char *text, const char *stop, unsigned *used, struct buf *error)
{
	struct split s;
	struct query *q;

	split(&s, text);
	q = query_parse(s.words, s.n, stop, used, error);
	mem_free(s.text);	/* the query must have its own copy */
	return q;
}

/* ---- what fits */

static const struct query_subject ann = {
	.id = { 7, 1, 42 }, .age_ms = 3 * 3600 * 1000, .size = 5000,
	.sender = { "Ann@Shop.example", 16 }, .tag = { "newsletter", 10 },
	.recipient = { "bob@mail.example.net", 20 }, .domain = { "mail.example.net", 16 },
	.destination = { "mail.example.net", 16 }, .provider = { "bigmail", 7 },
	.route = { "mx:fast+0A1B2C3D", 16 },
	.status = QUERY_QUEUED | QUERY_DEFERRED | QUERY_WAITING | QUERY_RESTING,
};

static const struct query_subject null_sender = {
	.id = { 7, 1, 43 }, .age_ms = 60 * 1000, .size = 2000000,
	.recipient = { "\"a,b c\"@x.example", 17 }, .domain = { "x.example", 9 },
	.destination = { "smarthost", 9 }, .route = { "smarthost", 9 },
	.status = QUERY_QUEUED | QUERY_NEW | QUERY_HELD,
};

static void test_fits(void **state)
{
	static const struct {
		const char *text;
		bool ann, null_sender;
	} cases[] = {
		{ "", true, true },
		{ "all", true, true },
		{ "sender ann@shop.example", true, false },
		{ "sender ANN@SHOP.EXAMPLE", true, false },
		{ "sender <ann@shop.example>", true, false },
		{ "SENDER shop.example", true, false },
		{ "sender example", false, false },
		{ "sender .example", true, false },
		{ "sender .shop.example", false, false },
		{ "sender <>", false, true },
		{ "not sender <>", true, false },
		{ "sender <>,shop.example", true, true },
		{ "sender *@*", true, false },
		{ "sender *", true, true },
		{ "sender a*n@s*e", true, false },
		{ "sender a*x@s*e", false, false },
		{ "recipient bob@mail.example.net", true, false },
		{ "recipient bob", false, false },
		{ "recipient mail.example.net", true, false },
		{ "recipient \"a,b_c\"@x.example", false, true },
		{ "recipient nobody@x.example,\"a,b_c\"@x.example", false, true },
		{ "domain example.net", false, false },
		{ "domain .example.net", true, false },
		{ "domain *.example.net,x.example", true, true },
		{ "domain .mail.example.net", false, false },
		{ "destination smarthost", false, true },
		{ "destination mail.example.net", true, false },
		{ "destination x.example", false, false },
		{ "provider bigmail", true, false },
		{ "provider <>", false, true },
		{ "route fast", true, false },
		{ "route mx:fast", true, false },
		{ "route mx:fast+0a1b2c3d", true, false },
		{ "route mx", false, false },
		{ "route smarthost,fast", true, true },
		{ "age >2h", true, false },
		{ "age >3h", false, false },
		{ "age over 2h", true, false },
		{ "age under 2h", false, true },
		{ "age >1m age <4h", true, false },
		{ "not age >2h", false, true },
		{ "size >1M", false, true },
		{ "size <1M", true, false },
		{ "size over 4K size under 5K", true, false },
		{ "tag newsletter", true, false },
		{ "tag <>", false, true },
		{ "tag news*", true, false },
		{ "status queued", true, true },
		{ "status held", false, true },
		{ "status held,resting", true, true },
		{ "status ready", false, false },
		{ "status new", false, true },
		{ "status deferred not status limited", true, false },
		{ "not status suspended,in-flight", true, true },
		{ "id 0000007-1-1A", true, false },
		{ "0000007-1-1A 0000007-1-1B", true, true },
		{ "0000007-1-1A 0000007-1-1B sender <>", false, true },
		{ "not id 0000007-1-1A", false, true },
		{ "id 0000007-1-1A,0000007-1-1B,0000007-1-1C", true, true },
		{ "sender shop.example size >1M", false, false },
		{ "route fast via smarthost", true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf error = BUF_INIT(4096);
		unsigned used = 0;
		struct query *q = parse(cases[i].text, "via", &used, &error);

		if (!q)
			fail_msg("\"%s\": %s", cases[i].text, buf_cstr(&error));
		if (query_matches(q, &ann, 0) != cases[i].ann)
			fail_msg("\"%s\": ann", cases[i].text);
		if (query_matches(q, &null_sender, 0) != cases[i].null_sender)
			fail_msg("\"%s\": the null sender", cases[i].text);
		query_free(q);
		buf_done(&error);
	}
}

/* ---- what is wrong, and what is said of it */

static void test_errors(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "sendr a@b", "word 1, \"sendr\"" },
		{ "sendr a@b", "did you mean \"sender\"?" },
		{ "sendr a@b", "expected one of sender, recipient, domain" },
		{ "age >2h nonsense", "word 3, \"nonsense\"" },
		{ "sender", "a value is missing" },
		{ "sender via next", "a value is missing" },
		{ "sender a@b,", "beside the comma" },
		{ "sender ,a@b", "beside the comma" },
		{ "age 2h", "expected '>2h'" },
		{ "age >", "expected '>2h'" },
		{ "age >2x", "expected '>2h'" },
		{ "age >-1", "expected '>2h'" },
		{ "age over", "expected '>2h'" },
		{ "age", "the shell takes > and <" },
		{ "size 1M", "expected '>1M'" },
		{ "size >99999999999999999999G", "expected '>1M'" },
		{ "status readi", "did you mean \"ready\"?" },
		{ "status held,", "beside the comma" },
		{ "id nonsense", "is not a message id" },
		{ "not", "a condition is missing" },
		{ "not all", "is not a condition" },
		{ "not 0000007-1-1A", "is not a condition" },
		{ "not not sender a", "is not a condition" },
		{ "all sender a@b", "stands alone" },
		{ "sender a@b all", "stands alone" },
		{ "a\033[2Jb", "\"a?[2Jb\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf error = BUF_INIT(4096);
		unsigned used = 99;
		struct query *q = parse(cases[i].text, "via", &used, &error);

		if (q || used != 99)
			fail_msg("\"%s\" was taken", cases[i].text);
		if (str_search(buf_str(&error), str_of(cases[i].said)) < 0)
			fail_msg("\"%s\": \"%s\" is not in: %s", cases[i].text, cases[i].said,
				 buf_cstr(&error));
		buf_done(&error);
	}
}

static void test_too_many_words(void **state)
{
	static struct str words[QUERY_WORDS_MAX + 1];
	struct buf error = BUF_INIT(4096);
	unsigned used;
	struct query *q;

	(void)state;
	for (unsigned i = 0; i <= QUERY_WORDS_MAX; i++)
		words[i] = STR("0000007-1-1A");
	assert_null(query_parse(words, QUERY_WORDS_MAX + 1, NULL, &used, &error));
	assert_true(error.n > 0);
	q = query_parse(words, QUERY_WORDS_MAX, NULL, &used, &error);
	assert_non_null(q);
	assert_int_equal(used, QUERY_WORDS_MAX);
	query_free(q);
	buf_done(&error);
}

/* ---- what it is about */

static void test_about(void **state)
{
	static const struct {
		const char *text;
		bool is_empty, provider;
		unsigned statuses, ids, used;
	} cases[] = {
		{ "", true, false, 0, 0, 0 },
		{ "via x", true, false, 0, 0, 0 },
		{ "all", false, false, 0, 0, 1 },
		{ "sender a@b via x", false, false, 0, 0, 2 },
		{ "recipient a@b", false, false, 0, 0, 2 },
		{ "not domain b", false, false, 0, 0, 3 },
		{ "provider p", false, true, 0, 0, 2 },
		{ "status held", false, false, QUERY_HELD, 0, 2 },
		{ "status held,new", false, false, QUERY_HELD | QUERY_NEW, 0, 2 },
		{ "status in-flight not status new", false, false,
		  QUERY_IN_FLIGHT | QUERY_NEW, 0, 5 },
		{ "0000007-1-1A 0000007-1-1B 0000007-1-1C", false, false, 0, 3, 3 },
		{ "id 0000007-1-1A", false, false, 0, 1, 2 },
		{ "id 0000007-1-1A size >1K", false, false, 0, 0, 4 },
		{ "not id 0000007-1-1A", false, false, 0, 0, 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf error = BUF_INIT(4096);
		const struct message_id *ids;
		unsigned used = 0;
		struct query *q = parse(cases[i].text, "via", &used, &error);

		assert_non_null(q);
		if (query_is_empty(q) != cases[i].is_empty ||
		    query_has_provider(q) != cases[i].provider ||
		    query_statuses(q) != cases[i].statuses ||
		    query_ids(q, &ids) != cases[i].ids || used != cases[i].used)
			fail_msg("\"%s\"", cases[i].text);
		query_free(q);
	}
}

/* A status that is not known yet fits either way, negated or not. */
static void test_unknown_status(void **state)
{
	static const char *const texts[] = { "status in-flight", "not status in-flight" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct buf error = BUF_INIT(4096);
		unsigned used;
		struct query *q = parse(texts[i], NULL, &used, &error);

		assert_true(query_matches(q, &ann, QUERY_IN_FLIGHT));
		assert_int_equal(query_matches(q, &ann, 0), i == 1);
		query_free(q);
	}
}

/* ---- wildcards: as they should be, and in bounded time */

static void test_wildcards(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} cases[] = {
		{ "", "", true },	   { "", "a", false },	     { "*", "", true },
		{ "**", "abc", true },	   { "a*", "abc", true },    { "*c", "abc", true },
		{ "*b*", "abc", true },	   { "a*c", "abxc", true },  { "a*c", "abcd", false },
		{ "a*b*c", "aXbYbZc", true }, { "ABC", "abc", true }, { "abc", "ab", false },
		{ "ab", "abc", false },	   { "*ab", "aab", true },   { "*aab", "aaab", true },
		{ "?", "a", false },
	};
	char pattern[202], text[5001];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (query_wildcard(str_of(cases[i].pattern), str_of(cases[i].text)) !=
		    cases[i].fits)
			fail_msg("%s on %s", cases[i].pattern, cases[i].text);
	for (size_t i = 0; i < 200; i += 2) {
		pattern[i] = '*';
		pattern[i + 1] = 'a';
	}
	pattern[200] = 'b';
	memset(text, 'a', sizeof(text));
	assert_false(query_wildcard(str_make(pattern, 201), str_make(text, 5000)));
}

static void test_routes(void **state)
{
	static const struct {
		const char *route, *base, *name;
		bool is_mx;
	} cases[] = {
		{ "mx", "mx", "mx", true },
		{ "mx+01234567", "mx", "mx", true },
		{ "mx:fast", "mx:fast", "fast", true },
		{ "mx:fast+89ABCDEF", "mx:fast", "fast", true },
		{ "next", "next", "next", false },
		{ "next+0123456G", "next+0123456G", "next+0123456G", false },
		{ "next+0123456", "next+0123456", "next+0123456", false },
		{ "+01234567", "+01234567", "+01234567", false },
		{ "mxa", "mxa", "mxa", false },
		{ "smtp://a.example:25+0123ABCD", "smtp://a.example:25", "smtp://a.example:25",
		  false },
		{ "", "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str route = str_of(cases[i].route);

		assert_str_equal(query_route_base(route), str_of(cases[i].base));
		assert_str_equal(query_route_name(route), str_of(cases[i].name));
		if (query_route_is_mx(route) != cases[i].is_mx)
			fail_msg("%s", cases[i].route);
	}
}

/* ---- words on the wire */

static void test_words(void **state)
{
	static const struct str words[] = {
		{ "", 0 }, { "a", 1 }, { "a b", 3 }, { "%", 1 }, { "%41", 3 }, { "\r\n\t\0x", 5 },
		{ "\"a b\"@\xc3\xa4.example", 16 }, { ">2h", 3 },
	};
	static const char *const malformed[] = { "a%", "a%4", "%4", "%G0", "%0G", "%%41" };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct buf out = BUF_INIT(1024);
		struct str back;

		query_word_encode(&out, words[i]);
		assert_true(out.n > 0);
		assert_false(str_has_control(buf_str(&out)));
		assert_true(str_is_ascii(buf_str(&out)) && str_find(buf_str(&out), ' ') < 0);
		assert_true(query_word_decode(out.p, out.n, &back));
		assert_str_equal(back, words[i]);
		buf_done(&out);
	}
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		char *text = str_dup(str_of(malformed[i]));
		struct str back;

		if (query_word_decode(text, strlen(text), &back))
			fail_msg("%s", malformed[i]);
		mem_free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fits),	cmocka_unit_test(test_errors),
		cmocka_unit_test(test_too_many_words), cmocka_unit_test(test_about),
		cmocka_unit_test(test_unknown_status), cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_routes),	cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
