/*
 * cache - questions under way and answers kept, per loop; see dns.h and inner.h.
 *
 * An entry is pending (asked, the answer not here yet) or holds its answer. The answer comes on
 * whatever thread the world calls done on; that one writes only .arrived, and a post carries the
 * entry home, so the cache itself needs no lock. Entries that have neither waiters nor a question
 * under way stand in the list of those that may go, last used at its end; the bounds hold for all
 * entries, but those that are waited for are bounded by the number of tasks.
 *
 * A question that was cancelled because its last waiter left may find a new waiter before it has
 * ended: then it is asked again. A failure is kept for a time that doubles while it lasts.
 */
#include "dns/inner.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>

#define ENTRIES_MAX 8192		/* per loop */
#define OCTETS_MAX (4 * 1024 * 1024)	/* per loop */
#define KEEP_MIN (5 * SECOND)
#define KEEP_MAX (3600 * SECOND)
#define FAILURE_MAX (60 * SECOND)

struct entry {
	struct map_node node;
	struct list in_cache;		/* in .idle, if nothing keeps it */
	struct list waiters;		/* struct question */
	struct cache *cache;
	struct stored *stored;		/* owned; NULL: nothing known (yet) */
	struct stored *arrived;		/* owned; written by done, for the post */
	struct post post;
	struct dns_query query;
	atomic_bool answered;		/* done was called */
	bool pending;			/* until the post */
	bool cancelled;			/* by us */
	uint8_t failures;		/* one after the other */
	unsigned generation;		/* of the resolver that was asked */
	uint64_t until;			/* when .stored is too old */
	uint16_t type;
	size_t octets;			/* without .stored */
	char name[];
};

struct cache {
	struct dns *dns;
	struct loop *loop;
	struct map map;
	struct list idle;		/* entries; last used at the end */
	unsigned n, pending;
	size_t octets;
	struct task *ending;		/* in dns_wait */
};

struct dns {
	unsigned n;			/* loops; the net may be gone before us */
	struct cache *caches;		/* owned; one per loop */
	atomic_uint generation;
};

struct dns *dns_new(struct net *n)
{
	struct dns *d = mem_zalloc(sizeof(*d));

	d->n = net_workers(n);
	d->caches = mem_calloc(d->n, sizeof(*d->caches));
	for (unsigned i = 0; i < d->n; i++) {
		d->caches[i].dns = d;
		d->caches[i].loop = net_loop(n, i);
		list_init(&d->caches[i].idle);
	}
	return d;
}

static void entry_free(struct entry *e)
{
	struct cache *c = e->cache;

	assert(!e->pending && list_is_empty(&e->waiters));
	map_remove(&c->map, &e->node);
	list_remove(&e->in_cache);
	c->n--;
	c->octets -= e->octets + (e->stored ? e->stored->octets : 0);
	mem_free(e->stored);
	mem_free(e);
}

void dns_free(struct dns *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->n; i++) {
		LIST_FOR(at, &d->caches[i].idle)
			entry_free(LIST_ENTRY(at, struct entry, in_cache));
		assert(d->caches[i].n == 0);
		map_done(&d->caches[i].map);
	}
	mem_free(d->caches);
	mem_free(d);
}

void dns_forget(struct dns *d)
{
	atomic_fetch_add(&d->generation, 1);
}

/* ---- answers */

static struct stored *stored_new(const struct dns_query *q)
{
	size_t canonical = strlen(q->canonical) + 1, octets = sizeof(struct stored) + canonical;
	struct stored *s;
	unsigned char *at;

	for (unsigned i = 0; i < q->records_n; i++)
		octets += sizeof(struct dns_record) + q->records[i].n;
	s = mem_alloc(octets);
	*s = (struct stored){ .status = q->status, .secure = q->secure, .ttl = q->ttl,
			      .n = q->records_n, .octets = octets };
	at = (unsigned char *)&s->records[s->n];
	for (unsigned i = 0; i < s->n; i++) {
		memcpy(at, q->records[i].p, q->records[i].n);
		s->records[i] = (struct dns_record){ at, q->records[i].n };
		at += q->records[i].n;
	}
	memcpy(at, q->canonical, canonical);
	s->canonical = (const char *)at;
	return s;
}

static struct stored *stored_failure(void)
{
	const struct dns_query q = { .status = DNS_SERVFAIL };

	return stored_new(&q);
}

static void set_stored(struct entry *e, struct stored *s)
{
	e->cache->octets -= e->stored ? e->stored->octets : 0;
	e->cache->octets += s ? s->octets : 0;
	mem_free(e->stored);
	e->stored = s;
}

static uint64_t keep_for(struct entry *e)
{
	uint64_t ns = e->stored->ttl * SECOND;

	switch (e->stored->status) {
	case DNS_OK:
	case DNS_NXDOMAIN:
	case DNS_NODATA:
	case DNS_INVALID:
		e->failures = 0;
		return ns < KEEP_MIN ? KEEP_MIN : ns > KEEP_MAX ? KEEP_MAX : ns;
	default:
		ns = KEEP_MIN << e->failures;
		if (ns < FAILURE_MAX)
			e->failures++;
		return ns < FAILURE_MAX ? ns : FAILURE_MAX;
	}
}

/* ---- entries come and go */

static void put_idle(struct entry *e)
{
	struct cache *c = e->cache;

	list_push(&c->idle, &e->in_cache);
	while (c->n > ENTRIES_MAX || c->octets > OCTETS_MAX) {
		struct list *first = list_first(&c->idle);

		if (!first)
			return;
		entry_free(LIST_ENTRY(first, struct entry, in_cache));
	}
}

static void entry_ask(struct entry *e);

/* The answer is here, on the entry's loop. */
static void entry_settle(struct entry *e, struct stored *s)
{
	struct cache *c = e->cache;

	e->pending = false;
	c->pending--;
	if (s->status == DNS_CANCELLED && e->cancelled) {
		mem_free(s);
		if (list_is_empty(&e->waiters))
			entry_free(e);
		else
			entry_ask(e);
	} else {
		if (s->status == DNS_CANCELLED)		/* the resolver ends */
			s->status = DNS_SERVFAIL;
		set_stored(e, s);
		e->until = loop_now() + keep_for(e);
		LIST_FOR(at, &e->waiters)
			task_wake(LIST_ENTRY(at, struct question, link)->task);
		if (list_is_empty(&e->waiters))
			put_idle(e);
	}
	if (!c->pending && c->ending)
		task_wake(c->ending);
}

static void on_answer(struct post *p)
{
	struct entry *e = CONTAINER_OF(p, struct entry, post);
	struct stored *s = e->arrived;

	e->arrived = NULL;
	entry_settle(e, s);
}

/* On any thread. From the post on, the entry is its loop's. */
static void on_done(struct dns_query *q)
{
	struct entry *e = CONTAINER_OF(q, struct entry, query);

	e->arrived = stored_new(q);
	atomic_store(&e->answered, true);
	loop_post(e->cache->loop, &e->post, on_answer);
}

static void entry_ask(struct entry *e)
{
	struct world *w = loop_world(e->cache->loop);
	int r;

	set_stored(e, NULL);
	e->query = (struct dns_query){ .name = e->name, .type = e->type, .done = on_done };
	atomic_store(&e->answered, false);
	e->cancelled = false;
	e->pending = true;
	e->cache->pending++;
	e->generation = atomic_load(&e->cache->dns->generation);
	r = w->dns_ask ? w->dns_ask(w, &e->query) : -ENOSYS;
	if (r < 0)
		entry_settle(e, stored_failure());
}

static struct entry *entry_find(struct cache *c, const char *name, unsigned type, uint64_t hash)
{
	for (struct map_node *n = map_first(&c->map, hash); n; n = map_next(n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		if (e->type == type && !strcmp(e->name, name))
			return e;
	}
	return NULL;
}

static struct entry *entry_get(struct cache *c, const char *name, unsigned type)
{
	struct str s = str_of(name);
	uint64_t hash = hash_bytes(s.p, s.n) ^ hash_u64(type);
	struct entry *e = entry_find(c, name, type, hash);

	if (e)
		return e;
	e = mem_zalloc(sizeof(*e) + s.n + 1);
	e->cache = c;
	e->type = (uint16_t)type;
	e->octets = sizeof(*e) + s.n + 1;
	str_copy(e->name, s.n + 1, s);
	list_init(&e->waiters);
	list_init(&e->in_cache);
	map_insert(&c->map, &e->node, hash);
	c->n++;
	c->octets += e->octets;
	return e;
}

/* ---- questions */

static bool is_fresh(const struct entry *e)
{
	return e->stored && e->until > loop_now() &&
	       e->generation == atomic_load(&e->cache->dns->generation);
}

void question_begin(struct dns *d, struct question *q, const char *name, unsigned type)
{
	struct entry *e = entry_get(&d->caches[loop_index(loop_self())], name, type);

	*q = (struct question){ .task = task_self(), .entry = e };
	list_remove(&e->in_cache);
	list_push(&e->waiters, &q->link);
	if (!e->pending && !is_fresh(e))
		entry_ask(e);
}

const struct stored *question_stored(const struct question *q)
{
	return q->entry->pending ? NULL : q->entry->stored;
}

void question_end(struct question *q, bool keep)
{
	struct entry *e = q->entry;
	struct world *w = loop_world(e->cache->loop);

	list_remove(&q->link);
	if (!list_is_empty(&e->waiters))
		return;
	if (!e->pending) {
		put_idle(e);
	} else if (!keep && !e->cancelled) {
		e->cancelled = true;
		if (!atomic_load(&e->answered) && w->dns_cancel)
			w->dns_cancel(w, &e->query);
	}
}

enum dns_status question_wait(struct question *q, uint64_t deadline)
{
	int r = 0;

	while (r == 0 && q->entry->pending)
		r = task_wait(deadline);
	if (!q->entry->pending)
		return DNS_OK;
	return r == -ECANCELED ? DNS_CANCELLED : DNS_TIMEOUT;
}

void dns_wait(struct dns *d)
{
	struct cache *c = &d->caches[loop_index(loop_self())];

	c->ending = task_self();
	while (c->pending)
		task_wait_uncancellable();
	c->ending = NULL;
}

/* ---- any type */

static void copy_records(const struct stored *s, struct arena *a, struct dns_answer *ret)
{
	struct dns_record *records = arena_alloc(a, s->n * sizeof(*records));

	for (unsigned i = 0; i < s->n; i++) {
		const struct dns_record *r = &s->records[i];
		struct str data = arena_str(a, str_make((const char *)r->p, r->n));

		records[i] = (struct dns_record){ (const unsigned char *)data.p, r->n };
	}
	ret->records = records;
	ret->n = s->n;
}

void dns_lookup(struct dns *d, struct str name, unsigned type, uint64_t deadline, struct arena *a,
		struct dns_answer *ret)
{
	char ascii[DNS_NAME_MAX + 1];
	const struct stored *s;
	struct question q;

	*ret = (struct dns_answer){ .status = DNS_INVALID };
	if (!dns_name_ascii(name, ascii))
		return;
	question_begin(d, &q, ascii, type);
	ret->status = question_wait(&q, deadline);
	s = question_stored(&q);
	if (s) {
		ret->status = s->status;
		ret->secure = s->secure;
		str_copy(ret->canonical, sizeof(ret->canonical), str_of(s->canonical));
		copy_records(s, a, ret);
	}
	question_end(&q, false);
}
