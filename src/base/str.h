/*
 * str - a borrowed slice of bytes, passed by value.
 *
 * It owns nothing, may hold any byte (NUL too) and is not NUL-terminated. Whoever made it says how
 * long the bytes live. The empty slice may have p == NULL.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NONE ((struct str){ NULL, 0 })
/* For printf("%.*s", STR_ARG(s)): only for bytes that are known to be printable. */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_make(const char *p, size_t n)
{
	return (struct str){ p, n };
}

static inline struct str str_of(const char *z)
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* [from, to), clipped to s. */
static inline struct str str_sub(struct str s, size_t from, size_t to)
{
	if (to > s.n)
		to = s.n;
	if (from > to)
		from = to;
	return (struct str){ s.p ? s.p + from : NULL, to - from };
}

static inline struct str str_from(struct str s, size_t from)
{
	return str_sub(s, from, s.n);
}

bool str_eq_nocase(struct str a, struct str b);		/* ASCII only */
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b);		/* bytewise; shorter first */
ssize_t str_find(struct str s, char c);			/* index, or -1 */
ssize_t str_rfind(struct str s, char c);
ssize_t str_search(struct str s, struct str needle);	/* index, or -1 */
struct str str_trim(struct str s);			/* without SP and HTAB at both ends */
bool str_has_control(struct str s);			/* any byte < 0x20 or 0x7f */
bool str_is_ascii(struct str s);			/* all bytes < 0x80 */

/*
 * Split off the next word: skips SP and HTAB, returns the run up to the next one and moves *rest
 * behind it. Empty when nothing is left.
 */
struct str str_word(struct str *rest);

/* Decimal digits only, whole slice, no sign; false on overflow or above max. */
bool str_parse_u64(struct str s, uint64_t max, uint64_t *ret_value);

/* A NUL-terminated heap copy (mem_free). The slice must hold no NUL to round-trip. */
char *str_dup(struct str s);

/* Into a fixed array as a C string, cut to fit; returns dst. */
char *str_copy(char *dst, size_t size, struct str s);

/* Lower-case ASCII letters of n bytes, in place. */
void str_lower(char *p, size_t n);

/* Levenshtein distance for "did you mean", without case; words over 32 bytes return 32. */
unsigned str_distance(struct str a, struct str b);

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

static inline bool ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

#endif
