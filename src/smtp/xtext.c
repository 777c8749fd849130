/*
 * xtext - the encoding of parameter values (RFC 3461 4); declared in command.h.
 *
 * "+" and two upper-case hexadecimal digits stand for an octet; every other octet is a printable
 * ASCII character but "+" and "=". Read strictly, as the next hop may: what is let in goes out
 * again as it is.
 */
#include "smtp/command.h"

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_plain(char c)
{
	return c >= '!' && c <= '~' && c != '+' && c != '=';
}

/* One octet from the start of *s, which must not be empty; -1: malformed. */
static int next_octet(struct str *s)
{
	char c = s->p[0];
	int high, low;

	if (c != '+') {
		*s = str_from(*s, 1);
		return is_plain(c) ? c : -1;
	}
	if (s->n < 3)
		return -1;
	high = hex_digit(s->p[1]);
	low = hex_digit(s->p[2]);
	*s = str_from(*s, 3);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool xtext_is_valid(struct str s)
{
	while (s.n)
		if (next_octet(&s) < 0)
			return false;
	return true;
}

bool xtext_is_printable(struct str s)
{
	while (s.n) {
		int octet = next_octet(&s);

		if (octet < ' ' || octet == 0x7f)
			return false;
	}
	return true;
}

void xtext_encode(struct buf *out, struct str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_plain(s.p[i])) {
			buf_add_byte(out, s.p[i]);
			continue;
		}
		buf_add(out, (char[]){ '+', digits[c >> 4], digits[c & 15] }, 3);
	}
}

bool xtext_decode(struct buf *out, struct str s)
{
	if (!xtext_is_valid(s))
		return false;
	while (s.n)
		buf_add_byte(out, (char)next_octet(&s));
	return true;
}
