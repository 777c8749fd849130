/*
 * transaction - MAIL, RCPT, DATA, content, and the verdict for each recipient (RFC 5321 3.3, 2920,
 * 3030, 2033).
 *
 * Where PIPELINING is offered, [RSET] MAIL RCPT... DATA leave as one write of at most 100 commands
 * and every one of their replies is read, whatever they are: RFC 2920 3.1. If DATA gets its 354
 * though no recipient was taken, a lone dot ends it. Without PIPELINING the same commands go step
 * by step, and those that have become pointless are not sent. With BDAT the content follows when
 * the recipients are known: a chunk cannot be taken back.
 *
 * What the host cannot take is found before MAIL, from what it offered: SIZE (RFC 1870 6.1),
 * 8BITMIME (RFC 6152 3), BINARYMIME (RFC 3030 3), SMTPUTF8 (RFC 6531 3.2). docs/design/delivery.md
 * has the decisions.
 */
#include "deliver/transaction.h"

#include "base/mem.h"
#include "deliver/body.h"
#include "deliver/vouch.h"

#include <errno.h>

/* octets from which BDAT saves more (the search for dots) than it costs */
#define BDAT_MIN (64 * 1024)

/* ---- verdicts */

/* Recipients of one message mostly get one answer: it is copied once. */
static struct reply keep(struct transaction *t, const struct reply *r)
{
	if (t->last.code != r->code || !str_eq(t->last.text, r->text)) {
		t->last = *r;
		t->last.text = arena_str(t->words, r->text);
	}
	t->last.enhanced = r->enhanced;
	return t->last;
}

static struct str host(struct transaction *t)
{
	if (!t->host.n)
		t->host = arena_str(t->words, str_of(t->client->host));
	return t->host;
}

static void judge(struct transaction *t, unsigned i, const struct problem *p)
{
	problem_outcome(p, t->recipients[i], &t->outcomes[i]);
	t->marks[i] = MARK_JUDGED;
}

/* By the reply just read, a good one. */
static void judge_final(struct transaction *t, unsigned i)
{
	bool lmtp = t->client->protocol == ROUTE_LMTP;

	t->outcomes[i] = (struct outcome){
		.recipient = t->recipients[i],
		.state = lmtp ? RECIPIENT_DELIVERED : RECIPIENT_RELAYED,
		.attempted = true,
		.dsn_passed = t->client->offers.dsn,
		.reply = keep(t, &t->client->reader.reply),
		.host = host(t),
		.tls = str_of(t->client->tls),
	};
	t->marks[i] = MARK_JUDGED;
}

static struct problem problem_of(struct transaction *t, enum stage stage, enum failure f)
{
	struct problem p;

	problem_set(&p, t->words, stage, f, failure_is_reply(f) ? &t->client->reader.reply : NULL,
		    str_of(t->client->host), STR_NONE);
	if (failure_is_reply(f))
		react(t->reactor, &p);
	if (p.error->closes)
		t->client->broken = true;
	return p;
}

/* The reply just read refuses one recipient, by its RCPT or after the content. */
static void judge_by_reply(struct transaction *t, unsigned i, enum stage stage, enum failure f)
{
	const struct error *e = error_find(stage, f);
	struct problem p = {
		.error = e,
		.scope = e->scope,
		.lasting = e->lasting,
		.reply = keep(t, &t->client->reader.reply),
		.host = host(t),
	};

	if (failure_is_reply(f))
		react(t->reactor, &p);
	if (p.scope == SCOPE_TRY)
		t->marks[i] = MARK_SPARED;
	else
		judge(t, i, &p);
}

/* .problem concerns all who are not judged yet. */
static enum transaction_end conclude(struct transaction *t)
{
	if (t->problem.scope != SCOPE_MESSAGE) {
		for (unsigned i = 0; i < t->n; i++)
			if (t->marks[i] == MARK_TAKEN)
				t->marks[i] = MARK_OPEN;
		return TRANSACTION_NEXT;
	}
	for (unsigned i = 0; i < t->n; i++)
		if (t->marks[i] == MARK_OPEN || t->marks[i] == MARK_TAKEN)
			judge(t, i, &t->problem);
	return TRANSACTION_DONE;
}

static enum transaction_end fail(struct transaction *t, enum stage stage, enum failure f)
{
	if (f == FAIL_CANCELLED)
		return TRANSACTION_CANCELLED;
	t->problem = problem_of(t, stage, f);
	return conclude(t);
}

/* ---- what the host can take */

static bool needs_utf8(const struct transaction *t)
{
	if (t->message->smtputf8 || !str_is_ascii(message_sender(t->message)))
		return true;
	for (unsigned i = 0; i < t->n; i++)
		if (!str_is_ascii(recipient_address(t->message, t->recipients[i])))
			return true;
	return false;
}

static enum failure compare_offers(const struct transaction *t)
{
	const struct offers *o = &t->client->offers;
	const struct message *m = t->message;

	if (o->size && o->size_max && m->size > o->size_max)
		return FAIL_SIZE;
	if (m->body == BODY_BINARYMIME && !(o->binarymime && o->chunking))
		return FAIL_BINARY;
	if (m->body == BODY_8BITMIME && !o->eightbit)
		return FAIL_EIGHTBIT;
	if (!o->smtputf8 && needs_utf8(t))
		return FAIL_UTF8;
	if (vouch_is_demanded(m) && !(o->requiretls && t->client->trust.is_encrypted))
		return FAIL_WISH;
	return FAIL_NONE;
}

/* ---- the flight: commands by number - RSET or nothing, MAIL, each RCPT, DATA or nothing */

/* the first recipient's; the last one's + 1: DATA */
enum command { COMMAND_RSET, COMMAND_MAIL, COMMAND_RCPT };

static bool write_mail(const struct transaction *t)
{
	const struct message *m = t->message;
	struct mail_command mail = {
		.sender = address_split(message_sender(m)),
		.size = m->size,
		.has_size = true,
		.body = m->body,
		.has_body = m->body != BODY_7BIT,
		.smtputf8 = m->smtputf8,
		.requiretls = m->requires_tls && t->client->trust.is_encrypted,
		.ret = m->ret,
		.envid = message_envid(m),
	};

	mail.sender.is_utf8 = !str_is_ascii(mail.sender.whole);
	return mail_format(t->flight, &mail, t->client->offered);
}

static bool write_rcpt(const struct transaction *t, unsigned i)
{
	const struct message *m = t->message;
	struct rcpt_command rcpt = {
		.recipient = address_split(recipient_address(m, t->recipients[i])),
		.notify = m->recipients[t->recipients[i]].notify,
		.orcpt = recipient_orcpt(m, t->recipients[i]),
	};

	rcpt.recipient.is_utf8 = !str_is_ascii(rcpt.recipient.whole);
	return rcpt_format(t->flight, &rcpt, t->client->offered);
}

static bool write_command(const struct transaction *t, unsigned k)
{
	if (k == COMMAND_RSET)
		return buf_add_lit(t->flight, "RSET\r\n");
	if (k == COMMAND_MAIL)
		return write_mail(t);
	if (k < COMMAND_RCPT + t->n)
		return write_rcpt(t, k - COMMAND_RCPT);
	return buf_add_lit(t->flight, "DATA\r\n");
}

static unsigned first_command(const struct transaction *t)
{
	return t->client->needs_reset ? COMMAND_RSET : COMMAND_MAIL;
}

static unsigned commands_end(const struct transaction *t)
{
	return COMMAND_RCPT + t->n + !t->use_bdat;
}

static enum stage stage_of(const struct transaction *t, unsigned k)
{
	if (k <= COMMAND_MAIL)
		return STAGE_MAIL;
	return k < COMMAND_RCPT + t->n ? STAGE_RCPT : STAGE_DATA;
}

/* A recipient who was judged before anything was sent. */
static bool is_left_out(const struct transaction *t, unsigned k)
{
	return stage_of(t, k) == STAGE_RCPT && t->marks[k - COMMAND_RCPT] != MARK_OPEN;
}

/*
 * A recipient that cannot be written fails alone. Returns how many there are; -1: MAIL cannot be
 * written.
 */
static int write_flight(struct transaction *t)
{
	int recipients = 0;

	buf_clear(t->flight);
	for (unsigned k = first_command(t); k < commands_end(t); k++) {
		enum stage stage = stage_of(t, k);
		struct problem p;

		if (write_command(t, k)) {
			recipients += stage == STAGE_RCPT;
			continue;
		}
		if (stage != STAGE_RCPT)
			return -1;
		p = problem_of(t, STAGE_OFFERS, FAIL_UNSPEAKABLE);
		judge(t, k - COMMAND_RCPT, &p);
	}
	return buf_ok(t->flight) ? recipients : -1;
}

/*
 * 552 to RCPT means 452 (RFC 5321 4.5.3.1.10) - unless it says that it means a full mailbox or
 * something else of its own.
 */
static enum failure failure_of_rcpt(const struct reply *r, enum failure f)
{
	bool silent = !r->enhanced.class || (r->enhanced.subject == 5 && r->enhanced.detail == 3);

	return (r->code == 452 || r->code == 552) && silent ? FAIL_TOO_MANY : f;
}

static void judge_rcpt(struct transaction *t, unsigned i, enum failure f)
{
	struct problem p;

	if (!f) {
		t->marks[i] = MARK_TAKEN;
		t->taken++;
		return;
	}
	f = failure_of_rcpt(&t->client->reader.reply, f);
	if (f != FAIL_TOO_MANY || !t->taken) {
		judge_by_reply(t, i, STAGE_RCPT, f);
		return;
	}
	/* says nothing about the recipient: no rule is asked */
	problem_set(&p, t->words, STAGE_RCPT, f, &t->client->reader.reply, host(t), STR_NONE);
	judge(t, i, &p);
	t->marks[i] = MARK_AGAIN;
}

/*
 * "530 Must issue a STARTTLS command first" (RFC 3207 4), and TLS was tried and did not work, or we
 * are not to speak it: whatever is wrong there, nothing is wrong with the message.
 */
static bool wants_tls(const struct client *c)
{
	return c->reader.reply.code == 530 && c->offers.starttls && !c->trust.is_encrypted;
}

/*
 * One reply. What it returns concerns the whole transaction; refused recipients and what follows
 * from them do not.
 */
static enum failure take_reply(struct transaction *t, unsigned k) SUSPENDS
{
	enum stage stage = stage_of(t, k);
	enum failure f =
		client_expect(t->client, stage == STAGE_DATA ? 3 : 2, t->client->timeout_ns);
	bool is_refusal = f == FAIL_4XX || f == FAIL_5XX;

	if (k == COMMAND_RSET && f && f != FAIL_CANCELLED) {
		t->client->broken = true;	/* refuses RSET? Anew, then */
		return FAIL_LOST;
	}
	if (t->client->broken)
		return f;
	t->nothing_said = false;
	if (stage == STAGE_MAIL && is_refusal && wants_tls(t->client))
		return FAIL_NO_TLS;
	if (k == COMMAND_RSET)
		t->client->needs_reset = false;
	else if (stage == STAGE_RCPT && (!f || is_refusal) && !t->problem.error)
		judge_rcpt(t, k - COMMAND_RCPT, f);
	else if (stage == STAGE_DATA)
		t->wants_content = !f;
	if (stage == STAGE_RCPT || (stage == STAGE_DATA && is_refusal && !t->taken))
		return FAIL_NONE;
	return f;
}

/*
 * A used connection that dies, or is ended by 421, before it said anything to this message: its
 * server had enough of waiting, or takes only so many messages. No failure of anybody's, and no
 * matter for rules: if more was meant it is said again on a fresh connection.
 */
static bool is_stale(const struct transaction *t, enum failure f)
{
	return t->is_reused && t->nothing_said && (f == FAIL_LOST || f == FAIL_421);
}

/*
 * Reads the replies to commands from k on; the first failure counts, but all are read while the
 * connection is in step.
 */
static void take_replies(struct transaction *t, unsigned from, unsigned to, enum stage *stage,
			 enum failure *failure) SUSPENDS
{
	for (unsigned k = from; k < to && !t->client->broken; k++) {
		enum failure f = is_left_out(t, k) ? FAIL_NONE : take_reply(t, k);

		if (!f || *failure)
			continue;
		*stage = stage_of(t, k);
		*failure = f;
		/* its words are overwritten by the next reply */
		if ((failure_is_reply(f) || f == FAIL_NO_TLS) && !is_stale(t, f))
			t->problem = problem_of(t, *stage, f);
	}
}

static enum failure fly(struct transaction *t, enum stage *stage) SUSPENDS
{
	enum failure f = client_write(t->client, buf_str(t->flight));

	if (!f)
		f = client_flush(t->client);
	if (!f)
		take_replies(t, first_command(t), commands_end(t), stage, &f);
	return f;
}

static enum failure step_by_step(struct transaction *t, enum stage *stage) SUSPENDS
{
	enum failure f = FAIL_NONE;

	for (unsigned k = first_command(t); k < commands_end(t) && !f; k++) {
		*stage = stage_of(t, k);
		if (*stage == STAGE_DATA && !t->taken)
			break;
		if (is_left_out(t, k))
			continue;
		buf_clear(t->flight);
		if (!write_command(t, k))
			return FAIL_UNSPEAKABLE;	/* not reached: write_flight has tried */
		f = client_write(t->client, buf_str(t->flight));
		if (!f)
			f = client_flush(t->client);
		if (!f)
			take_replies(t, k, k + 1, stage, &f);
	}
	return f;
}

/* ---- the content and the final replies */

/* 354, and nobody to send to. The answer is read to stay in step; it cannot matter. */
static void send_lone_dot(struct transaction *t) SUSPENDS
{
	if (!client_write(t->client, STR(".\r\n")) && !client_flush(t->client))
		client_expect(t->client, 2, t->dot_timeout_ns);
}

static enum transaction_end final_replies(struct transaction *t) SUSPENDS
{
	/* RFC 2033 4.2: one for each recipient taken */
	bool each = t->client->protocol == ROUTE_LMTP;
	enum failure f = FAIL_NONE;
	bool first = true;

	for (unsigned i = 0; i < t->n; i++) {
		if (t->marks[i] != MARK_TAKEN)
			continue;
		if (first || each)
			f = client_expect(t->client, 2, t->dot_timeout_ns);
		first = false;
		if (f == FAIL_CANCELLED)
			return TRANSACTION_CANCELLED;
		if (f == FAIL_421 || (t->client->broken && f))
			return fail(t, STAGE_DOT, f);	/* all who have no reply of their own */
		if (!f) {
			judge_final(t, i);
			continue;
		}
		judge_by_reply(t, i, STAGE_DOT, f);
		t->client->needs_reset = t->use_bdat;
	}
	return TRANSACTION_DONE;
}

static enum transaction_end send_content(struct transaction *t, struct content_reader *r) SUSPENDS
{
	struct body_sender b = {
		.client = t->client, .reader = r, .size = t->message->size, .chunking = t->use_bdat,
	};
	enum failure f = body_send(&b);

	if (f == FAIL_REFUSED || f == FAIL_NO_ANSWER)
		f = FAIL_LOST;
	return f ? fail(t, STAGE_BODY, f) : final_replies(t);
}

static enum transaction_end converse(struct transaction *t, struct content_reader *r) SUSPENDS
{
	enum stage stage = STAGE_MAIL;
	enum failure f = t->client->offers.pipelining ? fly(t, &stage) : step_by_step(t, &stage);

	if (f && is_stale(t, f))
		return TRANSACTION_STALE;
	if (f || !t->taken) {
		t->client->needs_reset = true;
		if (t->wants_content && !t->client->broken)
			send_lone_dot(t);
	}
	if (f == FAIL_CANCELLED)
		return TRANSACTION_CANCELLED;
	if (f)
		return t->problem.error ? conclude(t) : fail(t, stage, f);
	return t->taken ? send_content(t, r) : TRANSACTION_DONE;
}

enum transaction_end transaction_run(struct transaction *t)
{
	struct client *c = t->client;
	struct content_reader reader;
	enum transaction_end end;
	enum failure f = compare_offers(t);
	int recipients, r;

	if (f)
		return fail(t, STAGE_OFFERS, f);
	t->use_bdat = c->offers.chunking &&
		      (t->message->body == BODY_BINARYMIME || t->message->size >= BDAT_MIN);
	t->nothing_said = true;
	recipients = write_flight(t);
	if (recipients <= 0)
		return recipients ? fail(t, STAGE_OFFERS, FAIL_UNSPEAKABLE) : TRANSACTION_DONE;
	r = content_reader_open(&reader, t->spool, t->message);
	if (r < 0)
		return fail(t, STAGE_OFFERS, r == -EBADMSG ? FAIL_DAMAGED : FAIL_CONTENT);
	t->is_reused = c->messages++ > 0;
	end = converse(t, &reader);
	content_reader_close(&reader);
	return end;
}
