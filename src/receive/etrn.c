/*
 * etrn - ETRN: a client asks for the mail that waits for its domains (RFC 1985).
 *
 * For those whom a route's etrn_from names. "ETRN domain" speaks of one domain, "ETRN @domain" of
 * the names below it as well, "ETRN #route" of a route. What is asked for must be reached by a
 * route that this client may ask for: a rule sends the domain there. Nothing is told about others:
 * 459.
 *
 * What waits there becomes due (schedule_wake). A route with hosts is one destination: with one of
 * its domains all of its mail goes, as it is the same server that is back. The number that is told
 * is that of transactions that are ready to go; a message to very many recipients counts more than
 * once.
 */
#include "receive/session.h"

#include "config/table.h"

#define ASKED_MAX 10		/* by one session */
#define NUMBER_MAX 32

/* What is asked for. */
struct wanted {
	const struct config *config;
	const struct ip *client;
	struct str name;		/* of a domain or a route */
	bool below;			/* the names below it as well */
	bool is_route;
};

/* ---- may he? */

static bool route_is_his(const struct route *r, const struct ip *client)
{
	return r && r->etrn_from && table_has_ip(r->etrn_from, client);
}

bool etrn_may(const struct session *s)
{
	for (unsigned i = 0; i < s->config->routes_n; i++)
		if (route_is_his(s->config->routes[i], &s->client.ip))
			return true;
	return false;
}

static bool rule_takes_domain(const struct rule *rule, struct str domain)
{
	switch (rule->recipient.kind) {
	case MATCH_ANY:
		return true;
	case MATCH_LIST:
	case MATCH_TABLE:
	case MATCH_DOMAIN_TABLE:
		return table_has_domain(rule->recipient.table, domain);
	}
	return false;
}

static bool is_reached_by(const struct wanted *w, const struct route *route)
{
	for (unsigned i = 0; i < w->config->rules_n; i++) {
		const struct rule *rule = &w->config->rules[i];

		if (rule->accept && rule->route == route && rule_takes_domain(rule, w->name))
			return true;
	}
	return false;
}

static bool is_asked_for(const struct wanted *w, const struct route *route)
{
	if (!route_is_his(route, w->client))
		return false;
	return w->is_route ? str_eq_nocase(name_str(route->base), w->name)
			   : is_reached_by(w, route);
}

/* ---- the verb */

static bool read_name(struct str args, struct wanted *w)
{
	struct str name = args;

	if (!name.n)
		return false;
	w->is_route = name.p[0] == '#';
	w->below = name.p[0] == '@';
	w->name = str_from(name, w->is_route || w->below);
	return w->is_route ? w->name.n > 0 : helo_is_valid(w->name);
}

static int say_count(struct session *s, unsigned n) SUSPENDS
{
	char text[NUMBER_MAX];
	int length = snprintf(text, sizeof(text), "253 2.0.0 %u", n);
	const struct str pieces[] = { str_make(text, (size_t)length),
				      STR(" pending messages, delivery has started\r\n") };

	if (!n)
		return session_say(s, STR("251 2.0.0 No messages are waiting\r\n"));
	return session_say_all(s, pieces, 2);
}

static unsigned start_delivery(struct session *s, const struct wanted *w) SUSPENDS
{
	/* "#route": every domain of it, which all end with nothing */
	struct str domain = w->is_route ? STR_NONE : w->name;
	bool below = w->below || w->is_route;
	unsigned n = 0;

	for (unsigned i = 0; i < w->config->routes_n; i++)
		if (is_asked_for(w, w->config->routes[i]))
			n += schedule_wake(s->reception->receive->schedule, w->config->routes[i],
					   domain, below);
	return n;
}

static bool may_ask(const struct wanted *w)
{
	for (unsigned i = 0; i < w->config->routes_n; i++)
		if (is_asked_for(w, w->config->routes[i]))
			return true;
	return false;
}

int etrn_handle(struct session *s, struct str args)
{
	struct wanted w = { .config = s->config, .client = &s->client.ip };

	if (!etrn_may(s))
		return session_refuse(s, REPLY(502, 5, 5, 1, "Not for you"));
	if (s->transaction.open)
		return session_refuse(s, REPLY(503, 5, 5, 1, "Not within a transaction"));
	if (!read_name(args, &w))
		return session_refuse(s, REPLY(501, 5, 5, 4, "A domain, @domain or #route"));
	if (!may_ask(&w))
		return session_refuse(s, REPLY(459, 4, 7, 1, "That mail is not yours to ask for"));
	if (++s->etrns > ASKED_MAX)
		return session_refuse(s, REPLY(458, 4, 3, 2, "Asked too often, try again later"));
	return say_count(s, start_delivery(s, &w));
}
