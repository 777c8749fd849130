/*
 * options - command lines by a table: a row drives parser, help and error messages.
 *
 * "--name value" and "--name=value"; what does not begin with "--" is an operand ("-" too), and
 * everything behind
 * "--". Numbers go by their row: sizes with K M G (powers of 1024), times with ms s m h, rates as
 * N, N/s or N/min. Pure but for options_help, which prints.
 */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include "base/buf.h"

enum option_kind {
	OPTION_FLAG,   /* bool: set to true */
	OPTION_TEXT,   /* const char *, borrowed from the command line */
	OPTION_NUMBER, /* uint64_t, as the next ones */
	OPTION_SIZE,   /* octets */
	OPTION_TIME,   /* nanoseconds */
	OPTION_RATE,   /* per 1000 seconds */
	OPTION_CALL,   /* .call with the value: for what may be repeated or has a grammar of its own
			*/
};

struct option_row {
	const char *name;	/* without "--"; NULL ends the table */
	const char *argument;	/* for the help; NULL: a flag */
	enum option_kind kind;
	void *target;		/* what the kind says; of a call: its first argument */
	bool (*call)(void *target, const char *value, struct buf *error);
	const char *help;
};

struct options {
	const char *usage;	/* "relevo send [OPTION]... [FILE]" */
	const char *purpose;
	const struct option_row *rows;
	unsigned operands_max;
	const char *operands[4];
	unsigned operands_n;
};

#define OPTIONS_RUN (-1)	/* go on */
/* Reads all arguments (argv[0] is the first one). Returns OPTIONS_RUN; 0: help was printed; 2: a
 * usage error was printed. */
int options_read(struct options *o, int argc, char **argv);

/* The same without printing, for tests: false with a sentence in error; *ret_help: --help was among
 * them. */
bool options_parse(struct options *o, int argc, char **argv, bool *ret_help, struct buf *error);
void options_help(const struct options *o);

bool parse_size(struct str s, uint64_t *ret);	/* "10K" */
bool parse_time(struct str s, uint64_t *ret_ns);	/* "100ms", "2s", "5" (seconds) */
bool parse_rate(struct str s, uint64_t *ret);	/* per 1000 seconds */
bool parse_share(struct str s, uint32_t *ret);	/* "10%", "0.5%": per million */

#endif
