/*
 * client - what the commands that ask a running relay share. Not for other folders.
 */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include "control/arguments.h"
#include "control/control.h"

#define CLIENT_FRAME 1000	/* in place of an exit code: a frame of top is complete */

struct client_options {
	const char *config, *state;
	bool json, dry;
};

/* Asks and prints; the exit code. */
int client_ask(const struct client_options *o, const char *command, int words_n, char **words);

/* The parts of it. A request line; false: it is too long, and a sentence was printed. */
bool client_request(struct buf *out, const struct client_options *o, const char *command,
		    int words_n, char **words);
/* The answer, to standard output or (out not NULL) appended there; the exit code, CLIENT_FRAME. */
int client_copy(FILE *f, struct buf *out);
/* Why control_connect failed, in a sentence. */
void client_no_answer(const char *state, int error);

#endif
