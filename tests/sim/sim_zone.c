/*
 * sim_zone - the DNS of the simulated world: world->dns_ask, answered from what sim_internet.c
 * drew.
 *
 * Answers come after some milliseconds, sometimes seconds, or inside the call that asks. A domain
 * in trouble is SERVFAIL, late for ever or bogus (then with forged data, which must not be used)
 * for a while, and so is any question by chance while faults last. What a relay that died had asked
 * is never answered; what is cancelled comes at once.
 */
#include "sim/internet.h"

#define TIMEOUT_NS (20 * SECOND)
#define QUESTIONS_MAX 4096

#define TYPE_A 1
#define TYPE_MX 15

struct question {
	struct dns_query *query;	/* NULL: answered, or nobody waits */
	struct node *node;
};

static struct question questions[QUESTIONS_MAX];
static unsigned questions_high;
unsigned zone_asked, zone_failed;

void zone_begin(void)
{
	questions_high = zone_asked = zone_failed = 0;
}

void zone_forget(struct node *n)
{
	for (unsigned i = 0; i < questions_high; i++)
		if (questions[i].node == n)
			questions[i] = (struct question){ 0 };
}

/* ---- what stands in the zone */

struct answer {
	enum dns_status status;
	unsigned char bytes[8][128];
	struct dns_record records[8];
	unsigned n;
};

static void add_a(struct answer *a, const struct ip *ip)
{
	memcpy(a->bytes[a->n], ip->bytes, 4);
	a->records[a->n] = (struct dns_record){ a->bytes[a->n], 4 };
	a->n++;
}

static void add_a_text(struct answer *a, const char *text)
{
	struct endpoint e = endpoint_of(text);

	add_a(a, &e.ip);
}

/* name: "" is the root. */
static void add_mx(struct answer *a, unsigned preference, const char *name)
{
	unsigned char *p = a->bytes[a->n], *at = p + 2;

	p[0] = (unsigned char)(preference >> 8);
	p[1] = (unsigned char)preference;
	while (*name) {
		size_t n = strcspn(name, ".");

		*at++ = (unsigned char)n;
		memcpy(at, name, n);
		at += n;
		name += n + (name[n] == '.');
	}
	*at++ = 0;
	a->records[a->n] = (struct dns_record){ p, (uint16_t)(at - p) };
	a->n++;
}

static void answer_mx(const struct domain *d, struct answer *a)
{
	char name[64];

	for (unsigned i = 0; i < d->mx_n; i++) {
		snprintf(name, sizeof(name), "MX%u.p%u.example", d->mx[i].host + 1,
			 d->group->number);
		add_mx(a, d->mx[i].preference, name);
	}
	if (d->kind == DOMAIN_NULL)
		add_mx(a, 0, "");
	if (d->kind == DOMAIN_SELF)
		add_mx(a, 10, "a.example");
	if (d->kind == DOMAIN_BACKUP || d->kind == DOMAIN_SELF) {
		if (d->kind == DOMAIN_BACKUP)
			add_mx(a, 500, "a.example");
		add_mx(a, 600, "trap.example");
	}
	a->status = a->n ? DNS_OK : DNS_NODATA;
}

/* "mxH.pG.example" */
static bool answer_host(struct str name, struct answer *a)
{
	char text[64], address[32];
	unsigned host, number;

	str_copy(text, sizeof(text), name);
	str_lower(text, strlen(text));
	if (!strcmp(text, "a.example"))
		add_a_text(a, "10.0.0.1");
	else if (!strcmp(text, "trap.example"))
		add_a_text(a, "10.2.99.1");
	else if (sscanf(text, "mx%u.p%u.example", &host, &number) == 2) {
		snprintf(address, sizeof(address), "10.2.%u.%u", number, host);
		add_a_text(a, address);
	}
	return a->n;
}

static void answer_domain(const struct domain *d, unsigned type, struct answer *a)
{
	a->status = DNS_NODATA;
	if (d->kind == DOMAIN_NOWHERE) {
		a->status = DNS_NXDOMAIN;
	} else if (type == TYPE_MX && d->kind != DOMAIN_IMPLICIT) {
		answer_mx(d, a);
	} else if (type == TYPE_A && d->kind == DOMAIN_IMPLICIT) {
		add_a(a, &d->group->ports[d->mx[0].host]->at.ip);
		a->status = DNS_OK;
	}
}

static void forge(struct answer *a)
{
	a->n = 0;
	add_mx(a, 1, "trap.example");
}

static void look(const struct dns_query *q, struct answer *a)
{
	struct str name = str_of(q->name);
	const struct domain *d = internet_domain(name);

	*a = (struct answer){ .status = DNS_NXDOMAIN };
	if (d)
		answer_domain(d, q->type, a);
	else if (q->type == TYPE_A && answer_host(name, a))
		a->status = DNS_OK;
	else if (q->type != TYPE_A && answer_host(name, a))
		*a = (struct answer){ .status = DNS_NODATA };
	if (d && sim.faulty && d->trouble_until > sim.now)
		a->status = (enum dns_status)d->trouble;
	else if (sim_fault(sim.faults.dns))
		a->status = sim_chance(500) ? DNS_SERVFAIL : DNS_TIMEOUT;
	if (a->status != DNS_OK)
		a->n = 0;
	if (a->status == DNS_BOGUS && q->type == TYPE_MX)
		forge(a);
}

/* ---- asking */

static void tell(struct question *u, const struct answer *a)
{
	struct dns_query *q = u->query;

	*u = (struct question){ .node = NULL };
	zone_asked++;
	zone_failed += a->status > DNS_NODATA;
	q->status = a->status;
	q->secure = false;
	q->ttl = (uint32_t)sim_between(1, 120);
	q->canonical[0] = 0;
	q->records = a->records;
	q->records_n = a->n;
	sim_say("dns %s %u: %u, %u records", q->name, q->type, a->status, a->n);
	q->done(q);
}

static void on_answer(struct event *ev)
{
	struct question *u = ev->p;
	struct answer a;

	/* The place may be another question's by now. */
	if (!u->query || u->query->priv != (void *)(uintptr_t)ev->n || u->node->dead)
		return;
	config_set_current(config_ref(u->node->config));
	look(u->query, &a);
	tell(u, &a);
}

static uint64_t draw_latency(const struct answer *a)
{
	if (a->status == DNS_TIMEOUT)
		return TIMEOUT_NS;
	if (!internet.prompt && sim_fault(50))
		return sim_between(1, 15) * SECOND;
	return sim_between(100, 60000) * 1000;
}

static int zone_ask(struct world *w, struct dns_query *q)
{
	static uintptr_t serial;
	struct node *n = node_of(w);
	struct question *u = NULL;
	struct answer a;

	if (n->dead)
		return -EAGAIN;
	if (sim_fault(sim.faults.dns / 8))
		return -ENOMEM;
	for (unsigned i = 0; i < QUESTIONS_MAX && !u; i++)
		if (!questions[i].node) {
			u = &questions[i];
			questions_high = i >= questions_high ? i + 1 : questions_high;
		}
	assert(u);
	*u = (struct question){ q, n };
	q->priv = (void *)++serial;
	look(q, &a);
	if (a.status != DNS_TIMEOUT && sim_chance(200)) {
		tell(u, &a);
		return 0;
	}
	sim_at(sim.now + draw_latency(&a), on_answer, u, serial);
	return 0;
}

static void on_cancel(struct event *ev)
{
	static const struct answer cancelled = { .status = DNS_CANCELLED };
	struct question *u = ev->p;

	if (!u->query || u->query->priv != (void *)(uintptr_t)ev->n || u->node->dead)
		return;
	config_set_current(config_ref(u->node->config));
	tell(u, &cancelled);
}

static void zone_cancel(struct world *w, struct dns_query *q)
{
	for (unsigned i = 0; i < questions_high; i++)
		if (questions[i].query == q && questions[i].node == node_of(w))
			sim_at(sim.now + sim_below(2000000), on_cancel, &questions[i],
			       (uint64_t)(uintptr_t)q->priv);
}

static int zone_own_ips(struct world *w, struct ip *ret, int max)
{
	const char *texts[2 + SOURCES_MAX] = { "127.0.0.1", node_of(w)->index ? "10.0.0.2"
									       : "10.0.0.1" };
	int n = 2;

	for (unsigned i = 0; i < internet.sources_n && !node_of(w)->index; i++)
		texts[n++] = source_address(i);
	for (int i = 0; i < n && i < max; i++)
		ret[i] = endpoint_of(texts[i]).ip;
	return n;
}

void zone_fill_world(struct world *w)
{
	w->dns_ask = zone_ask;
	w->dns_cancel = zone_cancel;
	w->own_ips = zone_own_ips;
}
