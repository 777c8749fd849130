/*
 * explain - relevo explain --destination: one destination in depth.
 *
 * What waits for it and since when, what it is doing, whose it is, which hosts it has and how they
 * are, and for each of our sources every gate on the way with its state; the one that binds is
 * marked. The parts come from the spool (in the pool), from the destination's home (by schedule/,
 * on its thread), and from deliver/. Lines are made first and sent after that.
 */
#include "control/select.h"

#include "base/mem.h"
#include "smtp/address.h"

#define LINES_MAX (4 * 1024 * 1024)
#define PLACES_MAX 64
#define HOSTS_MAX (256 * 1024)

struct explaining {
	struct answer *answer;
	struct str name;
	struct buf lines;		/* finished, each ended by LF */
	char seen[300];			/* the destination and the route told last */
	char route[300];
	unsigned destinations, ways, gates;
	/* what hosts are to be asked for, when the homes are through */
	struct place {
		const struct name *route, *source;
		char domain[ADDRESS_DOMAIN_MAX + 1];	/* empty: not by MX */
	} places[PLACES_MAX];
	unsigned places_n;
	/* of the spool */
	uint64_t messages, recipients;
	int64_t oldest_ms, next_ms;	/* 0: none */
};

static void keep(struct explaining *e)
{
	buf_add_byte(&e->answer->line, '\n');
	buf_add_str(&e->lines, buf_str(&e->answer->line));
	buf_clear(&e->answer->line);
}

static bool next_line(struct str *rest, struct str *ret)
{
	ssize_t end = str_find(*rest, '\n');

	if (!rest->n)
		return false;
	*ret = str_sub(*rest, 0, end < 0 ? rest->n : (size_t)end);
	*rest = str_from(*rest, ret->n + 1);
	return true;
}

/* ---- what waits */

static void add_waiting(struct explaining *e, const struct selection *s, struct message *m)
{
	bool any = false;

	for (uint32_t i = 0; i < m->recipients_n; i++) {
		struct query_subject q;
		int64_t next;

		if (!selection_subject(s, m, i, &q) || !query_matches(s->query, &q, 0))
			continue;
		message_lock(m);
		next = m->recipients[i].next_ms;
		message_unlock(m);
		any = true;
		e->recipients++;
		if (q.status & QUERY_HELD)
			continue;
		if (!e->next_ms || next < e->next_ms)
			e->next_ms = next ? next : 1;
	}
	e->messages += any;
	if (any && (!e->oldest_ms || m->arrived_ms < e->oldest_ms))
		e->oldest_ms = m->arrived_ms;
}

static int waiting_piece(struct selection *s, size_t from, size_t to, void *arg)
{
	for (size_t at = from; at < to; at++)
		add_waiting(arg, s, s->at[at]);
	return 0;
}

static bool look_at_spool(struct explaining *e) SUSPENDS
{
	struct str at[] = { STR("destination"), e->name };
	struct words w = { .at = at, .n = 2 };
	struct selection s;

	if (!selection_make(&s, e->answer, &w, SELECT_NAMED, NULL))
		return false;
	selection_in_pool(&s, waiting_piece, e);
	selection_free(&s);
	return true;
}

static void add_next(struct explaining *e)
{
	int64_t now = loop_wall_ms();

	if (e->next_ms > now)
		answer_age(e->answer, e->next_ms - now);
	else
		buf_add_str(&e->answer->line, e->next_ms ? STR("now") : STR("never: all is held"));
}

static void spool_text(struct explaining *e)
{
	struct answer *a = e->answer;

	if (!e->messages) {
		buf_add_lit(&a->line, "no mail waits for ");
		answer_value(a, e->name);
		keep(e);
		return;
	}
	answer_value(a, e->name);
	buf_add_lit(&a->line, ": ");
	answer_count(a, e->messages, "message");
	buf_add_lit(&a->line, " with ");
	answer_count(a, e->recipients, "recipient");
	buf_add_lit(&a->line, " waiting, the oldest for ");
	answer_age(a, loop_wall_ms() - e->oldest_ms);
	buf_add_lit(&a->line, "; next is due: ");
	add_next(e);
	keep(e);
}

/* ---- suspensions that name it */

static void on_suspension(void *arg, const struct suspension *x)
{
	struct explaining *e = arg;

	if (x->kind != SUSPEND_DESTINATION || !str_eq_nocase(str_of(x->name), e->name) ||
	    e->answer->json)
		return;
	suspension_add(e->answer, x);
	keep(e);
}

/* ---- the destination and its ways, at its home */

static void destination_text(struct explaining *e, const struct destination_state *d)
{
	struct answer *a = e->answer;

	buf_add_lit(&a->line, "route ");
	answer_value(a, d->route);
	buf_printf(&a->line, ": %s, provider ", destination_status_name(d->status));
	answer_value(a, d->provider ? name_str(d->provider) : STR("unknown"));
	buf_printf(&a->line, "; %u ready, %u waiting, %u held, %u being sent on %u slot%s, "
		   "%.1f/s", d->ready, d->waiting, d->held, d->in_flight, d->slots,
		   d->slots == 1 ? "" : "s", d->per_second);
	keep(e);
	if (d->rests_until_ms) {
		buf_printf(&a->line, "    rests after %u failure%s, next try in ", d->failures,
			   d->failures == 1 ? "" : "s");
		answer_age(a, d->rests_until_ms - loop_wall_ms());
		keep(e);
	}
	if (d->said[0]) {
		buf_add_lit(&a->line, "    why: ");
		answer_value(a, str_of(d->said));
		keep(e);
	}
	if (d->last[0]) {
		buf_add_lit(&a->line, "    last bad news: ");
		answer_value(a, str_of(d->last));
		keep(e);
	}
}

static void destination_json(struct explaining *e, const struct destination_state *d)
{
	struct answer *a = e->answer;

	json_begin(a);
	json_str(a, "destination", str_of(d->name));
	json_str(a, "route", d->route);
	json_str(a, "provider", name_str(d->provider));
	json_str(a, "status", str_of(destination_status_name(d->status)));
	json_int(a, "ready", d->ready);
	json_int(a, "waiting", d->waiting);
	json_int(a, "held", d->held);
	json_int(a, "in_flight", d->in_flight);
	json_int(a, "slots", d->slots);
	json_decimal(a, "per_second", d->per_second);
	json_int(a, "failures", d->failures);
	json_time(a, "rests_until", d->rests_until_ms);
	json_str(a, "said", str_of(d->said));
	json_str(a, "last", str_of(d->last));
	json_time(a, "oldest", e->oldest_ms);
	json_time(a, "next", e->next_ms > 1 ? e->next_ms : 0);
	json_list(a, "ways");
}

static void on_gate(void *arg, const struct gate_state *g)
{
	struct explaining *e = arg;
	struct answer *a = e->answer;
	uint64_t now = loop_now();

	if (!a->json) {
		buf_add_str(&a->line, g->binds ? STR("  * ") : STR("    "));
		buf_printf(&a->line, "%s: %s", g->what, g->state);
		if (g->waiting)
			buf_printf(&a->line, ", %u in line", g->waiting);
		keep(e);
		return;
	}
	if (e->gates++)
		buf_add_byte(&a->line, ',');
	json_begin(a);
	json_str(a, "what", str_of(g->what));
	json_str(a, "state", str_of(g->state));
	json_int(a, "binds", g->binds);
	json_int(a, "waiting", g->waiting);
	if (g->opens_at > now && g->opens_at != UINT64_MAX)
		json_int(a, "opens_in_ms", (int64_t)((g->opens_at - now) / MILLISECOND));
	json_end(a);
}

static void way_begin(struct explaining *e, const struct name *source)
{
	struct answer *a = e->answer;

	e->gates = 0;
	if (a->json) {
		if (e->ways++)
			buf_add_byte(&a->line, ',');
		json_begin(a);
		json_str(a, "source", name_str(source));
		json_list(a, "gates");
		return;
	}
	buf_add_lit(&a->line, "  from ");
	answer_value(a, source ? name_str(source) : STR("any address of this machine"));
	buf_add_lit(&a->line, ":");
	keep(e);
}

/* The JSON of the destination before this one is complete. */
static void destination_end(struct explaining *e)
{
	if (e->answer->json && e->destinations) {
		buf_add_lit(&e->answer->line, "]}");
		keep(e);
	}
}

static void place_add(struct explaining *e, struct str route, struct str domain,
		      const struct name *source)
{
	struct place *p = &e->places[e->places_n];

	if (e->places_n == PLACES_MAX)
		return;
	e->places_n++;
	p->route = name_intern(route);
	p->source = source;
	if (query_route_is_mx(route))
		str_copy(p->domain, sizeof(p->domain), domain);
}

static void on_way(void *arg, const struct destination_state *d, const struct name *source,
		   struct way *way)
{
	struct explaining *e = arg;

	if (!e->destinations || strcmp(e->seen, d->name) != 0 ||
	    !str_eq(str_of(e->route), d->route)) {
		destination_end(e);
		e->destinations++;
		e->ways = 0;
		str_copy(e->seen, sizeof(e->seen), str_of(d->name));
		str_copy(e->route, sizeof(e->route), d->route);
		if (e->answer->json)
			destination_json(e, d);
		else
			destination_text(e, d);
	}
	place_add(e, d->route, str_of(d->name), source);
	way_begin(e, source);
	if (way)
		way_describe(way, on_gate, e);
	if (e->answer->json)
		buf_add_lit(&e->answer->line, "]}");
}

/* ---- the hosts, which deliver/ knows; it may ask the DNS */

/* Nothing waits: by each route that mail for that name could take. */
static void places_of_config(struct explaining *e, const struct config *c)
{
	bool is_route = false;

	for (unsigned i = 0; i < c->routes_n; i++) {
		const struct route *r = c->routes[i];

		if (r->is_mx || (!str_eq_nocase(r->name, e->name) &&
		    !str_eq_nocase(name_str(r->base), e->name)))
			continue;
		place_add(e, r->name, e->name, NULL);
		is_route = true;
	}
	for (unsigned i = 0; i < c->routes_n && !is_route; i++)
		if (c->routes[i]->is_mx)
			place_add(e, c->routes[i]->name, e->name, NULL);
}

static void hosts_text(struct explaining *e, const struct place *p, struct str rest)
{
	struct answer *a = e->answer;

	buf_add_lit(&a->line, "hosts by route ");
	answer_value(a, name_str(p->route));
	if (p->source) {
		buf_add_lit(&a->line, " from ");
		answer_value(a, name_str(p->source));
	}
	buf_add_lit(&a->line, ":");
	keep(e);
	for (struct str line; next_line(&rest, &line);) {
		buf_add_lit(&a->line, "    ");
		buf_add_str(&a->line, str_trim(line));
		keep(e);
	}
}

static void hosts_json(struct explaining *e, const struct place *p, struct str rest)
{
	struct answer *a = e->answer;
	unsigned n = 0;

	json_begin(a);
	json_str(a, "destination", e->name);
	json_str(a, "route", name_str(p->route));
	json_str(a, "source", name_str(p->source));
	json_list(a, "hosts");
	for (struct str line; next_line(&rest, &line);) {
		if (n++)
			buf_add_byte(&a->line, ',');
		json_element(a, str_trim(line));
	}
	buf_add_lit(&a->line, "]}");
	keep(e);
}

static void tell_hosts(struct explaining *e, const struct config *c, const struct place *p) SUSPENDS
{
	const struct route *r = config_route(c, name_str(p->route));
	struct buf lines = BUF_INIT(HOSTS_MAX);

	if (!r)
		return;
	deliver_describe_hosts(&lines, e->answer->links->deliver, c, r, str_of(p->domain),
			       p->source ? config_source(c, p->source) : NULL);
	if (e->answer->json)
		hosts_json(e, p, buf_str(&lines));
	else
		hosts_text(e, p, buf_str(&lines));
	buf_done(&lines);
}

/* ---- all of it */

static void send_lines(struct answer *a, struct str rest) SUSPENDS
{
	for (struct str line; !a->dead && next_line(&rest, &line);) {
		buf_add_str(&a->line, line);
		if (a->json)
			object_line(a);
		else
			answer_line(a);
	}
}

static void explain_hosts(struct explaining *e) SUSPENDS
{
	struct config *c = config_current();

	if (!e->destinations && !e->answer->json)
		places_of_config(e, c);
	for (unsigned i = 0; i < e->places_n; i++)
		tell_hosts(e, c, &e->places[i]);
	config_unref(c);
}

void relay_explain(struct answer *a, struct words *w)
{
	struct explaining *e = mem_zalloc(sizeof(*e));

	e->answer = a;
	e->name = words_next(w);
	e->lines = BUF_INIT(LINES_MAX);
	if (look_at_spool(e)) {
		if (!a->json)
			spool_text(e);
		schedule_suspensions(a->links->schedule, on_suspension, e);
		schedule_describe(a->links->schedule, e->name, on_way, e);
		destination_end(e);
		explain_hosts(e);
		send_lines(a, buf_str(&e->lines));
		if (e->destinations)
			json_done(a);
		else
			a->code = EXPLAIN_IDLE;
	}
	buf_done(&e->lines);
	mem_free(e);
}
