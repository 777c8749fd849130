/*
 * control - the control socket in the state folder, and the commands that speak to it.
 *
 * Protocol: one request line of words, answered by lines and an end line; documented in server.c.
 * The socket is mode 0600: who may open it may do everything.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "bounce/bounce.h"
#include "deliver/deliver.h"
#include "receive/receive.h"

#include <stdio.h>

struct control;

struct control_links {
	struct spool *spool;
	struct schedule *schedule;
	struct bounce *bounce;
	struct deliver *deliver;
	struct receive *receive;
	/*
	 * Asks for a reload (as SIGHUP does); appends messages for people; 0, or -EINVAL if the
	 * configuration has errors. Runs in the pool.
	 */
	int (*reload)(void *arg, struct buf *messages);
	void *arg;
};

struct control *control_start(struct net *n, const char *state, const struct control_links *l,
			      int *ret_error);
void control_stop(struct control *c);

/*
 * Client side, for the command line: connect to the socket of the configuration's state folder,
 * send the request, copy the answer to standard output. Returns the exit code. Plain blocking
 * code: no loop runs in these commands.
 */
int control_queue_main(int argc, char **argv);		/* relevo queue ... */
int control_reload_main(int argc, char **argv);		/* relevo reload */
int control_suspend_main(int argc, char **argv);	/* relevo suspend ... */
int control_resume_main(int argc, char **argv);		/* relevo resume ... */
int control_top_main(int argc, char **argv);		/* relevo top ... */

/*
 * What the relay on that state folder says of a destination, printed; the exit code, or -1: no
 * relay runs there, and nothing was printed; or EXPLAIN_IDLE: no mail waits for it, which was said
 * (in JSON nothing was).
 */
#define EXPLAIN_IDLE 100
int control_explain(const char *state, bool json, const char *name);

/*
 * The state folder by option or configuration, even one with errors: owned by the caller; NULL: a
 * sentence was printed.
 */
char *control_state(const char *config, const char *state);
/*
 * A connection to the relay's control socket, the request sent (a line without its end); NULL:
 * none, errno says why and nothing was printed.
 */
FILE *control_connect(const char *state, const char *request);

#endif
