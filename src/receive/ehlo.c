/*
 * ehlo - EHLO and HELO: who the client says it is, and what we offer (RFC 5321 4.1.1.1).
 *
 * The name must be a domain or an address literal by its syntax; it is never compared with
 * anything else (4.1.4) and decides nothing. Both verbs reset the transaction; one that is refused
 * changes nothing.
 */
#include "receive/session.h"

#include "base/mem.h"

/* LIMITS (RFC 9422) names what is limited: recipients. Messages and domains are not. */
#define EXTENSIONS "\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n" \
		   "250-BINARYMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-SIZE "
#define NUMBER_MAX 64	/* octets of the two lines with numbers */

/* 1: said hello; else what the refusal returned. */
static int hello(struct session *s, struct str name, bool extended) SUSPENDS
{
	if (!helo_is_valid(name))
		return session_refuse(s, REPLY(501, 5, 5, 4, "A domain or an [address]"));
	transaction_reset(s);
	mem_free((char *)s->helo.p);
	s->helo = str_make(mem_dup(name.p, name.n), name.n);
	s->extended = extended;
	return 1;
}

int ehlo_handle(struct session *s, struct str args)
{
	char digits[NUMBER_MAX];
	struct buf numbers = { .p = digits, .size = sizeof(digits), .max = sizeof(digits) };
	struct str pieces[] = { STR("250-"), s->config->hostname, STR(EXTENSIONS), STR_NONE };
	int r = hello(s, args, true);

	if (r != 1)
		return r;
	buf_add_u64(&numbers, s->config->message.size_max);
	buf_add_lit(&numbers, "\r\n250 LIMITS RCPTMAX=");
	buf_add_u64(&numbers, s->config->message.recipients_max);
	buf_add_lit(&numbers, "\r\n");
	pieces[3] = buf_str(&numbers);
	return session_say_all(s, pieces, 4);
}

int helo_handle(struct session *s, struct str args)
{
	const struct str pieces[] = { STR("250 "), s->config->hostname, STR("\r\n") };
	int r = hello(s, args, false);

	return r == 1 ? session_say_all(s, pieces, 3) : r;
}
