/*
 * check - what can be judged only when everything was read: names, open relays, rules that never
 * fit. What the order of the rules does is looked at in order.c.
 *
 * The open-relay check (promise D6): a rule that takes mail to anywhere must be bound to something
 * that a stranger cannot choose. `from any` is not; a sender's address is not (everyone writes what
 * they like there); logins, certificates and having looked at one's mail are; networks are, if they
 * are few: less than a /8 of IPv4 and a /16 of IPv6, each rule for itself and all such rules
 * together, so that the Internet cannot be let in by halves. The word dangerously-open says that it
 * is meant.
 */
#include "config/coverage.h"
#include "config/load.h"

#include <unistd.h>

/* ---- names */

const struct table *check_find_table(struct load *l, const struct word *name)
{
	struct choices choices = { .n = 0 };

	for (unsigned i = 0; i < l->tables.n; i++) {
		const struct table *t = l->tables.p[i];

		if (!table_name(t).n)
			continue;
		if (str_eq(table_name(t), name->text))
			return t;
		choices_add(&choices, table_name(t));
	}
	diag_unknown(&l->diag, &name->place, "unknown table", name->text, &choices);
	return NULL;
}

const struct table *check_find_networks(struct load *l, const struct word *name)
{
	const struct table *t = check_find_table(l, name);

	if (t && !table_count_kind(t, ENTRY_NETWORK))
		diag_warn(&l->diag, &name->place, "table %.*s holds no networks: nobody is meant",
			  DIAG_WORD(name->text));
	return t;
}

/* Routes without a block have the defaults: what a server offers is taken. */
static void use_tls(struct load *l, struct route *route)
{
	route->tls = TLS_OFFERED;
	route->tls_context = identity_client_context(l, NULL);
}

static const struct route *new_mx(struct load *l)
{
	struct route *route = route_new_mx(&l->c->arena);

	use_tls(l, route);
	vector_add(&l->routes, route);
	return route;
}

static const struct route *new_from_address(struct load *l, const struct word *name)
{
	struct route *route = (struct route *)(uintptr_t)config_route_parse(&l->c->arena,
									     name->text);

	if (!route) {
		diag_error(&l->diag, &name->place,
			   "\"%.*s\" is not a route; expected one such as "
			   "smtp://mail.example.net:25 or lmtp://10.0.0.5:24",
			   DIAG_WORD(name->text));
		return NULL;
	}
	use_tls(l, route);
	vector_add(&l->routes, route);
	return route;
}

const struct route *check_find_route(struct load *l, const struct word *name)
{
	struct choices choices = { .n = 0 };

	for (unsigned i = 0; i < l->routes.n; i++) {
		const struct route *route = l->routes.p[i];

		if (str_eq(name_str(route->base), name->text))
			return route;
		if (!str_eq(route->name, STR("mx")))
			choices_add(&choices, name_str(route->base));
	}
	if (word_is(name, "mx"))
		return new_mx(l);
	if (str_search(name->text, STR("://")) >= 0)
		return new_from_address(l, name);
	choices_add(&choices, STR("mx"));
	diag_unknown(&l->diag, &name->place, "unknown route", name->text, &choices);
	return NULL;
}

static void resolve(struct load *l, struct rule_draft *draft)
{
	struct rule *rule = &draft->rule;

	if (draft->who_table.text.n)
		rule->who_table = check_find_table(l, &draft->who_table);
	if (draft->sender_table.text.n)
		rule->sender.table = check_find_table(l, &draft->sender_table);
	if (draft->recipient_table.text.n)
		rule->recipient.table = check_find_table(l, &draft->recipient_table);
	if (rule->accept)
		rule->route = check_find_route(l, &draft->route);
	if (rule->route && draft->has_block)
		rule->route = variant_of(l, rule->route, draft);
}

static bool has_family(const struct source_pool *pool, enum families families)
{
	bool has = families == FAMILIES_ANY;

	for (unsigned i = 0; i < pool->n; i++) {
		const struct source_member *m = &pool->members[i];
		const struct ip *ip =
			families == FAMILIES_IPV4 ? &m->source->ipv4 : &m->source->ipv6;

		has |= m->weight && ip->family;
	}
	return has;
}

static void check_families(struct load *l, const struct route *r)
{
	if (r->sources && !has_family(r->sources, r->families))
		diag_error(&l->diag, &r->place,
			   "route %.*s goes by IPv%u alone, but source %s has no such address",
			   DIAG_WORD(name_str(r->base)), r->families == FAMILIES_IPV4 ? 4 : 6,
			   r->sources->name->text);
}

/* Before the rules, whose variants are copies. */
static void check_sources_of_routes(struct load *l)
{
	for (unsigned i = 0; i < l->drafts.n; i++) {
		struct route_draft *d = l->drafts.p[i];

		if (!d->source.text.n)
			continue;
		d->route.sources = source_pool_find(l, &d->source);
		check_families(l, &d->route);
	}
}

/* ---- single rules */

static unsigned addresses_in(const struct table *t, bool domains_only)
{
	unsigned n = table_count_kind(t, ENTRY_DOMAIN) + table_count_kind(t, ENTRY_BELOW);

	return domains_only ? n : n + table_count_kind(t, ENTRY_ADDRESS);
}

static unsigned names_in(const struct table *t)
{
	return table_count_kind(t, ENTRY_ADDRESS) + table_count_kind(t, ENTRY_DOMAIN);
}

static void warn_empty(struct load *l, const struct word *name, const char *what)
{
	diag_warn(&l->diag, &name->place, "table %.*s holds no %s: the rule never fits",
		  DIAG_WORD(name->text), what);
}

static void check_tables(struct load *l, const struct rule_draft *draft)
{
	const struct rule *rule = &draft->rule;

	if (rule->who == WHO_TABLE && rule->who_table &&
	    !table_count_kind(rule->who_table, ENTRY_NETWORK))
		warn_empty(l, &draft->who_table, "networks");
	if (rule->who == WHO_LOGIN && draft->who_table.text.n && rule->who_table &&
	    !names_in(rule->who_table) && !table_count_kind(rule->who_table, ENTRY_WORD))
		warn_empty(l, &draft->who_table, "names of logins");
	if (rule->who == WHO_CERTIFICATE && draft->who_table.text.n && rule->who_table &&
	    !names_in(rule->who_table) && !table_count_kind(rule->who_table, ENTRY_FINGERPRINT))
		warn_empty(l, &draft->who_table, "fingerprints or names");
	if (rule->sender.kind == MATCH_TABLE && rule->sender.table &&
	    !addresses_in(rule->sender.table, false))
		warn_empty(l, &draft->sender_table, "addresses or domains");
	if (rule->recipient.kind == MATCH_TABLE && rule->recipient.table &&
	    !addresses_in(rule->recipient.table, false))
		warn_empty(l, &draft->recipient_table, "addresses or domains");
	if (rule->recipient.kind == MATCH_DOMAIN_TABLE && rule->recipient.table &&
	    !addresses_in(rule->recipient.table, true))
		warn_empty(l, &draft->recipient_table, "domains");
}

static bool is_by_networks(const struct rule *rule)
{
	return (rule->who == WHO_NETWORKS || rule->who == WHO_TABLE) && rule->who_table;
}

static bool some_listener_asks(const struct load *l)
{
	for (unsigned i = 0; i < l->listens.n; i++)
		if (((const struct config_listen *)l->listens.p[i])->asks_certificates)
			return true;
	return false;
}

static void check_certificates(struct load *l, const struct rule *rule)
{
	const struct table *t = rule->who_table;

	if (t && names_in(t) > LOAD_CERTIFICATE_NAMES_MAX)
		diag_error(&l->diag, &rule->place,
			   "a rule has at most %u names of certificates; fingerprints may be more",
			   LOAD_CERTIFICATE_NAMES_MAX);
	if ((!t || names_in(t)) && !l->client_ca.text.n)
		diag_error(&l->diag, &rule->place,
			   "%s: name the authorities that vouch for certificates, as in: tls { "
			   "client_ca FILE }",
			   t ? "anybody can write a name into a certificate of his own"
			     : "anybody can make a certificate");
	if (!some_listener_asks(l))
		diag_warn(&l->diag, &rule->place,
			  "no listener asks for certificates: say client_certificates in its "
			  "block");
}

/* What a rule asks for must be there to be had. */
static void check_who(struct load *l, const struct rule *rule)
{
	if (rule->who == WHO_CERTIFICATE)
		check_certificates(l, rule);
	else if (rule->who == WHO_LOGIN && !l->users.n)
		diag_warn(&l->diag, &rule->place,
			  "there are no users: the rule never fits (name them, as in: users file "
			  "./users)");
	else if (rule->who == WHO_POP && !l->pops.n)
		diag_warn(&l->diag, &rule->place,
			  "there is no pop statement: the rule never fits");
}

/* Whom a stranger cannot be: who has shown who he is, local, or networks that are few enough. */
static bool is_bound(const struct rule *rule)
{
	struct coverage coverage = { 0 };
	bool wide;

	if (rule->who == WHO_ANY || rule->who == WHO_HELO)
		return false;
	if (!is_by_networks(rule))
		return true;
	coverage_add_table(&coverage, rule->who_table);
	wide = coverage_is_wide(&coverage);
	coverage_done(&coverage);
	return !wide;
}

static void check_top_level(struct load *l, const struct rule *rule)
{
	struct str wide = rule->recipient.table ? table_wide(rule->recipient.table) : STR_NONE;

	if (wide.n && rule->accept && !is_bound(rule))
		diag_warn(&l->diag, &rule->place,
			  "this rule relays for strangers to every name below \".%.*s\"",
			  DIAG_WORD(wide));
}

/* ---- all rules together */

#define LESS_THAN \
	"networks that cover less than a /8 of IPv4 and a /16 of IPv6 (private ones do not count)"

/* True: the rule is one that may take mail to anywhere and is bound by its networks alone. */
static bool check_open(struct load *l, const struct rule *rule)
{
	if (!rule->accept)
		return false;
	if (rule->recipient.kind != MATCH_ANY || rule->who == WHO_LOCAL) {
		if (rule->dangerously_open)
			diag_warn(&l->diag, &rule->place, "dangerously-open is not needed here");
		return false;
	}
	/* not counted with the others: two that are too much together can both say it */
	if (rule->dangerously_open) {
		diag_warn(&l->diag, &rule->place,
			  is_bound(rule)
				  ? "this rule is left out of the open-relay check"
				  : "open relay: this rule takes mail from strangers to anywhere");
		return false;
	}
	if (is_bound(rule))
		return true;
	if (rule->who == WHO_ANY)
		diag_error(&l->diag, &rule->place,
			   "open relay: this rule takes mail from anyone to anywhere%s; "
			   "bind it to local or to " LESS_THAN,
			   rule->sender.kind == MATCH_ANY
				   ? ""
				   : " (a sender can be forged and does not count)");
	else
		diag_error(&l->diag, &rule->place,
			   "open relay: the networks of this rule are too many for mail to "
			   "anywhere; bind it to " LESS_THAN);
	return false;
}

static bool seen_table(const struct vector *seen, const struct table *t)
{
	for (unsigned i = 0; i < seen->n; i++)
		if (seen->p[i] == t)
			return true;
	return false;
}

/*
 * Each rule for itself, then all that passed together. The sum is asked once at the end, not after
 * each rule, so that many rules over large tables cost no more than their tables.
 */
static void check_relaying(struct load *l)
{
	struct coverage together = { 0 };
	struct vector seen = { 0 };
	const struct rule *last = NULL;

	for (unsigned i = 0; i < l->rules.n; i++) {
		const struct rule *rule = l->rules.p[i];

		if (!check_open(l, rule) || !is_by_networks(rule))
			continue;
		last = rule;
		if (seen_table(&seen, rule->who_table))
			continue;
		vector_add(&seen, (void *)(uintptr_t)rule->who_table);
		coverage_add_table(&together, rule->who_table);
	}
	if (last && coverage_is_wide(&together))
		diag_error(&l->diag, &last->place,
			   "open relay: this rule and those before it together take mail to "
			   "anywhere from too many networks; bind them to " LESS_THAN);
	coverage_done(&together);
	vector_done(&seen);
}

static void check_rules(struct load *l)
{
	bool accepts = false, accepts_any = false;

	for (unsigned i = 0; i < l->rules.n; i++) {
		struct rule_draft *draft = l->rules.p[i];

		resolve(l, draft);
		check_tables(l, draft);
		check_who(l, &draft->rule);
		check_top_level(l, &draft->rule);
		accepts |= draft->rule.accept;
		accepts_any |= draft->rule.accept && draft->rule.who == WHO_ANY;
	}
	check_relaying(l);
	if (!accepts && !l->diag.errors)
		diag_warn(&l->diag, &(struct config_place){ .file = l->options->path },
			  "no rule accepts mail: everything is refused");
	if (accepts_any && !l->postmaster_place.line)
		diag_warn(&l->diag, &(struct config_place){ .file = l->options->path },
			  "mail is taken from anyone, but no postmaster is named (RFC 5321 4.5.1)");
}

/* ---- the host name */

static bool listens_on_loopback_only(const struct load *l)
{
	for (unsigned i = 0; i < l->listens.n; i++)
		if (!ip_is_loopback(
			    &((const struct config_listen *)l->listens.p[i])->endpoint.ip))
			return false;
	return true;
}

static void ask_system(struct load *l)
{
	char name[256] = "";

	if (l->options->host_name)
		str_copy(name, sizeof(name), str_of(l->options->host_name));
	else if (gethostname(name, sizeof(name) - 1) < 0)
		name[0] = 0;
	l->c->hostname = arena_str(&l->c->arena, str_of(name));
	l->hostname_place = (struct config_place){ .file = l->options->path };
}

static void check_hostname(struct load *l)
{
	bool written = l->hostname_place.line;
	struct str name;

	if (!written)
		ask_system(l);
	name = l->c->hostname;
	/* or an error was reported at the statement */
	if (str_find(name, '.') >= 0 || (written && !name.n))
		return;
	if (!name.n)
		name = l->c->hostname = STR("localhost");
	if (listens_on_loopback_only(l) && domain_is_valid(name, false))
		diag_warn(&l->diag, &l->hostname_place,
			  "the host name \"%.*s\" has no dot; other servers will not like it: "
			  "set it with hostname NAME",
			  DIAG_WORD(name));
	else
		diag_error(&l->diag, &l->hostname_place,
			   "the host name \"%.*s\" has no dot; set it with hostname NAME, "
			   "as in: hostname relay.example.net",
			   DIAG_WORD(name));
}

/* ---- putting it together */

static int compare_routes(const void *a, const void *b)
{
	return str_cmp((*(const struct route *const *)a)->name,
		       (*(const struct route *const *)b)->name);
}

static void freeze_routes(struct load *l)
{
	unsigned n = 0;
	const struct route **routes = arena_alloc(
		&l->c->arena, size_mul(size_add(l->routes.n, l->variants.n), sizeof(*routes)));

	for (unsigned i = 0; i < l->routes.n; i++)
		routes[n++] = l->routes.p[i];
	for (unsigned i = 0; i < l->variants.n; i++) {
		const struct variant *v = l->variants.p[i];

		check_families(l, &v->route);
		routes[n++] = &v->route;
	}
	if (n)
		qsort(routes, n, sizeof(*routes), compare_routes);
	l->c->routes = routes;
	l->c->routes_n = n;
}

static void freeze_self(struct load *l)
{
	struct config *c = l->c;
	struct str *names = arena_alloc(&c->arena, size_mul(l->self_names.n, sizeof(*names)));
	struct ip *ips = arena_alloc(&c->arena, size_mul(l->self_ips.n, sizeof(*ips)));

	for (unsigned i = 0; i < l->self_names.n; i++)
		names[i] = *(const struct str *)l->self_names.p[i];
	for (unsigned i = 0; i < l->self_ips.n; i++)
		ips[i] = *(const struct ip *)l->self_ips.p[i];
	c->self_names = names;
	c->self_names_n = l->self_names.n;
	c->self_ips = ips;
	c->self_ips_n = l->self_ips.n;
}

static void freeze(struct load *l)
{
	struct config *c = l->c;
	struct rule *rules = arena_alloc(&c->arena, size_mul(l->rules.n, sizeof(*rules)));
	struct transcript_rule *transcripts =
		arena_alloc(&c->arena, size_mul(l->transcripts.n, sizeof(*transcripts)));

	for (unsigned i = 0; i < l->rules.n; i++)
		rules[i] = ((const struct rule_draft *)l->rules.p[i])->rule;
	for (unsigned i = 0; i < l->transcripts.n; i++)
		transcripts[i] = *(const struct transcript_rule *)l->transcripts.p[i];
	c->rules = rules;
	c->rules_n = l->rules.n;
	c->log.transcripts = transcripts;
	c->log.transcripts_n = l->transcripts.n;
	listen_freeze(l);
	pop_freeze(l);
	login_freeze(l);
	identity_freeze(l);
	freeze_routes(l);
	freeze_self(l);
	source_freeze(l);
	limit_freeze(l);
	provider_freeze(l);
}

void check_all(struct load *l)
{
	const struct config_place whole = { .file = l->options->path };

	check_hostname(l);
	source_check_all(l);
	check_sources_of_routes(l);
	identity_check_all(l);
	route_settle_all(l);
	clients_freeze(l);
	listen_check_all(l);
	pop_check_all(l);
	reports_check(l);
	check_rules(l);
	if (l->postmaster_route.text.n)
		l->c->postmaster_route = check_find_route(l, &l->postmaster_route);
	limit_check_all(l);
	resolver_finish(l);
	login_check_all(l);
	order_check(l);
	if (!l->listens.n && !l->diag.errors)
		diag_warn(&l->diag, &whole,
			  "no listen statement: nothing is received over the network");
	freeze(l);
}
