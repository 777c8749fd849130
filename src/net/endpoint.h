/*
 * endpoint - IP addresses, networks and places to connect to or listen on.
 *
 * Pure. ::ffff:a.b.c.d is always turned into IPv4 when parsed or taken from a socket, so rules
 * match it as IPv4. Sockets are IPV6_V6ONLY.
 */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include "base/buf.h"
#include "base/str.h"

#include <sys/socket.h>

struct ip {
	uint8_t family;		/* 4, 6, or 0: none (a unix socket, or unset) */
	uint8_t bytes[16];	/* network order; IPv4 uses the first 4 */
};

struct network {
	struct ip ip;		/* host bits are zero */
	uint8_t prefix;		/* 0-32 or 0-128 */
};

#define ENDPOINT_PATH_MAX 107	/* octets of a unix socket's path */

struct endpoint {
	struct ip ip;
	uint16_t port;
	const char *path;	/* borrowed; a unix socket if not NULL */
};

/* "192.0.2.1", "2001:db8::1"; no brackets, no scope */
bool ip_parse(struct str s, struct ip *ret);
bool ip_eq(const struct ip *a, const struct ip *b);
bool ip_is_loopback(const struct ip *ip);	/* 127.0.0.0/8, ::1 */
void ip_format(struct buf *out, const struct ip *ip);	/* RFC 5952; empty for none */
uint64_t ip_hash(const struct ip *ip);

/* "10.0.0.0/8", "2001:db8::/32", or an address; host bits set: false */
bool network_parse(struct str s, struct network *ret);
bool network_has(const struct network *n, const struct ip *ip);
void network_format(struct buf *out, const struct network *n);	/* without "/32" and "/128" */

/*
 * "127.0.0.1:25", "[::1]:25", "127.0.0.1" and "[::1]" or "::1" (port_default; 0 there: a port is
 * required). "unix:/path" too; the path is then borrowed from s, which must be NUL-terminated
 * behind it.
 */
bool endpoint_parse(struct str s, uint16_t port_default, struct endpoint *ret);
/* "127.0.0.1:25", "[::1]:25", "unix:/path" */
void endpoint_format(struct buf *out, const struct endpoint *e);
bool endpoint_is_here(const struct endpoint *e);	/* loopback, or a unix socket */
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);
uint64_t endpoint_hash(const struct endpoint *e);

#define ENDPOINT_TEXT_MAX 64
/* The same into a fixed array, for logs; returns dst. */
char *endpoint_text(char dst[ENDPOINT_TEXT_MAX], const struct endpoint *e);
char *ip_text(char dst[ENDPOINT_TEXT_MAX], const struct ip *ip);

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret);
void endpoint_from_sockaddr(struct endpoint *ret, const struct sockaddr_storage *sa);

#endif
