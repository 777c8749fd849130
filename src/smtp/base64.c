/*
 * base64 - see base64.h.
 */
#include "smtp/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, const void *p, size_t n)
{
	const unsigned char *in = p;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16;

		if (i + 1 < n)
			v |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < n)
			v |= in[i + 2];
		buf_add_byte(out, digits[v >> 18]);
		buf_add_byte(out, digits[v >> 12 & 63]);
		buf_add_byte(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
		buf_add_byte(out, i + 2 < n ? digits[v & 63] : '=');
	}
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters; padding: how many "=" may end it. Returns octets, or -1. */
static int decode_group(const char *p, bool is_last, unsigned char ret[3])
{
	int n = 4;
	uint32_t v = 0;

	if (is_last && p[3] == '=')
		n = p[2] == '=' ? 2 : 3;
	for (int i = 0; i < 4; i++) {
		int d = i < n ? digit_value(p[i]) : 0;

		if (d < 0)
			return -1;
		v = v << 6 | (uint32_t)d;
	}
	ret[0] = (unsigned char)(v >> 16);
	ret[1] = (unsigned char)(v >> 8);
	ret[2] = (unsigned char)v;
	if ((n == 2 && v & 0xffff) || (n == 3 && v & 0xff))
		return -1;
	return n - 1;
}

bool base64_decode(struct buf *out, struct str text)
{
	size_t start = out->n;

	if (text.n % 4)
		return false;
	for (size_t i = 0; i < text.n; i += 4) {
		unsigned char octets[3];
		int n = decode_group(text.p + i, i + 4 == text.n, octets);

		if (n < 0 || !buf_add(out, octets, (size_t)n)) {
			out->n = start;
			return false;
		}
	}
	return true;
}
