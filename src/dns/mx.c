/*
 * mx - the mail exchangers of a domain (RFC 5321 5.1, RFC 7505); see dns.h.
 *
 * What is odd in other people's zones, and what we make of it:
 * - "." alone is the null MX, whatever its preference; among others it is left out (RFC 7505 3).
 * - An exchanger whose name is an IP address in text breaks RFC 1035 3.3.9; it is left out where
 *   there is a proper one, and used as an address where there is none, as Postfix does: who refuses
 *   it bounces mail that everybody else delivers.
 * - An exchanger that is a CNAME breaks RFC 5321 5.1, too, and works everywhere: it works here.
 * - Names that no host can have are left out. If nothing remains, that is nonsense (SERVFAIL: not
 *   NODATA, for there are MX records, and mail must not go elsewhere).
 * - Where there is no MX the domain's addresses are asked for at once, so that "neither MX nor
 *   address" is known as such.
 * - "No MX" that nobody vouches for (stored_is_unsure) is enough to go to the domain's addresses:
 *   such servers exist, RFC 5321 5.1 asks for no more than an empty list, and all others do it. It
 *   is not enough to bounce: whatever else the addresses say, the servers cannot tell.
 */
#include "dns/inner.h"
#include "dns/wire.h"

struct draft {
	struct mx_answer *answer;
	struct arena *arena;
	bool takes_addresses;		/* names that are addresses in text */
};

/* Before the first one of higher preference; of two of one name the better place counts. */
static void put_host(struct draft *d, const char *name, uint16_t preference)
{
	struct mx_answer *m = d->answer;
	unsigned at = 0, end;

	for (; at < m->n && m->hosts[at].preference <= preference; at++)
		if (str_eq(m->hosts[at].name, str_of(name)))
			return;
	if (at == DNS_MX_MAX)
		return;
	for (end = at; end < m->n && !str_eq(m->hosts[end].name, str_of(name)); end++)
		;
	if (end == DNS_MX_MAX)
		end--;
	if (end == m->n)
		m->n++;
	memmove(&m->hosts[at + 1], &m->hosts[at], (end - at) * sizeof(*m->hosts));
	m->hosts[at] = (struct mx_host){ arena_str(d->arena, str_of(name)), preference };
}

static void take_record(struct draft *d, const struct dns_record *r)
{
	char text[WIRE_TEXT_SIZE], name[DNS_NAME_MAX + 1];
	struct ip ip;

	if (r->n < 3 || !wire_name_text(str_make((const char *)r->p + 2, r->n - 2u), text))
		return;
	if (ip_parse(str_of(text), &ip) != d->takes_addresses)
		return;
	if (dns_name_ascii(str_of(text), name))
		put_host(d, name, (uint16_t)(r->p[0] << 8 | r->p[1]));
}

static bool is_null(const struct stored *s)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->records[i].n != 3 || s->records[i].p[2])
			return false;
	return s->n > 0;
}

static void take_records(const struct stored *s, struct arena *a, struct mx_answer *ret)
{
	struct draft d = { .answer = ret, .arena = a };

	ret->status = s->status;
	ret->secure = s->secure;
	if (s->status != DNS_OK)
		return;
	ret->is_null = is_null(s);
	if (ret->is_null)
		return;
	for (unsigned i = 0; i < s->n; i++)
		take_record(&d, &s->records[i]);
	d.takes_addresses = ret->n == 0;
	for (unsigned i = 0; d.takes_addresses && i < s->n; i++)
		take_record(&d, &s->records[i]);
	if (!ret->n)
		ret->status = DNS_SERVFAIL;
}

static void take_one(struct str name, struct arena *a, struct mx_answer *ret)
{
	ret->status = DNS_OK;
	ret->n = 1;
	ret->hosts[0] = (struct mx_host){ arena_str(a, name), 0 };
}

/* It says for good that mail cannot go there. */
static bool is_final(enum dns_status s)
{
	return s == DNS_NODATA || s == DNS_NXDOMAIN || s == DNS_INVALID;
}

static void implicit(struct dns *d, const char *domain, uint64_t deadline, struct arena *a,
		     struct mx_answer *ret) SUSPENDS
{
	struct dns_addresses addresses;

	ret->is_implicit = true;
	dns_addresses(d, str_of(domain), DNS_IPV4 | DNS_IPV6, deadline, &addresses);
	ret->status = addresses.status;
	if (addresses.status == DNS_OK)
		take_one(str_of(domain), a, ret);
}

static void literal(const struct ip *ip, struct arena *a, struct mx_answer *ret)
{
	char text[ENDPOINT_TEXT_MAX];

	take_one(str_of(ip_text(text, ip)), a, ret);
}

void dns_mx(struct dns *d, struct str domain, uint64_t deadline, struct arena *a,
	    struct mx_answer *ret)
{
	char ascii[DNS_NAME_MAX + 1];
	const struct stored *s;
	struct question q;
	bool is_unsure;
	struct ip ip;

	*ret = (struct mx_answer){ .status = DNS_INVALID };
	if (literal_parse(domain, &ip)) {
		if (domain.p[0] == '[')		/* RFC 5321 4.1.3 */
			literal(&ip, a, ret);
		return;
	}
	if (!dns_name_ascii(domain, ascii))
		return;
	question_begin(d, &q, ascii, DNS_MX);
	ret->status = question_wait(&q, deadline);
	s = question_stored(&q);
	if (s)
		take_records(s, a, ret);
	is_unsure = s && stored_is_unsure(s);
	question_end(&q, false);
	if (ret->status == DNS_NODATA)
		implicit(d, ascii, deadline, a, ret);
	if (is_unsure && is_final(ret->status))
		ret->status = DNS_SERVFAIL;
}

void mx_shuffle(struct mx_answer *m, uint64_t (*random)(void *arg, uint64_t below), void *arg)
{
	unsigned from, to;

	for (from = 0; from < m->n; from = to) {
		for (to = from + 1; to < m->n; to++)
			if (m->hosts[to].preference != m->hosts[from].preference)
				break;
		for (unsigned i = to; i > from + 1; i--) {
			unsigned j = from + (unsigned)random(arg, i - from);
			struct mx_host h = m->hosts[i - 1];

			m->hosts[i - 1] = m->hosts[j];
			m->hosts[j] = h;
		}
	}
}
