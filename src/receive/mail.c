/*
 * mail - MAIL begins a transaction (RFC 5321 4.1.1.2, 3.3).
 *
 * Refused early is what cannot end well: a second MAIL within a transaction, a size beyond the
 * limit (RFC 1870 6.1), no room in the spool (452, and delivery goes on), a client for whom no
 * rule can accept anything. The sender's address is only looked at for its form; rules that name
 * senders decide per recipient.
 */
#include "receive/session.h"

#define OFFERED (OFFER_SIZE | OFFER_8BITMIME | OFFER_BINARYMIME | OFFER_SMTPUTF8 | OFFER_DSN)

int mail_handle(struct session *s, struct str args)
{
	struct spool *spool = s->reception->receive->spool;
	struct mail_command m;
	struct reply reply;

	if (s->transaction.open)
		return session_refuse(s, REPLY(503, 5, 5, 1, "Another MAIL; send RSET first"));
	if (!mail_parse(args, s->extended ? OFFERED : 0, &m, &reply))
		return session_refuse(s, reply);
	if (!policy_has_hope(s->config, &s->client))
		return session_refuse(s, REPLY(550, 5, 7, 1, "You may not send mail here"));
	if (m.size > s->config->message.size_max)
		return session_refuse(s, REPLY(552, 5, 3, 4, "Message too big"));
	if (m.size ? !spool_accepts_size(spool, m.size) : !spool_accepts(spool))
		return session_refuse(s, REPLY(452, 4, 3, 1, "No room for mail, try again later"));
	transaction_begin(s, &m);
	return session_say(s, STR("250 2.1.0 Sender ok\r\n"));
}
