/*
 * provider - `provider`: who hosts the mail of many domains, and how it wants to be treated.
 *
 * A list of well-known ones (data/providers.conf) is a part of the program: it is read as one more
 * file behind the administrator's own, where a provider that is defined already is passed over, and
 * so is an ending that has an owner. `providers none` leaves the list out.
 */
#include "config/load.h"

extern const char provider_shipped_begin[], provider_shipped_end[];	/* provider_list.S */

struct str provider_shipped_text(void)
{
	return str_make(provider_shipped_begin,
			(size_t)(provider_shipped_end - provider_shipped_begin));
}

void provider_none(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct choices choices = { .n = 0 };

	(void)row;
	l->has_no_shipped = word_is(w, "none");
	if (l->has_no_shipped)
		return;
	choices_add(&choices, STR("none"));
	diag_unknown(&l->diag, &w->place, "unexpected", w->text, &choices);
}

/* ---- the block */

const struct provider *provider_find(const struct load *l, const struct name *name)
{
	for (unsigned i = 0; name && i < l->providers.n; i++) {
		const struct provider_draft *d = l->providers.p[i];

		if (d->provider.name == name)
			return &d->provider;
	}
	return NULL;
}

static const struct provider *defined(const struct load *l, const struct word *w)
{
	if (word_is(w, "any"))
		return l->any ? &l->any->provider : NULL;
	return provider_find(l, name_intern(w->text));
}

void provider_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	const struct provider *there = defined(l, w);
	struct provider_draft *d;

	(void)row;
	if (there && l->input->is_shipped)
		return;		/* the administrator's takes its place */
	d = arena_zalloc(&l->c->arena, sizeof(*d));
	d->provider.place = st->place;
	d->provider.is_shipped = l->input->is_shipped;
	d->is_any = word_is(w, "any");
	if (there) {
		diag_error(&l->diag, &w->place, "provider %.*s is already defined in %s:%u",
			   DIAG_WORD(w->text), there->place.file, there->place.line);
		return;
	}
	if (!route_name_is_valid(w->text)) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" cannot name a provider; expected letters, digits, -, _ or .",
			   DIAG_WORD(w->text));
		return;
	}
	d->provider.name = name_intern(w->text);
	if (d->is_any)
		l->any = d;
	else if (!load_add(l, &l->providers, d, LOAD_PROVIDERS_MAX, &st->place, "providers"))
		return;
	l->opened = d;
}

static struct provider_draft *open_draft(struct load *l, const struct statement *st)
{
	struct provider_draft *d = l->frames[l->depth].object;

	if (!d->is_any)
		return d;
	diag_error(&l->diag, &st->place, "provider any stands for everyone: only `on` statements "
					 "can stand in it");
	return NULL;
}

typedef const struct provider *add_ending(struct provider_index *index, const struct entry *e,
					  const struct provider *p);

static void add_endings(struct load *l, const struct statement *st, add_ending *add,
			const char *what)
{
	struct provider_draft *d = open_draft(l, st);

	for (unsigned i = 1; d && i < st->n; i++) {
		const struct word *w = &st->words[i];
		const struct provider *owner;
		struct entry e;

		if (!entry_parse(w->text, &e) || !str_is_ascii(w->text) ||
		    (e.kind != ENTRY_DOMAIN && e.kind != ENTRY_BELOW) || e.domain.p[0] == '[') {
			diag_error(&l->diag, &w->place, "\"%.*s\" is not %s",
				   DIAG_WORD(w->text), what);
			continue;
		}
		owner = add(l->index, &e, &d->provider);
		if (owner != &d->provider && !d->provider.is_shipped)
			diag_error(&l->diag, &w->place, "%.*s belongs to provider %s, in %s:%u",
				   DIAG_WORD(w->text), owner->name->text, owner->place.file,
				   owner->place.line);
	}
}

void provider_mx(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	add_endings(l, st, provider_index_add_mx,
		    "the name of a mail exchanger, or an ending such as .mail.example.net");
}

void provider_domain(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	add_endings(l, st, provider_index_add_domain, "a domain");
}

void provider_count(struct load *l, const struct setting *row, const struct statement *st)
{
	struct provider_draft *d = open_draft(l, st);

	if (d)
		setting_store(l, row, st, d);
}

void provider_on(struct load *l, const struct setting *row, const struct statement *st)
{
	struct provider_draft *d = l->frames[l->depth].object;
	struct reply_rule *rule = arena_zalloc(&l->scratch, sizeof(*rule));

	(void)row;
	if (reply_rule_read(l, st, rule))
		load_add(l, &d->rules, rule, LOAD_REPLY_RULES_MAX, &st->place,
			 "`on` statements in one provider");
}

void provider_finish(struct load *l, struct provider_draft *d)
{
	struct reply_rule *rules =
		arena_alloc(&l->c->arena, size_mul(d->rules.n, sizeof(*rules)));

	for (unsigned i = 0; i < d->rules.n; i++)
		rules[i] = *(const struct reply_rule *)d->rules.p[i];
	d->provider.rules = rules;
	d->provider.rules_n = d->rules.n;
	vector_done(&d->rules);
}

/* ---- the snapshot */

static int compare(const void *a, const void *b)
{
	const struct provider *const *x = a, *const *y = b;

	return str_cmp(name_str((*x)->name), name_str((*y)->name));
}

void provider_freeze(struct load *l)
{
	const struct provider **all =
		arena_alloc(&l->c->arena, size_mul(l->providers.n, sizeof(*all)));

	for (unsigned i = 0; i < l->providers.n; i++)
		all[i] = l->providers.p[i];
	if (l->providers.n)
		qsort(all, l->providers.n, sizeof(*all), compare);
	l->c->providers = all;
	l->c->providers_n = l->providers.n;
	l->c->provider_any = l->any ? &l->any->provider : NULL;
}

const struct provider *config_provider(const struct config *c, const struct name *name)
{
	unsigned from = 0, to = c->providers_n;

	while (name && from < to) {
		unsigned middle = from + (to - from) / 2;
		int order = str_cmp(name_str(name), name_str(c->providers[middle]->name));

		if (order == 0)
			return c->providers[middle];
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
}
