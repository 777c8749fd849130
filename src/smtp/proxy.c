/*
 * proxy - headers of the PROXY protocol and attributes of XCLIENT; see proxy.h.
 *
 * Version 1 is a line, at most 107 octets with CRLF:
 *
 *   PROXY TCP4|TCP6 SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT
 *   PROXY UNKNOWN ...
 *
 * Version 2, numbers in network order:
 *
 *   offset octets
 *        0     12  0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a
 *       12      1  version 2 (high), command (low): 0 LOCAL, 1 PROXY
 *       13      1  family (high): 0 unspecified, 1 IPv4, 2 IPv6, 3 unix; transport (low): 0
 *                  unspecified, 1 stream, 2 datagram
 *       14      2  octets that follow
 *       16      -  source and destination (4, 16 or 108 octets each), their ports (2 octets each,
 *                  not for unix), then TLVs, which are passed over
 *
 * The text of version 1 is read strictly (one space between the words, addresses of the family that
 * was named): a header that can be read in two ways is one that somebody else made. Reserved values
 * are errors, as the specification demands.
 */
#include "smtp/proxy.h"

#include "smtp/address.h"
#include "smtp/command.h"

#include <errno.h>

#define V1_MAX 107
#define V1_START "PROXY "
#define V2_FIXED 16

static const char v2_mark[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54,
				  0x0a };

/* ---- version 2 */

static unsigned big16(const char *p)
{
	return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* ::ffff:a.b.c.d becomes IPv4, as everywhere. */
static struct ip ip_of(const char *p, bool is_six)
{
	static const char mapped[12] = { [10] = (char)0xff, [11] = (char)0xff };
	struct ip ip = { .family = is_six ? 6 : 4 };

	if (is_six && memcmp(p, mapped, sizeof(mapped)) == 0) {
		ip.family = 4;
		p += sizeof(mapped);
	}
	memcpy(ip.bytes, p, ip.family == 6 ? 16 : 4);
	return ip;
}

static ssize_t parse_v2(struct str in, struct proxy *ret, size_t *ret_more)
{
	unsigned version, command, family, transport;
	size_t n, each;

	if (in.n < V2_FIXED) {
		*ret_more = V2_FIXED - in.n;
		return 0;
	}
	version = (unsigned char)in.p[12] >> 4;
	command = in.p[12] & 15;
	family = (unsigned char)in.p[13] >> 4;
	transport = in.p[13] & 15;
	n = V2_FIXED + big16(in.p + 14);
	if (version != 2 || command > 1 || family > 3 || transport > 2 || n > PROXY_HEADER_MAX)
		return -EPROTO;
	if (in.n < n) {
		*ret_more = n - in.n;
		return 0;
	}
	if (command == 0 || family == 0 || family == 3)
		return (ssize_t)n;
	each = family == 2 ? 16 : 4;
	if (transport != 1 || n < V2_FIXED + 2 * each + 4)
		return -EPROTO;
	in = str_from(in, V2_FIXED);
	ret->source.ip = ip_of(in.p, family == 2);
	ret->destination.ip = ip_of(in.p + each, family == 2);
	ret->source.port = (uint16_t)big16(in.p + 2 * each);
	ret->destination.port = (uint16_t)big16(in.p + 2 * each + 2);
	ret->has_addresses = true;
	return (ssize_t)n;
}

/* ---- version 1 */

/* Up to the next space, which is taken along; the last word has none behind it. */
static struct str next_word(struct str *line)
{
	ssize_t space = str_find(*line, ' ');
	struct str word = space < 0 ? *line : str_sub(*line, 0, (size_t)space);

	*line = str_from(*line, word.n + 1);
	return word;
}

static bool read_address(struct str word, bool is_six, struct ip *ret)
{
	return ip_parse(word, ret) && (str_find(word, ':') >= 0) == is_six;
}

static bool read_port(struct str word, uint16_t *ret)
{
	uint64_t port;

	if ((word.n > 1 && word.p[0] == '0') || !str_parse_u64(word, UINT16_MAX, &port))
		return false;
	*ret = (uint16_t)port;
	return true;
}

/* line: behind "PROXY ", without CRLF. */
static bool read_line(struct str line, struct proxy *ret)
{
	struct str family = next_word(&line);
	bool is_six = str_eq(family, STR("TCP6"));
	struct str word[4];

	if (str_eq(family, STR("UNKNOWN")))
		return true;
	if (!is_six && !str_eq(family, STR("TCP4")))
		return false;
	for (unsigned i = 0; i < 4; i++)
		word[i] = next_word(&line);
	if (line.n || !read_address(word[0], is_six, &ret->source.ip) ||
	    !read_address(word[1], is_six, &ret->destination.ip) ||
	    !read_port(word[2], &ret->source.port) || !read_port(word[3], &ret->destination.port))
		return false;
	ret->has_addresses = true;
	return true;
}

static ssize_t parse_v1(struct str in, struct proxy *ret, size_t *ret_more)
{
	size_t start = sizeof(V1_START) - 1;
	ssize_t end = str_search(str_sub(in, 0, V1_MAX), STR("\r\n"));
	struct str line;

	if (end < 0 && in.n >= V1_MAX)
		return -EPROTO;
	if (end < 0) {
		*ret_more = in.n < PROXY_START ? PROXY_START - in.n
			    : in.p[in.n - 1] == '\r' ? 1 : 2;
		return 0;
	}
	line = str_sub(in, start, (size_t)end);
	return !str_has_control(line) && read_line(line, ret) ? end + 2 : -EPROTO;
}

static bool begins(struct str in, const char *mark, size_t n)
{
	return memcmp(in.p, mark, in.n < n ? in.n : n) == 0;
}

ssize_t proxy_parse(struct str in, struct proxy *ret, size_t *ret_more)
{
	*ret = (struct proxy){ 0 };
	*ret_more = PROXY_START;
	if (!in.n)
		return 0;
	if (begins(in, v2_mark, sizeof(v2_mark)))
		return parse_v2(in, ret, ret_more);
	if (begins(in, V1_START, sizeof(V1_START) - 1))
		return parse_v1(in, ret, ret_more);
	return -EPROTO;
}

/* ---- XCLIENT */

static bool is_unavailable(struct str value)
{
	return str_eq_nocase(value, STR("[UNAVAILABLE]")) ||
	       str_eq_nocase(value, STR("[TEMPUNAVAIL]"));
}

static bool read_ip(struct str value, struct ip *ret)
{
	if (str_starts_nocase(value, STR("IPV6:")))
		return read_address(str_from(value, 5), true, ret);
	return ip_parse(value, ret);
}

static bool read_text(struct str value, char *ret)
{
	if (str_has_control(value) || value.n > XCLIENT_VALUE_MAX)
		return false;
	str_copy(ret, XCLIENT_VALUE_MAX + 1, value);
	return true;
}

static bool read_value(enum xclient_attribute a, struct str value, struct xclient *x)
{
	switch (a) {
	case XCLIENT_NAME:
		return helo_is_valid(value) && read_text(value, x->name);
	case XCLIENT_ADDR:
		return read_ip(value, &x->addr);
	case XCLIENT_PORT:
		return read_port(value, &x->port);
	case XCLIENT_PROTO:
		x->is_extended = str_eq_nocase(value, STR("ESMTP"));
		return x->is_extended || str_eq_nocase(value, STR("SMTP"));
	case XCLIENT_HELO:
		return helo_is_valid(value) && read_text(value, x->helo);
	case XCLIENT_LOGIN:
		return value.n && utf8_is_valid(value) && read_text(value, x->login);
	case XCLIENT_DESTADDR:
		return read_ip(value, &x->destaddr);
	case XCLIENT_DESTPORT:
		return read_port(value, &x->destport);
	case XCLIENT_ATTRIBUTES_N:
		break;
	}
	return false;
}

static bool read_attribute(struct str word, struct xclient *x)
{
	static const char *const names[XCLIENT_ATTRIBUTES_N] = {
		"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT"
	};
	ssize_t equals = str_find(word, '=');
	char octets[XCLIENT_VALUE_MAX + 1];
	struct buf value = { .p = octets, .size = sizeof(octets), .max = sizeof(octets) };

	if (equals <= 0 || !xtext_decode(&value, str_from(word, (size_t)equals + 1)) ||
	    !buf_ok(&value))
		return false;
	for (unsigned i = 0; i < XCLIENT_ATTRIBUTES_N; i++) {
		if (!str_eq_nocase(str_sub(word, 0, (size_t)equals), str_of(names[i])))
			continue;
		if (x->given & 1u << i)
			return false;
		x->given |= 1u << i;
		if (!is_unavailable(buf_str(&value)))
			return read_value(i, buf_str(&value), x);
		x->unavailable |= 1u << i;
		return true;
	}
	return false;
}

bool xclient_parse(struct str args, struct xclient *ret)
{
	*ret = (struct xclient){ 0 };
	for (struct str word = str_word(&args); word.n; word = str_word(&args))
		if (!read_attribute(word, ret))
			return false;
	return ret->given != 0;
}
