/*
 * count - relevo queue count: how many wait, in all or by destination, domain, provider, route,
 * sender, tag or status.
 *
 * Counted in the pool. A message with recipients in several groups is counted in each; by status
 * the groups overlap (what is deferred is also waiting or ready), so there the sum says nothing.
 */
#include "control/select.h"

#include "base/arena.h"
#include "base/mem.h"
#include "control/waiting.h"

#define COUNT_WIDTH 10

enum by {
	BY_NOTHING,
	BY_DESTINATION,
	BY_DOMAIN,
	BY_PROVIDER,
	BY_ROUTE,
	BY_SENDER,
	BY_TAG,
	BY_STATUS
};

static const char *const by_names[] = {
	[BY_NOTHING] = "", [BY_DESTINATION] = "destination", [BY_DOMAIN] = "domain",
	[BY_PROVIDER] = "provider", [BY_ROUTE] = "route", [BY_SENDER] = "sender",
	[BY_TAG] = "tag", [BY_STATUS] = "status",
};

#define BYS_N (sizeof(by_names) / sizeof(by_names[0]))

struct group {
	struct map_node node;
	struct str name;
	uint64_t messages, recipients;
	const struct message *last;	/* counted last: a message counts once */
};

struct counting {
	enum by by;
	struct arena arena;		/* owns the groups */
	struct map groups;
	uint64_t messages, recipients;
	struct group **sorted;		/* owned */
	size_t n;
};

static struct group *group_get(struct counting *c, struct str name)
{
	uint64_t hash = hash_nocase(name);
	struct group *g;

	for (struct map_node *node = map_first(&c->groups, hash); node; node = map_next(node)) {
		g = CONTAINER_OF(node, struct group, node);
		if (str_eq_nocase(g->name, name))
			return g;
	}
	g = arena_zalloc(&c->arena, sizeof(*g));
	g->name = arena_str(&c->arena, name);
	map_insert(&c->groups, &g->node, hash);
	c->n++;
	return g;
}

static void count_in(struct counting *c, struct str name, const struct message *m)
{
	struct group *g = group_get(c, name);

	g->recipients++;
	g->messages += g->last != m;
	g->last = m;
}

static void count_statuses(struct counting *c, unsigned status, const struct message *m)
{
	for (unsigned bit = QUERY_QUEUED; bit <= QUERY_RESTING; bit <<= 1)
		if (status & bit)
			count_in(c, str_of(query_status_name((enum query_status)bit)), m);
}

static void count_one(struct counting *c, const struct query_subject *q, const struct message *m)
{
	switch (c->by) {
	case BY_NOTHING:
		return;
	case BY_DESTINATION:
		count_in(c, q->destination, m);
		return;
	case BY_DOMAIN:
		count_in(c, q->domain, m);
		return;
	case BY_PROVIDER:
		count_in(c, q->provider, m);
		return;
	case BY_ROUTE:
		count_in(c, query_route_name(q->route), m);
		return;
	case BY_SENDER:
		count_in(c, q->sender, m);
		return;
	case BY_TAG:
		count_in(c, q->tag, m);
		return;
	case BY_STATUS:
		count_statuses(c, q->status, m);
		return;
	}
}

static void count_message(struct counting *c, const struct selection *s, struct message *m,
			  const uint32_t *which, uint32_t n)
{
	struct query_subject q;
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		if (!selection_subject(s, m, which ? which[i] : i, &q) ||
		    (!which && !query_matches(s->query, &q, 0)))
			continue;
		count_one(c, &q, m);
		c->recipients++;
		any = true;
	}
	c->messages += any;
}

static int count_piece(struct selection *s, size_t from, size_t to, void *arg)
{
	for (size_t at = from; at < to; at++)
		count_message(arg, s, s->at[at], NULL, s->at[at]->recipients_n);
	return 0;
}

/* What is in flight the homes must say, message by message. */
static void count_slowly(struct counting *c, struct selection *s) SUSPENDS
{
	for (size_t at = 0; at < s->n; at++) {
		struct message *m = s->at[at];
		uint32_t *which = mem_calloc(m->recipients_n, sizeof(*which));
		uint32_t n = selection_recipients(s, m, which);

		count_message(c, s, m, which, n);
		mem_free(which);
	}
}

static int by_number(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;

	if (x->recipients != y->recipients)
		return x->recipients > y->recipients ? -1 : 1;
	return str_cmp(x->name, y->name);
}

static int sort(void *arg)
{
	struct counting *c = arg;
	struct map_node *node = NULL;
	size_t n = 0;

	c->sorted = mem_calloc(c->n, sizeof(struct group *));
	while ((node = map_walk(&c->groups, node)))
		c->sorted[n++] = CONTAINER_OF(node, struct group, node);
	if (n)
		qsort(c->sorted, n, sizeof(struct group *), by_number);
	return 0;
}

/* ---- the answer */

static void group_text(struct answer *a, const struct group *g) SUSPENDS
{
	size_t at = a->line.n;

	buf_add_u64(&a->line, g->messages);
	answer_pad(a, at, COUNT_WIDTH);
	at = a->line.n;
	buf_add_u64(&a->line, g->recipients);
	answer_pad(a, at, COUNT_WIDTH + 2);
	answer_value(a, g->name.n ? g->name : STR("<>"));
	answer_line(a);
}

static void group_json(struct answer *a, const char *by, const struct group *g) SUSPENDS
{
	json_begin(a);
	json_str(a, by, g->name.n ? g->name : STR("<>"));
	json_int(a, "messages", (int64_t)g->messages);
	json_int(a, "recipients", (int64_t)g->recipients);
	json_end(a);
	object_line(a);
}

static void answer_counts(struct answer *a, const struct counting *c) SUSPENDS
{
	if (a->json && c->by == BY_NOTHING) {
		json_begin(a);
		json_int(a, "messages", (int64_t)c->messages);
		json_int(a, "recipients", (int64_t)c->recipients);
		json_end(a);
		object_line(a);
	}
	if (!a->json && c->n) {
		buf_printf(&a->line, "MESSAGES  RECIPIENTS  %s", by_names[c->by]);
		answer_line(a);
	}
	for (size_t i = 0; i < c->n && !a->dead; i++) {
		if (a->json)
			group_json(a, by_names[c->by], c->sorted[i]);
		else
			group_text(a, c->sorted[i]);
	}
	if (a->json) {
		json_done(a);
		return;
	}
	answer_count(a, c->messages, "message");
	buf_add_lit(&a->line, ", ");
	answer_count(a, c->recipients, "recipient");
	buf_add_lit(&a->line, " waiting.");
	answer_line(a);
}

/* "by WORD" at w->from; false: that is wrong, and was answered. */
static bool read_by(struct answer *a, struct words *w, enum by *ret) SUSPENDS
{
	struct str word;

	if (w->from == w->n || *ret != BY_NOTHING || !str_eq(w->at[w->from], STR("by")))
		return true;
	w->from++;
	word = words_next(w);
	for (size_t i = 1; i < BYS_N; i++)
		if (str_eq_nocase(word, str_of(by_names[i]))) {
			*ret = (enum by)i;
			return true;
		}
	buf_add_lit(&a->line, "count by ");
	answer_value(a, word.n ? word : STR("what?"));
	buf_add_lit(&a->line, ": expected one of");
	for (size_t i = 1; i < BYS_N; i++)
		buf_printf(&a->line, "%s %s", i > 1 ? "," : "", by_names[i]);
	answer_error(a);
	a->code = 2;
	return false;
}

static void count(struct answer *a, struct selection *s, struct counting *c) SUSPENDS
{
	if (c->by == BY_PROVIDER || c->by == BY_STATUS)
		selection_survey(s);
	if (query_statuses(s->query) & QUERY_IN_FLIGHT)
		count_slowly(c, s);
	else
		selection_in_pool(s, count_piece, c);
	net_offload(sort, c);
	answer_counts(a, c);
	mem_free(c->sorted);
	map_done(&c->groups);
	arena_done(&c->arena);
}

/* [by WORD] QUERY, or QUERY by WORD */
void queue_count(struct answer *a, struct words *w)
{
	struct counting c = { .by = BY_NOTHING };
	struct selection s;

	if (!read_by(a, w, &c.by) || !selection_make(&s, a, w, SELECT_ANY, "by"))
		return;
	if (read_by(a, w, &c.by)) {
		if (w->from == w->n) {
			count(a, &s, &c);
		} else {
			buf_add_lit(&a->line, "nothing may follow \"by\" and its word");
			answer_error(a);
			a->code = 2;
		}
	}
	selection_free(&s);
}
