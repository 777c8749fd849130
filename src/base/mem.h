/*
 * mem - heap allocation that cannot fail.
 *
 * Out of memory aborts: admission limits (config) keep the relay far below the machine's memory, so
 * no caller carries an error path for it (STYLE, errors). Sizes are checked for overflow.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n);		/* n bytes, undefined content; n may be 0 */
void *mem_zalloc(size_t n);		/* n zero bytes */
void *mem_calloc(size_t n, size_t size); /* n * size zero bytes, overflow aborts */
void *mem_realloc(void *p, size_t n);	/* p may be NULL */
void *mem_dup(const void *p, size_t n);	/* a copy of n bytes */
char *mem_strdup(const char *s);
void mem_free(void *p);			/* p may be NULL */

/* n + m and n * m; abort on overflow. */
size_t size_add(size_t n, size_t m);
size_t size_mul(size_t n, size_t m);

#endif
