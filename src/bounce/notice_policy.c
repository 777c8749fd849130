/*
 * notice_policy - which notices are due, and with which status; see notice.h.
 *
 * Pure. The sender's wish is NOTIFY (RFC 3461 4.1); where it is missing failures and delays are
 * told, as the RFC leaves to us. A recipient whose time is up fails here, whatever the last attempt
 * said: 5.4.7 (RFC 3463 3.5). A warning counts as made even if none was due, so that its deadline
 * does not come again.
 *
 * Success is told by us only where the next hop did not take that duty over (RFC 3461 5.2.2): a
 * "relayed" report, or "delivered" where LMTP said so.
 */
#include "bounce/notice.h"

#include "schedule/schedule.h"

const char *notice_kind_name(enum notice_kind k)
{
	static const char *const names[NOTICE_KINDS] = { "failed", "delayed", "success" };

	return names[k];
}

/* What a reply code without an enhanced one means; RFC 3463 3, RFC 5248. The class comes from the
 * state. */
static const struct {
	uint16_t code;
	uint16_t subject, detail;
} code_table[] = {
	{ 421, 3, 2 },	/* not accepting messages now */
	{ 450, 2, 0 },	/* the mailbox, for whatever reason */
	{ 451, 3, 0 },	/* an error in processing */
	{ 452, 3, 1 },	/* no room */
	{ 454, 7, 0 },
	{ 455, 5, 4 },
	{ 500, 5, 2 },	/* syntax */
	{ 501, 5, 4 },	/* arguments */
	{ 502, 5, 1 },
	{ 503, 5, 1 },	/* sequence */
	{ 504, 5, 4 },
	{ 521, 3, 2 },	/* takes no mail (RFC 7504) */
	{ 530, 7, 0 },
	{ 535, 7, 8 },
	/* 550 and 554 mean anything: nothing is guessed. */
	{ 551, 1, 6 },	/* moved */
	{ 552, 2, 2 },	/* mailbox full */
	{ 553, 1, 3 },	/* bad address */
	{ 555, 5, 4 },	/* unknown parameter */
	{ 556, 1, 10 },	/* the domain takes no mail (RFC 7504) */
};

static uint8_t status_class(enum recipient_state state)
{
	if (state == RECIPIENT_QUEUED)
		return 4;
	return state == RECIPIENT_FAILED ? 5 : 2;
}

struct enhanced notice_status(enum recipient_state state, const struct reply *reply, bool expired)
{
	struct enhanced e = { .class = status_class(state) };

	if (expired)
		return (struct enhanced){ 5, 4, 7 };
	if (reply->enhanced.class) {
		e.subject = reply->enhanced.subject;
		e.detail = reply->enhanced.detail;
		return e;
	}
	if (!reply->code && e.class != 2)
		return (struct enhanced){ e.class, 4, 2 };
	for (size_t i = 0; i < sizeof(code_table) / sizeof(code_table[0]); i++) {
		if (code_table[i].code == reply->code) {
			e.subject = code_table[i].subject;
			e.detail = code_table[i].detail;
		}
	}
	return e;
}

static bool is_bounce(const struct message *m)
{
	return m->is_bounce || !m->sender_n;
}

bool notice_has_addressee(const struct message *m)
{
	return !is_bounce(m);
}

bool notice_is_for_postmaster(const struct config *c, const struct message *m)
{
	if (!is_bounce(m))
		return false;
	for (uint32_t i = 0; i < m->recipients_n; i++)
		if (c->postmaster.n && str_eq_nocase(recipient_address(m, i), c->postmaster))
			return true;
	return false;
}

static const struct route *route_of(const struct config *c, const struct message *m,
				    uint32_t recipient)
{
	return config_route(c, recipient_route(m, recipient));
}

int64_t notice_expiry_ms(const struct config *c, const struct message *m, uint32_t recipient)
{
	return deadline_give_up_ms(c, route_of(c, m, recipient), m);
}

static int64_t warning_ms(const struct config *c, const struct message *m, uint32_t recipient)
{
	return deadline_warn_ms(c, route_of(c, m, recipient), m);
}

bool notice_is_due(const struct config *c, const struct message *m, uint32_t recipient, bool warned,
		   int64_t now_ms)
{
	return now_ms >= notice_expiry_ms(c, m, recipient) ||
	       (!warned && now_ms >= warning_ms(c, m, recipient));
}

/* Whether the sender of the message asked for that kind, or left it to us (RFC 3461 4.1). */
static bool is_wanted(const struct message *m, uint32_t recipient, enum notice_kind kind)
{
	static const unsigned bits[NOTICE_KINDS] = { NOTIFY_FAILURE, NOTIFY_DELAY, NOTIFY_SUCCESS };
	unsigned notify = m->recipients[recipient].notify;

	if (notify == NOTIFY_UNSET || is_bounce(m))
		return kind != NOTICE_SUCCESS;
	return notify & bits[kind];
}

bool notice_may_warn(const struct config *c, const struct message *m, uint32_t recipient,
		     int64_t now_ms)
{
	return !is_bounce(m) && is_wanted(m, recipient, NOTICE_DELAYED) &&
	       warning_ms(c, m, recipient) != INT64_MAX &&
	       now_ms < notice_expiry_ms(c, m, recipient);
}

/* A recipient that waits on. */
static int judge_waiting(const struct judgement *j, struct outcome *o)
{
	o->warned = j->was_warned;
	if (!o->attempted)
		o->next_ms = j->next_ms;
	else if (!o->next_ms)
		o->next_ms = j->now_ms + j->retry_ms;
	if (j->was_warned || j->now_ms < warning_ms(j->config, j->message, o->recipient))
		return NOTICE_NONE;
	o->warned = true;
	if (is_bounce(j->message) || !is_wanted(j->message, o->recipient, NOTICE_DELAYED))
		return NOTICE_NONE;
	return NOTICE_DELAYED;
}

int notice_judge(const struct judgement *j, struct outcome *o, bool *ret_expired)
{
	const struct message *m = j->message;
	bool expired = o->state == RECIPIENT_QUEUED &&
		       j->now_ms >= notice_expiry_ms(j->config, m, o->recipient);
	int kind = NOTICE_NONE;

	*ret_expired = expired;
	if (expired)
		o->state = RECIPIENT_FAILED;
	switch (o->state) {
	case RECIPIENT_QUEUED:
		return judge_waiting(j, o);
	case RECIPIENT_FAILED:
		kind = NOTICE_FAILED;
		break;
	case RECIPIENT_DELIVERED:
	case RECIPIENT_RELAYED:
		if (!o->dsn_passed && !is_bounce(m))
			kind = NOTICE_SUCCESS;
		break;
	case RECIPIENT_DISCARDED:
	case RECIPIENT_DELETED:
		break;
	}
	return kind != NOTICE_NONE && is_wanted(m, o->recipient, (enum notice_kind)kind)
		       ? kind
		       : NOTICE_NONE;
}
