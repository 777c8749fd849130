/*
 * load - what the files of relevo load share: the plan, the counts, the proof.
 *
 * All sessions run on loop 0, so what they count needs no lock; main reads it while they run only
 * for the line per second (atomics) and for the rest when they have ended. The own sink, if there
 * is one, runs on loop 1.
 */
#ifndef TOOL_LOAD_H
#define TOOL_LOAD_H

#include "tool/digest.h"
#include "tool/histogram.h"
#include "tool/sink.h"
#include "tool/stage.h"

#define LOAD_RECIPIENTS_MAX 1000
#define LOAD_DOMAINS_MAX 10000000
#define LOAD_ERRORS_MAX 32
#define LOAD_SIZE_MIN 256	/* octets of a message */

struct load_error {
	char text[160];		/* "rcpt: 450 4.2.0 busy" */
	uint64_t n;
};

/* ---- load_proof.c: that every accepted message arrives once and unchanged */
struct proof_row {
	_Atomic uint32_t crc, size;
	_Atomic uint16_t expected;	/* recipients that were accepted */
	_Atomic uint16_t arrived;	/* recipients for which it came */
	_Atomic uint8_t state;		/* enum proof_state */
	_Atomic uint8_t different;	/* came with another size or checksum */
	_Atomic uint64_t start_ns;	/* of its content */
};

enum proof_state {
	PROOF_UNSENT, PROOF_UNKNOWN /* sent, no answer heard */, PROOF_ACCEPTED, PROOF_REFUSED
};

struct proof {
	char run[16];			/* of the ids: "RUN-NUMBER" */
	struct proof_row *rows;		/* owned */
	uint64_t rows_n;
	_Atomic uint64_t strangers;	/* messages without an id of this run */
	struct histogram
		arrival; /* from the start of the content to the arrival; the sink's loop only */
};

struct proof_result {
	uint64_t complete, missing, duplicate, different, unasked;
};

void proof_init(struct proof *p, const char *run, uint64_t rows);
void proof_done(struct proof *p);
void proof_sent(struct proof *p, uint64_t number, uint32_t crc, uint64_t size);
void proof_answered(struct proof *p, uint64_t number, enum proof_state state, unsigned recipients);
void proof_arrived(void *proof, const struct sink_message *m);	/* sink_settings.accepted */
void proof_judge(const struct proof *p, struct proof_result *ret);

/* ---- load_message.c */
struct load_plan {
	char run[16];
	uint64_t seed;
	size_t size;			/* octets of content */
	const char *from, *to;
	unsigned recipients_n;
	unsigned domains_n;		/* > 0: spread over d0.DOMAIN, d1.DOMAIN ... */
};

/* Message number n: X-Relevo-Load first, lines of pseudo-random text, exactly plan->size octets. */
void load_message_make(struct buf *out, const struct load_plan *plan, uint64_t number);
/*
 * The i-th recipient (from 0) of message number n: the address itself, with a number before it if
 * there are several, and a label before its domain if there are several of those: each recipient of
 * the run goes to the next one.
 */
void load_recipient(struct buf *out, const struct load_plan *plan, uint64_t number, unsigned i);

/* ---- load_session.c */
struct load {
	struct load_plan plan;
	struct endpoint server;
	const char *helo;
	uint64_t connections, per_connection, count, rate, time_ns, timeout_ns;
	bool pipelining;
	struct stage stage;
	struct task_group sessions;
	struct proof proof;
	bool has_proof;
	FILE *ledger;
	/* ---- as it goes */
	_Atomic bool stopping;		/* no new transactions */
	uint64_t next;			/* number of the next message */
	uint64_t start_ns, end_ns;	/* end: of the last acceptance */
	_Atomic uint64_t accepted, refused, failed;
	uint64_t recipients, octets, connects;
	struct histogram whole, final;
	struct load_error errors[LOAD_ERRORS_MAX];
	unsigned errors_n;
};

/* Runs all sessions; returns when they have ended. On loop 0. */
void load_run(struct load *l) SUSPENDS;

#endif
