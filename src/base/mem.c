/*
 * mem - heap allocation that cannot fail; see mem.h.
 */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p, size_t n)
{
	if (!p && n) {
		fprintf(stderr, "relevo: out of memory (%zu bytes)\n", n);
		abort();
	}
	return p;
}

void *mem_alloc(size_t n)
{
	return checked(malloc(n ? n : 1), n);
}

void *mem_zalloc(size_t n)
{
	return checked(calloc(1, n ? n : 1), n);
}

void *mem_calloc(size_t n, size_t size)
{
	return mem_zalloc(size_mul(n, size));
}

void *mem_realloc(void *p, size_t n)
{
	return checked(realloc(p, n ? n : 1), n);
}

void *mem_dup(const void *p, size_t n)
{
	void *copy = mem_alloc(n);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

void mem_free(void *p)
{
	free(p);
}

size_t size_add(size_t n, size_t m)
{
	size_t sum;

	if (__builtin_add_overflow(n, m, &sum))
		abort();
	return sum;
}

size_t size_mul(size_t n, size_t m)
{
	size_t product;

	if (__builtin_mul_overflow(n, m, &product))
		abort();
	return product;
}
