/*
 * hosts - names to addresses: see hosts.h.
 *
 * An answer is kept for ANSWER_NS, a failure for FAILURE_NS: getaddrinfo does not tell how long an
 * answer may be used, and it knows more sources than the DNS (/etc/hosts). A full cache forgets
 * what was asked for longest ago. MX, TLSA and real times to live are for the resolver that will
 * stand here instead.
 */
#include "dns/hosts.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define ANSWER_NS (60 * SECOND)
#define FAILURE_NS (5 * SECOND)
#define ENTRIES_MAX 1024	/* per loop */
#define NAME_MAX_OCTETS 255

struct entry {
	struct map_node node;
	struct list in_cache;		/* last asked for at the end */
	struct list waiters;		/* struct waiter */
	struct cache *cache;
	uint64_t until;			/* when the answer is too old */
	bool pending;
	int result;			/* how many addresses, or -errno */
	struct ip ips[HOSTS_ADDRESSES_MAX];
	char name[];
};

struct waiter {
	struct list link;
	struct task *task;
};

struct cache {
	struct map map;
	struct list entries;
	struct task_group lookups;
	unsigned n;
};

struct hosts {
	unsigned n;			/* loops; the net may be gone before us */
	struct cache *caches;		/* owned; one per loop */
};

struct hosts *hosts_new(struct net *n)
{
	struct hosts *h = mem_zalloc(sizeof(*h));

	h->n = net_workers(n);
	h->caches = mem_calloc(net_workers(n), sizeof(*h->caches));
	for (unsigned i = 0; i < h->n; i++) {
		list_init(&h->caches[i].entries);
		task_group_init(&h->caches[i].lookups);
	}
	return h;
}

static void entry_free(struct entry *e)
{
	assert(!e->pending && list_is_empty(&e->waiters));
	map_remove(&e->cache->map, &e->node);
	list_remove(&e->in_cache);
	e->cache->n--;
	mem_free(e);
}

void hosts_free(struct hosts *h)
{
	if (!h)
		return;
	for (unsigned i = 0; i < h->n; i++) {
		LIST_FOR(at, &h->caches[i].entries)
			entry_free(LIST_ENTRY(at, struct entry, in_cache));
		map_done(&h->caches[i].map);
	}
	mem_free(h->caches);
	mem_free(h);
}

/* ---- a lookup, in a task of its own */

struct question {
	struct world *world;
	const char *name;
	struct ip ips[HOSTS_ADDRESSES_MAX];
};

static int look_up(void *arg)
{
	struct question *q = arg;

	return q->world->lookup(q->world, q->name, q->ips, HOSTS_ADDRESSES_MAX);
}

static void lookup_run(void *arg)
{
	struct entry *e = arg;
	struct question q = { .world = world_self(), .name = e->name };
	int r = net_offload(look_up, &q);

	e->result = r == 0 ? -ENOENT : r;
	if (r > 0)
		memcpy(e->ips, q.ips, (size_t)r * sizeof(*q.ips));
	e->until = loop_now() + (r > 0 ? ANSWER_NS : FAILURE_NS);
	e->pending = false;
	LIST_FOR(at, &e->waiters)
		task_wake(LIST_ENTRY(at, struct waiter, link)->task);
}

/* ---- the cache */

static struct entry *entry_find(struct cache *c, struct str name, uint64_t hash)
{
	for (struct map_node *n = map_first(&c->map, hash); n; n = map_next(n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		if (str_eq_nocase(str_of(e->name), name))
			return e;
	}
	return NULL;
}

static void make_room(struct cache *c)
{
	LIST_FOR(at, &c->entries) {
		struct entry *e = LIST_ENTRY(at, struct entry, in_cache);

		if (c->n < ENTRIES_MAX)
			return;
		if (!e->pending && list_is_empty(&e->waiters))
			entry_free(e);
	}
}

static struct entry *entry_get(struct cache *c, struct str name)
{
	uint64_t hash = hash_nocase(name);
	struct entry *e = entry_find(c, name, hash);

	if (e) {
		list_remove(&e->in_cache);
	} else {
		make_room(c);
		e = mem_zalloc(size_add(sizeof(*e), name.n + 1));
		e->cache = c;
		str_copy(e->name, name.n + 1, name);
		list_init(&e->waiters);
		map_insert(&c->map, &e->node, hash);
		c->n++;
	}
	list_push(&c->entries, &e->in_cache);
	return e;
}

/* Wait for the lookup; an entry that is pending or has waiters does not go. */
static int entry_wait(struct entry *e, uint64_t deadline) SUSPENDS
{
	struct waiter w = { .task = task_self() };
	int r = 0;

	list_push(&e->waiters, &w.link);
	while (r == 0 && e->pending)
		r = task_wait(deadline);
	list_remove(&w.link);
	return r;
}

int hosts_lookup(struct hosts *h, struct str name, struct ip *ret, int max, uint64_t deadline)
{
	struct cache *c = &h->caches[loop_index(loop_self())];
	struct entry *e;
	int r;

	if (name.n == 0 || name.n > NAME_MAX_OCTETS || str_has_control(name))
		return -ENOENT;
	e = entry_get(c, name);
	if (!e->pending && e->until <= loop_now()) {
		if (!task_start(&c->lookups, lookup_run, e, "lookup"))
			return -EAGAIN;
		e->pending = true;
	}
	if (e->pending) {
		r = entry_wait(e, deadline);
		if (r < 0)
			return r;
	}
	r = e->result < max ? e->result : max;
	if (r > 0)
		memcpy(ret, e->ips, (size_t)r * sizeof(*ret));
	return r;
}

void hosts_wait(struct hosts *h)
{
	task_group_wait(&h->caches[loop_index(loop_self())].lookups, NEVER);
}
