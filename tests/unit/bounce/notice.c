/* bounce/notice: the form of a report, whatever the original and the replies hold. */
#include "bounce/notice.h"
#include "unit/bounce/mime.h"

#define NOW_MS 1795309140000	/* Sun, 22 Nov 2026 */
#define HEADERS "Received: from x\r\nMessage-ID:\r\n <abc@example.org>\r\nSubject: hello\r\n\r\n"

static struct notice_recipient failed(void)
{
	return (struct notice_recipient){
		.address = STR("bob@example.net"),
		.orcpt = STR("rfc822;bob+2Balias@example.net"),
		.state = RECIPIENT_FAILED,
		.status = { 5, 1, 1 },
		.reply = REPLY(550, 5, 1, 1, "no such user\nask the postmaster"),
		.host = STR("mx.example.net (192.0.2.1)"),
		.last_attempt_ms = NOW_MS - 1000,
	};
}

static struct notice plain(const struct notice_recipient *recipients, unsigned n)
{
	return (struct notice){
		.kind = NOTICE_FAILED,
		.hostname = STR("relay.example"),
		.sender = STR("ann@example.org"),
		.to = STR("ann@example.org"),
		.envid = STR("order+2B+3D7"),
		.id = STR("7KQ2M0A-3-5"),
		.notice_id = STR("7KQ2M0A-3-6"),
		.boundary = STR("relevo0123456789abcdef"),
		.arrived_ms = NOW_MS - 60000,
		.now_ms = NOW_MS,
		.headers = STR(HEADERS),
		.recipients = recipients,
		.recipients_n = n,
	};
}

static void format(struct buf *out, const struct notice *n, struct report *r)
{
	buf_clear(out);
	assert_true(notice_start(out, n));
	if (n->full)
		buf_add_str(out, n->headers);
	assert_true(notice_end(out, n));
	assert_sound(buf_str(out), !n->eightbit && !n->smtputf8);
	report_parse(r, buf_str(out));
}

static void test_failed(void **state)
{
	struct notice_recipient recipient = failed();
	struct notice n = plain(&recipient, 1);
	struct buf out = BUF_INIT(65536);
	struct report r;
	struct str about;

	(void)state;
	format(&out, &n, &r);
	assert_field(r.top, "From", "Mail Delivery System <postmaster@relay.example>");
	assert_field(r.top, "To", "<ann@example.org>");
	assert_field(r.top, "Auto-Submitted", "auto-replied");
	assert_field(r.top, "MIME-Version", "1.0");
	assert_field(r.top, "Message-ID", "<7KQ2M0A-3-6@relay.example>");
	assert_field(r.top, "References", "<abc@example.org>");
	assert_field(r.top, "Date", "Sun, 22 Nov 2026 00:59:00 +0000");
	assert_field(r.top, "Content-Transfer-Encoding", "7bit");
	assert_int_equal(r.parts_n, 3);

	assert_true(has_text(r.bodies[0], "<bob@example.net>"));
	assert_true(has_text(r.bodies[0], "550 5.1.1 no such user ask the postmaster"));
	assert_true(has_text(r.bodies[0], "This address does not exist there."));

	assert_field(r.headers[1], "Content-Type", "message/delivery-status");
	about = block(r.bodies[1], 0);
	assert_field(about, "Reporting-MTA", "dns; relay.example");
	assert_field(about, "Original-Envelope-Id", "order+=7");
	assert_field(about, "Arrival-Date", "Sun, 22 Nov 2026 00:58:00 +0000");
	about = block(r.bodies[1], 1);
	assert_field(about, "Original-Recipient", "rfc822; bob+alias@example.net");
	assert_field(about, "Final-Recipient", "rfc822; bob@example.net");
	assert_field(about, "Action", "failed");
	assert_field(about, "Status", "5.1.1");
	assert_field(about, "Remote-MTA", "dns; mx.example.net (192.0.2.1)");
	assert_field(about, "Diagnostic-Code", "smtp; 550 5.1.1 no such user ask the postmaster");
	assert_field(about, "Last-Attempt-Date", "Sun, 22 Nov 2026 00:58:59 +0000");
	assert_field(about, "Will-Retry-Until", "");

	assert_field(r.headers[2], "Content-Type", "text/rfc822-headers");
	assert_true(has_text(r.bodies[2], "Subject: hello\r\n"));
	buf_done(&out);
}

static void test_delayed_and_success(void **state)
{
	static const struct {
		enum notice_kind kind;
		enum recipient_state state;
		const char *action, *words, *retry;
	} rows[] = {
		{NOTICE_DELAYED, RECIPIENT_QUEUED, "delayed", "please do not send",
		 "Sun, 22 Nov 2026 01:59:00 +0000"},
		{NOTICE_SUCCESS, RECIPIENT_RELAYED, "relayed", "The next mail server has it now",
		 ""},
		{NOTICE_SUCCESS, RECIPIENT_DELIVERED, "delivered",
		 "It is in the recipient's mailbox", ""},
	};
	struct buf out = BUF_INIT(65536);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct notice_recipient recipient = failed();
		struct notice n = plain(&recipient, 1);
		struct report r;

		recipient.state = rows[i].state;
		recipient.will_retry_until_ms = NOW_MS + 3600000;
		n.kind = rows[i].kind;
		format(&out, &n, &r);
		assert_field(block(r.bodies[1], 1), "Action", rows[i].action);
		assert_field(block(r.bodies[1], 1), "Will-Retry-Until", rows[i].retry);
		assert_true(has_text(r.bodies[0], rows[i].words));
	}
	buf_done(&out);
}

/* Nothing that others wrote breaks the form. */
static void test_hostile(void **state)
{
	static const char headers[] = "Subject: a\rb\nc\0d\r\nX: ";
	struct notice_recipient recipient = failed();
	struct notice n = plain(&recipient, 1);
	struct buf out = BUF_INIT(1 << 20), original = BUF_INIT(65536);
	struct report r;
	char *words;

	(void)state;
	buf_add(&original, headers, sizeof(headers) - 1);
	for (int i = 0; i < 3000; i++)
		buf_add_byte(&original, 'x');
	buf_add_lit(&original, "\r\nMessage-ID: <no blanks allowed@x>\r\n\r\nbody\r\n");
	words = buf_reserve(&original, 5000);
	memset(words, 'w', 4000);
	recipient.reply.text = str_make(words, 4000);
	recipient.host = STR("192.0.2.9");
	n.headers = str_sub(buf_str(&original), 0, original.n);
	format(&out, &n, &r);
	assert_field(r.top, "References", "");
	assert_true(has_text(r.bodies[2], "Subject: a?b?c?d\r\n"));
	assert_false(has_text(r.bodies[2], "body"));
	assert_field(block(r.bodies[1], 1), "Remote-MTA", "dns; [192.0.2.9]");
	buf_done(&out);
	buf_done(&original);
}

static void test_not_ascii(void **state)
{
	struct notice_recipient recipient = failed();
	struct notice n = plain(&recipient, 1);
	struct buf out = BUF_INIT(65536);
	struct report r;

	(void)state;
	recipient.reply = REPLY(550, 5, 1, 1, "Empf\xc3\xa4nger unbekannt = weg");
	/* Without SMTPUTF8 all stays ASCII. */
	format(&out, &n, &r);
	assert_field(r.headers[0], "Content-Transfer-Encoding", "quoted-printable");
	assert_true(has_text(r.bodies[0], "Empf=C3=A4nger unbekannt =3D weg"));
	assert_field(block(r.bodies[1], 1), "Diagnostic-Code",
		     "smtp; 550 5.1.1 Empf?nger unbekannt = weg");
	/* With it the report is UTF-8 (RFC 6533). */
	recipient.address = STR("b\xc3\xb6"
				"b@example.net");
	recipient.orcpt = STR("utf-8;b\xc3\xb6"
			      "b@example.net");
	n.smtputf8 = true;
	format(&out, &n, &r);
	assert_field(r.top, "Content-Transfer-Encoding", "8bit");
	assert_field(r.headers[1], "Content-Type", "message/global-delivery-status; charset=utf-8");
	assert_field(r.headers[2], "Content-Type", "message/global-headers");
	assert_field(block(r.bodies[1], 1), "Final-Recipient", "utf-8; b\xc3\xb6"
							       "b@example.net");
	assert_field(block(r.bodies[1], 1), "Original-Recipient", "utf-8; b\xc3\xb6"
								  "b@example.net");
	/* An 8-bit address in an ASCII report is written by code points. */
	buf_clear(&out);
	notice_ascii(&out, recipient.address);
	assert_str_equal(buf_str(&out), STR("b\\x{F6}b@example.net"));
	buf_done(&out);
}

static void test_full(void **state)
{
	struct notice_recipient recipient = failed();
	struct notice n = plain(&recipient, 1);
	struct buf out = BUF_INIT(65536);
	struct report r;

	(void)state;
	n.full = n.eightbit = true;
	n.headers = STR("Subject: x\r\n\r\n8 bit: \xe4 and no line end");
	format(&out, &n, &r);
	assert_field(r.headers[2], "Content-Type", "message/rfc822");
	assert_field(r.headers[2], "Content-Transfer-Encoding", "8bit");
	assert_field(r.top, "Content-Transfer-Encoding", "8bit");
	assert_str_equal(r.bodies[2], n.headers);
	buf_done(&out);
}

/* Many recipients: people read about some, programs about all. */
static void test_many(void **state)
{
	static struct notice_recipient recipients[500];
	struct notice n = plain(recipients, 500);
	struct buf out = BUF_INIT(4 << 20);
	struct report r;

	(void)state;
	for (unsigned i = 0; i < 500; i++)
		recipients[i] = failed();
	recipients[499].address = STR("last@example.net");
	format(&out, &n, &r);
	assert_true(has_text(r.bodies[0], "... and 450 more"));
	assert_field(block(r.bodies[1], 500), "Final-Recipient", "rfc822; last@example.net");
	buf_done(&out);
}

static void test_remote(void **state)
{
	static const struct {
		const char *host, *expected;
	} rows[] = {
		{ "mx.example", "dns; mx.example" },
		{ "mx.example:25 (192.0.2.1)", "dns; mx.example (192.0.2.1)" },
		{ "192.0.2.1:25 (192.0.2.1)", "dns; [192.0.2.1] (192.0.2.1)" },
		{ "[2001:db8::1]:25", "dns; [IPv6:2001:db8::1]" },
		{ "2001:db8::1", "dns; [IPv6:2001:db8::1]" },
		{ "unix:/run/lmtp", "x-unix; unix:/run/lmtp" },
		{ "[oops", "dns; oops" },
	};
	struct buf out = BUF_INIT(65536);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct notice_recipient recipient = failed();
		struct notice n = plain(&recipient, 1);
		struct report r;

		recipient.host = str_of(rows[i].host);
		format(&out, &n, &r);
		assert_field(block(r.bodies[1], 1), "Remote-MTA", rows[i].expected);
	}
	buf_done(&out);
}

static void test_too_small(void **state)
{
	struct notice_recipient recipient = failed();
	struct notice n = plain(&recipient, 1);
	struct buf out = BUF_INIT(1000);

	(void)state;
	assert_false(notice_start(&out, &n));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_delayed_and_success),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_not_ascii),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_remote),
		cmocka_unit_test(test_too_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
