/*
 * answer - what one request of the control socket is answered with: lines for people or programs,
 * then an exit code.
 *
 * Protocol. Request, one line: "COMMAND FORMAT WORD...\r\n"; FORMAT is text or json; at most
 * CONTROL_LINE_MAX octets. Answer, lines ended by CRLF, the first octet says what they are: ' '
 * for standard output, '!' for standard error, '=' the exit code, which is the last line. Then
 * the connection is closed. No line holds control bytes: what peers chose is escaped before it
 * gets here.
 */
#ifndef CONTROL_ANSWER_H
#define CONTROL_ANSWER_H

#include "base/buf.h"
#include "control/control.h"
#include "net/stream.h"

#define CONTROL_LINE_MAX 8192
#define ANSWER_LINE_MAX (256 * 1024)

struct answer {
	const struct control_links *links;	/* borrowed from the server */
	struct stream *stream;
	struct buf line;	/* being built */
	bool json;
	bool dead;		/* the client is gone: nothing is written any more */
	int code;
	unsigned fields;	/* of the JSON object being built */
	unsigned objects;	/* sent so far: the answer is an array of them */
};

/* Send .line (to standard output, or as an error), and clear it. */
void answer_line(struct answer *a) SUSPENDS;
void answer_error(struct answer *a) SUSPENDS;	/* the code becomes 1 */

/* Pieces of .line. */
void answer_value(struct answer *a, struct str value);	/* as in the log: bare, or quoted */
void answer_age(struct answer *a, int64_t ms);		/* "45s", "12m", "3h", "2d" */
void answer_size(struct answer *a, uint64_t octets);	/* "812", "4.1K", "12M" */

/*
 * The answer in JSON is an array of objects, one on a line. Of each: begin, fields, end, and for
 * those of the array itself object_line in place of answer_line. json_done ends the array. Empty
 * strings are left out.
 */
void json_begin(struct answer *a);
void json_key(struct answer *a, const char *key);	/* then the value by hand */
void json_str(struct answer *a, const char *key, struct str value);
void json_int(struct answer *a, const char *key, int64_t value);
void json_time(struct answer *a, const char *key, int64_t ms);	/* 0 is left out */
void json_end(struct answer *a);
void object_line(struct answer *a) SUSPENDS;
void json_done(struct answer *a) SUSPENDS;	/* nothing in text */

/* queue.c, act.c, reload.c, pin.c: the commands. words: behind the format. */
void queue_list(struct answer *a, struct str words) SUSPENDS;
void queue_status(struct answer *a, struct str words) SUSPENDS;
void queue_show(struct answer *a, struct str words) SUSPENDS;
void queue_retry(struct answer *a, struct str words) SUSPENDS;
void queue_hold(struct answer *a, struct str words) SUSPENDS;
void queue_release(struct answer *a, struct str words) SUSPENDS;
void queue_delete(struct answer *a, struct str words) SUSPENDS;
void relay_reload(struct answer *a, struct str words) SUSPENDS;
void relay_pin(struct answer *a, struct str words) SUSPENDS;

/* select.c: the messages that a request names, counted. */
struct selection {
	struct message **at;	/* owned */
	size_t n, size;
};

void selection_all(struct selection *s, struct spool *spool);	/* in order of arrival */
/* "all", or ids; what is unknown is answered with an error line each. */
void selection_words(struct selection *s, struct answer *a, struct str words) SUSPENDS;
void selection_free(struct selection *s);

#endif
