/*
 * limit - `limit`: how much may go where at once and in what time.
 *
 * limit COUNT connections | COUNT messages per connection | RATE messages|recipients|bytes
 *       (per destination|provider|source|route ... | to domain D ... | to domain table T |
 *        to provider P ... | from source S ... | via ROUTE ...)... [evenly]
 * limit COUNT connections | RATE messages|recipients|bytes|handshakes
 *       per client|client-network|login
 *
 * The second kind is about those who send to us, and is counted elsewhere: it is never mixed with
 * the first, about where mail goes.
 *
 * Read from left to right; names are resolved at the end, because they may be defined further down.
 */
#include "config/reader.h"

#define COUNT_MAX 1000000000u
#define OCTETS_MAX ((uint64_t)1 << 50)

/*
 * What holds where nothing else is written: one client has a tenth of an address's connections, but
 * at least so many, if they are no more than half of them; and so many handshakes.
 */
#define CLIENT_SHARE 10
#define CLIENT_CONNECTIONS_MIN 20
#define CLIENT_HANDSHAKES 1000		/* in a minute */

static const char *const keywords[] = { "per", "to", "from", "via", "evenly", NULL };

static bool fail(struct reader *r, const struct word *at, const char *sentence)
{
	diag_error(&r->l->diag, &at->place, "%s", sentence);
	return false;
}

/* ---- how much of what */

static bool read_count(struct reader *r, const struct word *w, struct limit *limit)
{
	uint64_t amount, period;

	if (value_rate_parse(VALUE_SIZE, w->text, &amount, &period))
		return fail(r, w,
			    limit->what == LIMIT_CONNECTIONS
				    ? "connections are counted at once, not in a time; expected a "
				      "number such as 20"
				    : "messages per connection have no time; expected a number "
				      "such as 100");
	if (!value_parse(VALUE_COUNT, w->text, &limit->count) || !limit->count ||
	    limit->count > COUNT_MAX) {
		diag_error(&r->l->diag, &w->place,
			   "\"%.*s\" is not a number from 1 to %u", DIAG_WORD(w->text), COUNT_MAX);
		return false;
	}
	return true;
}

static bool read_rate(struct reader *r, const struct word *w, struct limit *limit)
{
	bool is_octets = limit->what == LIMIT_OCTETS;
	uint64_t number;

	if (value_rate_parse(is_octets ? VALUE_SIZE : VALUE_COUNT, w->text, &limit->count,
			     &limit->period_ns)) {
		if (limit->count && limit->count <= (is_octets ? OCTETS_MAX : COUNT_MAX))
			return true;
		return fail(r, w, limit->count ? "this rate is too large to be a limit"
					       : "a limit of 0 would let nothing through");
	}
	if (value_parse(VALUE_SIZE, w->text, &number))
		return fail(r, w,
			    limit->what == LIMIT_MESSAGES
				    ? "messages are counted in a time; expected a rate such as "
				      "100/min, or: COUNT messages per connection"
				    : "this is counted in a time; expected a rate such as 100/min");
	diag_error(&r->l->diag, &w->place, "\"%.*s\" is not a rate; expected one such as %s",
		   DIAG_WORD(w->text), is_octets ? "10M/min" : "100/min, 10/s or 1000/day");
	return false;
}

static bool read_amount(struct reader *r, struct limit *limit)
{
	static const struct {
		const char *word;
		enum limit_what what;
	} kinds[] = {
		{ "connections", LIMIT_CONNECTIONS }, { "messages", LIMIT_MESSAGES },
		{ "recipients", LIMIT_RECIPIENTS },   { "bytes", LIMIT_OCTETS },
		{ "handshakes", LIMIT_HANDSHAKES },
	};
	const unsigned kinds_n = sizeof(kinds) / sizeof(kinds[0]);
	static const char *const words[] = { "connections", "messages", "recipients", "bytes",
					     "handshakes", NULL };
	struct word amount;
	unsigned i = 0;

	if (!reader_name(r, "a number or a rate", &amount))
		return false;
	while (i < kinds_n && !reader_is_at(r, kinds[i].word))
		i++;
	if (i == kinds_n)
		return reader_expected(r, words);
	r->at++;
	limit->what = kinds[i].what;
	if (limit->what == LIMIT_MESSAGES && r->end - r->at >= 2 && reader_is_at(r, "per") &&
	    word_is(&r->at[1], "connection")) {
		limit->what = LIMIT_MESSAGES_PER_CONNECTION;
		r->at += 2;
	}
	if (limit->what == LIMIT_CONNECTIONS || limit->what == LIMIT_MESSAGES_PER_CONNECTION)
		return read_count(r, &amount, limit);
	return read_rate(r, &amount, limit);
}

/* ---- of what */

static bool read_per(struct reader *r, struct limit_draft *d)
{
	static const struct {
		const char *word;
		unsigned key;
	} keys[] = {
		{ "destination", LIMIT_PER_DESTINATION },
		{ "provider", LIMIT_PER_PROVIDER },
		{ "source", LIMIT_PER_SOURCE },
		{ "route", LIMIT_PER_ROUTE },
		{ "client", LIMIT_PER_CLIENT },
		{ "client-network", LIMIT_PER_CLIENT_NETWORK },
		{ "login", LIMIT_PER_LOGIN },
	};
	static const char *const words[] = { "destination", "provider", "source", "route",
					     "client", "client-network", "login", NULL };

	do {
		unsigned i = 0;

		if (reader_is_at(r, "connection"))
			return fail(r, r->at, "only messages are counted per connection");
		while (i < 7 && !reader_is_at(r, keys[i].word))
			i++;
		if (i == 7)
			return reader_expected(r, words);
		if (d->limit.per & keys[i].key)
			return fail(r, r->at, "this stands twice in one limit");
		d->limit.per |= keys[i].key;
		r->at++;
	} while (reader_has_word(r));
	return true;
}

static bool read_domains(struct reader *r, struct limit_draft *d)
{
	if (d->limit.domains || d->domains.text.n)
		return fail(r, r->at - 1, "a limit has one list of domains");
	if (reader_is_at(r, "table")) {
		r->at++;
		return reader_name(r, "the name of a table", &d->domains);
	}
	d->limit.domains = reader_list(r, KIND(ENTRY_DOMAIN) | KIND(ENTRY_BELOW), "a domain");
	return d->limit.domains != NULL;
}

static bool read_names(struct reader *r, const char *what, struct word **names, unsigned *n)
{
	if (*n)
		return fail(r, r->at - 1, "this stands twice in one limit");
	*n = reader_names(r, what, names);
	return *n > 0;
}

static bool read_to(struct reader *r, struct limit_draft *d)
{
	static const char *const words[] = { "domain", "provider", NULL };

	if (reader_is_at(r, "domain")) {
		r->at++;
		return read_domains(r, d);
	}
	if (!reader_is_at(r, "provider"))
		return reader_expected(r, words);
	r->at++;
	return read_names(r, "the name of a provider", &d->providers, &d->limit.providers_n);
}

static bool read_key(struct reader *r, struct limit_draft *d)
{
	static const char *const words[] = { "per", "to", "from", "via", NULL };

	if (reader_is_at(r, "per")) {
		r->at++;
		return read_per(r, d);
	}
	if (reader_is_at(r, "to")) {
		r->at++;
		return read_to(r, d);
	}
	if (reader_is_at(r, "from")) {
		r->at++;
		return reader_keyword(r, "source") &&
		       read_names(r, "the name of a source", &d->sources, &d->limit.sources_n);
	}
	if (!reader_is_at(r, "via"))
		return reader_expected(r, words);
	r->at++;
	return read_names(r, "the name of a route", &d->routes, &d->limit.routes_n);
}

/* Of those who send to us: one key, and nothing about where mail goes. */
static bool is_of_senders_alone(struct load *l, struct reader *r, const struct limit_draft *d)
{
	const struct limit *limit = &d->limit;
	unsigned keys = limit->per & LIMIT_PER_SENDER;
	const struct word *first = r->end - 1;
	unsigned others = 0;

	if (!keys && limit->what == LIMIT_HANDSHAKES)
		return fail(r, first, "handshakes are those of clients; "
				      "expected: per client or per client-network");
	if (!keys)
		return true;
	if (limit->per != keys || keys & (keys - 1))
		return fail(r, first, "client, client-network or login is the only key of a limit");
	if (limit->domains || d->domains.text.n || limit->providers_n || limit->sources_n ||
	    limit->routes_n)
		return fail(r, first,
			    "a limit for those who send to us cannot depend on where mail goes");
	if (limit->what == LIMIT_MESSAGES_PER_CONNECTION)
		return fail(r, first, "messages per connection are limited where mail goes; "
				      "expected a rate of messages");
	if (limit->what == LIMIT_HANDSHAKES && keys == LIMIT_PER_LOGIN)
		return fail(r, first, "a handshake comes before a login; "
				      "expected: per client or per client-network");
	if (limit->evenly)
		return fail(r, first, "what others send cannot be spread evenly");
	for (unsigned i = 0; i < l->limits.n; i++)
		others += (((const struct limit *)l->limits.p[i])->per & LIMIT_PER_SENDER) != 0;
	return others < LIMITS_PER_SENDER_MAX ||
	       fail(r, first, "there are too many limits for those who send to us; expected 16 "
			      "at most");
}

static bool read_limit(struct reader *r, struct limit_draft *d)
{
	static const char *const end[] = { "the end of the line", NULL };

	if (!read_amount(r, &d->limit) || !read_key(r, d))
		return false;
	while (r->at < r->end && !reader_is_at(r, "evenly"))
		if (!read_key(r, d))
			return false;
	if (r->at == r->end)
		return true;
	if (!d->limit.period_ns)
		return fail(r, r->at, "only a rate can be spread evenly");
	d->limit.evenly = true;
	r->at++;
	return r->at == r->end || reader_expected(r, end);
}

static bool is_new(struct load *l, const struct limit *limit)
{
	for (unsigned i = 0; i < l->limits.n; i++) {
		const struct limit *other = l->limits.p[i];

		if (!str_eq(other->text, limit->text))
			continue;
		diag_error(&l->diag, &limit->place, "this limit stands already in %s:%u",
			   other->place.file, other->place.line);
		return false;
	}
	return true;
}

void limit_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	struct reader r = reader_of(l, st, "the limit", "limits", keywords);
	struct limit_draft *d = arena_zalloc(&l->scratch, sizeof(*d));

	(void)row;
	d->limit.place = st->place;
	d->limit.text = statement_text(l, st);
	if (read_limit(&r, d) && is_of_senders_alone(l, &r, d) && is_new(l, &d->limit))
		load_add(l, &l->limits, d, LOAD_LIMITS_MAX, &st->place, "limits");
}

/* ---- at the end */

static const struct name *provider_name(struct load *l, const struct word *w)
{
	const struct provider *p = provider_find(l, name_intern(w->text));
	struct choices choices = { .n = 0 };

	if (p)
		return p->name;
	for (unsigned i = 0; i < l->providers.n; i++)
		choices_add(&choices, name_str(((struct provider *)l->providers.p[i])->name));
	diag_unknown(&l->diag, &w->place, "unknown provider", w->text, &choices);
	return NULL;
}

static const struct name *source_name(struct load *l, const struct word *w)
{
	const struct source *s = source_find(l, w);

	return s ? s->name : NULL;
}

static const struct name *route_name(struct load *l, const struct word *w)
{
	const struct route *route = check_find_route(l, w);

	return route ? route->base : NULL;
}

typedef const struct name *find_name(struct load *l, const struct word *w);

static const struct name **resolve(struct load *l, const struct word *words, unsigned n,
				   find_name *find)
{
	const struct name **names = arena_alloc(&l->c->arena, size_mul(n, sizeof(*names)));

	for (unsigned i = 0; i < n; i++)
		names[i] = find(l, &words[i]);
	return names;
}

void limit_check_all(struct load *l)
{
	for (unsigned i = 0; i < l->limits.n; i++) {
		struct limit_draft *d = l->limits.p[i];
		struct limit *limit = &d->limit;

		limit->providers = resolve(l, d->providers, limit->providers_n, provider_name);
		limit->sources = resolve(l, d->sources, limit->sources_n, source_name);
		limit->routes = resolve(l, d->routes, limit->routes_n, route_name);
		if (d->domains.text.n)
			limit->domains = check_find_table(l, &d->domains);
	}
}

static bool is_said(const struct load *l, enum limit_what what)
{
	for (unsigned i = 0; i < l->limits.n; i++) {
		const struct limit *limit = l->limits.p[i];

		if (limit->what == what && limit->per == LIMIT_PER_CLIENT)
			return true;
	}
	return false;
}

static uint64_t share_of(uint32_t connections_max)
{
	uint64_t half = ((uint64_t)connections_max + 1) / 2;
	uint64_t share = connections_max / CLIENT_SHARE;

	if (share < CLIENT_CONNECTIONS_MIN)
		share = CLIENT_CONNECTIONS_MIN;
	return share < half ? share : half;
}

/* So that one client cannot take all the connections of an address. */
static struct limit connections_default(struct load *l, const struct config_listen *listen)
{
	char at[ENDPOINT_TEXT_MAX];
	struct limit limit = {
		.place = listen->place,
		.what = LIMIT_CONNECTIONS,
		.count = share_of(listen->connections_max),
		.per = LIMIT_PER_CLIENT,
		.listen = &listen->endpoint,
	};

	limit.text = arena_printf(&l->c->arena, "%llu connections per client of %s",
				  (unsigned long long)limit.count,
				  endpoint_text(at, &listen->endpoint));
	return limit;
}

/* A handshake costs us as much as a message does: one client shall not take a core with them. */
static struct limit handshakes_default(struct load *l)
{
	struct limit limit = {
		.what = LIMIT_HANDSHAKES,
		.count = CLIENT_HANDSHAKES,
		.period_ns = MINUTE,
		.per = LIMIT_PER_CLIENT,
	};

	limit.text = arena_printf(&l->c->arena, "%u/min handshakes per client", CLIENT_HANDSHAKES);
	return limit;
}

void limit_freeze(struct load *l)
{
	size_t max = size_add(l->limits.n, size_add(l->c->listens_n, 1));
	struct limit *limits = arena_alloc(&l->c->arena, size_mul(max, sizeof(*limits)));
	unsigned n = 0;

	while (n < l->limits.n) {
		limits[n] = *(const struct limit *)l->limits.p[n];
		n++;
	}
	for (unsigned i = 0; i < l->c->listens_n && !is_said(l, LIMIT_CONNECTIONS); i++)
		limits[n++] = connections_default(l, &l->c->listens[i]);
	if (!is_said(l, LIMIT_HANDSHAKES))
		limits[n++] = handshakes_default(l);
	l->c->limits = limits;
	l->c->limits_n = n;
}

/* ---- asking */

static bool is_one_of(const struct name *const *names, unsigned n, const struct name *name)
{
	for (unsigned i = 0; i < n; i++)
		if (names[i] == name)
			return true;
	return n == 0;
}

bool limit_applies(const struct limit *l, struct str domain, const struct name *provider,
		   const struct name *source, const struct name *route)
{
	return !(l->per & LIMIT_PER_SENDER) &&
	       (!l->domains || table_has_domain(l->domains, domain)) &&
	       is_one_of(l->providers, l->providers_n, provider) &&
	       is_one_of(l->sources, l->sources_n, source) &&
	       is_one_of(l->routes, l->routes_n, route);
}
