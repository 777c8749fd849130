/*
 * destination - one next hop: its jobs in order, its recent health, whether it wants a slot.
 *
 * Made when its first job arrives, freed when it has neither jobs nor slots nor a rest to wait for.
 * When no host can be reached it rests by the retry schedule, its jobs keep their places and no
 * attempts are counted; then one slot probes, and the first good news lifts all bounds. "Down"
 * while other connections of the same way work is another matter: that hop takes fewer than we are
 * allowed to make, so its lane becomes narrower (limits.h) and the destination goes on; unless it
 * was refused twice in a row and has nothing else that works - then it is the destination that is
 * down, not its provider that is busy.
 */
#include "schedule/home.h"

#include "report/log.h"

#include <math.h>

#define REFUSALS_MAX 2		/* in a row that are taken for "too many connections" */
#define RATE_SPAN 60.0		/* seconds over which the rate is averaged */

/* "mx", "mx:NAME", and their variants. */
static bool is_mx_route(struct str route)
{
	return str_starts(route, STR("mx")) &&
	       (route.n == 2 || route.p[2] == ':' || route.p[2] == '+');
}

struct route_key route_key_make(struct str route, struct str domain)
{
	struct route_key k = { .route = route, .hash = hash_bytes(route.p, route.n) };

	if (is_mx_route(route)) {
		k.domain = domain;
		k.hash = hash_u64(k.hash ^ hash_nocase(domain));
	}
	return k;
}

struct route_key route_key_of(const struct message *m, uint32_t recipient)
{
	return route_key_make(recipient_route(m, recipient),
			      address_split(recipient_address(m, recipient)).domain);
}

bool route_key_eq(const struct route_key *a, const struct route_key *b)
{
	return a->hash == b->hash && str_eq(a->route, b->route) &&
	       str_eq_nocase(a->domain, b->domain);
}

struct home *home_of(struct schedule *s, uint64_t hash)
{
	return &s->homes[(hash >> 32) % s->homes_n];
}

struct str destination_route(const struct destination *d)
{
	return str_make(d->text, d->route_n);
}

struct str destination_domain(const struct destination *d)
{
	return str_make(d->text + d->route_n + 1, d->domain_n);
}

const char *destination_name(const struct destination *d)
{
	return d->domain_n ? d->text + d->route_n + 1 : d->text;
}

struct destination *destination_find(struct home *h, const struct route_key *k)
{
	for (struct map_node *n = map_first(&h->destinations, k->hash); n; n = map_next(n)) {
		struct destination *d = CONTAINER_OF(n, struct destination, node);

		if (str_eq(destination_route(d), k->route) &&
		    str_eq_nocase(destination_domain(d), k->domain))
			return d;
	}
	return NULL;
}

static struct destination *destination_new(struct home *h, const struct route_key *k)
{
	size_t cores = size_mul(net_workers(h->schedule->net), sizeof(uint16_t));
	size_t text = k->route.n + 1 + k->domain.n + 1;
	struct destination *d = mem_zalloc(size_add(sizeof(*d), size_add(cores, text)));
	char *p = (char *)d->slots_on + cores;

	d->home = h;
	d->text = p;
	d->route_n = (uint16_t)k->route.n;
	d->domain_n = (uint16_t)k->domain.n;
	d->is_mx = is_mx_route(k->route);
	str_copy(p, k->route.n + 1, k->route);
	str_copy(p + k->route.n + 1, k->domain.n + 1, k->domain);
	str_lower(p + k->route.n + 1, k->domain.n);
	list_init(&d->ready);
	list_init(&d->waiting);
	list_init(&d->held);
	list_init(&d->in_want);
	destination_line_init(d);
	destination_configure(d);
	destination_obey(d);
	map_insert(&h->destinations, &d->node, k->hash);
	(d->is_mx ? list_push : list_push_front)(&h->all, &d->in_home);
	return d;
}

struct destination *destination_get(struct home *h, const struct route_key *k)
{
	struct destination *d = destination_find(h, k);

	return d ? d : destination_new(h, k);
}

/* What people call a route that is not in the configuration (config.h: route). */
static struct str base_of(struct str route)
{
	ssize_t plus = str_rfind(route, '+');

	if (plus > 0 && route.n - (size_t)plus == 9)
		route.n = (size_t)plus;
	return str_starts(route, STR("mx:")) ? str_from(route, 3) : route;
}

/*
 * A route that the configuration does not know any more gets one slot at a time: deliver/ says what
 * is wrong.
 */
void destination_configure(struct destination *d)
{
	d->route = config_route(home_config(d->home), destination_route(d));
	d->base = d->route && d->route->base ? d->route->base :
					       name_intern(base_of(destination_route(d)));
	destination_line_leave(d);
	destination_forget_ways(d);
}

const struct suspension *destination_suspension(const struct destination *d)
{
	const struct suspended *all = d->home->suspended;
	const struct suspension *x = suspended_find(all, SUSPEND_DESTINATION,
						    str_of(destination_name(d)));

	if (!x && !d->domain_n)
		x = suspended_find(all, SUSPEND_DESTINATION, name_str(d->base));
	if (!x)
		x = suspended_find(all, SUSPEND_ROUTE, name_str(d->base));
	if (!x && d->provider)
		x = suspended_find(all, SUSPEND_PROVIDER, name_str(d->provider));
	return x;
}

void destination_obey(struct destination *d)
{
	d->is_suspended = destination_suspension(d) || destination_has_no_source(d);
	destination_leave_sources(d);
}

void destination_free(struct destination *d)
{
	struct home *h = d->home;

	LIST_FOR(at, &h->walks) {
		struct walk *w = LIST_ENTRY(at, struct walk, in_walks);

		if (w->next == &d->in_home)
			w->next = d->in_home.next;
	}
	destination_line_leave(d);
	destination_forget_ways(d);
	list_remove(&d->in_want);
	list_remove(&d->in_home);
	heap_remove(&h->resting, &d->in_resting);
	map_remove(&h->destinations, &d->node);
	heap_done(&d->woken);
	mem_free(d->said);
	mem_free(d->last);
	mem_free(d);
}

bool destination_is_resting(const struct destination *d)
{
	return heap_has(&d->in_resting);
}

static bool is_idle(const struct destination *d)
{
	return !(d->ready_n | d->waiting_n | d->held_n | d->in_flight_n | d->settling_n |
		 d->slots) &&
	       !d->start_pending && !d->is_kept && !d->wake && !atomic_load(&d->call_posted) &&
	       !destination_is_resting(d);
}

static bool starts_slowly(const struct destination *d)
{
	return d->moment && d->route && loop_now() - d->moment * SECOND < d->route->slow_start_ns;
}

/*
 * Since it is back: from SLOW_START_FROM on it doubles in equal steps, and has all when the route's
 * slow start is over. Each slot that asks for a job looks anew, so no timer is needed.
 */
static unsigned slow_start(const struct destination *d, unsigned most)
{
	unsigned n = SLOW_START_FROM;
	uint64_t past, steps = 1;

	if (!starts_slowly(d) || most <= n)
		return most;
	past = loop_now() - d->moment * SECOND;
	while (n << steps < most)
		steps++;
	n <<= past / (d->route->slow_start_ns / steps + 1);
	return n < most ? n : most;
}

/* Of an MX destination whose provider is not known yet the first slot finds that out, alone. */
unsigned destination_slots_max(const struct destination *d)
{
	if (d->probing || (d->is_mx && !d->knows_provider))
		return 1;
	if (!d->route || !d->route->connections_max)
		return 1;
	return slow_start(d, d->route->connections_max);
}

static bool is_stopping(const struct destination *d)
{
	return atomic_load_explicit(&d->home->schedule->stopping, memory_order_relaxed);
}

static enum want wanted(const struct destination *d)
{
	if (is_stopping(d) || d->is_suspended || d->waits || d->start_pending || d->wake ||
	    destination_is_resting(d) || d->ready_n <= d->asking ||
	    d->slots >= destination_slots_max(d))
		return WANT_NONE;
	return d->slots ? WANT_MORE : WANT_FIRST;
}

/* Whoever is in the right list already keeps his place in it, and at a gate. */
void destination_update(struct destination *d)
{
	enum want want;

	if (d->moment && !d->failures && !starts_slowly(d))
		d->moment = 0;
	if (d->line != LINE_NONE && (!d->ready_n || d->is_suspended || destination_is_resting(d) ||
				     is_stopping(d)))
		destination_line_leave(d);
	want = wanted(d);
	if (want != d->want) {
		list_remove(&d->in_want);
		d->want = (uint8_t)want;
		if (want != WANT_NONE)
			list_push(want == WANT_FIRST ? &d->home->first : &d->home->more,
				  &d->in_want);
	}
	if (is_idle(d))
		destination_free(d);
}

/* ---- health */

static void rest(struct destination *d, uint64_t ns)
{
	uint64_t at = loop_now() + ns;

	if (!destination_is_resting(d) || heap_key(&d->home->resting, &d->in_resting) < at)
		heap_change(&d->home->resting, &d->in_resting, at);
}

void destination_pause(struct destination *d, uint64_t ns)
{
	rest(d, ns);
}

void text_set(char **text, struct str to)
{
	if (*text && str_eq(str_of(*text), to))
		return;
	mem_free(*text);
	*text = to.n ? str_dup(to) : NULL;
}

/* Others get through where this slot did not: the way is narrower than we thought. */
static bool is_only_refused(struct destination *d, struct way *way, struct str said)
{
	bool works = d->works_n && d->slots > 1;

	if (!way || d->probing || (!works && d->refusals >= REFUSALS_MAX - 1) ||
	    !way_refused(way, said))
		return false;
	d->refusals += !works;
	return true;
}

/* The primary of a relay domain is looked for often: one connection, by the slot that probes. */
static uint64_t rest_of(struct destination *d, uint64_t wait)
{
	uint64_t look = LOOK_NS + home_random(d->home) % LOOK_NS;

	return d->is_mx || !d->route || wait < look ? wait : look;
}

static void tell_of_rest(struct destination *d, uint64_t wait, struct str said)
{
	uint64_t now = loop_now();

	if (d->failures > 1 && now < d->moment * SECOND)
		return;
	d->moment = (uint32_t)((now + wait) / SECOND);
	log_begin(LOG_DESTINATION_RESTS);
	log_cstr("destination", destination_name(d));
	log_u64("failures", d->failures);
	log_u64("waiting", d->ready_n + d->waiting_n);
	log_u64("seconds", (heap_key(&d->home->resting, &d->in_resting) - now) / SECOND);
	log_str("why", said);
	log_end();
}

void destination_down(struct destination *d, struct way *way, struct str said)
{
	uint64_t wait;

	if (is_only_refused(d, way, said))
		return;
	text_set(&d->said, said);
	d->failures++;
	d->epoch++;
	d->works_n = 0;
	d->refusals = 0;
	d->probing = true;
	d->was_down = !d->is_mx;
	wait = retry_wait_ns(home_config(d->home), d->route, d->failures, home_random(d->home));
	rest(d, rest_of(d, wait));
	tell_of_rest(d, wait, said);
}

void destination_works(struct destination *d, struct way *way, bool settled)
{
	if (d->was_down && settled) {
		d->was_down = false;
		wake_jobs(d);
	}
	if (d->failures || d->probing) {
		d->failures = 0;
		d->probing = false;
		d->moment = d->is_mx ? 0 : (uint32_t)(loop_now() / SECOND);
		text_set(&d->said, STR_NONE);
		heap_remove(&d->home->resting, &d->in_resting);
	}
	d->works_n++;
	d->refusals = 0;
	if (way)
		way_works(way);
}

void destination_wake(struct destination *d)
{
	heap_remove(&d->home->resting, &d->in_resting);
	destination_update(d);
}

void destination_rouse(struct destination *d)
{
	if (destination_is_resting(d))
		d->failures = 0;
	destination_wake(d);
}

/* ---- the rate: each transaction adds a share that fades away by e in RATE_SPAN */

double destination_rate(const struct destination *d)
{
	double seconds = (double)(loop_now() - d->rate_at) / (double)SECOND;

	return d->messages ? (double)d->rate * exp(-seconds / RATE_SPAN) : 0;
}

void destination_count(struct destination *d)
{
	d->rate = (float)(destination_rate(d) + 1 / RATE_SPAN);
	d->rate_at = loop_now();
	d->messages++;
}
