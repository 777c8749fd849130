/*
 * explain_mail - what relevo explain tells of a mail beside the rules.
 */
#ifndef RUN_EXPLAIN_MAIL_H
#define RUN_EXPLAIN_MAIL_H

#include "config/config.h"
#include "smtp/address.h"

/* Is there this login (empty: none is meant), and may it send as that? Reads the users files. */
void explain_login(struct buf *out, const struct config *c, struct str login,
		   const struct address *sender);

/* Does the route's domain have that recipient, as far as the configuration tells? */
void explain_recipient(struct buf *out, const struct route *r, const struct address *recipient);

#endif
