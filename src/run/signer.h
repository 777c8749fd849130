/*
 * signer - the process that has the private keys, and what it says to whom it signs for
 * (docs/design/security.md).
 *
 * One question, one answer, each a struct of fixed size in one datagram of a SEQPACKET pair; one
 * pair for each loop of the worker. Both ends are forks of one program, so there is no byte order
 * and no version. What does not have exactly that form is not answered but counted; a number that
 * nobody waits for is passed over. Keys are read when the process starts and never afterwards: new
 * keys, new process.
 */
#ifndef RUN_SIGNER_H
#define RUN_SIGNER_H

#include "net/key.h"

#define SIGNER_CHANNELS_MAX 256	/* CRASH_LOOPS_MAX */
#define SIGNER_KEYS_MAX 256

struct sign_request {
	uint64_t number;		/* chosen by who asks; comes back */
	uint32_t operation;		/* enum key_operation */
	uint16_t name_n, in_n;
	char name[KEY_NAME_MAX + 1];	/* ends in a NUL at name_n */
	unsigned char in[KEY_INPUT_MAX];
};

struct sign_answer {
	uint64_t number;
	int32_t result;			/* octets of out, or -errno as key_ring_sign has it */
	uint32_t reserved;		/* 0 */
	unsigned char out[KEY_OUTPUT_MAX];
};

/* What a signer is started with: key files, opened by who may, read by nobody else. */
struct signer_start {
	char *names[SIGNER_KEYS_MAX];	/* owned */
	int fds[SIGNER_KEYS_MAX];	/* owned; read from their beginning each time */
	struct str publics[SIGNER_KEYS_MAX]; /* owned; their certificates', DER; empty: any */
	unsigned n;
};

void signer_start_done(struct signer_start *s);

/* Counted by the signer; a worker that does as it should is never refused. */
struct signer_counts {
	uint64_t signed_n, refused_n;
	uint64_t second;		/* which, and how many in it */
	uint64_t in_second, peak;	/* peak: the most in one second */
};

/* Pure: one request of n octets; false: it has not the form, and there is no answer. */
bool signer_answer(const struct key_ring *r, const void *request, size_t n,
		   struct signer_counts *counts, struct sign_answer *ret);

struct signer_process {
	const struct signer_start *start;
	const int *channels;		/* its ends */
	unsigned channels_n;
	int status;			/* a pipe: "+" when it is ready, else a sentence */
	pid_t parent;
	/* Whom to become; uid 0: stay who we are, without any capability. */
	uid_t uid;
	gid_t gid;
};

/*
 * The whole life of the process, in a fork: reads the keys, closes all else, gives up everything,
 * answers until all channels are closed. Never returns.
 */
void signer_main(const struct signer_process *p) __attribute__((noreturn));

#endif
