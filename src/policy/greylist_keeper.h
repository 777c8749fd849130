/*
 * greylist_keeper - who writes STATE/greylist: an actor of its own, once a minute if something
 * changed, and at the end.
 */
#ifndef POLICY_GREYLIST_KEEPER_H
#define POLICY_GREYLIST_KEEPER_H

#include "policy/greylist.h"

struct greylist_keeper;

/* Reads what is there (blocks), then begins to keep. NULL: the folder cannot be opened. */
struct greylist_keeper *greylist_keeper_start(struct greylist *g, struct world *w,
					      const char *state);
void greylist_keeper_stop(struct greylist_keeper *k);	/* saves, frees; NULL is fine */

#endif
