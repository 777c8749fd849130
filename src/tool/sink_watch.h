/*
 * sink_watch - what a sink saw: how much at once and per time, in all, from each client address, at
 * each address of its own and for each recipient domain; and a journal of all transactions.
 *
 * Independent of what the sink refuses: everything counts, so a test can hold the limits of a relay
 * against it. A transaction counts when its MAIL comes, for a domain at the first recipient there.
 * A connection counts for a domain from its first recipient there until it ends or goes on to
 * another domain. Shared by all threads, under one lock.
 */
#ifndef TOOL_SINK_WATCH_H
#define TOOL_SINK_WATCH_H

#include "net/endpoint.h"

#include <stdio.h>

#define WATCH_WINDOWS_MAX 8

struct watch_settings {
	uint64_t windows_ns[WATCH_WINDOWS_MAX];
	unsigned windows_n;
	FILE *journal;			/* NULL: none */
};

struct watch;
struct watched;				/* one address or domain */

struct watch *watch_new(const struct watch_settings *settings);	/* copied */
void watch_free(struct watch *w);				/* NULL is fine */

/* A connection, in its session's hands. */
struct watch_visit {
	struct ip client, host;
	struct watched *at_client, *at_host, *at_domain;	/* the last: NULL, not known yet */
};

void watch_connect(struct watch *w, struct watch_visit *v);	/* client and host are set */
void watch_disconnect(struct watch *w, struct watch_visit *v);
void watch_mail(struct watch *w, struct watch_visit *v, uint64_t now);
/* is_first: of its transaction for this domain as far as the one before goes. */
void watch_rcpt(struct watch *w, struct watch_visit *v, struct str domain, bool is_first,
		uint64_t now);
/* A message was taken. */
void watch_message(struct watch *w, struct watch_visit *v, unsigned recipients, uint64_t octets);

struct watch_line {
	int64_t mail_ms;		/* wall clock, at MAIL */
	unsigned code;			/* of the reply that decided; 0: none came */
	struct str sender, recipients;
	uint64_t octets;
};

/* "MS CLIENT HOST CODE SENDER RECIPIENT,RECIPIENT SIZE": for each MAIL, at its end. */
void watch_journal(struct watch *w, const struct watch_visit *v, const struct watch_line *line);

/* JSON, without its outer braces; ends with a newline and no comma. */
void watch_write(struct watch *w, FILE *out);

#endif
