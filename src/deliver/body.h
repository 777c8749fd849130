/*
 * body - the content on its way: behind DATA with its dots, or as one BDAT chunk. See body.c.
 */
#ifndef DELIVER_BODY_H
#define DELIVER_BODY_H

#include "deliver/client.h"
#include "spool/content.h"

struct body_sender {
	struct client *client;
	struct content_reader *reader;	/* open, at the start */
	uint64_t size;			/* octets that the reader will give */
	bool chunking;			/* BDAT instead of DATA's form */
	/* private */
	uint64_t began;			/* loop_now */
	uint64_t written;		/* octets */
};

/*
 * Send all of it, with what ends it, in as few writes as can be, at the client's rate_min at least.
 * FAIL_NONE: the reply to it is to be read next. FAIL_TIMEOUT: it was too slow. FAIL_4XX,
 * FAIL_421, FAIL_5XX: it was answered before its end (client->reader.reply); others: the
 * connection broke, FAIL_CONTENT: the spool could not give it. After any failure the connection is
 * broken: nothing but closing it keeps a cut message from being taken for a whole one.
 */
enum failure body_send(struct body_sender *b) SUSPENDS;

#endif
