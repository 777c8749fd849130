/*
 * receive - mail comes in over SMTP: listener, session, one file per verb (DESIGN section 4).
 */
#ifndef RECEIVE_RECEIVE_H
#define RECEIVE_RECEIVE_H

#include "config/config.h"
#include "schedule/schedule.h"
#include "spool/spool.h"

struct receive;

struct receive *receive_new(struct net *n, struct spool *s, struct schedule *q);
/*
 * Whom sessions ask beside the rules. What is NULL is not asked: no strangers are looked at, nobody
 * can log in. All of it is borrowed and must live until receive_free.
 */
struct receive_helpers {
	struct strangers *strangers;
	struct logins *logins;
	struct popped *popped;		/* who looked at his mail from there (SMTP after POP) */
	struct recipients *recipients;	/* whom relay domains have */
	struct domain_quota *quota;	/* how much of theirs may wait */
};

/* Once, before the first receive_listen. */
void receive_help(struct receive *r, const struct receive_helpers *h);
/*
 * Accept on a bound socket, on all loops, by the settings of `listen` for that endpoint in the
 * current configuration. From the main thread. 0, or -EEXIST.
 */
int receive_listen(struct receive *r, int fd, const struct endpoint *e);
/* Stops accepting; sessions go on. Then fd may be closed. From the main thread, loops running. */
void receive_unlisten(struct receive *r, const struct endpoint *e);
/*
 * Clean shutdown: accept nothing new; sessions finish what they are in the middle of (421 at the
 * next command, content under way may end) until the deadline, then they are cut. Returns when all
 * are gone. From the main thread, loops running.
 */
void receive_stop(struct receive *r, uint64_t grace_ns);
void receive_free(struct receive *r);
unsigned receive_sessions(struct receive *r);

#endif
