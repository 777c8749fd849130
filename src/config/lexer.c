/*
 * lexer - cuts a configuration file into statements; see lexer.h for the grammar.
 *
 * One pass, no recursion: open blocks are a small array. It knows no statement's meaning. After a
 * fault it goes on at the next place where it can be sure again: behind a bad byte, at the end of
 * the line of an unfinished quote. A statement that had a fault is handed on marked, so that its
 * block is still followed.
 */
#include "config/lexer.h"

#include "base/mem.h"
#include "smtp/address.h"

void lexer_init(struct lexer *lx, struct diag *diag, struct arena *arena, const char *file,
		struct str text)
{
	*lx = (struct lexer){
		.diag = diag,
		.arena = arena,
		.text = text,
		.place = { file, 1, 1 },
		.words = mem_alloc(LEXER_WORDS_MAX * sizeof(struct word)),
	};
}

void lexer_done(struct lexer *lx)
{
	mem_free(lx->words);
	lx->words = NULL;
}

/* The byte at the reading place; '\n' at the end, so that an unfinished last line ends too. */
static char peek(const struct lexer *lx)
{
	return lx->at < lx->text.n ? lx->text.p[lx->at] : '\n';
}

static bool at_line_end(const struct lexer *lx)
{
	char c = peek(lx);

	return c == '\n' ||
	       (c == '\r' && (lx->at + 1 >= lx->text.n || lx->text.p[lx->at + 1] == '\n'));
}

static void skip_blanks(struct lexer *lx)
{
	while (peek(lx) == ' ' || peek(lx) == '\t')
		lx->at++;
}

static void skip_line(struct lexer *lx)
{
	while (peek(lx) != '\n')
		lx->at++;
}

static struct config_place here(const struct lexer *lx)
{
	struct config_place place = lx->place;

	place.column = (unsigned)(lx->at - lx->line_start) + 1;
	return place;
}

static void fault(struct lexer *lx, const char *sentence)
{
	struct config_place place = here(lx);

	diag_error(lx->diag, &place, "%s", sentence);
	lx->statement.bad = true;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* A control byte where none may be: reported once per run of them. */
static void skip_controls(struct lexer *lx)
{
	struct config_place place = here(lx);

	diag_error(lx->diag, &place, "a control character (octet %u) cannot stand here",
		   (unsigned)(unsigned char)peek(lx));
	lx->statement.bad = true;
	while (lx->at < lx->text.n && is_control(peek(lx)) && peek(lx) != '\t' && !at_line_end(lx))
		lx->at++;
}

static void add_word(struct lexer *lx, const struct config_place *place, struct str text,
		     bool quoted)
{
	struct statement *st = &lx->statement;

	st->end = here(lx);
	if (text.n > LEXER_WORD_MAX || !utf8_is_valid(text)) {
		diag_error(lx->diag, place, text.n > LEXER_WORD_MAX ?
			   "a word has at most 1000 octets" : "this word is not UTF-8");
		st->bad = true;
		return;
	}
	if (st->n == LEXER_WORDS_MAX) {
		if (!st->bad)
			diag_error(lx->diag, place,
				   "a statement has at most 1000 words; a table can hold more");
		st->bad = true;
		return;
	}
	lx->words[st->n++] = (struct word){ text, *place, quoted };
}

static bool ends_bare(char c)
{
	return c == ' ' || c == '"' || c == '{' || c == '}' || c == ';' || is_control(c);
}

static void bare_word(struct lexer *lx)
{
	struct config_place place = here(lx);
	size_t from = lx->at;

	while (!ends_bare(peek(lx)))
		lx->at++;
	if (peek(lx) == '"')
		fault(lx, "a quote can stand only at the start of a word; write \\\" inside a "
			  "quoted word");
	add_word(lx, &place, str_sub(lx->text, from, lx->at), false);
}

static struct str unescape(struct lexer *lx, struct str raw)
{
	char *p;
	size_t n = 0;

	if (str_find(raw, '\\') < 0)
		return raw;
	p = arena_alloc(lx->arena, raw.n);
	for (size_t i = 0; i < raw.n; i++) {
		if (raw.p[i] == '\\' && i + 1 < raw.n)
			i++;
		p[n++] = raw.p[i];
	}
	return str_make(p, n);
}

/* Moves to the closing quote; false: a fault was reported and the word is lost. */
static bool find_quote(struct lexer *lx)
{
	while (peek(lx) != '"') {
		if (at_line_end(lx)) {
			fault(lx, "the quoted word does not end on its line; a \" is missing");
			return false;
		}
		if (is_control(peek(lx)) && peek(lx) != '\t') {
			skip_controls(lx);
			continue;
		}
		if (peek(lx) == '\\') {
			lx->at++;
			if (peek(lx) != '"' && peek(lx) != '\\') {
				fault(lx, "inside quotes only \\\" and \\\\ can follow a "
					  "backslash");
				continue;
			}
		}
		lx->at++;
	}
	return true;
}

static void quoted_word(struct lexer *lx)
{
	struct config_place place = here(lx);
	size_t from = ++lx->at;

	if (!find_quote(lx))
		return;
	struct str raw = str_sub(lx->text, from, lx->at);

	lx->at++;
	if (memchr(raw.p, '\t', raw.n)) {
		diag_error(lx->diag, &place, "a quoted word cannot hold a tab");
		lx->statement.bad = true;
	}
	if (!ends_bare(peek(lx)) || peek(lx) == '"')
		fault(lx, "a space is missing behind the quoted word");
	add_word(lx, &place, unescape(lx, raw), true);
}

static enum lex open_block(struct lexer *lx)
{
	struct config_place place = here(lx);

	if (lx->depth == LEXER_NESTING_MAX) {
		fault(lx, "blocks are nested more than 8 deep; the rest of the file was not read");
		lx->at = lx->text.n;
		lx->gave_up = true;
		return LEX_STATEMENT;
	}
	if (!lx->statement.n && !lx->statement.bad)
		fault(lx, "a { stands at the end of its statement's line");
	lx->at++;
	skip_blanks(lx);
	lx->blocks[lx->depth].on_one_line = !at_line_end(lx) && peek(lx) != '#';
	lx->blocks[lx->depth].place = place;
	lx->depth++;
	lx->statement.opens = true;
	return LEX_OPEN;
}

/* True: a block was closed. */
static bool close_block(struct lexer *lx)
{
	if (!lx->depth) {
		fault(lx, "there is no open block for this } to close");
		lx->statement.bad = false;
		lx->at++;
		return false;
	}
	lx->depth--;
	lx->at++;
	skip_blanks(lx);
	if (!at_line_end(lx) && peek(lx) != '#' && peek(lx) != ';' && peek(lx) != '}') {
		fault(lx, "behind a } the line ends; expected a new line");
		while (!at_line_end(lx) && peek(lx) != ';' && peek(lx) != '}')
			lx->at++;
	}
	if (peek(lx) == ';' && lx->depth)
		lx->at++;
	return true;
}

static void next_line(struct lexer *lx)
{
	unsigned inner = lx->depth;

	while (inner && lx->blocks[inner - 1].on_one_line) {
		diag_error(lx->diag, &lx->blocks[inner - 1].place,
			   "this block begins on the line of its { and must end there: "
			   "expected } before the end of the line, or a new line behind the {");
		lx->blocks[--inner].on_one_line = false;
	}
	lx->at++;
	lx->place.line++;
	lx->line_start = lx->at;
}

static enum lex end_of_text(struct lexer *lx)
{
	if (!lx->depth)
		return LEX_END;
	lx->depth--;
	if (!lx->gave_up)
		diag_error(lx->diag, &lx->blocks[lx->depth].place,
			   "this block is not closed: expected } before the end of the file");
	return LEX_CLOSE;
}

static bool has_words(const struct lexer *lx)
{
	return lx->statement.n || lx->statement.bad;
}

static void word(struct lexer *lx)
{
	if (!has_words(lx))
		lx->statement.place = here(lx);
	if (peek(lx) == '"')
		quoted_word(lx);
	else if (is_control(peek(lx)))
		skip_controls(lx);
	else
		bare_word(lx);
}

static void semicolon(struct lexer *lx)
{
	if (!lx->depth)
		fault(lx, "a ; separates statements only inside a block; expected a new line");
	lx->at++;
}

enum lex lexer_next(struct lexer *lx)
{
	lx->statement = (struct statement){ .words = lx->words };
	while (!diag_is_full(lx->diag)) {
		skip_blanks(lx);
		if (lx->at >= lx->text.n)
			return has_words(lx) ? LEX_STATEMENT : end_of_text(lx);
		if (at_line_end(lx) || peek(lx) == '#') {
			bool done = has_words(lx);

			skip_line(lx);
			if (lx->at < lx->text.n)
				next_line(lx);
			if (done)
				return LEX_STATEMENT;
		} else if (peek(lx) == ';') {
			semicolon(lx);
			if (has_words(lx))
				return LEX_STATEMENT;
		} else if (peek(lx) == '{') {
			if (!has_words(lx))
				lx->statement.place = lx->statement.end = here(lx);
			return open_block(lx);
		} else if (peek(lx) == '}') {
			if (has_words(lx))
				return LEX_STATEMENT;
			if (close_block(lx))
				return LEX_CLOSE;
		} else {
			word(lx);
		}
	}
	return LEX_END;
}
