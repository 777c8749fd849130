/*
 * etrn - ETRN: a client asks for the mail that waits for its domains (RFC 1985).
 *
 * For those whom a route's etrn_from names. "ETRN domain" speaks of one domain, "ETRN @domain" of
 * the names below it as well, "ETRN #route" of a route. What is asked for must be reached by a
 * route that this client may ask for: a rule sends the domain there. Nothing is told about others:
 * 459.
 *
 * The messages are found in the pool, by a look at all that wait, so each session may ask a few
 * times only; what waits becomes due at once, at most MESSAGES_MAX of it - the destination's rest
 * is over with the first, and the others follow by their own times.
 */
#include "receive/session.h"

#include "base/mem.h"
#include "config/table.h"

#define MESSAGES_MAX 2000
#define ASKED_MAX 10		/* by one session */
#define NUMBER_MAX 32

/* One question, and what was found. */
struct wanted {
	const struct config *config;
	const struct ip *client;
	struct spool *spool;
	struct str name;		/* of a domain or a route */
	bool below;			/* the names below it as well */
	bool is_route;
	struct message **at;		/* owned, counted */
	unsigned n;			/* all that wait; kept are MESSAGES_MAX */
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

static bool may_ask(const struct wanted *w)
{
	const struct route *route;

	if (w->is_route) {
		route = config_route_named(w->config, w->name);
		return route_is_his(route, w->client);
	}
	for (unsigned i = 0; i < w->config->rules_n; i++) {
		const struct rule *rule = &w->config->rules[i];

		if (rule->accept && route_is_his(rule->route, w->client) &&
		    rule_takes_domain(rule, w->name))
			return true;
	}
	return false;
}

/* ---- what waits (in the pool) */

static bool domain_fits(const struct wanted *w, struct str domain)
{
	if (str_eq_nocase(domain, w->name))
		return true;
	return w->below && domain.n > w->name.n && str_ends_nocase(domain, w->name) &&
	       domain.p[domain.n - w->name.n - 1] == '.';
}

static bool recipient_fits(const struct wanted *w, struct message *m, uint32_t i)
{
	const struct route *route = config_route(w->config, recipient_route(m, i));

	if (!route_is_his(route, w->client))
		return false;
	if (w->is_route)
		return str_eq_nocase(name_str(route->base), w->name);
	return domain_fits(w, address_split(recipient_address(m, i)).domain);
}

static bool is_queued(struct message *m, uint32_t i)
{
	bool queued;

	message_lock(m);
	queued = m->recipients[i].state == RECIPIENT_QUEUED && !(m->flags & MESSAGE_HELD);
	message_unlock(m);
	return queued;
}

static void look_at(void *arg, struct message *m)
{
	struct wanted *w = arg;

	for (uint32_t i = 0; i < m->recipients_n; i++) {
		if (!recipient_fits(w, m, i) || !is_queued(m, i))
			continue;
		if (w->n < MESSAGES_MAX)
			w->at[w->n] = message_ref(m);
		w->n++;
		return;
	}
}

static int look_at_all(void *arg)
{
	struct wanted *w = arg;

	spool_each(w->spool, look_at, w);
	return 0;
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

static int start_delivery(struct session *s, struct wanted *w) SUSPENDS
{
	int r;

	w->at = mem_calloc(MESSAGES_MAX, sizeof(*w->at));
	r = net_offload(look_at_all, w);
	for (unsigned i = 0; i < w->n && i < MESSAGES_MAX; i++) {
		schedule_command(s->reception->receive->schedule, QUEUE_RETRY, w->at[i]);
		message_unref(w->at[i]);
	}
	mem_free(w->at);
	return r;
}

int etrn_handle(struct session *s, struct str args)
{
	struct wanted w = {
		.config = s->config,
		.client = &s->client.ip,
		.spool = s->reception->receive->spool,
	};
	int r;

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
	r = start_delivery(s, &w);
	return r < 0 ? session_refuse(s, REPLY(458, 4, 3, 0, "Cannot look just now"))
		     : say_count(s, w.n);
}
