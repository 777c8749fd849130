/*
 * query_match - does a recipient fit a query; see query.h.
 *
 * Called a million times for one command, so it allocates nothing and compares cheap things first
 * only in so far as the operator wrote them first. Names are compared without case: an operator
 * who looks for Ann@Example.ORG wants ann@example.org.
 */
#include "control/query_inner.h"

#include "smtp/address.h"

#define VARIANT_OCTETS 9	/* "+XXXXXXXX" */

/*
 * The star that was met last is remembered and takes one octet more whenever what is behind it does
 * not fit: at most pattern times text steps, no recursion.
 */
bool query_wildcard(struct str pattern, struct str text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, taken = 0;

	while (t < text.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			taken = t;
		} else if (p < pattern.n && ascii_lower(pattern.p[p]) == ascii_lower(text.p[t])) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++taken;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

/* ".example.org" is every name below it. */
static bool name_fits(struct str pattern, struct str name)
{
	if (!pattern.n)
		return !name.n;
	if (pattern.p[0] == '.' && str_find(pattern, '*') < 0)
		return name.n > pattern.n && str_ends_nocase(name, pattern);
	return query_wildcard(pattern, name);
}

/* With an at sign it is compared with the whole address, else with its domain. */
static bool address_fits(struct str pattern, struct str address)
{
	struct str domain = address_split(address).domain;

	if (!pattern.n)
		return !address.n;
	if (str_find(pattern, '@') >= 0 || !domain.n)
		return query_wildcard(pattern, address);
	return name_fits(pattern, domain);
}

static bool route_fits(struct str pattern, struct str route)
{
	return name_fits(pattern, route) || name_fits(pattern, query_route_base(route)) ||
	       name_fits(pattern, query_route_name(route));
}

static bool one_name_fits(enum query_key key, struct str pattern, const struct query_subject *s)
{
	switch (key) {
	case QUERY_SENDER:
		return address_fits(pattern, s->sender);
	case QUERY_RECIPIENT:
		return address_fits(pattern, s->recipient);
	case QUERY_DOMAIN:
		return name_fits(pattern, s->domain);
	case QUERY_DESTINATION:
		return name_fits(pattern, s->destination) ||
		       (!query_route_is_mx(s->route) && name_fits(pattern, s->route));
	case QUERY_PROVIDER:
		return name_fits(pattern, s->provider);
	case QUERY_ROUTE:
		return route_fits(pattern, s->route);
	case QUERY_TAG:
		return name_fits(pattern, s->tag);
	default:
		return false;
	}
}

static bool names_fit(const struct condition *c, const struct query_subject *s)
{
	for (const struct query_name *n = c->names; n; n = n->next)
		if (one_name_fits(c->key, n->text, s))
			return true;
	return false;
}

static bool ids_fit(const struct condition *c, const struct message_id *id)
{
	for (unsigned i = 0; i < c->ids_n; i++)
		if (id_eq(&c->ids[i], id))
			return true;
	return false;
}

static bool bound_fits(const struct condition *c, uint64_t value)
{
	return c->is_over ? value > c->amount : value < c->amount;
}

static bool fits(const struct condition *c, const struct query_subject *s)
{
	switch (c->key) {
	case QUERY_AGE:
		return bound_fits(c, s->age_ms > 0 ? (uint64_t)s->age_ms * 1000000 : 0);
	case QUERY_SIZE:
		return bound_fits(c, s->size);
	case QUERY_STATUS:
		return c->status & s->status;
	case QUERY_ID:
		return ids_fit(c, &s->id);
	default:
		return names_fit(c, s);
	}
}

bool query_matches(const struct query *q, const struct query_subject *s, unsigned any_status)
{
	for (const struct condition *c = q->conditions; c; c = c->next)
		if (!(c->status & any_status) && fits(c, s) == c->negated)
			return false;
	return true;
}

/* ---- names of routes */

struct str query_route_base(struct str route)
{
	struct str tail;

	if (route.n <= VARIANT_OCTETS || route.p[route.n - VARIANT_OCTETS] != '+')
		return route;
	tail = str_from(route, route.n - VARIANT_OCTETS + 1);
	for (size_t i = 0; i < tail.n; i++)
		if (!ascii_is_digit(tail.p[i]) &&
		    (ascii_lower(tail.p[i]) < 'a' || ascii_lower(tail.p[i]) > 'f'))
			return route;
	return str_sub(route, 0, route.n - VARIANT_OCTETS);
}

bool query_route_is_mx(struct str route)
{
	return str_eq(query_route_base(route), STR("mx")) || str_starts(route, STR("mx:"));
}

struct str query_route_name(struct str route)
{
	struct str base = query_route_base(route);

	return str_starts(base, STR("mx:")) ? str_from(base, 3) : base;
}
