/*
 * answer - what one request of the control socket is answered with: lines for people or programs,
 * then an exit code.
 *
 * Protocol. Request, one line: "COMMAND FORMAT WORD...\r\n"; FORMAT is text or json, with "-dry"
 * behind it if the command is only to tell what it would do; words are encoded (query.h); at most
 * CONTROL_LINE_MAX octets. Answer, lines ended by CRLF, the first octet says what they are: ' '
 * for standard output, '!' for standard error, '=' the exit code, which is the last line. Then
 * the connection is closed. ('~' ends a frame of top.) No line holds control bytes: what peers
 * chose is escaped before it gets here.
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
	bool dry;		/* act on nothing */
	bool dead;		/* the client is gone: nothing is written any more */
	int code;
	bool *taking;		/* of the server: see act_recipients.c */
	unsigned fields;	/* of the JSON object being built */
	unsigned objects;	/* sent so far: the answer is an array of them */
};

/* Send .line (to standard output, or as an error), and clear it. */
void answer_line(struct answer *a) SUSPENDS;
void answer_error(struct answer *a) SUSPENDS;	/* the code becomes 1 */

/* The end of a frame (top.c): the client sends a line for the next, or goes away. */
void answer_frame(struct answer *a) SUSPENDS;

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
void json_decimal(struct answer *a, const char *key, double value);
void json_time(struct answer *a, const char *key, int64_t ms);	/* 0 is left out */
void json_end(struct answer *a);
/* An array of strings or objects within: key, then between two elements json_next, then "]". */
void json_list(struct answer *a, const char *key);
void json_next(struct answer *a) SUSPENDS;
void json_element(struct answer *a, struct str value);	/* a string in an array */
void object_line(struct answer *a) SUSPENDS;
void json_done(struct answer *a) SUSPENDS;	/* nothing in text */

/* The words of a request behind the format, decoded. */
struct words {
	struct str *at;
	unsigned n;
	unsigned from;		/* those before it were used */
};

/* The next word, or the empty one. */
static inline struct str words_next(struct words *w)
{
	return w->from < w->n ? w->at[w->from++] : STR_NONE;
}

/* "3 messages", "1 recipient" */
void answer_count(struct answer *a, uint64_t n, const char *word);

/* One suspension into .line: for its list and for the status. */
void suspension_add(struct answer *a, const struct suspension *x);

/* list.c, status.c, show.c, count.c */
void queue_list(struct answer *a, struct words *w) SUSPENDS;
void queue_status(struct answer *a, struct words *w) SUSPENDS;
void queue_show(struct answer *a, struct words *w) SUSPENDS;
void queue_count(struct answer *a, struct words *w) SUSPENDS;
/* act.c: of messages */
void queue_retry(struct answer *a, struct words *w) SUSPENDS;
void queue_hold(struct answer *a, struct words *w) SUSPENDS;
void queue_release(struct answer *a, struct words *w) SUSPENDS;
/* act_recipients.c: of recipients */
void queue_delete(struct answer *a, struct words *w) SUSPENDS;
void queue_bounce(struct answer *a, struct words *w) SUSPENDS;
void queue_reroute(struct answer *a, struct words *w) SUSPENDS;
/* suspend.c, top.c, explain.c, reload.c, pin.c */
void relay_suspend(struct answer *a, struct words *w) SUSPENDS;
void relay_resume(struct answer *a, struct words *w) SUSPENDS;
void relay_suspensions(struct answer *a, struct words *w) SUSPENDS;
void relay_top(struct answer *a, struct words *w) SUSPENDS;
void relay_explain(struct answer *a, struct words *w) SUSPENDS;
void relay_reload(struct answer *a, struct words *w) SUSPENDS;
void relay_pin(struct answer *a, struct words *w) SUSPENDS;

#endif
