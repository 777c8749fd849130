/*
 * world_real - what the files of the real world give each other.
 *
 * world_real.c puts the table together; world_sock.c, world_poll.c, world_disk.c and world_actor.c
 * fill their part of it. None of them keeps state beyond what the kernel keeps, but for the
 * pollers.
 */
#ifndef NET_WORLD_REAL_H
#define NET_WORLD_REAL_H

#include "net/world.h"

#include <errno.h>

/* The result of a system call as this code base returns it. */
static inline int errno_or(int r)
{
	return r < 0 ? -errno : r;
}

void world_fill_actors(struct world *w);
void world_fill_sockets(struct world *w);
void world_fill_pollers(struct world *w);
void world_fill_disk(struct world *w);

#endif
