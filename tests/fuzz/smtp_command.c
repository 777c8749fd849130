/*
 * Fuzz: a command line as a client sends it. What is read must be written back, and read again to
 * the same; nothing that is written may hold a control octet but its CRLF.
 */
#include "smtp/command.h"

#include <assert.h>

#define ALL                                                                                        \
	(OFFER_SIZE | OFFER_8BITMIME | OFFER_BINARYMIME | OFFER_SMTPUTF8 | OFFER_DSN |             \
	 OFFER_AUTH | OFFER_REQUIRETLS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* One line: CRLF at its end, no control before it. Returns what stands behind the verb. */
static struct str check_line(const struct buf *out, enum verb verb)
{
	struct str line = buf_str(out), rest;

	assert(line.n > 2 && !memcmp(line.p + line.n - 2, "\r\n", 2));
	line.n -= 2;
	assert(!str_has_control(line));
	assert(command_verb(line, &rest) == verb);
	return rest;
}

static void try_mail(struct str args, unsigned offered)
{
	struct mail_command m, again;
	struct reply reply = { 0 };
	struct buf out = BUF_INIT(8192);

	if (!mail_parse(args, offered, &m, &reply)) {
		assert(reply.code >= 500 && reply.code <= 599 && reply.text.n);
		assert(reply.enhanced.class == 5);
		buf_done(&out);
		return;
	}
	assert(mail_format(&out, &m, ALL));
	assert(mail_parse(check_line(&out, VERB_MAIL), ALL, &again, &reply));
	assert(str_eq(m.sender.whole, again.sender.whole) &&
	       str_eq(m.sender.local, again.sender.local));
	assert(str_eq(m.sender.domain, again.sender.domain));
	assert(m.size == again.size && m.has_size == again.has_size &&
	       m.has_body == again.has_body);
	assert(m.body == again.body && m.smtputf8 == again.smtputf8 && m.ret == again.ret);
	assert(str_eq(m.envid, again.envid) && str_eq(m.auth, again.auth));
	assert(m.requiretls == again.requiretls);
	buf_done(&out);
}

static void try_rcpt(struct str args, unsigned offered, bool smtputf8)
{
	struct rcpt_command r, again;
	struct reply reply = { 0 };
	struct buf out = BUF_INIT(8192);

	if (!rcpt_parse(args, offered, smtputf8, &r, &reply)) {
		assert(reply.code >= 500 && reply.code <= 599 && reply.text.n);
		buf_done(&out);
		return;
	}
	assert(r.recipient.whole.n);
	assert(rcpt_format(&out, &r, ALL));
	assert(rcpt_parse(check_line(&out, VERB_RCPT), ALL, true, &again, &reply));
	assert(str_eq(r.recipient.whole, again.recipient.whole));
	assert(r.notify == again.notify && str_eq(r.orcpt, again.orcpt));
	buf_done(&out);
}

/* The writer, with whatever a careless caller hands it. */
static void try_format(struct str s)
{
	struct mail_command m = { .sender = address_split(s), .envid = s, .auth = s };
	struct rcpt_command r = { .recipient = address_split(s), .orcpt = s };
	struct buf out = BUF_INIT(8192);

	if (mail_format(&out, &m, ALL))
		check_line(&out, VERB_MAIL);
	buf_clear(&out);
	m.envid = m.auth = r.orcpt = STR_NONE;
	if (mail_format(&out, &m, ALL))
		check_line(&out, VERB_MAIL);
	buf_clear(&out);
	if (rcpt_format(&out, &r, ALL))
		check_line(&out, VERB_RCPT);
	buf_done(&out);
}

static void try_xtext(struct str s)
{
	struct buf coded = BUF_INIT(SIZE_MAX / 2), plain = BUF_INIT(SIZE_MAX / 2);

	xtext_encode(&coded, s);
	assert(xtext_is_valid(buf_str(&coded)) && !str_has_control(buf_str(&coded)));
	assert(xtext_is_printable(buf_str(&coded)) == !str_has_control(s));
	assert(xtext_decode(&plain, buf_str(&coded)) && str_eq(buf_str(&plain), s));
	buf_clear(&plain);
	buf_clear(&coded);
	if (xtext_decode(&plain, s)) {
		assert(xtext_is_valid(s));
		xtext_encode(&coded, buf_str(&plain));
		buf_clear(&plain);
		assert(xtext_decode(&plain, buf_str(&coded)));
	}
	buf_done(&coded);
	buf_done(&plain);
}

static void try_words(struct str s)
{
	struct address a;

	helo_is_valid(s);
	domain_literal_is_valid(s);
	if (address_parse(s, ADDRESS_UTF8, &a) == ADDRESS_OK) {
		struct address split = address_split(s);

		assert(str_eq(split.local, a.local) && str_eq(split.domain, a.domain));
		assert(split.is_literal == a.is_literal && split.is_utf8 == a.is_utf8);
		assert(!str_has_control(s) && utf8_is_valid(s) && s.n <= ADDRESS_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str line = str_make((const char *)data, n), rest;
	enum verb verb = command_verb(line, &rest);
	uint64_t size = 0;
	bool last = false;

	if (verb == VERB_BDAT && bdat_parse(rest, &size, &last))
		assert(size <= INT64_MAX);
	for (unsigned offered = 0; offered <= ALL; offered += ALL) {
		try_mail(verb == VERB_MAIL ? rest : line, offered);
		try_rcpt(verb == VERB_RCPT ? rest : line, offered, false);
		try_rcpt(verb == VERB_RCPT ? rest : line, offered, true);
	}
	try_format(line);
	try_xtext(line);
	try_words(line);
	return 0;
}
