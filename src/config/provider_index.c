/*
 * provider_index - whose mail exchanger a host is, whose domain a domain; and the patterns of all
 * reply rules.
 *
 * Two maps of names, one of mail exchangers and one of domains, with ".suffix" entries among them:
 * a name is looked up as it stands, then once for each of its dots, so the longest ending is found
 * first, and the time does not depend on how many there are. Lives as long as its snapshot.
 */
#include "base/hash.h"
#include "config/load.h"

struct ending {
	struct map_node node;
	struct str name;	/* BELOW: without its dot */
	bool is_below;
	const struct provider *provider;
};

struct provider_index {
	struct arena *arena;	/* borrowed: the snapshot's */
	struct map mx, domains;	/* struct ending */
	struct vector patterns;	/* owned, and what is in it */
};

struct provider_index *provider_index_new(struct arena *a)
{
	struct provider_index *index = arena_zalloc(a, sizeof(*index));

	index->arena = a;
	return index;
}

void provider_index_done(const struct provider_index *index)
{
	struct provider_index *i = (struct provider_index *)(uintptr_t)index;

	for (unsigned n = 0; n < i->patterns.n; n++)
		pattern_free(i->patterns.p[n]);
	vector_done(&i->patterns);
	map_done(&i->mx);
	map_done(&i->domains);
}

void provider_index_keep(struct provider_index *index, struct pattern *pattern)
{
	vector_add(&index->patterns, pattern);
}

static uint64_t key(struct str name, bool is_below)
{
	return hash_nocase(name) ^ is_below;
}

static const struct provider *find(const struct map *m, struct str name, bool is_below)
{
	for (struct map_node *n = map_first(m, key(name, is_below)); n; n = map_next(n)) {
		const struct ending *e = CONTAINER_OF(n, struct ending, node);

		if (e->is_below == is_below && str_eq_nocase(e->name, name))
			return e->provider;
	}
	return NULL;
}

static const struct provider *add(struct provider_index *index, struct map *m,
				  const struct entry *e, const struct provider *p)
{
	bool is_below = e->kind == ENTRY_BELOW;
	const struct provider *there = find(m, e->domain, is_below);
	struct ending *ending;

	if (there)
		return there;
	ending = arena_zalloc(index->arena, sizeof(*ending));
	ending->name = arena_str(index->arena, e->domain);
	ending->is_below = is_below;
	ending->provider = p;
	map_insert(m, &ending->node, key(ending->name, is_below));
	return p;
}

const struct provider *provider_index_add_mx(struct provider_index *index, const struct entry *e,
					     const struct provider *p)
{
	return add(index, &index->mx, e, p);
}

const struct provider *provider_index_add_domain(struct provider_index *index,
						 const struct entry *e, const struct provider *p)
{
	return add(index, &index->domains, e, p);
}

static const struct provider *find_longest(const struct map *m, struct str name)
{
	const struct provider *p;

	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	p = find(m, name, false);
	for (ssize_t dot; !p && (dot = str_find(name, '.')) >= 0; ) {
		name = str_from(name, (size_t)dot + 1);
		p = find(m, name, true);
	}
	return p;
}

const struct provider *config_provider_of_mx(const struct config *c, struct str host)
{
	return find_longest(&c->provider_index->mx, host);
}

const struct provider *config_provider_of_domain(const struct config *c, struct str domain)
{
	return find_longest(&c->provider_index->domains, domain);
}
