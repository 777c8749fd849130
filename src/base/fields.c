/*
 * fields - see fields.h.
 */
#include "base/fields.h"

void fields_escape(struct buf *out, struct str s, bool blanks)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c > ' ' && c < 0x7f && c != '%') || (blanks && c == ' '))
			buf_add_byte(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool fields_unescape(struct str *s)
{
	char *p = (char *)(uintptr_t)s->p;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++, n++) {
		int high, low;

		p[n] = p[i];
		if (p[i] != '%')
			continue;
		if (s->n - i < 3)
			return false;
		high = hex_digit(p[i + 1]);
		low = hex_digit(p[i + 2]);
		if (high < 0 || low < 0 || high + low == 0)
			return false;
		p[n] = (char)(high * 16 + low);
		i += 2;
	}
	s->n = n;
	return true;
}

void fields_add(struct buf *out, struct str s)
{
	if (!s.n) {
		buf_add_lit(out, "-\t");
		return;
	}
	if (s.p[0] == '-') {
		buf_add_lit(out, "%2D");
		s = str_from(s, 1);
	}
	fields_escape(out, s, true);
	buf_add_byte(out, '\t');
}

unsigned fields_split(char *line, size_t n, struct str *ret, unsigned max)
{
	struct str rest = str_make(line, n);
	unsigned fields = 0;

	while (rest.n) {
		ssize_t tab = str_find(rest, '\t');

		if (tab <= 0 || fields == max)
			return 0;
		ret[fields] = str_sub(rest, 0, (size_t)tab);
		rest = str_from(rest, (size_t)tab + 1);
		if (str_eq(ret[fields], STR("-")))
			ret[fields] = STR_NONE;
		else if (!fields_unescape(&ret[fields]))
			return 0;
		fields++;
	}
	return fields;
}

bool fields_parse_i64(struct str s, int64_t *ret)
{
	uint64_t v;

	if (!str_parse_u64(s, INT64_MAX, &v))
		return false;
	*ret = (int64_t)v;
	return true;
}
