/*
 * on_loop - a task on a loop, started and waited for from a thread that is no loop (start-up,
 * shutdown).
 */
#ifndef CONTROL_ON_LOOP_H
#define CONTROL_ON_LOOP_H

#include "net/loop.h"

/*
 * Runs fn(arg) as a task of that loop and returns when it has ended; fn may suspend. The loops
 * must run.
 */
void on_loop(struct net *n, unsigned index, void (*fn)(void *arg), void *arg);

#endif
