/*
 * suspend - relevo suspend, relevo resume: nothing goes to a destination, provider, route, or from
 * a source, until an operator says so.
 *
 * schedule/ records and obeys; here is what an operator may get wrong. A provider, source or route
 * that is not in the configuration is refused unless forced: most likely it is misspelt, and the
 * mail that was to be stopped would go on. A destination need not be known: mail for it may come.
 */
#include "control/answer.h"

#include "base/arena.h"
#include "base/mem.h"
#include "control/query.h"

#include <errno.h>

#define WHY_MAX 400

static bool kind_parse(struct answer *a, struct str word, enum suspend_kind *ret) SUSPENDS
{
	for (int k = 0; k < SUSPEND_KINDS; k++)
		if (str_eq_nocase(word, str_of(suspend_kind_name((enum suspend_kind)k)))) {
			*ret = (enum suspend_kind)k;
			return true;
		}
	answer_value(a, word);
	buf_add_lit(&a->line, ": expected one of destination, provider, source, route");
	answer_error(a);
	a->code = 2;
	return false;
}

/* ---- is it in the configuration; if not, what may have been meant */

struct nearest {
	struct str word, best;
	unsigned distance;
	bool found;
};

static void compare(struct nearest *n, struct str name)
{
	unsigned d = str_distance(n->word, name);

	n->found |= str_eq_nocase(n->word, name);
	if (d < n->distance) {
		n->distance = d;
		n->best = name;
	}
}

static void look_through(struct nearest *n, const struct config *c, enum suspend_kind kind)
{
	if (kind == SUSPEND_PROVIDER)
		for (unsigned i = 0; i < c->providers_n; i++)
			compare(n, name_str(c->providers[i]->name));
	else if (kind == SUSPEND_SOURCE)
		for (unsigned i = 0; i < c->sources_n; i++)
			compare(n, name_str(c->sources[i]->name));
	else
		for (unsigned i = 0; i < c->routes_n; i++) {
			compare(n, name_str(c->routes[i]->base));
			compare(n, query_route_name(c->routes[i]->name));
		}
}

static bool is_known(struct answer *a, enum suspend_kind kind, struct str name) SUSPENDS
{
	struct nearest n = { .word = name, .distance = 3 };
	struct config *c = config_current();

	look_through(&n, c, kind);
	if (!n.found) {
		buf_printf(&a->line, "there is no %s ", suspend_kind_name(kind));
		answer_value(a, name);
		buf_add_lit(&a->line, " in the configuration");
		if (n.best.n) {
			buf_add_lit(&a->line, "; did you mean ");
			answer_value(a, n.best);
			buf_add_lit(&a->line, "?");
		}
		buf_add_lit(&a->line, " (--force suspends it all the same)");
		answer_error(a);
	}
	config_unref(c);
	return n.found;
}

/* As the configuration writes it, a route by its base. Owned by the caller. */
static char *name_in_force(enum suspend_kind kind, struct str name)
{
	struct config *c = config_current();
	char *text = NULL;

	for (unsigned i = 0; kind == SUSPEND_ROUTE && i < c->routes_n && !text; i++) {
		struct str base = name_str(c->routes[i]->base);

		if (str_eq_nocase(name, base) || str_eq_nocase(name, c->routes[i]->name))
			text = str_dup(base);
	}
	for (unsigned i = 0; kind == SUSPEND_PROVIDER && i < c->providers_n && !text; i++)
		if (str_eq_nocase(name, name_str(c->providers[i]->name)))
			text = str_dup(name_str(c->providers[i]->name));
	for (unsigned i = 0; kind == SUSPEND_SOURCE && i < c->sources_n && !text; i++)
		if (str_eq_nocase(name, name_str(c->sources[i]->name)))
			text = str_dup(name_str(c->sources[i]->name));
	config_unref(c);
	return text ? text : str_dup(name);
}

/* ---- the commands */

static void tell(struct answer *a, enum suspend_kind kind, struct str name, const char *what)
	SUSPENDS
{
	if (a->json) {
		json_begin(a);
		json_str(a, "kind", str_of(suspend_kind_name(kind)));
		json_str(a, "name", name);
		json_str(a, "result", str_of(what));
		json_end(a);
		object_line(a);
		return;
	}
	buf_printf(&a->line, "%s ", suspend_kind_name(kind));
	answer_value(a, name);
	buf_printf(&a->line, ": %s", what);
	answer_line(a);
}

static void tell_failed(struct answer *a, int error) SUSPENDS
{
	char text[128];

	buf_printf(&a->line, "nothing was changed: it cannot be recorded: %s",
		   strerror_r(-error, text, sizeof(text)));
	answer_error(a);
}

/* False: the words are wrong, and that was answered. */
static bool read_words(struct answer *a, struct words *w, enum suspend_kind *ret_kind,
		       struct str *ret_name) SUSPENDS
{
	if (!kind_parse(a, words_next(w), ret_kind))
		return false;
	*ret_name = words_next(w);
	if (ret_name->n && ret_name->n < NAME_OCTETS_MAX && !str_has_control(*ret_name))
		return true;
	buf_printf(&a->line, "which %s? Its name is missing", suspend_kind_name(*ret_kind));
	answer_error(a);
	a->code = 2;
	return false;
}

/* "force" or "-", kind, name, why */
void relay_suspend(struct answer *a, struct words *w)
{
	bool forced = str_eq(words_next(w), STR("force"));
	enum suspend_kind kind;
	struct str name, why;
	char *text;
	int r;

	if (!read_words(a, w, &kind, &name))
		return;
	why = str_sub(words_next(w), 0, WHY_MAX);
	if (w->from < w->n || str_has_control(why)) {
		buf_add_lit(&a->line, "one reason, in quotes, may follow the name");
		answer_error(a);
		a->code = 2;
		return;
	}
	if (kind != SUSPEND_DESTINATION && !forced && !is_known(a, kind, name))
		return;
	text = name_in_force(kind, name);
	r = schedule_suspend(a->links->schedule, kind, str_of(text), why);
	if (r == 0)
		tell(a, kind, str_of(text), "suspended; what is being sent just now will end");
	else if (r == -EALREADY)
		tell(a, kind, str_of(text), "is suspended already");
	else
		tell_failed(a, r);
	mem_free(text);
	json_done(a);
}

void relay_resume(struct answer *a, struct words *w)
{
	enum suspend_kind kind;
	struct str name;
	char *text;
	int r;

	if (!read_words(a, w, &kind, &name))
		return;
	text = name_in_force(kind, name);
	r = schedule_resume(a->links->schedule, kind, str_of(text));
	if (r == 0) {
		tell(a, kind, str_of(text), "goes on");
	} else if (r == -EALREADY) {
		buf_printf(&a->line, "%s ", suspend_kind_name(kind));
		answer_value(a, str_of(text));
		buf_add_lit(&a->line, ": is not suspended");
		answer_error(a);
	} else {
		tell_failed(a, r);
	}
	mem_free(text);
	json_done(a);
}

/* ---- the list */

void suspension_add(struct answer *a, const struct suspension *x)
{
	if (a->json) {
		json_begin(a);
		json_str(a, "suspended", str_of(suspend_kind_name(x->kind)));
		json_str(a, "name", str_of(x->name));
		json_time(a, "since", x->since_ms);
		json_str(a, "why", str_of(x->why));
		json_end(a);
		return;
	}
	buf_printf(&a->line, "suspended: %s ", suspend_kind_name(x->kind));
	answer_value(a, str_of(x->name));
	buf_add_lit(&a->line, " for ");
	answer_age(a, loop_wall_ms() - x->since_ms);
	if (x->why && x->why[0]) {
		buf_add_lit(&a->line, ": ");
		answer_value(a, str_of(x->why));
	}
}

struct listing {
	struct answer *answer;
	struct buf lines;		/* each ended by LF */
};

static void on_suspension(void *arg, const struct suspension *x)
{
	struct listing *l = arg;

	suspension_add(l->answer, x);
	buf_add_byte(&l->answer->line, '\n');
	buf_add_str(&l->lines, buf_str(&l->answer->line));
	buf_clear(&l->answer->line);
}

void relay_suspensions(struct answer *a, struct words *w)
{
	struct listing l = { a, BUF_INIT(16 * 1024 * 1024) };
	struct str rest;

	(void)w;
	schedule_suspensions(a->links->schedule, on_suspension, &l);
	rest = buf_str(&l.lines);
	if (!rest.n && !a->json) {
		buf_add_lit(&a->line, "Nothing is suspended.");
		answer_line(a);
	}
	while (rest.n) {
		struct str line = str_sub(rest, 0, (size_t)str_find(rest, '\n'));

		rest = str_from(rest, line.n + 1);
		buf_add_str(&a->line, line);
		if (a->json)
			object_line(a);
		else
			answer_line(a);
	}
	json_done(a);
	buf_done(&l.lines);
}
