/*
 * describe - where mail would go, in words: for explain and queries.
 *
 * The same walk as a delivery's (route.c), without connecting: what it leaves out is named. Asks
 * the DNS through the cache that deliveries use, so what is told is what they would be told.
 */
#include "deliver/service.h"

#include "base/mem.h"

static void add_health(struct buf *out, struct deliver *d, const struct host *h)
{
	struct world *w = net_world(d->net);
	uint64_t now = loop_self() ? loop_now() : w->now(w), until;

	switch (health_state(d->health, h, now, &until)) {
	case HOST_WORKS:
		break;
	case HOST_PROBE:
		buf_add_lit(out, ", to be probed");
		break;
	case HOST_RESTS:
		buf_printf(out, ", resting for %llu s",
			   (unsigned long long)((until - now + SECOND - 1) / SECOND));
		break;
	}
}

static struct host host_of(const struct route_host *h)
{
	return (struct host){ .name = h->name, .endpoint = h->endpoint, .port = h->port };
}

static void add_name(struct buf *out, const struct host *h)
{
	buf_add_str(out, h->name);
	if (!h->endpoint.path)
		buf_printf(out, " port %u", h->port);
}

static void add_place(struct buf *out, const struct route_host *h)
{
	if (h->weight > 1)
		buf_printf(out, ", weight %u", h->weight);
	if (h->backup)
		buf_add_lit(out, ", backup");
}

/* ---- with what the DNS says */

struct describing {
	struct buf *out;
	struct deliver *deliver;
	const struct config *config;
	const struct route *route;
	unsigned families;
	struct str domain;		/* of routes by MX */
	struct vouch *vouch;		/* what its policies say */
};

static const char *words_of(const struct trust_facts *f, const struct trust_decision *d)
{
	static const char *const words[] = {
		[TRUST_OFF] = "off",
		[TRUST_TRY] = "as offered, the certificate is not looked at",
		[TRUST_ENCRYPT] = "required, whatever the certificate says",
		[TRUST_PKIX] = "required, a certificate for its name",
		[TRUST_STS] = "required, a certificate for its name (MTA-STS)",
		[TRUST_DANE] = "required, a certificate that its TLSA records know (DANE)",
	};

	switch (d->refusal) {
	case REFUSED_NOT:
		break;
	case REFUSED_DANE:
		return "not tried: its TLSA records cannot be looked up safely";
	case REFUSED_STS:
		return f->sts == STS_ENFORCE
			       ? "not tried: the domain's MTA-STS policy does not list it"
			       : "not tried: nothing vouches for its name";
	case REFUSED_WISH:
		return "not tried";
	}
	return words[d->level];
}

static void add_trust(const struct describing *x, const struct host *h, bool is_secure) SUSPENDS
{
	const struct vouch_question q = { x->config, x->route, x->deliver->dns, x->domain,
					  is_secure, h };
	struct trust_decision d;
	struct trust_facts f;

	vouch_facts(&q, x->vouch, &f);
	d = trust_decide(&f);
	buf_printf(x->out, ", TLS %s%s", f.use == TLS_IMPLICIT ? "from the start, " : "",
		   words_of(&f, &d));
}

/* What the domain itself says. */
static void describe_policy(const struct describing *x) SUSPENDS
{
	struct core *core = &x->deliver->cores[loop_index(loop_self())];
	struct sts_answer *sts = &x->vouch->sts;
	struct str text;

	if (!x->config->mta_sts || x->route->tls == TLS_OFF || !x->route->tls_context)
		return;
	sts_find(x->deliver->sts, x->deliver->dns, &core->slots, x->domain, &x->vouch->arena, sts);
	text = sts->text;
	if (sts->failed)
		buf_printf(x->out, "MTA-STS: the domain has a policy, which cannot be had: %s\n",
			   sts->why);
	else if (text.n)
		buf_printf(x->out, "MTA-STS: %s, for %u exchangers\n",
			   sts_mode_name(sts->policy.mode), sts->policy.mx_n);
}

/* True: one of its addresses is ours. */
static bool add_addresses(const struct describing *x, const struct host *h) SUSPENDS
{
	struct own *own = &x->deliver->cores[loop_index(loop_self())].own;
	int first = health_first_family(x->deliver->health, h, loop_now());
	struct dns_addresses *a = mem_alloc(sizeof(*a));
	const char *before = ": ";
	bool ours = false;

	dns_addresses(x->deliver->dns, h->name, DNS_IPV4 | DNS_IPV6, loop_now() + MX_LOOKUP_NS, a);
	if (a->status != DNS_OK) {
		a->n = 0;
		buf_printf(x->out, ": %s", dns_status_text(a->status));
	}
	for (unsigned i = 0; i < 2 * a->n; i++) {
		const struct ip *ip = &a->ips[i % a->n];
		bool can_use = x->families & (ip->family == 4 ? DNS_IPV4 : DNS_IPV6);

		if ((ip->family == first) != (i < a->n))
			continue;
		buf_add(x->out, before, 2);
		ip_format(x->out, ip);
		if (!can_use)
			buf_add_lit(x->out, " (not used)");
		ours |= h->is_exchanger && own_has_ip(own, x->config, ip, h->port);
		before = ", ";
	}
	mem_free(a);
	return ours;
}

static void describe_exchangers(const struct describing *x,
				const struct exchangers *all) SUSPENDS
{
	unsigned left = all->n;

	for (unsigned i = 0; i < all->n; i++) {
		const struct host *h = &all->hosts[i];
		bool ours = own_has_name(x->config, h->name);

		buf_printf(x->out, "%u ", h->preference);
		add_name(x->out, h);
		ours |= add_addresses(x, h);
		add_health(x->out, x->deliver, h);
		add_trust(x, h, all->is_secure);
		if (ours)
			left = mx_below(all->hosts, left, h->preference);
		buf_add_str(x->out, ours ? STR(", this relay itself\n") : STR("\n"));
	}
	if (!left)
		buf_printf(x->out, "nothing to try: %s\n",
			   error_find(STAGE_MX, FAIL_LOOP)->text);
	else if (left < all->n)
		buf_printf(x->out, "only those before preference %u are tried\n",
			   all->hosts[left].preference);
}

static void describe_domain(const struct describing *x, struct str domain) SUSPENDS
{
	struct arena names = { .blocks = NULL };
	struct exchangers all;
	enum failure f =
		mx_find(x->deliver->dns, domain, x->route->mx_port, &names, &all);

	if (!f) {
		describe_policy(x);
		describe_exchangers(x, &all);
	} else if (f != FAIL_CANCELLED) {
		const struct error *e = error_find(STAGE_MX, f);

		buf_printf(x->out, "nothing to try: %s (%u.%u.%u)\n", e->text, e->enhanced.class,
			   e->enhanced.subject, e->enhanced.detail);
	}
	arena_done(&names);
}

static void describe_hosts(const struct describing *x) SUSPENDS
{
	for (int backup = 0; backup < 2; backup++)
		for (unsigned i = 0; i < x->route->hosts_n; i++) {
			const struct host h = host_of(&x->route->hosts[i]);

			if (x->route->hosts[i].backup != backup)
				continue;
			add_name(x->out, &h);
			if (!h.endpoint.path && !h.endpoint.ip.family)
				add_addresses(x, &h);
			add_place(x->out, &x->route->hosts[i]);
			add_health(x->out, x->deliver, &h);
			add_trust(x, &h, false);
			buf_add_byte(x->out, '\n');
		}
}

void deliver_describe_hosts(struct buf *out, struct deliver *d, const struct config *c,
			    const struct route *r, struct str domain, const struct source *source)
{
	struct vouch vouch = { .host = NULL };
	const struct describing x = { out, d, c, r, route_families(r, source), domain, &vouch };

	if (r->is_mx)
		describe_domain(&x, domain);
	else
		describe_hosts(&x);
	vouch_done(&vouch);
}
