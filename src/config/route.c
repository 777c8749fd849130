/*
 * route - the `route` block, its hosts, and routes written as an address in a rule.
 *
 * A host's port may depend on a protocol that is written below it, so ports are settled when the
 * block closes.
 */
#include "config/load.h"

#define PORT_SMTP 25
#define PORT_LMTP 24
#define NAME_MAX_OCTETS 64

bool route_name_is_valid(struct str name)
{
	if (!name.n || name.n > NAME_MAX_OCTETS)
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
static bool host_parse(struct str text, struct route_host *ret)
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
	if (!host_parse(str_of(arena_cstr(&l->c->arena, w->text)), host))
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
	if (!route_name_is_valid(w->text) || str_eq(w->text, STR("mx"))) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" cannot name a route; expected letters, digits, -, _ or . "
			   "(and not mx)",
			   DIAG_WORD(w->text));
		return;
	}
	for (unsigned i = 0; i < l->routes.n; i++) {
		const struct route *other = l->routes.p[i];

		if (str_eq(other->name, w->text)) {
			diag_error(&l->diag, &w->place, "route %.*s is already defined in %s:%u",
				   DIAG_WORD(w->text), other->place.file, other->place.line);
			break;
		}
	}
	load_add(l, &l->routes, &draft->route, LOAD_ROUTES_MAX, &st->place, "routes");
}

void route_finish(struct load *l, struct route_draft *draft)
{
	struct route *route = &draft->route;
	struct route_host *hosts;
	bool all_backup = draft->hosts.n > 0;

	if (!draft->hosts.n)
		diag_error(&l->diag, &route->place, "route %.*s has no host",
			   DIAG_WORD(route->name));
	hosts = arena_alloc(&l->c->arena, size_mul(draft->hosts.n, sizeof(*hosts)));
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
	vector_done(&draft->hosts);
}

/* ---- routes written as an address */

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
		if (row->value == VALUE_COUNT)
			*(uint32_t *)field = (uint32_t)value;
		else
			*(uint64_t *)field = value;
	}
}

const struct route *config_route_parse(struct arena *a, struct str text)
{
	const struct str smtp = STR("smtp://"), lmtp = STR("lmtp://");
	bool is_lmtp = str_starts(text, lmtp);
	struct route_host *host;
	struct route *route;

	if (!is_lmtp && !str_starts(text, smtp))
		return NULL;
	host = arena_zalloc(a, sizeof(*host));
	host->weight = 1;
	if (!host_parse(str_of(arena_cstr(a, str_from(text, smtp.n))), host))
		return NULL;
	route = arena_zalloc(a, sizeof(*route));
	route_defaults(route);
	route->name = arena_str(a, text);
	route->protocol = is_lmtp ? ROUTE_LMTP : ROUTE_SMTP;
	settle_port(host, route->protocol);
	route->hosts = host;
	route->hosts_n = 1;
	return route;
}
