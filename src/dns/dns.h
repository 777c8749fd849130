/*
 * dns - questions to the DNS from tasks: with deadlines, one question per name at a time, and a
 * cache.
 *
 * Each loop has its own bounded cache, which keeps an answer for its time to live (5 s to 1 h,
 * failures 5 s to 60 s) and forgets what was asked for longest ago; who asks for what is being
 * asked waits for that answer. The question goes through the world (world.h: dns_ask). A question
 * whose last waiter has gone is cancelled. Names are compared without case; a dot at the end is
 * fine. The answer is in the world's status words; -ETIMEDOUT and -ECANCELED of the waiting task
 * are DNS_TIMEOUT and DNS_CANCELLED. What is known already costs no suspension.
 */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include "base/arena.h"
#include "net/loop.h"

#define DNS_A 1
#define DNS_PTR 12
#define DNS_MX 15
#define DNS_TXT 16
#define DNS_AAAA 28
#define DNS_TLSA 52

#define DNS_NAME_MAX 253	/* octets, without the final dot */
#define DNS_ADDRESSES_MAX 32	/* of one name that are used */
#define DNS_MX_MAX 64		/* mail exchangers of one domain that are used */

struct dns;

struct dns *dns_new(struct net *n);
void dns_free(struct dns *d);		/* the loops have ended */
/* Forgets all answers, on all loops: after the resolver was configured anew. */
void dns_forget(struct dns *d);
/* Waits until this loop's questions have ended: before the loop ends. */
void dns_wait(struct dns *d) SUSPENDS;

const char *dns_status_text(enum dns_status s);	/* "no such name", "no answer in time", ... */

/*
 * ---- any type. The records are copied into the arena, as many as fit into 64 KiB.
 */
struct dns_answer {
	enum dns_status status;
	bool secure;
	char canonical[DNS_NAME_MAX + 1];	/* where CNAMEs led; empty: the name itself */
	const struct dns_record *records;
	unsigned n;
};

void dns_lookup(struct dns *d, struct str name, unsigned type, uint64_t deadline, struct arena *a,
		struct dns_answer *ret) SUSPENDS;

/*
 * ---- addresses (A, AAAA; following CNAMEs). A name that is an IP address, or one in brackets, is
 * that address. Both families are asked at once. One family's failure is not the name's if the
 * other has addresses; if neither has, the worse status counts (BOGUS, SERVFAIL and TIMEOUT before
 * NODATA: an address may exist).
 */
struct dns_addresses {
	enum dns_status status;		/* OK: n >= 1 */
	bool secure;			/* all that is in ips */
	unsigned n;
	struct ip ips[DNS_ADDRESSES_MAX];	/* shuffled within their family; IPv6 first */
};

#define DNS_IPV4 1
#define DNS_IPV6 2
void dns_addresses(struct dns *d, struct str name, unsigned families, uint64_t deadline,
		   struct dns_addresses *ret) SUSPENDS;

/*
 * ---- mail exchangers (RFC 5321 5.1, RFC 7505). domain: a name (U-labels are turned into A-labels)
 * or an address literal such as [192.0.2.1] and [IPv6:2001:db8::1], its own only exchanger.
 */
struct mx_host {
	struct str name;		/* a name, or an address for literals; in the arena */
	uint16_t preference;
};

struct mx_answer {
	/*
	 * OK: n >= 1, or is_null. NODATA: neither MX nor addresses. Others: of the MX question,
	 * or, if is_implicit, of the one for addresses. SERVFAIL also if no MX is usable, and if
	 * there seems to be none, without a SOA that says so, and no address either.
	 */
	enum dns_status status;
	bool is_null;			/* "MX 0 .": takes no mail at all; status is OK, n is 0 */
	bool is_implicit;		/* no MX: the domain's own addresses */
	bool secure;			/* the MX records were validated */
	unsigned n;
	struct mx_host hosts[DNS_MX_MAX];	/* by preference, lowest first; not shuffled */
};

void dns_mx(struct dns *d, struct str domain, uint64_t deadline, struct arena *a,
	    struct mx_answer *ret) SUSPENDS;

/*
 * Pure. Shuffles hosts of equal preference, each order equally likely. random: a number below its
 * argument.
 */
void mx_shuffle(struct mx_answer *m, uint64_t (*random)(void *arg, uint64_t below), void *arg);

/*
 * Pure. The domain as it is asked for: lower case, A-labels (IDNA 2008, non-transitional), no dot
 * at the end. False: it cannot stand in the DNS (labels of 0 or more than 63 octets, ...).
 */
bool dns_name_ascii(struct str domain, char ret[DNS_NAME_MAX + 1]);

#endif
