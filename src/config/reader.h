/*
 * reader - reads a statement whose words are a small sentence (a rule, a limit) from left to right.
 *
 * At the first word that does not fit, the statement is given up with one error that says what
 * could have stood there: every function here that returns false has reported it. Quoted words are
 * never keywords, so a domain named "via" can be written.
 */
#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include "config/load.h"

struct reader {
	struct load *l;
	const char *what;	/* "the rule": for messages */
	const char *plural;	/* "rules" */
	const char *const *keywords; /* a list of words ends at one of them; NULL at the end */
	bool ends_in_text;	/* a quoted last word is no part of a list */
	const struct word *at, *end;
	struct config_place at_end;
};

/* Behind the first word of the statement. */
struct reader reader_of(struct load *l, const struct statement *st, const char *what,
			const char *plural, const char *const *keywords);

bool reader_is_at(const struct reader *r, const char *keyword);
/* The word is there, and is none of the keywords. */
bool reader_has_word(const struct reader *r);
bool reader_has_list_word(const struct reader *r);	/* nor a text that ends the statement */
const struct config_place *reader_place(const struct reader *r);

/*
 * Always false: "unexpected "x"; expected one of ...", or at the end of the line "the rule is not
 * finished; expected ...". words ends with NULL.
 */
bool reader_expected(struct reader *r, const char *const *words);
bool reader_keyword(struct reader *r, const char *word);	/* must stand here; is passed */
/* True: the word is one of those that another version will have; the error was reported. */
bool reader_is_later(struct reader *r, const char *const *words);
/* Any word but a keyword: the name of something. */
bool reader_name(struct reader *r, const char *what, struct word *ret);
/*
 * Words up to the next keyword, one at least, in an array of the scratch arena. 0: a fault was
 * reported.
 */
unsigned reader_names(struct reader *r, const char *what, struct word **ret);

#define KIND(kind) (1u << (kind))
/*
 * A list of entries as a table without a name; kinds: of entries that may stand here; what: their
 * name. NULL: a fault was reported.
 */
const struct table *reader_list(struct reader *r, unsigned kinds, const char *what);

#endif
