/*
 * bans - see bans.h.
 *
 * Two tables of the same kind, for networks and for names: a hash map and a list by last use. When
 * a table is full, the entry that was longest unused goes, bans apart, which are passed over as far
 * as a few steps go: memory is bounded by entries_max whatever comes, at worst a ban is forgotten.
 * An entry counts thousandths of failures, which drain evenly: slower than one in forget_ms one may
 * guess for ever, which is some dozens of guesses a day.
 *
 * One lock for both: what is held under it is a look-up.
 */
#include "policy/bans_inner.h"

#include "base/mem.h"
#include "net/loop.h"

#include <errno.h>

#define PASSED_OVER_MAX 16 /* banned entries, in the search for one to forget */
#define DOUBLINGS_MAX 20

const struct ban_limits ban_limits_default = {
	.free = 3,
	.forget_ms = 10 * 60 * 1000,
	.delay_ms = 1000,
	.delay_max_ms = 30 * 1000,
	.name_delay_max_ms = 5 * 1000,
	.ban_after = 20,
	.ban_ms = 15 * 60 * 1000,
	.ban_max_ms = 24 * 60 * 60 * 1000,
	.entries_max = 50000,
};

static void counts_init(struct counts *c)
{
	map_init(&c->map);
	list_init(&c->by_use);
}

static void counts_done(struct counts *c)
{
	LIST_FOR(at, &c->by_use)
	mem_free(LIST_ENTRY(at, struct count, by_use));
	map_done(&c->map);
}

struct bans *bans_new(const struct ban_limits *l)
{
	struct bans *b = mem_zalloc(sizeof(*b));

	b->limits = *l;
	pthread_mutex_init(&b->lock, NULL);
	counts_init(&b->networks);
	counts_init(&b->names);
	return b;
}

void bans_free(struct bans *b)
{
	if (!b)
		return;
	kept_free(b->kept);
	counts_done(&b->networks);
	counts_done(&b->names);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}

void bans_set_limits(struct bans *b, const struct ban_limits *l)
{
	unsigned entries_max;

	pthread_mutex_lock(&b->lock);
	entries_max = b->limits.entries_max;
	b->limits = *l;
	b->limits.entries_max = entries_max;
	pthread_mutex_unlock(&b->lock);
}

/* ---- keys */

static struct ip network_of(const struct ip *ip)
{
	struct ip n = {.family = ip->family};

	memcpy(n.bytes, ip->bytes, ip->family == 6 ? 8 : 4);
	return n;
}

static uint64_t hash_of_name(struct str name)
{
	return hash_nocase(str_sub(name, 0, 255));
}

static struct count *find(const struct counts *c, const struct ip *network, uint64_t hash)
{
	for (struct map_node *at = map_first(&c->map, hash); at; at = map_next(at)) {
		struct count *found = CONTAINER_OF(at, struct count, node);

		if (!network || ip_eq(&found->network, network))
			return found;
	}
	return NULL;
}

static struct count *find_network(const struct bans *b, const struct ip *client)
{
	struct ip network = network_of(client);

	return find(&b->networks, &network, ip_hash(&network));
}

/* ---- room */

static void forget(struct bans *b, struct counts *c, struct count *n)
{
	b->banned -= n->banned_until != 0;
	map_remove(&c->map, &n->node);
	list_remove(&n->by_use);
	mem_free(n);
}

/* The one longest unused; banned ones are passed over for some steps. */
static void make_room(struct bans *b, struct counts *c, uint64_t now)
{
	struct count *oldest = NULL;
	unsigned steps = 0;

	if (c->map.n < b->limits.entries_max)
		return;
	LIST_FOR(at, &c->by_use)
	{
		struct count *n = LIST_ENTRY(at, struct count, by_use);

		if (!oldest)
			oldest = n;
		if (n->banned_until <= now || steps++ >= PASSED_OVER_MAX) {
			oldest = n->banned_until <= now ? n : oldest;
			break;
		}
	}
	if (oldest)
		forget(b, c, oldest);
}

static struct count *add(struct bans *b, struct counts *c, uint64_t hash, uint64_t now)
{
	struct count *n;

	make_room(b, c, now);
	n = mem_zalloc(sizeof(*n));
	n->drained = now;
	list_init(&n->by_use);
	map_insert(&c->map, &n->node, hash);
	list_push(&c->by_use, &n->by_use);
	return n;
}

struct count *bans_network(struct bans *b, const struct ip *network, uint64_t now)
{
	struct count *n = find(&b->networks, network, ip_hash(network));

	if (!n) {
		n = add(b, &b->networks, ip_hash(network), now);
		n->network = *network;
	}
	return n;
}

/* ---- counting */

void bans_drain(const struct bans *b, struct count *n, uint64_t now)
{
	uint64_t each = b->limits.forget_ms * MILLISECOND / BANS_ONE;
	uint64_t gone = each && now > n->drained ? (now - n->drained) / each : 0;

	if (gone >= n->level) {
		n->level = 0;
		n->drained = now > n->drained ? now : n->drained;
		return;
	}
	n->level -= (uint32_t)gone;
	n->drained += gone * each;
}

static void raise_level(const struct bans *b, struct counts *c, struct count *n, uint64_t now)
{
	bans_drain(b, n, now);
	if (n->level < BANS_LEVEL_MAX)
		n->level += BANS_ONE;
	list_remove(&n->by_use);
	list_push(&c->by_use, &n->by_use);
}

/* first doubled so many times, at most max */
static uint64_t doubled(uint64_t first, unsigned times, uint64_t max)
{
	uint64_t v = first << (times < DOUBLINGS_MAX ? times : DOUBLINGS_MAX);

	return v < max ? v : max;
}

/* A part of one counts as one: else the first delay would end at once, and no Nth guess ban. */
static unsigned failures_of(const struct count *n)
{
	return (n->level + BANS_ONE - 1) / BANS_ONE;
}

static bool ban_if_due(struct bans *b, struct count *n, uint64_t now)
{
	const struct ban_limits *l = &b->limits;

	if (!l->ban_after || failures_of(n) < l->ban_after || n->banned_until > now)
		return false;
	b->banned += n->banned_until == 0;
	n->banned_until = now + doubled(l->ban_ms, n->bans, l->ban_max_ms) * MILLISECOND;
	n->bans++;
	n->level = l->free * BANS_ONE; /* back from the ban, the next failures cost time again */
	return true;
}

bool bans_failed(struct bans *b, const struct ip *client, struct str name, uint64_t credential,
		 uint64_t now)
{
	struct ip network = network_of(client);
	struct count *n;
	bool is_banned = false;

	pthread_mutex_lock(&b->lock);
	n = bans_network(b, &network, now);
	if (!credential || n->credential != credential) {
		raise_level(b, &b->networks, n, now);
		is_banned = ban_if_due(b, n, now);
	}
	n->credential = credential;
	if (name.n) {
		n = find(&b->names, NULL, hash_of_name(name));
		if (!n)
			n = add(b, &b->names, hash_of_name(name), now);
		if (!credential || n->credential != credential)
			raise_level(b, &b->names, n, now);
		n->credential = credential;
	}
	pthread_mutex_unlock(&b->lock);
	kept_changed(b->kept);
	return is_banned;
}

void bans_succeeded(struct bans *b, struct str name)
{
	struct count *n;

	pthread_mutex_lock(&b->lock);
	n = find(&b->names, NULL, hash_of_name(name));
	if (n)
		forget(b, &b->names, n);
	pthread_mutex_unlock(&b->lock);
}

/* ---- consequences */

static unsigned delay_of(const struct bans *b, struct count *n, unsigned max_ms, uint64_t now)
{
	unsigned beyond;

	if (!n)
		return 0;
	bans_drain(b, n, now);
	beyond = failures_of(n);
	if (beyond <= b->limits.free)
		return 0;
	return (unsigned)doubled(b->limits.delay_ms, beyond - b->limits.free - 1, max_ms);
}

unsigned bans_delay_ms(struct bans *b, const struct ip *client, struct str name, uint64_t now)
{
	unsigned network, by_name = 0;

	pthread_mutex_lock(&b->lock);
	network = delay_of(b, find_network(b, client), b->limits.delay_max_ms, now);
	if (name.n)
		by_name = delay_of(b, find(&b->names, NULL, hash_of_name(name)),
				   b->limits.name_delay_max_ms, now);
	pthread_mutex_unlock(&b->lock);
	return network > by_name ? network : by_name;
}

/* Under the lock: a ban that is over leaves the entry with its count of bans. */
static uint64_t banned_until(struct bans *b, struct count *n, uint64_t now)
{
	if (!n || !n->banned_until)
		return 0;
	if (n->banned_until > now)
		return n->banned_until;
	n->banned_until = 0;
	b->banned--;
	return 0;
}

uint64_t bans_banned_ms(struct bans *b, const struct ip *client, uint64_t now)
{
	uint64_t until;

	pthread_mutex_lock(&b->lock);
	until = banned_until(b, find_network(b, client), now);
	pthread_mutex_unlock(&b->lock);
	return until ? (until - now + MILLISECOND - 1) / MILLISECOND : 0;
}

bool bans_lift(struct bans *b, const struct ip *client, uint64_t now)
{
	struct count *n;
	bool was;

	pthread_mutex_lock(&b->lock);
	n = find_network(b, client);
	was = banned_until(b, n, now) != 0;
	if (n)
		forget(b, &b->networks, n);
	pthread_mutex_unlock(&b->lock);
	kept_changed(b->kept);
	return was;
}

void bans_stats(struct bans *b, struct bans_stats *ret)
{
	pthread_mutex_lock(&b->lock);
	*ret = (struct bans_stats){.networks = (unsigned)b->networks.map.n,
				   .names = (unsigned)b->names.map.n,
				   .banned = b->banned};
	pthread_mutex_unlock(&b->lock);
}

int bans_pause(unsigned delay_ms, uint64_t deadline)
{
	uint64_t until = in_ms(delay_ms);
	bool is_cut = until > deadline;
	int r;

	if (!delay_ms)
		return 0;
	r = task_sleep_until(is_cut ? deadline : until);
	return r < 0 ? r : is_cut ? -ETIMEDOUT : 0;
}
