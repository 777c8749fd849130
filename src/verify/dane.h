/*
 * dane - the TLSA records of a host that takes mail (RFC 7672, RFC 6698). See dane.c.
 */
#ifndef VERIFY_DANE_H
#define VERIFY_DANE_H

#include "dns/dns.h"
#include "verify/trust.h"

#define DANE_RECORDS_MAX 32	/* of one host that are used */

struct dane {
	enum dane_state state;
	bool cancelled;
	struct str base;		/* whose records these are; in the arena */
	const struct tlsa *records;	/* usable ones; in the arena */
	unsigned n;
};

/*
 * host: a name, port: where it is reached. Its name must be known by a signed way (a secure MX, or
 * our own configuration): the caller's to know. Asks for addresses again, which the cache has.
 */
void dane_find(struct dns *d, struct str host, uint16_t port, uint64_t deadline, struct arena *a,
	       struct dane *ret) SUSPENDS;

/* Pure. False: it is no record that mail can use (RFC 7672 3.1), or it is broken. */
bool tlsa_parse(const struct dns_record *r, struct tlsa *ret);

#endif
