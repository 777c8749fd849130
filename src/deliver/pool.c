/*
 * pool - one core's idle connections.
 *
 * A connection is found again by address, port, protocol and source, and only by who demands no
 * more of TLS and login than it has (trust_covers); the one used last first, so that the others may
 * grow old. The keeper, a task that runs while there is anything to keep, looks
 * once a second which were closed by their servers or have been idle too long; it also says the
 * QUITs that slots have no time to wait for, many at once and at most QUIT_MS. Per core, not
 * shared: a connection never changes its loop. How many there can be is bounded by schedule/, which
 * never runs more than an even share of a destination's slots on one core. What is idle counts
 * where it was opened (limits.h): while somebody waits there for a connection, idle ones are
 * closed.
 */
#include "deliver/pool.h"

#include "base/mem.h"

#define IDLE_MAX 256		/* per core; the oldest goes first */
#define LOOK_MS 1000
#define PROMISED_MS 20		/* between two looks at those that are promised and wanted */
#define QUIT_MS 2000

void pool_init(struct pool *p)
{
	*p = (struct pool){ .n = 0 };
	list_init(&p->idle);
	list_init(&p->leaving);
	task_group_init(&p->keepers);
}

void pool_done(struct pool *p)
{
	map_done(&p->by_endpoint);
}

static uint64_t key_of(const struct endpoint *e, enum route_protocol protocol,
		       const struct name *source)
{
	return endpoint_hash(e) + protocol + (source ? source->hash : 0);
}

static unsigned this_core(void)
{
	return loop_index(loop_self());
}

static void take_out(struct pool *p, struct client *c)
{
	if (c->way)
		way_idle_remove(c->way, this_core());
	map_remove(&p->by_endpoint, &c->in_pool);
	list_remove(&c->in_list);
	p->n--;
}

bool pool_fits(const struct client *c, const struct endpoint *e, enum route_protocol protocol,
	       const struct name *source, const struct trust *wanted)
{
	return c->protocol == protocol && c->source == source && endpoint_eq(&c->endpoint, e) &&
	       trust_covers(&c->trust, wanted);
}

static struct client *find(struct pool *p, const struct endpoint *e, enum route_protocol protocol,
			   const struct name *source, const struct trust *wanted)
{
	for (struct map_node *n = map_first(&p->by_endpoint, key_of(e, protocol, source)); n;
	     n = map_next(n)) {
		struct client *c = CONTAINER_OF(n, struct client, in_pool);

		if (pool_fits(c, e, protocol, source, wanted))
			return c;
	}
	return NULL;
}

struct client *pool_take(struct pool *p, const struct endpoint *e, enum route_protocol protocol,
			 const struct name *source, const struct trust *wanted)
{
	struct client *c;

	while ((c = find(p, e, protocol, source, wanted))) {
		take_out(p, c);
		if (!client_has_input(c))
			return c;
		client_free(c);
	}
	return NULL;
}

/* The one that was used last: its octets are the warmest. */
struct client *pool_take_promised(struct pool *p, struct way *w)
{
	way_idle_add(w, this_core());		/* the promise ends */
	for (struct list *at = p->idle.prev; at != &p->idle; at = at->prev) {
		struct client *c = LIST_ENTRY(at, struct client, in_list);

		if (c->way != w)
			continue;
		take_out(p, c);
		return c;
	}
	return NULL;
}

/* ---- the keeper */

static void retire(struct pool *p, struct client *c)
{
	take_out(p, c);
	list_push(&p->leaving, &c->in_list);
}

/* Somebody waits for a connection where this one counts. */
static bool is_wanted(const struct client *c)
{
	return c->way && way_wanted(c->way);
}

/* And the others are enough for the slots that were promised one. */
static bool is_spare(const struct client *c)
{
	return way_idle_is_spare(c->way, this_core());
}

static bool is_leaving(const struct pool *p, const struct way *w)
{
	LIST_FOR(at, &p->leaving)
		if (LIST_ENTRY(at, struct client, in_list)->way == w)
			return true;
	return false;
}

/*
 * One of each way that is wanted, the oldest; when it is gone there may be nobody any more who
 * waits. Those that are promised stay for their slots, but a slot may have no use for its own:
 * .reclaiming says to look again. False: none goes now.
 */
static bool reclaim(struct pool *p)
{
	p->reclaiming = false;
	LIST_FOR(at, &p->idle) {
		struct client *c = LIST_ENTRY(at, struct client, in_list);

		if (!is_wanted(c))
			continue;
		p->reclaiming = true;
		if (is_spare(c) && !is_leaving(p, c->way))
			retire(p, c);
	}
	return !list_is_empty(&p->leaving);
}

static void look(struct pool *p)
{
	LIST_FOR(at, &p->idle) {
		struct client *c = LIST_ENTRY(at, struct client, in_list);

		if (client_has_input(c)) {
			take_out(p, c);
			client_free(c);
		} else if (p->closing || c->idle_until <= loop_now()) {
			retire(p, c);
		}
	}
}

static void say_farewells(struct pool *p) SUSPENDS
{
	uint64_t deadline = in_ms(QUIT_MS);
	struct list leaving, *at;

	list_init(&leaving);
	list_splice(&leaving, &p->leaving);
	LIST_FOR(each, &leaving)
		client_say_quit(LIST_ENTRY(each, struct client, in_list));
	while ((at = list_pop(&leaving))) {
		client_await_end(LIST_ENTRY(at, struct client, in_list), deadline);
		client_free(LIST_ENTRY(at, struct client, in_list));
	}
}

static void keeper_run(void *arg)
{
	struct pool *p = arg;

	do {
		bool again;

		look(p);
		again = p->reclaiming && reclaim(p);
		say_farewells(p);
		if (p->n && !p->closing && !again && list_is_empty(&p->leaving))
			task_wait(in_ms(p->reclaiming ? PROMISED_MS : LOOK_MS));
	} while (p->n || !list_is_empty(&p->leaving));
	p->keeper = NULL;
}

/* Without a stack to be had the connections are closed at once: that is what they are, a luxury. */
static void wake_keeper(struct pool *p)
{
	if (p->keeper) {
		task_wake(p->keeper);
		return;
	}
	p->keeper = task_start(&p->keepers, keeper_run, p, "pool");
	if (p->keeper)
		return;
	LIST_FOR(at, &p->idle)
		retire(p, LIST_ENTRY(at, struct client, in_list));
	LIST_FOR(at, &p->leaving) {
		list_remove(at);
		client_free(LIST_ENTRY(at, struct client, in_list));
	}
}

/* It is not kept after all. */
static void not_idle(struct client *c)
{
	if (c->counted)
		way_idle_remove(c->way, this_core());
	c->counted = false;
}

void pool_put(struct pool *p, struct client *c, uint64_t idle_ns)
{
	if (c->broken || client_has_input(c)) {
		not_idle(c);
		client_free(c);
		return;
	}
	reply_reader_done(&c->reader);
	reply_reader_init(&c->reader);
	if (p->closing || !idle_ns || !client_may_go_on(c)) {
		not_idle(c);
		list_push(&p->leaving, &c->in_list);
		wake_keeper(p);
		return;
	}
	if (p->n == IDLE_MAX)
		retire(p, LIST_ENTRY(list_first(&p->idle), struct client, in_list));
	c->idle_until = deadline_in(idle_ns);
	list_push(&p->idle, &c->in_list);
	map_insert(&p->by_endpoint, &c->in_pool, key_of(&c->endpoint, c->protocol, c->source));
	p->n++;
	if (c->way && !c->counted)
		way_idle_add(c->way, this_core());
	c->counted = false;
	p->reclaiming |= is_wanted(c);
	if (!p->keeper || p->reclaiming || !list_is_empty(&p->leaving))
		wake_keeper(p);
}

void pool_reclaim(struct pool *p)
{
	p->reclaiming = true;
	if (p->n)
		wake_keeper(p);
}

void pool_close(struct pool *p)
{
	p->closing = true;
	if (p->n || !list_is_empty(&p->leaving))
		wake_keeper(p);
	task_group_wait(&p->keepers, NEVER);
}
