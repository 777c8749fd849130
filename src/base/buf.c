/*
 * buf - growing byte buffers; see buf.h.
 */
#include "base/buf.h"

#include "base/mem.h"

#include <stdio.h>

#define FIRST_SIZE 64

void buf_done(struct buf *b)
{
	mem_free(b->p);
	*b = BUF_INIT(b->max);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->full = false;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n > b->n)
		n = b->n;
	if (n && n < b->n)
		memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

char *buf_reserve(struct buf *b, size_t n)
{
	size_t need, size;

	if (__builtin_add_overflow(b->n, n, &need) || need > b->max) {
		b->full = true;
		return NULL;
	}
	if (need <= b->size && b->p)
		return b->p + b->n;
	size = b->size ? b->size : FIRST_SIZE;
	while (size < need)
		size = size > b->max / 2 ? b->max : size * 2;
	b->p = mem_realloc(b->p, size);
	b->size = size;
	return b->p + b->n;
}

bool buf_add(struct buf *b, const void *p, size_t n)
{
	char *to = buf_reserve(b, n);

	if (!to)
		return false;
	if (n)
		memcpy(to, p, n);
	b->n += n;
	return true;
}

bool buf_add_str(struct buf *b, struct str s)
{
	return buf_add(b, s.p, s.n);
}

bool buf_add_byte(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

bool buf_add_u64(struct buf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	return buf_add(b, digits + at, sizeof(digits) - at);
}

/* Text that fills the buffer to its maximum: vsnprintf's NUL has no room in it. */
__attribute__((format(printf, 3, 0))) static bool add_last(struct buf *b, size_t n,
							   const char *format,
							   va_list ap)
{
	char *z = mem_alloc(size_add(n, 1));
	bool fits;

	vsnprintf(z, n + 1, format, ap);
	fits = buf_add(b, z, n);
	mem_free(z);
	return fits;
}

bool buf_vprintf(struct buf *b, const char *format, va_list ap)
{
	va_list again;
	int n;
	char *to;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		return false;
	if (b->n + (size_t)n == b->max)
		return add_last(b, (size_t)n, format, ap);
	to = buf_reserve(b, (size_t)n + 1);
	if (!to)
		return false;
	vsnprintf(to, (size_t)n + 1, format, ap);
	b->n += (size_t)n;
	return true;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;
	bool fits;

	va_start(ap, format);
	fits = buf_vprintf(b, format, ap);
	va_end(ap);
	return fits;
}

const char *buf_cstr(struct buf *b)
{
	char *to = buf_reserve(b, 1);

	if (!to)
		return "";
	*to = '\0';
	return b->p;
}
