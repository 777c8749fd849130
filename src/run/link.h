/*
 * link - the socket pair between supervisor and worker: fixed-size messages, one datagram each.
 *
 * The worker tells how it is and asks for listening sockets (it may not bind low ports itself),
 * of addresses that the configuration file names; the supervisor answers such a question with an
 * error number, and with the socket as SCM_RIGHTS if that is 0. When keys may have changed it asks
 * for a new signer (signer.h) likewise. Everything else is one way.
 */
#ifndef RUN_LINK_H
#define RUN_LINK_H

#include "net/endpoint.h"

enum link_kind {
	LINK_READY = 1,		/* worker: connections are accepted */
	LINK_RELOADING,		/* worker: a reload begins */
	LINK_RELOADED,		/* worker: the configuration file as it is now is in force */
	LINK_RELOAD_FAILED,	/* worker: the old one stays */
	LINK_STOPPING,		/* worker: a shutdown began */
	LINK_LISTEN,		/* worker: bind this, please */
	LINK_LISTENING,		/* supervisor: the answer */
	LINK_ALIVE,		/* worker: every loop has turned since the last one */
	LINK_KEYS,		/* worker: read the keys anew, please */
	LINK_KEYED,		/* supervisor: the answer; LINK_SIGNERs went before it */
	LINK_SIGNER,		/* supervisor: a channel to the signer, at any time */
};

#define LINK_TEXT_MAX 303	/* octets; what is longer is cut */

struct link_message {
	uint32_t kind;
	int32_t error;			/* LINK_LISTENING, LINK_KEYED: 0 or -errno */
	uint32_t index;			/* LINK_SIGNER: of the loop */
	struct ip ip;			/* LINK_LISTEN */
	uint16_t port;
	/* LINK_LISTEN: of a socket; LINK_KEYED: what is wrong, a sentence with a file's name */
	char path[LINK_TEXT_MAX + 1];
};

int link_open(int ret_fds[2]);		/* 0 or -errno */
/* pass: a descriptor to go along, or -1. 0 or -errno. */
int link_send(int fd, const struct link_message *m, int pass);
/*
 * 1: a message, and *ret_fd is its descriptor or -1; 0: the other side is gone; -EAGAIN: none
 * yet; -errno.
 */
int link_receive(int fd, struct link_message *ret, int *ret_fd);

void link_from_endpoint(struct link_message *m, const struct endpoint *e);
struct endpoint link_endpoint(const struct link_message *m);	/* borrows the message's path */

#endif
