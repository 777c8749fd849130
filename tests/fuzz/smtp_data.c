/*
 * Fuzz: content behind DATA, cut into chunks that the input's first bytes choose, against the naive
 * reference; and content through the writer and back.
 */
#include "../unit/smtp/data_naive.h"

#include "base/mem.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CUTS 8

/* The length of the i-th chunk: up to 255 octets, by the header of the input. */
static size_t chunk_length(const uint8_t *cuts, size_t i)
{
	return (size_t)cuts[i % CUTS] + 1;
}

static void check_reader(const uint8_t *cuts, struct str in, bool in_place)
{
	struct data_reader r = { 0 };
	struct buf content = BUF_INIT(SIZE_MAX / 2);
	struct naive want;
	size_t at = 0, written;

	naive_read(&want, in);
	for (size_t i = 0; at < in.n && !r.done; i++) {
		struct str chunk = str_sub(in, at, at + chunk_length(cuts, i));
		char *out = mem_alloc(chunk.n + 2), *from = in_place ? out : mem_alloc(chunk.n);

		memcpy(from, chunk.p, chunk.n);
		at += data_read(&r, from, chunk.n, out, &written);
		assert(written <= chunk.n + 1);
		buf_add(&content, out, written);
		if (!in_place)
			mem_free(from);
		mem_free(out);
	}
	assert(at == want.used && r.done == want.done && r.bare == want.bare);
	assert(r.eightbit == want.eightbit && r.line_max == want.line_max && r.octets == content.n);
	assert(str_eq(buf_str(&content), buf_str(&want.content)));
	buf_done(&content);
	buf_done(&want.content);
}

static void check_content(const uint8_t *cuts, struct str in)
{
	struct data_reader r = { 0 };
	struct naive want = { 0 };

	naive_judge(&want, in, true);
	for (size_t at = 0, i = 0; at < in.n; i++) {
		struct str chunk = str_sub(in, at, at + chunk_length(cuts, i));

		data_check(&r, chunk.p, chunk.n);
		at += chunk.n;
	}
	data_check_end(&r);
	assert(r.bare == want.bare && r.eightbit == want.eightbit && r.line_max == want.line_max);
	assert(r.octets == in.n && !r.done);
}

static void check_writer(const uint8_t *cuts, struct str content)
{
	struct buf wire = BUF_INIT(SIZE_MAX / 2), want = BUF_INIT(SIZE_MAX / 2);
	struct data_writer w = { 0 };
	struct data_reader r = { 0 };
	size_t written, length;

	for (size_t at = 0, i = 0; at < content.n; i++) {
		struct str chunk = str_sub(content, at, at + chunk_length(cuts, i));
		size_t plain = data_write_plain(&w, chunk.p, chunk.n);

		buf_add(&wire, chunk.p, plain);
		if (plain < chunk.n)
			buf_add_byte(&wire, '.');
		at += plain;
	}
	buf_add_str(&wire, data_write_end(&w));
	naive_write(&want, content);
	assert(str_eq(buf_str(&wire), buf_str(&want)));
	length = wire.n;
	assert(buf_reserve(&wire, 2));
	assert(data_read(&r, wire.p, length, wire.p, &written) == length && r.done);
	assert(written >= content.n && str_eq(str_make(wire.p, content.n), content));
	assert(str_eq(str_make(wire.p + content.n, written - content.n),
		      naive_line_start(content, content.n) ? STR("") : STR("\r\n")));
	buf_done(&wire);
	buf_done(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in;

	if (n < CUTS)
		return 0;
	in = str_make((const char *)data + CUTS, n - CUTS);
	check_reader(data, in, false);
	check_reader(data, in, true);
	check_content(data, in);
	check_writer(data, in);
	return 0;
}
