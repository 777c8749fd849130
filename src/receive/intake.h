/*
 * intake - content on its way from the client to the spool; private to receive/ (see intake.c).
 */
#ifndef RECEIVE_INTAKE_H
#define RECEIVE_INTAKE_H

#include "mail/header.h"
#include "receive/session.h"
#include "smtp/data.h"
#include "spool/content.h"

struct intake {
	struct content *content;	/* counted; NULL: what comes is thrown away */
	struct data_reader reader;
	struct header_watch watch;
	int error;			/* -errno of the disk */
};

void intake_begin(struct session *s);	/* the transaction's intake, in its arena */
void intake_drop(struct intake *i);	/* gives up the content */

/* What is read of one message, or of one refused chunk, before the session is ended. */
uint64_t intake_read_max(const struct session *s);
/* Sends what was said, then waits for more octets. 0 or negative. */
int intake_wait(struct session *s, const struct pace *p) SUSPENDS;
/* It has come too slowly so far. */
bool intake_is_late(const struct session *s, const struct pace *p);

/* The next octets behind DATA. Returns how many were used: all, or up to the end of content. */
size_t intake_dotted(struct session *s, struct str in) SUSPENDS;
/* The next octets of a BDAT. */
void intake_plain(struct session *s, struct str in) SUSPENDS;

/* No recipient was accepted: what DATA and BDAT are answered. */
struct reply intake_no_recipients(const struct session *s);
/* As many recipients wait as may. */
struct reply intake_queue_full(void);
/* What is wrong with the content so far on our side or by its size; .code 0: nothing. */
struct reply intake_trouble(const struct session *s);
/*
 * All of it has come: judge, commit, hand on, answer (D1). The caller resets the transaction. 0 or
 * negative.
 */
int intake_finish(struct session *s) SUSPENDS;

#endif
