/*
 * callout - does the route's own server have this recipient? Asked with MAIL FROM:<> and RCPT, and
 * nothing is sent (policy/recipients.h asks, and remembers).
 *
 * Only of routes with hosts: what strangers' exchangers take is their own affair. One address in
 * one session, in the hosts' order, within CALLOUT_NS in all; with the same TLS and credentials as
 * mail would go.
 */
#ifndef DELIVER_CALLOUT_H
#define DELIVER_CALLOUT_H

#include "deliver/deliver.h"

#define CALLOUT_NS (20 * SECOND)	/* after which no further host is tried */
#define CALLOUT_REPLY_NS (8 * SECOND)	/* for a connection, for a reply */

/* recipients_ask.ask; arg: the struct deliver. An enum recipient_word, or -ECANCELED. */
int callout_ask(void *arg, const struct config *c, const struct route *r,
		struct str recipient) SUSPENDS;

#endif
