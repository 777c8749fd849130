/*
 * endpoint - IP addresses, networks and places to connect to or listen on; see endpoint.h.
 *
 * Texts go through inet_pton and inet_ntop, which are strict (no octal, no short forms) and write
 * RFC 5952. What is mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2) becomes IPv4 at every entrance, so
 * that no rule can be passed by writing an address in its other form.
 */
#include "net/endpoint.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static size_t ip_size(const struct ip *ip)
{
	return ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0;
}

static struct ip ip_from_v4(const void *bytes)
{
	struct ip ip = { .family = 4 };

	memcpy(ip.bytes, bytes, 4);
	return ip;
}

static struct ip ip_from_v6(const void *bytes)
{
	struct ip ip = { .family = 6 };

	if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return ip_from_v4((const char *)bytes + sizeof(mapped_prefix));
	memcpy(ip.bytes, bytes, 16);
	return ip;
}

bool ip_parse(struct str s, struct ip *ret)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, 0, s.n))
		return false;
	str_copy(text, sizeof(text), s);
	if (inet_pton(AF_INET, text, bytes) == 1)
		*ret = ip_from_v4(bytes);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		*ret = ip_from_v6(bytes);
	else
		return false;
	return true;
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, ip_size(a)) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const struct ip one = { .family = 6, .bytes = { [15] = 1 } };

	return ip->family == 4 ? ip->bytes[0] == 127 : ip_eq(ip, &one);
}

void ip_format(struct buf *out, const struct ip *ip)
{
	char text[ENDPOINT_TEXT_MAX];

	buf_add_str(out, str_of(ip_text(text, ip)));
}

uint64_t ip_hash(const struct ip *ip)
{
	return hash_bytes(ip->bytes, ip_size(ip));
}

/* ---- networks */

static bool bits_match(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static bool host_bits_are_zero(const struct ip *ip, unsigned prefix)
{
	for (unsigned bit = prefix; bit < ip_size(ip) * 8; bit++)
		if (ip->bytes[bit / 8] & (0x80 >> bit % 8))
			return false;
	return true;
}

/*
 * A mapped network's prefix counts from the start of the IPv6 form; it must cover only mapped
 * addresses.
 */
static bool prefix_parse(struct str s, bool is_mapped, const struct ip *ip, unsigned *ret)
{
	uint64_t prefix, max = is_mapped ? 128 : ip_size(ip) * 8;

	if (s.n > 3 || !str_parse_u64(s, max, &prefix))
		return false;
	if (is_mapped && prefix < 96)
		return false;
	*ret = (unsigned)(is_mapped ? prefix - 96 : prefix);
	return true;
}

bool network_parse(struct str s, struct network *ret)
{
	ssize_t slash = str_find(s, '/');
	struct str address = slash < 0 ? s : str_sub(s, 0, (size_t)slash);
	unsigned prefix;
	struct ip ip;

	if (!ip_parse(address, &ip))
		return false;
	prefix = (unsigned)ip_size(&ip) * 8;
	if (slash >= 0) {
		bool is_mapped = ip.family == 4 && str_find(address, ':') >= 0;

		if (!prefix_parse(str_from(s, (size_t)slash + 1), is_mapped, &ip, &prefix))
			return false;
	}
	if (!host_bits_are_zero(&ip, prefix))
		return false;
	ret->ip = ip;
	ret->prefix = (uint8_t)prefix;
	return true;
}

bool network_has(const struct network *n, const struct ip *ip)
{
	return n->ip.family && n->ip.family == ip->family &&
	       bits_match(n->ip.bytes, ip->bytes, n->prefix);
}

void network_format(struct buf *out, const struct network *n)
{
	ip_format(out, &n->ip);
	if (n->prefix != ip_size(&n->ip) * 8)
		buf_printf(out, "/%u", n->prefix);
}

/* ---- endpoints */

static bool port_parse(struct str s, uint16_t *ret)
{
	uint64_t port;

	if (s.n > 5 || !str_parse_u64(s, UINT16_MAX, &port) || port == 0)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static bool unix_parse(struct str path, struct endpoint *ret)
{
	if (path.n == 0 || path.n > ENDPOINT_PATH_MAX)
		return false;
	if (path.p[0] != '/' || memchr(path.p, 0, path.n))
		return false;
	*ret = (struct endpoint){ .path = path.p };
	return true;
}

/*
 * Cuts s into the address's text and the port's (empty p: none); false if the brackets do not
 * match.
 */
static bool endpoint_split(struct str s, struct str *ret_ip, struct str *ret_port)
{
	ssize_t colon = str_rfind(s, ':');

	*ret_port = STR_NONE;
	*ret_ip = s;
	if (s.n && s.p[0] == '[') {
		ssize_t end = str_find(s, ']');

		if (end < 0)
			return false;
		*ret_ip = str_sub(s, 1, (size_t)end);
		if (str_find(*ret_ip, ':') < 0)
			return false;
		if ((size_t)end + 1 == s.n)
			return true;
		*ret_port = str_from(s, (size_t)end + 2);
		return s.p[end + 1] == ':' && ret_port->n;
	}
	if (colon >= 0 && str_find(s, ':') == colon) {
		*ret_ip = str_sub(s, 0, (size_t)colon);
		*ret_port = str_from(s, (size_t)colon + 1);
		return ret_port->n;
	}
	return true;
}

bool endpoint_parse(struct str s, uint16_t port_default, struct endpoint *ret)
{
	struct endpoint e = { .port = port_default };
	struct str ip, port;

	if (str_starts(s, STR("unix:")))
		return unix_parse(str_from(s, 5), ret);
	if (!endpoint_split(s, &ip, &port) || !ip_parse(ip, &e.ip))
		return false;
	if (port.n && !port_parse(port, &e.port))
		return false;
	if (e.port == 0)
		return false;
	*ret = e;
	return true;
}

void endpoint_format(struct buf *out, const struct endpoint *e)
{
	if (e->path) {
		buf_add_lit(out, "unix:");
		buf_add_str(out, str_of(e->path));
		return;
	}
	if (e->ip.family == 0)
		return;
	if (e->ip.family == 6)
		buf_add_byte(out, '[');
	ip_format(out, &e->ip);
	if (e->ip.family == 6)
		buf_add_byte(out, ']');
	buf_add_byte(out, ':');
	buf_add_u64(out, e->port);
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	if (a->path || b->path)
		return a->path && b->path && str_eq(str_of(a->path), str_of(b->path));
	return a->port == b->port && ip_eq(&a->ip, &b->ip);
}

bool endpoint_is_here(const struct endpoint *e)
{
	return e->path || ip_is_loopback(&e->ip);
}

uint64_t endpoint_hash(const struct endpoint *e)
{
	if (e->path)
		return hash_bytes(e->path, strlen(e->path));
	return ip_hash(&e->ip) ^ hash_u64(e->port);
}

/* ---- texts for logs, without the heap: they are wanted where a session is being refused */

/* Returns the end. By hand: each session wants these texts, and printf costs more than all else. */
static char *put_decimal(char *to, unsigned value)
{
	char digits[10];
	int n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		*to++ = digits[--n];
	return to;
}

static char *put_ipv4(char *to, const uint8_t bytes[4])
{
	for (int i = 0; i < 4; i++) {
		if (i)
			*to++ = '.';
		to = put_decimal(to, bytes[i]);
	}
	return to;
}

char *ip_text(char dst[ENDPOINT_TEXT_MAX], const struct ip *ip)
{
	dst[0] = '\0';
	if (ip->family == 4)
		*put_ipv4(dst, ip->bytes) = '\0';
	else if (ip->family == 6)
		inet_ntop(AF_INET6, ip->bytes, dst, ENDPOINT_TEXT_MAX);
	return dst;
}

char *endpoint_text(char dst[ENDPOINT_TEXT_MAX], const struct endpoint *e)
{
	char *to = dst;

	dst[0] = '\0';
	if (e->path) {
		memcpy(dst, "unix:", 5);
		str_copy(dst + 5, ENDPOINT_TEXT_MAX - 5, str_of(e->path));
		return dst;
	}
	if (!e->ip.family)
		return dst;
	if (e->ip.family == 4) {
		to = put_ipv4(to, e->ip.bytes);
	} else {
		*to++ = '[';
		inet_ntop(AF_INET6, e->ip.bytes, to, INET6_ADDRSTRLEN);
		to += strlen(to);
		*to++ = ']';
	}
	*to++ = ':';
	*put_decimal(to, e->port) = '\0';
	return dst;
}

/* ---- to and from the kernel's form */

static socklen_t unix_to_sockaddr(const char *path, struct sockaddr_storage *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)ret;
	size_t n = strlen(path);

	if (n > ENDPOINT_PATH_MAX)
		n = ENDPOINT_PATH_MAX;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (e->path)
		return unix_to_sockaddr(e->path, ret);
	if (e->ip.family == 4) {
		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->ip.bytes, 4);
		return sizeof(*in);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	memcpy(&in6->sin6_addr, e->ip.bytes, 16);
	return sizeof(*in6);
}

void endpoint_from_sockaddr(struct endpoint *ret, const struct sockaddr_storage *sa)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;

	*ret = (struct endpoint){ 0 };
	if (sa->ss_family == AF_UNIX) {
		ret->path = ((const struct sockaddr_un *)(const void *)sa)->sun_path;
	} else if (sa->ss_family == AF_INET) {
		ret->ip = ip_from_v4(&in->sin_addr);
		ret->port = ntohs(in->sin_port);
	} else if (sa->ss_family == AF_INET6) {
		ret->ip = ip_from_v6(&in6->sin6_addr);
		ret->port = ntohs(in6->sin6_port);
	}
}
