/*
 * rcpt - RCPT names a recipient; the rules decide (RFC 5321 4.1.1.3, promise D6).
 *
 * Beyond recipients_max the answer is 452: the client sends the others in a transaction of their
 * own (RFC 5321 4.5.3.1.10). A recipient that is named twice is kept once; both get 250.
 */
#include "receive/session.h"

int rcpt_handle(struct session *s, struct str args)
{
	struct transaction *t = &s->transaction;
	struct rcpt_command command;
	struct decision decision;
	struct reply reply;

	if (t->intake || t->failed)
		return session_refuse(s, REPLY(503, 5, 5, 1, "Content has begun"));
	if (!rcpt_parse(args, s->extended ? OFFER_DSN : 0, t->smtputf8, &command, &reply)) {
		t->refused_n++;
		return session_refuse(s, reply);
	}
	if (t->recipients_n >= s->config->message.recipients_max) {
		t->refused_n++;
		return session_refuse(s, REPLY(452, 4, 5, 3, "Too many recipients"));
	}
	policy_decide(s->config, &s->client, &t->sender, &command.recipient, &decision);
	if (decision.verdict != VERDICT_ACCEPT) {
		t->refused_n++;
		return session_refuse(s, decision.reply);
	}
	transaction_add(s, &command, &decision);
	return session_say(s, STR("250 2.1.5 Recipient ok\r\n"));
}
