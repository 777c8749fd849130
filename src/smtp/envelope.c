/*
 * envelope - MAIL and RCPT with their parameters, both directions; declared in command.h.
 *
 * The path comes first, then keywords from a table: a row names the keyword, what must have been
 * offered for it, and the function that reads its value. A keyword that is not in the table or was
 * not offered is 555 5.5.4; a bad value, a second occurrence or text that is no parameter is 501
 * 5.5.4 with a sentence that says what was wanted (RFC 5321 4.1.1.11, 4.2.4). The writer sends only
 * what the reader would take. Linear: each byte is looked at by one table row at most.
 */
#include "smtp/command.h"

#define ENVID_MAX 100	/* characters, RFC 3461 5.4 */
#define ORCPT_MAX 500	/* characters, RFC 3461 5.4 */
#define AUTH_MAX 500	/* characters, RFC 4954 5 */
#define SIZE_DIGITS 20	/* RFC 1870 */
#define PARAMETERS_MAX 32

/* All that a value may need or set. */
struct parse {
	unsigned offered;
	bool smtputf8;			/* RCPT: SMTPUTF8 was given with MAIL */
	struct mail_command *mail;	/* one of the two */
	struct rcpt_command *rcpt;
};

/* A reader returns 0, or the reply to a bad value. */
typedef struct reply reader(struct parse *p, struct str value);

struct parameter {
	const char *name;
	unsigned offer;		/* one of these bits must be offered */
	bool needs_value;	/* else it must have none */
	reader *read;
};

static struct reply fine(void)
{
	return (struct reply){ 0 };
}

#define BAD(sentence) REPLY(501, 5, 5, 4, sentence)

static struct reply read_size(struct parse *p, struct str value)
{
	uint64_t size;

	if (value.n > SIZE_DIGITS)
		return BAD("SIZE has at most 20 digits");
	for (size_t i = 0; i < value.n; i++)
		if (!ascii_is_digit(value.p[i]))
			return BAD("SIZE is a number of octets, as in SIZE=12345");
	/* Twenty digits may be more than 64 bits; it is too much for any limit all the same. */
	p->mail->size = str_parse_u64(value, UINT64_MAX, &size) ? size : UINT64_MAX;
	p->mail->has_size = true;
	return fine();
}

static struct reply read_body(struct parse *p, struct str value)
{
	if (str_eq_nocase(value, STR("7BIT")))
		p->mail->body = BODY_7BIT;
	else if (str_eq_nocase(value, STR("8BITMIME")))
		p->mail->body = BODY_8BITMIME;
	else if (str_eq_nocase(value, STR("BINARYMIME")))
		p->mail->body = BODY_BINARYMIME;
	else
		return BAD("BODY is 7BIT, 8BITMIME or BINARYMIME");
	if (!(p->offered & (p->mail->body == BODY_BINARYMIME ? OFFER_BINARYMIME : OFFER_8BITMIME)))
		return REPLY(555, 5, 5, 4, "This BODY type was not offered");
	p->mail->has_body = true;
	return fine();
}

static struct reply read_smtputf8(struct parse *p, struct str value)
{
	(void)value;
	p->mail->smtputf8 = true;
	return fine();
}

static struct reply read_requiretls(struct parse *p, struct str value)
{
	(void)value;
	p->mail->requiretls = true;
	return fine();
}

static struct reply read_ret(struct parse *p, struct str value)
{
	if (str_eq_nocase(value, STR("FULL")))
		p->mail->ret = RET_FULL;
	else if (str_eq_nocase(value, STR("HDRS")))
		p->mail->ret = RET_HDRS;
	else
		return BAD("RET is FULL or HDRS");
	return fine();
}

/* RFC 3461 4.4: printable when decoded, too; it is written into a header field of a report. */
static bool envid_is_valid(struct str s)
{
	return s.n && s.n <= ENVID_MAX && xtext_is_printable(s);
}

static struct reply read_envid(struct parse *p, struct str value)
{
	if (!envid_is_valid(value))
		return BAD("ENVID is 1 to 100 characters of xtext");
	p->mail->envid = value;
	return fine();
}

/* "<>" is xtext as well (RFC 4954 5). */
static bool auth_is_valid(struct str s)
{
	return s.n && s.n <= AUTH_MAX && xtext_is_printable(s);
}

static struct reply read_auth(struct parse *p, struct str value)
{
	if (!auth_is_valid(value))
		return BAD("AUTH is an address in xtext, or <>");
	p->mail->auth = value;
	return fine();
}

static struct reply read_notify(struct parse *p, struct str value)
{
	static const struct {
		struct str name;
		unsigned bit;
	} kinds[] = {
		{ { "NEVER", 5 }, NOTIFY_NEVER },
		{ { "SUCCESS", 7 }, NOTIFY_SUCCESS },
		{ { "FAILURE", 7 }, NOTIFY_FAILURE },
		{ { "DELAY", 5 }, NOTIFY_DELAY },
	};
	unsigned notify = 0;

	for (bool more = true; more;) {
		ssize_t comma = str_find(value, ',');
		struct str word = comma < 0 ? value : str_sub(value, 0, (size_t)comma);
		unsigned bit = 0;

		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (str_eq_nocase(word, kinds[i].name))
				bit = kinds[i].bit;
		if (!bit)
			return BAD("NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY");
		notify |= bit;
		more = comma >= 0;
		value = str_from(value, word.n + 1);
	}
	if ((notify & NOTIFY_NEVER) && notify != NOTIFY_NEVER)
		return BAD("NOTIFY=NEVER stands alone");
	p->rcpt->notify = notify;
	return fine();
}

/* RFC 6533 3, utf-8-addr-unitext, as far as it matters for a command line. */
static bool is_unitext(struct str s)
{
	return utf8_is_valid(s) && !str_has_control(s) && str_find(s, ' ') < 0 &&
	       str_find(s, '=') < 0;
}

/*
 * RFC 3461 4.2: addr-type ";" xtext. RFC 6533 3: with SMTPUTF8 the address may be plain UTF-8; its
 * other forms (utf-8-addr-xtext) are xtext to us.
 */
static bool orcpt_is_valid(struct str s, bool smtputf8)
{
	ssize_t semicolon = str_find(s, ';');
	struct str address = str_from(s, (size_t)(semicolon + 1));

	if (s.n > ORCPT_MAX || semicolon <= 0 || !address.n)
		return false;
	for (ssize_t i = 0; i < semicolon; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	if (str_is_ascii(address))
		return xtext_is_printable(address);
	return smtputf8 && str_eq_nocase(str_sub(s, 0, (size_t)semicolon), STR("utf-8")) &&
	       is_unitext(address);
}

static struct reply read_orcpt(struct parse *p, struct str value)
{
	if (!orcpt_is_valid(value, p->smtputf8))
		return BAD("ORCPT is type;address in xtext, at most 500 characters");
	p->rcpt->orcpt = value;
	return fine();
}

static const struct parameter mail_parameters[] = {
	{ "SIZE", OFFER_SIZE, true, read_size },
	{ "BODY", OFFER_8BITMIME | OFFER_BINARYMIME, true, read_body },
	{ "SMTPUTF8", OFFER_SMTPUTF8, false, read_smtputf8 },
	{ "RET", OFFER_DSN, true, read_ret },
	{ "ENVID", OFFER_DSN, true, read_envid },
	{ "AUTH", OFFER_AUTH, true, read_auth },
	{ "REQUIRETLS", OFFER_REQUIRETLS, false, read_requiretls },
	{ NULL, 0, false, NULL },
};

static const struct parameter rcpt_parameters[] = {
	{ "NOTIFY", OFFER_DSN, true, read_notify },
	{ "ORCPT", OFFER_DSN, true, read_orcpt },
	{ NULL, 0, false, NULL },
};

/* esmtp-keyword of RFC 5321 4.1.2. */
static bool keyword_is_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && (i == 0 || s.p[i] != '-'))
			return false;
	return s.n > 0;
}

/* One word: "KEYWORD" or "KEYWORD=value". *seen: a bit for each row of the table. */
static struct reply read_parameter(struct parse *p, const struct parameter *table, struct str word,
				   unsigned *seen)
{
	ssize_t equals = str_find(word, '=');
	struct str keyword = equals < 0 ? word : str_sub(word, 0, (size_t)equals);
	struct str value = str_from(word, keyword.n + 1);

	if (!keyword_is_valid(keyword))
		return BAD("A parameter is KEYWORD or KEYWORD=value, with a space before it");
	for (unsigned row = 0; table[row].name; row++) {
		if (!str_eq_nocase(keyword, str_of(table[row].name)))
			continue;
		if (!(p->offered & table[row].offer))
			break;
		if (*seen & 1u << row)
			return BAD("A parameter was given twice");
		*seen |= 1u << row;
		if (table[row].needs_value && !value.n)
			return BAD("A parameter lacks its value");
		if (!table[row].needs_value && equals >= 0)
			return BAD("A parameter has a value that takes none");
		return table[row].read(p, value);
	}
	return REPLY(555, 5, 5, 4, "A parameter is not known or was not offered");
}

static struct reply read_parameters(struct parse *p, const struct parameter *table, struct str rest)
{
	unsigned seen = 0;

	if (rest.n && rest.p[0] != ' ' && rest.p[0] != '\t')
		return BAD("After the address comes a space or the end of the line");
	for (unsigned i = 0;; i++) {
		struct str word = str_word(&rest);
		struct reply reply;

		if (!word.n)
			return fine();
		if (i == PARAMETERS_MAX)
			return BAD("Too many parameters");
		reply = read_parameter(p, table, word, &seen);
		if (reply.code)
			return reply;
	}
}

/*
 * What a bad path is answered. detail: 7 for a sender (X.1.7), 3 for a recipient (X.1.3); RFC 3463
 * 3.2.
 */
static struct reply path_reply(enum address_error error, struct str path, uint16_t detail)
{
	if (error == ADDRESS_TOO_LONG)
		return REPLY(501, 5, 1, detail, "The address is too long");
	if (error == ADDRESS_NO_DOMAIN)
		return REPLY(501, 5, 1, detail, "The address lacks its @domain");
	if (error == ADDRESS_BAD_UTF8)
		return REPLY(501, 5, 1, detail, "The address is not valid UTF-8");
	if (!path.n || path.p[0] != '<')
		return REPLY(501, 5, 1, detail, "Put the address in angle brackets: <a@b.example>");
	return REPLY(501, 5, 1, detail, "Bad address syntax");
}

/*
 * The word before the path and the path: "FROM:" blanks "<...>". UTF-8 is read whether or not it
 * was announced, as SMTPUTF8 stands behind the path; check_utf8 judges.
 */
static struct reply read_path(struct str args, struct str word, unsigned flags,
			      struct address *ret, struct str *ret_rest)
{
	enum address_error error;
	struct str path;

	args = str_trim(args);
	if (!str_starts_nocase(args, word)) {
		if (flags & ADDRESS_NULL)
			return REPLY(501, 5, 5, 2, "Write MAIL FROM:<address>");
		return REPLY(501, 5, 5, 2, "Write RCPT TO:<address>");
	}
	path = str_trim(str_from(args, word.n));
	error = address_parse_path(path, flags | ADDRESS_UTF8, ret, ret_rest);
	return error ? path_reply(error, path, flags & ADDRESS_NULL ? 7 : 3) : fine();
}

static struct reply check_utf8(const struct address *address, bool smtputf8)
{
	if (address->is_utf8 && !smtputf8)
		return REPLY(553, 5, 6, 7, "An address with UTF-8 needs SMTPUTF8 with MAIL");
	return fine();
}

bool mail_parse(struct str args, unsigned offered, struct mail_command *ret,
		struct reply *ret_reply)
{
	struct mail_command mail = { 0 };
	struct parse p = { .offered = offered, .mail = &mail };
	struct str rest = STR_NONE;
	struct reply reply = read_path(args, STR("FROM:"), ADDRESS_NULL, &mail.sender, &rest);

	if (!reply.code)
		reply = read_parameters(&p, mail_parameters, rest);
	if (!reply.code)
		reply = check_utf8(&mail.sender, mail.smtputf8);
	if (reply.code) {
		*ret_reply = reply;
		return false;
	}
	*ret = mail;
	return true;
}

bool rcpt_parse(struct str args, unsigned offered, bool smtputf8, struct rcpt_command *ret,
		struct reply *ret_reply)
{
	struct rcpt_command rcpt = { 0 };
	struct parse p = { .offered = offered, .smtputf8 = smtputf8, .rcpt = &rcpt };
	struct str rest = STR_NONE;
	struct reply reply =
		read_path(args, STR("TO:"), ADDRESS_POSTMASTER, &rcpt.recipient, &rest);

	if (!reply.code)
		reply = read_parameters(&p, rcpt_parameters, rest);
	if (!reply.code)
		reply = check_utf8(&rcpt.recipient, smtputf8);
	if (reply.code) {
		*ret_reply = reply;
		return false;
	}
	*ret = rcpt;
	return true;
}

/* An address may be written if the reader of the next hop would take it. */
static bool address_is_sound(struct str whole, unsigned flags, unsigned offered)
{
	struct address ignored;

	if (!whole.n)
		return flags & ADDRESS_NULL;
	if (offered & OFFER_SMTPUTF8)
		flags |= ADDRESS_UTF8;
	return address_parse(whole, flags, &ignored) == ADDRESS_OK;
}

/* The line is complete: true, or all of it is taken back. */
static bool line_done(struct buf *out, size_t start)
{
	buf_add_lit(out, "\r\n");
	if (!buf_ok(out))
		out->n = start;
	return buf_ok(out);
}

static void add_parameter(struct buf *out, struct str name, struct str value)
{
	buf_add_byte(out, ' ');
	buf_add_str(out, name);
	if (value.n) {
		buf_add_byte(out, '=');
		buf_add_str(out, value);
	}
}

static struct str body_name(enum body body)
{
	switch (body) {
	case BODY_7BIT:
		return STR("7BIT");
	case BODY_8BITMIME:
		return STR("8BITMIME");
	case BODY_BINARYMIME:
		return STR("BINARYMIME");
	}
	return STR("7BIT");
}

static bool mail_is_sound(const struct mail_command *m, unsigned offered)
{
	return address_is_sound(m->sender.whole, ADDRESS_NULL, offered) &&
	       (!m->envid.n || envid_is_valid(m->envid)) && (!m->auth.n || auth_is_valid(m->auth));
}

bool mail_format(struct buf *out, const struct mail_command *m, unsigned offered)
{
	unsigned body_offer = m->body == BODY_BINARYMIME ? OFFER_BINARYMIME : OFFER_8BITMIME;
	size_t start = out->n;

	if (!mail_is_sound(m, offered))
		return false;
	buf_add_lit(out, "MAIL FROM:<");
	buf_add_str(out, m->sender.whole);
	buf_add_byte(out, '>');
	if (m->has_size && (offered & OFFER_SIZE)) {
		buf_add_lit(out, " SIZE=");
		buf_add_u64(out, m->size);
	}
	if (m->has_body && (offered & body_offer))
		add_parameter(out, STR("BODY"), body_name(m->body));
	if (m->smtputf8 && (offered & OFFER_SMTPUTF8))
		add_parameter(out, STR("SMTPUTF8"), STR_NONE);
	if (m->ret && (offered & OFFER_DSN))
		add_parameter(out, STR("RET"), m->ret == RET_FULL ? STR("FULL") : STR("HDRS"));
	if (m->envid.n && (offered & OFFER_DSN))
		add_parameter(out, STR("ENVID"), m->envid);
	if (m->auth.n && (offered & OFFER_AUTH))
		add_parameter(out, STR("AUTH"), m->auth);
	if (m->requiretls && (offered & OFFER_REQUIRETLS))
		add_parameter(out, STR("REQUIRETLS"), STR_NONE);
	return line_done(out, start);
}

static void add_notify(struct buf *out, unsigned notify)
{
	static const char *const names[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
	char separator = '=';

	buf_add_lit(out, " NOTIFY");
	for (unsigned i = 0; i < 4; i++) {
		if (!(notify & 1u << i))
			continue;
		buf_add_byte(out, separator);
		buf_add_str(out, str_of(names[i]));
		separator = ',';
	}
}

static bool rcpt_is_sound(const struct rcpt_command *r, unsigned offered)
{
	return address_is_sound(r->recipient.whole, ADDRESS_POSTMASTER, offered) &&
	       (!r->orcpt.n || orcpt_is_valid(r->orcpt, true)) &&
	       r->notify <= (NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY) &&
	       (!(r->notify & NOTIFY_NEVER) || r->notify == NOTIFY_NEVER);
}

bool rcpt_format(struct buf *out, const struct rcpt_command *r, unsigned offered)
{
	size_t start = out->n;

	if (!rcpt_is_sound(r, offered))
		return false;
	buf_add_lit(out, "RCPT TO:<");
	buf_add_str(out, r->recipient.whole);
	buf_add_byte(out, '>');
	if (r->notify && (offered & OFFER_DSN))
		add_notify(out, r->notify);
	/*
	 * ORCPT in plain UTF-8 is left out where the next hop cannot read it; the recipient is not
	 * refused.
	 */
	if (r->orcpt.n && (offered & OFFER_DSN) &&
	    (str_is_ascii(r->orcpt) || (offered & OFFER_SMTPUTF8)))
		add_parameter(out, STR("ORCPT"), r->orcpt);
	return line_done(out, start);
}
