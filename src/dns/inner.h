/*
 * inner - what the files of dns/ know of each other: questions to the cache.
 *
 * A struct question is a task's wait for one name and type. It stands in the entry's list of
 * waiters from question_begin to question_end, and as long as it does, the entry does not go.
 */
#ifndef DNS_INNER_H
#define DNS_INNER_H

#include "dns/dns.h"

struct entry;

/* An answer as it is kept: one piece of memory, borrowed until the task suspends. */
struct stored {
	enum dns_status status;
	bool secure;
	uint32_t ttl;
	unsigned n;
	size_t octets;			/* of all of it */
	const char *canonical;
	struct dns_record records[];
};

/*
 * No such records, and nobody vouches for that: the answer has no SOA (RFC 2308 2.2). Some load
 * balancers leave it out. A referral looks the same, and it says that the server does not know: the
 * name servers in it, by which that section tells the two apart, libunbound keeps to itself.
 */
static inline bool stored_is_unsure(const struct stored *s)
{
	return s->status == DNS_NODATA && !s->ttl;
}

struct question {
	struct list link;		/* in the entry's waiters */
	struct task *task;
	struct entry *entry;
};

/* name: as dns_name_ascii makes it. Asks, unless the answer is known or on its way. */
void question_begin(struct dns *d, struct question *q, const char *name, unsigned type);
/* The answer, if it is there. */
const struct stored *question_stored(const struct question *q);
/*
 * Nobody else waits: the question is cancelled, unless keep: then it goes on and its answer is
 * kept.
 */
void question_end(struct question *q, bool keep);
/* question_wait: DNS_OK: the answer is there. DNS_TIMEOUT, DNS_CANCELLED. */
enum dns_status question_wait(struct question *q, uint64_t deadline) SUSPENDS;

/* "192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]", "2001:db8::1" */
bool literal_parse(struct str s, struct ip *ret);

#endif
