/*
 * mx - a domain's mail exchangers (RFC 5321 5.1, RFC 7505), as hosts to be tried.
 *
 * What the DNS says for certain is a verdict about the domain (no such name, no mail wanted,
 * nothing there); what it cannot say is a failure that passes: errors.c has both. Which of the
 * exchangers is ourselves is found in route.c, when their addresses are known.
 *
 * The provider is that of the best exchangers: a domain whose mail a provider only takes in while
 * its own server is down does not share the provider's limits.
 */
#include "deliver/mx.h"

#include "base/mem.h"
#include "net/loop.h"

uint64_t world_below(void *world, uint64_t below)
{
	struct world *w = world;
	uint64_t v;

	w->random(w, &v, sizeof(v));
	return v % below;
}

static enum failure failure_of(const struct mx_answer *m)
{
	if (m->is_null)
		return FAIL_NULL_MX;
	if (m->status == DNS_OK && !m->n)
		return FAIL_NO_DATA;
	return failure_of_dns(m->status);
}

static void fill(const struct mx_answer *m, uint16_t port, struct arena *a, struct exchangers *ret)
{
	ret->n = m->n;
	ret->is_secure = m->secure;
	ret->hosts = arena_zalloc(a, size_mul(m->n, sizeof(*ret->hosts)));
	for (unsigned i = 0; i < m->n; i++) {
		struct host *h = &ret->hosts[i];

		h->name = m->hosts[i].name;
		h->port = port;
		h->preference = m->hosts[i].preference;
		h->is_exchanger = true;
		if (!ip_parse(h->name, &h->endpoint.ip))
			h->endpoint.ip = (struct ip){ .family = 0 };
	}
}

enum failure mx_find(struct dns *d, struct str domain, uint16_t port, struct arena *a,
		     struct exchangers *ret)
{
	/* too large for a stack */
	struct mx_answer *m = mem_zalloc(sizeof(*m));
	enum failure f;

	dns_mx(d, domain, loop_now() + MX_LOOKUP_NS, a, m);
	f = failure_of(m);
	if (!f) {
		mx_shuffle(m, world_below, world_self());
		fill(m, port, a, ret);
	}
	mem_free(m);
	return f;
}

unsigned mx_below(const struct host *hosts, unsigned n, unsigned preference)
{
	unsigned left = 0;

	while (left < n && hosts[left].preference < preference)
		left++;
	return left;
}

const struct provider *mx_provider(const struct config *c, const struct exchangers *x,
				   struct str domain)
{
	for (unsigned i = 0; i < x->n && x->hosts[i].preference == x->hosts[0].preference; i++) {
		const struct provider *p = config_provider_of_mx(c, x->hosts[i].name);

		if (p)
			return p;
	}
	return config_provider_of_domain(c, domain);
}
