/*
 * command - the lines of POP3 (RFC 1939, 2449, 2595), both directions.
 *
 * Pure. A command is a verb of letters without case and what follows one space; no control octet
 * may stand in it, or a server behind us could take one line for two.
 */
#ifndef POP_COMMAND_H
#define POP_COMMAND_H

#include "base/buf.h"
#include "base/str.h"

#define POP_LINE_MAX 512		/* octets with CRLF; RFC 2449 4 says 255 */
#define POP_REPLY_MAX 4096		/* of a server's status line */
#define POP_NAME_MAX 255

enum pop_verb {
	POP_UNKNOWN, POP_BAD,		/* BAD: a control octet, or no letter in front */
	POP_USER, POP_PASS, POP_APOP, POP_AUTH, POP_CAPA, POP_STLS, POP_QUIT,
	POP_STAT, POP_LIST, POP_RETR, POP_DELE, POP_NOOP, POP_RSET, POP_TOP, POP_UIDL,
};

/* ret_args: behind the first space, to the end (a password may begin with another). */
enum pop_verb pop_parse(struct str line, struct str *ret_args);
/* Whether its positive reply goes on to a line with a dot alone. */
bool pop_is_multiline(enum pop_verb v, struct str args);

enum pop_status { POP_OK, POP_ERR, POP_CONTINUE, POP_NONSENSE };	/* "+OK", "-ERR", "+ " */
enum pop_status pop_status(struct str line);

/*
 * Looks for the end of a multi-line reply in octets as they come. *state: 0 behind the status line.
 * How many octets belong to the reply; its end was among them: *state is POP_ENDED.
 */
#define POP_ENDED 5
size_t pop_find_end(unsigned *state, struct str octets);

/* "<1896.697170952@dbc.mtview.ca.us>" at the end of a greeting; empty: none. */
struct str pop_timestamp(struct str greeting);
/* args of APOP: a name, and the MD5 of timestamp and secret in hex (RFC 1939 7). */
bool pop_apop_parse(struct str args, struct str *ret_name, struct str *ret_digest);
bool pop_apop_is(struct str timestamp, struct str secret, struct str digest);

#endif
