/*
 * client_limits - see client_limits.h.
 *
 * A map of counts, each for one limit and one key: an address (IPv4: all of it; IPv6: its /64), a
 * network (/24; /48), a login, or a pair of these. A count with connections is out of the list of
 * idle ones and stays; of the others the one unused for longest goes when the table is full, so
 * memory is bounded by counts_max whatever comes. If all of them have connections a new one is not
 * counted: there are fewer sessions than that.
 *
 * All limits are asked before any is charged, under one lock that is held for as many look-ups as
 * there are limits: a few hundred nanoseconds per command of a client that is under any.
 *
 * Octets are counted in units of up to a 2^30th of the limit, so that they fit a bucket's cells.
 */
#include "policy/client_limits.h"

#include "base/bucket.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>

#define UNITS_MAX (1u << 30)
#define LOGIN_MAX 255u			/* octets that tell logins apart */

struct counted {
	struct map_node node;
	struct list by_use;		/* the idle ones, the newest last */
	uint64_t limit;			/* hash of its text */
	struct network network;		/* family 0: of a login alone */
	uint32_t in_use;		/* connections */
	struct bucket *bucket;		/* owned; NULL: nothing was spent yet */
	struct str login;		/* within this allocation */
};

struct client_limits {
	pthread_mutex_t lock;
	struct map map;
	struct list idle;
	unsigned max;
};

struct client_limits *client_limits_new(unsigned counts_max)
{
	struct client_limits *l = mem_zalloc(sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	map_init(&l->map);
	list_init(&l->idle);
	l->max = counts_max;
	return l;
}

static void forget(struct client_limits *l, struct counted *x)
{
	map_remove(&l->map, &x->node);
	list_remove(&x->by_use);
	bucket_free(x->bucket);
	mem_free(x);
}

void client_limits_free(struct client_limits *l)
{
	struct map_node *n;

	if (!l)
		return;
	while ((n = map_walk(&l->map, NULL)))
		forget(l, CONTAINER_OF(n, struct counted, node));
	map_done(&l->map);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}

unsigned client_limits_count(struct client_limits *l)
{
	unsigned n;

	pthread_mutex_lock(&l->lock);
	n = (unsigned)l->map.n;
	pthread_mutex_unlock(&l->lock);
	return n;
}

/* ---- keys */

struct key {
	uint64_t limit, hash;
	struct network network;
	struct str login;
};

static struct network network_of(const struct ip *ip, unsigned bits4, unsigned bits6)
{
	unsigned bits = ip->family == 6 ? bits6 : bits4;
	struct network n = { .ip.family = ip->family, .prefix = (uint8_t)bits };

	if (ip->family)
		memcpy(n.ip.bytes, ip->bytes, bits / 8);
	return n;
}

/* False: the limit does not count this sender. */
static bool key_of(const struct limit *x, const struct sender *from, struct key *ret)
{
	struct key k = { .limit = hash_bytes(x->text.p, x->text.n) };

	if (!(x->per & LIMIT_PER_SENDER))
		return false;
	if (x->listen && (!from->listen || !endpoint_eq(x->listen, from->listen)))
		return false;
	if (x->per & LIMIT_PER_LOGIN) {
		if (!from->login.n)
			return false;
		k.login = str_sub(from->login, 0, LOGIN_MAX);
	}
	if (x->per & (LIMIT_PER_CLIENT | LIMIT_PER_CLIENT_NETWORK)) {
		if (!from->ip.family)
			return false;
		k.network = x->per & LIMIT_PER_CLIENT ? network_of(&from->ip, 32, 64)
						      : network_of(&from->ip, 24, 48);
	}
	k.hash = hash_u64(k.limit ^ hash_bytes(k.network.ip.bytes, sizeof(k.network.ip.bytes)) ^
			  hash_u64(hash_nocase(k.login) + k.network.ip.family));
	*ret = k;
	return true;
}

static bool is_key(const struct counted *x, const struct key *k)
{
	return x->limit == k->limit && x->network.prefix == k->network.prefix &&
	       ip_eq(&x->network.ip, &k->network.ip) && str_eq_nocase(x->login, k->login);
}

static struct counted *find(const struct client_limits *l, const struct key *k)
{
	for (struct map_node *n = map_first(&l->map, k->hash); n; n = map_next(n))
		if (is_key(CONTAINER_OF(n, struct counted, node), k))
			return CONTAINER_OF(n, struct counted, node);
	return NULL;
}

/* Found or made; NULL: the table is full of those that have connections. */
static struct counted *get(struct client_limits *l, const struct key *k)
{
	struct counted *x = find(l, k);
	struct list *oldest = list_first(&l->idle);

	if (x)
		return x;
	if (l->map.n >= l->max) {
		if (!oldest)
			return NULL;
		forget(l, LIST_ENTRY(oldest, struct counted, by_use));
	}
	x = mem_zalloc(sizeof(*x) + k->login.n);
	x->limit = k->limit;
	x->network = k->network;
	if (k->login.n)
		memcpy(x + 1, k->login.p, k->login.n);
	x->login = str_make((const char *)(x + 1), k->login.n);
	map_insert(&l->map, &x->node, k->hash);
	list_init(&x->by_use);
	list_push(&l->idle, &x->by_use);
	return x;
}

static void used(struct client_limits *l, struct counted *x)
{
	list_remove(&x->by_use);
	if (!x->in_use)
		list_push(&l->idle, &x->by_use);
}

/* ---- connections */

/* Back to the first n. */
static void leave(struct client_limits *l, struct connection_counts *counts, unsigned n)
{
	while (counts->n > n) {
		struct counted *x = counts->at[--counts->n];

		x->in_use--;
		used(l, x);
	}
}

/* False: the limit is full. */
static bool enter(struct client_limits *l, const struct limit *limit, const struct key *k,
		  struct connection_counts *counts)
{
	struct counted *x = get(l, k);

	if (!x)
		return true;
	if (x->in_use >= limit->count)
		return false;
	x->in_use++;
	used(l, x);
	counts->at[counts->n++] = x;
	return true;
}

const struct limit *client_limits_connect(struct client_limits *l, const struct config *c,
					  const struct sender *from, unsigned per,
					  struct connection_counts *ret)
{
	const unsigned max = sizeof(ret->at) / sizeof(ret->at[0]), before = ret->n;
	const struct limit *full = NULL;

	pthread_mutex_lock(&l->lock);
	for (unsigned i = 0; i < c->limits_n && ret->n < max && !full; i++) {
		const struct limit *limit = &c->limits[i];
		struct key k;

		if (limit->what == LIMIT_CONNECTIONS && limit->per & per &&
		    key_of(limit, from, &k) && !enter(l, limit, &k, ret))
			full = limit;
	}
	if (full)
		leave(l, ret, before);
	pthread_mutex_unlock(&l->lock);
	return full;
}

void client_limits_disconnect(struct client_limits *l, struct connection_counts *counts,
			      unsigned keep)
{
	if (counts->n <= keep)
		return;
	pthread_mutex_lock(&l->lock);
	leave(l, counts, keep);
	pthread_mutex_unlock(&l->lock);
}

/* ---- rates */

struct charge {
	const struct limit *limit;
	struct counted *count;
	uint32_t units, units_max;
};

static uint32_t units_of(const struct limit *limit, uint64_t n)
{
	uint64_t octets_per_unit = limit->count / UNITS_MAX + 1;
	uint64_t units = n / octets_per_unit + (n % octets_per_unit != 0);

	return units > UNITS_MAX ? UNITS_MAX : (uint32_t)units;
}

static uint64_t amount_of(const struct spending *s, enum limit_what what)
{
	switch (what) {
	case LIMIT_MESSAGES:
		return s->messages;
	case LIMIT_RECIPIENTS:
		return s->recipients;
	case LIMIT_OCTETS:
		return s->octets;
	case LIMIT_HANDSHAKES:
		return s->handshakes;
	default:
		return 0;
	}
}

/* Each count is found before it is held by a pointer: a further get must not push it out. */
static unsigned charges_of(struct client_limits *l, const struct spending *s, struct charge *ret)
{
	unsigned found = 0;

	for (unsigned i = 0; i < s->config->limits_n && found < LIMITS_OF_SENDER_MAX; i++) {
		const struct limit *limit = &s->config->limits[i];
		uint64_t amount = amount_of(s, limit->what);
		struct charge *x = &ret[found];
		struct key k;

		if (!amount || !limit->count || !limit->period_ns || !key_of(limit, s->from, &k))
			continue;
		x->count = get(l, &k);
		if (!x->count)
			continue;
		used(l, x->count);	/* the newest: it outlives the next ones' get */
		x->limit = limit;
		x->units = units_of(limit, amount);
		x->units_max = units_of(limit, limit->count);
		if (!x->count->bucket)
			x->count->bucket = bucket_new(limit->period_ns, x->units_max);
		found++;
	}
	return found;
}

/* 0: it fits; else how long until it does. */
static uint64_t wait_for(const struct charge *x, uint64_t now)
{
	uint32_t spent = bucket_spent(x->count->bucket, now);
	uint32_t room = x->units < x->units_max ? x->units_max - x->units : 0;

	return spent > room ? bucket_falls_to(x->count->bucket, now, room) - now : 0;
}

static void spend(const struct charge *x, uint64_t now)
{
	uint32_t spent = bucket_spent(x->count->bucket, now);
	uint32_t left = spent < x->units_max ? x->units_max - spent : 0;

	bucket_spend(x->count->bucket, now, x->units < left ? x->units : left);
}

const struct limit *client_limits_spend(struct client_limits *l, const struct spending *x,
					uint64_t *ret_again_ns)
{
	struct charge charges[LIMITS_OF_SENDER_MAX];
	const struct limit *broken = NULL;
	uint64_t longest = 0;
	unsigned n;

	pthread_mutex_lock(&l->lock);
	n = charges_of(l, x, charges);
	for (unsigned i = 0; i < n; i++) {
		uint64_t wait = wait_for(&charges[i], x->now);

		if (wait <= longest)
			continue;
		longest = wait;
		broken = charges[i].limit;
	}
	for (unsigned i = 0; i < n && !broken; i++)
		spend(&charges[i], x->now);
	pthread_mutex_unlock(&l->lock);
	if (broken)
		*ret_again_ns = longest;
	return broken;
}

void client_limits_charge(struct client_limits *l, const struct spending *x)
{
	struct charge charges[LIMITS_OF_SENDER_MAX];
	unsigned n;

	pthread_mutex_lock(&l->lock);
	n = charges_of(l, x, charges);
	for (unsigned i = 0; i < n; i++)
		spend(&charges[i], x->now);
	pthread_mutex_unlock(&l->lock);
}
