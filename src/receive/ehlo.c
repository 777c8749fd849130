/*
 * ehlo - EHLO and HELO: who the client says it is, and what we offer (RFC 5321 4.1.1.1).
 *
 * The name must be a domain or an address literal by its syntax; it is never compared with
 * anything else (4.1.4) and decides nothing. Both verbs reset the transaction; one that is refused
 * changes nothing. The name of a stranger may be looked up, where the listener wants that.
 */
#include "receive/session.h"

#include "smtp/proxy.h"
#include "smtp/sasl.h"

/* LIMITS (RFC 9422) names what is limited: recipients. Messages and domains are not. */
#define EXTENSIONS "\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n" \
		   "250-BINARYMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-SIZE "
#define NUMBER_MAX 64	/* octets of the two lines with numbers */
#define OFFERS_MAX 320	/* octets of what is offered only to some */

/* What speaks against a stranger's name is kept, and said at RCPT. */
static void look_at_name(struct session *s) SUSPENDS
{
	struct strangers *strangers = s->reception->receive->help.strangers;
	struct decision ignored;

	if (strangers && session_is_strange(s))
		strangers_helo(strangers, session_clients(s), &s->client, &s->stranger, &ignored);
}

/* 1: said hello; else what the refusal returned. */
static int hello(struct session *s, struct str name, bool extended) SUSPENDS
{
	if (!helo_is_valid(name))
		return session_refuse(s, REPLY(501, 5, 5, 4, "A domain or an [address]"));
	transaction_reset(s);
	session_set_helo(s, name);
	s->extended = extended;
	look_at_name(s);
	return 1;
}

/* "250-AUTH PLAIN LOGIN\r\n": RFC 4954 3. */
static void add_mechanisms(struct buf *out, unsigned mechanisms)
{
	if (!mechanisms)
		return;
	buf_add_lit(out, "250-AUTH");
	for (unsigned m = SASL_MECHANISMS_N; m-- > SASL_NONE + 1;) {
		if (!(mechanisms & 1u << m))
			continue;
		buf_add_byte(out, ' ');
		buf_add_str(out, str_of(sasl_mechanism_name(m)));
	}
	buf_add_lit(out, "\r\n");
}

/* What is offered only where it may be used. */
static void add_offers(struct buf *out, const struct session *s)
{
	if (session_may_starttls(s))
		buf_add_lit(out, "250-STARTTLS\r\n");
	add_mechanisms(out, session_mechanisms(s));
	if (session_offers(s) & OFFER_REQUIRETLS)
		buf_add_lit(out, "250-REQUIRETLS\r\n");
	if (!session_lacks_tls(s) && etrn_may(s))
		buf_add_lit(out, "250-ETRN\r\n");
	if (session_may_xclient(s))
		buf_add_lit(out, "250-" XCLIENT_OFFER "\r\n");
}

int ehlo_handle(struct session *s, struct str args)
{
	char octets[NUMBER_MAX + OFFERS_MAX];
	struct buf rest = { .p = octets, .size = sizeof(octets), .max = sizeof(octets) };
	struct str pieces[] = { STR("250-"), s->config->hostname, STR(EXTENSIONS), STR_NONE };
	int r = hello(s, args, true);

	if (r != 1)
		return r;
	buf_add_u64(&rest, s->config->message.size_max);
	buf_add_lit(&rest, "\r\n");
	add_offers(&rest, s);
	buf_add_lit(&rest, "250 LIMITS RCPTMAX=");
	buf_add_u64(&rest, s->config->message.recipients_max);
	buf_add_lit(&rest, "\r\n");
	pieces[3] = buf_str(&rest);
	return session_say_all(s, pieces, 4);
}

int helo_handle(struct session *s, struct str args)
{
	const struct str pieces[] = { STR("250 "), s->config->hostname, STR("\r\n") };
	int r = hello(s, args, false);

	return r == 1 ? session_say_all(s, pieces, 3) : r;
}
