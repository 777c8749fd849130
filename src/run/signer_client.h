/*
 * signer_client - the worker's way to the signer: a key_signer whose answers come from another
 * process.
 */
#ifndef RUN_SIGNER_CLIENT_H
#define RUN_SIGNER_CLIENT_H

#include "net/key.h"

struct net;

/*
 * sign() may be called by any task of n's loops, many at once; each waits at most 5 s, then -EIO.
 * Until a loop has its channel, and while the signer is started anew, they wait for one.
 */
struct key_signer *signer_client_new(struct net *n);
/* Any thread. Takes fd, the channel of that loop; one that was there before is closed. */
void signer_client_attach(struct key_signer *s, unsigned loop, int fd);
void signer_client_free(struct key_signer *s);	/* after the loops have ended; NULL is fine */

#endif
