/*
 * sink_guard - see sink_guard.h.
 *
 * A caller is a client address, or all of them together if the limits are not per address; its
 * connections stay counted until they end, those that were refused, too: that is what providers
 * do, and what makes a relay that comes again at once stay refused. A triple of the greylist is
 * remembered by the hash of its three parts.
 */
#include "tool/sink_guard.h"

#include "tool/window.h"

#include "base/hash.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

struct caller {
	struct map_node in_guard;
	struct ip ip;		/* family 0: everybody */
	uint64_t connections;
	struct window window;
};

struct triple {
	struct map_node in_guard;
	uint64_t since;
};

struct guard {
	struct guard_settings settings;
	pthread_mutex_t lock;
	struct map callers, triples;	/* members owned */
	_Atomic uint64_t refused[GUARD_REASONS];
};

static const char *const reason_names[GUARD_REASONS] = {
	[GUARD_CONNECTIONS] = "connections",
	[GUARD_RATE] = "rate",
	[GUARD_MESSAGES] = "messages_per_connection",
	[GUARD_GREYLIST] = "greylist",
	[GUARD_BLOCKLIST] = "blocklist",
};

const char *guard_reason_name(enum guard_reason reason)
{
	return reason_names[reason];
}

struct guard *guard_new(const struct guard_settings *settings)
{
	struct guard *g = mem_zalloc(sizeof(*g));

	g->settings = *settings;
	if (!g->settings.rate_reply.code)
		g->settings.rate_reply =
			REPLY(421, 4, 7, 28,
			      "Our system has detected an unusual rate of mail originating from "
			      "your IP address. To protect our users, mail from it has been "
			      "temporarily rate limited.");
	if (!g->settings.block_reply.code)
		g->settings.block_reply =
			REPLY(554, 5, 7, 1,
			      "Service unavailable; your IP address is on our block list.");
	pthread_mutex_init(&g->lock, NULL);
	map_init(&g->callers);
	map_init(&g->triples);
	return g;
}

void guard_free(struct guard *g)
{
	struct map_node *at, *next;

	if (!g)
		return;
	for (at = map_walk(&g->callers, NULL); at; at = next) {
		next = map_walk(&g->callers, at);
		window_done(&((struct caller *)at)->window);
		mem_free(at);
	}
	for (at = map_walk(&g->triples, NULL); at; at = next) {
		next = map_walk(&g->triples, at);
		mem_free(at);
	}
	map_done(&g->callers);
	map_done(&g->triples);
	pthread_mutex_destroy(&g->lock);
	mem_free(g);
}

static bool refuse(struct guard *g, enum guard_reason reason, struct reply what, struct reply *ret)
{
	atomic_fetch_add_explicit(&g->refused[reason], 1, memory_order_relaxed);
	*ret = what;
	return false;
}

uint64_t guard_refused(struct guard *g, enum guard_reason reason)
{
	return atomic_load_explicit(&g->refused[reason], memory_order_relaxed);
}

/* Under the lock. */
static struct caller *caller_get(struct guard *g, const struct ip *client)
{
	const struct ip ip = g->settings.per_ip ? *client : (struct ip){ 0 };
	uint64_t hash = ip_hash(&ip);
	struct map_node *at = map_first(&g->callers, hash);
	struct caller *c;

	for (; at; at = map_next(at)) {
		c = (struct caller *)at;
		if (ip_eq(&c->ip, &ip))
			return c;
	}
	c = mem_zalloc(sizeof(*c));
	c->ip = ip;
	map_insert(&g->callers, &c->in_guard, hash);
	return c;
}

bool guard_connect(struct guard *g, const struct ip *client, struct reply *ret_reply)
{
	const struct guard_settings *s = &g->settings;
	bool full;

	pthread_mutex_lock(&g->lock);
	full = ++caller_get(g, client)->connections > s->connections_max && s->connections_max;
	pthread_mutex_unlock(&g->lock);
	for (unsigned i = 0; i < s->blocked_n; i++)
		if (network_has(&s->blocked[i], client))
			return refuse(g, GUARD_BLOCKLIST, s->block_reply, ret_reply);
	if (!full)
		return true;
	if (s->closes)
		return refuse(g, GUARD_CONNECTIONS, (struct reply){ 0 }, ret_reply);
	return refuse(g, GUARD_CONNECTIONS,
		      REPLY(421, 4, 7, 0, "Too many concurrent connections from your IP address."),
		      ret_reply);
}

void guard_disconnect(struct guard *g, const struct ip *client)
{
	pthread_mutex_lock(&g->lock);
	caller_get(g, client)->connections--;
	pthread_mutex_unlock(&g->lock);
}

static bool is_too_fast(struct guard *g, const struct ip *client, uint64_t now)
{
	const struct guard_settings *s = &g->settings;
	struct caller *c;
	bool full;

	if (!s->rate_n)
		return false;
	pthread_mutex_lock(&g->lock);
	c = caller_get(g, client);
	full = window_count(&c->window, now, s->rate_ns) >= s->rate_n;
	if (!full)
		window_add(&c->window, now, s->rate_ns);
	pthread_mutex_unlock(&g->lock);
	return full;
}

bool guard_mail(struct guard *g, const struct ip *client, unsigned messages, uint64_t now,
		struct reply *ret_reply)
{
	const struct guard_settings *s = &g->settings;

	if (s->messages_max && messages >= s->messages_max)
		return refuse(g, GUARD_MESSAGES,
			      REPLY(421, 4, 7, 0, "Too many messages on this connection."),
			      ret_reply);
	if (is_too_fast(g, client, now))
		return refuse(g, GUARD_RATE, s->rate_reply, ret_reply);
	return true;
}

static uint64_t triple_hash(const struct ip *client, struct str sender, struct str recipient)
{
	return ip_hash(client) ^ hash_u64(hash_nocase(sender)) ^
	       hash_u64(hash_nocase(recipient) + 1);
}

/* When it was seen first. */
static uint64_t triple_since(struct guard *g, uint64_t hash, uint64_t now)
{
	struct map_node *at;
	uint64_t since = now;

	pthread_mutex_lock(&g->lock);
	at = map_first(&g->triples, hash);
	if (at) {
		since = ((struct triple *)at)->since;
	} else {
		struct triple *t = mem_zalloc(sizeof(*t));

		t->since = now;
		map_insert(&g->triples, &t->in_guard, hash);
	}
	pthread_mutex_unlock(&g->lock);
	return since;
}

bool guard_rcpt(struct guard *g, const struct ip *client, struct str sender, struct str recipient,
		uint64_t now, struct reply *ret_reply)
{
	uint64_t wait = g->settings.greylist_ns;

	if (!wait ||
	    now - triple_since(g, triple_hash(client, sender, recipient), now) >= wait)
		return true;
	return refuse(g, GUARD_GREYLIST,
		      REPLY(450, 4, 7, 1, "Greylisted, please try again later."), ret_reply);
}
