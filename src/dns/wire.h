/*
 * wire - the DNS as it goes over the wire (RFC 1035 4): reading names and answers.
 *
 * Pure. What is read comes from strangers, by way of a resolver that may pass on what it got: every
 * length is checked, pointers may not go round in circles, and what does not fit is left out.
 */
#ifndef DNS_WIRE_H
#define DNS_WIRE_H

#include "base/arena.h"
#include "net/world.h"

#define WIRE_NAME_MAX 255	/* octets of a name, with all lengths and the root's 0 */
#define WIRE_TEXT_SIZE 256	/* of a name as text, with its NUL */
#define WIRE_ANSWER_MAX (64 * 1024)	/* octets of records that are kept of one answer */

/*
 * An answer: what q->type asked for, behind CNAMEs. Fills status (OK, NODATA, NXDOMAIN, SERVFAIL),
 * ttl (of negative answers: RFC 2308 5, at least 1; 0: nothing tells), canonical and records, which
 * are in the arena. Nonsense is SERVFAIL.
 */
void wire_answer_parse(struct str packet, struct arena *a, struct dns_query *ret);

/*
 * The name at the front of s, which is not compressed, as text in lower case and without a dot at
 * its end; the root is "". How many octets it takes; 0: there is none, or it holds octets that no
 * host's name has (anything but letters, digits, '-', '_' and '/').
 */
size_t wire_name_text(struct str s, char ret[WIRE_TEXT_SIZE]);

#endif
