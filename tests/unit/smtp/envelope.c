/* smtp/envelope: MAIL and RCPT with their parameters, read, refused and written. */
#include "smtp/command.h"
#include "unit/unit.h"

#define ALL                                                                                        \
	(OFFER_SIZE | OFFER_8BITMIME | OFFER_BINARYMIME | OFFER_SMTPUTF8 | OFFER_DSN |             \
	 OFFER_AUTH | OFFER_REQUIRETLS)
#define A100                                                                                       \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaa"

struct bad_case {
	const char *args;
	unsigned offered;
	unsigned code, subject, detail;	/* 0: fine */
};

static void check_reply(const struct bad_case *c, bool fine, const struct reply *reply)
{
	if (fine ? !c->code : reply->code == c->code && reply->enhanced.class == c->code / 100 &&
			      reply->enhanced.subject == c->subject &&
			      reply->enhanced.detail == c->detail && reply->text.n)
		return;
	print_error("\"%s\": %u %u.%u.%u %.*s, want %u X.%u.%u\n", c->args, fine ? 0 : reply->code,
		    reply->enhanced.class, reply->enhanced.subject, reply->enhanced.detail,
		    STR_ARG(reply->text), c->code, c->subject, c->detail);
	fail();
}

static void test_mail_replies(void **state)
{
	static const struct bad_case cases[] = {
		{ "FROM:<a@b>", 0, 0, 0, 0 },
		{ "from: \t <a@b> ", 0, 0, 0, 0 },
		{ " FROM:<>", 0, 0, 0, 0 },
		{ "FROM:<@x:a@b>", 0, 0, 0, 0 },
		{ "FROM:<a@b> size=1 body=8bitmime Ret=hdrs EnvId=x", ALL, 0, 0, 0 },
		{ "FROM:<a@b> SIZE=99999999999999999999", ALL, 0, 0, 0 },
		{ "FROM:<a@b> AUTH=<>", ALL, 0, 0, 0 },
		{ "FROM:<a@b> AUTH=a+40b", ALL, 0, 0, 0 },
		{ "FROM:<\xc3\xbc@b> SMTPUTF8", ALL, 0, 0, 0 },
		{ "FROM:<a@b> ENVID=" A100, ALL, 0, 0, 0 },
		{ "", ALL, 501, 5, 2 },
		{ "TO:<a@b>", ALL, 501, 5, 2 },
		{ "FROM <a@b>", ALL, 501, 5, 2 },
		{ "FROM:", ALL, 501, 1, 7 },
		{ "FROM:a@b", ALL, 501, 1, 7 },
		{ "FROM:<a@>", ALL, 501, 1, 7 },
		{ "FROM:<a>", ALL, 501, 1, 7 },
		{ "FROM:<postmaster>", ALL, 501, 1, 7 },
		{ "FROM:<" A100 A100 "@b>", ALL, 0, 0, 0 },
		{ "FROM:<" A100 A100 A100 "@b>", ALL, 501, 1, 7 },
		{ "FROM:<\xff@b> SMTPUTF8", ALL, 501, 1, 7 },
		{ "FROM:<\xc3\xbc@b>", ALL, 553, 6, 7 },
		{ "FROM:<\xc3\xbc@b>", 0, 553, 6, 7 },
		{ "FROM:<a@b>SIZE=1", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SIZE=1", ALL & ~OFFER_SIZE, 555, 5, 4 },
		{ "FROM:<a@b> BODY=8BITMIME", 0, 555, 5, 4 },
		{ "FROM:<a@b> BODY=BINARYMIME", OFFER_8BITMIME, 555, 5, 4 },
		{ "FROM:<a@b> SMTPUTF8", 0, 555, 5, 4 },
		{ "FROM:<a@b> RET=FULL", 0, 555, 5, 4 },
		{ "FROM:<a@b> AUTH=<>", 0, 555, 5, 4 },
		{ "FROM:<a@b> REQUIRETLS", 0, 555, 5, 4 },
		{ "FROM:<a@b> NOTIFY=NEVER", ALL, 555, 5, 4 },
		{ "FROM:<a@b> X-NEW=1", ALL, 555, 5, 4 },
		{ "FROM:<a@b> SIZE=1 size=2", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SMTPUTF8 SMTPUTF8", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SIZE", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SIZE=", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SIZE=-1", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SIZE=100000000000000000000", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SMTPUTF8=1", ALL, 501, 5, 4 },
		{ "FROM:<a@b> SMTPUTF8=", ALL, 501, 5, 4 },
		{ "FROM:<a@b> BODY=9BIT", ALL, 501, 5, 4 },
		{ "FROM:<a@b> RET=SOME", ALL, 501, 5, 4 },
		{ "FROM:<a@b> ENVID=+", ALL, 501, 5, 4 },
		{ "FROM:<a@b> ENVID=+0D+0A", ALL, 501, 5, 4 },
		{ "FROM:<a@b> ENVID=" A100 "a", ALL, 501, 5, 4 },
		{ "FROM:<a@b> AUTH=a=b", ALL, 501, 5, 4 },
		{ "FROM:<a@b> =", ALL, 501, 5, 4 },
		{ "FROM:<a@b> -A=1", ALL, 501, 5, 4 },
		{ "FROM:<a@b> <c@d>", ALL, 501, 5, 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mail_command m;
		struct reply reply = { 0 };
		bool fine = mail_parse(str_of(cases[i].args), cases[i].offered, &m, &reply);

		check_reply(&cases[i], fine, &reply);
	}
}

static void test_rcpt_replies(void **state)
{
	static const struct bad_case cases[] = {
		{ "TO:<a@b>", 0, 0, 0, 0 },
		{ "to: <Postmaster>", 0, 0, 0, 0 },
		{ "TO:<a@b> NOTIFY=NEVER", ALL, 0, 0, 0 },
		{ "TO:<a@b> notify=success,Delay,FAILURE", ALL, 0, 0, 0 },
		{ "TO:<a@b> ORCPT=rfc822;a+2Bb@c", ALL, 0, 0, 0 },
		{ "TO:<a@b> ORCPT=rfc822;" A100 A100 A100 A100 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  ALL, 0, 0, 0 },
		{ "FROM:<a@b>", ALL, 501, 5, 2 },
		{ "TO:<>", ALL, 501, 1, 3 },
		{ "TO:a@b", ALL, 501, 1, 3 },
		{ "TO:<root>", ALL, 501, 1, 3 },
		{ "TO:<a@b", ALL, 501, 1, 3 },
		{ "TO:<\xc3\xbc@b>", ALL, 553, 6, 7 },
		{ "TO:<a@b> NOTIFY=NEVER", 0, 555, 5, 4 },
		{ "TO:<a@b> SIZE=1", ALL, 555, 5, 4 },
		{ "TO:<a@b> NOTIFY=NEVER,DELAY", ALL, 501, 5, 4 },
		{ "TO:<a@b> NOTIFY=DELAY,", ALL, 501, 5, 4 },
		{ "TO:<a@b> NOTIFY=,DELAY", ALL, 501, 5, 4 },
		{ "TO:<a@b> NOTIFY=SOMETIMES", ALL, 501, 5, 4 },
		{ "TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY", ALL, 501, 5, 4 },
		{ "TO:<a@b> ORCPT=a@b", ALL, 501, 5, 4 },
		{ "TO:<a@b> ORCPT=;a@b", ALL, 501, 5, 4 },
		{ "TO:<a@b> ORCPT=rfc822;", ALL, 501, 5, 4 },
		{ "TO:<a@b> ORCPT=rfc822;a+0Ab", ALL, 501, 5, 4 },
		{ "TO:<a@b> ORCPT=utf-8;\xc3\xbc@b", ALL, 501, 5, 4 },
		{ "TO:<a@b> ORCPT=rfc822;" A100 A100 A100 A100 A100, ALL, 501, 5, 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rcpt_command r;
		struct reply reply = { 0 };
		bool fine = rcpt_parse(str_of(cases[i].args), cases[i].offered, false, &r, &reply);

		check_reply(&cases[i], fine, &reply);
	}
}

static void test_mail_values(void **state)
{
	struct mail_command m;
	struct reply reply;

	(void)state;
	assert_true(
		mail_parse(STR("FROM:<> SIZE=12345 BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=a+20b "
			       "AUTH=c+40d REQUIRETLS"),
			   ALL, &m, &reply));
	assert_int_equal(m.sender.whole.n, 0);
	assert_true(m.has_size && m.has_body && m.smtputf8 && m.requiretls);
	assert_int_equal(m.size, 12345);
	assert_int_equal(m.body, BODY_BINARYMIME);
	assert_int_equal(m.ret, RET_HDRS);
	assert_str_equal(m.envid, STR("a+20b"));
	assert_str_equal(m.auth, STR("c+40d"));
	assert_true(mail_parse(STR("FROM:<a@b> SIZE=99999999999999999999"), ALL, &m, &reply));
	assert_true(m.size == UINT64_MAX);
	assert_false(m.has_body || m.smtputf8 || m.requiretls || m.ret || m.envid.n || m.auth.n);
}

static void test_rcpt_values(void **state)
{
	struct rcpt_command r;
	struct reply reply;

	(void)state;
	assert_true(rcpt_parse(STR("TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y"), ALL, false,
			       &r, &reply));
	assert_int_equal(r.notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
	assert_str_equal(r.orcpt, STR("rfc822;x@y"));
	assert_true(
		rcpt_parse(STR("TO:<\xc3\xbc@b> ORCPT=utf-8;\xc3\xbc@b"), ALL, true, &r, &reply));
	assert_true(r.recipient.is_utf8);
	assert_str_equal(r.orcpt, STR("utf-8;\xc3\xbc@b"));
}

/* What was read is written; what was not offered is left out. */
static void test_round_trip(void **state)
{
	static const struct {
		const char *line;
		unsigned offered;
		const char *want;
	} mails[] = {
		{ "FROM:<> SIZE=0", ALL, "MAIL FROM:<> SIZE=0\r\n" },
		{ "from:<a@b> body=8BITMIME SIZE=7 RET=FULL ENVID=x AUTH=<> REQUIRETLS SMTPUTF8",
		  ALL,
		  "MAIL FROM:<a@b> SIZE=7 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x AUTH=<> "
		  "REQUIRETLS\r\n" },
		{ "FROM:<a@b> BODY=8BITMIME SIZE=7 RET=FULL ENVID=x AUTH=<> REQUIRETLS SMTPUTF8", 0,
		  "MAIL FROM:<a@b>\r\n" },
		{ "FROM:<\"a \\\"b\"@[IPv6:::1]>", 0, "MAIL FROM:<\"a \\\"b\"@[IPv6:::1]>\r\n" },
		{ "FROM:<\xc3\xbc@b> SMTPUTF8", ALL, "MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\n" },
		{ "FROM:<\xc3\xbc@b> SMTPUTF8", 0, NULL },
	};
	static const struct {
		const char *line;
		unsigned offered;
		const char *want;
	} rcpts[] = {
		{ "TO:<postmaster>", 0, "RCPT TO:<postmaster>\r\n" },
		{ "TO:<a@b> ORCPT=rfc822;x NOTIFY=DELAY,SUCCESS", ALL,
		  "RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x\r\n" },
		{ "TO:<a@b> NOTIFY=NEVER", ALL, "RCPT TO:<a@b> NOTIFY=NEVER\r\n" },
		{ "TO:<a@b> ORCPT=rfc822;x NOTIFY=DELAY", 0, "RCPT TO:<a@b>\r\n" },
		{ "TO:<a@b> ORCPT=utf-8;\xc3\xbc", ALL, "RCPT TO:<a@b> ORCPT=utf-8;\xc3\xbc\r\n" },
		{ "TO:<a@b> ORCPT=utf-8;\xc3\xbc", OFFER_DSN, "RCPT TO:<a@b>\r\n" },
		{ "TO:<\xc3\xbc@b>", 0, NULL },
	};
	struct buf out = BUF_INIT(1000);
	struct reply reply;

	(void)state;
	for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		struct mail_command m;

		buf_clear(&out);
		assert_true(mail_parse(str_of(mails[i].line), ALL, &m, &reply));
		assert_int_equal(mail_format(&out, &m, mails[i].offered), mails[i].want != NULL);
		assert_str_equal(buf_str(&out), str_of(mails[i].want));
	}
	for (size_t i = 0; i < sizeof(rcpts) / sizeof(rcpts[0]); i++) {
		struct rcpt_command r;

		buf_clear(&out);
		assert_true(rcpt_parse(str_of(rcpts[i].line), ALL, true, &r, &reply));
		assert_int_equal(rcpt_format(&out, &r, rcpts[i].offered), rcpts[i].want != NULL);
		assert_str_equal(buf_str(&out), str_of(rcpts[i].want));
	}
	buf_done(&out);
}

/* The writer trusts no one: nothing that would end the line, close the path or add a parameter. */
static void test_writer_refuses(void **state)
{
	static const char *const addresses[] = {
		"a@b\r\nDATA", "a\n@b",	  "a@b> SIZE=1", "a b@c", "a",		 "a@",
		"<a@b>",       "a\001@b", "\xff@b",	 " ",	  "a@b\xc3\xbc",
	};
	static const char *const values[] = { "a b", "a\r\n", "+0D", "+", "\xe4", "a=b" };
	struct buf out = BUF_INIT(1000);

	(void)state;
	buf_add_lit(&out, "x");
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct mail_command m = { .sender = address_split(str_of(addresses[i])) };
		struct rcpt_command r = { .recipient = address_split(str_of(addresses[i])) };

		if (mail_format(&out, &m, ALL & ~OFFER_SMTPUTF8) ||
		    rcpt_format(&out, &r, ALL & ~OFFER_SMTPUTF8)) {
			print_error("\"%s\" was written\n", addresses[i]);
			fail();
		}
	}
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct mail_command envid = { .envid = str_of(values[i]) },
				    auth = { .auth = str_of(values[i]) };
		struct rcpt_command r = { .recipient = address_split(STR("a@b")),
					  .orcpt = str_of(values[i]) };

		if (mail_format(&out, &envid, ALL) || mail_format(&out, &auth, ALL) ||
		    rcpt_format(&out, &r, ALL)) {
			print_error("\"%s\" was written\n", values[i]);
			fail();
		}
	}
	assert_false(rcpt_format(&out, &(struct rcpt_command){ 0 }, ALL));
	assert_false(rcpt_format(&out,
				 &(struct rcpt_command){ .recipient = address_split(STR("a@b")),
							 .notify = NOTIFY_NEVER | NOTIFY_DELAY },
				 ALL));
	assert_str_equal(buf_str(&out), STR("x"));
	out.max = 20;	/* too little room: nothing, not half a line */
	assert_false(mail_format(
		&out, &(struct mail_command){ .sender = address_split(STR("abcdef@b")) }, 0));
	assert_str_equal(buf_str(&out), STR("x"));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail_replies),
		cmocka_unit_test(test_rcpt_replies),
		cmocka_unit_test(test_mail_values),
		cmocka_unit_test(test_rcpt_values),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_writer_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
