/*
 * worker - the process that does the relay's work: its start, its main thread, its end.
 *
 * Forked by the supervisor with the configuration and the bound sockets in memory, so a restart
 * after a crash needs nothing but what was in force. The main thread only waits for signals, the
 * supervisor and reloads; mail is the loops' work.
 */
#ifndef RUN_WORKER_H
#define RUN_WORKER_H

#include "control/control.h"
#include "run/crash.h"
#include "run/link.h"
#include "run/listeners.h"
#include "run/signer_keeper.h"
#include "run/watchdog.h"

#include <pthread.h>

struct worker_start {
	struct config *config;		/* borrowed: sound */
	struct listeners *listeners;	/* a copy of the supervisor's, by the fork */
	struct crash_page *page;	/* shared */
	int link;			/* our end */
	pid_t supervisor;
	const char *user;		/* to become; NULL: stay */
	uid_t uid;
	gid_t gid;
	const struct signer_keeper *signer;	/* its channels are ours */
	bool is_bare;			/* no sandbox */
};

struct worker {
	const struct worker_start *start; /* borrowed */
	char *config_path;		/* owned */
	struct net *net;
	struct spool *spool;
	struct bounce *bounce;
	struct deliver *deliver;
	struct schedule *schedule;
	struct receive *receive;
	struct logins *logins;
	struct strangers *strangers;
	struct popped *popped;
	struct recipients *recipients;
	struct pop *pop;
	struct control *control;
	struct key_signer *signer;	/* asks the signer's process */
	struct heartbeat *heartbeat;
	uint64_t next_beat;		/* ns */
	struct task_group damaged;	/* on the first loop; see damage.c */
	char *spool_path;		/* owned */
	int signals;
	/*
	 * Reloads asked for by the control socket: the pool thread that asks waits for the main
	 * thread.
	 */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int wake;			/* an eventfd that the main thread polls */
	bool asked, answered, ending;	/* under lock */
	struct buf *messages;		/* borrowed from who asks */
	int result;
};

int worker_main(const struct worker_start *s);	/* the exit code */
unsigned worker_loops(const struct config *c);	/* how many it will have */

/*
 * worker_link.c: questions to the supervisor. Whatever else it says meanwhile - a new channel to
 * the signer may come at any time - is taken in.
 */
int worker_ask_listener(const struct worker *w, const struct endpoint *e);	/* fd, or -errno */
/* By the configuration file as it is now; false: a sentence was appended. */
bool worker_ask_keys(const struct worker *w, struct buf *messages);
bool worker_read_link(const struct worker *w);	/* false: the supervisor is gone */
/* The channels that came by the fork. */
void worker_take_channels(const struct worker *w);

/*
 * reload.c: from the main thread. messages: for people, appended. 0, or -EINVAL: the old
 * configuration stays.
 */
int worker_reload(struct worker *w, struct buf *messages);
int worker_reload_asked(void *arg, struct buf *messages);	/* control_links.reload */

/* recover.c: from spool_open to schedule_add. */
struct recovered {
	struct message **at;		/* owned, counted */
	size_t n, size;
};

void recovered_take(void *arg, struct message *m);	/* spool_found */
/* counts crashes, holds, schedules; frees */
void recovered_schedule(struct recovered *r, struct worker *w);

/* A warning in the log for each line. */
void worker_warn(struct str lines);

/* The world's resolver by this configuration. 0, or -errno; error: a sentence, also to warn. */
int worker_resolver(const struct config *c, struct buf *error);

/* damage.c: who is asked when the spool finds a message damaged; from the main thread. */
void damaged_begin(struct worker *w);
void damaged_end(struct worker *w);

void worker_spool_options(const struct worker *w, const struct config *c,
			  struct spool_options *ret);

#endif
