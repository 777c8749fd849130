/*
 * sim_limits - whether relays keep the limits that they were told.
 *
 * The linker sends the calls of way_get, way_pass, way_give_back, way_connect and way_disconnect
 * through here (--wrap), so it is known when each transaction was let go and for what; production
 * code knows of none of this. From then on only what is written in the internet counts, by
 * arithmetic of its own:
 *
 *   1  What was let go keeps every rate: in no window of a limit's period is there more than its
 *      count, for each destination, provider, source or route that it counts for. A message larger
 *      than a whole limit of octets passes alone. `evenly`: they are that far apart.
 *   2  At once, no more connections are allowed than any limit and any provider's number says.
 *   3  A sink never sees what was not let go: transactions and recipients per destination and
 *      source, connections per provider and source. So 1 and 2 hold for what sinks see as well,
 *      but for the time that the way there takes. (What was begun on a kept connection that turns
 *      out to be dead, before any reply was read, is begun once more on another.)
 *   4  No connection carries more messages than it may.
 *   5  On no day, by the relay's clock, does a source send a provider more than its warm-up plan.
 *
 * 1 and 5 hold across restarts, too, for periods from KEPT_NS on; except that a death, also by loss
 * of power, may forget what was let go in the last FORGETS_NS (STATE/limits is written every few
 * seconds), or all of it where the disk is slow or a call of it has failed, or the clock jumped.
 */
#include "sim/internet.h"

#include "schedule/limits.h"

#define FORGETS_NS (12 * SECOND)
#define WAYS_MAX 16384
#define DAY_MS INT64_C(86400000)
#define KEPT_NS (60 * SECOND)	/* what is counted in less time is not kept over restarts */
#define ASKS_MAX 5000		/* refusals in a second */

struct known_way {
	struct way *way;
	struct node *node;
	unsigned incarnation;
	int domain;			/* -1: of none */
	char destination[64], route_text[32];
	int group, source, route;	/* -1: none known; SOURCE_NONE; -1: neither of ours */
	unsigned permits;		/* connections it may have now */
};

struct pass {
	uint64_t at;
	unsigned way;			/* index */
	unsigned recipients;
	uint64_t octets;
	int64_t day;
	bool forgotten;			/* given back, or lost with its relay */
};

static struct known_way ways[WAYS_MAX];
static unsigned ways_n;
static struct pass *passes;		/* owned */
static size_t passes_n, passes_size;
static unsigned binding;		/* how often a relay was told to wait */

/* Of each domain and source: let go, and seen by sinks. */
static uint64_t let_go[DOMAINS_MAX][SOURCES_MAX + 1], seen[DOMAINS_MAX][SOURCES_MAX + 1];
static uint64_t let_recipients[DOMAINS_MAX][SOURCES_MAX + 1];
static uint64_t seen_recipients[DOMAINS_MAX][SOURCES_MAX + 1];
static unsigned open_now[NODES_MAX][GROUPS_MAX][SOURCES_MAX + 1];

void limits_begin(void)
{
	ways_n = binding = 0;
	passes_n = 0;
	memset(let_go, 0, sizeof(let_go));
	memset(let_recipients, 0, sizeof(let_recipients));
	memset(seen, 0, sizeof(seen));
	memset(seen_recipients, 0, sizeof(seen_recipients));
	memset(open_now, 0, sizeof(open_now));
}

void limits_sum(unsigned *ret_passes, unsigned *ret_binding)
{
	*ret_passes = (unsigned)passes_n;
	*ret_binding = binding;
}

/* ---- ways */

static int find_group(const struct name *provider)
{
	for (unsigned i = 0; i < internet.groups_n; i++)
		if (provider && str_eq(name_str(provider), str_of(internet.groups[i].name)))
			return (int)i;
	return -1;
}

static int find_source(const struct name *source)
{
	char text[16];

	for (unsigned i = 0; i < internet.sources_n; i++) {
		snprintf(text, sizeof(text), "s%u", i + 1);
		if (source && str_eq(name_str(source), str_of(text)))
			return (int)i;
	}
	return SOURCE_NONE;
}

static int find_route(const struct name *route)
{
	for (int i = 0; i < ROUTES; i++)
		if (str_eq(name_str(route), str_of(route_names[i])))
			return i;
	return -1;
}

static struct known_way *way_find(const struct way *w)
{
	for (unsigned i = ways_n; i--;)
		if (ways[i].way == w && ways[i].incarnation == ways[i].node->incarnation)
			return &ways[i];
	return NULL;
}

struct way *__real_way_get(struct limits *l, const struct hop *h);
struct way *__wrap_way_get(struct limits *l, const struct hop *h);

struct way *__wrap_way_get(struct limits *l, const struct hop *h)
{
	struct way *w = __real_way_get(l, h);
	struct known_way *k = way_find(w), now = { .way = w };
	const struct domain *d = internet_domain(h->domain);

	now.node = sim.current->node;
	now.incarnation = now.node->incarnation;
	now.domain = d ? (int)(d - internet.domains) : -1;
	str_copy(now.destination, sizeof(now.destination), h->destination);
	now.group = find_group(h->provider);
	now.source = find_source(h->source);
	now.route = find_route(h->route);
	str_copy(now.route_text, sizeof(now.route_text), name_str(h->route));
	/* A way that has gone may have had the same address. */
	if (k && k->node == now.node && !strcmp(k->destination, now.destination) &&
	    k->group == now.group && k->source == now.source &&
	    !strcmp(k->route_text, now.route_text))
		return w;
	assert(ways_n < WAYS_MAX);
	ways[ways_n++] = now;
	return w;
}

/* ---- what a limit is about */

static bool limit_is_for(const struct sim_limit *l, const struct known_way *w)
{
	if (w->node->index)
		return false;	/* the second relay has none */
	return (l->domain < 0 || l->domain == w->domain) &&
	       (l->group < 0 || l->group == w->group) &&
	       (l->source < 0 || l->source == w->source) && (l->route < 0 || l->route == w->route);
}

/* Whether both count together. */
static bool is_same(const struct sim_limit *l, const struct known_way *a, const struct known_way *b)
{
	bool same_route = !strcmp(a->route_text, b->route_text);
	bool same_destination = same_route && !strcmp(a->destination, b->destination);

	if (a->node != b->node || !limit_is_for(l, b))
		return false;
	if ((l->per & LIMIT_PER_DESTINATION) && !same_destination)
		return false;
	if ((l->per & LIMIT_PER_PROVIDER) &&
	    (a->group != b->group || (a->group < 0 && !same_destination)))
		return false;
	if ((l->per & LIMIT_PER_SOURCE) && a->source != b->source)
		return false;
	return !(l->per & LIMIT_PER_ROUTE) || same_route;
}

static uint64_t weight(const struct sim_limit *l, const struct pass *p)
{
	return l->what == LIMIT_MESSAGES     ? 1
	       : l->what == LIMIT_RECIPIENTS ? p->recipients
					     : p->octets;
}

static void tell(const char *what, const struct sim_limit *l, const struct known_way *w,
		 uint64_t sum)
{
	sim_fail("limit %u of internet: %s: %llu of %llu (kind %u, per %u) at %s from source %d",
		 (unsigned)(l - internet.limits), what, (unsigned long long)sum,
		 (unsigned long long)l->count, l->what, l->per, w->destination, w->source);
}

/* The window that ends with the last pass. */
static void check_rate(const struct sim_limit *l, const struct pass *last)
{
	const struct known_way *w = &ways[last->way];
	uint64_t sum = 0;
	unsigned n = 0;

	for (size_t i = passes_n; i--;) {
		const struct pass *p = &passes[i];

		if (p->at + l->period_ns <= last->at)
			break;
		if (p->forgotten || !is_same(l, w, &ways[p->way]))
			continue;
		if (l->period_ns < KEPT_NS && ways[p->way].incarnation != w->incarnation)
			continue;
		if (n == 1 && l->evenly && last->at - p->at < l->period_ns / l->count / 64 * 63)
			tell("not apart", l, w, last->at - p->at);
		sum += weight(l, p);
		n++;
	}
	if (sum > l->count && n > 1)
		tell("too much in a period", l, w, sum);
}

static void check_warm_up(const struct pass *last)
{
	const struct known_way *w = &ways[last->way];
	int64_t first = sim.wall_ms / DAY_MS, day = last->day - first;
	unsigned n = 0, cap;

	if (w->source == SOURCE_NONE || sim.faults.jumps || day < 0 || day > 2)
		return;
	cap = internet.warm_up[w->source][day];
	for (size_t i = passes_n; i--;) {
		const struct known_way *o = &ways[passes[i].way];

		if (passes[i].forgotten || passes[i].day != last->day || o->source != w->source ||
		    o->node != w->node || o->group != w->group ||
		    (w->group < 0 && strcmp(o->destination, w->destination) != 0))
			continue;
		n++;
	}
	if (cap && n > cap)
		sim_fail("warm-up: %u messages of %u on day %lld from source %d to %s", n, cap,
			 (long long)day, w->source, w->destination);
}

/* ---- passing */

bool __real_way_pass(struct way *w, unsigned recipients, uint64_t octets, unsigned *ret_recipients,
		     struct limit_waiter *waiter);
bool __wrap_way_pass(struct way *w, unsigned recipients, uint64_t octets, unsigned *ret_recipients,
		     struct limit_waiter *waiter);
void __real_way_give_back(struct way *w, unsigned recipients, uint64_t octets, uint64_t passed_at);
void __wrap_way_give_back(struct way *w, unsigned recipients, uint64_t octets, uint64_t passed_at);

static struct pass *pass_add(const struct known_way *w, unsigned recipients, uint64_t octets)
{
	if (passes_n == passes_size) {
		passes_size = passes_size ? passes_size * 2 : 256;
		passes = mem_realloc(passes, passes_size * sizeof(*passes));
	}
	passes[passes_n] = (struct pass){
		.at = sim.now,
		.way = (unsigned)(w - ways),
		.recipients = recipients,
		.octets = octets,
		.day = w->node->world.wall_ms(&w->node->world) / DAY_MS,
	};
	return &passes[passes_n++];
}

/* Who waits is called: nobody has to ask again and again. */
static void refused(const struct known_way *w, const char *what)
{
	static uint64_t since, n;

	sim_say("%s may not %s %s from source %d", w->node->name, what, w->destination, w->source);
	binding++;
	if (sim.now >= since + SECOND || sim.now < since) {
		since = sim.now;
		n = 0;
	}
	if (++n == ASKS_MAX)
		sim_fail("%s asks for %s from source %d again and again", w->node->name,
			 w->destination, w->source);
}

bool __wrap_way_pass(struct way *way, unsigned recipients, uint64_t octets,
		     unsigned *ret_recipients, struct limit_waiter *waiter)
{
	const struct known_way *w = way_find(way);
	const struct pass *p;

	assert(w);
	if (!__real_way_pass(way, recipients, octets, ret_recipients, waiter)) {
		refused(w, "send to");
		return false;
	}
	p = pass_add(w, *ret_recipients, octets);
	sim_say("%s lets go %u recipients, %llu octets to %s from source %d", w->node->name,
		p->recipients, (unsigned long long)octets, w->destination, w->source);
	if (w->domain >= 0) {
		let_go[w->domain][w->source]++;
		let_recipients[w->domain][w->source] += *ret_recipients;
	}
	for (unsigned i = 0; i < internet.limits_n; i++)
		if (internet.limits[i].period_ns && limit_is_for(&internet.limits[i], w))
			check_rate(&internet.limits[i], p);
	check_warm_up(p);
	return true;
}

void __wrap_way_give_back(struct way *way, unsigned recipients, uint64_t octets, uint64_t passed_at)
{
	const struct known_way *w = way_find(way);
	size_t i = passes_n;

	__real_way_give_back(way, recipients, octets, passed_at);
	assert(w);
	while (i-- && (passes[i].forgotten || &ways[passes[i].way] != w ||
		       passes[i].recipients != recipients || passes[i].octets != octets ||
		       passes[i].at != passed_at))
		;
	if (i >= passes_n) {
		sim_fail("%s gives back what it never had", w->destination);
		return;
	}
	passes[i].forgotten = true;
	sim_say("%s takes back what it let go to %s", w->node->name, w->destination);
	if (w->domain >= 0) {
		let_go[w->domain][w->source]--;
		let_recipients[w->domain][w->source] -= recipients;
	}
}

/* ---- connections */

bool __real_way_connect(struct way *w, struct limit_waiter *waiter);
bool __wrap_way_connect(struct way *w, struct limit_waiter *waiter);
void __real_way_disconnect(struct way *w);
void __wrap_way_disconnect(struct way *w);

static void check_connections(const struct sim_limit *l, const struct known_way *w)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ways_n; i++)
		if (ways[i].permits && is_same(l, w, &ways[i]))
			sum += ways[i].permits;
	if (sum > l->count)
		tell("too many connections", l, w, sum);
}

/* What the provider is said to bear, from one source. */
static void check_provider(const struct known_way *w)
{
	unsigned sum = 0, most = w->group < 0 ? 0 : internet.groups[w->group].told_connections;

	for (unsigned i = 0; most && i < ways_n; i++)
		if (ways[i].node == w->node && ways[i].group == w->group &&
		    ways[i].source == w->source)
			sum += ways[i].permits;
	if (sum > most)
		sim_fail("%u connections to %s from source %d, which bears %u", sum,
			 internet.groups[w->group].name, w->source, most);
}

bool __wrap_way_connect(struct way *way, struct limit_waiter *waiter)
{
	struct known_way *w = way_find(way);

	assert(w);
	if (!__real_way_connect(way, waiter)) {
		refused(w, "connect to");
		return false;
	}
	w->permits++;
	for (unsigned i = 0; i < internet.limits_n; i++)
		if (internet.limits[i].what == LIMIT_CONNECTIONS &&
		    limit_is_for(&internet.limits[i], w))
			check_connections(&internet.limits[i], w);
	check_provider(w);
	return true;
}

void __wrap_way_disconnect(struct way *way)
{
	struct known_way *w = way_find(way);

	__real_way_disconnect(way);
	assert(w);
	if (!w->permits)
		sim_fail("%s gives back a connection that it never had", w->destination);
	else
		w->permits--;
}

static int group_of(const struct known_way *w)
{
	const struct group *g = w->domain < 0 ? NULL : internet.domains[w->domain].group;

	return g ? (int)(g - internet.groups) : -1;
}

void limits_opened(struct node *n, const struct endpoint *to, unsigned source)
{
	const struct group *g = internet_group(to);
	unsigned allowed = 0, *open;

	if (!g)
		return;
	open = &open_now[n->index][g - internet.groups][source];
	++*open;
	for (unsigned i = 0; i < ways_n; i++)
		if (ways[i].node == n && ways[i].source == (int)source &&
		    group_of(&ways[i]) == (int)(g - internet.groups))
			allowed += ways[i].permits;
	if (*open > allowed)
		sim_fail("%u connections to %s from source %u are open, %u were allowed", *open,
			 g->name, source, allowed);
}

void limits_closed(struct node *n, const struct endpoint *to, unsigned source)
{
	const struct group *g = internet_group(to);

	if (g)
		open_now[n->index][g - internet.groups][source]--;
}

/* ---- at sinks */

/* Those that do not depend on which of its destinations a connection serves. */
static void check_messages(const struct group *g, unsigned source, unsigned messages)
{
	if (g->told_messages && messages > g->told_messages)
		sim_fail("%u messages on a connection to %s, which bears %u", messages, g->name,
			 g->told_messages);
	for (unsigned i = 0; i < internet.limits_n; i++) {
		const struct sim_limit *l = &internet.limits[i];

		if (l->what != LIMIT_MESSAGES_PER_CONNECTION || l->domain >= 0 || l->route >= 0)
			continue;
		if ((l->group >= 0 && l->group != (int)(g - internet.groups)) ||
		    (l->source >= 0 && l->source != (int)source))
			continue;
		if (messages > l->count)
			sim_fail("limit %u of internet: %u messages on a connection", i, messages);
	}
}

void limits_saw(struct node *n, struct group *g, unsigned source, struct str domain, bool is_first,
		unsigned messages_before)
{
	const struct domain *d = internet_domain(domain);
	size_t i;

	if (!d || !n)
		return;
	i = (size_t)(d - internet.domains);
	sim_say("%s sees a recipient at %s from source %u", g->name, d->name, source);
	seen_recipients[i][source]++;
	if (seen_recipients[i][source] > let_recipients[i][source])
		sim_fail("%s sees %llu recipients from source %u, %llu were let go", d->name,
			 (unsigned long long)seen_recipients[i][source], source,
			 (unsigned long long)let_recipients[i][source]);
	if (!is_first)
		return;
	seen[i][source]++;
	if (seen[i][source] > let_go[i][source])
		sim_fail("%s sees %llu transactions from source %u, %llu were let go", d->name,
			 (unsigned long long)seen[i][source], source,
			 (unsigned long long)let_go[i][source]);
	check_messages(g, source, messages_before + 1);
}

void limits_cut(unsigned source, struct str domain, unsigned recipients)
{
	const struct domain *d = internet_domain(domain);

	if (!d)
		return;
	let_go[d - internet.domains][source]++;
	let_recipients[d - internet.domains][source] += recipients;
}

/* ---- lives and deaths */

static void forget(struct node *n, uint64_t since)
{
	for (size_t i = passes_n; i--;)
		if (ways[passes[i].way].node == n && passes[i].at >= since)
			passes[i].forgotten = true;
}

void limits_died(struct node *n, bool forgets)
{
	for (unsigned i = 0; i < ways_n; i++)
		if (ways[i].node == n)
			ways[i].permits = 0;
	forget(n, forgets || sim.now < FORGETS_NS ? 0 : sim.now - FORGETS_NS);
	memset(open_now[n->index], 0, sizeof(open_now[0]));
}

void limits_stopped(struct node *n)
{
	for (unsigned i = 0; i < ways_n; i++)
		if (ways[i].node == n && ways[i].permits)
			sim_fail("%s ends with %u connections to %s counted", n->name,
				 ways[i].permits, ways[i].destination);
	if (sim.faults.jumps || disk_trouble_at(n->disk))
		forget(n, 0);
	memset(open_now[n->index], 0, sizeof(open_now[0]));
}
