/*
 * address - mailboxes, paths and domains as SMTP writes them (RFC 5321 4.1.2, 4.1.3; RFC 6531 3.3).
 *
 * Pure: bytes in, slices of the same bytes out. An address in the relay is always the text between
 * the angle brackets without a source route ("a@b.example", "\"a b\"@[192.0.2.1]"), as it was
 * written: the local part's bytes are never changed (only its owner may interpret them), the domain
 * is compared without case.
 */
#ifndef SMTP_ADDRESS_H
#define SMTP_ADDRESS_H

#include "base/buf.h"
#include "base/str.h"

/*
 * No limit of its own for the local part: 64 octets is what every server must take (RFC 5321
 * 4.5.3.1.1), not what it may refuse beyond, and return addresses of lists and forwarders (VERP,
 * SRS) are longer.
 */
#define ADDRESS_DOMAIN_MAX 255	/* octets, RFC 5321 4.5.3.1.2 */
#define ADDRESS_PATH_MAX 256	/* octets with the brackets, RFC 5321 4.5.3.1.3 */
#define ADDRESS_MAX 254		/* octets of an address */

struct address {
	struct str whole;	/* local@domain, as written; empty for the null path <> */
	struct str local;	/* with its quotes, if any */
	/* without the at sign; with brackets if a literal; empty for <postmaster> */
	struct str domain;
	bool is_literal;	/* the domain is an address literal */
	bool is_utf8;		/* holds a byte >= 0x80: needs SMTPUTF8 */
};

enum address_error {
	ADDRESS_OK = 0,
	ADDRESS_SYNTAX,		/* 501 5.1.3 / 5.1.7 */
	ADDRESS_TOO_LONG,	/* a part is over its limit */
	/* fine syntax, but a bare local part (other than postmaster where allowed) */
	ADDRESS_NO_DOMAIN,
	ADDRESS_BAD_UTF8,	/* not UTF-8 (RFC 3629), or UTF-8 where not allowed */
};

#define ADDRESS_NULL 1		/* "<>" is allowed (MAIL) */
#define ADDRESS_POSTMASTER 2	/* "<postmaster>" without a domain is allowed (RCPT) */
#define ADDRESS_UTF8 4		/* SMTPUTF8 was announced */

/*
 * Parse a path with its angle brackets at the start of s: "<...>". A source route
 * (RFC 5321 appendix C) is read and dropped. *ret_rest is what follows the '>'. flags: ADDRESS_*.
 */
enum address_error address_parse_path(struct str s, unsigned flags, struct address *ret,
				      struct str *ret_rest);

/*
 * Parse an address without brackets, the whole slice ("a@b.example"); ADDRESS_POSTMASTER and
 * ADDRESS_UTF8 count.
 */
enum address_error address_parse(struct str s, unsigned flags, struct address *ret);

/* Split what address_parse accepted before: no checks, at the last '@'. */
struct address address_split(struct str whole);

/*
 * A domain name of letters, digits, hyphens (UTF-8 labels if utf8), labels 1-63 octets, no final
 * dot.
 */
bool domain_is_valid(struct str domain, bool utf8);

/*
 * "[192.0.2.1]" or "[IPv6:2001:db8::1]": RFC 5321 4.1.3. General literals of other tags are
 * refused.
 */
bool domain_literal_is_valid(struct str literal);

/*
 * What EHLO/HELO may name: a domain or a literal (RFC 5321 4.1.1.1); underscores are tolerated, as
 * seen in the field.
 */
bool helo_is_valid(struct str name);

/* UTF-8 by RFC 3629: no overlong forms, no surrogates. */
bool utf8_is_valid(struct str s);
/* Octets of the character at the start, 1-4; 0: none or malformed. */
size_t utf8_sequence(struct str s);
/* At most max octets, never cut through a character. */
struct str utf8_cut(struct str s, size_t max);

/* A sentence-free word for logs and replies: "bad syntax", "too long", ... */
const char *address_error_text(enum address_error e);

#endif
