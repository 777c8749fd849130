/*
 * health - a circuit breaker for each host (name and port), and which address family reaches it.
 *
 * After BREAK_AFTER attempts in a row that did not reach a working SMTP session the host rests,
 * longer each time, and is passed over while others of its route can be used; then one attempt
 * probes it. It decides order only: when all hosts of a route rest they are tried all the same, as
 * often as the destination's own back-off (schedule/) lets a slot through. One table for all cores,
 * because a host that is down for one is down for all; it is asked once per connection, not per
 * message, under a lock held for a few instructions.
 *
 * Only what is bad or odd is remembered, so the table's size is that of the trouble, not that of
 * the mail. It is bounded, the entry changed longest ago goes first; and separately for routes'
 * hosts and mail exchangers, or thousands of dead exchangers would make us forget that the
 * smarthost is down. To forget a host costs a few attempts that its breaker would have saved.
 *
 * IPv6 goes first (RFC 6724), unless for this host it failed lately where IPv4 did not: for
 * FAMILY_TIME the other one begins. A machine without any IPv6 (or IPv4) at all learns it from the
 * first attempt, for a minute: until then it would otherwise learn it for each host anew.
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
#define FAMILY_TIME (600 * SECOND)
#define NO_NETWORK_TIME (60 * SECOND)
#define HOSTS_MAX 4096			/* of routes */
#define EXCHANGERS_MAX 16384

/* Entries of one kind. */
struct kind {
	struct list entries;	/* the one changed longest ago first */
	size_t n, max;
};

struct entry {
	struct map_node node;
	struct list in_kind;
	struct kind *kind;
	unsigned failures;
	uint64_t until;		/* rests until; 0: works */
	uint64_t family_until;	/* .family begins until; 0: as usual */
	uint16_t port;
	uint8_t family;
	char name[];
};

struct health {
	pthread_mutex_t lock;
	struct map map;
	struct kind hosts, exchangers;
	uint64_t no_ipv4_until, no_ipv6_until;
};

static void kind_init(struct kind *k, size_t max)
{
	*k = (struct kind){ .max = max };
	list_init(&k->entries);
}

struct health *health_new(void)
{
	struct health *h = mem_zalloc(sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	kind_init(&h->hosts, HOSTS_MAX);
	kind_init(&h->exchangers, EXCHANGERS_MAX);
	return h;
}

static void entry_free(struct health *h, struct entry *e)
{
	map_remove(&h->map, &e->node);
	list_remove(&e->in_kind);
	e->kind->n--;
	mem_free(e);
}

static void kind_done(struct health *h, struct kind *k)
{
	LIST_FOR(at, &k->entries)
		entry_free(h, LIST_ENTRY(at, struct entry, in_kind));
}

void health_free(struct health *h)
{
	if (!h)
		return;
	kind_done(h, &h->hosts);
	kind_done(h, &h->exchangers);
	map_done(&h->map);
	pthread_mutex_destroy(&h->lock);
	mem_free(h);
}

static uint64_t host_hash(const struct host *host)
{
	return hash_nocase(host->name) + host->port;
}

static struct entry *entry_find(struct health *h, const struct host *host, uint64_t hash)
{
	for (struct map_node *n = map_first(&h->map, hash); n; n = map_next(n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		if (e->port == host->port && str_eq_nocase(str_of(e->name), host->name))
			return e;
	}
	return NULL;
}

static struct entry *entry_get(struct health *h, const struct host *host, uint64_t hash)
{
	struct entry *e = entry_find(h, host, hash);
	struct kind *k = host->is_exchanger ? &h->exchangers : &h->hosts;

	if (e) {
		list_remove(&e->in_kind);
		list_push(&e->kind->entries, &e->in_kind);
		return e;
	}
	if (k->n == k->max)
		entry_free(h, LIST_ENTRY(list_first(&k->entries), struct entry, in_kind));
	e = mem_zalloc(size_add(sizeof(*e), host->name.n + 1));
	e->kind = k;
	e->port = host->port;
	str_copy(e->name, host->name.n + 1, host->name);
	map_insert(&h->map, &e->node, hash);
	list_push(&k->entries, &e->in_kind);
	k->n++;
	return e;
}

enum host_state health_state(struct health *h, const struct host *host, uint64_t now,
			     uint64_t *ret_until)
{
	enum host_state state = HOST_WORKS;
	uint64_t hash = host_hash(host);
	struct entry *e;

	*ret_until = 0;
	pthread_mutex_lock(&h->lock);
	e = entry_find(h, host, hash);
	if (e && e->until) {
		*ret_until = e->until;
		state = e->until > now ? HOST_RESTS : HOST_PROBE;
	}
	pthread_mutex_unlock(&h->lock);
	return state;
}

void health_begins(struct health *h, const struct host *host, uint64_t now)
{
	uint64_t hash = host_hash(host);
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = entry_find(h, host, hash);
	if (e && e->until && e->until <= now)
		e->until = now + PROBE_TIME;
	pthread_mutex_unlock(&h->lock);
}

static void log_host(enum log_event event, const struct host *host, uint64_t rest,
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

void health_works(struct health *h, const struct host *host, uint64_t now)
{
	uint64_t hash = host_hash(host);
	struct entry *e;
	bool was_down = false;

	pthread_mutex_lock(&h->lock);
	e = entry_find(h, host, hash);
	if (e) {
		was_down = e->until;
		e->failures = 0;
		e->until = 0;
		if (e->family_until <= now)
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

void health_failed(struct health *h, const struct host *host, uint64_t now, struct str said)
{
	uint64_t rest = 0, hash = host_hash(host);
	struct entry *e;
	bool goes_down;

	pthread_mutex_lock(&h->lock);
	e = entry_get(h, host, hash);
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

/* ---- families */

void health_prefers(struct health *h, const struct host *host, int family, uint64_t now)
{
	uint64_t hash = host_hash(host);
	struct entry *e;

	pthread_mutex_lock(&h->lock);
	e = entry_get(h, host, hash);
	e->family = (uint8_t)family;
	e->family_until = now + FAMILY_TIME;
	pthread_mutex_unlock(&h->lock);
}

void health_no_network(struct health *h, int family, uint64_t now)
{
	pthread_mutex_lock(&h->lock);
	*(family == 6 ? &h->no_ipv6_until : &h->no_ipv4_until) = now + NO_NETWORK_TIME;
	pthread_mutex_unlock(&h->lock);
}

int health_first_family(struct health *h, const struct host *host, uint64_t now)
{
	uint64_t hash = host_hash(host);
	struct entry *e;
	int family = 6;

	pthread_mutex_lock(&h->lock);
	e = entry_find(h, host, hash);
	if (e && e->family_until > now)
		family = e->family;
	if (family == 6 && h->no_ipv6_until > now && h->no_ipv4_until <= now)
		family = 4;
	else if (family == 4 && h->no_ipv4_until > now && h->no_ipv6_until <= now)
		family = 6;
	pthread_mutex_unlock(&h->lock);
	return family;
}
