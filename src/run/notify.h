/*
 * notify - what systemd wants to know and what it hands over: sd_notify(3) and sd_listen_fds(3),
 * without its library.
 */
#ifndef RUN_NOTIFY_H
#define RUN_NOTIFY_H

/* "READY=1", "STOPPING=1", ... to $NOTIFY_SOCKET; nothing happens without one. */
void notify_send(const char *state);
void notify_reloading(void);	/* RELOADING=1 with the time that systemd wants beside it */

/*
 * How many sockets were handed over, from descriptor LISTEN_FDS_START on; 0 if they were not
 * meant for us.
 */
#define LISTEN_FDS_START 3
int notify_listen_fds(void);

#endif
