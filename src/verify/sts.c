/*
 * sts - the MTA-STS policies of domains (RFC 8461).
 *
 * DESIGN. What a domain says is remembered for its max_age, at most a year, in memory and on disk.
 * Each delivery asks the DNS for the record (from the cache of dns/): another id than ours, or a
 * policy a day old, starts a refresh in the background, while the old policy serves (5.1 "SHOULD
 * periodically", 3.3). Whoever can keep us from the record or the web server thereby keeps us from
 * news, never from what we know: a failing fetch changes nothing that is valid. Only a first fetch
 * makes mail wait, once for all that wait for it, and its failure is remembered for five minutes.
 *
 * Bounded, and by what it is worth. A policy in force that is forgotten is a downgrade for whoever
 * waits at the next fetch (RFC 8461 10.2), so those who only fail have a place of their own, and
 * take nobody else's. Of POLICIES_MAX policies and OCTETS_MAX octets the first to go is one that is
 * too old, then one of mode none, then of testing, and only then one to enforce; of equals the one
 * used longest ago. Nobody goes before the new one is there: whatever is fetched and is none costs
 * no one his place, and the new one itself goes if all others are worth more. A policy is kept as
 * its four fields (sts_policy_format), not as it was written. FETCHES_MAX fetches at once, so that
 * slow web servers cannot take the pool from the disk.
 *
 * Memory and disk agree: policies are put in and taken out in the pool, each change with its files
 * under .disk, so that no two of them cross. A crash may leave a file of one that had to go; at the
 * start it is read, judged and removed like all others. A file is never removed because of its age:
 * the clock may be wrong.
 *
 * One lock for all loops, held for a look, or for one at all entries where room must be made;
 * nothing borrowed leaves it: answers are copied into the caller's arena.
 *
 * Invariants: an entry that is .busy has one fetcher, and is not removed. .text is a policy that
 * parses, or NULL; who has one stands in .policies, all others in .others.
 */
#include "verify/sts.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/https.h"
#include "policy/gate.h"
#include "report/log.h"
#include "verify/store.h"
#include "verify/sts_store.h"

#include <assert.h>
#include <errno.h>

#define POLICIES_MAX 8192
#define OCTETS_MAX (16u * 1024 * 1024)	/* of policies */
#define OTHERS_MAX 4096			/* domains without a policy; who is fetched stays */
#define FETCHES_MAX 2
#define WAITING_MAX 1000
#define DAY_MS (24ll * 3600 * 1000)
#define RETRY_MS (5ll * 60 * 1000)	/* after a fetch that failed (RFC 8461 3.3) */
#define LOOK_MS 20			/* whoever waits for another's fetch looks again */
#define LOOKUP_NS (20 * SECOND)

static_assert(POLICIES_MAX < STORE_FILES_MAX, "all of them are read at the start");

struct entry {
	struct map_node node;
	struct list by_use;		/* in its crowd, the one used last, last */
	char *domain, *text;		/* owned; text: NULL: none */
	size_t text_n;
	enum sts_mode mode;
	char id[STS_ID_MAX + 1];
	int64_t fetched_ms, expires_ms;	/* wall clock */
	int64_t retry_ms;		/* no fetch before; 0: at any time */
	bool busy;
	char why[96];			/* the last fetch's failure, or "" */
};

struct crowd {
	struct list by_use;
	size_t n, octets;
};

struct sts {
	struct world *world;
	struct sts_options options;
	char *state;			/* owned */
	pthread_mutex_t disk;		/* of pool threads: policies and files change together */
	pthread_mutex_t lock;		/* inside of .disk */
	struct map by_domain;		/* under the lock, with all entries */
	struct crowd policies, others;
	struct gate gate;
	_Atomic bool stopping;
};

/* ---- entries, under the lock */

static struct entry *find(const struct sts *s, struct str domain)
{
	for (struct map_node *n = map_first(&s->by_domain, hash_nocase(domain)); n;
	     n = map_next(n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		if (str_eq_nocase(str_of(e->domain), domain))
			return e;
	}
	return NULL;
}

static struct crowd *crowd_of(struct sts *s, const struct entry *e)
{
	return e->text ? &s->policies : &s->others;
}

static size_t octets_of(const struct entry *e)
{
	return sizeof(*e) + strlen(e->domain) + e->text_n;
}

static void enter(struct sts *s, struct entry *e)
{
	struct crowd *c = crowd_of(s, e);

	list_push(&c->by_use, &e->by_use);
	c->n++;
	c->octets += octets_of(e);
}

static void leave(struct sts *s, struct entry *e)
{
	struct crowd *c = crowd_of(s, e);

	list_remove(&e->by_use);
	c->n--;
	c->octets -= octets_of(e);
}

static void entry_free(struct entry *e)
{
	mem_free(e->domain);
	mem_free(e->text);
	mem_free(e);
}

static void forget(struct sts *s, struct entry *e)
{
	leave(s, e);
	map_remove(&s->by_domain, &e->node);
	entry_free(e);
}

/* Of those who have no policy the ones used longest ago go. */
static void trim_others(struct sts *s)
{
	LIST_FOR(at, &s->others.by_use) {
		struct entry *e = LIST_ENTRY(at, struct entry, by_use);

		if (s->others.n < OTHERS_MAX)
			return;
		if (!e->busy)
			forget(s, e);
	}
}

static struct entry *add(struct sts *s, struct str domain)
{
	struct entry *e = mem_zalloc(sizeof(*e));

	trim_others(s);
	e->domain = str_dup(domain);
	map_insert(&s->by_domain, &e->node, hash_nocase(domain));
	enter(s, e);
	return e;
}

static bool is_valid(const struct entry *e, int64_t now)
{
	/* a clock that was set back must not make a policy live longer than its age */
	return e->text && now < e->expires_ms && now > e->fetched_ms - DAY_MS;
}

static void set_text(struct sts *s, struct entry *e, const struct sts_stored *p,
		     const struct sts_policy *policy)
{
	leave(s, e);
	mem_free(e->text);
	e->text = str_dup(p->text);
	e->text_n = p->text.n;
	e->mode = policy->mode;
	str_copy(e->id, sizeof(e->id), p->id);
	e->fetched_ms = p->fetched_ms;
	e->expires_ms = p->fetched_ms + policy->max_age_s * 1000ll;
	e->retry_ms = 0;
	e->why[0] = '\0';
	enter(s, e);
}

static int worth(const struct entry *e, int64_t now)
{
	return is_valid(e, now) ? (int)e->mode : -1;
}

/* Who of the policies goes first. fresh: the one that just came, which may be it though busy. */
static struct entry *least(const struct sts *s, const struct entry *fresh)
{
	int64_t now = s->world->wall_ms(s->world);
	struct entry *r = NULL;

	LIST_FOR(at, &s->policies.by_use) {
		struct entry *e = LIST_ENTRY(at, struct entry, by_use);

		if ((!e->busy || e == fresh) && (!r || worth(e, now) < worth(r, now)))
			r = e;
	}
	return r;
}

/* Down to what is allowed. Whose files must go is moved to gone; the fresh one stays, without. */
static void trim_policies(struct sts *s, struct entry *fresh, struct list *gone)
{
	while (s->policies.n > POLICIES_MAX || s->policies.octets > OCTETS_MAX) {
		struct entry *e = least(s, fresh);

		if (!e)
			return;
		leave(s, e);
		if (e == fresh) {
			mem_free(e->text);
			e->text = NULL;
			e->text_n = 0;
			str_copy(e->why, sizeof(e->why), STR("too many policies are known"));
			enter(s, e);
			e = mem_zalloc(sizeof(*e));
			e->domain = mem_strdup(fresh->domain);
		} else {
			map_remove(&s->by_domain, &e->node);
		}
		list_push(gone, &e->by_use);
	}
}

/* Without the lock; blocks. */
static void remove_files(struct sts *s, struct list *gone)
{
	LIST_FOR(at, gone) {
		struct entry *e = LIST_ENTRY(at, struct entry, by_use);

		list_remove(at);
		if (s->state)
			sts_store_remove(s->world, s->state, str_of(e->domain));
		entry_free(e);
	}
}

/* ---- the service */

struct loading {
	struct sts *sts;
	struct list gone;
};

static void on_stored(void *arg, const struct sts_stored *p)
{
	struct buf text = BUF_INIT(STS_KEPT_MAX);
	struct arena a = { .blocks = NULL };
	struct loading *l = arg;
	struct sts_stored kept = *p;
	struct sts_policy policy;
	struct entry *e;

	if (!find(l->sts, p->domain) && sts_policy_parse(&a, p->text, &policy)) {
		sts_policy_format(&text, &policy);
		kept.text = buf_str(&text);
		set_text(l->sts, add(l->sts, p->domain), &kept, &policy);
		trim_policies(l->sts, NULL, &l->gone);
	} else {
		e = mem_zalloc(sizeof(*e));
		e->domain = str_dup(p->domain);
		list_push(&l->gone, &e->by_use);
	}
	buf_done(&text);
	arena_done(&a);
}

struct sts *sts_new(struct world *w, const struct sts_options *o)
{
	struct sts *s = mem_zalloc(sizeof(*s));
	struct loading l = { .sts = s };

	s->world = w;
	s->options = *o;
	s->state = o->state ? mem_strdup(o->state) : NULL;
	pthread_mutex_init(&s->disk, NULL);
	pthread_mutex_init(&s->lock, NULL);
	map_init(&s->by_domain);
	list_init(&s->policies.by_use);
	list_init(&s->others.by_use);
	list_init(&l.gone);
	gate_init(&s->gate, FETCHES_MAX, WAITING_MAX);
	if (s->state)
		sts_store_read(w, s->state, on_stored, &l);
	remove_files(s, &l.gone);
	return s;
}

void sts_stop(struct sts *s)
{
	atomic_store(&s->stopping, true);
}

void sts_free(struct sts *s)
{
	if (!s)
		return;
	LIST_FOR(at, &s->policies.by_use)
		forget(s, LIST_ENTRY(at, struct entry, by_use));
	LIST_FOR(at, &s->others.by_use)
		forget(s, LIST_ENTRY(at, struct entry, by_use));
	map_done(&s->by_domain);
	gate_done(&s->gate);
	pthread_mutex_destroy(&s->disk);
	pthread_mutex_destroy(&s->lock);
	mem_free(s->state);
	mem_free(s);
}

/* ---- a fetch */

struct fetch {
	struct sts *sts;
	struct dns *dns;
	char domain[DNS_NAME_MAX + 1], id[STS_ID_MAX + 1];
	struct dns_addresses at;
	struct buf text;		/* owned; as it came */
	enum sts_mode mode;		/* if ok */
	bool ok;
	char why[96];			/* if not ok; or the disk's trouble */
};

static void ask_web(struct fetch *f)
{
	const struct sts_options *o = &f->sts->options;
	struct buf url = BUF_INIT(512), host = BUF_INIT(512);
	struct https_question q = {
		.port = o->port,
		.ips = f->at.ips,
		.ips_n = f->at.n,
		.wants_type = "text/plain",
		.timeout_ms = o->timeout_ms,
		.stopping = &f->sts->stopping,
	};

	buf_printf(&host, "mta-sts.%s", f->domain);
	buf_printf(&url, "https://mta-sts.%s:%u/.well-known/mta-sts.txt", f->domain, o->port);
	q.host = buf_cstr(&host);
	q.url = buf_cstr(&url);
	f->ok = https_ask(&q, &f->text, f->why, sizeof(f->why)) == HTTPS_OK;
	buf_done(&url);
	buf_done(&host);
}

/* With its file, and with those of who had to go for it. */
static void keep(struct fetch *f, const struct sts_policy *policy)
{
	struct buf text = BUF_INIT(STS_KEPT_MAX);
	struct sts *s = f->sts;
	struct sts_stored p = {
		.domain = str_of(f->domain),
		.id = str_of(f->id),
		.fetched_ms = s->world->wall_ms(s->world),
	};
	struct entry *e;
	struct list gone;
	int r = 0;

	list_init(&gone);
	sts_policy_format(&text, policy);
	p.text = buf_str(&text);
	pthread_mutex_lock(&s->disk);
	pthread_mutex_lock(&s->lock);
	e = find(s, p.domain);
	set_text(s, e, &p, policy);
	trim_policies(s, e, &gone);
	f->mode = policy->mode;
	f->ok = e->text;
	str_copy(f->why, sizeof(f->why), str_of(e->why));
	pthread_mutex_unlock(&s->lock);
	if (f->ok && s->state)
		r = sts_store_write(s->world, s->state, &p);
	remove_files(s, &gone);
	pthread_mutex_unlock(&s->disk);
	if (r < 0)
		snprintf(f->why, sizeof(f->why), "not kept on disk: %s", strerror(-r));
	buf_done(&text);
}

/* In the pool: from the web to memory and disk. */
static int fetch_in_pool(void *arg)
{
	struct fetch *f = arg;
	struct arena a = { .blocks = NULL };
	struct sts_policy policy;

	ask_web(f);
	if (f->ok && (memchr(f->text.p ? f->text.p : "", 0, f->text.n) ||
		      !sts_policy_parse(&a, buf_str(&f->text), &policy))) {
		f->ok = false;
		str_copy(f->why, sizeof(f->why), STR("it is no policy"));
	}
	if (f->ok)
		keep(f, &policy);
	arena_done(&a);
	return 0;
}

static void fetch_tell(const struct fetch *f)
{
	log_begin(LOG_POLICY);
	log_cstr("domain", f->domain);
	log_cstr("id", f->id);
	if (f->ok)
		log_cstr("mode", sts_mode_name(f->mode));
	if (f->why[0])
		log_cstr("error", f->why);
	log_end();
}

static void fetch_done(struct fetch *f)
{
	struct sts *s = f->sts;
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = find(s, str_of(f->domain));
	if (!f->ok) {
		e->retry_ms = s->world->wall_ms(s->world) + RETRY_MS;
		str_copy(e->why, sizeof(e->why), str_of(f->why));
	}
	e->busy = false;
	pthread_mutex_unlock(&s->lock);
	if (!atomic_load(&s->stopping))
		fetch_tell(f);
	buf_done(&f->text);
	mem_free(f);
}

/* Takes f; its entry is busy until it returns. */
static void fetch_run(struct fetch *f) SUSPENDS
{
	struct str host = STR_NONE;
	char name[DNS_NAME_MAX + 16];
	uint64_t deadline = loop_now() + f->sts->options.timeout_ms * MILLISECOND;

	snprintf(name, sizeof(name), "mta-sts.%s", f->domain);
	host = str_of(name);
	f->text = BUF_INIT(STS_TEXT_MAX);
	dns_addresses(f->dns, host, DNS_IPV4 | DNS_IPV6, loop_now() + LOOKUP_NS, &f->at);
	if (f->at.status != DNS_OK) {
		snprintf(f->why, sizeof(f->why), "its server: %s",
			 dns_status_text(f->at.status));
	} else if (gate_enter(&f->sts->gate, deadline) < 0) {
		str_copy(f->why, sizeof(f->why), STR("too many policies are being fetched"));
	} else {
		net_offload(fetch_in_pool, f);
		gate_leave(&f->sts->gate);
	}
	fetch_done(f);
}

static void fetch_task(void *arg)
{
	fetch_run(arg);
}

/* Under the lock: NULL: somebody is at it, or it was tried a moment ago, or we are stopping. */
static struct fetch *claim(struct sts *s, struct dns *d, struct str domain, const char *id)
{
	int64_t now = s->world->wall_ms(s->world);
	struct entry *e = find(s, domain);
	struct fetch *f;

	if (atomic_load(&s->stopping) || (e && (e->busy || (e->retry_ms > now &&
							     e->retry_ms <= now + RETRY_MS))))
		return NULL;
	f = mem_zalloc(sizeof(*f));
	if (!e)
		e = add(s, domain);
	e->busy = true;
	f->sts = s;
	f->dns = d;
	str_copy(f->domain, sizeof(f->domain), domain);
	str_copy(f->id, sizeof(f->id), str_of(id));
	return f;
}

/* ---- asking */

/* Parses what was copied under the lock. */
static void read_text(struct arena *a, struct sts_answer *ret)
{
	if (!sts_policy_parse(a, ret->text, &ret->policy))
		ret->policy = (struct sts_policy){ .mode = STS_NONE };
}

/* What is known and valid. *ret_old: it wants a refresh. False: nothing. */
static bool look(struct sts *s, struct str domain, const char *id, struct arena *a,
		 struct sts_answer *ret, bool *ret_old)
{
	int64_t now = s->world->wall_ms(s->world);
	struct entry *e;
	bool valid;

	pthread_mutex_lock(&s->lock);
	e = find(s, domain);
	valid = e && is_valid(e, now);
	if (e) {
		list_remove(&e->by_use);
		list_push(&crowd_of(s, e)->by_use, &e->by_use);
		str_copy(ret->why, sizeof(ret->why), str_of(e->why));
	}
	if (valid)
		ret->text = arena_str(a, str_make(e->text, e->text_n));
	*ret_old = valid && (now - e->fetched_ms > DAY_MS || (id[0] && strcmp(id, e->id) != 0));
	pthread_mutex_unlock(&s->lock);
	if (valid)
		read_text(a, ret);
	return valid;
}

static struct fetch *claim_locked(struct sts *s, struct dns *d, struct str domain, const char *id)
{
	struct fetch *f;

	pthread_mutex_lock(&s->lock);
	f = claim(s, d, domain, id);
	pthread_mutex_unlock(&s->lock);
	return f;
}

static void refresh(struct sts *s, struct dns *d, struct task_group *g, struct str domain,
		    const char *id) SUSPENDS
{
	struct fetch *f = claim_locked(s, d, domain, id);

	if (f && !task_start(g, fetch_task, f, "mta-sts"))
		fetch_run(f);
}

static bool is_busy(struct sts *s, struct str domain)
{
	const struct entry *e;
	bool busy;

	pthread_mutex_lock(&s->lock);
	e = find(s, domain);
	busy = e && e->busy;
	pthread_mutex_unlock(&s->lock);
	return busy;
}

/* The first one: by us, or by whoever is at it. */
static void fetch_first(struct sts *s, struct dns *d, struct str domain, const char *id) SUSPENDS
{
	struct fetch *f = claim_locked(s, d, domain, id);

	if (f)
		fetch_run(f);
	while (is_busy(s, domain) && task_sleep_until(in_ms(LOOK_MS)) == 0)
		;
}

/* Not inlined: its answer and its caller's names together are too much for one frame. */
__attribute__((noinline)) static bool find_record(struct dns *d, const char *domain,
						  char ret_id[STS_ID_MAX + 1]) SUSPENDS
{
	struct arena a = { .blocks = NULL };
	struct dns_answer txt;
	char name[DNS_NAME_MAX + 16];
	bool found;

	snprintf(name, sizeof(name), "_mta-sts.%s", domain);
	dns_lookup(d, str_of(name), DNS_TXT, loop_now() + LOOKUP_NS, &a, &txt);
	found = txt.status == DNS_OK && sts_record_find(&txt, ret_id);
	arena_done(&a);
	return found;
}

void sts_find(struct sts *s, struct dns *d, struct task_group *g, struct str domain,
	      struct arena *a, struct sts_answer *ret)
{
	char ascii[DNS_NAME_MAX + 1], id[STS_ID_MAX + 1] = "";
	bool old, has_record;
	struct ip ip;

	*ret = (struct sts_answer){ .policy.mode = STS_NONE };
	if (ip_parse(domain, &ip) || !dns_name_ascii(domain, ascii))
		return;
	domain = str_of(ascii);
	has_record = find_record(d, ascii, id);
	if (look(s, domain, id, a, ret, &old)) {
		if (has_record && old)
			refresh(s, d, g, domain, id);
		return;
	}
	if (!has_record)
		return;
	fetch_first(s, d, domain, id);
	ret->failed = !look(s, domain, id, a, ret, &old);
}

bool sts_known(struct sts *s, struct str domain, struct arena *a, struct sts_answer *ret,
	       int64_t *ret_expires_ms)
{
	char ascii[DNS_NAME_MAX + 1];
	const struct entry *e;
	bool known;

	*ret = (struct sts_answer){ .policy.mode = STS_NONE };
	if (!dns_name_ascii(domain, ascii))
		return false;
	pthread_mutex_lock(&s->lock);
	e = find(s, str_of(ascii));
	known = e && is_valid(e, s->world->wall_ms(s->world));
	if (known) {
		ret->text = arena_str(a, str_make(e->text, e->text_n));
		*ret_expires_ms = e->expires_ms;
	}
	if (e)
		str_copy(ret->why, sizeof(ret->why), str_of(e->why));
	pthread_mutex_unlock(&s->lock);
	if (known)
		read_text(a, ret);
	return known;
}
