/*
 * health - a circuit breaker for each host of a route (name and port).
 *
 * After BREAK_AFTER attempts in a row that did not reach a working SMTP session the host rests,
 * longer each time, and is passed over while others of its route can be used; then one attempt
 * probes it. It decides order only: when all hosts of a route rest they are tried all the same, as
 * often as the destination's own back-off (schedule/) lets a slot through. One table for all cores,
 * because a host that is down for one is down for all; it is asked once per connection, not per
 * message, under a lock held for a few instructions.
 */
#include "deliver/health.h"

#include "base/hash.h"
#include "base/mem.h"
#include "net/loop.h"
#include "report/log.h"

#include <pthread.h>

#define BREAK_AFTER 3
#define REST_MIN (30 * SECOND)
#define REST_MAX (600 * SECOND)
#define PROBE_TIME (60 * SECOND)	/* how long others wait for a probe's result */
#define ENTRIES_MAX 4096

struct entry {
	struct map_node node;
	struct list in_order;	/* the one changed longest ago first */
	unsigned failures;
	uint64_t until;		/* rests until; 0: works */
	uint16_t port;
	char name[];
};

struct health {
	pthread_mutex_t lock;
	struct map map;
	struct list entries;
	size_t n;
};

struct health *health_new(void)
{
	struct health *h = mem_zalloc(sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	list_init(&h->entries);
	return h;
}

static void entry_free(struct health *h, struct entry *e)
{
	map_remove(&h->map, &e->node);
	list_remove(&e->in_order);
	h->n--;
	mem_free(e);
}

void health_free(struct health *h)
{
	if (!h)
		return;
	LIST_FOR(at, &h->entries)
		entry_free(h, LIST_ENTRY(at, struct entry, in_order));
	map_done(&h->map);
	pthread_mutex_destroy(&h->lock);
	mem_free(h);
}

static uint64_t host_hash(const struct route_host *host)
{
	return hash_nocase(host->name) + host->port;
}

static struct entry *entry_find(struct health *h, const struct route_host *host)
{
	for (struct map_node *n = map_first(&h->map, host_hash(host)); n; n = map_next(n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		if (e->port == host->port && str_eq_nocase(str_of(e->name), host->name))
			return e;
	}
	return NULL;
}

static struct entry *entry_get(struct health *h, const struct route_host *host)
{
	struct entry *e = entry_find(h, host);

	if (e) {
		list_remove(&e->in_order);
	} else {
		if (h->n == ENTRIES_MAX)
			entry_free(h, LIST_ENTRY(list_first(&h->entries), struct entry, in_order));
		e = mem_zalloc(size_add(sizeof(*e), host->name.n + 1));
		e->port = host->port;
		str_copy(e->name, host->name.n + 1, host->name);
		map_insert(&h->map, &e->node, host_hash(host));
		h->n++;
	}
	list_push(&h->entries, &e->in_order);
	return e;
}

enum host_state health_state(struct health *h, const struct route_host *host, uint64_t now,
			     uint64_t *ret_until)
{
	enum host_state state = HOST_WORKS;
	struct entry *e;

	*ret_until = 0;
	pthread_mutex_lock(&h->lock);
	e = entry_find(h, host);
	if (e && e->until) {
		*ret_until = e->until;
		state = e->until > now ? HOST_RESTS : HOST_PROBE;
	}
	pthread_mutex_unlock(&h->lock);
	return state;
}

void health_begins(struct health *h, const struct route_host *host, uint64_t now)
{
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = entry_find(h, host);
	if (e && e->until && e->until <= now)
		e->until = now + PROBE_TIME;
	pthread_mutex_unlock(&h->lock);
}

static void log_host(enum log_event event, const struct route_host *host, uint64_t rest,
		     struct str said)
{
	log_begin(event);
	log_str("host", host->name);
	log_u64("port", host->port);
	if (rest)
		log_u64("seconds", rest / SECOND);
	log_str("why", said);
	log_end();
}

void health_works(struct health *h, const struct route_host *host)
{
	struct entry *e;
	bool was_down = false;

	pthread_mutex_lock(&h->lock);
	e = entry_find(h, host);
	if (e) {
		was_down = e->until;
		entry_free(h, e);
	}
	pthread_mutex_unlock(&h->lock);
	if (was_down)
		log_host(LOG_HOST_UP, host, 0, STR_NONE);
}

/* 30 s, 1 min, 2 min ... 10 min. */
static uint64_t rest_after(unsigned failures)
{
	unsigned doublings = failures - BREAK_AFTER;
	uint64_t rest = doublings > 8 ? REST_MAX : REST_MIN << doublings;

	return rest < REST_MAX ? rest : REST_MAX;
}

void health_failed(struct health *h, const struct route_host *host, uint64_t now, struct str said)
{
	uint64_t rest = 0;
	struct entry *e;
	bool goes_down;

	pthread_mutex_lock(&h->lock);
	e = entry_get(h, host);
	e->failures++;
	goes_down = e->failures >= BREAK_AFTER && !e->until;
	if (e->failures >= BREAK_AFTER) {
		rest = rest_after(e->failures);
		e->until = now + rest;
	}
	pthread_mutex_unlock(&h->lock);
	if (goes_down)
		log_host(LOG_HOST_DOWN, host, rest, said);
}
