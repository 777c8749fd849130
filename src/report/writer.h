/*
 * writer - where finished log lines go: gathered per loop, written by an actor of their own.
 *
 * A loop that waited for a slow disk or a stuck pipe would hold back every session on it, so
 * loops never write: they gather the lines of a turn, hand them over at its end, and the actor
 * does the waiting.
 */
#ifndef REPORT_WRITER_H
#define REPORT_WRITER_H

#include "config/config.h"
#include "net/loop.h"

/* Octets of lines waiting for the actor; more are dropped. */
#define WRITER_WAITING_MAX (4 * 1024 * 1024)

int writer_open(struct net *n, const struct config *c);
int writer_reopen(const struct config *c);
void writer_close(void);
void writer_flush(void);		/* the current thread's lines go to the actor now */
void writer_line(struct str line);	/* complete, with its newline */
int64_t writer_wall_ms(void);		/* the time for a line: the loop's, or the world's */
uint64_t writer_take_dropped(void);	/* lines dropped since the last call */

#endif
