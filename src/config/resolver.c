/*
 * resolver - `resolver`: who answers questions about names, and its block.
 *
 * What the block leaves open depends on the mode, so it is settled when everything was read.
 */
#include "config/load.h"

#define PORT_DNS 53
#define FILE_MAX (16 * MIB)

static void add_server(struct load *l, const struct word *w)
{
	struct endpoint *e = arena_zalloc(&l->c->arena, sizeof(*e));

	if (str_starts(w->text, STR("unix:")) || !endpoint_parse(w->text, PORT_DNS, e)) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not a resolver; expected system, recursive or addresses "
			   "such as 192.0.2.53, 127.0.0.1:5353 or [2001:db8::53]",
			   DIAG_WORD(w->text));
		return;
	}
	for (unsigned i = 0; i < l->servers.n; i++) {
		if (!endpoint_eq(l->servers.p[i], e))
			continue;
		diag_error(&l->diag, &w->place, "%.*s stands here twice", DIAG_WORD(w->text));
		return;
	}
	load_add(l, &l->servers, e, LOAD_SERVERS_MAX, &w->place, "servers of the resolver");
}

void resolver_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct config_resolver *resolver = &l->c->resolver;
	bool is_system = word_is(w, "system");

	(void)row;
	l->opened = l->c;
	resolver->mode = RESOLVER_SERVERS;
	if (is_system || word_is(w, "recursive")) {
		resolver->mode = is_system ? RESOLVER_SYSTEM : RESOLVER_RECURSIVE;
		if (st->n > 2)
			diag_error(&l->diag, &w[1].place, "%.*s stands alone; expected the end of "
							  "the line", DIAG_WORD(w->text));
		return;
	}
	for (unsigned i = 1; i < st->n; i++)
		add_server(l, &st->words[i]);
}

void resolver_dnssec(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct choices choices = { .n = 0 };

	(void)row;
	l->has_dnssec = true;
	l->c->resolver.dnssec = !word_is(w, "off");
	if (word_is(w, "on") || word_is(w, "off"))
		return;
	choices_add(&choices, STR("on"));
	choices_add(&choices, STR("off"));
	diag_unknown(&l->diag, &w->place, "unexpected", w->text, &choices);
}

/* That it can be read is seen now; what is in it, by the resolver. */
static const char *readable(struct load *l, const struct word *w)
{
	const char *path = load_path(l, &w->place, w->text);
	struct str ignored;

	load_read(l, &w->place, path, FILE_MAX, &ignored, NULL);
	return path;
}

/* trust_anchor, root_hints */
void resolver_file(struct load *l, const struct setting *row, const struct statement *st)
{
	const char **field = (const char **)(void *)((char *)l->c + row->offset);

	*field = readable(l, &st->words[1]);
	if (field == &l->c->resolver.root_hints)
		l->root_hints_place = st->place;
	else
		l->trust_anchor_place = st->place;
}

void resolver_hosts(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	l->has_hosts = true;
	if (!word_is(&st->words[1], "none"))
		l->c->resolver.hosts = readable(l, &st->words[1]);
}

void resolver_finish(struct load *l)
{
	struct config_resolver *resolver = &l->c->resolver;
	struct endpoint *servers =
		arena_alloc(&l->c->arena, size_mul(l->servers.n, sizeof(*servers)));

	for (unsigned i = 0; i < l->servers.n; i++)
		servers[i] = *(const struct endpoint *)l->servers.p[i];
	resolver->servers = servers;
	resolver->servers_n = l->servers.n;
	if (!l->has_dnssec)
		resolver->dnssec = resolver->mode == RESOLVER_RECURSIVE;
	if (!l->has_hosts && resolver->mode == RESOLVER_SYSTEM)
		resolver->hosts = "/etc/hosts";
	if (resolver->root_hints && resolver->mode != RESOLVER_RECURSIVE)
		diag_warn(&l->diag, &l->root_hints_place,
			  "root_hints is not used: only resolver recursive begins at the root");
	if (resolver->trust_anchor && !resolver->dnssec)
		diag_warn(&l->diag, &l->trust_anchor_place,
			  "trust_anchor is not used while dnssec is off");
}
