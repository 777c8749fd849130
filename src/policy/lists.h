/*
 * lists - DNS block and allow lists (RFC 5782): what they say about an address, all asked at once.
 *
 * A list counts with its weight if one of its answers is in 127.0.0.0/8, is among those that the
 * configuration names (if it names any), and is no error code (127.255.255.x). Lists that have gone
 * to the dogs - they list 127.0.0.1, hence everybody - are found out by asking them for it (RFC
 * 5782 5) at their first use and then once an hour, and ignored meanwhile. From any loop.
 */
#ifndef POLICY_LISTS_H
#define POLICY_LISTS_H

#include "config/config.h"
#include "dns/dns.h"

struct lists;

#define LISTS_TEST_NS (3600 * SECOND)
#define LISTS_AT_ONCE_MAX 32		/* lists of one listener that are asked */

struct lists *lists_new(struct dns *d);
void lists_free(struct lists *l);	/* NULL is fine */

struct listing {
	int32_t score;
	unsigned n;			/* lists that count */
	char said[256];			/* "zen.example: 127.0.0.2 (text); ..." */
};

void lists_ask(struct lists *l, const struct config_clients *cc, const struct ip *ip,
	       uint64_t deadline, struct listing *ret) SUSPENDS;

/* ---- pure */
/*
 * The address as the DNS has it: octets or nibbles backwards, followed by a dot and the suffix
 * ("2.0.0.127.zen.example"). False: too long for a name.
 */
bool lists_name(const struct ip *ip, struct str suffix, char ret[DNS_NAME_MAX + 1]);
/* Whether this A record of it counts. */
bool lists_counts(const struct dns_list *list, const struct ip *answer);

#endif
