/*
 * diag - collects errors and warnings of a configuration; see diag.h.
 *
 * Messages are whole sentences for the person who wrote the file: what was found, what could stand
 * there, what was probably meant. Words of the file come from the lexer, which lets no control
 * bytes through, so they can be shown as they are; they are only cut.
 */
#include "config/diag.h"

#include "smtp/address.h"

#define WORD_MAX 60	/* octets of a word that a message shows */

struct str diag_cut(struct str s)
{
	return s.n > WORD_MAX ? utf8_cut(s, WORD_MAX) : s;
}

bool diag_is_full(const struct diag *d)
{
	return d->errors >= DIAG_MAX;
}

/* A place without a line is a whole file; without a file it is what was found nowhere. */
static void begin(struct diag *d, const struct config_place *at, const char *kind)
{
	if (at->file)
		buf_printf(d->out, "%s:", at->file);
	if (at->line)
		buf_printf(d->out, "%u:%u:", at->line, at->column);
	buf_printf(d->out, "%s%s: ", at->file ? " " : "", kind);
}

static bool count_error(struct diag *d, const struct config_place *at)
{
	if (diag_is_full(d))
		return false;
	if (++d->errors == DIAG_MAX) {
		begin(d, at, "error");
		buf_printf(d->out, "%u errors: the rest is not shown\n", DIAG_MAX);
		return false;
	}
	begin(d, at, "error");
	return true;
}

void diag_error(struct diag *d, const struct config_place *at, const char *format, ...)
{
	va_list ap;

	if (!count_error(d, at))
		return;
	va_start(ap, format);
	buf_vprintf(d->out, format, ap);
	va_end(ap);
	buf_add_byte(d->out, '\n');
}

void diag_warn(struct diag *d, const struct config_place *at, const char *format, ...)
{
	va_list ap;

	if (d->warnings >= DIAG_MAX)
		return;
	d->warnings++;
	begin(d, at, "warning");
	va_start(ap, format);
	buf_vprintf(d->out, format, ap);
	va_end(ap);
	buf_add_byte(d->out, '\n');
}

/* The nearest choice, if it is near enough for a slip of the hand: a third of the letters. */
static struct str nearest(struct str word, const struct choices *choices)
{
	unsigned best = (unsigned)(word.n > 60 ? 60 : word.n) / 3 + 1;
	struct str found = STR_NONE;

	for (unsigned i = 0; i < choices->n; i++) {
		unsigned distance = str_distance(word, choices->words[i]);

		if (distance >= best &&
		    !(distance == best && !found.n && distance < choices->words[i].n))
			continue;
		best = distance;
		found = choices->words[i];
	}
	return found;
}

void diag_unknown(struct diag *d, const struct config_place *at, const char *what, struct str word,
		  const struct choices *choices)
{
	struct str suggestion = nearest(word, choices);

	if (!count_error(d, at))
		return;
	buf_printf(d->out, "%s \"%.*s\"", what, DIAG_WORD(word));
	for (unsigned i = 0; i < choices->n; i++)
		buf_printf(d->out, "%s%.*s",
			   i ? ", " : choices->n > 1 ? "; expected one of " : "; expected ",
			   STR_ARG(choices->words[i]));
	if (choices->n == DIAG_CHOICES)
		buf_add_lit(d->out, ", ...");
	if (suggestion.n)
		buf_printf(d->out, "; did you mean \"%.*s\"?", STR_ARG(suggestion));
	buf_add_byte(d->out, '\n');
}
