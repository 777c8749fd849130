/*
 * names - what an address is called in the DNS, and whether a HELO name is one.
 */
#ifndef POLICY_NAMES_H
#define POLICY_NAMES_H

#include "config/config.h"
#include "dns/dns.h"

#define NAMES_OF_ADDRESS_MAX 5		/* PTR records that are followed */

enum name_state {
	NAME_NONE,		/* the DNS knows none, or knows for certain that it is another's */
	NAME_UNVERIFIED,	/* there is one, which does not lead back */
	NAME_VERIFIED,
	NAME_UNKNOWN,		/* the DNS could not tell in time */
};

/*
 * The name that the address has (PTR) and that has the address (RFC 8601 calls it iprev). VERIFIED:
 * ret holds it.
 */
enum name_state names_reverse(struct dns *d, const struct ip *ip, uint64_t deadline,
			      char ret[DNS_NAME_MAX + 1]) SUSPENDS;

/*
 * A HELO name: by syntax (VALID), has an address or a mail exchanger (RESOLVES), has the client's
 * address (MATCHES). A literal is its own address. VERIFIED: fine; UNVERIFIED: bad syntax; NONE: no
 * such name, or no such address.
 */
enum name_state names_helo(struct dns *d, struct str helo, enum name_check check,
			   const struct ip *client, uint64_t deadline) SUSPENDS;

#endif
