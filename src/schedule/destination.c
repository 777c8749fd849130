/*
 * destination - one next hop: its jobs in order, its limits, its recent health.
 *
 * Made when its first job arrives, freed when it has neither jobs nor slots nor a rest to wait for.
 * When no host can be reached it rests by the retry schedule, its jobs keep their places and no
 * attempts are counted; then one slot probes, and the first good news lifts all bounds. "Down"
 * while other slots work is another matter: that hop takes fewer connections than we are allowed to
 * make, so the bound falls to what it took, and rises again slowly.
 */
#include "schedule/home.h"

#include "report/log.h"

#define WORKS_PER_RISE 32	/* good results until one more slot is tried again */

struct route_key route_key_of(const struct message *m, uint32_t recipient)
{
	struct route_key k = { .route = recipient_route(m, recipient) };

	k.hash = hash_bytes(k.route.p, k.route.n);
	if (str_eq(k.route, STR("mx"))) {
		k.domain = address_split(recipient_address(m, recipient)).domain;
		k.hash = hash_u64(k.hash ^ hash_nocase(k.domain));
	}
	return k;
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

static struct destination *destination_find(struct home *h, const struct route_key *k)
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
	str_copy(p, k->route.n + 1, k->route);
	str_copy(p + k->route.n + 1, k->domain.n + 1, k->domain);
	str_lower(p + k->route.n + 1, k->domain.n);
	list_init(&d->ready);
	list_init(&d->held);
	list_init(&d->in_want);
	destination_configure(d);
	map_insert(&h->destinations, &d->node, k->hash);
	return d;
}

struct destination *destination_get(struct home *h, const struct route_key *k)
{
	struct destination *d = destination_find(h, k);

	return d ? d : destination_new(h, k);
}

/*
 * A route that the configuration does not know any more gets one slot at a time: deliver/ says what
 * is wrong.
 */
void destination_configure(struct destination *d)
{
	d->route = config_route(home_config(d->home), destination_route(d));
	d->allowed = d->route && d->route->connections_max ? d->route->connections_max : 1;
}

void destination_free(struct destination *d)
{
	struct home *h = d->home;

	list_remove(&d->in_want);
	heap_remove(&h->resting, &d->in_resting);
	map_remove(&h->destinations, &d->node);
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
	       !d->start_pending && !destination_is_resting(d);
}

static enum want wanted(const struct destination *d)
{
	unsigned allowed = d->probing ? 1 : d->allowed;

	if (atomic_load_explicit(&d->home->schedule->stopping, memory_order_relaxed) ||
	    d->start_pending || destination_is_resting(d) || d->ready_n <= d->asking ||
	    d->slots >= allowed)
		return WANT_NONE;
	return d->slots ? WANT_MORE : WANT_FIRST;
}

/* Whoever is in the right list already keeps his place in it. */
void destination_update(struct destination *d)
{
	enum want want = wanted(d);

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

void destination_down(struct destination *d, struct str said)
{
	uint64_t wait;

	str_copy(d->said, sizeof(d->said), said);
	if (d->works_n && d->slots > 1) {
		d->allowed = d->slots - 1;
		d->works_n = 1;
		return;
	}
	d->failures++;
	d->epoch++;
	d->works_n = 0;
	d->probing = true;
	wait = retry_wait_ns(home_config(d->home), d->failures, home_random(d->home));
	rest(d, wait);
	log_begin(LOG_DESTINATION_RESTS);
	log_cstr("destination", destination_name(d));
	log_u64("failures", d->failures);
	log_u64("waiting", d->ready_n + d->waiting_n);
	log_u64("seconds", wait / SECOND);
	log_str("why", str_of(d->said));
	log_end();
}

void destination_works(struct destination *d)
{
	unsigned bound = d->route ? d->route->connections_max : 1;

	if (d->failures || d->probing) {
		d->failures = 0;
		d->probing = false;
		d->said[0] = 0;
		heap_remove(&d->home->resting, &d->in_resting);
	}
	if (++d->works_n % WORKS_PER_RISE == 0 && d->allowed < bound)
		d->allowed++;
}

void destination_wake(struct destination *d)
{
	heap_remove(&d->home->resting, &d->in_resting);
	destination_update(d);
}
