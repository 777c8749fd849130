/*
 * signals - the few that mean something, read from a descriptor: no code ever runs in a handler.
 */
#ifndef RUN_SIGNALS_H
#define RUN_SIGNALS_H

/*
 * Blocks SIGTERM, SIGINT, SIGHUP and SIGCHLD for this thread and those it starts, ignores
 * SIGPIPE, and returns a descriptor to poll and to read them from; or -errno. A child inherits
 * the mask.
 */
int signals_open(void);

/* The next one, or 0 if none waits. */
int signals_next(int fd);

#endif
