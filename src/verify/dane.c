/*
 * dane - the TLSA records of a host (RFC 7672 2.2).
 *
 * A host whose addresses are not signed has none that count, however many it publishes. Its name
 * may lead through CNAMEs: if all of that is signed, the records are looked for where it leads to,
 * then at the name itself (2.2.2, 2.2.3). If only the first step is, at the name itself. An answer
 * that cannot be had on a signed way is not "no records": somebody may hold it back (2.1.2), so the
 * host is left alone for now.
 *
 * Suspends in lookups, all of which the cache may answer. Allocates in the caller's arena.
 */
#include "verify/dane.h"

#define CNAME 5

bool tlsa_parse(const struct dns_record *r, struct tlsa *ret)
{
	static const uint16_t lengths[] = { 0, 32, 64 };	/* by matching type; 0: any */
	struct tlsa t;

	if (r->n < 4)
		return false;
	t = (struct tlsa){ r->p[0], r->p[1], r->p[2],
			   str_make((const char *)r->p + 3, r->n - 3u) };
	if ((t.usage != TLSA_AUTHORITY && t.usage != TLSA_END_ENTITY) || t.selector > 1 ||
	    t.matching > 2 || (lengths[t.matching] && t.data.n != lengths[t.matching]))
		return false;
	*ret = t;
	return true;
}

/* ---- where the name leads */

struct way {
	bool secure, secure_alias;	/* all of it; only the first step */
	struct str end;			/* where CNAMEs led; empty: nowhere else */
	bool failed;			/* whether the first step is secure cannot be learnt */
	bool cancelled;
};

/* Somebody may hold the answer back. */
static bool is_withheld(enum dns_status s)
{
	return s == DNS_SERVFAIL || s == DNS_TIMEOUT || s == DNS_BOGUS;
}

static void find_way(struct dns *d, struct str host, uint64_t deadline, struct arena *a,
		     struct way *ret) SUSPENDS
{
	static const unsigned types[] = { DNS_AAAA, DNS_A };
	struct dns_answer answer;

	*ret = (struct way){ .secure = true };
	for (int i = 0; i < 2; i++) {
		dns_lookup(d, host, types[i], deadline, a, &answer);
		ret->cancelled |= answer.status == DNS_CANCELLED;
		if (answer.status != DNS_OK)
			continue;
		ret->secure = ret->secure && answer.secure;
		if (answer.canonical[0])
			ret->end = arena_str(a, str_of(answer.canonical));
	}
	if (ret->secure || !ret->end.n || ret->cancelled)
		return;
	dns_lookup(d, host, CNAME, deadline, a, &answer);
	ret->cancelled |= answer.status == DNS_CANCELLED;
	ret->secure_alias = answer.status == DNS_OK && answer.secure;
	ret->failed = is_withheld(answer.status);
}

/* ---- the records of one name */

static void take_records(const struct dns_answer *answer, struct arena *a, struct dane *ret)
{
	struct tlsa *list = arena_alloc(a, DANE_RECORDS_MAX * sizeof(*list));

	for (unsigned i = 0; i < answer->n && ret->n < DANE_RECORDS_MAX; i++)
		ret->n += tlsa_parse(&answer->records[i], &list[ret->n]);
	ret->records = list;
	ret->state = ret->n ? DANE_USABLE : DANE_UNUSABLE;
}

static void ask(struct dns *d, struct str base, uint16_t port, uint64_t deadline, struct arena *a,
		struct dane *ret) SUSPENDS
{
	struct str name = arena_printf(a, "_%u._tcp.%.*s", port, STR_ARG(base));
	struct dns_answer answer;

	ret->base = base;
	dns_lookup(d, name, DNS_TLSA, deadline, a, &answer);
	ret->cancelled = answer.status == DNS_CANCELLED;
	if (is_withheld(answer.status))
		ret->state = DANE_FAILED;
	else if (answer.status == DNS_OK && answer.secure)
		take_records(&answer, a, ret);
}

void dane_find(struct dns *d, struct str host, uint16_t port, uint64_t deadline, struct arena *a,
	       struct dane *ret)
{
	struct way way;

	*ret = (struct dane){ .state = DANE_NONE };
	find_way(d, host, deadline, a, &way);
	ret->cancelled = way.cancelled;
	if (way.failed) {	/* RFC 7672 2.1.3: of any query on the way to the records */
		ret->state = DANE_FAILED;
		ret->base = host;
	}
	if (ret->cancelled || way.failed || (!way.secure && !way.secure_alias))
		return;
	if (way.secure && way.end.n) {
		ask(d, way.end, port, deadline, a, ret);
		if (ret->state != DANE_NONE || ret->cancelled)
			return;
	}
	ask(d, host, port, deadline, a, ret);
}
