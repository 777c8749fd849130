/*
 * snapshot - the life of a configuration: references, the one in force, routes by name.
 *
 * The pointer to the current snapshot and the taking of a reference to it must be one step: between
 * reading the pointer and counting, a swap could free it. A mutex makes them one; it is held for
 * two instructions, once per session. Hazard pointers would save nothing that can be measured at
 * that rate.
 */
#include "base/mem.h"
#include "config/load.h"
#include "net/tls.h"

#include <assert.h>
#include <pthread.h>

static pthread_mutex_t current_lock = PTHREAD_MUTEX_INITIALIZER;
static struct config *current;		/* owned: one reference */

struct config *config_ref(struct config *c)
{
	uint32_t before = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);

	assert(before > 0 && before < UINT32_MAX);
	return c;
}

void config_unref(struct config *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < c->tables_n; i++)
		table_done(c->tables[i]);
	for (unsigned i = 0; i < c->contexts_n; i++)
		tls_context_unref(c->contexts[i]);
	provider_index_done(c->provider_index);
	arena_done(&c->arena);
	mem_free(c);
}

struct config *config_current(void)
{
	struct config *c;

	pthread_mutex_lock(&current_lock);
	c = current ? config_ref(current) : NULL;
	pthread_mutex_unlock(&current_lock);
	return c;
}

void config_set_current(struct config *c)
{
	struct config *old;

	pthread_mutex_lock(&current_lock);
	old = current;
	current = c;
	pthread_mutex_unlock(&current_lock);
	config_unref(old);
}

static struct tls_context *context_of(const struct config *c, bool asks)
{
	return asks && c->tls.server_asking ? c->tls.server_asking : c->tls.server;
}

struct tls_context *config_server_context(const struct config *own, bool asks)
{
	struct config *c = config_current();
	struct tls_context *present = c ? context_of(c, asks) : NULL;
	struct tls_context *taken = present ? present : context_of(own, asks);

	taken = taken ? tls_context_ref(taken) : NULL;
	config_unref(c);
	return taken;
}

static const struct route *find_route(const struct config *c, struct str name)
{
	unsigned from = 0, to = c->routes_n;

	while (from < to) {
		unsigned middle = from + (to - from) / 2;
		int order = str_cmp(name, c->routes[middle]->name);

		if (order == 0)
			return c->routes[middle];
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
}

/* "NAME" of "NAME+XXXXXXXX"; else all of it. */
static struct str without_variant(struct str name)
{
	ssize_t plus = str_rfind(name, '+');

	if (plus < 0 || name.n - (size_t)plus != 9)
		return name;
	for (size_t i = (size_t)plus + 1; i < name.n; i++)
		if (!ascii_is_digit(name.p[i]) && (name.p[i] < 'a' || name.p[i] > 'f'))
			return name;
	return str_sub(name, 0, (size_t)plus);
}

const struct route *config_route(const struct config *c, struct str name)
{
	const struct route *route = find_route(c, name);
	struct str plain = without_variant(name);

	return route || plain.n == name.n ? route : find_route(c, plain);
}

const struct route *config_route_named(const struct config *c, struct str base)
{
	const struct route *route = find_route(c, base);
	char name[3 + LOAD_NAME_MAX];

	if (route || base.n > LOAD_NAME_MAX)
		return route;
	memcpy(name, "mx:", 3);
	if (base.n)
		memcpy(name + 3, base.p, base.n);
	return find_route(c, str_make(name, base.n + 3));
}

const struct source *config_source(const struct config *c, const struct name *name)
{
	for (unsigned i = 0; i < c->sources_n; i++)
		if (c->sources[i]->name == name)
			return c->sources[i];
	return NULL;
}
