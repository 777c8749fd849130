/*
 * Fuzz: replies as a server sends them, line by line. What is kept is clean and bounded; written
 * out it reads back to the same; the offers of any reply may be taken.
 */
#include "smtp/ehlo.h"
#include "smtp/reply.h"

#include "smtp/address.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct str take_line(struct str *rest)
{
	ssize_t end = str_search(*rest, STR("\r\n"));
	struct str line = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);

	*rest = str_from(*rest, line.n + 2);
	return line;
}

static bool is_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n') || s.p[i] == 0x7f)
			return false;
	return utf8_is_valid(s);
}

static size_t longest_line(struct str s)
{
	size_t longest = 0, line = 0;

	for (size_t i = 0; i < s.n; i++) {
		line = s.p[i] == '\n' ? 0 : line + 1;
		if (line > longest)
			longest = line;
	}
	return longest;
}

static void check_wire(const struct reply *reply)
{
	struct buf out = BUF_INIT(1 << 20);
	struct reply_reader again;
	struct str rest;
	int result = 0;

	reply_format(&out, reply);
	reply_reader_init(&again);
	rest = buf_str(&out);
	while (rest.n) {
		struct str line = take_line(&rest);

		assert(result == 0 && line.n <= REPLY_LINE_MAX - 2 && !str_has_control(line));
		result = reply_reader_line(&again, line);
	}
	assert(result == 1 && again.reply.code == reply->code);
	/*
	 * Same text, unless lines were cut or the text begins like the enhanced code that was not
	 * believed.
	 */
	if (reply->enhanced.class && longest_line(reply->text) < 400) {
		assert(again.reply.enhanced.class == reply->enhanced.class);
		assert(str_eq(again.reply.text, reply->text));
	}
	reply_reader_done(&again);
	buf_done(&out);
}

static void check_reply(const struct reply *reply)
{
	struct buf line = BUF_INIT(300);
	struct offers offers;

	assert(reply->code >= 200 && reply->code <= 599);
	assert(reply->text.n <= REPLY_TEXT_MAX && is_clean(reply->text));
	assert(!reply->enhanced.class || reply->enhanced.class == reply->code / 100);
	reply_describe(&line, reply);
	assert(line.n <= 300 && !str_has_control(buf_str(&line)) && utf8_is_valid(buf_str(&line)));
	ehlo_parse(reply, &offers);
	assert(memchr(offers.name, '\0', sizeof(offers.name)));
	offers_bits(&offers);
	check_wire(reply);
	buf_done(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_make((const char *)data, n);
	const struct reply raw = { .code = 250, .text = rest };
	struct buf out = BUF_INIT(1 << 20);
	struct reply_reader r;

	reply_reader_init(&r);
	while (rest.n) {
		int result = reply_reader_line(&r, take_line(&rest));

		if (result == 1)
			check_reply(&r.reply);
		if (result)
			reply_reader_reset(&r);
	}
	reply_reader_done(&r);
	/* Text that was never cleaned, as a policy or a filter may bring it. */
	reply_format(&out, &raw);
	reply_describe(&out, &raw);
	buf_done(&out);
	return 0;
}
