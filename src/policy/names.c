/*
 * names - see names.h.
 *
 * Everything here is a peer's claim, answered by servers that may be his: names are bounded, and at
 * most NAMES_OF_ADDRESS_MAX of them followed, all at once. A name counts as the client's only if
 * its addresses hold the client's.
 */
#include "policy/names.h"

#include "base/mem.h"
#include "dns/wire.h"
#include "policy/inquiry.h"
#include "policy/lists.h"
#include "smtp/address.h"

struct forward {
	struct dns *dns;
	const struct ip *ip;
	uint64_t deadline;
	enum name_state state;
	char name[DNS_NAME_MAX + 1];
};

static bool is_certain(enum dns_status s)
{
	return s == DNS_OK || s == DNS_NXDOMAIN || s == DNS_NODATA || s == DNS_INVALID;
}

static bool has_ip(const struct dns_addresses *a, const struct ip *ip)
{
	for (unsigned i = 0; i < a->n; i++)
		if (ip_eq(&a->ips[i], ip))
			return true;
	return false;
}

static void ask_forward(void *arg) SUSPENDS
{
	struct forward *f = arg;
	unsigned family = f->ip->family == 6 ? DNS_IPV6 : DNS_IPV4;
	struct dns_addresses a = { .n = 0 };

	dns_addresses(f->dns, str_of(f->name), family, f->deadline, &a);
	if (a.status == DNS_OK && has_ip(&a, f->ip))
		f->state = NAME_VERIFIED;
	else if (is_certain(a.status))
		f->state = NAME_UNVERIFIED;
}

static bool take_name(const struct dns_record *r, char ret[DNS_NAME_MAX + 1])
{
	char text[WIRE_TEXT_SIZE];
	size_t n = wire_name_text(str_make((const char *)r->p, r->n), text);
	struct str name = str_of(text);
	struct ip ip;

	if (!n || !name.n || name.n > DNS_NAME_MAX || ip_parse(name, &ip))
		return false;
	str_copy(ret, DNS_NAME_MAX + 1, name);
	return true;
}

/* PTR. The number of names, or -1: the DNS could not tell. */
static int ask_names(struct forward *all, const struct forward *like) SUSPENDS
{
	struct arena arena = { .blocks = NULL };
	char *question = arena_alloc(&arena, DNS_NAME_MAX + 1);
	struct dns_answer answer = { .status = DNS_INVALID };
	struct str tree = like->ip->family == 6 ? STR("ip6.arpa") : STR("in-addr.arpa");
	int n = 0;

	if (lists_name(like->ip, tree, question))
		dns_lookup(like->dns, str_of(question), DNS_PTR, like->deadline, &arena, &answer);
	for (unsigned i = 0; answer.status == DNS_OK && i < answer.n && n < NAMES_OF_ADDRESS_MAX;
	     i++) {
		all[n] = *like;
		n += take_name(&answer.records[i], all[n].name);
	}
	arena_done(&arena);
	return is_certain(answer.status) ? n : -1;
}

static enum name_state best_of(const struct forward *all, unsigned n, char ret[DNS_NAME_MAX + 1])
{
	enum name_state best = NAME_NONE;

	for (unsigned i = 0; i < n; i++) {
		if (all[i].state == NAME_VERIFIED) {
			str_copy(ret, DNS_NAME_MAX + 1, str_of(all[i].name));
			return NAME_VERIFIED;
		}
		if (all[i].state > best)
			best = all[i].state;
	}
	return best;
}

enum name_state names_reverse(struct dns *d, const struct ip *ip, uint64_t deadline,
			      char ret[DNS_NAME_MAX + 1])
{
	const struct forward like = { .dns = d, .ip = ip, .deadline = deadline,
				      .state = NAME_UNKNOWN };
	struct forward *all = mem_calloc(NAMES_OF_ADDRESS_MAX, sizeof(*all));
	int n = ask_names(all, &like);
	enum name_state best = NAME_UNKNOWN;
	struct inquiry q;

	inquiry_init(&q);
	for (int i = 0; i < n; i++)
		inquiry_ask(&q, ask_forward, &all[i]);
	inquiry_wait(&q);
	if (n >= 0)
		best = best_of(all, (unsigned)n, ret);
	mem_free(all);
	return best;
}

/* ---- HELO */

static bool literal_ip(struct str literal, struct ip *ret)
{
	struct str inner = str_sub(literal, 1, literal.n - 1);

	if (str_starts_nocase(inner, STR("IPv6:")))
		inner = str_from(inner, 5);
	return ip_parse(inner, ret);
}

/* Who has no address but receives mail exists as well. */
static enum name_state has_exchanger(struct dns *d, struct str helo, uint64_t deadline) SUSPENDS
{
	struct arena arena = { .blocks = NULL };
	struct dns_answer answer;

	dns_lookup(d, helo, DNS_MX, deadline, &arena, &answer);
	arena_done(&arena);
	if (answer.status == DNS_OK)
		return NAME_VERIFIED;
	return is_certain(answer.status) ? NAME_NONE : NAME_UNKNOWN;
}

static enum name_state ask_helo(struct dns *d, struct str helo, const struct ip *must_have,
				uint64_t deadline) SUSPENDS
{
	struct dns_addresses a = { .n = 0 };

	dns_addresses(d, helo, DNS_IPV4 | DNS_IPV6, deadline, &a);
	if (!is_certain(a.status))
		return NAME_UNKNOWN;
	if (must_have)
		return a.status == DNS_OK && has_ip(&a, must_have) ? NAME_VERIFIED : NAME_NONE;
	return a.status == DNS_OK ? NAME_VERIFIED : has_exchanger(d, helo, deadline);
}

enum name_state names_helo(struct dns *d, struct str helo, enum name_check check,
			   const struct ip *client, uint64_t deadline)
{
	bool is_literal = helo.n && helo.p[0] == '[';
	struct ip ip;

	if (check == NAME_IGNORED)
		return NAME_VERIFIED;
	/* A bare word is no name in the DNS, and a bare address no literal (RFC 5321 4.1.1.1). */
	if (!helo_is_valid(helo) || (!is_literal && str_find(helo, '.') < 0) || ip_parse(helo, &ip))
		return NAME_UNVERIFIED;
	if (check == NAME_VALID)
		return NAME_VERIFIED;
	if (is_literal)
		return check == NAME_RESOLVES || (literal_ip(helo, &ip) && ip_eq(&ip, client))
			       ? NAME_VERIFIED : NAME_NONE;
	return ask_helo(d, helo, check == NAME_MATCHES ? client : NULL, deadline);
}
