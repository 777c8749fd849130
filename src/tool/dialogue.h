/*
 * dialogue - the client's side of SMTP and LMTP, for send and load.
 *
 * One connection, used by one task. Replies are read whole; pipelined replies are read one after
 * another. Not deliver/'s client: that one knows routes and verdicts; this one only says and hears.
 * All waits end by the dialogue's deadline (0 or -errno; -ECONNRESET when the server is gone,
 * -EPROTO for what is no SMTP).
 */
#ifndef TOOL_DIALOGUE_H
#define TOOL_DIALOGUE_H

#include "net/stream.h"
#include "smtp/command.h"
#include "smtp/data.h"
#include "smtp/ehlo.h"
#include "smtp/reply.h"

struct dialogue {
	struct stream *stream;		/* owned; NULL: not connected */
	struct reply_reader reader;	/* .reply: the last one, until the next is read */
	struct offers offers;
	struct buf out;			/* owned: a command under construction */
	uint64_t deadline;
	bool verbose;			/* commands and replies go to standard error */
};

void dialogue_init(struct dialogue *d);
void dialogue_done(struct dialogue *d);		/* closes at once */

/* Connects and reads the greeting. A greeting that is not 2xx is no error: look at the reply. */
int dialogue_connect(struct dialogue *d, const struct endpoint *server) SUSPENDS;
/* EHLO (HELO if that is refused) or LHLO; fills offers. */
int dialogue_hello(struct dialogue *d, const char *name, bool lmtp) SUSPENDS;

int dialogue_add(struct dialogue *d, struct str command) SUSPENDS; /* CRLF included; not flushed */
int dialogue_flush(struct dialogue *d) SUSPENDS;
int dialogue_reply(struct dialogue *d) SUSPENDS;	/* flushes, reads the next reply */
int dialogue_command(struct dialogue *d, struct str command) SUSPENDS;	/* all three */

/* Content with its dots stuffed and its end, as after DATA; not flushed. */
int dialogue_content(struct dialogue *d, struct str content) SUSPENDS;

static inline const struct reply *dialogue_said(const struct dialogue *d)
{
	return &d->reader.reply;
}

#endif
