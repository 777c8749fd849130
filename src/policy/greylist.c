/*
 * greylist - see greylist.h.
 *
 * Keys are the first 128 bits of SHA-256 over what is compared: the same in every process, so that
 * they can be kept, and of no use to who reads the file. Two tables, triples and networks, each
 * with a list by last use.
 *
 * A network is named by its octets and the registered part of its verified name as far as that can
 * be told without a list of suffixes: the name without its first label, if three are left with it.
 * So a pool of senders (mta1.example.org, mta2.example.org in one /24) is one, and a hoster's
 * customers with names of their own in one /24 are not.
 */
#include "policy/greylist_inner.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <openssl/evp.h>

#define SENDER_MAX 512

struct greylist *greylist_new(unsigned triples_max, unsigned networks_max)
{
	struct greylist *g = mem_zalloc(sizeof(*g));

	pthread_mutex_init(&g->lock, NULL);
	for (unsigned i = 0; i < GREYLIST_KINDS; i++) {
		map_init(&g->kinds[i].map);
		list_init(&g->kinds[i].by_use);
	}
	g->kinds[GREYLIST_TRIPLE].max = triples_max;
	g->kinds[GREYLIST_NETWORK].max = networks_max;
	return g;
}

void greylist_free(struct greylist *g)
{
	if (!g)
		return;
	kept_free(g->kept);
	for (unsigned i = 0; i < GREYLIST_KINDS; i++) {
		LIST_FOR(at, &g->kinds[i].by_use)
			mem_free(LIST_ENTRY(at, struct grey, by_use));
		map_done(&g->kinds[i].map);
	}
	pthread_mutex_destroy(&g->lock);
	mem_free(g);
}

void greylist_stats(struct greylist *g, struct greylist_stats *ret)
{
	pthread_mutex_lock(&g->lock);
	ret->triples = (unsigned)g->kinds[GREYLIST_TRIPLE].map.n;
	ret->networks = (unsigned)g->kinds[GREYLIST_NETWORK].map.n;
	pthread_mutex_unlock(&g->lock);
}

/* ---- keys */

static void add_lower(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_byte(b, ascii_lower(s.p[i]));
}

static bool has_digit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_is_digit(s.p[i]))
			return true;
	return false;
}

void greylist_sender(struct str sender, struct buf *ret)
{
	ssize_t at = str_rfind(sender, '@');
	struct str local = str_sub(sender, 0, at < 0 ? sender.n : (size_t)at);

	for (size_t i = 0, from = 0; i <= local.n; i++) {
		struct str word = str_sub(local, from, i);

		if (i < local.n && ascii_is_alnum(local.p[i]))
			continue;
		if (has_digit(word))
			buf_add_byte(ret, '#');
		else
			add_lower(ret, word);
		if (i < local.n)
			buf_add_byte(ret, local.p[i]);
		from = i + 1;
	}
	add_lower(ret, str_from(sender, local.n));
}

static void digest_of(const struct buf *b, unsigned char ret[GREYLIST_DIGEST])
{
	unsigned char all[EVP_MAX_MD_SIZE];
	unsigned n = sizeof(all);

	EVP_Digest(b->p, b->n, all, &n, EVP_sha256(), NULL);
	memcpy(ret, all, GREYLIST_DIGEST);
}

static void add_network(struct buf *b, const struct ip *ip)
{
	buf_add_byte(b, (char)ip->family);
	buf_add(b, ip->bytes, ip->family == 6 ? 8 : 3);
}

static void triple_digest(const struct greylist_triple *x, unsigned char ret[GREYLIST_DIGEST])
{
	struct buf b = BUF_INIT(4 * SENDER_MAX), sender = BUF_INIT(SENDER_MAX);

	greylist_sender(x->sender, &sender);
	add_network(&b, &x->client);
	buf_add_str16(&b, buf_str(&sender));
	add_lower(&b, str_sub(x->recipient, 0, SENDER_MAX));
	digest_of(&b, ret);
	buf_done(&sender);
	buf_done(&b);
}

static struct str domain_of(struct str name)
{
	ssize_t dot = str_find(name, '.');

	if (dot < 0 || str_find(str_from(name, (size_t)dot + 1), '.') < 0)
		return name;
	return str_from(name, (size_t)dot + 1);
}

static void network_digest(const struct ip *ip, struct str name, unsigned char ret[GREYLIST_DIGEST])
{
	struct buf b = BUF_INIT(SENDER_MAX);

	add_network(&b, ip);
	add_lower(&b, str_sub(domain_of(name), 0, 255));
	digest_of(&b, ret);
	buf_done(&b);
}

/* ---- entries, under the lock */

static uint64_t hash_of(const unsigned char *digest)
{
	return get_u64(digest);
}

struct grey *greylist_find(struct greylist *g, enum greylist_kind k, const unsigned char *digest)
{
	const struct map *m = &g->kinds[k].map;

	for (struct map_node *n = map_first(m, hash_of(digest)); n; n = map_next(n)) {
		struct grey *x = CONTAINER_OF(n, struct grey, node);

		if (memcmp(x->digest, digest, GREYLIST_DIGEST) == 0)
			return x;
	}
	return NULL;
}

struct grey *greylist_add(struct greylist *g, enum greylist_kind k, const unsigned char *digest)
{
	struct greys *all = &g->kinds[k];
	struct grey *x;

	if (all->map.n >= all->max) {
		x = LIST_ENTRY(list_first(&all->by_use), struct grey, by_use);
		map_remove(&all->map, &x->node);
		list_remove(&x->by_use);
		memset(x, 0, sizeof(*x));
	} else {
		x = mem_zalloc(sizeof(*x));
	}
	memcpy(x->digest, digest, GREYLIST_DIGEST);
	map_insert(&all->map, &x->node, hash_of(digest));
	list_push(&all->by_use, &x->by_use);
	return x;
}

static struct grey *get(struct greylist *g, enum greylist_kind k, const unsigned char *digest,
			int64_t now_ms)
{
	struct grey *x = greylist_find(g, k, digest);

	kept_changed(g->kept);
	if (!x)
		return greylist_add(g, k, digest);
	if (x->until_ms <= now_ms) {	/* forgotten: it begins anew */
		x->good = 0;
		x->first_ms = 0;
	}
	list_remove(&x->by_use);
	list_push(&g->kinds[k].by_use, &x->by_use);
	return x;
}

/* ---- the answers */

/* The sum may be "for ever". */
static int64_t later(int64_t at_ms, uint64_t by_ms)
{
	int64_t r;

	return __builtin_add_overflow(at_ms, by_ms, &r) ? INT64_MAX : r;
}

static bool network_passes(struct greylist *g, const struct ip *ip, struct str name, int64_t now_ms)
{
	unsigned char digest[GREYLIST_DIGEST];
	const struct grey *x;

	if (!name.n)
		return false;
	network_digest(ip, name, digest);
	x = greylist_find(g, GREYLIST_NETWORK, digest);
	return x && x->good >= GREYLIST_GOOD && x->until_ms > now_ms;
}

static enum greylist_answer ask(const struct greylist_times *t, struct grey *x, int64_t now_ms,
				uint64_t *ret_seconds)
{
	enum greylist_answer a = x->good ? GREYLIST_PASS : GREYLIST_PASSED;
	int64_t from_ms;

	if (!x->first_ms || x->first_ms > now_ms) {	/* new, or the clock went back */
		x->first_ms = now_ms;
		x->until_ms = later(later(now_ms, t->delay_ms), t->window_ms);
	}
	from_ms = later(x->first_ms, t->delay_ms);
	if (!x->good && now_ms < from_ms) {
		*ret_seconds = (uint64_t)(from_ms - now_ms + 999) / 1000;
		return GREYLIST_WAIT;
	}
	x->good = 1;
	x->until_ms = later(now_ms, t->pass_ms);
	return a;
}

enum greylist_answer greylist_ask(struct greylist *g, const struct greylist_times *t,
				  const struct greylist_triple *x, int64_t now_ms,
				  uint64_t *ret_seconds)
{
	unsigned char digest[GREYLIST_DIGEST];
	enum greylist_answer a = GREYLIST_PASS;

	triple_digest(x, digest);
	pthread_mutex_lock(&g->lock);
	if (!network_passes(g, &x->client, x->name, now_ms))
		a = ask(t, get(g, GREYLIST_TRIPLE, digest, now_ms), now_ms, ret_seconds);
	pthread_mutex_unlock(&g->lock);
	return a;
}

void greylist_good(struct greylist *g, const struct greylist_times *t, const struct ip *client,
		   struct str name, int64_t now_ms)
{
	unsigned char digest[GREYLIST_DIGEST];
	struct grey *x;

	if (!name.n)
		return;
	network_digest(client, name, digest);
	pthread_mutex_lock(&g->lock);
	x = get(g, GREYLIST_NETWORK, digest, now_ms);
	x->first_ms = now_ms;
	x->until_ms = later(now_ms, t->pass_ms);
	x->good += x->good < GREYLIST_GOOD;
	pthread_mutex_unlock(&g->lock);
}

bool greylist_is_good(struct greylist *g, const struct ip *client, struct str name, int64_t now_ms)
{
	bool is;

	pthread_mutex_lock(&g->lock);
	is = network_passes(g, client, name, now_ms);
	pthread_mutex_unlock(&g->lock);
	return is;
}
