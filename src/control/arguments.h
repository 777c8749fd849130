/*
 * arguments - the words behind a command: a table of options, then what is left; and printing.
 */
#ifndef CONTROL_ARGUMENTS_H
#define CONTROL_ARGUMENTS_H

#include "base/buf.h"

#include <stdio.h>

#define CONFIG_PATH_DEFAULT "/etc/relevo/relevo.conf"

struct argument_row {
	const char *name;	/* "-c", "--json" */
	const char **value;	/* where its value goes; NULL: it takes none */
	bool *flag;		/* set when it is there; NULL: not wanted */
};

/*
 * Takes the options out of argv and moves the other words to its front; *argc is then their
 * number. "--name=value" is understood, "--" ends the options. False: wrong usage, a sentence was
 * printed on standard error.
 */
bool arguments_parse(const char *command, int *argc, char **argv, const struct argument_row *rows,
		     unsigned rows_n);

/* What a buf holds, which may be nothing. */
static inline void print_text(FILE *f, const struct buf *b)
{
	if (b->n)
		fwrite(b->p, 1, b->n, f);
}

#endif
