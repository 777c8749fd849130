/*
 * arguments - command lines; see arguments.h.
 */
#include "control/arguments.h"

#include <stdio.h>

static const struct argument_row *row_find(const struct argument_row *rows, unsigned n,
					   struct str name)
{
	for (unsigned i = 0; i < n; i++)
		if (str_eq(str_of(rows[i].name), name))
			return &rows[i];
	return NULL;
}

static bool fail(const char *command, const char *what, const char *word)
{
	fprintf(stderr, "relevo %s: %s \"%s\"; see \"relevo help %s\".\n", command, what, word,
		command);
	return false;
}

/* One option at argv[*at]; *at is moved to its last word. */
static bool take(const char *command, int argc, char **argv, int *at,
		 const struct argument_row *rows, unsigned rows_n)
{
	const char *word = argv[*at], *equals = strchr(word, '=');
	struct str name = equals ? str_make(word, (size_t)(equals - word)) : str_of(word);
	const struct argument_row *row = row_find(rows, rows_n, name);

	if (!row)
		return fail(command, "there is no option", word);
	if (row->flag)
		*row->flag = true;
	if (!row->value)
		return equals ? fail(command, "no value belongs to the option", row->name) : true;
	if (!equals && *at + 1 >= argc)
		return fail(command, "a value is missing behind", word);
	*row->value = equals ? equals + 1 : argv[++*at];
	return true;
}

bool arguments_parse(const char *command, int *argc, char **argv, const struct argument_row *rows,
		     unsigned rows_n)
{
	bool ended = false;
	int kept = 0;

	for (int i = 0; i < *argc; i++) {
		if (ended || argv[i][0] != '-' || !argv[i][1])
			argv[kept++] = argv[i];
		else if (strcmp(argv[i], "--") == 0)
			ended = true;
		else if (!take(command, *argc, argv, &i, rows, rows_n))
			return false;
	}
	*argc = kept;
	return true;
}
