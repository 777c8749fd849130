/*
 * rule - `accept` and `reject`: the words of a rule into a draft of it.
 *
 * accept from WHO [sender WHOSE] to WHOM via ROUTE [dangerously-open]
 * reject from WHO [sender WHOSE] to WHOM ["text"]
 *
 * WHO: any | local | NETWORK ... | table T. WHOSE: (ADDRESS | DOMAIN | .DOMAIN) ... | table T.
 * WHOM: any | domain D ... | address A ... | table T | domain table T.
 * ROUTE: a route's name, smtp://host:port, lmtp://host:port.
 *
 * Read from left to right; at the first word that does not fit the rule is given up with one error.
 * Names of tables and routes stay words here, because they may be defined further down: check.c
 * resolves them. Quoted words are never keywords, so a domain named "via" can be written.
 */
#include "config/load.h"

struct reader {
	struct load *l;
	const struct word *at, *end;
	struct config_place at_end;
	struct rule_draft *draft;
};

/* ---- steps of reading */

static bool is_at(const struct reader *r, const char *keyword)
{
	return r->at < r->end && word_is(r->at, keyword);
}

static bool is_keyword(const struct word *w)
{
	static const char *const keywords[] = { "sender", "to", "through", "via",
						"dangerously-open" };

	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (word_is(w, keywords[i]))
			return true;
	return false;
}

/* The end of a list of words: a keyword, the text of a reject, the end of the rule. */
static bool list_ends(const struct reader *r)
{
	if (r->at == r->end || is_keyword(r->at))
		return true;
	return !r->draft->rule.accept && r->at->quoted && r->at + 1 == r->end;
}

static const struct config_place *place(const struct reader *r)
{
	return r->at < r->end ? &r->at->place : &r->at_end;
}

/* "unknown word "x"; expected one of ...", or at the end of the line "expected one of ...". */
static bool expected(struct reader *r, const char *const *words)
{
	struct choices choices = { .n = 0 };
	struct buf text = BUF_INIT(256);

	for (; *words; words++) {
		choices_add(&choices, str_of(*words));
		buf_printf(&text, "%s%s", text.n ? ", " : "", *words);
	}
	if (r->at < r->end)
		diag_unknown(&r->l->diag, place(r), "unexpected", r->at->text, &choices);
	else
		diag_error(&r->l->diag, place(r), "the rule is not finished; expected %s%s",
			   choices.n > 1 ? "one of " : "", buf_cstr(&text));
	buf_done(&text);
	return false;
}

static bool keyword(struct reader *r, const char *word)
{
	const char *const words[] = { word, NULL };

	if (!is_at(r, word))
		return expected(r, words);
	r->at++;
	return true;
}

/* True: the word is one of those that another version will have; the error was reported. */
static bool is_later(struct reader *r, const char *const *words)
{
	for (; *words; words++) {
		if (!is_at(r, *words))
			continue;
		diag_error(&r->l->diag, place(r), "this version does not have \"%s\" in rules yet",
			   *words);
		return true;
	}
	return false;
}

static bool table_word(struct reader *r, struct word *ret)
{
	static const char *const words[] = { "the name of a table", NULL };

	r->at++;
	if (r->at == r->end || is_keyword(r->at))
		return expected(r, words);
	*ret = *r->at++;
	return true;
}

/* ---- lists of words, which become tables without a name */

#define KIND(kind) (1u << (kind))

static bool list_word(struct reader *r, struct table *t, unsigned kinds, const char *what)
{
	struct entry e;

	if (!entry_parse(r->at->text, &e)) {
		diag_error(&r->l->diag, place(r), "\"%.*s\" %s", DIAG_WORD(r->at->text), e.error);
		return false;
	}
	if (!(KIND(e.kind) & kinds)) {
		diag_error(&r->l->diag, place(r), "\"%.*s\" is not %s", DIAG_WORD(r->at->text),
			   what);
		return false;
	}
	table_insert(t, &e);
	r->at++;
	return true;
}

/*
 * One word at least. kinds: of entries that may stand here; what: their name. NULL: a fault was
 * reported.
 */
static const struct table *list(struct reader *r, unsigned kinds, const char *what)
{
	const char *const words[] = { what, NULL };
	struct table *t = table_new(&r->l->c->arena, STR_NONE);

	vector_add(&r->l->tables, t);
	if (list_ends(r)) {
		expected(r, words);
		return NULL;
	}
	while (!list_ends(r))
		if (!list_word(r, t, kinds, what))
			return NULL;
	return t;
}

/* ---- the parts of a rule */

static bool read_networks(struct reader *r)
{
	static const char *const words[] = { "any", "local", "table", "networks", NULL };
	struct entry e;

	/* A wrong network gets told what is wrong with it; another word, what could stand here. */
	if (r->at == r->end || is_keyword(r->at) ||
	    (!(entry_parse(r->at->text, &e) && e.kind == ENTRY_NETWORK) &&
	     str_find(r->at->text, '/') < 0 && str_find(r->at->text, ':') < 0))
		return expected(r, words);
	r->draft->rule.who = WHO_NETWORKS;
	r->draft->rule.who_table = list(r, KIND(ENTRY_NETWORK), "a network such as 10.0.0.0/8");
	return r->draft->rule.who_table != NULL;
}

static bool read_who(struct reader *r)
{
	static const char *const later[] = { "login", "certificate", "pop", NULL };
	static const char *const words[] = { "sender", "to", NULL };
	struct rule *rule = &r->draft->rule;

	if (!keyword(r, "from") || is_later(r, later))
		return false;
	if (is_at(r, "table")) {
		rule->who = WHO_TABLE;
		if (!table_word(r, &r->draft->who_table))
			return false;
	} else if (is_at(r, "any") || is_at(r, "local")) {
		rule->who = is_at(r, "any") ? WHO_ANY : WHO_LOCAL;
		r->at++;
	} else if (!read_networks(r)) {
		return false;
	}
	return is_at(r, "sender") || is_at(r, "to") || expected(r, words);
}

static bool read_sender(struct reader *r)
{
	const unsigned kinds = KIND(ENTRY_ADDRESS) | KIND(ENTRY_DOMAIN) | KIND(ENTRY_BELOW);
	struct address_match *sender = &r->draft->rule.sender;

	if (!is_at(r, "sender"))
		return true;
	r->at++;
	if (is_at(r, "table")) {
		sender->kind = MATCH_TABLE;
		return table_word(r, &r->draft->sender_table);
	}
	sender->kind = MATCH_LIST;
	sender->table = list(r, kinds, "an address or a domain");
	return sender->table != NULL;
}

static bool read_recipient(struct reader *r)
{
	static const char *const words[] = { "any", "domain", "address", "table", NULL };
	struct address_match *recipient = &r->draft->rule.recipient;

	if (!keyword(r, "to"))
		return false;
	if (is_at(r, "any")) {
		r->at++;
		return true;
	}
	if (is_at(r, "table")) {
		recipient->kind = MATCH_TABLE;
		return table_word(r, &r->draft->recipient_table);
	}
	if (is_at(r, "domain")) {
		r->at++;
		if (is_at(r, "table")) {
			recipient->kind = MATCH_DOMAIN_TABLE;
			return table_word(r, &r->draft->recipient_table);
		}
		recipient->kind = MATCH_LIST;
		recipient->table = list(r, KIND(ENTRY_DOMAIN) | KIND(ENTRY_BELOW), "a domain");
		return recipient->table != NULL;
	}
	if (!is_at(r, "address"))
		return expected(r, words);
	r->at++;
	recipient->kind = MATCH_LIST;
	recipient->table = list(r, KIND(ENTRY_ADDRESS), "an address");
	return recipient->table != NULL;
}

static bool read_route(struct reader *r)
{
	static const char *const words[] = { "the name of a route", NULL };
	static const char *const later[] = { "through", NULL };

	if (is_later(r, later) || !keyword(r, "via"))
		return false;
	if (r->at == r->end || is_keyword(r->at))
		return expected(r, words);
	r->draft->route = *r->at++;
	if (is_at(r, "dangerously-open")) {
		r->draft->rule.dangerously_open = true;
		r->at++;
	}
	return true;
}

/*
 * Replies are lines of 512 octets (RFC 5321 4.5.3.1.5); and ASCII, because the peer may not know
 * SMTPUTF8.
 */
#define TEXT_MAX 400

static bool read_text(struct reader *r)
{
	struct rule *rule = &r->draft->rule;

	rule->reply = REPLY(550, 5, 7, 1, "mail from you to this recipient is not taken here");
	if (r->at == r->end)
		return true;
	if (!r->at->quoted) {
		diag_error(&r->l->diag, place(r),
			   "unexpected \"%.*s\"; expected the end of the line, "
			   "or a text in quotes",
			   DIAG_WORD(r->at->text));
		return false;
	}
	if (!r->at->text.n || r->at->text.n > TEXT_MAX || !str_is_ascii(r->at->text)) {
		diag_error(&r->l->diag, place(r), "the text is ASCII, of 1 to %u octets", TEXT_MAX);
		return false;
	}
	rule->reply.text = arena_str(&r->l->c->arena, r->at->text);
	r->at++;
	return true;
}

/* The rule as it would be written again: one space between words, quotes where they were. */
static struct str rule_text(struct load *l, const struct statement *st)
{
	struct buf out = BUF_INIT(LEXER_WORDS_MAX * (2 * LEXER_WORD_MAX + 3));
	struct str text;

	for (unsigned i = 0; i < st->n; i++) {
		const struct word *w = &st->words[i];

		if (i)
			buf_add_byte(&out, ' ');
		if (!w->quoted) {
			buf_add_str(&out, w->text);
			continue;
		}
		buf_add_byte(&out, '"');
		for (size_t j = 0; j < w->text.n; j++) {
			if (w->text.p[j] == '"' || w->text.p[j] == '\\')
				buf_add_byte(&out, '\\');
			buf_add_byte(&out, w->text.p[j]);
		}
		buf_add_byte(&out, '"');
	}
	text = arena_str(&l->c->arena, buf_str(&out));
	buf_done(&out);
	return text;
}

static void rule_read(struct load *l, const struct statement *st, bool accept)
{
	static const char *const end[] = { "the end of the line", NULL };
	struct rule_draft *draft = arena_zalloc(&l->scratch, sizeof(*draft));
	struct reader r = { l, &st->words[1], &st->words[st->n], st->end, draft };

	draft->rule.accept = accept;
	draft->rule.place = st->place;
	if (!read_who(&r) || !read_sender(&r) || !read_recipient(&r))
		return;
	if (!(accept ? read_route(&r) : read_text(&r)))
		return;
	if (r.at < r.end) {
		expected(&r, end);
		return;
	}
	draft->rule.text = rule_text(l, st);
	load_add(l, &l->rules, draft, LOAD_RULES_MAX, &st->place, "rules");
}

void rule_accept(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	rule_read(l, st, true);
}

void rule_reject(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	rule_read(l, st, false);
}
