/*
 * recipients - see recipients.h.
 *
 * A map of (route, address without case) and two lists by last use: who exists, and the others. An
 * entry without an address stands for the route's hosts: until when nobody tries to ask them.
 *
 * When it is full the oldest of the others goes, as long as they have more than their share: a
 * flood of names that do not exist must not push out who does, which is what the relay lives on
 * while the primary is down. Their share is theirs, or in front of a large domain each of them
 * would be asked about again and again.
 *
 * Sessions that want to know the same address at once are not matched up: questions go through a
 * gate of a few at once, and behind it the table is looked at again, so that a burst about one
 * address costs a few questions at most.
 */
#include "policy/recipients_inner.h"

#include "base/mem.h"
#include "config/table.h"
#include "net/loop.h"

#include <errno.h>

#define WAITING_MAX 1000
#define OTHERS_SHARE 4	/* one entry of so many is for those who do not exist */

/* How long a word is believed. */
static const int64_t lasts_ms[] = {
	[WORD_YES] = 24 * 3600 * 1000, [WORD_NO] = 3600 * 1000, [WORD_NONE] = 30 * 1000,
};

struct recipients *recipients_new(const struct recipients_ask *ask, unsigned max)
{
	struct recipients *x = mem_zalloc(sizeof(*x));

	x->ask = *ask;
	x->max = max;
	gate_init(&x->gate, RECIPIENTS_AT_ONCE, WAITING_MAX);
	pthread_mutex_init(&x->lock, NULL);
	map_init(&x->map);
	list_init(&x->existing);
	list_init(&x->others);
	return x;
}

static void forget(struct recipients *x, struct known *k)
{
	map_remove(&x->map, &k->node);
	list_remove(&k->by_use);
	x->others_n -= k->word != WORD_YES;
	mem_free(k);
}

static void forget_oldest(struct recipients *x)
{
	bool of_others = x->others_n > x->max / OTHERS_SHARE || list_is_empty(&x->existing);
	struct list *oldest = list_first(of_others ? &x->others : &x->existing);

	forget(x, LIST_ENTRY(oldest, struct known, by_use));
}

void recipients_free(struct recipients *x)
{
	if (!x)
		return;
	kept_free(x->kept);
	while (x->map.n)
		forget_oldest(x);
	map_done(&x->map);
	gate_done(&x->gate);
	pthread_mutex_destroy(&x->lock);
	mem_free(x);
}

unsigned recipients_count(struct recipients *x)
{
	unsigned n;

	pthread_mutex_lock(&x->lock);
	n = (unsigned)x->map.n;
	pthread_mutex_unlock(&x->lock);
	return n;
}

/* ---- what is known */

static uint64_t hash_of(const struct name *route, struct str address)
{
	return hash_u64((route ? route->hash : 0) ^ hash_nocase(address));
}

/* It was used just now. */
static void renew(struct recipients *x, struct known *k)
{
	list_remove(&k->by_use);
	list_push(k->word == WORD_YES ? &x->existing : &x->others, &k->by_use);
}

static struct known *find(struct recipients *x, const struct name *route, struct str address)
{
	uint64_t hash = hash_of(route, address);

	for (struct map_node *n = map_first(&x->map, hash); n; n = map_next(n)) {
		struct known *k = CONTAINER_OF(n, struct known, node);

		if (k->route != route || !str_eq_nocase(k->address, address))
			continue;
		renew(x, k);
		return k;
	}
	return NULL;
}

void recipients_learn(struct recipients *x, const struct name *route, struct str address,
		      enum recipient_word word, int64_t until_ms)
{
	struct known *k;

	pthread_mutex_lock(&x->lock);
	k = find(x, route, address);
	if (!k) {
		if (x->map.n >= x->max)
			forget_oldest(x);
		k = mem_zalloc(size_add(sizeof(*k), address.n));
		if (address.n)
			memcpy(k + 1, address.p, address.n);
		k->address = str_make((const char *)(k + 1), address.n);
		k->route = route;
		k->word = WORD_YES;	/* so far nobody has counted it among the others */
		list_init(&k->by_use);
		map_insert(&x->map, &k->node, hash_of(route, address));
	}
	x->others_n -= k->word != WORD_YES;
	x->others_n += word != WORD_YES;
	k->word = (uint8_t)word;
	k->until_ms = until_ms;
	renew(x, k);
	pthread_mutex_unlock(&x->lock);
	if (address.n)
		kept_changed(x->kept);
}

struct memory {
	bool is_fresh;			/* .word holds, there is nothing to be asked */
	bool existed;			/* some time */
	bool is_down;			/* the hosts could not be reached a moment ago */
	enum recipient_word word;
};

/* Nothing is believed for longer because the clock was set back. */
static bool is_fresh(const struct known *k, int64_t now_ms)
{
	return now_ms < k->until_ms && k->until_ms - now_ms <= lasts_ms[k->word];
}

static struct memory recall(struct recipients *x, const struct name *route, struct str address)
{
	struct memory m = { .word = WORD_NONE };
	int64_t now_ms = loop_wall_ms();
	const struct known *k;

	pthread_mutex_lock(&x->lock);
	k = find(x, route, address);
	if (k) {
		m.is_fresh = is_fresh(k, now_ms);
		m.word = k->word;
		m.existed = k->word == WORD_YES;
	}
	k = find(x, route, STR_NONE);
	m.is_down = k && is_fresh(k, now_ms);
	pthread_mutex_unlock(&x->lock);
	return m;
}

/* ---- asking */

static void learn(struct recipients *x, const struct route *r, struct str address,
		  enum recipient_word word)
{
	int64_t until_ms = loop_wall_ms() + lasts_ms[word];

	if (word == WORD_YES || word == WORD_NO)
		recipients_learn(x, r->base, address, word, until_ms);
	else if (word == WORD_NONE)
		recipients_learn(x, r->base, STR_NONE, word, until_ms);
}

/* Behind the gate: another session may have asked meanwhile. */
static int ask_inside(struct recipients *x, const struct config *c, const struct route *r,
		      struct str address, struct memory *m) SUSPENDS
{
	int word;

	*m = recall(x, r->base, address);
	if (m->is_fresh)
		return m->word;
	if (m->is_down)
		return WORD_NONE;
	word = x->ask.ask(x->ask.arg, c, r, address);
	if (word >= 0)
		learn(x, r, address, (enum recipient_word)word);
	return word;
}

static int ask(struct recipients *x, const struct config *c, const struct route *r,
	       struct str address, uint64_t deadline, struct memory *m) SUSPENDS
{
	int word;

	*m = recall(x, r->base, address);
	if (m->is_fresh)
		return m->word;
	if (m->is_down || !x->ask.ask)
		return WORD_NONE;
	word = gate_enter(&x->gate, deadline);
	if (word < 0)
		return word == -ECANCELED ? word : WORD_NONE;
	word = ask_inside(x, c, r, address, m);
	gate_leave(&x->gate);
	return word;
}

static int known(enum recipient_known k, struct reply *ret)
{
	if (k == RECIPIENT_MISSING)
		*ret = REPLY(550, 5, 1, 1, "No such recipient here");
	else if (k == RECIPIENT_LATER)
		*ret = REPLY(450, 4, 2, 0, "The recipient's server will not say now");
	return (int)k;
}

int recipients_known(struct recipients *x, const struct config *c, const struct route *r,
		     const struct address *recipient, uint64_t deadline, struct reply *ret)
{
	struct memory m;
	int word;

	if (r->recipients && table_has_address(r->recipients, recipient->local, recipient->domain))
		return RECIPIENT_EXISTS;
	if (!r->callout || r->is_mx)
		return known(r->recipients ? RECIPIENT_MISSING : RECIPIENT_EXISTS, ret);
	word = ask(x, c, r, recipient->whole, deadline, &m);
	switch (word) {
	case WORD_YES:
		return RECIPIENT_EXISTS;
	case WORD_NO:
		return known(RECIPIENT_MISSING, ret);
	case WORD_LATER:
		return known(m.existed ? RECIPIENT_EXISTS : RECIPIENT_LATER, ret);
	case WORD_NONE:
		return m.existed ? RECIPIENT_EXISTS : RECIPIENT_UNSURE;
	default:
		return word;
	}
}

enum recipient_word recipients_word(const struct reply *r)
{
	struct enhanced e = r->enhanced;

	if (reply_is_positive(r))
		return WORD_YES;
	if (reply_is_temporary(r))
		return WORD_LATER;
	if (!reply_is_permanent(r))
		return WORD_NONE;
	/* Full, or too big for him: he exists. Refused for what we are: says nothing of him. */
	if (e.class == 5 && e.subject == 2)
		return e.detail == 1 ? WORD_NO : WORD_YES;
	if (e.class == 5)
		return e.subject == 1 ? WORD_NO : WORD_NONE;
	return r->code == 550 || r->code == 551 || r->code == 553 ? WORD_NO : WORD_NONE;
}
