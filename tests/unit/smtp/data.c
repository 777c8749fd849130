/*
 * smtp/data: against a naive reference, over nasty strings at every border of chunks and blocks,
 * over random bytes, and from the writer back to the reader.
 */
#include "base/mem.h"
#include "unit/smtp/data_naive.h"
#include "unit/unit.h"

#include <stdlib.h>

/* What smuggling is made of, and ordinary ends. "end" marks in comments what ends content. */
static const char *const nasty[] = {
	".\r\n",	 /* end: empty content */
	".\r\nQUIT\r\n", /* end, more behind it */
	"a\r\n.\r\n",	 /* end */
	"a\r\n.\r\nMAIL FROM:<x@y>\r\n",
	"\r\n.\r\n",
	"\r\n\r\n.\r\n",
	"a\n.\n",
	"a\n.\r\nb\r\n.\r\n",
	"a\r\n.\nb\r\n.\r\n",
	"a\r.\r\n",
	"a\r.\rb",
	"a\r\n.\rb\r\n.\r\n",
	"a\r\n.\r\r\n.\r\n",
	"a\r\n\r.\r\n.\r\n",
	"\n.\n",
	"\n.\r\n",
	"\r.\r",
	"\r.\r\n",
	".\n",
	".\r",
	".\r.\r\n",
	".\r\r\n.\r\n",
	".\rx\r\n.\r\n",
	"\r\r\n.\r\n",
	"\r\n\n.\r\n",
	"a\r\n..\r\n.\r\n",
	"..\r\n.\r\n",
	"...\r\n.\r\n",
	".a\r\n.\r\n",
	". \r\n.\r\n",
	"a\r\n.b\r\n..c\r\n.\r\n",
	"\r",
	"\n",
	".",
	"..",
	"",
	"a",
	"a\r",
	"a\r\n",
	"a\r\n.",
	"a\r\n.\r",
	"a.\r\n",
	"a\r\n .\r\n",
	"\xc3\xa4\r\n.\r\n",
	"a\r\n.\xff\r\n.\r\n",
	"\n\r",
	"\n\r\n.\r\n",
	"\r\n.\n.\r\n",
	"\r\n.\r.\n",
	"\r\n..\n.\r\n.\r\n",
	".\r\n.\r\n",
	"a\r\n.\r\n.\r\n",
};

struct outcome {
	struct data_reader r;
	struct buf content;
	size_t used;
};

/*
 * Reads in up to three chunks, [0,a) [a,b) [b,n); in place or into a buffer of just the promised
 * size.
 */
static void read_chunks(struct outcome *o, struct str in, size_t a, size_t b, bool in_place)
{
	const size_t cuts[] = { 0, a, b, in.n };

	*o = (struct outcome){ .content = BUF_INIT(SIZE_MAX / 2) };
	for (int i = 0; i < 3 && !o->r.done; i++) {
		size_t n = cuts[i + 1] - cuts[i], written = 0;
		char *out = mem_alloc(n + 2);
		char *from = in_place ? out : mem_alloc(n);

		if (n)
			memcpy(from, in.p + cuts[i], n);
		o->used += data_read(&o->r, from, n, out, &written);
		assert_true(written <= n + 1);
		buf_add(&o->content, out, written);
		if (!in_place)
			mem_free(from);
		mem_free(out);
	}
}

static void print_bytes(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\r')
			print_error("\\r");
		else if (c == '\n')
			print_error("\\n");
		else if (c < ' ' || c > '~')
			print_error("\\x%02x", (unsigned char)c);
		else
			print_error("%c", c);
	}
}

static bool same(const struct outcome *o, const struct naive *want)
{
	return str_eq(buf_str(&o->content), buf_str(&want->content)) && o->used == want->used &&
	       o->r.done == want->done && o->r.bare == want->bare &&
	       o->r.eightbit == want->eightbit && o->r.line_max == want->line_max &&
	       o->r.octets == want->content.n;
}

static void check(struct str in, size_t a, size_t b, const struct naive *want)
{
	for (int in_place = 0; in_place < 2; in_place++) {
		struct outcome o;

		read_chunks(&o, in, a, b, in_place);
		if (!same(&o, want)) {
			print_error("chunks at %zu, %zu%s of \"", a, b,
				    in_place ? ", in place" : "");
			print_bytes(in);
			print_error("\"\n  content \"");
			print_bytes(buf_str(&o.content));
			print_error("\" used %zu done %d bare %d eightbit %d line_max %zu\n  "
				    "want    \"",
				    o.used, o.r.done, o.r.bare, o.r.eightbit, (size_t)o.r.line_max);
			print_bytes(buf_str(&want->content));
			print_error("\" used %zu done %d bare %d eightbit %d line_max %zu\n",
				    want->used, want->done, want->bare, want->eightbit,
				    (size_t)want->line_max);
			fail();
		}
		buf_done(&o.content);
	}
}

static void check_all_chunks(struct str in)
{
	struct naive want;

	naive_read(&want, in);
	for (size_t a = 0; a <= in.n; a++)
		for (size_t b = a; b <= in.n; b++)
			check(in, a, b, &want);
	buf_done(&want.content);
}

static void test_nasty(void **state)
{
	char nuls[150];		/* a line of them, over two blocks */

	(void)state;
	for (size_t i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++)
		check_all_chunks(str_of(nasty[i]));
	check_all_chunks(STR("a\0b\r\n.\r\n"));
	check_all_chunks(STR("\0.\r\n\0\r\n.\0\r\n..\0\r\n\r\n\0.\r\n.\r\n"));
	memset(nuls + 2, 0, sizeof(nuls) - 7);
	memcpy(nuls, "\r\n", 2);
	memcpy(nuls + sizeof(nuls) - 5, "\r\n.\r\n", 5);
	check_all_chunks(str_make(nuls, sizeof(nuls)));
}

/*
 * The same behind 40 to 140 bytes of plain lines, so that every one meets every place in a block.
 */
static void test_nasty_in_blocks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++) {
		for (size_t pad = 40; pad < 140; pad++) {
			struct buf in = BUF_INIT(1000);
			struct naive want;

			for (size_t j = 0; j + 2 < pad; j++)
				buf_add_byte(&in, j % 17 == 15 ? '\r' : j % 17 == 16 ? '\n' : 'x');
			buf_add_lit(&in, "\r\n");
			buf_add_str(&in, str_of(nasty[i]));
			while (in.n < 230)
				buf_add_lit(&in, "tail.\r\n");
			naive_read(&want, buf_str(&in));
			check(buf_str(&in), 0, 0, &want);
			check(buf_str(&in), pad, pad, &want);
			check(buf_str(&in), 1, pad + 1, &want);
			check(buf_str(&in), pad - 1, pad + 2, &want);
			buf_done(&want.content);
			buf_done(&in);
		}
	}
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

/* Mostly line ends and dots, in proportions that change from round to round. */
static void random_bytes(struct buf *out, uint64_t *seed)
{
	size_t n = next_random(seed) % 400;
	unsigned plain = (unsigned)(next_random(seed) % 60);

	buf_clear(out);
	while (out->n < n) {
		switch (next_random(seed) % (6 + plain)) {
		case 0:
			buf_add_byte(out, '\r');
			break;
		case 1:
			buf_add_byte(out, '\n');
			break;
		case 2:
			buf_add_byte(out, '.');
			break;
		case 3:
		case 4:
			buf_add_lit(out, "\r\n");
			break;
		case 5:
			if (next_random(seed) % 50 == 0)
				buf_add_byte(out, (char)next_random(seed));
			break;
		default:
			buf_add_byte(out, 'a');
		}
	}
}

static void test_random(void **state)
{
	uint64_t seed = 1;
	struct buf in = BUF_INIT(1000);

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct naive want;
		size_t a, b;

		random_bytes(&in, &seed);
		a = next_random(&seed) % (in.n + 1);
		b = a + next_random(&seed) % (in.n - a + 1);
		naive_read(&want, buf_str(&in));
		check(buf_str(&in), a, b, &want);
		buf_done(&want.content);
	}
	buf_done(&in);
}

static void check_content(struct str in, size_t a)
{
	struct naive want = { 0 };
	struct data_reader r = { 0 };

	naive_judge(&want, in, true);
	data_check(&r, in.p, a);
	data_check(&r, in.p + a, in.n - a);
	data_check_end(&r);
	if (r.bare == want.bare && r.eightbit == want.eightbit && r.line_max == want.line_max &&
	    r.octets == in.n && !r.done)
		return;
	print_error("cut at %zu: \"", a);
	print_bytes(in);
	print_error("\" bare %d, want %d; line_max %zu, want %zu\n", r.bare, want.bare,
		    (size_t)r.line_max, (size_t)want.line_max);
	fail();
}

static void test_check(void **state)
{
	uint64_t seed = 2;
	struct buf in = BUF_INIT(1000);

	(void)state;
	for (size_t i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++)
		for (size_t a = 0; a <= strlen(nasty[i]); a++)
			check_content(str_of(nasty[i]), a);
	for (int i = 0; i < 20000; i++) {
		random_bytes(&in, &seed);
		if (in.n)
			check_content(buf_str(&in), next_random(&seed) % (in.n + 1));
	}
	buf_done(&in);
}

static void write_chunk(struct buf *out, struct data_writer *w, struct str chunk)
{
	while (chunk.n) {
		size_t plain = data_write_plain(w, chunk.p, chunk.n);

		buf_add(out, chunk.p, plain);
		if (plain < chunk.n)
			buf_add_byte(out, '.');
		chunk = str_from(chunk, plain);
	}
}

static void check_writer(struct str content, size_t a)
{
	struct buf wire = BUF_INIT(10000), want = BUF_INIT(10000);
	struct data_writer w = { 0 };
	struct naive back;

	write_chunk(&wire, &w, str_sub(content, 0, a));
	write_chunk(&wire, &w, str_from(content, a));
	buf_add_str(&wire, data_write_end(&w));
	naive_write(&want, content);
	if (!str_eq(buf_str(&wire), buf_str(&want))) {
		print_error("cut at %zu: \"", a);
		print_bytes(content);
		print_error("\" was written as \"");
		print_bytes(buf_str(&wire));
		print_error("\"\n");
		fail();
	}
	/*
	 * The reader gets it back, with the CRLF that the writer had to add, and not a byte
	 * earlier.
	 */
	naive_read(&back, buf_str(&wire));
	assert_true(back.done);
	assert_int_equal(back.used, wire.n);
	if (naive_line_start(content, content.n))
		assert_str_equal(buf_str(&back.content), content);
	else
		assert_str_equal(str_sub(buf_str(&back.content), 0, content.n), content);
	buf_done(&back.content);
	buf_done(&want);
	buf_done(&wire);
}

static void test_writer(void **state)
{
	uint64_t seed = 3;
	struct buf in = BUF_INIT(1000);

	(void)state;
	for (size_t i = 0; i < sizeof(nasty) / sizeof(nasty[0]); i++)
		for (size_t a = 0; a <= strlen(nasty[i]); a++)
			check_writer(str_of(nasty[i]), a);
	for (int i = 0; i < 20000; i++) {
		random_bytes(&in, &seed);
		check_writer(buf_str(&in), next_random(&seed) % (in.n + 1));
	}
	buf_done(&in);
}

static void test_after_done(void **state)
{
	struct data_reader r = { 0 };
	char in[] = ".\r\nnext", out[16];
	size_t written = 9;

	(void)state;
	assert_int_equal(data_read(&r, in, sizeof(in) - 1, out, &written), 3);
	assert_true(r.done);
	assert_int_equal(written, 0);
	assert_int_equal(data_read(&r, in + 3, 4, out, &written), 0);
	assert_int_equal(written, 0);
	assert_str_equal(data_write_end(&(struct data_writer){ 0 }), STR(".\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nasty),
		cmocka_unit_test(test_nasty_in_blocks),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_after_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
