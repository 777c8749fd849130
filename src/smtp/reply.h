/*
 * reply - SMTP replies, both directions (RFC 5321 4.2, RFC 2034, RFC 3463).
 *
 * A struct reply is data: what a peer said or what a policy says. Text borrows from whoever made it
 * (a literal, a session's arena, the reader's buffer).
 */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/buf.h"
#include "base/str.h"

struct enhanced {
	uint8_t class;		/* 2, 4, 5; 0: none */
	uint16_t subject, detail; /* 0-999 */
};

struct reply {
	uint16_t code;		/* 200-599; 0: none (the connection ended) */
	struct enhanced enhanced;
	struct str text;	/* lines joined by '\n', without codes; may be empty */
};

#define REPLY(number, c, s, d, literal) ((struct reply){ number, { c, s, d }, STR(literal) })

static inline bool reply_is_positive(const struct reply *r)	/* 2xx or 3xx */
{
	return r->code >= 200 && r->code < 400;
}

static inline bool reply_is_temporary(const struct reply *r)
{
	return r->code >= 400 && r->code < 500;
}

static inline bool reply_is_permanent(const struct reply *r)
{
	return r->code >= 500 && r->code < 600;
}

#define REPLY_LINE_MAX 512	/* octets with CRLF that we send, RFC 5321 4.5.3.1.5 */
#define REPLY_TEXT_MAX 4096	/* octets of a received reply that are kept */
#define REPLY_LINES_MAX 256	/* lines of a received reply that are read */

/*
 * Append the wire form: every line "code[-| ]x.y.z text CRLF", lines over the limit are cut. The
 * enhanced code is left out if class is 0. Bytes < 0x20 and 0x7f in the text become '?'. What does
 * not fit into out is cut to its first line (.full is set), to nothing below REPLY_LINE_MAX of
 * room.
 */
void reply_format(struct buf *out, const struct reply *r);

/*
 * One received line (without CRLF) into an accumulating reply. Returns 1: the reply is complete, 0:
 * more lines follow, -EPROTO: not a reply line or the code changed, -EMSGSIZE: too many lines.
 * Excess text is dropped, not an error. A wrong or missing enhanced code leaves class 0; a right
 * one is taken out of the text. Tolerates: missing text, a missing space after the code, bare
 * codes. HTAB in text becomes a space, other control bytes and what is not UTF-8 become '?'. After
 * an error or 1: reset before the next reply.
 */
struct reply_reader {
	struct reply reply;	/* .text is set when complete */
	struct buf text;	/* owned */
	unsigned lines;
};

void reply_reader_init(struct reply_reader *r);
void reply_reader_done(struct reply_reader *r);
int reply_reader_line(struct reply_reader *r, struct str line);
void reply_reader_reset(struct reply_reader *r);	/* for the next reply */

/* "5.1.1" at the start of s, followed by a space or the end. */
bool enhanced_parse(struct str s, struct enhanced *ret, struct str *ret_rest);
void enhanced_format(struct buf *out, struct enhanced e);	/* "5.1.1" */

/* "550 5.1.1 no such user", on one line: for logs and DSNs; cut at the maximum of out. */
void reply_describe(struct buf *out, const struct reply *r);

#endif
