/*
 * session - one client's conversation; private to receive/ (see session.c and DESIGN section 4).
 *
 * The verbs' handlers stand in a file each. A handler answers its command - by session_say if all
 * is well, by session_refuse if not - and returns 0 to go on or a negative number to end the
 * session: what a wait returned, or what session_end returned.
 */
#ifndef RECEIVE_SESSION_H
#define RECEIVE_SESSION_H

#include "base/arena.h"
#include "net/stream.h"
#include "policy/policy.h"
#include "policy/strangers.h"
#include "receive/service.h"
#include "report/log.h"
#include "smtp/command.h"
#include "spool/message.h"

struct intake;

/* How fast content comes: for the lowest rate (config_listen.rate_min). */
struct pace {
	uint64_t began;			/* loop_now */
	uint64_t octets;
};

/* From MAIL to the end of content, RSET or EHLO. Its arena is empty between messages. */
struct transaction {
	struct arena arena;
	bool open;			/* MAIL was accepted */
	bool failed;			/* a BDAT was refused (RFC 3030 2) */
	uint32_t refused_n;		/* recipients */
	uint64_t began;			/* loop_now */
	struct address sender;		/* in the arena, as is all that follows */
	struct str envid;
	uint64_t size;			/* as announced; 0: it was not */
	enum body body;
	enum dsn_ret ret;
	bool smtputf8;
	bool requires_tls;		/* RFC 8689 */
	const struct name *tag;		/* of the first rule that has one; NULL: none */
	struct envelope_recipient *recipients;
	uint32_t *hashes;		/* of the addresses: finds duplicates */
	uint32_t recipients_n, recipients_size;
	struct intake *intake;		/* content is coming in */
	struct pace pace;		/* of the content, in whatever chunks it comes */
};

struct session {
	struct list in_reception;
	struct reception *reception;	/* borrowed */
	struct listening *listening;	/* borrowed */
	struct config *config;		/* counted; the same from the greeting to the end */
	const struct config_listen *listen; /* borrowed from config */
	struct stream *stream;		/* owned */
	struct task *task;
	struct transcript *transcript;	/* owned, or NULL */
	/* the other end, or whom a proxy named; its address before any XCLIENT */
	struct endpoint peer;
	struct ip origin;
	struct client client;		/* .helo and .login are borrowed from here: */
	struct str helo;		/* owned; empty before EHLO or HELO */
	struct str login;		/* owned; empty: nobody has logged in */
	struct stranger stranger;
	bool counted;			/* strangers_connected was asked */
	bool extended;			/* by EHLO */
	unsigned named;			/* by XCLIENT: bits 1 << enum xclient_attribute */
	bool client_speaks;		/* has said something itself since */
	bool waiting;			/* for a command: may be cancelled for a shutdown */
	bool silent;			/* ends without another word: the client has gone, or D4 */
	enum verb verb;			/* at work */
	struct str args;		/* of MAIL and RCPT while they are at work: for the log */
	const char *reason;		/* why it ended: a literal */
	uint64_t began, ends;		/* loop time */
	uint32_t messages, commands, errors, etrns;
	uint32_t idle_commands, deferrals;	/* since the last message */
	uint64_t octets;		/* of content, thrown away or not */
	char id[SESSION_ID_MAX];
	struct transaction transaction;
};

/* False: no task can be started. Else fd and what the door counted belong to the session. */
bool session_start(struct reception *r, struct listening *l, int fd, const struct endpoint *peer);
/* Shutdown: ends it if it waits for a command outside content. */
void session_stop(struct session *s);
void session_cut(struct session *s);	/* the grace time is over */

/* The settings of a listening address in a snapshot; NULL if it is not there. */
const struct config_listen *session_settings(const struct config *c, const struct endpoint *e);

/* ---- for the verbs */

/*
 * A line or more as they stand on the wire, CRLF included. Stays in the output buffer until the
 * input is used up.
 */
int session_say(struct session *s, struct str lines) SUSPENDS;
int session_say_all(struct session *s, const struct str *pieces, size_t n) SUSPENDS;
/*
 * A 4xx or 5xx: logged; a 5xx counts against the error budget, beyond which it becomes 421 4.7.0
 * and the session ends.
 */
int session_refuse(struct session *s, struct reply reply) SUSPENDS;
/* Ends the session for a reason (a literal) once what was said is sent. Always negative. */
int session_end(struct session *s, const char *reason);
int session_too_big(struct session *s) SUSPENDS;	/* 421: more than is read away */
/* One more command that brings no message forward. 0, or the session ends: it was one too many. */
int session_idles(struct session *s) SUSPENDS;
/* The client has gone. Always negative. */
int session_lost(struct session *s);
/* The same with a 421 before it. */
int session_dismiss(struct session *s, struct reply reply, const char *reason) SUSPENDS;
int session_flush(struct session *s) SUSPENDS;
void session_has_brought(struct session *s);	/* a message: budgets begin anew */
/* Octets are there that the client sent before it could have seen what is said next. */
bool session_has_input(struct session *s);
/* So long from now, but not beyond the end of the session's time. */
uint64_t session_deadline(const struct session *s, uint64_t wait_ns);

/* What is asked of strangers on this address. */
const struct config_clients *session_clients(const struct session *s);
/* Nobody that we know by network, login, certificate or by his having looked at his mail. */
bool session_is_strange(const struct session *s);
bool session_has_tls(const struct session *s);
/* TLS is required here and has not begun: 530 5.7.0. */
bool session_lacks_tls(const struct session *s);
bool session_may_starttls(const struct session *s);
/* Mechanisms that AUTH may name now: bits 1 << enum sasl_mechanism. */
unsigned session_mechanisms(const struct session *s);
bool session_may_xclient(const struct session *s);
/* OFFER_* for the parameters of MAIL. */
unsigned session_offers(const struct session *s);
/* What the client said so far is worth nothing any more: after STARTTLS, XCLIENT. */
void session_forget(struct session *s);
void session_set_helo(struct session *s, struct str name);
void session_set_login(struct session *s, struct str name);

/* ---- welcome.c: from the connection to the greeting */
int session_welcome(struct session *s) SUSPENDS;
/* May this client be here at all? 0, or it was dismissed. Again when XCLIENT names another. */
int session_admit(struct session *s) SUSPENDS;
/* It is gone, or another takes its place. */
void session_uncount(struct session *s);
/* Lists and names are asked. */
void session_look_up(struct session *s) SUSPENDS;
int session_greet(struct session *s) SUSPENDS;
/* peer has become another: is_local, has_popped. */
void session_set_peer(struct session *s, const struct endpoint *peer);

/* ---- starttls.c: the handshake, if the client may have one now. 0, or the session ends. */
int session_handshake(struct session *s) SUSPENDS;

/* ---- transaction.c */
void transaction_reset(struct session *s);	/* whatever there is of it */
void transaction_begin(struct session *s, const struct mail_command *m);
/* decision: ACCEPT. An address that is there already, with the same route, is kept once. */
void transaction_add(struct session *s, const struct rcpt_command *r, const struct decision *d);

/* ---- verbs */
int ehlo_handle(struct session *s, struct str args) SUSPENDS;
int helo_handle(struct session *s, struct str args) SUSPENDS;
int mail_handle(struct session *s, struct str args) SUSPENDS;
int rcpt_handle(struct session *s, struct str args) SUSPENDS;
int data_handle(struct session *s, struct str args) SUSPENDS;
int bdat_handle(struct session *s, struct str args) SUSPENDS;
int starttls_handle(struct session *s, struct str args) SUSPENDS;
int auth_handle(struct session *s, struct str args) SUSPENDS;
int etrn_handle(struct session *s, struct str args) SUSPENDS;
int xclient_handle(struct session *s, struct str args) SUSPENDS;
int rset_handle(struct session *s, struct str args) SUSPENDS;
int noop_handle(struct session *s, struct str args) SUSPENDS;
int vrfy_handle(struct session *s, struct str args) SUSPENDS;
int expn_handle(struct session *s, struct str args) SUSPENDS;
int help_handle(struct session *s, struct str args) SUSPENDS;
int quit_handle(struct session *s, struct str args) SUSPENDS;

/* ---- etrn.c */
bool etrn_may(const struct session *s);	/* some route's mail may be asked for */

#endif
