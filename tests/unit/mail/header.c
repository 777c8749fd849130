/* mail/header: fields read, watched in every chunking, written; and all of the sample messages. */
#include "base/mem.h"
#include "mail/header.h"
#include "unit/testdata.h"

#include <ftw.h>

struct next_case {
	const char *text;
	const char *fields;	/* "name=value|" for each, folding as it is */
	const char *body;	/* what is left behind the fields */
};

static const struct next_case nexts[] = {
	{ "", "", "" },
	{ "\r\n", "", "" },
	{ "\r\nbody", "", "body" },
	{ "A: b\r\n\r\nbody", "A= b|", "body" },
	{ "A: b\r\nC:d\r\n", "A= b|C=d|", "" },
	{ "A: b", "A= b|", "" },
	{ "A:\r\n\r\n", "A=|", "" },
	{ "A : b\r\n\r\n", "A= b|", "" },
	{ "A \t:b\r\n\r\n", "A=b|", "" },
	{ "A: b\r\n c\r\n\td\r\nE: f\r\n\r\nx", "A= b\r\n c\r\n\td|E= f|", "x" },
	{ "A: b\r\n \r\n\r\nx", "A= b\r\n |", "x" },
	{ " A: b\r\nC: d\r\n\r\n", "C= d|", "" },
	{ "nonsense\r\n D: e\r\nF: g\r\n\r\nx", "F= g|", "x" },
	{ "From a@b Sun Nov 22\r\nF: g\r\n\r\n", "F= g|", "" },
	{ ": x\r\nF: g\r\n\r\n", "F= g|", "" },
	{ "A\r: x\r\nF: g\r\n\r\n", "F= g|", "" },
	{ "A b: x\r\nF: g\r\n\r\n", "F= g|", "" },
	{ "\xc3\xa4: x\r\nF: g\r\n\r\n", "F= g|", "" },
	{ "A: b\nC: d\r\n\r\nx", "A= b\nC: d|", "x" },
	{ "A: b\rC: d\r\n\r\nx", "A= b\rC: d|", "x" },
	{ "A: b\n\nbody\r\n", "A= b\n\nbody|", "" },
	{ "A: b\r\n\r", "A= b|", "" },
	{ "\r\r\nA: b\r\n\r\n", "A= b|", "" },
	{ "A", "", "" },
	{ "A:b:c\r\n\r\n", "A=b:c|", "" },
};

static void test_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
		struct str text = str_of(nexts[i].text), rest = text;
		struct buf fields = BUF_INIT(1000);
		struct header_field f;
		size_t length = header_length(text);

		while (header_next(&rest, &f)) {
			assert_true(f.whole.p >= text.p &&
				    f.whole.p + f.whole.n <= text.p + text.n);
			buf_add_str(&fields, f.name);
			buf_add_byte(&fields, '=');
			buf_add_str(&fields, f.value);
			buf_add_byte(&fields, '|');
		}
		if (!str_eq(buf_str(&fields), str_of(nexts[i].fields)) ||
		    !str_eq(rest, str_of(nexts[i].body)) || length != text.n - rest.n) {
			print_error("\"%s\": \"%.*s\" body \"%.*s\" length %zu\n", nexts[i].text,
				    STR_ARG(buf_str(&fields)), STR_ARG(rest), length);
			fail();
		}
		buf_done(&fields);
	}
}

/* What header_watch must find, by header_next. */
static struct header_watch watch_by_next(struct str text)
{
	struct header_watch w = { 0 };
	struct header_field f;
	struct str rest = text;

	while (header_next(&rest, &f)) {
		w.fields++;
		w.received += str_eq_nocase(f.name, STR("Received"));
		w.has_date |= str_eq_nocase(f.name, STR("Date"));
		w.has_from |= str_eq_nocase(f.name, STR("From"));
		if (str_eq_nocase(f.name, STR("Message-ID")) && !w.has_message_id) {
			w.has_message_id = true;
			for (size_t i = 0;
			     i < f.value.n && w.message_id_n < sizeof(w.message_id) - 1; i++) {
				char c = f.value.p[i];

				if (c == '\r' || c == '\n' || c == ' ' || c == '\t')
					continue;
				w.message_id[w.message_id_n++] = c > ' ' && c <= '~' ? c : '?';
			}
		}
	}
	w.ended = text.n >= 2 && header_length(text) >= 2 &&
		  (str_eq(str_sub(text, 0, 2), STR("\r\n")) ||
		   str_search(text, STR("\r\n\r\n")) >= 0);
	return w;
}

static bool same_watch(const struct header_watch *a, const struct header_watch *b)
{
	return a->ended == b->ended && a->has_date == b->has_date && a->has_from == b->has_from &&
	       a->has_message_id == b->has_message_id && a->received == b->received &&
	       a->fields == b->fields && !strcmp(a->message_id, b->message_id);
}

static void check_watch(const char *name, struct str text, size_t chunk)
{
	struct header_watch want = watch_by_next(text), w = { 0 };

	for (size_t at = 0; at < text.n; at += chunk) {
		struct str part = str_sub(text, at, at + chunk);
		/* so that a sanitizer sees the chunk's end */
		char *copy = mem_dup(part.p, part.n);

		header_watch(&w, copy, part.n);
		mem_free(copy);
	}
	if (same_watch(&w, &want))
		return;
	print_error("%s in chunks of %zu: %u fields, %u received, date %d, from %d, id %d \"%s\", "
		    "ended %d; "
		    "want %u, %u, %d, %d, %d \"%s\", %d\n",
		    name, chunk, w.fields, w.received, w.has_date, w.has_from, w.has_message_id,
		    w.message_id, w.ended, want.fields, want.received, want.has_date, want.has_from,
		    want.has_message_id, want.message_id, want.ended);
	fail();
}

static const char *const watched[] = {
	"Received: a\r\nReceived: b\r\n c\r\nDate: x\r\nFrom: y\r\nMessage-ID: "
	"<i@d>\r\n\r\nReceived: no\r\n",
	"date : x\r\nMESSAGE-id:\r\n <i\xff@d>\r\n (x)\r\nMessage-ID: <second>\r\nfrom:z\r\n\r\n",
	"Message-ID: <cut",
	"Message-ID: a\rb\r\n\r\n",
	"Message-ID: a\nb\r\n\r\n",
	"Message-ID:\r\n\r\n",
	"Receive\r\nd: x\r\n\r\n",
	"Received\r\n : x\r\n\r\n",
	"Received \r\n: x\r\n\r\n",
	"\r\n.\r\nDate: x\r\n",
	"\rDate: x\r\n\r\n",
	"\r\rDate: x\r\nDate: y\r\n\r\n",
	"Date\r: x\r\n\r\n",
	"x\r\n Date: y\r\n\r\n",
	"A-very-long-name-of-a-field-that-does-not-matter-at-all: "
	"x\r\nDate-which-goes-on-and-on-for-32: x\r\n\r\n",
	("Message-ID: "
	 "<0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
	 "890"
	 "1234567890123456789012345678901234567890123456789@d>\r\n\r\n"),
	"Date: x\r\n\r",
	"Date: x\r\n\r\r\n\r\n",
	"Date: x\n\nDate: y\r\n",
	"Da te: x\r\n\r\n",
	"Date \t : x\r\n\r\n",
};

static void test_watch(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		for (size_t chunk = 1; chunk <= strlen(watched[i]); chunk++)
			check_watch(watched[i], str_of(watched[i]), chunk);
	for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++)
		for (size_t chunk = 1; chunk <= strlen(nexts[i].text); chunk++)
			check_watch(nexts[i].text, str_of(nexts[i].text), chunk);
}

static void test_watch_values(void **state)
{
	struct header_watch w = { 0 };

	(void)state;
	header_watch(&w, watched[0], strlen(watched[0]));
	assert_true(w.ended && w.has_date && w.has_from && w.has_message_id);
	assert_int_equal(w.received, 2);
	assert_int_equal(w.fields, 5);
	assert_string_equal(w.message_id, "<i@d>");
	w = (struct header_watch){ 0 };
	header_watch(&w, watched[1], strlen(watched[1]));
	assert_string_equal(w.message_id, "<i?@d>(x)");
}

static unsigned files;

static int check_file(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	struct buf as_is = BUF_INIT(1 << 24), crlf = BUF_INIT(1 << 25);

	(void)status;
	(void)ftw;
	if (type != FTW_F)
		return 0;
	assert_true(file_read(&as_is, path));
	for (size_t i = 0; i < as_is.n; i++) {
		if (as_is.p[i] == '\n' && (i == 0 || as_is.p[i - 1] != '\r'))
			buf_add_byte(&crlf, '\r');
		buf_add_byte(&crlf, as_is.p[i]);
	}
	for (size_t chunk = 1; chunk <= 4096; chunk = chunk * 3 + 1) {
		check_watch(path, buf_str(&as_is), chunk);
		check_watch(path, buf_str(&crlf), chunk);
	}
	files++;
	buf_done(&as_is);
	buf_done(&crlf);
	return 0;
}

static void test_samples(void **state)
{
	static const char *const folders[] = { "mime-mailparser", "mime-mikelmail" };
	char path[512];

	(void)state;
	testdata_needed();
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", testdata_folder(), folders[i]);
		assert_int_equal(nftw(path, check_file, 16, FTW_PHYS), 0);
	}
	assert_true(files > 50);
}

#define W10 "aaaaaaaaa "	/* ten octets with the blank */

static void test_write(void **state)
{
	static const struct {
		const char *name, *value, *want;	/* want NULL: refused */
	} cases[] = {
		{ "Subject", "hello", "Subject: hello\r\n" },
		{ "Subject", "  hello \t", "Subject: hello\r\n" },
		{ "Subject", "", "Subject: \r\n" },
		{ "S", W10 W10 W10 W10 W10 W10 W10 "aaaaa",
		  "S: " W10 W10 W10 W10 W10 W10 W10 "aaaaa\r\n" },
		{ "S", W10 W10 W10 W10 W10 W10 W10 "aaaaaa",
		  "S: " W10 W10 W10 W10 W10 W10 "aaaaaaaaa\r\n aaaaaa\r\n" },
		{ "S", W10 W10 W10 W10 W10 W10 W10 "\t aaaaaa",
		  "S: " W10 W10 W10 W10 W10 W10 "aaaaaaaaa\r\n \t aaaaaa\r\n" },
		{ "Subject", "a\r\nBcc: x", NULL },
		{ "Subject", "a\nb", NULL },
		{ "Subject", "a\rb", NULL },
		{ "Sub ject", "a", NULL },
		{ "Subject:", "a", NULL },
		{ "", "a", NULL },
		{ "S\r\n", "a", NULL },
		{ "\xc3\xa4", "a", NULL },
	};
	struct buf out = BUF_INIT(1000), value = BUF_INIT(10000), big = BUF_INIT(20000);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&out);
		if (header_write(&out, str_of(cases[i].name), str_of(cases[i].value)) !=
		    (cases[i].want != NULL) || !str_eq(buf_str(&out), str_of(cases[i].want))) {
			print_error("%s: %s became %.*s\n", cases[i].name, cases[i].value,
				    STR_ARG(buf_str(&out)));
			fail();
		}
	}
	assert_false(header_write(&out, STR("S"), STR("a\0b")));
	/* Folding adds CRLFs only: without them it is the value again, and no line is too long. */
	for (int i = 0; i < 500; i++)
		buf_add(&value, "word and more words ,", (size_t)(i % 20) + 1);
	value.p[value.n - 1] = '.';
	assert_true(header_write(&big, STR("Name"), buf_str(&value)));

	struct str rest = buf_str(&big);
	struct buf back = BUF_INIT(20000);

	while (rest.n) {
		size_t n = (size_t)str_search(rest, STR("\r\n"));

		assert_true(n <= 78);
		buf_add_str(&back, str_sub(rest, 0, n));
		rest = str_from(rest, n + 2);
	}
	assert_str_equal(str_from(buf_str(&back), 6), buf_str(&value));
	big.n = 0;
	big.max = 20;
	assert_false(header_write(&big, STR("Name"), buf_str(&value)));
	assert_int_equal(big.n, 0);
	buf_done(&back);
	buf_done(&big);
	buf_done(&value);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_watch_values),
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
