/*
 * diag - what is wrong with a configuration: errors and warnings with their places, one per line.
 *
 * Nothing here stops the reading: whoever finds a fault says so and goes on with the next
 * statement, so that one run shows them all. After DIAG_MAX errors no more are kept (diag_is_full):
 * a file that is not a configuration at all must not fill the screen.
 */
#ifndef CONFIG_DIAG_H
#define CONFIG_DIAG_H

#include "base/buf.h"
#include "config/config.h"

#define DIAG_MAX 100		/* errors, and as many warnings */
#define DIAG_CHOICES 32		/* words that diag_choices can take */

struct diag {
	struct buf *out;	/* borrowed from the caller of config_load */
	unsigned errors, warnings;
};

/* What could have stood there; more than DIAG_CHOICES are left out. */
struct choices {
	struct str words[DIAG_CHOICES];
	unsigned n;
};

void diag_error(struct diag *d, const struct config_place *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void diag_warn(struct diag *d, const struct config_place *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool diag_is_full(const struct diag *d);

/*
 * "what "word"; expected one of a, b, c; did you mean "b"?" - what is the beginning of the
 * sentence, as in "unknown statement". The suggestion is left out when nothing comes near.
 */
void diag_unknown(struct diag *d, const struct config_place *at, const char *what, struct str word,
		  const struct choices *choices);

static inline void choices_add(struct choices *c, struct str word)
{
	if (c->n < DIAG_CHOICES)
		c->words[c->n++] = word;
}

/* A word of the file for a message: cut to a length that a line can bear. For printf's "%.*s". */
#define DIAG_WORD(s) STR_ARG(diag_cut(s))
struct str diag_cut(struct str s);

#endif
