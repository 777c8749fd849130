/*
 * sim_internet - who there is to deliver to by MX, drawn from the seed; and what changes while
 * faults last: exchangers move within their provider, the DNS fails for a domain, providers are
 * down, or block a source.
 */
#include "sim/internet.h"

struct internet internet;

const char *const route_names[ROUTES] = { "mx", "bulk" };

/* ---- finding */

struct domain *internet_domain(struct str name)
{
	for (unsigned i = 0; i < internet.domains_n; i++)
		if (str_eq_nocase(name, str_of(internet.domains[i].name)))
			return &internet.domains[i];
	return NULL;
}

struct group *internet_group(const struct endpoint *at)
{
	for (unsigned g = 0; g < internet.groups_n; g++)
		for (unsigned h = 0; h < internet.groups[g].hosts_n; h++)
			if (endpoint_eq(at, &internet.groups[g].ports[h]->at))
				return &internet.groups[g];
	return NULL;
}

const char *source_address(unsigned source)
{
	static const char *const addresses[SOURCES_MAX] = { "10.0.0.11", "10.0.0.12", "10.0.0.13" };

	return addresses[source];
}

unsigned internet_source(const struct ip *ip)
{
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		struct endpoint e = endpoint_of(source_address(i));

		if (ip_eq(ip, &e.ip))
			return i;
	}
	return SOURCE_NONE;
}

/* ---- drawing */

static void draw_unkindness(struct group *g)
{
	g->stays = sim_chance(300);
	if (sim_chance(400))
		g->connections_max = (unsigned)sim_between(1, 4);
	if (sim_chance(400)) {
		g->messages_n = (unsigned)sim_between(2, 30);
		g->messages_ns = sim_between(1, 60) * SECOND;
	}
	if (sim_chance(250))
		g->greylist_ns = sim_between(1, 300) * SECOND;
	if (sim_chance(300))
		g->cuts = (unsigned)sim_below(150);
	g->blocks_at_mail = sim_chance(500);
	if (sim_chance(200))
		g->slow_reply_ms = (unsigned)sim_between(50, 5000);
}

static void draw_group(struct group *g, unsigned number)
{
	char at[32];

	*g = (struct group){ .number = number, .hosts_n = (unsigned)sim_between(1, GROUP_HOSTS) };
	snprintf(g->name, sizeof(g->name), "p%u", number);
	g->known = sim_chance(600);
	for (unsigned h = 0; h < g->hosts_n; h++) {
		snprintf(at, sizeof(at), "10.2.%u.%u:25", number, h + 1);
		g->ports[h] = sink_new(at);
	}
	if (g->known && sim_chance(400))
		g->told_connections = (unsigned)sim_between(1, 4);
	if (g->known && sim_chance(300))
		g->told_messages = (unsigned)sim_between(1, 6);
	if (!internet.calm || sim.breakage == BREAK_CALM)
		draw_unkindness(g);
}

static void draw_exchangers(struct domain *d)
{
	unsigned first = (unsigned)sim_below(d->group->hosts_n);

	d->mx_n = d->kind == DOMAIN_MX || d->kind == DOMAIN_BACKUP
			  ? (unsigned)sim_between(1, d->group->hosts_n)
			  : 1;
	for (unsigned i = 0; i < d->mx_n; i++) {
		d->mx[i].host = (first + i) % d->group->hosts_n;
		d->mx[i].preference = 10 * (unsigned)sim_between(1, 2);
	}
}

static void add_domain(enum domain_kind kind)
{
	struct domain *d = &internet.domains[internet.domains_n];

	*d = (struct domain){ .kind = kind };
	snprintf(d->name, sizeof(d->name), "d%u.example", internet.domains_n++);
	d->route = sim_chance(300) ? ROUTE_BULK : ROUTE_PLAIN;
	if (kind >= DOMAIN_FAILS)
		return;
	d->group = &internet.groups[sim_below(internet.groups_n)];
	if (kind == DOMAIN_IMPLICIT && d->group->known)
		d->kind = DOMAIN_MX;	/* whose a domain is, its exchangers' names tell */
	draw_exchangers(d);
	internet.good_n++;
}

static void draw_sources(void)
{
	internet.sources_n = (unsigned)sim_below(SOURCES_MAX + 1);
	internet.has_pool = internet.sources_n > 1 && sim_chance(600);
	for (unsigned i = 0; i < internet.sources_n; i++)
		internet.weights[i] = (unsigned)sim_between(1, 5);
	if (internet.sources_n && sim_chance(150))
		for (unsigned day = 0; day < 3; day++)
			internet.warm_up[internet.sources_n - 1][day] =
				(unsigned)sim_between(5, 40);
}

static void draw_limit(struct sim_limit *l)
{
	static const uint64_t periods[] = { SECOND, 60 * SECOND, 60 * SECOND, 3600 * SECOND };

	*l = (struct sim_limit){ .domain = -1, .group = -1, .source = -1, .route = -1 };
	l->what = (enum limit_what)sim_below(5);
	l->per = sim_chance(800) ? 1u << sim_below(4) : (unsigned)sim_between(1, 15);
	if (sim_chance(250))
		l->domain = (int)sim_below(internet.good_n);
	if (sim_chance(250))
		l->group = (int)sim_below(internet.groups_n);
	if (l->group >= 0 && !internet.groups[l->group].known)
		l->group = -1;
	if (internet.sources_n && sim_chance(150))
		l->source = (int)sim_below(internet.sources_n);
	if (sim_chance(150))
		l->route = (int)sim_below(ROUTES);
	l->count = sim_between(1, 5);
	if (l->what == LIMIT_CONNECTIONS || l->what == LIMIT_MESSAGES_PER_CONNECTION)
		return;
	l->period_ns = periods[sim_below(4)];
	if (l->period_ns > SECOND)
		l->count = sim_between(10, 60);
	if (l->period_ns > 60 * SECOND)
		l->count = sim_between(100, 300);
	if (l->what == LIMIT_OCTETS)
		l->count *= sim_between(1000, 60000);
	else
		l->evenly = sim_chance(200);
}

/* No two are alike: that would be an error of the configuration. */
static void add_limit(void)
{
	struct sim_limit *l = &internet.limits[internet.limits_n];

	draw_limit(l);
	for (unsigned i = 0; i < internet.limits_n; i++)
		if (!memcmp(l, &internet.limits[i], sizeof(*l)))
			return;
	internet.limits_n++;
}

void internet_draw(void)
{
	internet = (struct internet){ .calm = !sim.faults.crashes };
	internet.groups_n = (unsigned)sim_between(1, GROUPS_MAX);
	for (unsigned i = 0; i < internet.groups_n; i++)
		draw_group(&internet.groups[i], i + 1);
	for (uint64_t n = sim_between(2, 9); n; n--)
		add_domain(sim_chance(150) ? DOMAIN_IMPLICIT
			   : sim_chance(100) ? DOMAIN_BACKUP
					     : DOMAIN_MX);
	for (unsigned k = DOMAIN_FAILS; k <= DOMAIN_SELF; k++)
		if (sim_chance(400))
			add_domain((enum domain_kind)k);
	draw_sources();
	for (uint64_t n = sim_chance(700) ? sim_between(1, LIMITS_MAX) : 0; n; n--)
		add_limit();
	internet.reacts = sim_chance(600);
	if (sim_chance(300))
		internet.connections_max = (unsigned)sim_between(3, 20);
	sink_trap("10.2.99.1:25");
}

void internet_fair(void)
{
	struct group *g = &internet.groups[0];

	internet = (struct internet){ .calm = true, .prompt = true };
	internet.groups_n = (unsigned)sim_between(2, GROUPS_MAX);
	for (unsigned i = 0; i < internet.groups_n; i++) {
		draw_group(&internet.groups[i], i + 1);
		internet.groups[i].told_connections = internet.groups[i].told_messages = 0;
	}
	for (uint64_t n = sim_between(3, 8); n; n--)
		add_domain(DOMAIN_MX);
	/* The first has a provider of its own. */
	internet.domains[0].group = g;
	draw_exchangers(&internet.domains[0]);
	for (unsigned i = 1; i < internet.domains_n; i++) {
		internet.domains[i].group =
			&internet.groups[sim_between(1, internet.groups_n - 1)];
		draw_exchangers(&internet.domains[i]);
	}
	g->slow_reply_ms = sim_chance(500) ? (unsigned)sim_between(500, 3000) : 0;
	if (!g->slow_reply_ms || sim_chance(500)) {
		struct sim_limit *l = &internet.limits[internet.limits_n++];

		*l = (struct sim_limit){ .what = LIMIT_MESSAGES, .count = sim_between(5, 20),
					 .period_ns = 60 * SECOND, .per = LIMIT_PER_DESTINATION,
					 .domain = 0, .group = -1, .source = -1, .route = -1 };
	}
	if (sim_chance(500))
		internet.connections_max = (unsigned)sim_between(4, 10);
}

void internet_blocked(void)
{
	internet = (struct internet){ .reacts = true, .has_pool = true };
	internet.sources_n = (unsigned)sim_between(2, SOURCES_MAX);
	for (unsigned i = 0; i < internet.sources_n; i++)
		internet.weights[i] = (unsigned)sim_between(1, 5);
	internet.groups_n = (unsigned)sim_between(1, 3);
	internet.calm = true;	/* but for what follows */
	for (unsigned i = 0; i < internet.groups_n; i++)
		draw_group(&internet.groups[i], i + 1);
	internet.calm = false;
	for (uint64_t n = sim_between(1, 6); n; n--)
		add_domain(DOMAIN_MX);
	for (unsigned i = 0; i < internet.domains_n; i++)
		internet.domains[i].route = ROUTE_BULK;
	internet.groups[0].blocks_at_mail = sim_chance(500);
	for (unsigned s = 0; s + 1 < internet.sources_n; s++)
		internet.groups[0].blocked_until[s] = UINT64_MAX;
}

/* ---- accidents */

static struct group *any_group(void)
{
	return &internet.groups[sim_below(internet.groups_n)];
}

static void on_move(struct event *e)
{
	struct domain *d = &internet.domains[sim_below(internet.good_n)];

	(void)e;
	draw_exchangers(d);
	sim_say("%s moves to %u exchangers", d->name, d->mx_n);
}

static void on_trouble(struct event *e)
{
	static const unsigned troubles[] = { DNS_SERVFAIL, DNS_TIMEOUT, DNS_BOGUS };
	struct domain *d = &internet.domains[sim_below(internet.domains_n)];

	d->trouble = troubles[sim_below(3)];
	d->trouble_until = sim.now + sim_below(e->n);
	sim_say("the DNS of %s is in trouble %u", d->name, d->trouble);
}

static void on_up(struct event *e)
{
	struct group *g = e->p;

	for (unsigned h = 0; h < g->hosts_n; h++)
		g->ports[h]->closed = false;
	sim_say("%s is up", g->name);
}

static void on_down(struct event *e)
{
	struct group *g = any_group();
	unsigned host = (unsigned)sim_below(g->hosts_n);
	bool all = sim_chance(500);

	for (unsigned h = 0; h < g->hosts_n; h++)
		g->ports[h]->closed |= all || h == host;
	sim_say("%s is down", g->name);
	sim_at(sim.now + sim_below(e->n), on_up, g, 0);
}

static void on_block(struct event *e)
{
	struct group *g = any_group();
	unsigned source = internet.sources_n ? (unsigned)sim_below(internet.sources_n)
					     : SOURCE_NONE;

	g->blocked_until[source] = sim.now + sim_below(e->n);
	sim_say("%s blocks source %u", g->name, source);
}

void internet_accidents(uint64_t span)
{
	void (*const what[])(struct event *) = { on_move, on_trouble, on_down, on_block };

	if (internet.calm || !internet.groups_n)
		return;
	for (int k = 0; k < 4; k++)
		for (uint64_t n = sim_chance(500) ? sim_below(4) : 0; n; n--)
			sim_at(sim.now + sim_below(span), what[k], NULL, span / 3 + 1);
}
