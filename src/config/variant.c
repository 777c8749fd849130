/*
 * variant - routes as the blocks of rules change them.
 *
 * A block that says how long and how often to try, from where to send, or as whom to log in, makes
 * a variant of the rule's route: a route of its own, named "NAME+XXXXXXXX" by a hash of what the
 * block says. The name is what the spool records, so it must come out the same at every start and
 * on every machine: the hash has no key and is taken over the values (nanoseconds, names), not over
 * the words. Rules whose blocks say the same share one.
 */
#include "base/crc.h"
#include "config/load.h"
#include "smtp/sasl.h"

static struct str canonical(struct load *l, const struct route_draft *v)
{
	struct buf out = BUF_INIT(LEXER_WORDS_MAX * 32 + 2 * LEXER_WORD_MAX);
	const struct route *r = &v->route;
	struct str text;

	for (unsigned i = 0; i < r->retry_n; i++)
		buf_printf(&out, "%s%llu", i ? "," : "retry=",
			   (unsigned long long)r->retry_ns[i]);
	if (r->give_up_after_ns)
		buf_printf(&out, " give_up_after=%llu", (unsigned long long)r->give_up_after_ns);
	if (r->has_warn_after)
		buf_printf(&out, " warn_after=%llu", (unsigned long long)r->warn_after_ns);
	if (v->source.text.n)
		buf_printf(&out, " source=%.*s", STR_ARG(v->source.text));
	if (r->login_user.n) {	/* what is new comes last, so that the names of others stay */
		buf_printf(&out, " login=%zu:%.*s:%.*s", r->login_user.n, STR_ARG(r->login_user),
			   STR_ARG(r->login_secret));
		if (r->login_mechanism)
			buf_printf(&out, ":%s", sasl_mechanism_name(r->login_mechanism));
	}
	text = arena_str(&l->scratch, buf_str(&out));
	buf_done(&out);
	return text;
}

/* Was TLS left open where the route is defined? Those without a block say nothing about it. */
static bool is_opportunistic(const struct load *l, const struct route *route)
{
	for (unsigned i = 0; i < l->drafts.n; i++) {
		const struct route_draft *d = l->drafts.p[i];

		if (&d->route == route)
			return d->is_opportunistic;
	}
	return true;
}

static void apply_login(struct load *l, struct route *r, const struct route *base,
			const struct route_draft *v)
{
	if (!v->route.login_user.n)
		return;
	r->login_user = v->route.login_user;
	r->login_secret = v->route.login_secret;
	r->login_mechanism = v->route.login_mechanism;
	route_check_login(l, r, is_opportunistic(l, base), &v->login_place);
}

static bool apply(struct load *l, struct route *r, const struct route_draft *v)
{
	if (v->route.retry_n) {
		r->retry_ns = v->route.retry_ns;
		r->retry_n = v->route.retry_n;
	}
	if (v->route.give_up_after_ns)
		r->give_up_after_ns = v->route.give_up_after_ns;
	if (v->route.has_warn_after) {
		r->has_warn_after = true;
		r->warn_after_ns = v->route.warn_after_ns;
	}
	if (v->source.text.n)
		r->sources = source_pool_find(l, &v->source);
	return !v->source.text.n || r->sources;
}

const struct route *variant_of(struct load *l, const struct route *route,
			       const struct rule_draft *draft)
{
	struct str said = canonical(l, &draft->variant), name;
	struct variant *v;

	if (!said.n)
		return route;
	name = arena_printf(&l->c->arena, "%.*s+%08x", STR_ARG(route->name),
			    crc32c(0, said.p, said.n));
	for (unsigned i = 0; i < l->variants.n; i++) {
		v = l->variants.p[i];
		if (!str_eq(v->route.name, name))
			continue;
		if (str_eq(v->canonical, said))
			return &v->route;
		diag_error(&l->diag, &draft->place,
			   "the block of this rule has the same name, %.*s, as that in %s:%u: "
			   "change one of its values a little",
			   DIAG_WORD(name), v->route.place.file, v->route.place.line);
		return NULL;
	}
	v = arena_zalloc(&l->c->arena, sizeof(*v));
	v->route = *route;
	v->route.name = name;
	v->route.place = draft->place;
	v->canonical = said;
	vector_add(&l->variants, v);
	apply_login(l, &v->route, route, &draft->variant);
	return apply(l, &v->route, &draft->variant) ? &v->route : NULL;
}
