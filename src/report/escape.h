/*
 * escape - values that peers chose, made safe for a line of the log (promise D8).
 *
 * Pure. Text: bare where nothing in the value could be mistaken for the line's own structure,
 * else in quotes with \" \\ and \xHH. JSON (RFC 8259): a string. Valid UTF-8 passes through both,
 * but for what a terminal would act on: C1 controls, and the characters that reorder or hide
 * text.
 */
#ifndef REPORT_ESCAPE_H
#define REPORT_ESCAPE_H

#include "base/str.h"

#define ESCAPE_GROWTH 6		/* octets of output for an octet of input, at most */
#define ESCAPE_EXTRA 2		/* and the quotes */

/* Both write at to, which has room for s.n * ESCAPE_GROWTH + ESCAPE_EXTRA, and return the end. */
char *escape_text(char *to, struct str s);
char *escape_json(char *to, struct str s);

#endif
