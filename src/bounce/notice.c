/*
 * notice - a delivery status notification as bytes: multipart/report in three parts; see notice.h.
 *
 * In: a struct notice; out: a message that any relay can take. Pure, does not suspend, owns
 * nothing. The parts are text for people (notice_text.c), fields for programs (RFC 3464), and the
 * original message or its header section (RFC 6522 3). Whatever the original holds, the report
 * stays well formed: its header is cleaned (notice_headers), a whole message is passed only if the
 * caller found it fit, and the boundary is random, so that no original can hold it.
 *
 * All is 7-bit ASCII but the third part, unless the original came with SMTPUTF8 and needs it: then
 * the types are message/global-* and UTF-8 stands as it is (RFC 6533 4, 5). Otherwise UTF-8 in the
 * remote's words is quoted-printable for people and marked by '?' for programs: a report must not
 * fail at a hop that lacks an extension because somebody's reply had an umlaut.
 */
#include "bounce/notice.h"

#include "mail/header.h"
#include "mail/trace.h"
#include "smtp/address.h"

#define DIAGNOSTIC_MAX 800 /* octets of a reply in a field; a line without blanks stays below 998  \
			    */
#define QP_LINE_MAX 76		/* characters, RFC 2045 6.7 */

/* ---- bytes that need care */

static void add_code_point(struct buf *out, struct str sequence)
{
	static const uint8_t lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t point = (uint8_t)sequence.p[0] & lead_mask[sequence.n];

	for (size_t i = 1; i < sequence.n; i++)
		point = point << 6 | ((uint8_t)sequence.p[i] & 0x3f);
	buf_printf(out, "\\x{%X}", point);
}

void notice_ascii(struct buf *out, struct str s)
{
	while (s.n) {
		size_t n = utf8_sequence(s);

		if (n > 1)
			add_code_point(out, str_sub(s, 0, n));
		else
			buf_add_byte(out, n ? s.p[0] : '?');
		s = str_from(s, n ? n : 1);
	}
}

/* A field's value from what others said: no control bytes, and ASCII unless the notice is UTF-8. */
static void add_value(struct buf *out, const struct notice *n, struct str s)
{
	size_t start = out->n;

	if (n->smtputf8 && utf8_is_valid(s))
		buf_add_str(out, s);
	else
		notice_ascii(out, s);
	for (size_t i = start; i < out->n; i++)
		if ((unsigned char)out->p[i] < ' ' || out->p[i] == 0x7f)
			out->p[i] = '?';
}

void notice_headers(struct buf *out, struct str headers)
{
	size_t line = 0;	/* octets of the current line */

	for (size_t i = 0; i < headers.n; i++) {
		char c = headers.p[i];

		if (c == '\r' && i + 1 < headers.n && headers.p[i + 1] == '\n') {
			if (!line)
				return;
			buf_add_lit(out, "\r\n");
			line = 0;
			i++;
			continue;
		}
		if (line++ < NOTICE_LINE_MAX)
			buf_add_byte(out, c == '\r' || c == '\n' || !c ? '?' : c);
	}
	if (line)
		buf_add_lit(out, "\r\n");
}

/* Text with CRLFs as quoted-printable (RFC 2045 6.7). */
static void add_quoted_printable(struct buf *out, struct str s)
{
	size_t column = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool line_ends = i + 1 == s.n || s.p[i + 1] == '\r';

		if (c == '\r' || c == '\n') {
			buf_add_byte(out, (char)c);
			column = 0;
			continue;
		}
		if (column > QP_LINE_MAX - 4) {
			buf_add_lit(out, "=\r\n");
			column = 0;
		}
		if (c < ' ' || c >= 0x7f || c == '=' || (c == ' ' && line_ends)) {
			buf_printf(out, "=%02X", c);
			column += 3;
		} else {
			buf_add_byte(out, (char)c);
			column++;
		}
	}
}

/* ---- fields; a value is built in a small buffer, cut there, and written by the one header writer
 */

#define VALUE_MAX 1024

static void write_value(struct buf *out, const char *name, struct buf *value)
{
	header_write(out, str_of(name), buf_str(value));
	buf_done(value);
}

static void write_text(struct buf *out, const char *name, struct str text)
{
	header_write(out, str_of(name), text);
}

static void write_date(struct buf *out, const char *name, int64_t time_ms)
{
	struct buf value = BUF_INIT(VALUE_MAX);

	date_format(&value, time_ms / 1000);
	write_value(out, name, &value);
}

/* "rfc822; a@b.example", or "utf-8; ..." (RFC 6533 3). */
static void write_address(struct buf *out, const struct notice *n, const char *name,
			  struct str address)
{
	struct buf value = BUF_INIT(VALUE_MAX * 4);

	buf_add_str(&value, str_is_ascii(address) ? STR("rfc822; ") : STR("utf-8; "));
	add_value(&value, n, address);
	write_value(out, name, &value);
}

/* ORCPT "type;xtext" as "type; text" (RFC 3461 5.2.1 e, RFC 3464 2.3.1). */
static void write_original_recipient(struct buf *out, const struct notice *n, struct str orcpt)
{
	struct buf value = BUF_INIT(VALUE_MAX * 4), decoded = BUF_INIT(VALUE_MAX);
	ssize_t semicolon = str_find(orcpt, ';');
	struct str address = str_from(orcpt, (size_t)(semicolon + 1));

	if (semicolon <= 0)
		return;
	/* A UTF-8 address that was sent plainly is no xtext (RFC 6533 3). */
	if (xtext_decode(&decoded, address))
		address = buf_str(&decoded);
	add_value(&value, n, str_sub(orcpt, 0, (size_t)semicolon));
	buf_add_lit(&value, "; ");
	add_value(&value, n, address);
	write_value(out, "Original-Recipient", &value);
	buf_done(&decoded);
}

/* "mx.example:25" and "[2001:db8::1]:25" without brackets and port. */
static struct str host_name(struct str host)
{
	ssize_t colon = str_find(host, ':');

	if (host.n && host.p[0] == '[')
		return str_sub(host, 1, (size_t)str_find(host, ']'));
	/* Several colons: a bare IPv6 address. */
	return colon >= 0 && str_rfind(host, ':') == colon ? str_sub(host, 0, (size_t)colon) : host;
}

/* "dns; mx.example (192.0.2.1)": a name or a literal (RFC 3464 2.1.2); what else is known: a
 * comment. */
static void write_remote(struct buf *out, const struct notice *n, struct str host)
{
	struct buf value = BUF_INIT(VALUE_MAX * 4);
	struct str rest = str_sub(host, 0, 300), word = str_word(&rest), name = host_name(word);
	struct ip ip;

	if (str_starts(word, STR("unix:"))) {
		buf_add_lit(&value, "x-unix; ");
		add_value(&value, n, word);
	} else if (ip_parse(name, &ip)) {
		buf_add_str(&value, ip.family == 6 ? STR("dns; [IPv6:") : STR("dns; ["));
		buf_add_str(&value, name);
		buf_add_byte(&value, ']');
	} else {
		buf_add_lit(&value, "dns; ");
		add_value(&value, n, name);
	}
	add_value(&value, n, rest);
	write_value(out, "Remote-MTA", &value);
}

/* Words for programs: people read them whole in the first part, so what is not ASCII is only marked
 * here. */
static void add_words(struct buf *out, const struct notice *n, struct str s)
{
	if (n->smtputf8) {
		add_value(out, n, s);
		return;
	}
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			buf_add_byte(out, (unsigned char)s.p[i] >= 0x80 ? '?' : s.p[i]);
}

/* The remote's words are "smtp; ..."; ours are of a type of our own (RFC 3464 2.3.6). */
static void write_diagnostic(struct buf *out, const struct notice *n,
			     const struct notice_recipient *r)
{
	struct buf value = BUF_INIT(VALUE_MAX), words = BUF_INIT(DIAGNOSTIC_MAX);

	reply_describe(&words, &r->reply);
	if (words.n) {
		buf_add_str(&value, r->reply.code && r->host.n ? STR("smtp; ") : STR("x-relevo; "));
		add_words(&value, n, buf_str(&words));
		write_value(out, "Diagnostic-Code", &value);
	}
	buf_done(&words);
}

static struct str action_of(const struct notice_recipient *r)
{
	switch (r->state) {
	case RECIPIENT_QUEUED:
		return STR("delayed");
	case RECIPIENT_DELIVERED:
		return STR("delivered");
	case RECIPIENT_RELAYED:
		return STR("relayed");
	default:
		return STR("failed");
	}
}

static void write_recipient(struct buf *out, const struct notice *n,
			    const struct notice_recipient *r)
{
	struct buf status = BUF_INIT(VALUE_MAX);

	buf_add_lit(out, "\r\n");
	write_original_recipient(out, n, r->orcpt);
	write_address(out, n, "Final-Recipient", r->address);
	write_text(out, "Action", action_of(r));
	enhanced_format(&status, r->status);
	write_value(out, "Status", &status);
	if (r->host.n)
		write_remote(out, n, r->host);
	write_diagnostic(out, n, r);
	if (r->last_attempt_ms)
		write_date(out, "Last-Attempt-Date", r->last_attempt_ms);
	if (r->state == RECIPIENT_QUEUED && r->will_retry_until_ms)
		write_date(out, "Will-Retry-Until", r->will_retry_until_ms);
}

static void write_envelope_id(struct buf *out, const struct notice *n)
{
	struct buf decoded = BUF_INIT(VALUE_MAX);

	if (xtext_decode(&decoded, n->envid) && decoded.n)
		header_write(out, STR("Original-Envelope-Id"), buf_str(&decoded));
	buf_done(&decoded);
}

/* ---- parts */

static void start_part(struct buf *out, const struct notice *n)
{
	buf_add_lit(out, "\r\n--");
	buf_add_str(out, n->boundary);
	buf_add_lit(out, "\r\n");
}

static void add_status_part(struct buf *out, const struct notice *n)
{
	struct buf value = BUF_INIT(VALUE_MAX);

	start_part(out, n);
	write_text(out, "Content-Description", STR("Delivery report"));
	write_text(out, "Content-Type",
		   n->smtputf8 ? STR("message/global-delivery-status; charset=utf-8")
			       : STR("message/delivery-status"));
	if (n->smtputf8)
		write_text(out, "Content-Transfer-Encoding", STR("8bit"));
	buf_add_lit(out, "\r\n");
	write_envelope_id(out, n);
	buf_add_lit(&value, "dns; ");
	buf_add_str(&value, n->hostname);
	write_value(out, "Reporting-MTA", &value);
	write_text(out, "X-Relevo-Id", n->id);
	write_date(out, "Arrival-Date", n->arrived_ms);
	for (unsigned i = 0; i < n->recipients_n; i++)
		write_recipient(out, n, &n->recipients[i]);
}

static void add_text_part(struct buf *out, const struct notice *n)
{
	struct buf text = BUF_INIT(out->max);
	bool ascii;

	notice_text(&text, n);
	ascii = str_is_ascii(buf_str(&text));
	start_part(out, n);
	write_text(out, "Content-Description", STR("What happened"));
	write_text(out, "Content-Type", STR("text/plain; charset=utf-8"));
	write_text(out, "Content-Transfer-Encoding", ascii ? STR("7bit") : STR("quoted-printable"));
	buf_add_lit(out, "\r\n");
	if (ascii)
		buf_add_str(out, buf_str(&text));
	else
		add_quoted_printable(out, buf_str(&text));
	if (!buf_ok(&text))
		out->full = true;
	buf_done(&text);
}

static struct str original_type(const struct notice *n)
{
	if (n->full)
		return n->smtputf8 ? STR("message/global") : STR("message/rfc822");
	return n->smtputf8 ? STR("message/global-headers") : STR("text/rfc822-headers");
}

/* The start of the third part, and all of it if only the header section comes along. */
static void add_original_part(struct buf *out, const struct notice *n)
{
	start_part(out, n);
	write_text(out, "Content-Description",
		   n->full ? STR("The message") : STR("The message's header section"));
	write_text(out, "Content-Type", original_type(n));
	write_text(out, "Content-Transfer-Encoding", n->eightbit ? STR("8bit") : STR("7bit"));
	buf_add_lit(out, "\r\n");
	if (!n->full)
		notice_headers(out, n->headers);
}

/* ---- the whole */

static struct str subject_of(const struct notice *n)
{
	if (n->to_postmaster)
		return STR("A mail failed, and its sender could not be told");
	switch (n->kind) {
	case NOTICE_FAILED:
		return STR("Your mail could not be delivered");
	case NOTICE_DELAYED:
		return STR("Your mail is delayed; we keep trying");
	case NOTICE_SUCCESS:
		break;
	}
	return STR("Your mail was passed on");
}

struct str notice_original_id(struct str headers)
{
	struct header_field f;

	while (header_next(&headers, &f)) {
		struct str id = str_trim(f.value);

		if (!str_eq_nocase(f.name, STR("Message-ID")))
			continue;
		if (str_starts(id, STR("\r\n")))
			id = str_trim(str_from(id, 2));		/* folded before the value */
		if (id.n < 5 || id.n > 250 || id.p[0] != '<' ||
		    str_find(id, '>') != (ssize_t)id.n - 1 || str_find(id, '@') < 0 ||
		    str_find(id, ' ') >= 0 || str_has_control(id) || !str_is_ascii(id))
			return STR_NONE;
		return id;
	}
	return STR_NONE;
}

static void add_top_fields(struct buf *out, const struct notice *n)
{
	struct buf value = BUF_INIT(VALUE_MAX);
	struct str original_id = notice_original_id(n->headers);

	buf_printf(&value, "Mail Delivery System <postmaster@%.*s>", STR_ARG(n->hostname));
	write_value(out, "From", &value);
	buf_add_byte(&value, '<');
	buf_add_str(&value, n->to);
	buf_add_byte(&value, '>');
	write_value(out, "To", &value);
	write_text(out, "Subject", subject_of(n));
	write_date(out, "Date", n->now_ms);
	buf_printf(&value, "<%.*s@%.*s>", STR_ARG(n->notice_id), STR_ARG(n->hostname));
	write_value(out, "Message-ID", &value);
	if (original_id.n)
		write_text(out, "References", original_id);
	write_text(out, "Auto-Submitted", STR("auto-replied"));
	write_text(out, "MIME-Version", STR("1.0"));
	buf_printf(&value, "multipart/report; report-type=delivery-status; boundary=\"%.*s\"",
		   STR_ARG(n->boundary));
	write_value(out, "Content-Type", &value);
	write_text(out, "Content-Transfer-Encoding",
		   n->eightbit || n->smtputf8 ? STR("8bit") : STR("7bit"));
}

bool notice_start(struct buf *out, const struct notice *n)
{
	add_top_fields(out, n);
	buf_add_lit(out, "\r\nThis is a report about a mail, in MIME format.\r\n");
	add_text_part(out, n);
	add_status_part(out, n);
	if (n->full || n->headers.n)
		add_original_part(out, n);
	return buf_ok(out);
}

bool notice_end(struct buf *out, const struct notice *n)
{
	buf_add_lit(out, "\r\n--");
	buf_add_str(out, n->boundary);
	buf_add_lit(out, "--\r\n");
	return buf_ok(out);
}
