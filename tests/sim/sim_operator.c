/*
 * sim_operator - somebody who suspends, resumes, holds, releases, retries, reroutes and asks for
 * mail at random, through the functions that control/ and receive/ use for the same.
 *
 * What he did is known here as well, so it can be held against the relay: once schedule_suspend has
 * returned, no slot that asks from then on gets a job for what it named, until schedule_resume is
 * called. When faults stop he takes everything back, so that each message can come to its end. One
 * order at a time in each relay; an order dies with its relay, and is waited for when it stops.
 */
#include "sim/internet.h"

#include "schedule/schedule.h"

#define SUSPENDED_MAX 64
#define MESSAGES_MAX 4096
#define MOVES_MAX 4		/* messages that one order is about, at most */
#define RELENT_NS (30 * SECOND)

struct order {
	struct post post;
	struct node *node;
	bool relents;
};

struct found {
	struct message *at[MESSAGES_MAX];	/* counted */
	unsigned n;
};

/* What is suspended for certain, and since when. */
struct sure {
	enum suspend_kind kind;
	char name[64];
	uint64_t since;
};

static struct sure sure[NODES_MAX][SUSPENDED_MAX];
static unsigned sure_n[NODES_MAX];

void operator_begin(void)
{
	memset(sure_n, 0, sizeof(sure_n));
}

void operator_forget(struct node *n)
{
	sure_n[n->index] = 0;
}

/* ---- suspensions */

static void draw_name(char *ret, size_t size, enum suspend_kind kind)
{
	static const char *const hosts[] = { "near", "slow", "far.example", "home" };

	switch (kind) {
	case SUSPEND_DESTINATION:
		if (internet.domains_n && sim_chance(700))
			str_copy(ret, size,
				 str_of(internet.domains[sim_below(internet.domains_n)].name));
		else
			str_copy(ret, size, str_of(hosts[sim_below(4)]));
		return;
	case SUSPEND_PROVIDER:
		snprintf(ret, size, "p%u", (unsigned)sim_between(1, GROUPS_MAX));
		return;
	case SUSPEND_SOURCE:
		snprintf(ret, size, "s%u", (unsigned)sim_between(1, SOURCES_MAX));
		return;
	case SUSPEND_ROUTE:
		str_copy(ret, size, str_of(sim_chance(600) ? route_names[sim_below(ROUTES)]
							   : hosts[sim_below(2)]));
		return;
	}
}

static void suspend(struct node *n) SUSPENDS
{
	struct sure *list = sure[n->index], x = { .kind = (enum suspend_kind)sim_below(4) };
	int r;

	draw_name(x.name, sizeof(x.name), x.kind);
	sim_say("%s: suspend %s %s", n->name, suspend_kind_name(x.kind), x.name);
	r = schedule_suspend(n->schedule, x.kind, str_of(x.name), STR("for a while"));
	sim_say("%s: suspend %s: %d", n->name, x.name, r);
	x.since = sim.now;
	if (r == 0 && sure_n[n->index] < SUSPENDED_MAX)
		list[sure_n[n->index]++] = x;
}

static void resume(struct node *n, enum suspend_kind kind, const char *name) SUSPENDS
{
	struct sure *list = sure[n->index];
	int r;

	for (unsigned i = sure_n[n->index]; i--;)
		if (list[i].kind == kind && !strcmp(list[i].name, name))
			list[i] = list[--sure_n[n->index]];
	r = schedule_resume(n->schedule, kind, str_of(name));
	sim_say("%s: resume %s %s: %d", n->name, suspend_kind_name(kind), name, r);
}

struct copies {
	struct sure at[SUSPENDED_MAX];
	unsigned n;
};

static void copy(void *arg, const struct suspension *x)
{
	struct copies *c = arg;
	struct sure *to = &c->at[c->n];

	if (c->n == SUSPENDED_MAX)
		return;
	to->kind = x->kind;
	str_copy(to->name, sizeof(to->name), str_of(x->name));
	c->n++;
}

/* One of them, or all. False: there are none. */
static bool resume_some(struct node *n, bool all) SUSPENDS
{
	struct copies *c = mem_zalloc(sizeof(*c));
	unsigned one, count;

	schedule_suspensions(n->schedule, copy, c);
	count = c->n;
	one = (unsigned)sim_below(c->n);
	for (unsigned i = 0; i < c->n; i++)
		if (all || i == one)
			resume(n, c->at[i].kind, c->at[i].name);
	mem_free(c);
	return count;
}

/* ---- messages */

static void find_one(void *arg, struct message *m)
{
	struct found *f = arg;

	if (f->n < MESSAGES_MAX)
		f->at[f->n++] = message_ref(m);
}

static struct found *find(struct node *n)
{
	struct found *f = mem_zalloc(sizeof(*f));

	spool_each(n->spool, find_one, f);
	return f;
}

static void found_free(struct found *f)
{
	while (f->n)
		message_unref(f->at[--f->n]);
	mem_free(f);
}

/* Recorded first, then carried out. */
static void hold(struct node *n, struct message *m, bool hold) SUSPENDS
{
	struct batch *b = batch_new(n->spool);
	uint8_t flags, crashes;
	int r;

	message_lock(m);
	flags = m->flags;
	crashes = m->crashes;
	message_unlock(m);
	if (hold)
		batch_flags(b, m, flags | MESSAGE_HELD, crashes);
	else
		batch_flags(b, m, flags & (uint8_t)~(MESSAGE_HELD | MESSAGE_RESTORED), 0);
	r = spool_commit(n->spool, b);
	if (r == 0)
		schedule_command(n->schedule, hold ? QUEUE_HOLD : QUEUE_RELEASE, m);
	sim_say("%s: %s: %d", n->name, hold ? "hold" : "release", r);
}

/* Exchangers are for domains that have any; of the others any sink takes all mail. */
static const struct name *draw_route(const struct node *n, const struct message *m,
				     const uint32_t *recipients, unsigned recipients_n)
{
	bool all_have_domain = true;
	struct str name = STR("near");

	for (unsigned i = 0; i < recipients_n; i++) {
		struct str address = recipient_address(m, recipients[i]);

		all_have_domain &= internet_domain(address_split(address).domain) != NULL;
	}
	if (all_have_domain && sim_chance(700)) {
		const struct route *r = n->config->routes[sim_below(n->config->routes_n)];

		if (r->is_mx)
			name = r->name;
	} else if (sim_chance(500)) {
		name = STR("home");
	}
	return name_intern(name);
}

/* Out of the queues, recorded, and back. */
static void reroute(struct node *n, struct message *m) SUSPENDS
{
	uint32_t *all = mem_calloc(m->recipients_n, sizeof(*all));
	const struct name *route;
	struct batch *b;
	unsigned busy, count;
	int r;

	schedule_remove(n->schedule, m, &busy);
	count = schedule_jobless(n->schedule, m, all);
	if (count) {
		route = draw_route(n, m, all, count);
		b = batch_new(n->spool);
		batch_route(b, m, all, count, route);
		r = spool_commit(n->spool, b);
		sim_say("%s: reroute %u via %s: %d", n->name, count, route->text, r);
		schedule_add_recipients(n->schedule, m, all, count);
	}
	mem_free(all);
}

static void move(struct node *n) SUSPENDS
{
	struct found *f = find(n);
	unsigned what = (unsigned)sim_below(4);

	for (uint64_t k = f->n ? sim_between(1, MOVES_MAX) : 0; k; k--) {
		struct message *m = f->at[sim_below(f->n)];

		if (what == 0)
			schedule_command(n->schedule, QUEUE_RETRY, m);
		else if (what == 1)
			reroute(n, m);
		else
			hold(n, m, what == 2);
	}
	found_free(f);
}

/* As if somebody behind a route said ETRN: a domain, the names below it, or all of the route. */
static void wake(struct node *n) SUSPENDS
{
	const struct route *r = n->config->routes[sim_below(n->config->routes_n)];
	struct str domain = STR("example");

	if (internet.domains_n && sim_chance(700))
		domain = str_of(internet.domains[sim_below(internet.domains_n)].name);
	schedule_wake(n->schedule, r, domain, sim_chance(500));
}

/* False: nothing was held. */
static bool release_all(struct node *n) SUSPENDS
{
	struct found *f = find(n);
	bool any = false;

	for (unsigned i = 0; i < f->n; i++) {
		uint8_t flags;

		message_lock(f->at[i]);
		flags = f->at[i]->flags;
		message_unlock(f->at[i]);
		if (flags & MESSAGE_HELD)
			hold(n, f->at[i], false);
		any |= flags & MESSAGE_HELD;
	}
	found_free(f);
	return any;
}

/* ---- orders */

static void run(void *arg)
{
	struct order *o = arg;
	struct node *n = o->node;

	if (o->relents) {
		bool any = resume_some(n, true);

		any |= release_all(n);
		n->relented = !any && !sim.faulty;
	} else if (sim_chance(200)) {
		wake(n);
	} else if (sim_chance(500)) {
		move(n);
	} else if (sim_chance(650)) {
		suspend(n);
	} else {
		resume_some(n, false);
	}
	n->operated = false;
	mem_free(o);
}

static void on_order(struct post *p)
{
	struct order *o = CONTAINER_OF(p, struct order, post);

	if (task_start(NULL, run, o, "operator"))
		return;
	o->node->operated = false;
	mem_free(o);
}

static bool give_order(struct node *n, bool relents)
{
	struct order *o;

	if (!n->running || n->dead || n->stopping || n->operated)
		return false;
	o = mem_zalloc(sizeof(*o));
	*o = (struct order){ .node = n, .relents = relents };
	n->operated = true;
	loop_post(net_loop(n->net, 0), &o->post, on_order);
	return true;
}

static void on_operator(struct event *e)
{
	(void)e;
	if (sim.faulty)
		give_order(nodes[sim_below(nodes_n)], false);
}

static void on_relent(struct event *e)
{
	struct node *n = e->p;

	give_order(n, true);
	if (!n->relented)
		sim_at(sim.now + RELENT_NS, on_relent, n, 0);
}

void operator_works(uint64_t span)
{
	for (unsigned i = 0; i < sim.faults.orders; i++)
		sim_at(sim.now + sim_below(span), on_operator, NULL, 0);
}

void operator_relents(void)
{
	for (unsigned i = 0; i < nodes_n && sim.faults.orders; i++)
		sim_at(sim.now, on_relent, nodes[i], 0);
}

/* ---- what slots get */

/* "mx:NAME" and variants, as people call them. */
static struct str base_of(struct str route)
{
	ssize_t plus = str_rfind(route, '+');

	if (plus > 0)
		route.n = (size_t)plus;
	return str_starts(route, STR("mx:")) ? str_from(route, 3) : route;
}

static bool is_named(const struct sure *x, const struct slot *slot, struct str destination,
		     struct str route)
{
	struct str name = str_of(x->name);

	switch (x->kind) {
	case SUSPEND_DESTINATION:
		return str_eq_nocase(name, destination);
	case SUSPEND_PROVIDER:
		return slot->knows_provider && slot->provider &&
		       str_eq(name, name_str(slot->provider));
	case SUSPEND_SOURCE:
		return slot->source && str_eq(name, name_str(slot->source));
	case SUSPEND_ROUTE:
		return str_eq(name, route);
	}
	return false;
}

void __real_schedule_turn(struct schedule *s, struct slot *slot) SUSPENDS;
void __wrap_schedule_turn(struct schedule *s, struct slot *slot) SUSPENDS;

void __wrap_schedule_turn(struct schedule *s, struct slot *slot)
{
	const struct node *n = sim.current->node;
	const struct sure *list = sure[n->index];
	uint64_t asked = sim.now;
	struct str destination, route;

	__real_schedule_turn(s, slot);
	if (!slot->job)
		return;
	destination = str_of(destination_name(slot->destination));
	route = base_of(destination_route(slot->destination));
	for (unsigned i = 0; i < sure_n[n->index]; i++)
		if (list[i].since < asked && is_named(&list[i], slot, destination, route))
			sim_fail("%s: %.*s gets a job, %s %s is suspended", n->name,
				 (int)destination.n, destination.p,
				 suspend_kind_name(list[i].kind), list[i].name);
}
