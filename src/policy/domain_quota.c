/*
 * domain_quota - see domain_quota.h.
 *
 * One map under one lock: it is touched once when a job comes, once when it ends and once per RCPT,
 * of routes with a quota only. A domain is in it while mail waits for it.
 */
#include "policy/domain_quota.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>

struct domain {
	struct map_node node;
	const struct name *route;	/* without its variant */
	uint64_t messages, octets;
	struct str name;		/* within this allocation */
};

struct quota_ticket {
	unsigned refs;
	unsigned n;
	uint64_t octets;
	struct domain *domains[];	/* each counts this ticket */
};

struct domain_quota {
	pthread_mutex_t lock;
	struct map domains;
};

struct domain_quota *domain_quota_new(void)
{
	struct domain_quota *q = mem_zalloc(sizeof(*q));

	pthread_mutex_init(&q->lock, NULL);
	map_init(&q->domains);
	return q;
}

static void forget(struct domain_quota *q, struct domain *d)
{
	map_remove(&q->domains, &d->node);
	mem_free(d);
}

void domain_quota_free(struct domain_quota *q)
{
	struct map_node *n;

	if (!q)
		return;
	while ((n = map_walk(&q->domains, NULL)))
		forget(q, CONTAINER_OF(n, struct domain, node));
	map_done(&q->domains);
	pthread_mutex_destroy(&q->lock);
	mem_free(q);
}

bool domain_quota_counts(const struct route *r)
{
	return r && r->base && (r->quota_octets || r->quota_messages);
}

static uint64_t hash_of(const struct name *route, struct str domain)
{
	return hash_u64(route->hash ^ hash_nocase(domain));
}

static struct domain *find(const struct domain_quota *q, const struct name *route,
			   struct str domain)
{
	uint64_t hash = hash_of(route, domain);

	for (struct map_node *n = map_first(&q->domains, hash); n; n = map_next(n)) {
		struct domain *d = CONTAINER_OF(n, struct domain, node);

		if (d->route == route && str_eq_nocase(d->name, domain))
			return d;
	}
	return NULL;
}

static struct domain *get(struct domain_quota *q, const struct name *route, struct str domain)
{
	struct domain *d = find(q, route, domain);

	if (d)
		return d;
	d = mem_zalloc(size_add(sizeof(*d), domain.n));
	d->route = route;
	if (domain.n)
		memcpy(d + 1, domain.p, domain.n);
	d->name = str_make((const char *)(d + 1), domain.n);
	map_insert(&q->domains, &d->node, hash_of(route, domain));
	return d;
}

static bool has(const struct quota_ticket *t, const struct domain *d)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->domains[i] == d)
			return true;
	return false;
}

struct quota_ticket *domain_quota_take(struct domain_quota *q, const struct route *r,
				       const struct str *domains, unsigned n, uint64_t octets)
{
	struct quota_ticket *t;

	if (!domain_quota_counts(r))
		return NULL;
	t = mem_zalloc(size_add(sizeof(*t), size_mul(n, sizeof(struct domain *))));
	t->refs = 1;
	t->octets = octets;
	pthread_mutex_lock(&q->lock);
	for (unsigned i = 0; i < n; i++) {
		struct domain *d = get(q, r->base, domains[i]);

		if (has(t, d))
			continue;
		t->domains[t->n++] = d;
		d->messages++;
		d->octets += octets;
	}
	pthread_mutex_unlock(&q->lock);
	return t;
}

/* Parts of a job are at one home: .refs is touched on its loop only. */
struct quota_ticket *domain_quota_share(struct quota_ticket *t)
{
	if (t)
		t->refs++;
	return t;
}

void domain_quota_return(struct domain_quota *q, struct quota_ticket *t)
{
	if (!t || --t->refs)
		return;
	pthread_mutex_lock(&q->lock);
	for (unsigned i = 0; i < t->n; i++) {
		struct domain *d = t->domains[i];

		d->octets -= t->octets;
		if (!--d->messages)
			forget(q, d);
	}
	pthread_mutex_unlock(&q->lock);
	mem_free(t);
}

void domain_quota_waiting(struct domain_quota *q, const struct route *r, struct str domain,
		   uint64_t *ret_messages, uint64_t *ret_octets)
{
	const struct domain *d;

	pthread_mutex_lock(&q->lock);
	d = r->base ? find(q, r->base, domain) : NULL;
	*ret_messages = d ? d->messages : 0;
	*ret_octets = d ? d->octets : 0;
	pthread_mutex_unlock(&q->lock);
}

static bool is_below(uint64_t waiting, uint64_t more, uint64_t quota)
{
	return !quota || (waiting < quota && more <= quota - waiting);
}

bool domain_quota_accepts(struct domain_quota *q, const struct route *r, struct str domain,
			  uint64_t octets, struct reply *ret)
{
	uint64_t messages, waiting;

	if (!domain_quota_counts(r))
		return true;
	domain_quota_waiting(q, r, domain, &messages, &waiting);
	if (is_below(messages, 1, r->quota_messages) && is_below(waiting, octets, r->quota_octets))
		return true;
	*ret = REPLY(452, 4, 2, 2, "Too much mail is waiting for this domain, try again later");
	return false;
}
