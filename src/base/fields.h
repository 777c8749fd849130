/*
 * fields - lines of text that hold anything: what the files below the state folder are made of.
 *
 * A field ends with a tab, a line with a newline. Octets that are no visible ASCII, and "%", stand
 * as %XX, so neither can occur within a field; an empty one is "-", and one that begins with "-"
 * has that written as %2D. Blanks stay, so a person can read it. NUL is never written and never
 * read: what comes out may become a C string.
 */
#ifndef BASE_FIELDS_H
#define BASE_FIELDS_H

#include "base/buf.h"

/* The octets alone: no tab, and nothing special about "-". blanks: they stay as they are. */
void fields_escape(struct buf *out, struct str s, bool blanks);
/* In place; *s, which lies in memory that may be written to, gets shorter. False: damaged. */
bool fields_unescape(struct str *s);

void fields_add(struct buf *out, struct str s);	/* one field, with its tab */
/*
 * All fields of a line (without its newline), unescaped in place: how many. 0: it is damaged, or
 * there are more than max.
 */
unsigned fields_split(char *line, size_t n, struct str *ret, unsigned max);
bool fields_parse_i64(struct str s, int64_t *ret);	/* decimal digits, from 0 on */

#endif
