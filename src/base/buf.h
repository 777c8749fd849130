/*
 * buf - an owned, growing byte buffer with a maximum fixed at birth.
 *
 * An append that would pass the maximum changes nothing and sets .full, which stays set until
 * buf_clear: append freely, check once at the end (buf_ok). Not NUL-terminated; buf_cstr adds one.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>

struct buf {
	char *p;	/* owned; NULL while nothing was appended */
	size_t n;	/* bytes used */
	size_t size;	/* bytes allocated */
	size_t max;	/* never grows past this */
	bool full;	/* an append was refused */
};

#define BUF_INIT(maximum) ((struct buf){ .max = (maximum) })

static inline void buf_init(struct buf *b, size_t max)
{
	*b = BUF_INIT(max);
}

static inline struct str buf_str(const struct buf *b)
{
	return (struct str){ b->p, b->n };
}

static inline bool buf_ok(const struct buf *b)
{
	return !b->full;
}

void buf_done(struct buf *b);		/* frees the bytes; the buf may be used again */
void buf_clear(struct buf *b);		/* keeps the allocation */
void buf_consume(struct buf *b, size_t n); /* drops the first n bytes (moves the rest) */

/*
 * Room for n more bytes behind b->n: pointer to write at, then buf_commit. NULL and .full if over
 * max.
 */
char *buf_reserve(struct buf *b, size_t n);

static inline void buf_commit(struct buf *b, size_t n)
{
	b->n += n;
}

bool buf_add(struct buf *b, const void *p, size_t n);
bool buf_add_str(struct buf *b, struct str s);
bool buf_add_byte(struct buf *b, char c);
bool buf_add_u64(struct buf *b, uint64_t value);	/* decimal */
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *format,
		 va_list ap) __attribute__((format(printf, 2, 0)));
/* NUL behind the bytes, not counted in n; "" if that does not fit */
const char *buf_cstr(struct buf *b);

#define buf_add_lit(b, literal) buf_add(b, "" literal, sizeof(literal) - 1)

#endif
