/*
 * notify - what systemd wants to know and what it hands over: sd_notify(3) and sd_listen_fds(3),
 * without its library.
 */
#ifndef RUN_NOTIFY_H
#define RUN_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", ... to $NOTIFY_SOCKET; nothing happens without one. */
void notify_send(const char *state);
void notify_reloading(void);	/* RELOADING=1 with the time that systemd wants beside it */

/*
 * How many sockets were handed over, from descriptor LISTEN_FDS_START on; 0 if they were not
 * meant for us.
 */
#define LISTEN_FDS_START 3
int notify_listen_fds(void);

/* WatchdogSec= of the unit, microseconds: so often at least it wants WATCHDOG=1; 0: it does not. */
uint64_t notify_watchdog_us(void);

#endif
