/*
 * proxy - who a client is, as told by a proxy in front of us: the PROXY protocol's header (HAProxy,
 * versions 1 and 2) and the attributes of XCLIENT (Postfix, XCLIENT_README).
 *
 * Pure, bounded. Whoever calls has made sure that the peer may say such things.
 */
#ifndef SMTP_PROXY_H
#define SMTP_PROXY_H

#include "net/endpoint.h"

#define PROXY_HEADER_MAX 4096	/* octets of a header, TLVs included; a certificate fits */
#define PROXY_START 15		/* octets of the shortest header */

struct proxy {
	/* false: LOCAL, UNKNOWN or a unix socket there: the connection is what it seems */
	bool has_addresses;
	struct endpoint source, destination;
};

/*
 * The header at the beginning of in. Octets that it takes; 0: it goes on, at least *ret_more
 * octets; -EPROTO: this is none, or one that is malformed or too long.
 */
ssize_t proxy_parse(struct str in, struct proxy *ret, size_t *ret_more);

/* ---- XCLIENT */
#define XCLIENT_VALUE_MAX 255

enum xclient_attribute {
	XCLIENT_NAME, XCLIENT_ADDR, XCLIENT_PORT, XCLIENT_PROTO, XCLIENT_HELO, XCLIENT_LOGIN,
	XCLIENT_DESTADDR, XCLIENT_DESTPORT, XCLIENT_ATTRIBUTES_N
};

#define XCLIENT_OFFER "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

struct xclient {
	unsigned given;			/* bits 1 << enum xclient_attribute */
	unsigned unavailable;		/* of those: [UNAVAILABLE] or [TEMPUNAVAIL] */
	struct ip addr, destaddr;
	uint16_t port, destport;
	bool is_extended;		/* PROTO=ESMTP */
	char name[XCLIENT_VALUE_MAX + 1], helo[XCLIENT_VALUE_MAX + 1],
		login[XCLIENT_VALUE_MAX + 1];
};

/* The words behind XCLIENT. False: syntax, an unknown attribute, a bad value. */
bool xclient_parse(struct str args, struct xclient *ret);

#endif
