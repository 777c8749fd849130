/*
 * listeners - the bound sockets, by address. The supervisor owns them all, so that they outlive a
 * worker.
 */
#ifndef RUN_LISTENERS_H
#define RUN_LISTENERS_H

#include "config/config.h"

/* While a configuration takes the place of another, the addresses of both are there. */
#define LISTENERS_MAX (2 * CONFIG_LISTENERS_MAX)

struct listening {
	struct endpoint endpoint;	/* its path: owned, or NULL */
	int fd;				/* owned */
};

struct listeners {
	struct listening at[LISTENERS_MAX];
	unsigned n;
};

/*
 * Bind all addresses of c that are not there yet. False: one could not be; a sentence for each
 * was appended to messages. handed_over: take from systemd's sockets first (once, at start).
 */
bool listeners_bind(struct listeners *l, const struct config *c, bool handed_over,
		    struct buf *messages);
int listeners_add(struct listeners *l, const struct endpoint *e);	/* fd, or -errno */
int listeners_find(const struct listeners *l, const struct endpoint *e);	/* fd, or -1 */
/* a bound one: takes it */
void listeners_put(struct listeners *l, const struct endpoint *e, int fd);
bool listeners_wanted(const struct config *c, const struct endpoint *e);	/* c names it */
/* closes what c does not name */
void listeners_drop_except(struct listeners *l, const struct config *c);
void listeners_remove(struct listeners *l, unsigned i);

#endif
