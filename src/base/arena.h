/*
 * arena - memory that is freed all at once.
 *
 * For everything whose life ends together: a configuration snapshot, a session, a transaction.
 * Blocks are taken lazily, so an arena that is never used costs its struct only. No single free.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;	/* owned; newest first */
	size_t used;			/* in the newest block */
	size_t total;			/* bytes handed out, for limits */
	size_t block_size;		/* of the next block; 0 means ARENA_BLOCK */
};

#define ARENA_BLOCK 1024

static inline void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_done(struct arena *a);	/* frees everything; may be used again */
void *arena_alloc(struct arena *a, size_t n);	/* 16-byte aligned, undefined content */
void *arena_zalloc(struct arena *a, size_t n);
struct str arena_str(struct arena *a, struct str s);	/* a copy */
char *arena_cstr(struct arena *a, struct str s);	/* a NUL-terminated copy */
struct str arena_printf(struct arena *a, const char *format,
			...) __attribute__((format(printf, 2, 3)));

#endif
