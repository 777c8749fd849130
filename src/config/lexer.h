/*
 * lexer - the text of one file as statements: words, blocks and their places.
 *
 * The grammar (DESIGN section 7): a word is bare (no space, quote, brace or semicolon; `#` starts a
 * comment only where a word could start) or "quoted" on one line with \" and \\. A statement is
 * words up to the end of the line; inside a block also up to `;` or the block's `}`. A block's `{`
 * is the last thing on its line, or the whole block is on that line. Lines end with LF or CRLF.
 * Columns count octets from 1.
 *
 * Faults go to the diag and the reading goes on behind them: a statement with one arrives with
 * .bad set. Words point into the text, or into the arena if they had escapes.
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include "base/arena.h"
#include "config/diag.h"

#define LEXER_WORDS_MAX 1000	/* in one statement */
#define LEXER_WORD_MAX 1000	/* octets in one word */
#define LEXER_NESTING_MAX 8	/* blocks in blocks */

struct word {
	struct str text;
	struct config_place place;
	bool quoted;		/* never a keyword */
};

enum lex {
	LEX_STATEMENT,		/* words */
	LEX_OPEN,		/* words, perhaps none, and a `{` */
	LEX_CLOSE,		/* a `}`, or the end of the file where one is missing */
	LEX_END,
};

struct statement {
	const struct word *words; /* borrowed from the lexer, until the next call */
	unsigned n;
	bool bad;		/* had a fault that was reported */
	bool opens;		/* a `{` follows: LEX_OPEN */
	struct config_place place; /* of the first word */
	struct config_place end; /* behind the last word */
};

struct lexer {
	struct diag *diag;	/* borrowed */
	struct arena *arena;	/* borrowed */
	struct str text;	/* borrowed */
	size_t at, line_start;
	struct config_place place; /* file and current line */
	struct word *words;	/* owned */
	struct statement statement;
	unsigned depth;
	bool gave_up;		/* the rest of the file is not read */
	struct {
		bool on_one_line;
		struct config_place place;
	} blocks[LEXER_NESTING_MAX];
};

void lexer_init(struct lexer *lx, struct diag *diag, struct arena *arena, const char *file,
		struct str text);
void lexer_done(struct lexer *lx);
enum lex lexer_next(struct lexer *lx);	/* fills lx->statement */

static inline bool word_is(const struct word *w, const char *keyword)
{
	return !w->quoted && str_eq(w->text, str_of(keyword));
}

#endif
