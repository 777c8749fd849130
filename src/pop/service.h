/*
 * service - what the files of pop/ share. Not for other folders.
 */
#ifndef POP_SERVICE_H
#define POP_SERVICE_H

#include "net/doors.h"
#include "net/tls.h"
#include "pop/command.h"
#include "pop/pop.h"
#include "report/log.h"

#include <pthread.h>
#include <stdatomic.h>

#define POP_SESSIONS_MAX 1000		/* of the relay */
#define POP_PER_CLIENT_MAX 20		/* of one address, on one core */
#define POP_ERRORS_MAX 10		/* refused commands */
#define POP_LOGIN_NS (120 * SECOND)	/* from the connection to the login */
#define POP_IDLE_NS (600 * SECOND)	/* RFC 1939 3: at least 10 minutes */
#define POP_SESSION_NS (3600 * SECOND)
#define POP_UPSTREAM_NS (120 * SECOND)	/* for a reply of the server behind us */

/* One loop's sessions. */
struct core {
	struct pop *pop;
	struct loop *loop;
	struct list sessions;
	bool stopping;
	struct timer grace;
	struct post stop;
};

struct pop {
	struct pop_links links;
	struct doors doors;
	struct core *cores;		/* owned; one per loop */
	uint64_t grace_ns;
};

struct session {
	struct list in_core;
	struct core *core;
	const struct door_address *listening;
	struct config *config;		/* counted */
	const struct config_pop *settings;	/* borrowed from config */
	struct stream *stream;		/* owned */
	struct stream *upstream;	/* owned; NULL: none */
	struct task *task;
	struct transcript *transcript;	/* owned, or NULL */
	struct client client;		/* its address, whether it is local, where it came to */
	bool waiting;			/* for a command: may be cancelled at a shutdown */
	bool logged_in;
	uint64_t ends;			/* loop time */
	unsigned errors;
	const char *reason;		/* why it ended: a literal */
	char id[SESSION_ID_MAX];
	char name[POP_NAME_MAX + 1];	/* that USER named; empty: none */
	char timestamp[128];		/* of our greeting, for APOP; empty: none */
};

/* False: no task can be started, or its address has left the configuration: fd is still open. */
bool pop_session_start(struct core *c, const struct door_address *l, int fd,
		       const struct endpoint *peer);
void pop_session_stop(struct session *s);
void pop_session_cut(struct session *s);
/* The last thing that a session does. */
void pop_leave(struct pop *p);

/* ---- session.c, for the two kinds. All: 0 to go on, or what ends the session. */
#define OVER (-ECONNABORTED)		/* what pop_session_end returns */
int pop_session_end(struct session *s, const char *reason);
int pop_session_say(struct session *s, struct str text) SUSPENDS;	/* CRLF is added */
/* "-ERR ..."; too many of them end the session. */
int pop_session_refuse(struct session *s, struct str text) SUSPENDS;
/*
 * The next command. 0: *ret_verb and *ret_args, borrowed until the next read; what was written was
 * sent. Refused ones are POP_BAD, and answered.
 */
int pop_session_command(struct session *s, enum pop_verb *ret_verb, struct str *ret_args) SUSPENDS;
uint64_t pop_session_deadline(const struct session *s, uint64_t ns);
/* Clear text may be said: under TLS, or on this machine. */
bool pop_session_is_private(const struct session *s);
bool pop_session_offers_tls(const struct session *s);
int pop_session_starttls(struct session *s) SUSPENDS;
/* He is in; pop_session_welcome: and his client may relay for a while. */
void pop_session_let_in(struct session *s);
void pop_session_welcome(struct session *s, struct str name);
/* A login failed: counted, and a wait as the bans say. */
int pop_session_failed(struct session *s, struct str name, struct str password) SUSPENDS;
void pop_session_log_failed(const struct session *s, struct str name, const char *why);

/* ---- the two kinds */
int pop_own_run(struct session *s) SUSPENDS;	/* own.c */
int pop_through_run(struct session *s) SUSPENDS;	/* through.c */

#endif
