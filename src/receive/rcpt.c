/*
 * rcpt - RCPT names a recipient; the rules decide (RFC 5321 4.1.1.3, promise D6).
 *
 * Beyond recipients_max the answer is 452: the client sends the others in a transaction of their
 * own (RFC 5321 4.5.3.1.10). A recipient that is named twice is kept once; both get 250. What the
 * rules accept from a stranger, lists, names, greylisting and limits may still refuse.
 */
#include "policy/domain_quota.h"
#include "policy/recipients.h"
#include "receive/session.h"

#define PRIMARY_S 30		/* for the answer of a relay domain's own server */

/* Does the relay domain have him? */
static void ask_primary(struct session *s, const struct address *recipient,
			struct decision *ret) SUSPENDS
{
	struct recipients *known = s->reception->receive->help.recipients;
	int r;

	if (!known || (!ret->route->callout && !ret->route->recipients))
		return;
	r = recipients_known(known, s->config, ret->route, recipient,
			     session_deadline(s, PRIMARY_S * SECOND), &ret->reply);
	if (r == RECIPIENT_MISSING)
		ret->verdict = VERDICT_REFUSE;
	else if (r == RECIPIENT_LATER)
		ret->verdict = VERDICT_LATER;
}

static void look_at_quota(struct session *s, struct str domain, struct decision *ret)
{
	struct domain_quota *q = s->reception->receive->help.quota;

	if (q && (ret->route->quota_octets || ret->route->quota_messages) &&
	    !domain_quota_accepts(q, ret->route, domain, s->transaction.size, &ret->reply))
		ret->verdict = VERDICT_LATER;
}

static void decide(struct session *s, const struct rcpt_command *command,
		   struct decision *ret) SUSPENDS
{
	struct strangers *strangers = s->reception->receive->help.strangers;
	const struct transaction *t = &s->transaction;

	policy_decide(s->config, &s->client, &t->sender, &command->recipient, ret);
	if (ret->verdict == VERDICT_ACCEPT)
		ask_primary(s, &command->recipient, ret);
	if (ret->verdict == VERDICT_ACCEPT)
		look_at_quota(s, command->recipient.domain, ret);
	if (ret->verdict == VERDICT_ACCEPT && strangers)
		strangers_recipient(strangers, s->config, session_clients(s), &s->client,
				    &s->stranger, &t->sender, &command->recipient, ret);
}

/* A notification is about one recipient's mail; who sends from <> to many sends no notification. */
static bool has_enough_for_null(const struct session *s)
{
	const struct transaction *t = &s->transaction;

	return session_clients(s)->null_one_recipient && !t->sender.whole.n && t->recipients_n &&
	       session_is_strange(s);
}

static int refuse(struct session *s, struct reply reply) SUSPENDS
{
	s->transaction.refused_n++;
	return session_refuse(s, reply);
}

/* Nothing is kept of what is refused or named again: a client without end would fill memory. */
int rcpt_handle(struct session *s, struct str args)
{
	struct transaction *t = &s->transaction;
	struct rcpt_command command;
	struct decision decision;
	struct reply reply;

	if (t->intake || t->failed)
		return session_refuse(s, REPLY(503, 5, 5, 1, "Content has begun"));
	if (!rcpt_parse(args, s->extended ? OFFER_DSN : 0, t->smtputf8, &command, &reply))
		return refuse(s, reply);
	if (t->recipients_n >= s->config->message.recipients_max)
		return refuse(s, REPLY(452, 4, 5, 3, "Too many recipients"));
	if (has_enough_for_null(s))
		return refuse(s, REPLY(452, 4, 5, 3, "From <> to one recipient at a time"));
	decide(s, &command, &decision);
	if (decision.verdict != VERDICT_ACCEPT)
		return refuse(s, decision.reply);
	transaction_add(s, &command, &decision);
	return session_say(s, STR("250 2.1.5 Recipient ok\r\n"));
}
