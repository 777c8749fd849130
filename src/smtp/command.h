/*
 * command - one SMTP command line into a struct, and MAIL and RCPT out again.
 *
 * Pure. Input is a line without its CRLF. Slices in the results borrow the line. RFC 5321 4.1.1,
 * 4.1.2; parameters: RFC 1870 (SIZE), 6152 (BODY), 3030 (BINARYMIME, BDAT), 6531 (SMTPUTF8), 3461
 * (RET, ENVID, NOTIFY, ORCPT). HELO names and verbs are compared without case.
 */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base/buf.h"
#include "smtp/address.h"
#include "smtp/reply.h"

/* Octets with CRLF, RFC 5321 4.5.3.1.4; before parameters' extra room. */
#define COMMAND_LINE_MAX 512
/* With every extension that lengthens MAIL or RCPT (1870, 3461, 6531, 8BITMIME, 4954 ...). */
#define COMMAND_LINE_EXTENDED_MAX 2048
/* AUTH with an initial response, and the lines of its exchange (RFC 4954 4) */
#define COMMAND_LINE_AUTH_MAX 12288

enum verb {
	VERB_UNKNOWN = 0,
	VERB_EHLO, VERB_HELO, VERB_LHLO, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_BDAT, VERB_RSET,
	VERB_NOOP, VERB_VRFY, VERB_EXPN, VERB_HELP, VERB_QUIT, VERB_STARTTLS, VERB_AUTH, VERB_ETRN,
	VERB_XCLIENT,
	/* GET, POST, PUT, HEAD, OPTIONS, CONNECT, "Host:" ...: not a mail client at all */
	VERB_HTTP,
};

/*
 * The verb of a line; *ret_rest is what follows it, without blanks at either end. Control bytes
 * (HTAB too): VERB_UNKNOWN.
 */
enum verb command_verb(struct str line, struct str *ret_rest);
const char *verb_name(enum verb v);	/* "MAIL" */

enum body { BODY_7BIT = 0, BODY_8BITMIME, BODY_BINARYMIME };
enum dsn_ret { RET_UNSET = 0, RET_FULL, RET_HDRS };
#define NOTIFY_UNSET 0		/* as if FAILURE,DELAY (RFC 3461 4.1: at the MTA's choice) */
#define NOTIFY_NEVER 1
#define NOTIFY_SUCCESS 2
#define NOTIFY_FAILURE 4
#define NOTIFY_DELAY 8

struct mail_command {
	struct address sender;	/* .whole empty: the null path */
	uint64_t size;		/* octets; 0 if not given */
	bool has_size, has_body;
	enum body body;
	bool smtputf8;
	enum dsn_ret ret;
	struct str envid;	/* xtext, as sent (at most 100 characters); empty if none */
	struct str auth;	/* AUTH= as sent (xtext); empty if none */
	bool requiretls;
};

struct rcpt_command {
	struct address recipient;	/* .domain may be empty: <postmaster> */
	unsigned notify;		/* NOTIFY_* */
	struct str orcpt;		/* "rfc822;xtext", as sent; empty if none */
};

/* What was offered on this session: a parameter of what was not offered is 555 5.5.4. */
#define OFFER_SIZE 1
#define OFFER_8BITMIME 2
#define OFFER_BINARYMIME 4
#define OFFER_SMTPUTF8 8
#define OFFER_DSN 16
#define OFFER_AUTH 32
#define OFFER_REQUIRETLS 64

/*
 * The part behind "MAIL " ("FROM:<a@b> SIZE=1"). One space after the colon is tolerated. 0, or a
 * reply to send: 501 5.5.4 / 5.1.7 / 5.5.2 (syntax, duplicate or contradictory parameters),
 * 553 5.6.7 (UTF-8 without SMTPUTF8), 555 5.5.4 (unknown parameter). offered: OFFER_*.
 */
bool mail_parse(struct str args, unsigned offered, struct mail_command *ret,
		struct reply *ret_reply);
bool rcpt_parse(struct str args, unsigned offered, bool smtputf8, struct rcpt_command *ret,
		struct reply *ret_reply);

/* "1000" or "1000 LAST" (RFC 3030). False: syntax. */
bool bdat_parse(struct str args, uint64_t *ret_size, bool *ret_last);

/*
 * xtext (RFC 3461 4). Encode what is not "!"-"~" or is "+" or "=". Decode false: malformed, nothing
 * written.
 */
bool xtext_is_valid(struct str s);
bool xtext_is_printable(struct str s);	/* valid, and stands for no control octet */
void xtext_encode(struct buf *out, struct str s);
bool xtext_decode(struct buf *out, struct str s);

/*
 * The writer: only these make command lines for MAIL and RCPT, CRLF included. What would not parse
 * again (control bytes, a bad address, bad xtext) and UTF-8 where SMTPUTF8 is not offered are
 * refused: false, nothing written. Parameters of what is not offered are left out.
 */
bool mail_format(struct buf *out, const struct mail_command *m, unsigned offered);
bool rcpt_format(struct buf *out, const struct rcpt_command *r, unsigned offered);

#endif
