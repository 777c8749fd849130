/*
 * unbound - libunbound in a thread of its own; see unbound.h.
 *
 * Questions and cancellations are put into lists under a lock, and the thread is woken by an
 * eventfd if nobody has done so since it last looked. The thread is an actor whose one step is
 * libevent's loop. Everything of libunbound happens there.
 *
 * A question waits for room (at most UNDER_WAY_MAX are libunbound's at once), is given to it, and
 * is answered by it, by the clock or by a cancellation, whichever is first. Given up is not ended:
 * libunbound goes on with what it has, so the struct stays, without its query, until libunbound
 * calls back, and counts as under way: that bounds the memory also where nobody answers.
 *
 * Rules for libunbound: no question is put to it from inside its callbacks (they set .pump), but
 * it may call back inside of the call that asks; a context is deleted only from our own events.
 *
 * .lock guards the lists that other threads write and query->priv, which is NULL from before done
 * is called: so a cancellation that comes late finds nothing.
 */
#include "dns/unbound.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/mem.h"
#include "dns/context.h"
#include "dns/wire.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#define UNDER_WAY_MAX 2048

/* How the answers are given: libunbound's codes for security. */
enum { UNBOUND_INSECURE, UNBOUND_BOGUS, UNBOUND_SECURE };

struct asked {
	struct list link;		/* in .live or .given_up; before: in .inbox */
	struct list to_send;		/* in .waiting */
	struct list cancel;		/* in .cancels */
	struct dns_query *query;	/* borrowed; NULL: it has its answer */
	struct resolver *resolver;
	uint64_t deadline;
	bool sent;			/* libunbound will call back */
};

/* One set of options in force, or formerly in force and with questions that are not answered. */
struct resolver {
	struct list link;		/* in .resolvers */
	struct unbound *unbound;
	struct context context;
	uint64_t timeout_ns;
	struct list live;		/* struct asked; oldest first */
	struct list waiting;		/* those of them that are to be sent */
	struct list given_up;		/* answered by us, and libunbound still works on them */
	unsigned under_way;		/* sent and not called back */
};

struct order {				/* options for the thread */
	const struct dns_options *options;
	struct buf *error;
	int result;
	bool is_done;
};

struct unbound {
	struct world *world;
	struct actor *actor;
	struct event_base *base;
	struct event *wake, *clock, *pump;
	int wake_fd;

	pthread_mutex_t lock;
	pthread_cond_t ordered;
	struct list inbox;		/* struct asked */
	struct list cancels;		/* struct asked */
	struct order *order;		/* borrowed from who waits for it */
	bool is_woken, stopping;
	/* the thread's own: */
	struct list resolvers;		/* the one in force is the last */
};

/* ---- other threads */

static void wake_locked(struct unbound *u)
{
	const uint64_t one = 1;

	if (!u->is_woken && write(u->wake_fd, &one, sizeof(one)) == sizeof(one))
		u->is_woken = true;
}

static int unbound_ask(struct world *w, struct dns_query *q)
{
	struct unbound *u = w->dns;
	struct asked *a = mem_zalloc(sizeof(*a));
	int r = 0;

	a->query = q;
	list_init(&a->to_send);
	list_init(&a->cancel);
	pthread_mutex_lock(&u->lock);
	if (u->stopping) {
		r = -ESHUTDOWN;
	} else {
		q->priv = a;
		list_push(&u->inbox, &a->link);
		wake_locked(u);
	}
	pthread_mutex_unlock(&u->lock);
	if (r < 0)
		mem_free(a);
	return r;
}

static void unbound_cancel(struct world *w, struct dns_query *q)
{
	struct unbound *u = w->dns;
	struct asked *a;

	pthread_mutex_lock(&u->lock);
	a = q->priv;
	if (a && list_is_empty(&a->cancel)) {
		list_push(&u->cancels, &a->cancel);
		wake_locked(u);
	}
	pthread_mutex_unlock(&u->lock);
}

/* ---- answers */

static void asked_free(struct asked *a)
{
	list_remove(&a->link);
	list_remove(&a->to_send);
	mem_free(a);
}

/* The answer is in the query; from done on it is its owner's. */
static void answer(struct unbound *u, struct asked *a)
{
	struct dns_query *q = a->query;

	pthread_mutex_lock(&u->lock);
	q->priv = NULL;
	list_remove(&a->cancel);
	pthread_mutex_unlock(&u->lock);
	a->query = NULL;
	q->done(q);
}

/* Answers without libunbound. */
static void settle(struct asked *a, enum dns_status status)
{
	struct resolver *r = a->resolver;
	struct dns_query *q = a->query;

	q->status = status;
	q->secure = false;
	q->ttl = 1;
	q->canonical[0] = '\0';
	q->records = NULL;
	q->records_n = 0;
	answer(r->unbound, a);
	list_remove(&a->link);
	if (a->sent)
		list_push(&r->given_up, &a->link);
	else
		asked_free(a);
}

static void fill(struct dns_query *q, struct str packet, int rcode, int sec, struct arena *arena)
{
	if (rcode != 0)			/* then there is no packet */
		packet = STR_NONE;
	wire_answer_parse(packet, arena, q);
	q->secure = sec == UNBOUND_SECURE;
	if (sec != UNBOUND_BOGUS)
		return;
	q->status = DNS_BOGUS;		/* what was forged is not for anybody's eyes */
	q->ttl = 0;
	q->canonical[0] = '\0';
	q->records = NULL;
	q->records_n = 0;
}

static void on_result(void *arg, int rcode, void *packet, int n, int sec, char *why, int limited)
{
	struct asked *a = arg;
	struct resolver *r = a->resolver;
	struct arena arena;

	(void)why;
	(void)limited;
	a->sent = false;
	r->under_way--;
	if (a->query) {
		arena_init(&arena);
		fill(a->query, str_make(packet, n > 0 ? (size_t)n : 0), rcode, sec, &arena);
		answer(r->unbound, a);
		arena_done(&arena);
	}
	asked_free(a);
	if (!list_is_empty(&r->waiting) || list_is_empty(&r->live))
		event_active(r->unbound->pump, EV_TIMEOUT, 0);
}

/* ---- questions */

/* Names that the hosts file knows have the addresses that it says, and no others. */
static bool ask_hosts(struct asked *a)
{
	struct dns_query *q = a->query;
	unsigned family = q->type == 1 ? 4 : q->type == 28 ? 6 : 0;
	struct dns_record records[HOSTS_FILE_IPS_MAX];
	struct ip ips[HOSTS_FILE_IPS_MAX];
	unsigned n;

	if (!family || !hosts_file_find(a->resolver->context.hosts, str_of(q->name), family, ips,
					&n))
		return false;
	if (n == 0) {
		settle(a, DNS_NODATA);
		return true;
	}
	for (unsigned i = 0; i < n; i++)
		records[i] = (struct dns_record){ ips[i].bytes, family == 4 ? 4 : 16 };
	q->status = DNS_OK;
	q->secure = false;
	q->ttl = 0;
	q->canonical[0] = '\0';
	q->records = records;
	q->records_n = n;
	answer(a->resolver->unbound, a);
	asked_free(a);
	return true;
}

static void take_question(struct unbound *u, struct asked *a)
{
	struct resolver *r = LIST_ENTRY(u->resolvers.prev, struct resolver, link);

	a->resolver = r;
	a->deadline = u->world->now(u->world) + r->timeout_ns;
	list_push(&r->live, &a->link);
	if (ask_hosts(a))
		return;
	if (r->context.ub)
		list_push(&r->waiting, &a->to_send);
	else
		settle(a, DNS_SERVFAIL);
}

static void hand_over(struct resolver *r, struct asked *a)
{
	int e;

	a->sent = true;
	r->under_way++;
	e = ub_resolve_event(r->context.ub, a->query->name, a->query->type, 1, a, on_result, NULL);
	if (e == 0)
		return;			/* a may be gone */
	a->sent = false;
	r->under_way--;
	settle(a, e == UB_SYNTAX ? DNS_INVALID : DNS_SERVFAIL);
}

/* ---- resolvers */

static void resolver_new(struct unbound *u, const struct context *c, uint64_t timeout_ns)
{
	struct resolver *r = mem_zalloc(sizeof(*r));

	r->unbound = u;
	r->context = *c;
	r->timeout_ns = timeout_ns;
	list_init(&r->live);
	list_init(&r->waiting);
	list_init(&r->given_up);
	list_push(&u->resolvers, &r->link);
}

static void resolver_free(struct resolver *r)
{
	LIST_FOR(at, &r->live)
		settle(LIST_ENTRY(at, struct asked, link), DNS_CANCELLED);
	context_close(&r->context);	/* from here on nothing calls back */
	LIST_FOR(at, &r->given_up)
		asked_free(LIST_ENTRY(at, struct asked, link));
	list_remove(&r->link);
	mem_free(r);
}

static void carry_out(struct unbound *u, struct order *o)
{
	struct context c;

	o->result = context_open(u->world, u->base, o->options, &c, o->error);
	if (o->result == 0)
		resolver_new(u, &c, o->options->timeout_ns);
	pthread_mutex_lock(&u->lock);
	u->order = NULL;
	o->is_done = true;
	pthread_cond_signal(&u->ordered);
	pthread_mutex_unlock(&u->lock);
}

/* ---- the thread's events */

static void set_clock(struct unbound *u)
{
	uint64_t first = UINT64_MAX, now = u->world->now(u->world), us;
	struct timeval t;

	LIST_FOR(at, &u->resolvers) {
		struct resolver *r = LIST_ENTRY(at, struct resolver, link);
		struct list *oldest = list_first(&r->live);

		if (oldest && LIST_ENTRY(oldest, struct asked, link)->deadline < first)
			first = LIST_ENTRY(oldest, struct asked, link)->deadline;
	}
	if (first == UINT64_MAX) {
		event_del(u->clock);
		return;
	}
	us = first > now ? (first - now) / 1000 + 1 : 0;
	t.tv_sec = (time_t)(us / 1000000);
	t.tv_usec = (suseconds_t)(us % 1000000);
	event_add(u->clock, &t);
}

/* Sends what there is room for; ends resolvers that are not in force and owe nothing any more. */
static void pump(struct unbound *u)
{
	LIST_FOR(at, &u->resolvers) {
		struct resolver *r = LIST_ENTRY(at, struct resolver, link);
		struct list *next;

		while (r->under_way < UNDER_WAY_MAX && (next = list_pop(&r->waiting)))
			hand_over(r, LIST_ENTRY(next, struct asked, to_send));
		if (at != u->resolvers.prev && list_is_empty(&r->live))
			resolver_free(r);
	}
	set_clock(u);
}

static void on_pump(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pump(arg);
}

static void on_clock(int fd, short what, void *arg)
{
	struct unbound *u = arg;
	uint64_t now = u->world->now(u->world);

	(void)fd;
	(void)what;
	LIST_FOR(r_at, &u->resolvers) {
		struct resolver *r = LIST_ENTRY(r_at, struct resolver, link);

		LIST_FOR(at, &r->live) {
			struct asked *a = LIST_ENTRY(at, struct asked, link);

			if (a->deadline > now)
				break;
			settle(a, DNS_TIMEOUT);
		}
	}
	pump(u);
}

static void on_wake(int fd, short what, void *arg)
{
	struct unbound *u = arg;
	struct list inbox, cancels, *at;
	struct order *order;
	uint64_t n;
	bool stopping;

	(void)what;
	list_init(&inbox);
	list_init(&cancels);
	pthread_mutex_lock(&u->lock);
	(void)!read(fd, &n, sizeof(n));
	u->is_woken = false;
	list_splice(&inbox, &u->inbox);
	list_splice(&cancels, &u->cancels);
	order = u->order;
	stopping = u->stopping;
	pthread_mutex_unlock(&u->lock);
	if (order)
		carry_out(u, order);
	while ((at = list_pop(&inbox)))
		take_question(u, LIST_ENTRY(at, struct asked, link));
	/* answer() takes it out, under the lock that guards the link */
	while ((at = list_first(&cancels)))
		settle(LIST_ENTRY(at, struct asked, cancel), DNS_CANCELLED);
	if (stopping)
		event_base_loopbreak(u->base);
	else
		pump(u);
}

static int64_t unbound_step(void *arg)
{
	struct unbound *u = arg;

	event_base_loop(u->base, EVLOOP_NO_EXIT_ON_EMPTY);
	LIST_FOR(at, &u->resolvers)
		resolver_free(LIST_ENTRY(at, struct resolver, link));
	return STEP_DONE;
}

/* ---- start and end */

static void unbound_free(struct unbound *u)
{
	struct event *events[] = { u->wake, u->clock, u->pump };

	for (int i = 0; i < 3; i++)
		if (events[i])
			event_free(events[i]);
	if (u->base)
		event_base_free(u->base);
	if (u->wake_fd >= 0)
		close(u->wake_fd);
	pthread_cond_destroy(&u->ordered);
	pthread_mutex_destroy(&u->lock);
	mem_free(u);
}

static struct unbound *unbound_new(struct world *w)
{
	struct unbound *u = mem_zalloc(sizeof(*u));

	u->world = w;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->ordered, NULL);
	list_init(&u->inbox);
	list_init(&u->cancels);
	list_init(&u->resolvers);
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->base = event_base_new();
	if (u->base && u->wake_fd >= 0) {
		u->wake = event_new(u->base, u->wake_fd, EV_READ | EV_PERSIST, on_wake, u);
		u->clock = event_new(u->base, -1, 0, on_clock, u);
		u->pump = event_new(u->base, -1, 0, on_pump, u);
	}
	if (u->wake && u->clock && u->pump && event_add(u->wake, NULL) == 0)
		return u;
	unbound_free(u);
	return NULL;
}

static void unbound_end(struct unbound *u)
{
	pthread_mutex_lock(&u->lock);
	u->stopping = true;
	wake_locked(u);
	pthread_mutex_unlock(&u->lock);
	u->world->actor_join(u->world, u->actor);
	unbound_free(u);
}

int unbound_configure(struct world *w, const struct dns_options *o, struct buf *error)
{
	struct order order = { .options = o, .error = error };
	struct unbound *u = w->dns;

	if (!u) {
		u = unbound_new(w);
		if (!u) {
			buf_printf(error, "cannot start the resolver: %s", strerror(errno));
			return -EMFILE;
		}
		u->actor = w->actor_start(w, "dns", unbound_step, u);
	}
	pthread_mutex_lock(&u->lock);
	u->order = &order;
	wake_locked(u);
	while (!order.is_done)
		pthread_cond_wait(&u->ordered, &u->lock);
	pthread_mutex_unlock(&u->lock);
	if (!w->dns && order.result < 0) {
		unbound_end(u);
	} else if (!w->dns) {
		w->dns = u;
		w->dns_cancel = unbound_cancel;
		w->dns_ask = unbound_ask;
	}
	return order.result;
}

void unbound_stop(struct world *w)
{
	struct unbound *u = w->dns;

	if (!u)
		return;
	unbound_end(u);
	w->dns_ask = NULL;
	w->dns_cancel = NULL;
	w->dns = NULL;
}
