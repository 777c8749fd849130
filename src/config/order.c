/*
 * order - rules that no mail reaches, and routes that no mail goes by.
 *
 * The first rule that fits decides, so a rule is never reached if one before it fits all that it
 * fits. That is said only where it is certain: each part of the earlier rule - who, sender,
 * recipient - must hold all of the later one's, word by word. Two rules that only together take
 * everything from a third are not seen. To look for it is bounded: of the first RULES_MAX rules,
 * those whose lists are short.
 */
#include "config/load.h"

#define RULES_MAX 1000	/* each is compared with all before it */
#define ENTRIES_MAX 100 /* of the later rule's lists */

static bool covers_who(const struct rule *a, const struct rule *b)
{
	bool by_networks = a->who == WHO_NETWORKS || a->who == WHO_TABLE;

	if (a->who == WHO_ANY)
		return true;
	if (by_networks)
		return (b->who == WHO_NETWORKS || b->who == WHO_TABLE) && a->who_table &&
		       b->who_table && table_covers_networks(a->who_table, b->who_table);
	if (a->who != b->who)
		return false;
	return a->who_table == b->who_table || (a->who == WHO_LOGIN && !a->who_table);
}

static bool covers_address(const struct address_match *a, const struct address_match *b)
{
	bool a_domains = a->kind == MATCH_DOMAIN_TABLE, b_domains = b->kind == MATCH_DOMAIN_TABLE;

	if (a->kind == MATCH_ANY)
		return true;
	if (b->kind == MATCH_ANY || a_domains != b_domains || !a->table || !b->table)
		return false;
	return table_covers_names(a->table, b->table);
}

static bool covers(const struct rule *a, const struct rule *b)
{
	return covers_address(&a->recipient, &b->recipient) &&
	       covers_address(&a->sender, &b->sender) && covers_who(a, b);
}

static bool is_short(const struct table *t)
{
	return !t || table_count(t) <= ENTRIES_MAX;
}

static const struct rule *find_before(const struct load *l, unsigned i)
{
	const struct rule *rule = l->rules.p[i];

	if (!is_short(rule->who_table) || !is_short(rule->sender.table) ||
	    !is_short(rule->recipient.table))
		return NULL;
	for (unsigned k = 0; k < i; k++)
		if (covers(l->rules.p[k], rule))
			return l->rules.p[k];
	return NULL;
}

static void check_rules(struct load *l)
{
	for (unsigned i = 1; i < l->rules.n && i < RULES_MAX; i++) {
		const struct rule *rule = l->rules.p[i], *before = find_before(l, i);

		if (before)
			diag_warn(&l->diag, &rule->place,
				  "this rule is never reached: the one in %s:%u decides about all "
				  "of its mail; put it before that one, or take it out",
				  before->place.file, before->place.line);
	}
}

static bool is_used(const struct load *l, const struct route *route)
{
	if (l->c->postmaster_route && l->c->postmaster_route->base == route->base)
		return true;
	for (unsigned i = 0; i < l->rules.n; i++) {
		const struct rule *rule = l->rules.p[i];

		if (rule->route && rule->route->base == route->base)
			return true;
	}
	return false;
}

static bool accepts(const struct load *l)
{
	for (unsigned i = 0; i < l->rules.n; i++)
		if (((const struct rule *)l->rules.p[i])->accept)
			return true;
	return false;
}

static void check_routes(struct load *l)
{
	for (unsigned i = 0; i < l->drafts.n; i++) {
		const struct route *route = l->drafts.p[i];

		if (!is_used(l, route))
			diag_warn(&l->diag, &route->place,
				  "no rule sends mail by route %.*s: name it in one, as in: accept "
				  "from local to any via %.*s", DIAG_WORD(name_str(route->base)),
				  DIAG_WORD(name_str(route->base)));
	}
}

void order_check(struct load *l)
{
	if (l->diag.errors)	/* a rule that is wrong may be the one that is missed */
		return;
	check_rules(l);
	if (accepts(l))		/* else that was said */
		check_routes(l);
}
