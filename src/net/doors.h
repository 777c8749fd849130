/*
 * doors - the listening addresses of a service, each watched by every loop.
 *
 * The main thread opens and shuts addresses and stops the service by posts to the loops; where it
 * must wait (no more accepts on a socket that is closed next; all connections gone) it joins an
 * actor that looks at counters every few milliseconds: this works in the simulated world too, where
 * no thread may block, and needs no wake-up of something that may just have been freed.
 *
 * The service is told of each connection on the loop that accepted it, outside tasks. It counts
 * those that are not over in .live.
 */
#ifndef NET_DOORS_H
#define NET_DOORS_H

#include "net/stream.h"

#include <stdatomic.h>

struct doors;

/* A listening address; lives until doors_done. The service may embed it as its first member. */
struct door_address {
	struct list in_doors;		/* private */
	struct endpoint endpoint;
	char *path;			/* owned; endpoint.path, of a unix socket */
	bool open;			/* private; main thread only */
	int fd;				/* not owned */
	struct door *on;		/* owned; one per loop */
};

struct door {			/* an address on one loop */
	struct listener listener;	/* private */
	struct doors *doors;
	struct door_address *address;
	unsigned loop;			/* its index */
	bool started;			/* private */
	struct post start, stop;	/* private */
};

struct doors {
	struct net *net;
	const char *name;		/* of the actor that waits; a literal */
	size_t address_size;		/* of what embeds a struct door_address */
	void (*accepted)(struct door *d, int fd, const struct endpoint *peer);
	/* this loop will not accept there; on that loop */
	void (*failed)(const struct endpoint *e, int error);
	_Atomic unsigned live;		/* the service's: connections that are not over */
	/* private */
	struct list addresses;		/* owned; main thread only */
	_Atomic unsigned posts;		/* under way, that doors_wait waits for */
};

/* The fields above .live are set. */
void doors_init(struct doors *d);
void doors_done(struct doors *d);	/* the loops have ended, or none is open */

/*
 * All from the main thread, with loops running. fd is a listening socket of that endpoint and stays
 * the caller's. -EEXIST: it is open already.
 */
int doors_open(struct doors *d, int fd, const struct endpoint *e);
/* Returns when no loop accepts there any more; unknown addresses are fine. */
void doors_shut(struct doors *d, const struct endpoint *e);
void doors_shut_all(struct doors *d);	/* does not wait */

/* To each loop, with p[i] for loop i (stride octets apart): fn ends with doors_posted. */
void doors_post_all(struct doors *d, struct post *first, size_t stride, void (*fn)(struct post *));
void doors_posted(struct doors *d);
/* Until all posts were answered, and with live until no connection is left. */
void doors_wait(struct doors *d, bool live);

#endif
