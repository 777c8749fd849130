/*
 * rule - `accept` and `reject`: the words of a rule into a draft of it.
 *
 * accept from WHO [sender WHOSE] to WHOM via ROUTE [dangerously-open] [{ ... }]
 * reject from WHO [sender WHOSE] to WHOM ["text"]
 *
 * WHO: any | local | NETWORK ... | table T | login [NAME ...|table T] | pop | certificate
 * [FINGERPRINT|NAME ...|table T]; of reject also: helo NAME ...|table T.
 * WHOSE: (ADDRESS | DOMAIN | .DOMAIN) ... | table T.
 * WHOM: any | domain D ... | address A ... | table T | domain table T.
 * ROUTE: mx, a route's name, smtp://host:port, lmtp://host:port.
 *
 * Read from left to right; at the first word that does not fit the rule is given up with one error.
 * Names of tables and routes stay words here, because they may be defined further down: check.c
 * resolves them. The block of a rule changes its route for what the rule accepts (variant.c), and
 * may name a tag.
 */
#include "config/reader.h"

static const char *const keywords[] = { "sender", "to",		      "through",
					"via",	  "dangerously-open", NULL };

static bool table_word(struct reader *r, struct word *ret)
{
	r->at++;
	return reader_name(r, "the name of a table", ret);
}

/* ---- the parts of a rule */

static const char *const whos[] = { "any", "local", "login", "certificate", "pop", "table",
				    "networks", NULL };
static const char *const whos_of_reject[] = { "any", "local", "login", "certificate", "pop",
					      "helo", "table", "networks", NULL };

static bool read_networks(struct reader *r, struct rule_draft *d)
{
	struct entry e;

	/* A wrong network gets told what is wrong with it; another word, what could stand here. */
	if (!reader_has_word(r) ||
	    (!(entry_parse(r->at->text, &e) && e.kind == ENTRY_NETWORK) &&
	     str_find(r->at->text, '/') < 0 && str_find(r->at->text, ':') < 0))
		return reader_expected(r, d->rule.accept ? whos : whos_of_reject);
	d->rule.who = WHO_NETWORKS;
	d->rule.who_table = reader_list(r, KIND(ENTRY_NETWORK), "a network such as 10.0.0.0/8");
	return d->rule.who_table != NULL;
}

/* login, certificate, helo: names behind it, or a table; kinds as reader_list has them. */
static bool read_named(struct reader *r, struct rule_draft *d, unsigned kinds, const char *what)
{
	r->at++;
	if (reader_is_at(r, "table"))
		return table_word(r, &d->who_table);
	if (!reader_has_word(r) && d->rule.who != WHO_HELO)
		return true;	/* anybody who has one */
	d->rule.who_table = reader_list(r, kinds, what);
	return d->rule.who_table != NULL;
}

/* True: it was one of these words, and *ret_ok says whether what follows it is right. */
static bool read_who_word(struct reader *r, struct rule_draft *d, bool *ret_ok)
{
	const unsigned names = KIND(ENTRY_ADDRESS) | KIND(ENTRY_DOMAIN);
	struct rule *rule = &d->rule;

	*ret_ok = true;
	if (reader_is_at(r, "table")) {
		rule->who = WHO_TABLE;
		*ret_ok = table_word(r, &d->who_table);
	} else if (reader_is_at(r, "any") || reader_is_at(r, "local") || reader_is_at(r, "pop")) {
		rule->who = reader_is_at(r, "any")     ? WHO_ANY
			    : reader_is_at(r, "local") ? WHO_LOCAL
						       : WHO_POP;
		r->at++;
	} else if (reader_is_at(r, "login")) {
		rule->who = WHO_LOGIN;
		*ret_ok = read_named(r, d, names | KIND(ENTRY_WORD), "the name of a login");
	} else if (reader_is_at(r, "certificate")) {
		rule->who = WHO_CERTIFICATE;
		*ret_ok = read_named(r, d, names | KIND(ENTRY_FINGERPRINT),
				     "a fingerprint (64 hex digits) or a name in a certificate");
	} else if (!rule->accept && reader_is_at(r, "helo")) {
		rule->who = WHO_HELO;
		*ret_ok = read_named(r, d,
				     KIND(ENTRY_DOMAIN) | KIND(ENTRY_BELOW) | KIND(ENTRY_WORD),
				     "a name such as host.example.org");
	} else {
		return false;
	}
	return true;
}

static bool read_who(struct reader *r, struct rule_draft *d)
{
	static const char *const words[] = { "sender", "to", NULL };
	bool ok;

	if (!reader_keyword(r, "from"))
		return false;
	if (d->rule.accept && reader_is_at(r, "helo")) {
		diag_error(&r->l->diag, reader_place(r),
			   "everybody writes what they like in HELO: it can only be a reason to "
			   "reject");
		return false;
	}
	if (!read_who_word(r, d, &ok))
		ok = read_networks(r, d);
	return ok && (reader_is_at(r, "sender") || reader_is_at(r, "to") ||
		      reader_expected(r, words));
}

static bool read_sender(struct reader *r, struct rule_draft *d)
{
	const unsigned kinds = KIND(ENTRY_ADDRESS) | KIND(ENTRY_DOMAIN) | KIND(ENTRY_BELOW);
	struct address_match *sender = &d->rule.sender;

	if (!reader_is_at(r, "sender"))
		return true;
	r->at++;
	if (reader_is_at(r, "table")) {
		sender->kind = MATCH_TABLE;
		return table_word(r, &d->sender_table);
	}
	sender->kind = MATCH_LIST;
	sender->table = reader_list(r, kinds, "an address or a domain");
	return sender->table != NULL;
}

static bool read_recipient(struct reader *r, struct rule_draft *d)
{
	static const char *const words[] = { "any", "domain", "address", "table", NULL };
	struct address_match *recipient = &d->rule.recipient;

	if (!reader_keyword(r, "to"))
		return false;
	if (reader_is_at(r, "any")) {
		r->at++;
		return true;
	}
	if (reader_is_at(r, "table")) {
		recipient->kind = MATCH_TABLE;
		return table_word(r, &d->recipient_table);
	}
	if (reader_is_at(r, "domain")) {
		r->at++;
		if (reader_is_at(r, "table")) {
			recipient->kind = MATCH_DOMAIN_TABLE;
			return table_word(r, &d->recipient_table);
		}
		recipient->kind = MATCH_LIST;
		recipient->table =
			reader_list(r, KIND(ENTRY_DOMAIN) | KIND(ENTRY_BELOW), "a domain");
		return recipient->table != NULL;
	}
	if (!reader_is_at(r, "address"))
		return reader_expected(r, words);
	r->at++;
	recipient->kind = MATCH_LIST;
	recipient->table = reader_list(r, KIND(ENTRY_ADDRESS), "an address");
	return recipient->table != NULL;
}

static bool read_route(struct reader *r, struct rule_draft *d)
{
	static const char *const later[] = { "through", NULL };

	if (reader_is_later(r, later) || !reader_keyword(r, "via") ||
	    !reader_name(r, "the name of a route", &d->route))
		return false;
	if (reader_is_at(r, "dangerously-open")) {
		d->rule.dangerously_open = true;
		r->at++;
	}
	return true;
}

/*
 * Replies are lines of 512 octets (RFC 5321 4.5.3.1.5); and ASCII, because the peer may not know
 * SMTPUTF8.
 */
#define TEXT_MAX 400

static bool read_text(struct reader *r, struct rule_draft *d)
{
	struct rule *rule = &d->rule;

	rule->reply = REPLY(550, 5, 7, 1, "mail from you to this recipient is not taken here");
	if (r->at == r->end)
		return true;
	if (!r->at->quoted) {
		diag_error(&r->l->diag, reader_place(r),
			   "unexpected \"%.*s\"; expected the end of the line, "
			   "or a text in quotes",
			   DIAG_WORD(r->at->text));
		return false;
	}
	if (!r->at->text.n || r->at->text.n > TEXT_MAX || !str_is_ascii(r->at->text)) {
		diag_error(&r->l->diag, reader_place(r), "the text is ASCII, of 1 to %u octets",
			   TEXT_MAX);
		return false;
	}
	rule->reply.text = arena_str(&r->l->c->arena, r->at->text);
	r->at++;
	return true;
}

static void rule_read(struct load *l, const struct statement *st, bool accept)
{
	static const char *const end[] = { "the end of the line", NULL };
	struct rule_draft *d = arena_zalloc(&l->scratch, sizeof(*d));
	struct reader r = reader_of(l, st, "the rule", "rules", keywords);

	d->rule.accept = accept;
	d->rule.place = d->place = st->place;
	d->has_block = st->opens;
	r.ends_in_text = !accept;
	l->opened = &d->variant;
	if (!read_who(&r, d) || !read_sender(&r, d) || !read_recipient(&r, d))
		return;
	if (!(accept ? read_route(&r, d) : read_text(&r, d)))
		return;
	if (r.at < r.end) {
		reader_expected(&r, end);
		return;
	}
	d->rule.text = statement_text(l, st);
	load_add(l, &l->rules, d, LOAD_RULES_MAX, &st->place, "rules");
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

/* ---- the block */

static struct rule_draft *draft_of(struct route_draft *variant)
{
	return CONTAINER_OF(variant, struct rule_draft, variant);
}

void rule_tag(struct load *l, const struct setting *row, const struct statement *st)
{
	struct rule_draft *d = draft_of(l->frames[l->depth].object);
	const struct word *w = &st->words[1];

	(void)row;
	if (route_name_is_valid(w->text))
		d->rule.tag = name_intern(w->text);
	else
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" cannot be a tag; expected letters, digits, -, _ or .",
			   DIAG_WORD(w->text));
}

void rule_finish(struct load *l, struct route_draft *variant)
{
	bool is_empty = true;

	for (unsigned i = 0; i < settings_n; i++)
		is_empty &= settings[i].in != BLOCK_RULE || !l->seen[i].line;
	if (is_empty)
		diag_error(&l->diag, &draft_of(variant)->place,
			   "the block of this rule says nothing");
}
