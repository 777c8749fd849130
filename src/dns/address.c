/*
 * address - the addresses of a name: A and AAAA at once; see dns.h.
 *
 * There are name servers that never answer when asked for AAAA. So the family that is later than
 * the other is waited for LATE_NS only once the other has addresses; its question goes on for the
 * cache, where its failure then stands.
 *
 * "No records" without a SOA (stored_is_unsure) is believed where the other family has addresses,
 * and else counts as "the servers cannot tell": a mistake in somebody's resolver must not bounce
 * mail.
 */
#include "dns/inner.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define LATE_NS (2 * SECOND)
#define EACH_MAX (DNS_ADDRESSES_MAX / 2)	/* of a family, if both have more */

struct family {
	struct question question;	/* if is_asked */
	bool is_asked, secure;
	enum dns_status status;
	unsigned n;
	struct ip *ips;			/* owned */
};

static uint64_t below(uint64_t n)
{
	struct world *w = world_self();
	uint64_t v;

	w->random(w, &v, sizeof(v));
	return v % n;			/* n is small: the bias is nothing */
}

static void shuffle(struct ip *ips, unsigned n)
{
	for (unsigned i = n; i > 1; i--) {
		unsigned j = (unsigned)below(i);
		struct ip t = ips[i - 1];

		ips[i - 1] = ips[j];
		ips[j] = t;
	}
}

/* ::ffff:a.b.c.d as AAAA is a mistake: an address for inside of one machine (RFC 4291 2.5.5.2). */
static bool is_mapped(const unsigned char *p)
{
	static const unsigned char prefix[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(p, prefix, sizeof(prefix)) == 0;
}

static void take_addresses(struct family *f, const struct stored *s)
{
	f->status = stored_is_unsure(s) ? DNS_SERVFAIL : s->status;
	f->secure = s->secure;
	if (s->status != DNS_OK)
		return;
	f->ips = mem_calloc(s->n, sizeof(*f->ips));
	for (unsigned i = 0; i < s->n; i++) {
		const struct dns_record *r = &s->records[i];
		struct ip *ip = &f->ips[f->n];

		if ((r->n != 4 && r->n != 16) || (r->n == 16 && is_mapped(r->p)))
			continue;
		ip->family = r->n == 4 ? 4 : 6;
		memcpy(ip->bytes, r->p, r->n);
		f->n++;
	}
	shuffle(f->ips, f->n);
	if (!f->n)
		f->status = DNS_NODATA;
}

static bool is_pending(const struct family *f)
{
	return f->is_asked && !question_stored(&f->question);
}

static bool has_addresses(const struct family *f)
{
	const struct stored *s = f->is_asked ? question_stored(&f->question) : NULL;

	return s && s->status == DNS_OK;
}

/* Until both are answered. DNS_OK: so they are, or what is late shall go on alone. */
static enum dns_status wait_both(struct family f[2], uint64_t deadline) SUSPENDS
{
	uint64_t until = deadline, late;
	int r = 0;

	while (is_pending(&f[0]) || is_pending(&f[1])) {
		if (until == deadline && (has_addresses(&f[0]) || has_addresses(&f[1]))) {
			late = loop_now() + LATE_NS;
			until = late < deadline ? late : deadline;
		}
		r = task_wait(until);
		if (r == -ETIMEDOUT && until < deadline)
			return DNS_OK;
		if (r < 0)
			return r == -ECANCELED ? DNS_CANCELLED : DNS_TIMEOUT;
	}
	return DNS_OK;
}

static void family_end(struct family *f, enum dns_status waited)
{
	const struct stored *s = question_stored(&f->question);

	f->status = waited == DNS_OK ? DNS_TIMEOUT : waited;
	if (s)
		take_addresses(f, s);
	question_end(&f->question, waited == DNS_OK);
}

/* The worse of two: what leaves it open whether there is an address comes before what does not. */
static enum dns_status worse(enum dns_status a, enum dns_status b)
{
	static const enum dns_status order[] = {
		DNS_CANCELLED, DNS_BOGUS, DNS_SERVFAIL, DNS_TIMEOUT, DNS_INVALID, DNS_NODATA,
	};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (a == order[i] || b == order[i])
			return order[i];
	return DNS_NXDOMAIN;
}

static void put_together(const struct family f[2], struct dns_addresses *ret)
{
	unsigned n[2] = { f[0].n, f[1].n };

	for (int i = 0; i < 2; i++) {
		unsigned other = n[!i] < EACH_MAX ? n[!i] : EACH_MAX;

		if (n[i] > DNS_ADDRESSES_MAX - other)
			n[i] = DNS_ADDRESSES_MAX - other;
	}
	ret->secure = true;
	for (int i = 0; i < 2; i++) {
		for (unsigned j = 0; j < n[i]; j++)
			ret->ips[ret->n++] = f[i].ips[j];
		ret->secure = ret->secure && (!n[i] || f[i].secure);
	}
	if (ret->n)
		ret->status = DNS_OK;
	else if (!f[0].is_asked || !f[1].is_asked)
		ret->status = f[f[0].is_asked ? 0 : 1].status;
	else
		ret->status = worse(f[0].status, f[1].status);
	ret->secure = ret->secure && ret->n;
}

static void from_literal(const struct ip *ip, unsigned families, struct dns_addresses *ret)
{
	if (!(families & (ip->family == 6 ? DNS_IPV6 : DNS_IPV4))) {
		ret->status = DNS_NODATA;
		return;
	}
	ret->status = DNS_OK;
	ret->n = 1;
	ret->ips[0] = *ip;
}

void dns_addresses(struct dns *d, struct str name, unsigned families, uint64_t deadline,
		   struct dns_addresses *ret)
{
	struct family f[2] = { { .is_asked = families & DNS_IPV6 },
			       { .is_asked = families & DNS_IPV4 } };
	char ascii[DNS_NAME_MAX + 1];
	enum dns_status waited;
	struct ip ip;

	assert(families & (DNS_IPV4 | DNS_IPV6));
	*ret = (struct dns_addresses){ .status = DNS_INVALID };
	if (literal_parse(name, &ip)) {
		from_literal(&ip, families, ret);
		return;
	}
	if (!dns_name_ascii(name, ascii))
		return;
	for (int i = 0; i < 2; i++)
		if (f[i].is_asked)
			question_begin(d, &f[i].question, ascii, i ? DNS_A : DNS_AAAA);
	waited = wait_both(f, deadline);
	for (int i = 0; i < 2; i++)
		if (f[i].is_asked)
			family_end(&f[i], waited);
	put_together(f, ret);
	for (int i = 0; i < 2; i++)
		mem_free(f[i].ips);
}
