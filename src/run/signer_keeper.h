/*
 * signer_keeper - the supervisor's side of the signer: starts it, starts it anew, hands its
 * channels to workers.
 *
 * With no key in the configuration there is no signer. The supervisor opens key files, which only
 * it may, but never reads them; it keeps the descriptors, so that a signer that dies comes back
 * with the keys that were in force. It keeps the worker's ends of the channels as well: a new
 * worker gets them by the fork. One thread - the kernel ends the signer with the thread that
 * started it - and nothing suspends, but a start waits for the signer's word, 5 s at most.
 */
#ifndef RUN_SIGNER_KEEPER_H
#define RUN_SIGNER_KEEPER_H

#include "config/config.h"
#include "run/signer.h"

struct signer_keeper {
	struct signer_start start;	/* of the last sound configuration */
	unsigned loops;			/* how many channels there are */
	int channels[SIGNER_CHANNELS_MAX];	/* the worker's ends, owned; if .start.n */
	pid_t pid;			/* 0: none runs */
	uint64_t started, restart_at;	/* ns; 0: not planned */
	unsigned deaths;		/* in a row */
};

/*
 * The key files that a configuration names, opened: names are the keys', as TLS identities have
 * them. False: a sentence for each that cannot be opened was appended, and none is open. c NULL: no
 * keys.
 */
bool signer_keys_collect(const struct config *c, struct signer_start *ret, struct buf *messages);

/*
 * A signer with these keys, which are taken; when it is ready it replaces the one before, whose
 * keys are forgotten. No keys: none runs afterwards. False: a sentence was appended, and the old
 * one is kept.
 */
bool signer_keeper_use(struct signer_keeper *k, struct signer_start *start, struct buf *messages);
bool signer_keeper_has(const struct signer_keeper *k, pid_t pid);
void signer_keeper_died(struct signer_keeper *k, int status);	/* plans the restart */
/* When its time has come: true: channels are new, send them. */
bool signer_keeper_restart(struct signer_keeper *k);
/* LINK_SIGNER for each channel. 0 or -errno. */
int signer_keeper_send(const struct signer_keeper *k, int link);
/* In a worker's fork: what is not its business is closed, so that it cannot be read there. */
void signer_keeper_leave(struct signer_keeper *k);
void signer_keeper_done(struct signer_keeper *k);

#endif
