/*
 * act - what the acting commands say of each message, and of all at the end.
 */
#ifndef CONTROL_ACT_H
#define CONTROL_ACT_H

#include "control/select.h"

/* How a command is told: "would be deleted", "3 recipients deleted". */
struct act {
	const char *verb;	/* "delete", for programs */
	const char *done;	/* "deleted" */
	uint64_t messages, recipients;
};

/* "ID: TEXT", or an object with "result". */
void act_say(struct answer *a, const struct message *m, const char *text) SUSPENDS;
void act_say_failed(struct answer *a, const struct message *m, int error) SUSPENDS;
/* What would be done, of one message: its recipients are named. Counts. */
void act_say_dry(struct answer *a, struct act *act, const struct message *m,
		 const uint32_t *recipients, uint32_t n) SUSPENDS;
/* The last line: how many. */
void act_end(struct answer *a, const struct act *act) SUSPENDS;

#endif
