/*
 * file - small files that are read whole and replaced whole.
 *
 * A new content is written beside the old one (".NAME"), synced, renamed over it, and the folder is
 * synced: after a crash there is the old file or the new one, never a part. What fails leaves the
 * old one. All of it blocks, and goes through the world. Errors are -errno, and nobody is told.
 */
#ifndef NET_FILE_H
#define NET_FILE_H

#include "base/buf.h"
#include "net/world.h"

#define FILE_NAME_MAX 255		/* octets; what a file system takes */

/*
 * Appends all of the file to ret, whose maximum bounds it. 0 or -errno; -EFBIG: it is larger, and
 * ret holds a part.
 */
int file_read(struct world *w, int folder, const char *name, struct buf *ret);

/* Mode 0600. 0 or -errno. Two writers of one name must come one after the other. */
int file_replace(struct world *w, int folder, const char *name, struct str content);

/* The same in pieces, for what is not to be in memory whole. */
struct file_new {
	struct buf text;		/* append here, then file_new_flush */
	/* private */
	struct world *world;
	const char *name;		/* borrowed until the end */
	char beside[FILE_NAME_MAX + 1];
	int folder, fd;
	uint64_t written;
	int error;			/* the first; then nothing is written any more */
};

#define FILE_PIECE (64 * 1024)		/* octets that are gathered before they are written */

void file_new_begin(struct file_new *f, struct world *w, int folder, const char *name);
void file_new_flush(struct file_new *f);	/* writes, if a piece has gathered */
/* Puts it in the place of the old one. 0 or -errno: the old one stays. Frees the text. */
int file_new_end(struct file_new *f);

#endif
