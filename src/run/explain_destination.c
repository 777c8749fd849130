/*
 * explain_destination - what the configuration says of one destination; see explain_destination.h.
 *
 * For when no relay runs, or no mail waits there: then no limit has a state, but which ones there
 * are can be told. A domain may go by any route by MX, so each of them is told. Whose mail
 * exchangers a domain has only the DNS knows; a provider is known here only if its table lists the
 * domain itself, so limits that name providers are told as what may apply.
 */
#include "run/explain_destination.h"

#include "config/value.h"
#include "policy/policy.h"
#include "report/escape.h"

struct telling {
	struct buf *out;
	const struct config *config;
	const struct route *route;
	struct str domain;		/* empty: not by MX */
	const struct name *provider;	/* NULL: not known */
	bool json;
	unsigned told;			/* objects, or limits of one source */
};

static void add_text(struct buf *out, struct str s, bool json)
{
	char *to = buf_reserve(out, s.n * ESCAPE_GROWTH + ESCAPE_EXTRA);

	if (to)
		buf_commit(out, (size_t)((json ? escape_json : escape_text)(to, s) - to));
}

/* ---- a route */

static void add_source(struct buf *out, const struct source_member *m)
{
	char text[ENDPOINT_TEXT_MAX];
	const struct source *s = m->source;

	buf_printf(out, "%.*s", STR_ARG(name_str(s->name)));
	if (s->ipv4.family)
		buf_printf(out, " %s", ip_text(text, &s->ipv4));
	if (s->ipv6.family)
		buf_printf(out, " %s", ip_text(text, &s->ipv6));
	if (m->weight != 1)
		buf_printf(out, " weight %u", m->weight);
	if (s->helo.n)
		buf_printf(out, " as %.*s", STR_ARG(s->helo));
	if (s->warm_up_n)
		buf_printf(out, " (warm-up of %u days)", s->warm_up_n);
}

static void add_sources(struct buf *out, const struct source_pool *pool)
{
	if (!pool) {
		buf_add_lit(out, "    from the address that the system chooses\n");
		return;
	}
	buf_add_lit(out, "    from ");
	for (unsigned i = 0; i < pool->n; i++) {
		if (i)
			buf_add_lit(out, ", ");
		add_source(out, &pool->members[i]);
	}
	buf_add_byte(out, '\n');
}

static void add_duration(struct buf *out, const char *before, uint64_t ns)
{
	buf_add_str(out, str_of(before));
	value_format(out, VALUE_DURATION, ns);
}

static void add_retry(struct buf *out, const struct config *c, const struct route *r)
{
	const uint64_t *waits = r->retry_ns ? r->retry_ns : c->queue.retry_ns;
	unsigned n = r->retry_ns ? r->retry_n : c->queue.retry_n;
	uint64_t warn = r->has_warn_after ? r->warn_after_ns : c->queue.warn_after_ns;

	buf_add_lit(out, "    tried again after");
	for (unsigned i = 0; i < n; i++)
		add_duration(out, " ", waits[i]);
	if (warn)
		add_duration(out, "; the sender is warned after ", warn);
	else
		buf_add_lit(out, "; the sender is not warned");
	add_duration(out, ", given up after ", r->give_up_after_ns ? r->give_up_after_ns :
		     c->queue.give_up_after_ns);
	buf_add_byte(out, '\n');
}

/* Which policies are looked for: what they say only the DNS knows. */
static void add_tls(struct buf *out, const struct config *c, const struct route *r)
{
	bool dane = c->dane && c->resolver.dnssec, sts = c->mta_sts && r->is_mx;

	buf_printf(out, "    %s", policy_tls_words(r->tls));
	if (r->tls != TLS_OFF && (dane || sts))
		buf_printf(out, "; %s%s%s may demand more", dane ? "DANE" : "",
			   dane && sts ? " and " : "", sts ? "MTA-STS" : "");
	buf_add_byte(out, '\n');
}

void explain_route(struct buf *out, const struct config *c, const struct route *r)
{
	if (r->is_mx) {
		buf_printf(out, "    by the mail exchangers of the recipient's domain, port %u%s\n",
			   r->mx_port, r->families == FAMILIES_IPV4 ? ", IPv4 only" :
			   r->families == FAMILIES_IPV6 ? ", IPv6 only" : "");
	}
	if (r->base && !str_eq(name_str(r->base), r->name) && str_find(r->name, '+') >= 0)
		buf_printf(out, "    a variant of route %.*s, by the rule's block\n",
			   STR_ARG(name_str(r->base)));
	add_tls(out, c, r);
	add_sources(out, r->sources);
	add_retry(out, c, r);
	buf_printf(out, "    at most %u connections at once, ", r->connections_max);
	if (r->messages_max)
		buf_printf(out, "%u messages on each\n", r->messages_max);
	else
		buf_add_lit(out, "any number of messages on each\n");
}

/* ---- limits */

/* It would apply if the destination belonged to one of those that it names. */
static bool may_apply(const struct telling *t, const struct limit *l, const struct name *source)
{
	for (unsigned i = 0; !t->provider && i < l->providers_n; i++)
		if (limit_applies(l, t->domain, l->providers[i], source, t->route->base))
			return true;
	return false;
}

static void add_limit(struct telling *t, const struct limit *l, bool is_sure)
{
	if (t->json) {
		buf_printf(t->out, "%s{\"limit\":", t->told++ ? "," : "");
		add_text(t->out, l->text, true);
		buf_printf(t->out, ",\"line\":%u,\"applies\":%s}", l->place.line,
			   is_sure ? "true" : "null");
		return;
	}
	t->told++;
	buf_printf(t->out, "      %s:%u: ", l->place.file, l->place.line);
	buf_add_str(t->out, l->text);
	buf_add_str(t->out, is_sure ? STR("\n") : STR("  (if its provider is one of these)\n"));
}

static void add_limits(struct telling *t, const struct name *source)
{
	const struct config *c = t->config;

	t->told = 0;
	for (unsigned i = 0; i < c->limits_n; i++) {
		const struct limit *l = &c->limits[i];

		if (limit_applies(l, t->domain, t->provider, source, t->route->base))
			add_limit(t, l, true);
		else if (may_apply(t, l, source))
			add_limit(t, l, false);
	}
	if (!t->told && !t->json)
		buf_add_lit(t->out, "      no limit but the route's\n");
}

static void tell_source(struct telling *t, const struct name *source)
{
	if (t->json) {
		buf_printf(t->out, "%s{\"source\":", t->told ? "," : "");
		add_text(t->out, name_str(source), true);
		buf_add_lit(t->out, ",\"limits\":[");
		add_limits(t, source);
		buf_add_lit(t->out, "]}");
		t->told = 1;
		return;
	}
	if (source)
		buf_printf(t->out, "    limits from source %.*s:\n", STR_ARG(name_str(source)));
	else
		buf_add_lit(t->out, "    limits:\n");
	add_limits(t, source);
}

static void tell_sources(struct telling *t)
{
	const struct source_pool *pool = t->route->sources;

	t->told = 0;
	if (!pool || !pool->n)
		tell_source(t, NULL);
	for (unsigned i = 0; pool && i < pool->n; i++)
		tell_source(t, pool->members[i].source->name);
}

/* ---- a destination */

static void tell_route(struct telling *t, bool *any)
{
	struct buf *out = t->out;

	if (t->json) {
		buf_printf(out, "%s{\"destination\":", *any ? " ," : " [");
		add_text(out, t->domain.n ? t->domain : t->route->name, true);
		buf_add_lit(out, ",\"route\":");
		add_text(out, t->route->name, true);
		buf_add_lit(out, ",\"queued\":false,\"sources\":[");
		tell_sources(t);
		buf_add_lit(out, "]}\n");
	} else {
		buf_printf(out, "by route %.*s", STR_ARG(t->route->name));
		if (t->route->place.file)
			buf_printf(out, " (%s:%u)", t->route->place.file, t->route->place.line);
		buf_add_lit(out, ":\n");
		explain_route(out, t->config, t->route);
		tell_sources(t);
	}
	*any = true;
}

static void tell_provider(struct telling *t)
{
	if (t->json)
		return;
	if (t->provider)
		buf_printf(t->out, "provider %.*s\n", STR_ARG(name_str(t->provider)));
	else if (t->domain.n)
		buf_add_lit(t->out, "provider: only its mail exchangers tell\n");
}

static void tell(struct telling *t, struct str name)
{
	const struct config *c = t->config;
	const struct provider *p;
	bool any = false;

	for (unsigned i = 0; i < c->routes_n; i++) {
		t->route = c->routes[i];
		if (!t->route->is_mx && (str_eq_nocase(t->route->name, name) ||
		    str_eq_nocase(name_str(t->route->base), name)))
			tell_route(t, &any);
	}
	if (!any) {
		t->domain = name;
		p = config_provider_of_domain(c, name);
		t->provider = p ? p->name : NULL;
		tell_provider(t);
	}
	for (unsigned i = 0; t->domain.n && i < c->routes_n; i++) {
		t->route = c->routes[i];
		if (t->route->is_mx)
			tell_route(t, &any);
	}
	if (t->json)
		buf_add_str(t->out, any ? STR(" ]\n") : STR(" []\n"));
	else if (!any)
		buf_add_lit(t->out, "no route has that name, and none goes by MX\n");
}

void explain_destination(struct buf *out, const struct config *c, struct str name)
{
	struct telling t = { .out = out, .config = c };

	tell(&t, name);
}

void explain_destination_json(struct buf *out, const struct config *c, struct str name)
{
	struct telling t = { .out = out, .config = c, .json = true };

	tell(&t, name);
}
