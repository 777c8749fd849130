/*
 * errors - the one table that says what each thing that can go wrong means.
 *
 * A row for each (stage, failure): whom it concerns, whether it lasts, whether the connection can
 * be used on, and the words and status code if the other side gave none (RFC 3463). The principles:
 *
 *  - What the DNS says for certain about a recipient's domain is a verdict (it does not exist, it
 *    takes no mail, it is served by us alone); what it cannot say never is.
 *  - Before EHLO was answered, TLS begun and our login taken it is about the host: no message is
 *    judged by it (but one that demands more TLS than its route does), the next host is tried, and
 *    when none is left the destination rests. That includes 5xx greetings: the host refuses us, not
 *    this message (RFC 5321 3.1, 4.2.4.2); and logins, as a slip in a password must bounce nothing.
 *  - From MAIL to the answer to DATA a temporary trouble may be the host's or the message's. The
 *    next host is tried; if none is left the message is deferred, and only it: one message that
 *    makes a server hang up must not stop the mail of others.
 *  - A refused recipient concerns nobody else.
 *  - After the final dot nothing is tried at once: without an answer the message may have been
 *    taken (RFC 1047).
 *
 * The table is printed in docs/design/delivery.md.
 */
#include "deliver/errors.h"

#include "net/loop.h"

#include <assert.h>

#define T(stage, failure, scope, closes, s, d, text) \
	{ STAGE_##stage, FAIL_##failure, SCOPE_##scope, TEMPORARY, closes, { 4, s, d }, text }
#define P(stage, failure, scope, closes, s, d, text) \
	{ STAGE_##stage, FAIL_##failure, SCOPE_##scope, PERMANENT, closes, { 5, s, d }, text }
#define KEEPS false
#define CLOSES true

static const struct error table[] = {
	T(ROUTE, NO_ROUTE, HOST, KEEPS, 3, 5, "the route is not in the configuration"),
	P(MX, NO_NAME, MESSAGE, KEEPS, 1, 2, "the domain does not exist"),
	P(MX, BAD_NAME, MESSAGE, KEEPS, 1, 2, "the domain's name cannot stand in the DNS"),
	P(MX, NULL_MX, MESSAGE, KEEPS, 1, 10, "the domain takes no mail"),
	P(MX, NO_DATA, MESSAGE, KEEPS, 4, 4,
	  "the domain has neither mail exchangers nor an address"),
	P(MX, LOOP, MESSAGE, KEEPS, 4, 6,
	  "mail loops back to myself: I am the best mail exchanger of the domain"),
	T(MX, NO_ANSWER, HOST, KEEPS, 4, 3,
	  "the domain's mail exchangers could not be looked up: the DNS servers failed"),
	T(MX, TIMEOUT, HOST, KEEPS, 4, 3,
	  "the domain's mail exchangers could not be looked up: no answer in time"),
	T(MX, BOGUS, HOST, KEEPS, 7, 5,
	  "the domain's mail exchangers could not be looked up: DNSSEC validation failed"),
	T(LOOKUP, NO_NAME, HOST, KEEPS, 4, 4, "the host's name does not exist"),
	T(LOOKUP, NO_DATA, HOST, KEEPS, 4, 4, "the host's name has no address"),
	T(LOOKUP, BAD_NAME, HOST, KEEPS, 4, 4, "the host's name cannot stand in the DNS"),
	T(LOOKUP, NO_FAMILY, HOST, KEEPS, 4, 4,
	  "the host has no address of a family that the route and its source use"),
	T(LOOKUP, NO_ANSWER, HOST, KEEPS, 4, 3,
	  "the host's name could not be looked up: the DNS servers failed"),
	T(LOOKUP, TIMEOUT, HOST, KEEPS, 4, 3,
	  "the host's name could not be looked up: no answer in time"),
	T(LOOKUP, BOGUS, HOST, KEEPS, 7, 5,
	  "the host's name could not be looked up: DNSSEC validation failed"),
	T(CONNECT, REFUSED, HOST, KEEPS, 4, 1, "connection refused"),
	T(CONNECT, TIMEOUT, HOST, KEEPS, 4, 1, "connection timed out"),
	T(CONNECT, NO_NETWORK, HOST, KEEPS, 4, 4, "there is no way to the host's network"),
	T(CONNECT, NO_SOURCE, HOST, KEEPS, 3, 5, "the source's address cannot be used"),
	T(CONNECT, LOST, HOST, KEEPS, 4, 1, "cannot connect"),

	T(GREETING, 4XX, HOST, CLOSES, 4, 1, "refused to talk to us"),
	T(GREETING, 421, HOST, CLOSES, 4, 1, "refused to talk to us"),
	T(GREETING, 5XX, HOST, CLOSES, 4, 1, "refused to talk to us"),
	T(GREETING, LOST, HOST, CLOSES, 4, 2, "connection lost before the greeting"),
	T(GREETING, TIMEOUT, HOST, CLOSES, 4, 2, "no greeting in time"),
	T(GREETING, GARBAGE, HOST, CLOSES, 5, 0, "the greeting is not SMTP"),
	T(HELLO, 4XX, HOST, CLOSES, 4, 1, "EHLO refused"),
	T(HELLO, 421, HOST, CLOSES, 4, 1, "EHLO refused"),
	T(HELLO, 5XX, HOST, CLOSES, 4, 1, "EHLO refused"),
	T(HELLO, LOST, HOST, CLOSES, 4, 2, "connection lost at EHLO"),
	T(HELLO, TIMEOUT, HOST, CLOSES, 4, 2, "no answer to EHLO in time"),
	T(HELLO, GARBAGE, HOST, CLOSES, 5, 0, "the answer to EHLO is not SMTP"),
	T(HELLO, LOOP, HOST, CLOSES, 4, 6,
	  "mail loops back to myself: the host calls itself by our name"),

	T(TLS, NO_TLS, HOST, CLOSES, 7, 4, "TLS is demanded, and the host does not offer it"),
	T(TLS, 4XX, HOST, CLOSES, 7, 4, "STARTTLS refused"),
	T(TLS, 421, HOST, CLOSES, 7, 4, "STARTTLS refused"),
	T(TLS, 5XX, HOST, CLOSES, 7, 4, "STARTTLS refused"),
	T(TLS, LOST, HOST, CLOSES, 4, 2, "connection lost at the start of TLS"),
	T(TLS, TIMEOUT, HOST, CLOSES, 4, 2, "TLS did not begin in time"),
	T(TLS, GARBAGE, HOST, CLOSES, 5, 0, "the answer to STARTTLS is not SMTP"),
	T(TLS, HANDSHAKE, HOST, CLOSES, 7, 5, "no agreement on TLS"),
	T(TLS, CERTIFICATE, HOST, CLOSES, 7, 5, "the host's certificate is not what is demanded"),
	T(TLS, INJECTION, HOST, CLOSES, 7, 5,
	  "plain text came behind the answer to STARTTLS: somebody may have put it there"),
	T(TLS, BOGUS, HOST, KEEPS, 7, 5, "the host's TLSA records could not be looked up safely"),
	T(TLS, NOT_LISTED, HOST, KEEPS, 7, 5,
	  "neither DNSSEC nor an MTA-STS policy of the domain vouches for this host"),
	P(TLS, WISH, TRY, KEEPS, 7, 10, "the message demands verified TLS (REQUIRETLS)"),
	T(LOGIN, NO_TLS, HOST, CLOSES, 7, 11, "no login without TLS"),
	T(LOGIN, NO_SECRET, HOST, CLOSES, 3, 5, "the secret for the login cannot be read"),
	T(LOGIN, NO_MECHANISM, HOST, CLOSES, 7, 4, "the host offers no way to log in that we know"),
	T(LOGIN, UNPROVEN, HOST, CLOSES, 7, 8,
	  "login failed: our secret is wrong, or the host cannot prove itself"),
	T(LOGIN, 4XX, HOST, CLOSES, 7, 0, "login refused for now"),
	T(LOGIN, 421, HOST, CLOSES, 3, 2, "the host closes the connection"),
	T(LOGIN, 5XX, HOST, CLOSES, 7, 8, "login refused"),
	T(LOGIN, LOST, HOST, CLOSES, 4, 2, "connection lost at the login"),
	T(LOGIN, TIMEOUT, HOST, CLOSES, 4, 2, "no answer to the login in time"),
	T(LOGIN, GARBAGE, HOST, CLOSES, 5, 0, "the answer to the login is not SMTP"),

	P(OFFERS, WISH, TRY, KEEPS, 7, 30,
	  "the message demands REQUIRETLS and the host does not offer it"),
	P(OFFERS, SIZE, MESSAGE, KEEPS, 3, 4, "the message is larger than the host takes"),
	P(OFFERS, EIGHTBIT, MESSAGE, KEEPS, 6, 3,
	  "the message holds 8-bit text and the host does not offer 8BITMIME"),
	P(OFFERS, BINARY, MESSAGE, KEEPS, 6, 3,
	  "the message is binary and the host does not offer BINARYMIME"),
	P(OFFERS, UTF8, MESSAGE, KEEPS, 6, 7,
	  "the message needs SMTPUTF8 and the host does not offer it"),
	P(OFFERS, UNSPEAKABLE, MESSAGE, KEEPS, 5, 4, "the envelope cannot be written as SMTP"),
	T(OFFERS, CONTENT, MESSAGE, KEEPS, 3, 0, "the content cannot be read from the spool"),
	P(OFFERS, DAMAGED, MESSAGE, KEEPS, 3, 0,
	  "the content was damaged on this relay's disk and cannot be sent"),

	T(MAIL, 4XX, TRY, KEEPS, 0, 0, "MAIL refused for now"),
	P(MAIL, 5XX, MESSAGE, KEEPS, 0, 0, "MAIL refused"),
	T(MAIL, NO_TLS, TRY, CLOSES, 7, 4, "the host demands TLS, which did not work"),
	T(MAIL, 421, TRY, CLOSES, 3, 2, "the host closes the connection"),
	T(MAIL, LOST, TRY, CLOSES, 4, 2, "connection lost at MAIL"),
	T(MAIL, TIMEOUT, TRY, CLOSES, 4, 2, "no answer to MAIL in time"),
	T(MAIL, GARBAGE, TRY, CLOSES, 5, 0, "the answer to MAIL is not SMTP"),
	T(RCPT, 4XX, RECIPIENT, KEEPS, 0, 0, "recipient refused for now"),
	T(RCPT, TOO_MANY, RECIPIENT, KEEPS, 5, 3, "too many recipients at once"),
	P(RCPT, 5XX, RECIPIENT, KEEPS, 0, 0, "recipient refused"),
	T(RCPT, 421, TRY, CLOSES, 3, 2, "the host closes the connection"),
	T(RCPT, LOST, TRY, CLOSES, 4, 2, "connection lost at RCPT"),
	T(RCPT, TIMEOUT, TRY, CLOSES, 4, 2, "no answer to RCPT in time"),
	T(RCPT, GARBAGE, TRY, CLOSES, 5, 0, "the answer to RCPT is not SMTP"),
	T(DATA, 4XX, TRY, KEEPS, 0, 0, "DATA refused for now"),
	P(DATA, 5XX, MESSAGE, KEEPS, 0, 0, "DATA refused"),
	T(DATA, 421, TRY, CLOSES, 3, 2, "the host closes the connection"),
	T(DATA, LOST, TRY, CLOSES, 4, 2, "connection lost at DATA"),
	T(DATA, TIMEOUT, TRY, CLOSES, 4, 2, "no answer to DATA in time"),
	T(DATA, GARBAGE, TRY, CLOSES, 5, 0, "the answer to DATA is not SMTP"),

	T(BODY, 4XX, MESSAGE, CLOSES, 0, 0, "refused in the middle of the content"),
	P(BODY, 5XX, MESSAGE, CLOSES, 0, 0, "refused in the middle of the content"),
	T(BODY, 421, TRY, CLOSES, 3, 2, "the host closes the connection"),
	T(BODY, LOST, TRY, CLOSES, 4, 2, "connection lost in the middle of the content"),
	T(BODY, TIMEOUT, MESSAGE, CLOSES, 4, 2, "the host does not take the content in time"),
	T(BODY, GARBAGE, MESSAGE, CLOSES, 5, 0,
	  "an answer in the middle of the content that is none"),
	T(BODY, CONTENT, MESSAGE, CLOSES, 3, 0, "the content cannot be read from the spool"),
	P(BODY, DAMAGED, MESSAGE, CLOSES, 3, 0,
	  "the content was damaged on this relay's disk and cannot be sent"),
	T(DOT, 4XX, MESSAGE, KEEPS, 0, 0, "the content was refused for now"),
	P(DOT, 5XX, MESSAGE, KEEPS, 0, 0, "the content was refused"),
	T(DOT, 421, MESSAGE, CLOSES, 3, 2, "the host closes the connection"),
	T(DOT, LOST, MESSAGE, CLOSES, 4, 2,
	  "connection lost after the end of the content: the message may have been taken"),
	T(DOT, TIMEOUT, MESSAGE, CLOSES, 4, 2,
	  "no answer to the end of the content in time: the message may have been taken"),
	T(DOT, GARBAGE, MESSAGE, CLOSES, 5, 0,
	  "the answer to the end of the content is not SMTP: the message may have been taken"),
};

#define TABLE_N (sizeof(table) / sizeof(table[0]))

const struct error *error_table(size_t *ret_n)
{
	*ret_n = TABLE_N;
	return table;
}

const struct error *error_find(enum stage stage, enum failure failure)
{
	for (size_t i = 0; i < TABLE_N; i++)
		if (table[i].stage == stage && table[i].failure == failure)
			return &table[i];
	assert(!"a failure without a row");
	return NULL;
}

const char *stage_name(enum stage s)
{
	static const char *const names[] = {
		[STAGE_ROUTE] = "route",    [STAGE_MX] = "MX",
		[STAGE_LOOKUP] = "lookup",  [STAGE_CONNECT] = "connect",
		[STAGE_GREETING] = "greeting", [STAGE_HELLO] = "EHLO",
		[STAGE_TLS] = "TLS",	    [STAGE_LOGIN] = "login",
		[STAGE_OFFERS] = "offers",  [STAGE_MAIL] = "MAIL",
		[STAGE_RCPT] = "RCPT",	    [STAGE_DATA] = "DATA",
		[STAGE_BODY] = "content",   [STAGE_DOT] = "final dot",
	};

	return names[s];
}

const char *failure_name(enum failure f)
{
	static const char *const names[FAIL_N] = {
		[FAIL_NONE] = "none",
		[FAIL_4XX] = "4xx",
		[FAIL_421] = "421",
		[FAIL_5XX] = "5xx",
		[FAIL_TOO_MANY] = "452, 552",
		[FAIL_LOST] = "connection lost",
		[FAIL_TIMEOUT] = "time-out",
		[FAIL_GARBAGE] = "no SMTP reply",
		[FAIL_REFUSED] = "refused",
		[FAIL_NO_NETWORK] = "network unreachable",
		[FAIL_NO_ANSWER] = "servers failed",
		[FAIL_BOGUS] = "DNSSEC failed",
		[FAIL_NO_NAME] = "no such name",
		[FAIL_NO_DATA] = "no address",
		[FAIL_BAD_NAME] = "bad name",
		[FAIL_NULL_MX] = "null MX",
		[FAIL_NO_ROUTE] = "unknown route",
		[FAIL_NO_FAMILY] = "no usable address",
		[FAIL_NO_SOURCE] = "source unusable",
		[FAIL_LOOP] = "ourselves",
		[FAIL_SIZE] = "too large",
		[FAIL_EIGHTBIT] = "8-bit text",
		[FAIL_BINARY] = "binary",
		[FAIL_UTF8] = "UTF-8 address",
		[FAIL_UNSPEAKABLE] = "bad envelope",
		[FAIL_CONTENT] = "content unreadable",
		[FAIL_DAMAGED] = "content damaged",
		[FAIL_NO_TLS] = "no TLS",
		[FAIL_HANDSHAKE] = "handshake failed",
		[FAIL_CERTIFICATE] = "wrong certificate",
		[FAIL_INJECTION] = "text before TLS",
		[FAIL_NOT_LISTED] = "not vouched for",
		[FAIL_WISH] = "REQUIRETLS",
		[FAIL_NO_SECRET] = "no secret",
		[FAIL_NO_MECHANISM] = "no mechanism",
		[FAIL_UNPROVEN] = "server unproven",
		[FAIL_CANCELLED] = "cancelled",
	};

	return names[f];
}

enum failure failure_of_reply(const struct reply *r, unsigned class)
{
	if (r->code / 100 == class)
		return FAIL_NONE;
	if (r->code == 421)
		return FAIL_421;
	if (reply_is_temporary(r))
		return FAIL_4XX;
	return reply_is_permanent(r) ? FAIL_5XX : FAIL_GARBAGE;
}

enum failure failure_of_dns(enum dns_status s)
{
	static const enum failure failures[] = {
		[DNS_OK] = FAIL_NONE,		  [DNS_NXDOMAIN] = FAIL_NO_NAME,
		[DNS_NODATA] = FAIL_NO_DATA,	  [DNS_SERVFAIL] = FAIL_NO_ANSWER,
		[DNS_TIMEOUT] = FAIL_TIMEOUT,	  [DNS_BOGUS] = FAIL_BOGUS,
		[DNS_CANCELLED] = FAIL_CANCELLED, [DNS_INVALID] = FAIL_BAD_NAME,
	};

	return failures[s];
}

bool failure_is_reply(enum failure f)
{
	return f == FAIL_4XX || f == FAIL_421 || f == FAIL_5XX || f == FAIL_TOO_MANY;
}

void problem_set(struct problem *p, struct arena *a, enum stage stage, enum failure failure,
		 const struct reply *said, struct str host, struct str detail)
{
	const struct error *e = error_find(stage, failure);

	*p = (struct problem){ .error = e,
			       .scope = e->scope,
			       .lasting = e->lasting,
			       .host = arena_str(a, host) };
	if (said) {
		p->reply = *said;
		p->reply.text = arena_str(a, said->text);
	} else {
		p->reply.enhanced = e->enhanced;
		p->reply.text = str_of(e->text);
		if (detail.n)
			p->reply.text = arena_printf(a, "%s: %.*s", e->text, STR_ARG(detail));
	}
}

/*
 * A message whose own demand one host cannot meet for good may still go by another that is only
 * down: what passes goes before what does not.
 */
bool problem_replaces(const struct problem *old, const struct problem *new)
{
	return !old->error || old->lasting != TEMPORARY || new->lasting != PERMANENT ||
	       new->scope != SCOPE_TRY;
}

void problem_outcome(const struct problem *p, uint32_t recipient, struct outcome *ret)
{
	*ret = (struct outcome){
		.recipient = recipient,
		.state = p->lasting == PERMANENT ? RECIPIENT_FAILED : RECIPIENT_QUEUED,
		.attempted = true,
		.next_ms = p->wait_ns ? loop_wall_ms() + (int64_t)(p->wait_ns / MILLISECOND) : 0,
		.reply = p->reply,
		.host = p->host,
	};
}

static const char *scope_words(const struct error *e)
{
	switch (e->scope) {
	case SCOPE_HOST:
		return "next host, else the destination rests";
	case SCOPE_TRY:
		return "next host, else the message waits";
	case SCOPE_MESSAGE:
		return e->lasting == PERMANENT ? "the message fails" : "the message waits";
	case SCOPE_RECIPIENT:
		break;
	}
	return e->lasting == PERMANENT ? "the recipient fails" : "the recipient waits";
}

void errors_reference(struct buf *out)
{
	buf_add_lit(out,
		"# Failures of delivery\n\n"
		"Made by `relevo reference errors`; do not edit.\n\n"
		"What each failure of a next hop means, by the stage at which it happened. Once "
		"no host is left to be tried,\nthe word behind \"else\" counts: a destination "
		"that rests is tried again as a whole, a message or recipient\nthat waits has a "
		"time of its own. Why so: [delivery](../design/delivery.md#the-error-table).\n\n"
		"| stage | what happens | then | connection | status if none was given |\n"
		"| --- | --- | --- | --- | --- |\n");
	for (size_t i = 0; i < TABLE_N; i++) {
		const struct error *e = &table[i];

		buf_printf(out, "| %s | %s | %s | %s | %u.%u.%u |\n", stage_name(e->stage),
			   failure_name(e->failure), scope_words(e), e->closes ? "closed" : "kept",
			   e->enhanced.class, e->enhanced.subject, e->enhanced.detail);
	}
}
