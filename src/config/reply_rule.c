/*
 * reply_rule - `on`: what a reply of a provider means beyond its code.
 *
 * on [reply CODE] [status X.Y.Z] [matches "REGEX"] then slow | pause [TIME] | other-source [TIME] |
 *    bounce | defer [TIME]
 *
 * The conditions stand in any order, one of each at most and one at least; all must fit. The first
 * rule that fits decides: those of the provider, then those of `any`.
 */
#include "config/reader.h"

static const char *const keywords[] = { "reply", "status", "matches", "then", NULL };

/* ---- conditions */

/* "421", "42x", "4xx": of 4yz and 5yz replies, the only ones that refuse. */
static bool code_parse(struct str s, struct reply_rule *rule)
{
	unsigned from = 0, to = 0;
	bool is_open = false;

	if (s.n != 3 || (s.p[0] != '4' && s.p[0] != '5'))
		return false;
	for (size_t i = 0; i < 3; i++) {
		bool is_x = s.p[i] == 'x' || s.p[i] == 'X';

		if (!is_x && (is_open || !ascii_is_digit(s.p[i])))
			return false;
		from = from * 10 + (is_x ? 0 : (unsigned)(s.p[i] - '0'));
		to = to * 10 + (is_x ? 9 : (unsigned)(s.p[i] - '0'));
		is_open |= is_x;
	}
	rule->code_from = (uint16_t)from;
	rule->code_to = (uint16_t)to;
	return true;
}

static bool part_parse(struct str s, int16_t *ret)
{
	uint64_t n;

	if (str_eq(s, STR("*"))) {
		*ret = -1;
		return true;
	}
	if (s.n > 3 || !str_parse_u64(s, 999, &n))
		return false;
	*ret = (int16_t)n;
	return true;
}

/* "4.7.28", "4.7.*" */
static bool status_parse(struct str s, struct reply_rule *rule)
{
	ssize_t first = str_find(s, '.'), second = str_rfind(s, '.');

	if (first < 0 || second == first)
		return false;
	return part_parse(str_sub(s, 0, (size_t)first), &rule->class) &&
	       part_parse(str_sub(s, (size_t)first + 1, (size_t)second), &rule->subject) &&
	       part_parse(str_from(s, (size_t)second + 1), &rule->detail) &&
	       (rule->class == 4 || rule->class == 5 || rule->class == -1);
}

static bool read_pattern(struct reader *r, const struct word *w, struct reply_rule *rule)
{
	char error[256];
	struct pattern *p = pattern_new(w->text, error, sizeof(error));

	if (!p) {
		diag_error(&r->l->diag, &w->place, "\"%.*s\" is not a pattern: %s",
			   DIAG_WORD(w->text), error);
		return false;
	}
	provider_index_keep(r->l->index, p);
	rule->pattern = p;
	return true;
}

static bool bad_word(struct reader *r, const struct word *w, const char *what)
{
	diag_error(&r->l->diag, &w->place, "\"%.*s\" is not %s", DIAG_WORD(w->text), what);
	return false;
}

static bool read_condition(struct reader *r, struct reply_rule *rule)
{
	static const char *const words[] = { "reply", "status", "matches", "then", NULL };
	bool has_status = rule->class >= 0 || rule->subject >= 0 || rule->detail >= 0;
	struct word w;

	if ((reader_is_at(r, "reply") && rule->code_to < 999) ||
	    (reader_is_at(r, "status") && has_status) ||
	    (reader_is_at(r, "matches") && rule->pattern)) {
		diag_error(&r->l->diag, reader_place(r), "%.*s stands here twice",
			   DIAG_WORD(r->at->text));
		return false;
	}
	if (reader_is_at(r, "reply")) {
		r->at++;
		return reader_name(r, "a reply code", &w) &&
		       (code_parse(w.text, rule) ||
			bad_word(r, &w, "a reply code such as 421, 45x or 4xx"));
	}
	if (reader_is_at(r, "status")) {
		r->at++;
		return reader_name(r, "a status", &w) &&
		       (status_parse(w.text, rule) ||
			bad_word(r, &w, "an enhanced status such as 4.7.28 or 4.7.*"));
	}
	if (reader_is_at(r, "matches")) {
		r->at++;
		return reader_name(r, "a pattern", &w) && read_pattern(r, &w, rule);
	}
	return reader_expected(r, words);
}

/* ---- what is done */

#define DURATION_MAX (7 * DAY)

static bool read_duration(struct reader *r, struct reply_rule *rule)
{
	struct word w;

	if (!reader_name(r, "a time", &w))
		return false;
	if (!value_parse(VALUE_DURATION, w.text, &rule->duration_ns))
		return bad_word(r, &w, "a time such as 30s, 5m or 1h");
	if (rule->duration_ns >= SECOND && rule->duration_ns <= DURATION_MAX)
		return true;
	diag_error(&r->l->diag, &w.place, "the time must be between 1s and 1w");
	return false;
}

static bool read_reaction(struct reader *r, struct reply_rule *rule)
{
	static const struct {
		const char *word;
		enum reaction reaction;
		bool has_duration;
	} reactions[] = {
		{ "slow", REACT_SLOW, false },		       { "pause", REACT_PAUSE, true },
		{ "other-source", REACT_OTHER_SOURCE, true }, { "bounce", REACT_BOUNCE, false },
		{ "defer", REACT_DEFER, true },
	};
	static const char *const words[] = { "slow",   "pause", "other-source",
					     "bounce", "defer", NULL };
	static const char *const end[] = { "the end of the line", NULL };
	unsigned i = 0;

	while (i < 5 && !reader_is_at(r, reactions[i].word))
		i++;
	if (i == 5)
		return reader_expected(r, words);
	r->at++;
	rule->reaction = reactions[i].reaction;
	if (r->at < r->end && reactions[i].has_duration && !read_duration(r, rule))
		return false;
	return r->at == r->end || reader_expected(r, end);
}

bool reply_rule_read(struct load *l, const struct statement *st, struct reply_rule *ret)
{
	static const char *const words[] = { "reply", "status", "matches", NULL };
	struct reader r = reader_of(l, st, "the statement", "providers", keywords);

	*ret = (struct reply_rule){
		.place = st->place,
		.text = statement_text(l, st),
		.code_to = 999,
		.class = -1,
		.subject = -1,
		.detail = -1,
	};
	if (reader_is_at(&r, "then") || r.at == r.end)
		return reader_expected(&r, words);
	while (!reader_is_at(&r, "then"))
		if (!read_condition(&r, ret))
			return false;
	r.at++;
	return read_reaction(&r, ret);
}

/* ---- asking */

static bool status_fits(const struct reply_rule *rule, const struct enhanced *e)
{
	if (rule->class < 0 && rule->subject < 0 && rule->detail < 0)
		return true;
	return e->class && (rule->class < 0 || rule->class == e->class) &&
	       (rule->subject < 0 || rule->subject == e->subject) &&
	       (rule->detail < 0 || rule->detail == e->detail);
}

static const struct reply_rule *first_that_fits(const struct provider *p, const struct reply *r)
{
	for (unsigned i = 0; p && i < p->rules_n; i++) {
		const struct reply_rule *rule = &p->rules[i];

		if (r->code < rule->code_from || r->code > rule->code_to ||
		    !status_fits(rule, &r->enhanced))
			continue;
		if (!rule->pattern || pattern_matches(rule->pattern, r->text))
			return rule;
	}
	return NULL;
}

const struct reply_rule *config_reply_rule(const struct config *c, const struct provider *p,
					   const struct reply *r)
{
	const struct reply_rule *rule = first_that_fits(p, r);

	return rule ? rule : first_that_fits(c->provider_any, r);
}
