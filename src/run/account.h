/*
 * account - would the account that `user` names be able to use the files? For relevo check.
 */
#ifndef RUN_ACCOUNT_H
#define RUN_ACCOUNT_H

#include "config/config.h"

/* Before the configuration is loaded: notes the files that are read for it. */
void account_note_files(void);

/*
 * Of a sound configuration: users files that nobody can log in by, an account that is not there,
 * files that it cannot read (only root can try that). Adds a sentence for each to out and counts
 * it. Blocks.
 */
void account_check(const struct config *c, struct buf *out, unsigned *ret_warnings);

#endif
