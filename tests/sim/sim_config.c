/*
 * sim_config - what stands in a relay's configuration so that it delivers to the internet of this
 * seed: sources, providers, limits, routes and rules. Read by config_load_from, as any other.
 *
 * In the broken worlds that are about limits the relay is told others than it is held to.
 */
#include "sim/internet.h"

static void write_sources(struct buf *out)
{
	const unsigned n = internet.sources_n;

	for (unsigned i = 0; i < n; i++) {
		const unsigned *caps = internet.warm_up[i];

		buf_printf(out, "source s%u address %s", i + 1, source_address(i));
		if (caps[0])	/* the day of sim_begin */
			buf_printf(out, " {\n warm_up from 2026-09-21 %u %u %u%s\n}", caps[0],
				   caps[1], caps[2], i ? " overflow s1" : "");
		buf_add_lit(out, "\n");
	}
	if (!internet.has_pool)
		return;
	buf_add_lit(out, "pool all {\n");
	for (unsigned i = 0; i < n; i++)
		buf_printf(out, " source s%u weight %u\n", i + 1, internet.weights[i]);
	buf_add_lit(out, "}\n");
}

static void write_providers(struct buf *out)
{
	unsigned more = sim.breakage == BREAK_LIMITS ? 5 : 0;

	for (unsigned i = 0; i < internet.groups_n; i++) {
		const struct group *g = &internet.groups[i];

		if (!g->known)
			continue;
		buf_printf(out, "provider %s {\n mx .%s.example\n", g->name, g->name);
		if (g->told_connections)
			buf_printf(out, " connections %u\n", g->told_connections + more);
		if (g->told_messages)
			buf_printf(out, " messages %u\n", g->told_messages + more);
		if (internet.reacts)
			buf_add_lit(out, " on reply 451 matches \"too many\" then pause 20s\n"
					 " on status 4.7.28 then slow\n");
		buf_add_lit(out, "}\n");
	}
	if (internet.reacts)
		buf_add_lit(out, "provider any {\n"
				 " on matches \"block list\" then other-source 2m\n"
				 " on matches \"not for years\" then bounce\n"
				 " on reply 421 matches \"too many concurrent\" then slow\n}\n");
}

static void write_keys(struct buf *out, const struct sim_limit *l)
{
	static const char *const per[] = { "destination", "provider", "source", "route" };

	if (l->per)
		buf_add_lit(out, " per");
	for (unsigned k = 0; k < 4; k++)
		if (l->per & 1u << k)
			buf_printf(out, " %s", per[k]);
	if (l->domain >= 0)
		buf_printf(out, " to domain %s", internet.domains[l->domain].name);
	if (l->group >= 0)
		buf_printf(out, " to provider %s", internet.groups[l->group].name);
	if (l->source >= 0)
		buf_printf(out, " from source s%d", l->source + 1);
	if (l->route >= 0)
		buf_printf(out, " via %s", route_names[l->route]);
	if (l->evenly)
		buf_add_lit(out, " evenly");
	buf_add_lit(out, "\n");
}

static void write_limit(struct buf *out, const struct sim_limit *l)
{
	static const char *const whats[] = { "connections", "messages per connection", "messages",
					     "recipients", "bytes" };
	unsigned long long count = l->count;

	if (sim.breakage == BREAK_LIMITS)
		count = count * 3 + 2;
	buf_printf(out, "limit %llu%s %s", count,
		   !l->period_ns		  ? ""
		   : l->period_ns == SECOND	  ? "/s"
		   : l->period_ns == 60 * SECOND ? "/min"
						  : "/h",
		   whats[l->what]);
	write_keys(out, l);
}

static void write_rules(struct buf *out)
{
	const char *source = internet.sources_n ? "; source s1" : "";

	buf_printf(out, "route bulk {\n mx\n give_up_after 5d\n retry 2s 10s 1m 1m 5m\n%s}\n",
		   !internet.sources_n ? ""
		   : internet.has_pool && sim.breakage != BREAK_ROTATION ? " source all\n"
									  : " source s1\n");
	for (unsigned r = 0; r < ROUTES; r++) {
		unsigned n = 0;

		for (unsigned i = 0; i < internet.domains_n; i++)
			if (internet.domains[i].route == r)
				buf_printf(out, n++ ? " %s" : "accept from any to domain %s",
					   internet.domains[i].name);
		if (n && r == ROUTE_BULK)
			buf_add_lit(out, " via bulk\n");
		else if (n)
			buf_printf(out, " via mx { give_up_after 5d%s }\n", source);
	}
}

void config_write(struct buf *out)
{
	write_sources(out);
	write_providers(out);
	for (unsigned i = 0; i < internet.limits_n; i++)
		write_limit(out, &internet.limits[i]);
	if (sim.breakage == BREAK_FAIRNESS)
		buf_add_lit(out, "limit 20/h messages per route\n");
	write_rules(out);
}
