/*
 * survey - a snapshot of destinations and suspensions; see survey.h.
 *
 * Homes are walked in pieces by schedule/, one after the other; each call adds one small struct. It
 * is as old as the command that took it: a destination that was made since is answered by what is
 * known without it - the configuration's providers, and the list of suspensions.
 */
#include "control/survey.h"

#include "base/arena.h"
#include "base/mem.h"
#include "control/query.h"

struct suspended {
	struct suspended *next;
	enum suspend_kind kind;
	struct str name;
};

struct survey {
	struct arena arena;		/* owns all below */
	struct map destinations;
	struct suspended *suspended;
	struct config *config;		/* counted */
};

static uint64_t key_hash(const struct name *route, struct str domain)
{
	return hash_u64(route->hash ^ hash_nocase(domain));
}

static void on_destination(void *arg, const struct destination_state *d)
{
	struct survey *v = arg;
	const struct name *route = name_intern(d->route);
	struct surveyed *e;

	if (!route)
		return;
	e = arena_zalloc(&v->arena, sizeof(*e));
	e->route = route;
	if (query_route_is_mx(d->route))
		e->domain = arena_str(&v->arena, str_of(d->name));
	e->provider = d->provider;
	e->status = d->status;
	e->in_flight = d->in_flight;
	map_insert(&v->destinations, &e->node, key_hash(route, e->domain));
}

static void on_suspension(void *arg, const struct suspension *x)
{
	struct survey *v = arg;
	struct suspended *e = arena_zalloc(&v->arena, sizeof(*e));

	e->kind = x->kind;
	e->name = arena_str(&v->arena, str_of(x->name));
	e->next = v->suspended;
	v->suspended = e;
}

struct survey *survey_take(struct schedule *s)
{
	struct survey *v = mem_zalloc(sizeof(*v));

	v->config = config_current();
	schedule_suspensions(s, on_suspension, v);
	schedule_destinations(s, on_destination, v);
	return v;
}

void survey_free(struct survey *v)
{
	if (!v)
		return;
	map_done(&v->destinations);
	arena_done(&v->arena);
	config_unref(v->config);
	mem_free(v);
}

const struct surveyed *survey_find(const struct survey *v, const struct name *route,
				   struct str domain)
{
	struct map_node *node;

	if (!route)
		return NULL;
	if (!query_route_is_mx(name_str(route)))
		domain = STR_NONE;
	node = map_first(&v->destinations, key_hash(route, domain));
	for (; node; node = map_next(node)) {
		const struct surveyed *e = CONTAINER_OF(node, struct surveyed, node);

		if (e->route == route && str_eq_nocase(e->domain, domain))
			return e;
	}
	return NULL;
}

struct str survey_provider(const struct survey *v, const struct surveyed *d, struct str domain)
{
	const struct provider *p;

	if (d && d->provider)
		return name_str(d->provider);
	if (!v->config || (d && !d->domain.n))
		return STR_NONE;
	p = config_provider_of_domain(v->config, domain);
	return p ? name_str(p->name) : STR_NONE;
}

static bool is_suspended(const struct suspended *x, struct str route, struct str domain,
			 struct str provider)
{
	switch (x->kind) {
	case SUSPEND_DESTINATION:
		return str_eq_nocase(x->name, query_route_is_mx(route) ? domain :
						     query_route_base(route));
	case SUSPEND_PROVIDER:
		return provider.n && str_eq(x->name, provider);
	case SUSPEND_ROUTE:
		return str_eq(x->name, query_route_base(route)) ||
		       str_eq(x->name, query_route_name(route));
	case SUSPEND_SOURCE:	/* another source may take over: the destination itself says */
		break;
	}
	return false;
}

unsigned survey_status(const struct survey *v, const struct surveyed *d, struct str route,
		       struct str domain)
{
	struct str provider = survey_provider(v, d, domain);
	unsigned bits = 0;

	if (d && d->status == DESTINATION_SUSPENDED)
		bits |= QUERY_SUSPENDED;
	if (d && d->status == DESTINATION_LIMITED)
		bits |= QUERY_LIMITED;
	if (d && d->status == DESTINATION_RESTING)
		bits |= QUERY_RESTING;
	for (const struct suspended *x = v->suspended; x; x = x->next)
		if (is_suspended(x, route, domain, provider))
			bits |= QUERY_SUSPENDED;
	return bits;
}
