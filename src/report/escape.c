/*
 * escape - quoting for the log; see escape.h.
 *
 * Nearly every value is bare, so that case is one pass over a table and one copy.
 */
#include "report/escape.h"

#include "smtp/address.h"

enum kind {
	HIGH = 0,	/* >= 0x80: to be looked at as UTF-8 */
	BARE,		/* stands as it is anywhere */
	QUOTE,		/* stands as it is within quotes */
	ESCAPE,		/* behind a backslash */
	CONTROL,	/* as a number */
};

static const uint8_t kinds[256] = {
	[0 ... 0x1f] = CONTROL,
	[' '] = QUOTE,
	['!'] = BARE,
	['"'] = ESCAPE,
	['#' ... '<'] = BARE,
	['='] = QUOTE,
	['>' ... '['] = BARE,
	['\\'] = ESCAPE,
	[']' ... '~'] = BARE,
	[0x7f] = CONTROL,
	[0x80 ... 0xff] = HIGH,
};

static const char hex[] = "0123456789abcdef";

static bool is_bare(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (kinds[(uint8_t)s.p[i]] != BARE)
			return false;
	return s.n != 0;
}

static uint32_t code_point(const char *p, size_t n)
{
	uint32_t c = (uint8_t)p[0] & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((uint8_t)p[i] & 0x3f);
	return c;
}

/* What changes how the text around it is shown: a log must look like what it says. */
static bool is_deceptive(uint32_t c)
{
	return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x061c ||
		(c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

/* Octets of the character at the start of s that may stand as it is; 0: none. */
static size_t plain_character(struct str s)
{
	size_t n = utf8_sequence(s);

	return n > 1 && !is_deceptive(code_point(s.p, n)) ? n : 0;
}

static char *put(char *to, const char *p, size_t n)
{
	memcpy(to, p, n);
	return to + n;
}

static char *put_hex(char *to, uint8_t c)
{
	*to++ = hex[c >> 4];
	*to++ = hex[c & 15];
	return to;
}

char *escape_text(char *to, struct str s)
{
	if (is_bare(s))
		return put(to, s.p, s.n);
	*to++ = '"';
	for (size_t i = 0; i < s.n;) {
		uint8_t c = (uint8_t)s.p[i];
		size_t n = kinds[c] == HIGH ? plain_character(str_from(s, i)) : 1;

		if (kinds[c] == CONTROL || n == 0) {
			to = put_hex(put(to, "\\x", 2), c);
			i++;
			continue;
		}
		if (kinds[c] == ESCAPE)
			*to++ = '\\';
		to = put(to, s.p + i, n);
		i += n;
	}
	*to++ = '"';
	return to;
}

/*
 * A string of JSON holds characters, not octets: what is no UTF-8 becomes U+FFFD, octet by octet.
 */
static char *put_json_high(char *to, struct str s, size_t *ret_used)
{
	size_t n = plain_character(s);

	*ret_used = n ? n : 1;
	return n ? put(to, s.p, n) : put(to, "\\ufffd", 6);
}

char *escape_json(char *to, struct str s)
{
	*to++ = '"';
	for (size_t i = 0, used; i < s.n; i += used) {
		uint8_t c = (uint8_t)s.p[i];

		used = 1;
		if (kinds[c] == HIGH) {
			to = put_json_high(to, str_from(s, i), &used);
		} else if (kinds[c] == CONTROL) {
			to = put_hex(put(to, "\\u00", 4), c);
		} else {
			if (kinds[c] == ESCAPE)
				*to++ = '\\';
			*to++ = (char)c;
		}
	}
	*to++ = '"';
	return to;
}
