/*
 * reply - reading and writing of replies; see reply.h.
 *
 * A received reply is cleaned as it comes in: what is kept is UTF-8 without control characters on
 * lines joined by '\n', at most REPLY_TEXT_MAX octets, whatever the peer sends. So it may go into
 * logs, reports and the spool. The enhanced code (RFC 2034) is believed only if its class is the
 * code's; it is then a field of the struct and no longer part of the text, on every line that
 * repeats it.
 */
#include "smtp/reply.h"

#include "smtp/address.h"

#include <assert.h>
#include <errno.h>

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* The line up to the next '\n' of *rest; moves *rest behind it. *ret_more: a line follows. */
static struct str next_line(struct str *rest, bool *ret_more)
{
	ssize_t end = str_find(*rest, '\n');
	struct str line = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);

	*ret_more = end >= 0;
	*rest = str_from(*rest, line.n + 1);
	return line;
}

static void add_without_controls(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_byte(out, is_control(s.p[i]) ? '?' : s.p[i]);
}

static void format_line(struct buf *out, const struct reply *r, struct str line, bool more)
{
	size_t start = out->n, used;

	buf_add_u64(out, r->code);
	if (more || r->enhanced.class || line.n)
		buf_add_byte(out, more ? '-' : ' ');
	if (r->enhanced.class) {
		enhanced_format(out, r->enhanced);
		if (line.n)
			buf_add_byte(out, ' ');
	}
	used = out->n - start;
	add_without_controls(out, utf8_cut(line, REPLY_LINE_MAX - 2 - used));
	buf_add_lit(out, "\r\n");
}

void reply_format(struct buf *out, const struct reply *r)
{
	struct str rest = r->text;
	size_t start = out->n;
	bool more = true;

	assert(r->code >= 200 && r->code <= 599);
	while (more && buf_ok(out)) {
		struct str line = next_line(&rest, &more);

		format_line(out, r, line, more);
	}
	if (buf_ok(out))
		return;
	/*
	 * Half a reply would leave the peer waiting, or out of step: the first line alone is a
	 * whole one.
	 */
	out->n = start;
	rest = r->text;
	if (start <= out->max && out->max - start >= REPLY_LINE_MAX)
		format_line(out, r, next_line(&rest, &more), false);
}

void reply_reader_init(struct reply_reader *r)
{
	*r = (struct reply_reader){ .text = BUF_INIT(REPLY_TEXT_MAX) };
}

void reply_reader_done(struct reply_reader *r)
{
	buf_done(&r->text);
	reply_reader_init(r);
}

void reply_reader_reset(struct reply_reader *r)
{
	buf_clear(&r->text);
	r->reply = (struct reply){ 0 };
	r->lines = 0;
}

/* Appends as much of s as fits, cleaned; every character is whole or absent. */
static void keep_text(struct buf *text, struct str s)
{
	while (s.n) {
		size_t n = utf8_sequence(s);
		char c = n ? s.p[0] : '?';

		if (c == '\t')
			c = ' ';
		else if (is_control(c))
			c = '?';
		if (text->max - text->n < (n ? n : 1))
			return;
		if (n > 1)
			buf_add(text, s.p, n);
		else
			buf_add_byte(text, c);
		s = str_from(s, n ? n : 1);
	}
}

/* "250" and what separates it from the text. False: not a reply line. */
static bool code_parse(struct str line, uint16_t *ret_code, bool *ret_more, struct str *ret_text)
{
	if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !ascii_is_digit(line.p[1]) ||
	    !ascii_is_digit(line.p[2]) || (line.n > 3 && ascii_is_digit(line.p[3])))
		return false;
	*ret_code = (uint16_t)((line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + line.p[2] - '0');
	*ret_more = line.n > 3 && line.p[3] == '-';
	*ret_text = str_from(line, 3 + (*ret_more || (line.n > 3 && line.p[3] == ' ')));
	return true;
}

/* Takes the enhanced code from the start of the text if it is the reply's, or becomes it. */
static struct str take_enhanced(struct reply *r, struct str text)
{
	struct enhanced e;
	struct str rest;

	if (!enhanced_parse(text, &e, &rest) || e.class != r->code / 100)
		return text;
	if (!r->enhanced.class)
		r->enhanced = e;
	if (e.subject != r->enhanced.subject || e.detail != r->enhanced.detail)
		return text;
	return rest;
}

int reply_reader_line(struct reply_reader *r, struct str line)
{
	struct str text;
	uint16_t code;
	bool more;

	if (!code_parse(line, &code, &more, &text))
		return -EPROTO;
	if (r->lines && code != r->reply.code)
		return -EPROTO;
	if (r->lines == REPLY_LINES_MAX)
		return -EMSGSIZE;
	r->reply.code = code;
	if (r->lines++ && r->text.n < r->text.max)
		buf_add_byte(&r->text, '\n');
	keep_text(&r->text, take_enhanced(&r->reply, text));
	if (more)
		return 0;
	r->reply.text = buf_str(&r->text);
	return 1;
}

/* 1 to 3 digits from the start of *s. */
static bool take_number(struct str *s, uint16_t *ret_value)
{
	uint64_t value;
	size_t n = 0;

	while (n < s->n && n < 4 && ascii_is_digit(s->p[n]))
		n++;
	if (n > 3 || !str_parse_u64(str_sub(*s, 0, n), 999, &value))
		return false;
	*s = str_from(*s, n);
	*ret_value = (uint16_t)value;
	return true;
}

static bool take_dot(struct str *s)
{
	if (!s->n || s->p[0] != '.')
		return false;
	*s = str_from(*s, 1);
	return true;
}

bool enhanced_parse(struct str s, struct enhanced *ret, struct str *ret_rest)
{
	struct enhanced e;

	if (!s.n || (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5'))
		return false;
	e.class = (uint8_t)(s.p[0] - '0');
	s = str_from(s, 1);
	if (!take_dot(&s) || !take_number(&s, &e.subject))
		return false;
	if (!take_dot(&s) || !take_number(&s, &e.detail))
		return false;
	if (s.n && s.p[0] != ' ')
		return false;
	*ret = e;
	*ret_rest = str_from(s, 1);
	return true;
}

void enhanced_format(struct buf *out, struct enhanced e)
{
	buf_add_u64(out, e.class);
	buf_add_byte(out, '.');
	buf_add_u64(out, e.subject);
	buf_add_byte(out, '.');
	buf_add_u64(out, e.detail);
}

/* Into what room is left; a line break becomes a space. */
static void describe_text(struct buf *out, struct str text)
{
	size_t room = out->max > out->n ? out->max - out->n : 0;

	text = utf8_cut(text, room);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '\n')
			c = ' ';
		buf_add_byte(out, is_control(c) ? '?' : c);
	}
}

void reply_describe(struct buf *out, const struct reply *r)
{
	size_t start = out->n;

	if (r->code)
		buf_add_u64(out, r->code);
	if (r->code && r->enhanced.class) {
		buf_add_byte(out, ' ');
		enhanced_format(out, r->enhanced);
	}
	if (out->n != start && r->text.n && out->n + 1 < out->max)
		buf_add_byte(out, ' ');
	describe_text(out, r->text);
}
