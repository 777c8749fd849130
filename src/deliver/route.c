/*
 * route - in which order a route's hosts are tried.
 *
 * Hosts that can be used come first: weighted chance without replacement among the primary ones,
 * then the same among the backups. Those that rest (health.c) are left out while there are others,
 * and all are tried when all rest. Names are looked up one by one, when their turn comes; each
 * address of a host is tried, a host has failed when all of them have.
 */
#include "deliver/route.h"

#include "base/mem.h"

#include <errno.h>

#define LOOKUP_NS (20 * SECOND)

static uint32_t weight_of(const struct route_host *h)
{
	return h->weight ? h->weight : 1;
}

/* Draws from the indices [from, to) of list until all are drawn. */
static void draw(const struct route *r, unsigned *list, unsigned n,
		 uint64_t (*random)(void *arg, uint64_t below), void *arg)
{
	uint64_t left = 0;

	for (unsigned i = 0; i < n; i++)
		left += weight_of(&r->hosts[list[i]]);
	for (unsigned i = 0; i + 1 < n; i++) {
		uint64_t at = random(arg, left);
		unsigned pick = i, swap = list[i];

		while (at >= weight_of(&r->hosts[list[pick]]))
			at -= weight_of(&r->hosts[list[pick++]]);
		left -= weight_of(&r->hosts[list[pick]]);
		list[i] = list[pick];
		list[pick] = swap;
	}
}

unsigned route_order(const struct route *r, const enum host_state *states,
		     uint64_t (*random)(void *arg, uint64_t below), void *arg, unsigned *ret)
{
	bool all_rest = true;
	unsigned n = 0;

	for (unsigned i = 0; i < r->hosts_n; i++)
		all_rest &= states[i] == HOST_RESTS;
	for (int backup = 0; backup < 2; backup++) {
		unsigned from = n;

		for (unsigned i = 0; i < r->hosts_n; i++)
			if (r->hosts[i].backup == backup && (all_rest || states[i] != HOST_RESTS))
				ret[n++] = i;
		draw(r, ret + from, n - from, random, arg);
	}
	return n;
}

static uint64_t world_below(void *arg, uint64_t below)
{
	struct world *w = arg;
	uint64_t v;

	w->random(w, &v, sizeof(v));
	return v % below;
}

void candidates_begin(struct candidates *c, const struct route *r, struct health *h)
{
	enum host_state *states = mem_calloc(r->hosts_n, sizeof(*states));

	*c = (struct candidates){ .route = r, .health = h };
	c->order = mem_calloc(r->hosts_n, sizeof(*c->order));
	for (unsigned i = 0; i < r->hosts_n; i++) {
		uint64_t until;

		states[i] = health_state(h, &r->hosts[i], loop_now(), &until);
	}
	c->n = route_order(r, states, world_below, world_self(), c->order);
	mem_free(states);
}

void candidates_done(struct candidates *c)
{
	mem_free(c->order);
	*c = (struct candidates){ .route = NULL };
}

static enum failure look_up(struct candidates *c, struct hosts *names) SUSPENDS
{
	const struct route_host *host = c->host;

	c->ip_at = 0;
	c->ips_n = 1;
	c->ips[0] = host->endpoint.ip;
	if (host->endpoint.ip.family || host->endpoint.path)
		return FAIL_NONE;
	c->ips_n = hosts_lookup(names, host->name, c->ips, HOSTS_ADDRESSES_MAX,
				loop_now() + LOOKUP_NS);
	if (c->ips_n == -ECANCELED)
		return FAIL_CANCELLED;
	if (c->ips_n > 0)
		return FAIL_NONE;
	return c->ips_n == -ENOENT ? FAIL_NO_NAME : FAIL_NO_ANSWER;
}

enum failure candidates_next(struct candidates *c, struct hosts *names, struct endpoint *ret,
			     bool *ret_end)
{
	enum failure f;

	*ret_end = false;
	if (c->ip_at >= c->ips_n) {
		if (c->at == c->n) {
			*ret_end = true;
			return FAIL_NONE;
		}
		c->host = &c->route->hosts[c->order[c->at++]];
		health_begins(c->health, c->host, loop_now());
		f = look_up(c, names);
		if (f) {
			c->ips_n = c->ip_at = 0;
			return f;
		}
	}
	*ret = c->host->endpoint;
	ret->ip = c->ips[c->ip_at++];
	ret->port = c->host->endpoint.path ? 0 : c->host->port;
	return FAIL_NONE;
}

void candidates_again(struct candidates *c)
{
	c->ip_at -= c->ip_at > 0;
}

void candidates_failed(struct candidates *c, struct str said)
{
	if (c->ip_at >= c->ips_n)
		health_failed(c->health, c->host, loop_now(), said);
}
