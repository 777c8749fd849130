/*
 * store - small files in a folder below the state folder: STATE/FOLDER/NAME. See store.c. Not for
 * other folders.
 */
#ifndef VERIFY_STORE_H
#define VERIFY_STORE_H

#include "base/buf.h"
#include "net/world.h"

#define STORE_FILES_MAX 10000		/* that store_each reads; the others it does not see */

struct store {
	struct world *world;
	const char *state, *folder;
	size_t size_max;		/* octets of a file */
};

/* All block. Names are letters, digits, "-", "_" and ".", and do not begin with a dot. */
bool store_can_name(struct str name);
void store_each(const struct store *s, void (*found)(void *arg, struct str name, struct str text),
		void *arg);
int store_write(const struct store *s, struct str name, struct str text);	/* 0 or -errno */
void store_remove(const struct store *s, struct str name);

#endif
