/*
 * ehlo - what a server offers: the reply to EHLO as a struct (RFC 5321 4.1.1.1).
 */
#ifndef SMTP_EHLO_H
#define SMTP_EHLO_H

#include "smtp/reply.h"

struct offers {
	bool pipelining, size, eightbit, binarymime, chunking, smtputf8, dsn, enhanced, starttls;
	bool requiretls, auth_plain, auth_login, auth_scram_sha_256, auth_cram_md5, etrn, xclient;
	uint32_t mechanisms;		/* of AUTH: bits 1 << enum sasl_mechanism (sasl.h) */
	uint64_t size_max;		/* octets; 0: no limit told */
	/* LIMITS (RFC 9422); 0: not told */
	uint32_t mail_max, rcpt_max, rcpt_domain_max;
	char name[256];			/* the server's name in its greeting line, cut, printable */
};

/* reply: the complete reply to EHLO. Unknown keywords are passed over, so are malformed values. */
void ehlo_parse(const struct reply *reply, struct offers *ret);

/* OFFER_* bits of command.h for mail_format and rcpt_format. */
unsigned offers_bits(const struct offers *o);

#endif
