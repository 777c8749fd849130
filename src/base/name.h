/*
 * name - words that many objects share: the names of routes, sources, providers and tags.
 *
 * An interned name is one object for the life of the process: names that are equal are the same
 * pointer, so they compare and travel between threads and configurations as pointers. Only names
 * from the configuration, an operator or the spool are interned, never what a peer chose; so there
 * are few and they are never freed.
 */
#ifndef BASE_NAME_H
#define BASE_NAME_H

#include "base/str.h"

struct name {
	uint64_t hash;		/* of the text, by hash_bytes */
	uint16_t n;
	char text[];		/* NUL-terminated */
};

#define NAME_OCTETS_MAX 1024

/* Any thread. Empty or longer than NAME_OCTETS_MAX: NULL. */
const struct name *name_intern(struct str text);

static inline struct str name_str(const struct name *n)	/* NULL: empty */
{
	return n ? str_make(n->text, n->n) : STR_NONE;
}

#endif
