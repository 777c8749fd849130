/*
 * pop - the POP3 listener (RFC 1939): who shows here that he has a mailbox may relay for a while
 * (SMTP after POP; config.h: config_pop, WHO_POP).
 *
 * Two kinds of listeners. With an upstream, a conversation is passed through to a real POP3 server,
 * whose word a login counts by. Without one, users log in against the relay's own users and find an
 * empty mailbox. Either way a login marks the client's address (policy/popped.h), and no more: mail
 * is never read here.
 */
#ifndef POP_POP_H
#define POP_POP_H

#include "config/config.h"
#include "dns/dns.h"
#include "policy/bans.h"
#include "policy/popped.h"
#include "policy/strangers.h"

struct pop;

struct pop_links {
	struct net *net;
	struct dns *dns;		/* for an upstream that has a name */
	struct popped *popped;
	struct bans *bans;		/* NULL: nobody is banned or slowed */
	struct strangers *strangers;	/* limits of handshakes; NULL: there are none */
	/* Asks the users: 1 right, 0 wrong, -errno nobody can say. Without it nobody logs in. */
	int (*verify)(void *arg, const struct config *c, const struct ip *client, struct str name,
		      struct str password, uint64_t deadline) SUSPENDS;
	/*
	 * For APOP: is there such a user, who may log in? 1: *ret is his name as the users file
	 * spells it; 0; -errno. Without it nobody logs in thus.
	 */
	int (*find)(void *arg, const struct config *c, struct str name, struct buf *ret) SUSPENDS;
	/*
	 * The server behind us has let him in by this name: may he relay for it? 1; 0: a users file
	 * has him disabled; -errno: nobody can say. Without it he may.
	 */
	int (*admit)(void *arg, const struct config *c, struct str name) SUSPENDS;
	void *arg;
};

/* .verify, .find and .admit by the relay's logins (receive/logins.h): arg is the struct logins. */
int pop_verify_logins(void *logins, const struct config *c, const struct ip *client,
		      struct str name, struct str password, uint64_t deadline) SUSPENDS;
int pop_find_user(void *logins, const struct config *c, struct str name, struct buf *ret) SUSPENDS;
int pop_admit_user(void *logins, const struct config *c, struct str name) SUSPENDS;

struct pop *pop_new(const struct pop_links *links);	/* copied */
/* A bound, listening socket, named by its endpoint in the configuration. From the main thread. */
int pop_listen(struct pop *p, int fd, const struct endpoint *e);
/* No more connections are accepted there once it returns; sessions go on. */
void pop_unlisten(struct pop *p, const struct endpoint *e);
unsigned pop_sessions(struct pop *p);
/* Ends all sessions, those within a reply after the grace time. From the main thread. */
void pop_stop(struct pop *p, uint64_t grace_ns);
void pop_free(struct pop *p);		/* NULL is fine */

#endif
