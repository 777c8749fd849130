/*
 * name - see name.h: a set of names under one lock, looked into when a configuration is loaded, a
 * message is made or read, an operator says something; never per reply or per octet.
 */
#include "base/name.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

#include <pthread.h>

struct interned {
	struct map_node node;
	struct name name;	/* last: its text follows */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map names;

static struct interned *find(struct str text, uint64_t hash)
{
	for (struct map_node *at = map_first(&names, hash); at; at = map_next(at)) {
		struct interned *i = CONTAINER_OF(at, struct interned, node);

		if (str_eq(name_str(&i->name), text))
			return i;
	}
	return NULL;
}

const struct name *name_intern(struct str text)
{
	uint64_t hash = hash_bytes(text.p, text.n);
	struct interned *i;

	if (!text.n || text.n > NAME_OCTETS_MAX)
		return NULL;
	pthread_mutex_lock(&lock);
	i = find(text, hash);
	if (!i) {
		i = mem_zalloc(sizeof(*i) + text.n + 1);
		i->name.hash = hash;
		i->name.n = (uint16_t)text.n;
		memcpy(i->name.text, text.p, text.n);
		map_insert(&names, &i->node, hash);
	}
	pthread_mutex_unlock(&lock);
	return &i->name;
}
