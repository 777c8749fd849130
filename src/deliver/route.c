/*
 * route - in which order hosts are tried, and one address of them after the other.
 *
 * A route's own hosts: those that can be used come first, by weighted chance without replacement
 * among the primary ones, then the same among the backups. Mail exchangers: by preference, equals
 * in a random order (mx.c). In both cases those that rest (health.c) are left out while there are
 * others, and all are tried when all rest. Names are looked up one by one, when their turn comes;
 * each address of a host is tried, a host has failed when all of them have.
 *
 * Exchangers that are ourselves, and all of the same or a higher number, are not tried (RFC 5321
 * 5.1). By name that is known at the start. By address it takes lookups: they are made for one
 * preference after the other, for all of its hosts before the first is tried - or one that is our
 * equal could get the mail, and give it back. That costs nothing where we do not listen on the
 * exchangers' port.
 */
#include "deliver/route.h"

#include "base/mem.h"
#include "net/loop.h"

#define NAMES_BLOCK 256		/* octets; a few hosts, and there may be 10,000 walks */

static uint32_t weight_of(const struct route_host *h)
{
	return h->weight ? h->weight : 1;
}

/* Draws from the indices [from, to) of list until all are drawn. */
static void draw(const struct route *r, unsigned *list, unsigned n,
		 uint64_t (*random)(void *arg, uint64_t below), void *arg)
{
	uint64_t left = 0;

	for (unsigned i = 0; i < n; i++)
		left += weight_of(&r->hosts[list[i]]);
	for (unsigned i = 0; i + 1 < n; i++) {
		uint64_t at = random(arg, left);
		unsigned pick = i, swap = list[i];

		while (at >= weight_of(&r->hosts[list[pick]]))
			at -= weight_of(&r->hosts[list[pick++]]);
		left -= weight_of(&r->hosts[list[pick]]);
		list[i] = list[pick];
		list[pick] = swap;
	}
}

unsigned route_order(const struct route *r, const enum host_state *states,
		     uint64_t (*random)(void *arg, uint64_t below), void *arg, unsigned *ret)
{
	bool all_rest = true;
	unsigned n = 0;

	for (unsigned i = 0; i < r->hosts_n; i++)
		all_rest &= states[i] == HOST_RESTS;
	for (int backup = 0; backup < 2; backup++) {
		unsigned from = n;

		for (unsigned i = 0; i < r->hosts_n; i++)
			if (r->hosts[i].backup == backup && (all_rest || states[i] != HOST_RESTS))
				ret[n++] = i;
		draw(r, ret + from, n - from, random, arg);
	}
	return n;
}

unsigned route_families(const struct route *r, const struct source *s)
{
	unsigned families = DNS_IPV4 | DNS_IPV6;

	if (r->families == FAMILIES_IPV4)
		families = DNS_IPV4;
	else if (r->families == FAMILIES_IPV6)
		families = DNS_IPV6;
	if (s && !s->ipv4.family)
		families &= ~(unsigned)DNS_IPV4;
	if (s && !s->ipv6.family)
		families &= ~(unsigned)DNS_IPV6;
	return families;
}

/* ---- the order */

static void begin_hosts(struct candidates *c)
{
	const struct route *r = c->route;
	enum host_state *states = mem_calloc(r->hosts_n, sizeof(*states));
	struct host *hosts = arena_zalloc(&c->arena, size_mul(r->hosts_n, sizeof(*hosts)));

	for (unsigned i = 0; i < r->hosts_n; i++) {
		uint64_t until;

		hosts[i].name = r->hosts[i].name;
		hosts[i].endpoint = r->hosts[i].endpoint;
		hosts[i].port = r->hosts[i].port;
		states[i] = health_state(c->means.health, &hosts[i], loop_now(), &until);
	}
	c->all = (struct exchangers){ .hosts = hosts, .n = r->hosts_n };
	c->left = c->compared = r->hosts_n;
	c->order = arena_alloc(&c->arena, size_mul(r->hosts_n, sizeof(*c->order)));
	c->n = route_order(r, states, world_below, world_self(), c->order);
	mem_free(states);
}

static void order_exchangers(struct candidates *c)
{
	c->order = arena_alloc(&c->arena, size_mul(c->left, sizeof(*c->order)));
	c->n = 0;
	for (unsigned i = 0; i < c->left; i++) {
		uint64_t until;

		if (health_state(c->means.health, &c->all.hosts[i], loop_now(), &until) !=
		    HOST_RESTS)
			c->order[c->n++] = i;
	}
	if (c->n)
		return;
	for (unsigned i = 0; i < c->left; i++)
		c->order[c->n++] = i;
}

static enum failure begin_exchangers(struct candidates *c, struct str domain) SUSPENDS
{
	enum failure f =
		mx_find(c->means.dns, domain, c->route->mx_port, &c->arena, &c->all);

	if (f)
		return f;
	c->left = c->all.n;
	for (unsigned i = 0; i < c->left; i++)
		if (own_has_name(c->means.config, c->all.hosts[i].name))
			c->left = mx_below(c->all.hosts, c->all.n, c->all.hosts[i].preference);
	if (!c->left)
		return FAIL_LOOP;
	if (!own_can_have_ip(c->means.config, c->route->mx_port))
		c->compared = c->all.n;
	order_exchangers(c);
	return FAIL_NONE;
}

enum failure candidates_begin(struct candidates *c, const struct route *r,
			      const struct source *source, struct str domain)
{
	enum failure f = FAIL_NONE;

	candidates_done(c);
	c->arena.block_size = NAMES_BLOCK;
	c->route = r;
	c->families = route_families(r, source);
	if (r->is_mx)
		f = begin_exchangers(c, domain);
	else
		begin_hosts(c);
	if (f)
		candidates_done(c);
	c->stage = STAGE_MX;
	return f;
}

void candidates_done(struct candidates *c)
{
	arena_done(&c->arena);
	mem_free(c->ips);
	*c = (struct candidates){ .means = c->means };
}

/* ---- ourselves */

static bool leads_to_us(struct candidates *c, const struct host *h, uint64_t deadline) SUSPENDS
{
	const struct walk_means *m = &c->means;
	struct dns_addresses *a;
	bool ours = false;

	if (h->endpoint.ip.family)
		return own_has_ip(m->own, m->config, &h->endpoint.ip, h->port);
	a = mem_alloc(sizeof(*a));	/* too large for a stack */
	dns_addresses(m->dns, h->name, DNS_IPV4 | DNS_IPV6, deadline, a);
	for (unsigned i = 0; a->status == DNS_OK && i < a->n; i++)
		ours |= own_has_ip(m->own, m->config, &a->ips[i], h->port);
	mem_free(a);
	return ours;
}

/* All exchangers up to that preference, before the first of them is tried. */
static void compare(struct candidates *c, unsigned preference) SUSPENDS
{
	uint64_t deadline = loop_now() + MX_LOOKUP_NS;

	while (c->compared < c->left && c->all.hosts[c->compared].preference <= preference) {
		const struct host *h = &c->all.hosts[c->compared++];

		if (leads_to_us(c, h, deadline))
			c->left = mx_below(c->all.hosts, c->left, h->preference);
	}
}

void candidates_is_us(struct candidates *c)
{
	if (!c->route->is_mx)
		return;
	c->left = mx_below(c->all.hosts, c->left, c->host->preference);
	c->ip_at = c->ips_n;
}

/* ---- the walk */

static bool can_use(const struct candidates *c, const struct ip *ip)
{
	return c->families & (ip->family == 4 ? DNS_IPV4 : DNS_IPV6);
}

static void take_one(struct candidates *c, const struct ip *ip)
{
	mem_free(c->ips);
	c->ips = mem_alloc(sizeof(*c->ips));
	c->ips[0] = *ip;
	c->ips_n = 1;
}

/* Within a family they come shuffled and stay so. */
static void take_all(struct candidates *c, const struct dns_addresses *a)
{
	int first = health_first_family(c->means.health, c->host, loop_now());

	mem_free(c->ips);
	c->ips = mem_calloc(a->n, sizeof(*c->ips));
	c->ips_n = 0;
	for (int pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < a->n; i++)
			if ((a->ips[i].family == first) == !pass && can_use(c, &a->ips[i]))
				c->ips[c->ips_n++] = a->ips[i];
}

static enum failure ask_addresses(struct candidates *c) SUSPENDS
{
	struct dns_addresses *a = mem_alloc(sizeof(*a));
	enum dns_status status;

	dns_addresses(c->means.dns, c->host->name, c->families, loop_now() + MX_LOOKUP_NS, a);
	status = a->status;
	if (status == DNS_OK)
		take_all(c, a);
	mem_free(a);
	if (c->ips_n)
		return FAIL_NONE;
	if (status == DNS_OK || (status == DNS_NODATA && c->families != (DNS_IPV4 | DNS_IPV6)))
		return FAIL_NO_FAMILY;
	return failure_of_dns(status);
}

static enum failure look_up(struct candidates *c) SUSPENDS
{
	const struct endpoint *e = &c->host->endpoint;

	c->failed = c->ips_n = c->ip_at = 0;
	if (e->path || (e->ip.family && can_use(c, &e->ip))) {
		take_one(c, &e->ip);
		return FAIL_NONE;
	}
	return e->ip.family || !c->families ? FAIL_NO_FAMILY : ask_addresses(c);
}

static bool next_in_order(struct candidates *c) SUSPENDS
{
	while (c->at < c->n) {
		unsigned i = c->order[c->at++];

		if (c->route->is_mx && i < c->left)
			compare(c, c->all.hosts[i].preference);
		if (i < c->left) {
			c->host = &c->all.hosts[i];
			return true;
		}
	}
	return false;
}

/*
 * The next host that is neither us nor behind us. If all before us rest, they are tried all the
 * same: each round without one leaves fewer.
 */
static bool next_host(struct candidates *c) SUSPENDS
{
	while (!next_in_order(c)) {
		if (c->host || !c->left)
			return false;
		order_exchangers(c);
		c->at = 0;
	}
	return true;
}

enum failure candidates_next(struct candidates *c, struct endpoint *ret, bool *ret_end)
{
	enum failure f;

	*ret_end = false;
	if (c->ip_at >= c->ips_n) {
		if (!next_host(c)) {
			c->stage = STAGE_MX;
			*ret_end = true;
			return c->host ? FAIL_NONE : FAIL_LOOP;
		}
		c->stage = STAGE_LOOKUP;
		health_begins(c->means.health, c->host, loop_now());
		f = task_is_cancelled() ? FAIL_CANCELLED : look_up(c);
		if (f)
			return f;
	}
	*ret = c->host->endpoint;
	ret->ip = c->ips[c->ip_at++];
	ret->port = c->host->endpoint.path ? 0 : c->host->port;
	return FAIL_NONE;
}

void candidates_again(struct candidates *c)
{
	c->ip_at -= c->ip_at > 0;
}

/* ---- what became of it */

static int current_family(const struct candidates *c)
{
	return c->ip_at && c->ip_at <= c->ips_n ? c->ips[c->ip_at - 1].family : 0;
}

static unsigned family_bit(int family)
{
	return family == 4 ? DNS_IPV4 : family == 6 ? DNS_IPV6 : 0;
}

void candidates_failed(struct candidates *c, enum failure f, struct str said)
{
	int family = current_family(c);

	c->failed |= family_bit(family);
	if (f == FAIL_NO_NETWORK && family)
		health_no_network(c->means.health, family, loop_now());
	if (c->ip_at >= c->ips_n)
		health_failed(c->means.health, c->host, loop_now(), said);
}

void candidates_skip(struct candidates *c, struct str said, bool is_blameless)
{
	c->ip_at = c->ips_n;
	if (!is_blameless)
		health_failed(c->means.health, c->host, loop_now(), said);
}

void candidates_worked(struct candidates *c)
{
	int family = current_family(c);

	health_works(c->means.health, c->host, loop_now());
	if (c->failed & ~family_bit(family))
		health_prefers(c->means.health, c->host, family, loop_now());
}
