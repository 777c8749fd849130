/*
 * id - message ids as text; see id.h.
 */
#include "base/id.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* At least least digits. Returns the end. */
static char *put(char *to, uint64_t value, int least)
{
	char text[13];
	int n = 0;

	while (value || n < least) {
		text[n++] = digits[value & 31];
		value >>= 5;
	}
	while (n)
		*to++ = text[--n];
	return to;
}

char *id_format(char dst[ID_TEXT_MAX], const struct message_id *id)
{
	char *to = put(dst, id->spool, 7);

	*to++ = '-';
	to = put(to, id->incarnation, 1);
	*to++ = '-';
	to = put(to, id->counter, 1);
	*to = '\0';
	return dst;
}

static int digit(char c)
{
	const char *at;

	c = ascii_upper(c);
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static bool get(struct str s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int d = digit(s.p[i]);

		if (d < 0 || value > (max - (uint64_t)d) / 32)
			return false;
		value = value * 32 + (uint64_t)d;
	}
	*ret = value;
	return true;
}

bool id_parse(struct str s, struct message_id *ret)
{
	ssize_t a = str_find(s, '-'), b = str_rfind(s, '-');
	uint64_t spool, incarnation, counter;

	if (a < 0 || a == b || !get(str_sub(s, 0, (size_t)a), UINT32_MAX, &spool) ||
	    !get(str_sub(s, (size_t)a + 1, (size_t)b), UINT32_MAX, &incarnation) ||
	    !get(str_from(s, (size_t)b + 1), UINT64_MAX, &counter))
		return false;
	*ret = (struct message_id){ (uint32_t)spool, (uint32_t)incarnation, counter };
	return true;
}
