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

const struct route *config_route(const struct config *c, struct str name)
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
