/*
 * mail - MAIL begins a transaction (RFC 5321 4.1.1.2, 3.3).
 *
 * Refused early is what cannot end well: a second MAIL within a transaction, a size beyond the
 * limit (RFC 1870 6.1), no room in the spool (452, and delivery goes on), a client for whom no
 * rule can accept anything, a client who has sent enough for now. Who has logged in gives a sender
 * that is his; of others the address is only looked at for its form, and rules that name senders
 * decide per recipient. AUTH= (RFC 4954 5) is read and believed by nobody: we vouch for our own
 * logins only.
 */
#include "receive/intake.h"

#include "receive/logins.h"

#define OFFERED (OFFER_SIZE | OFFER_8BITMIME | OFFER_BINARYMIME | OFFER_SMTPUTF8 | OFFER_DSN)

unsigned session_offers(const struct session *s)
{
	unsigned offers = OFFERED;

	if (session_mechanisms(s) || s->client.login.n)
		offers |= OFFER_AUTH;
	if (session_has_tls(s))
		offers |= OFFER_REQUIRETLS;	/* RFC 8689 4.1: only then */
	return offers;
}

/* What speaks against this sender; .code 0: nothing. */
static struct reply sender_objection(struct session *s, const struct mail_command *m) SUSPENDS
{
	const struct receive_helpers *help = &s->reception->receive->help;
	struct decision d = { .verdict = VERDICT_ACCEPT };

	if (s->client.login.n && help->logins &&
	    !logins_may_send_as(help->logins, s->config, s->client.login, &m->sender))
		return REPLY(553, 5, 7, 1, "That sender is not yours to use");
	s->client.has_popped = service_has_popped(s->reception->receive, &s->client.ip);
	if (!policy_has_hope(s->config, &s->client))
		return REPLY(550, 5, 7, 1, "You may not send mail here");
	if (help->strangers)
		strangers_message(help->strangers, s->config, &s->client, &s->stranger, m->size,
				  &d);
	return d.verdict == VERDICT_ACCEPT ? (struct reply){ 0 } : d.reply;
}

int mail_handle(struct session *s, struct str args)
{
	struct spool *spool = s->reception->receive->spool;
	struct mail_command m;
	struct reply reply;

	if (s->transaction.open)
		return session_refuse(s, REPLY(503, 5, 5, 1, "Another MAIL; send RSET first"));
	if (s->listen->submission && !s->client.login.n)
		return session_refuse(s, REPLY(530, 5, 7, 0, "Log in first"));
	if (!mail_parse(args, s->extended ? session_offers(s) : 0, &m, &reply))
		return session_refuse(s, reply);
	if (m.size > s->config->message.size_max)
		return session_refuse(s, REPLY(552, 5, 3, 4, "Message too big"));
	if (m.size ? !spool_accepts_size(spool, m.size) : !spool_accepts(spool))
		return session_refuse(s, REPLY(452, 4, 3, 1, "No room for mail, try again later"));
	if (!spool_take_places(spool, 1))
		return session_refuse(s, intake_queue_full());
	spool_give_back_places(spool, 1);	/* a look: how many there will be is not known */
	reply = sender_objection(s, &m);
	if (reply.code)
		return session_refuse(s, reply);
	transaction_begin(s, &m);
	return session_say(s, STR("250 2.1.0 Sender ok\r\n"));
}
