/*
 * sink - an SMTP or LMTP server that takes everything, or fails as it is told; used by relevo sink
 * and relevo load.
 *
 * The sessions are sink_session.c, sink.c is the service, sink_main.c the command. All calls but
 * the callback are from outside the loops.
 */
#ifndef TOOL_SINK_H
#define TOOL_SINK_H

#include "tool/digest.h"
#include "tool/sink_guard.h"
#include "tool/sink_watch.h"
#include "tool/stage.h"

#include "net/stream.h"
#include "smtp/command.h"

#include <stdatomic.h>

enum sink_stage {
	SINK_CONNECT, SINK_EHLO, SINK_MAIL, SINK_RCPT, SINK_DATA, SINK_END, SINK_STAGES
};

#define OFFER_PIPELINING 0x1000	/* beside the OFFER_* of smtp/command.h */
#define OFFER_CHUNKING 0x2000
#define OFFER_ENHANCED 0x4000
#define OFFER_EHLO 0x8000	/* EHLO itself: without it only HELO works */

struct sink_reply {
	enum sink_stage stage;
	uint32_t share;			/* per million */
	struct reply reply;		/* borrows the command line */
};

#define SINK_REPLIES_MAX 32
#define SINK_LISTENS_MAX 64
#define SINK_WORKERS_MAX 64

/* A message that was accepted; all borrowed for the call. */
struct sink_message {
	struct ledger_line line;
	unsigned recipients_n;
};

struct sink_settings {
	bool lmtp;
	unsigned offers;		/* OFFER_* */
	uint64_t delay_ns[SINK_STAGES];
	bool cut[SINK_STAGES];		/* the connection is dropped there */
	uint32_t cut_share;		/* per million: of connections, at a stage drawn for each */
	/* what is said waits so long, pipelined replies together: a distance */
	uint64_t latency_ns;
	struct sink_reply replies[SINK_REPLIES_MAX];
	unsigned replies_n;
	const char *store;		/* folder for messages; NULL: none */
	bool store_raw;			/* as they came over the wire */
	bool wants_digest;
	bool flush_first;		/* before a message is counted */
	/* Called on the session's loop, outside of waits. NULL: nobody wants to know. */
	void (*accepted)(void *arg, const struct sink_message *m);
	void *arg;
	struct guard *guard;		/* borrowed; NULL: nobody is refused */
	struct watch *watch;		/* borrowed; NULL: nothing is counted beside the totals */
};

struct sink;

struct sink_door {
	struct listener listener;
	struct sink_worker *worker;
};

struct sink_worker {
	struct sink *sink;
	unsigned index;
	struct sink_door doors[SINK_LISTENS_MAX];
	struct task_group sessions;
	uint64_t random;
	char *scratch;			/* owned; content without its stuffing */
};

struct sink {
	struct stage *stage;
	struct sink_settings settings;
	struct buf hello;		/* owned; the reply to EHLO or LHLO */
	unsigned worker_first, workers_n;
	struct sink_worker *workers;	/* owned */
	int fds[SINK_LISTENS_MAX];
	unsigned fds_n;
	_Atomic uint64_t connections, messages, recipients, octets, refused, cut, stored;
};

unsigned sink_offers_all(void);
bool sink_offer_find(struct str name, unsigned *ret, struct buf *error); /* by the option's name */

struct sink *sink_new(struct stage *stage, const struct sink_settings *settings,
		      unsigned worker_first, unsigned workers);
int sink_listen(struct sink *s, const struct endpoint *e);	/* 0 or -errno */
int sink_local(const struct sink *s, struct endpoint *ret);	/* where the first one listens */
void sink_stop(struct sink *s);		/* cuts the sessions */
void sink_free(struct sink *s);

/* ---- sink_session.c: a connection of this worker's loop, in a task of its own. Takes fd. */
void sink_session_start(struct sink_worker *w, int fd, const struct endpoint *peer);

#endif
