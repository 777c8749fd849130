/*
 * reader - statements as sentences; see reader.h.
 */
#include "config/reader.h"

struct reader reader_of(struct load *l, const struct statement *st, const char *what,
			const char *plural, const char *const *keywords)
{
	return (struct reader){
		.l = l,
		.what = what,
		.plural = plural,
		.keywords = keywords,
		.at = &st->words[1],
		.end = &st->words[st->n],
		.at_end = st->end,
	};
}

bool reader_is_at(const struct reader *r, const char *keyword)
{
	return r->at < r->end && word_is(r->at, keyword);
}

bool reader_has_word(const struct reader *r)
{
	if (r->at == r->end)
		return false;
	for (const char *const *k = r->keywords; *k; k++)
		if (word_is(r->at, *k))
			return false;
	return true;
}

bool reader_has_list_word(const struct reader *r)
{
	if (!reader_has_word(r))
		return false;
	return !(r->ends_in_text && r->at->quoted && r->at + 1 == r->end);
}

const struct config_place *reader_place(const struct reader *r)
{
	return r->at < r->end ? &r->at->place : &r->at_end;
}

bool reader_expected(struct reader *r, const char *const *words)
{
	struct choices choices = { .n = 0 };
	struct buf text = BUF_INIT(256);

	for (; *words; words++) {
		choices_add(&choices, str_of(*words));
		buf_printf(&text, "%s%s", text.n ? ", " : "", *words);
	}
	if (r->at < r->end)
		diag_unknown(&r->l->diag, reader_place(r), "unexpected", r->at->text, &choices);
	else
		diag_error(&r->l->diag, reader_place(r), "%s is not finished; expected %s%s",
			   r->what, choices.n > 1 ? "one of " : "", buf_cstr(&text));
	buf_done(&text);
	return false;
}

bool reader_keyword(struct reader *r, const char *word)
{
	const char *const words[] = { word, NULL };

	if (!reader_is_at(r, word))
		return reader_expected(r, words);
	r->at++;
	return true;
}

bool reader_is_later(struct reader *r, const char *const *words)
{
	for (; *words; words++) {
		if (!reader_is_at(r, *words))
			continue;
		diag_error(&r->l->diag, reader_place(r),
			   "this version does not have \"%s\" in %s yet", *words, r->plural);
		return true;
	}
	return false;
}

bool reader_name(struct reader *r, const char *what, struct word *ret)
{
	const char *const words[] = { what, NULL };

	if (!reader_has_word(r))
		return reader_expected(r, words);
	*ret = *r->at++;
	return true;
}

unsigned reader_names(struct reader *r, const char *what, struct word **ret)
{
	struct word *names = arena_alloc(&r->l->scratch, (size_t)(r->end - r->at) * sizeof(*names));
	unsigned n = 0;

	if (!reader_name(r, what, &names[0]))
		return 0;
	for (n = 1; reader_has_word(r); n++)
		names[n] = *r->at++;
	*ret = names;
	return n;
}

static bool list_word(struct reader *r, struct table *t, unsigned kinds, const char *what)
{
	bool has_words = kinds & KIND(ENTRY_WORD);
	struct entry e;

	if (has_words && r->at->text.n && r->at->text.p[0] == '.')
		has_words = false;	/* every name below: no word, whatever else it is */
	if (!(has_words ? entry_parse_login : entry_parse)(r->at->text, &e)) {
		diag_error(&r->l->diag, reader_place(r), "\"%.*s\" %s", DIAG_WORD(r->at->text),
			   e.error);
		return false;
	}
	if (!(KIND(e.kind) & kinds)) {
		diag_error(&r->l->diag, reader_place(r), "\"%.*s\" is not %s",
			   DIAG_WORD(r->at->text), what);
		return false;
	}
	table_insert(t, &e);
	r->at++;
	return true;
}

const struct table *reader_list(struct reader *r, unsigned kinds, const char *what)
{
	const char *const words[] = { what, NULL };
	struct table *t = table_new(&r->l->c->arena, STR_NONE);

	vector_add(&r->l->tables, t);
	if (!reader_has_list_word(r)) {
		reader_expected(r, words);
		return NULL;
	}
	while (reader_has_list_word(r))
		if (!list_word(r, t, kinds, what))
			return NULL;
	return t;
}
