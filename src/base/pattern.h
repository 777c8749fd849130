/*
 * pattern - regular expressions (PCRE2, with its just-in-time compiler where there is one).
 *
 * The text that is matched comes from peers, so matching is bounded: at most PATTERN_TEXT_MAX
 * octets are looked at, and PCRE2's match, depth and heap limits are set low; what passes them does
 * not match. Matching needs no allocation and may run on a task's small stack.
 */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include "base/str.h"

#define PATTERN_OCTETS_MAX 1000	/* of a pattern */
#define PATTERN_TEXT_MAX 4096

struct pattern;

/* Without regard to case. NULL: error holds a sentence, with the place in the pattern. */
struct pattern *pattern_new(struct str text, char *error, size_t error_size);
void pattern_free(struct pattern *p);		/* NULL is fine */
bool pattern_matches(const struct pattern *p, struct str text);	/* any thread */

#endif
