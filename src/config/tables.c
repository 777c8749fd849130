/*
 * tables - the `table` statement: entries in its block or in a file of their own.
 *
 * A table file has the words and comments of a configuration, one or more entries per line, nothing
 * else.
 */
#include "config/load.h"

static void entry(struct load *l, struct table *t, const struct word *w)
{
	struct entry e;

	/* in quotes it may be a name that looks like nothing else */
	if (!entry_parse(w->text, &e) && !(w->quoted && entry_parse_login(w->text, &e))) {
		diag_error(&l->diag, &w->place, "\"%.*s\" %s", DIAG_WORD(w->text), e.error);
		return;
	}
	table_insert(t, &e);
	if (table_count(t) > LOAD_ENTRIES_MAX)
		diag_error(&l->diag, &w->place, "a table has at most %u entries", LOAD_ENTRIES_MAX);
}

void tables_entries(struct load *l, struct table *t, const struct statement *st)
{
	for (unsigned i = 0; i < st->n; i++) {
		if (table_count(t) > LOAD_ENTRIES_MAX)
			return;
		entry(l, t, &st->words[i]);
	}
}

static void read_file(struct load *l, struct table *t, const struct word *name)
{
	const char *path = load_path(l, &name->place, name->text);
	struct lexer lx;
	struct str text;
	enum lex lex;

	if (!load_read(l, &name->place, path, LOAD_TABLE_FILE_MAX, &text, NULL))
		return;
	lexer_init(&lx, &l->diag, &l->scratch, path, text);
	while ((lex = lexer_next(&lx)) != LEX_END) {
		if (lex == LEX_STATEMENT && !lx.statement.bad)
			tables_entries(l, t, &lx.statement);
		else if (lex == LEX_OPEN)
			diag_error(&l->diag, &lx.statement.end,
				   "a table file holds entries, no blocks");
	}
	lexer_done(&lx);
}

static bool name_is_free(struct load *l, const struct word *w)
{
	for (unsigned i = 0; i < l->tables.n; i++) {
		if (!str_eq(table_name(l->tables.p[i]), w->text))
			continue;
		diag_error(&l->diag, &w->place, "table %.*s is already defined",
			   DIAG_WORD(w->text));
		return false;
	}
	return true;
}

void tables_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct table *t = table_new(&l->c->arena, w->text);

	(void)row;
	if (!route_name_is_valid(w->text))
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" cannot name a table; expected letters, digits, -, _ or .",
			   DIAG_WORD(w->text));
	else
		name_is_free(l, w);
	load_add(l, &l->tables, t, LOAD_TABLES_MAX, &st->place, "tables");
	l->opened = t;
	if (st->n == 2 && st->opens)
		return;
	if (st->n == 4 && !st->opens && word_is(&st->words[2], "file"))
		read_file(l, t, &st->words[3]);
	else
		diag_error(&l->diag,
			   st->n > 2 && !word_is(&st->words[2], "file") ? &st->words[2].place
									: &st->end,
			   "expected a block, or the word file and the name of one");
}
