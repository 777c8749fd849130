/*
 * route - the `route` block, its hosts, and routes that are no block: those written as an address
 * in a rule, and the built-in one by MX.
 *
 * A host's port may depend on a protocol that is written below it, and the recorded name on a
 * statement `mx`, so both are settled when the block closes. See config.h for the names.
 */
#include "config/load.h"

#define PORT_SMTP 25
#define PORT_LMTP 24

bool route_name_is_valid(struct str name)
{
	if (!name.n || name.n > LOAD_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!ascii_is_alnum(name.p[i]) && str_find(STR("-_."), name.p[i]) < 0)
			return false;
	return true;
}

static uint16_t port_default(enum route_protocol protocol)
{
	return protocol == ROUTE_LMTP ? PORT_LMTP : PORT_SMTP;
}

/* ---- hosts */

static bool port_parse(struct str s, uint16_t *ret)
{
	uint64_t port;

	if (s.n > 5 || !str_parse_u64(s, 65535, &port) || port == 0)
		return false;
	*ret = (uint16_t)port;
	return true;
}

/*
 * "name", "name:port", "10.0.0.5:25", "[2001:db8::5]", "unix:/path"; text is NUL-terminated. Port
 * 0: none written.
 */
bool route_host_parse(struct str text, struct route_host *ret)
{
	ssize_t colon = str_rfind(text, ':');
	bool has_bracket = text.n && text.p[0] == '[';
	struct ip *ip = &ret->endpoint.ip;
	struct entry e;

	ret->name = text;
	if (str_starts(text, STR("unix:")))
		return endpoint_parse(text, PORT_SMTP, &ret->endpoint);
	if (ip_parse(text, ip))		/* an IPv6 address without brackets has no port */
		return true;
	if (colon >= 0 && !(has_bracket && text.p[text.n - 1] == ']')) {
		if (!port_parse(str_from(text, (size_t)colon + 1), &ret->port))
			return false;
		ret->name = str_sub(text, 0, (size_t)colon);
	}
	if (has_bracket) {
		if (ret->name.p[ret->name.n - 1] != ']')
			return false;
		ret->name = str_sub(ret->name, 1, ret->name.n - 1);
		return ip_parse(ret->name, ip);
	}
	if (ip_parse(ret->name, ip))
		return ip->family == 4;
	/* As strict as a table: what looks like an IP address and is none is no name. */
	return entry_parse(ret->name, &e) && e.kind == ENTRY_DOMAIN && str_is_ascii(ret->name);
}

static void settle_port(struct route_host *host, enum route_protocol protocol)
{
	if (!host->port && !host->endpoint.path)
		host->port = port_default(protocol);
	if (!host->endpoint.path)
		host->endpoint.port = host->port;
}

static bool host_eq(const struct route_host *a, const struct route_host *b)
{
	if (a->endpoint.ip.family || a->endpoint.path)
		return endpoint_eq(&a->endpoint, &b->endpoint);
	return a->port == b->port && str_eq_nocase(a->name, b->name);
}

void route_host_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route_draft *draft = l->frames[l->depth].object;
	struct route_host *host = arena_zalloc(&l->c->arena, sizeof(*host));
	const struct word *w = &st->words[1];

	(void)row;
	setting_defaults(l, BLOCK_HOST, host);
	l->opened = host;
	load_add(l, &draft->hosts, host, LOAD_HOSTS_MAX, &st->place, "hosts in one route");
	if (!route_host_parse(str_of(arena_cstr(&l->c->arena, w->text)), host))
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not a host; expected one such as smtp.example.net:587, "
			   "10.0.0.5, [2001:db8::5]:25 or unix:/path",
			   DIAG_WORD(w->text));
}

/* ---- routes */

void route_protocol_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct route *route = l->opened ? l->opened : l->frames[l->depth].object;
	struct choices choices = { .n = 0 };

	(void)row;
	if (word_is(w, "smtp") || word_is(w, "lmtp")) {
		route->protocol = word_is(w, "lmtp") ? ROUTE_LMTP : ROUTE_SMTP;
		return;
	}
	choices_add(&choices, STR("smtp"));
	choices_add(&choices, STR("lmtp"));
	diag_unknown(&l->diag, &w->place, "unknown protocol", w->text, &choices);
}

void route_families_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const names[] = {
		[FAMILIES_ANY] = "any",
		[FAMILIES_IPV4] = "ipv4",
		[FAMILIES_IPV6] = "ipv6",
	};
	const struct word *w = &st->words[1];
	struct route *route = l->opened ? l->opened : l->frames[l->depth].object;
	struct choices choices = { .n = 0 };

	(void)row;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (word_is(w, names[i])) {
			route->families = (enum families)i;
			return;
		}
		choices_add(&choices, str_of(names[i]));
	}
	diag_unknown(&l->diag, &w->place, "unknown family", w->text, &choices);
}

void route_source_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route_draft *draft = l->frames[l->depth].object;

	(void)row;
	draft->source = st->words[1];
}

void route_warn_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route *route = l->frames[l->depth].object;

	setting_store(l, row, st, route);
	route->has_warn_after = true;
}

static bool route_is_new(struct load *l, const struct word *w)
{
	for (unsigned i = 0; i < l->routes.n; i++) {
		const struct route *other = l->routes.p[i];

		if (!str_eq(name_str(other->base), w->text))
			continue;
		diag_error(&l->diag, &w->place, "route %.*s is already defined in %s:%u",
			   DIAG_WORD(w->text), other->place.file, other->place.line);
		return false;
	}
	return true;
}

void route_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	struct route_draft *draft = arena_zalloc(&l->c->arena, sizeof(*draft));
	const struct word *w = &st->words[1];

	(void)row;
	setting_defaults(l, BLOCK_ROUTE, l->opened = &draft->route);
	l->opened = draft;
	vector_add(&l->drafts, draft);
	draft->route.place = st->place;
	draft->route.name = arena_str(&l->c->arena, w->text);
	if (!route_name_is_valid(w->text)) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" cannot name a route; expected letters, digits, -, _ or .",
			   DIAG_WORD(w->text));
		return;
	}
	route_is_new(l, w);
	draft->route.base = name_intern(w->text);
	draft->route.is_mx = str_eq(w->text, STR("mx"));
	draft->route.tls = TLS_UNSAID;
	load_add(l, &l->routes, &draft->route, LOAD_ROUTES_MAX, &st->place, "routes");
}

/* ---- when the block ends */

static void finish_hosts(struct load *l, struct route_draft *draft)
{
	struct route *route = &draft->route;
	struct route_host *hosts =
		arena_alloc(&l->c->arena, size_mul(draft->hosts.n, sizeof(*hosts)));
	bool all_backup = draft->hosts.n > 0;

	for (unsigned i = 0; i < draft->hosts.n; i++) {
		hosts[i] = *(struct route_host *)draft->hosts.p[i];
		settle_port(&hosts[i], route->protocol);
		all_backup &= hosts[i].backup;
		unsigned j = 0;

		while (j < i && !host_eq(&hosts[i], &hosts[j]))
			j++;
		if (j < i)
			diag_error(&l->diag, &route->place, "route %.*s has host %.*s twice",
				   DIAG_WORD(route->name), DIAG_WORD(hosts[i].name));
	}
	if (all_backup)
		diag_warn(&l->diag, &route->place, "all hosts of route %.*s are backups",
			  DIAG_WORD(route->name));
	route->hosts = hosts;
	route->hosts_n = draft->hosts.n;
}

static void finish_mx(struct load *l, struct route_draft *draft)
{
	struct route *route = &draft->route;

	if (draft->hosts.n)
		diag_error(&l->diag, &route->place,
			   "route %.*s goes by MX: no host can stand in it",
			   DIAG_WORD(route->name));
	if (route->protocol == ROUTE_LMTP)
		diag_error(&l->diag, &route->place,
			   "route %.*s goes by MX: mail exchangers speak SMTP, not LMTP",
			   DIAG_WORD(route->name));
	if (!str_eq(route->name, STR("mx")))
		route->name = arena_printf(&l->c->arena, "mx:%.*s", STR_ARG(route->name));
}

/* Whether a statement stood in the block that is closing. */
static bool was_said(const struct load *l, const char *name)
{
	const struct setting *row = setting_find(BLOCK_ROUTE, str_of(name));

	return l->seen[row - settings].line > 0;
}

void route_finish(struct load *l, struct route_draft *draft)
{
	struct route *route = &draft->route;

	if (route->is_mx) {
		finish_mx(l, draft);
	} else {
		if (!draft->hosts.n)
			diag_error(&l->diag, &route->place, "route %.*s has no host",
				   DIAG_WORD(route->name));
		if (was_said(l, "port"))
			diag_error(&l->diag, &route->place,
				   "route %.*s does not go by MX: its port is written behind the "
				   "host, as in: host smtp.example.net:587",
				   DIAG_WORD(route->name));
		finish_hosts(l, draft);
	}
	vector_done(&draft->hosts);
}

/* ---- routes without a block */

/* What a route block would have by default, without a struct load: from the same rows. */
static void route_defaults(struct route *route)
{
	for (unsigned i = 0; i < settings_n; i++) {
		const struct setting *row = &settings[i];
		void *field = (char *)route + row->offset;
		uint64_t value;

		if (row->in != BLOCK_ROUTE || row->value == VALUE_NONE || !row->fallback ||
		    !value_parse(row->value, str_of(row->fallback), &value))
			continue;
		setting_put(row->value, field, value);
	}
}

struct route *route_new_mx(struct arena *a)
{
	struct route *route = arena_zalloc(a, sizeof(*route));

	route_defaults(route);
	route->name = STR("mx");
	route->base = name_intern(route->name);
	route->is_mx = true;
	return route;
}

const struct route *config_route_parse(struct arena *a, struct str text)
{
	const struct str smtp = STR("smtp://"), lmtp = STR("lmtp://");
	bool is_lmtp = str_starts(text, lmtp);
	struct route_host *host;
	struct route *route;

	if ((!is_lmtp && !str_starts(text, smtp)) || text.n > NAME_OCTETS_MAX)
		return NULL;
	host = arena_zalloc(a, sizeof(*host));
	host->weight = 1;
	if (!route_host_parse(str_of(arena_cstr(a, str_from(text, smtp.n))), host))
		return NULL;
	route = arena_zalloc(a, sizeof(*route));
	route_defaults(route);
	route->name = arena_str(a, text);
	route->base = name_intern(text);
	route->protocol = is_lmtp ? ROUTE_LMTP : ROUTE_SMTP;
	settle_port(host, route->protocol);
	route->hosts = host;
	route->hosts_n = 1;
	return route;
}
