/*
 * notice_text - the part of a notice that people read; see notice.h.
 *
 * Plain English for somebody who does not know what a relay is: what happened, for whom, what the
 * other server said in its own words, and what to do now. The advice comes from a table by status
 * code (RFC 3463), the most specific row first. Lines are folded at 72 columns; at most
 * RECIPIENTS_TOLD recipients are told one by one, the report for programs has them all. Pure; UTF-8
 * with CRLF.
 */
#include "bounce/notice.h"

#include "mail/trace.h"

#define COLUMNS 72
#define RECIPIENTS_TOLD 50
#define WORDS_MAX 1000		/* octets of a reply that are shown */

#define ANY 0xffff

/* class 0: any */
static const struct {
	uint8_t class;
	uint16_t subject, detail;
	const char *text;
} advice_table[] = {
	{5, 1, 1, "This address does not exist there. Please look for a typing mistake in it."},
	{5, 1, 2,
	 "The part behind the @ of this address does not exist. Please look for a typing mistake "
	 "in it."},
	{5, 1, 3, "This is not a valid address. Please look for a typing mistake in it."},
	{5, 1, 6, "This mailbox has moved. Please ask its owner for the new address."},
	{5, 1, 8,
	 "The other server does not accept your own address as the sender. Please check how your "
	 "mail "
	 "program is set up."},
	{5, 1, 10, "That domain takes no mail at all."},
	{5, 1, ANY, "Something is wrong with this address. Please check it."},
	{5, 2, 1, "This mailbox is closed. Please reach its owner in another way."},
	{5, 2, 2,
	 "This mailbox is full. Please try again later, or tell its owner in another way."},
	{5, 2, 3,
	 "Your mail is larger than this mailbox accepts. Please send less, or share it in another "
	 "way."},
	{5, 3, 4,
	 "Your mail is larger than the other server accepts. Please send less, or share it in "
	 "another way."},
	{5, 4, 7,
	 "We tried for as long as we may and have given up now. Please send your mail again later, "
	 "or tell "
	 "the other side in another way: their server may have a longer failure."},
	{5, 4, 6,
	 "The mail went round in a circle. That is a mistake in the setup of one of the servers: "
	 "please "
	 "show this report to your administrator."},
	{5, 4, ANY,
	 "The other server could not be reached. Please check the part of the address behind the "
	 "@."},
	{5, 6, 7, "The other server cannot take addresses with letters beyond ASCII."},
	{5, 6, ANY, "The other server cannot take the contents of your mail in this form."},
	{5, 7, ANY,
	 "The other server refuses your mail as a matter of its rules. Its words above may say "
	 "which; "
	 "otherwise please show this report to your administrator."},
	{5, ANY, ANY,
	 "The words above tell the reason. If they do not help you, please show this report to "
	 "your "
	 "administrator."},
	{0, ANY, ANY, ""},
};

/* ---- folding */

struct folder {
	struct buf *out;
	struct str indent;
	size_t column;		/* octets on this line; 0: none yet */
};

static void add_word(struct folder *f, struct str word)
{
	if (f->column && f->column + 1 + word.n > COLUMNS) {
		buf_add_lit(f->out, "\r\n");
		f->column = 0;
	}
	if (!f->column) {
		buf_add_str(f->out, f->indent);
		f->column = f->indent.n;
	} else {
		buf_add_byte(f->out, ' ');
		f->column++;
	}
	buf_add_str(f->out, word);
	f->column += word.n;
}

/* Words of text, and a line end if there were any. */
static void add_folded(struct buf *out, struct str indent, struct str text)
{
	struct folder f = { .out = out, .indent = indent };
	struct str word;

	while ((word = str_word(&text)).n)
		add_word(&f, word);
	if (f.column)
		buf_add_lit(out, "\r\n");
}

static void add_paragraph(struct buf *out, struct str text)
{
	add_folded(out, STR_NONE, text);
	buf_add_lit(out, "\r\n");
}

/* ---- what is said */

/* Ours, not another server's: nobody else said anything. */
#define OWN_RULES                                                                                  \
	"It was refused here, by this mail server: by its rules, or because somebody who looks "   \
	"after it decided so. If the words above do not help you, please ask its administrator."

static const char *advice_of(const struct notice_recipient *r)
{
	struct enhanced e = r->status;

	if (e.class == 5 && e.subject == 7 && !r->host.n)
		return OWN_RULES;
	for (size_t i = 0;; i++) {
		bool fits =
			(!advice_table[i].class || advice_table[i].class == e.class) &&
			(advice_table[i].subject == ANY || advice_table[i].subject == e.subject) &&
			(advice_table[i].detail == ANY || advice_table[i].detail == e.detail);

		if (fits)
			return advice_table[i].text;
	}
}

static void add_greeting(struct buf *out, const struct notice *n)
{
	buf_printf(out, "This is the mail server %.*s.\r\n\r\n", STR_ARG(n->hostname));
}

static void add_what_happened(struct buf *out, const struct notice *n)
{
	bool many = n->recipients_n != 1;

	if (n->to_postmaster)
		add_paragraph(out, n->sender.n
					   ? STR("A mail could not be delivered, and its sender "
						 "could not be told. You are told instead, as "
						 "the postmaster of this server. The mail was for:")
					   : STR("A mail without a sender - most likely a report "
						 "about another mail - could not be "
						 "delivered. You are told as the postmaster of "
						 "this server. The mail was for:"));
	else if (n->kind == NOTICE_FAILED)
		add_paragraph(out, many ? STR("I am sorry: your mail could not be delivered to "
					      "these recipients:")
					: STR("I am sorry: your mail could not be delivered to:"));
	else if (n->kind == NOTICE_DELAYED)
		add_paragraph(out,
			      STR("Your mail is still here and has not been delivered yet to:"));
	else
		add_paragraph(out, STR("You asked to be told what became of your mail. It was "
				       "passed on for:"));
}

static void add_words_said(struct buf *out, const struct notice_recipient *r)
{
	struct buf words = BUF_INIT(WORDS_MAX);

	reply_describe(&words, &r->reply);
	if (words.n && r->host.n && r->reply.code) {
		add_folded(out, STR("    "), str_sub(r->host, 0, 300));
		buf_add_lit(out, "    said:\r\n");
	}
	add_folded(out, STR("    "), buf_str(&words));
	if (!words.n && r->state == RECIPIENT_QUEUED)
		buf_add_lit(out, "    No server could be reached yet.\r\n");
	else if (!words.n && r->state == RECIPIENT_FAILED)
		buf_add_lit(out, "    No server could be reached.\r\n");
	buf_done(&words);
}

/* Whether the same was said about the next one: then it is told once, for both. */
static bool is_alike(const struct notice_recipient *a, const struct notice_recipient *b)
{
	return a->state == b->state && a->reply.code == b->reply.code &&
	       str_eq(a->reply.text, b->reply.text) && str_eq(a->host, b->host) &&
	       a->status.class == b->status.class && a->status.subject == b->status.subject &&
	       a->status.detail == b->status.detail;
}

/* What was said about the recipients whose addresses stand above. */
static void add_fate(struct buf *out, const struct notice *n, const struct notice_recipient *r)
{
	add_words_said(out, r);
	if (r->state == RECIPIENT_DELIVERED)
		buf_add_lit(out, "    It is in the recipient's mailbox.\r\n");
	else if (r->state == RECIPIENT_RELAYED)
		add_folded(
			out, STR("    "),
			STR("The next mail server has it now. That one sends no reports: you will "
			    "hear of it only if something goes wrong."));
	buf_add_lit(out, "\r\n");
	if (n->kind == NOTICE_FAILED && !n->to_postmaster && advice_of(r)[0])
		add_paragraph(out, str_of(advice_of(r)));
}

static void add_recipients(struct buf *out, const struct notice *n, unsigned told)
{
	for (unsigned i = 0; i < told; i++) {
		const struct notice_recipient *r = &n->recipients[i];

		buf_printf(out, "<%.*s>\r\n", STR_ARG(r->address));
		if (i + 1 == told || !is_alike(r, r + 1))
			add_fate(out, n, r);
	}
}

static void add_until(struct buf *out, const struct notice *n)
{
	struct buf line = BUF_INIT(300);
	int64_t until_ms = 0;

	for (unsigned i = 0; i < n->recipients_n; i++)
		if (n->recipients[i].will_retry_until_ms > until_ms)
			until_ms = n->recipients[i].will_retry_until_ms;
	buf_add_lit(&line,
		    "You need not do anything, and please do not send it again: it will be tried");
	if (until_ms) {
		buf_add_lit(&line, " until ");
		date_format(&line, until_ms / 1000);
	} else {
		buf_add_lit(&line, " further");
	}
	buf_add_lit(&line, ". You are told if it fails in the end.");
	add_paragraph(out, buf_str(&line));
	buf_done(&line);
}

static void add_ending(struct buf *out, const struct notice *n)
{
	struct buf line = BUF_INIT(600);

	buf_add_lit(&line, "The mail arrived here on ");
	date_format(&line, n->arrived_ms / 1000);
	buf_printf(&line, " and had the number %.*s.", STR_ARG(n->id));
	if (n->to_postmaster && n->sender.n)
		buf_printf(&line, " Its sender was <%.*s>.", STR_ARG(n->sender));
	buf_add_lit(&line, " Below stands a report for programs");
	if (n->full)
		buf_add_lit(&line, ", and then your mail.");
	else if (n->headers.n)
		buf_add_lit(&line, ", and then the header of the mail.");
	else
		buf_add_lit(&line, ".");
	add_folded(out, STR_NONE, buf_str(&line));
	buf_done(&line);
}

void notice_text(struct buf *out, const struct notice *n)
{
	unsigned told = n->recipients_n < RECIPIENTS_TOLD ? n->recipients_n : RECIPIENTS_TOLD;

	add_greeting(out, n);
	add_what_happened(out, n);
	add_recipients(out, n, told);
	if (told < n->recipients_n)
		buf_printf(out, "... and %u more, see the report below.\r\n\r\n",
			   n->recipients_n - told);
	if (n->kind == NOTICE_DELAYED)
		add_until(out, n);
	add_ending(out, n);
}
