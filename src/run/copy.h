/*
 * copy - folders and files for backup and restore. Plain blocking code.
 */
#ifndef RUN_COPY_H
#define RUN_COPY_H

#include "net/world.h"

#include <stdbool.h>

/* A folder to copy from or to: descriptors of itself and of its parts. */
struct tree {
	struct world *world;
	const char *path;	    /* borrowed */
	int dir, segments, content; /* -1: not open */
};

int tree_open(struct tree *t, const char *path); /* an existing spool or backup; 0 or -errno */
/* A new one: the folder must be missing, or empty (-ENOTEMPTY). */
int tree_make(struct tree *t, const char *path);
int tree_sync(struct tree *t); /* the folders: names become durable */
void tree_close(struct tree *t);
/* The folders that a spool consists of, all files beside them, and the folder itself. */
void tree_remove(struct world *w, const char *path);
bool tree_is_empty(struct tree *t); /* neither segments nor content */

/* The first octets of a file (UINT64_MAX: all) into a new one, synced. The number copied, or
 * -errno. */
int64_t copy_file(struct world *w, int from, int to, const char *name, uint64_t octets);
int write_text(struct world *w, int dir, const char *name, const char *text); /* new, synced */

#endif
