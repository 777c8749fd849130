/*
 * popped - see popped.h.
 *
 * A map and a list in the order of the last login. What has expired goes when it is asked for, and
 * from the front of the list whenever one is added, so that a quiet relay does not hold on to a
 * busy day's addresses.
 */
#include "policy/popped.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>

#define SWEEP 2				/* looked at for each that is added */

struct pop_client {
	struct map_node node;
	struct list by_login;		/* the newest last */
	struct ip ip;
	uint64_t until;
};

struct popped {
	pthread_mutex_t lock;
	struct map map;
	struct list by_login;
	unsigned max;
};

struct popped *popped_new(unsigned max)
{
	struct popped *p = mem_zalloc(sizeof(*p));

	pthread_mutex_init(&p->lock, NULL);
	map_init(&p->map);
	list_init(&p->by_login);
	p->max = max;
	return p;
}

static void forget(struct popped *p, struct pop_client *x)
{
	map_remove(&p->map, &x->node);
	list_remove(&x->by_login);
	mem_free(x);
}

void popped_free(struct popped *p)
{
	if (!p)
		return;
	LIST_FOR(at, &p->by_login)
		forget(p, LIST_ENTRY(at, struct pop_client, by_login));
	map_done(&p->map);
	pthread_mutex_destroy(&p->lock);
	mem_free(p);
}

static struct pop_client *find(struct popped *p, const struct ip *ip)
{
	for (struct map_node *n = map_first(&p->map, ip_hash(ip)); n; n = map_next(n)) {
		struct pop_client *x = CONTAINER_OF(n, struct pop_client, node);

		if (ip_eq(&x->ip, ip))
			return x;
	}
	return NULL;
}

static void make_room(struct popped *p, uint64_t now)
{
	unsigned looked = 0;

	LIST_FOR(at, &p->by_login) {
		struct pop_client *x = LIST_ENTRY(at, struct pop_client, by_login);

		if (x->until <= now || p->map.n >= p->max)
			forget(p, x);
		if (++looked == SWEEP)
			return;
	}
}

void popped_add(struct popped *p, const struct ip *ip, uint64_t now, uint64_t allow_ns)
{
	struct pop_client *x;
	uint64_t until;

	if (!ip->family || !p->max)
		return;
	if (__builtin_add_overflow(now, allow_ns, &until))
		until = UINT64_MAX;
	pthread_mutex_lock(&p->lock);
	x = find(p, ip);
	if (!x) {
		make_room(p, now);
		x = mem_zalloc(sizeof(*x));
		x->ip = *ip;
		map_insert(&p->map, &x->node, ip_hash(ip));
		list_init(&x->by_login);
	}
	if (until > x->until)
		x->until = until;
	list_remove(&x->by_login);
	list_push(&p->by_login, &x->by_login);
	pthread_mutex_unlock(&p->lock);
}

bool popped_has(struct popped *p, const struct ip *ip, uint64_t now)
{
	struct pop_client *x;
	bool has;

	pthread_mutex_lock(&p->lock);
	x = ip->family ? find(p, ip) : NULL;
	has = x && x->until > now;
	if (x && !has)
		forget(p, x);
	pthread_mutex_unlock(&p->lock);
	return has;
}

unsigned popped_count(struct popped *p)
{
	unsigned n;

	pthread_mutex_lock(&p->lock);
	n = (unsigned)p->map.n;
	pthread_mutex_unlock(&p->lock);
	return n;
}
