/* smtp/reply and smtp/ehlo: replies written, read line by line, described; offers. */
#include "smtp/command.h"
#include "smtp/ehlo.h"
#include "smtp/reply.h"
#include "unit/unit.h"

#include <errno.h>
#include <limits.h>

static void test_format(void **state)
{
	static const struct {
		struct reply reply;
		const char *wire;
	} cases[] = {
		{ { 250, { 2, 0, 0 }, { "OK", 2 } }, "250 2.0.0 OK\r\n" },
		{ { 250, { 0, 0, 0 }, { "a\nb\nc", 5 } }, "250-a\r\n250-b\r\n250 c\r\n" },
		{ { 550, { 5, 1, 1 }, { "a\nb", 3 } }, "550-5.1.1 a\r\n550 5.1.1 b\r\n" },
		{ { 354, { 0, 0, 0 }, { NULL, 0 } }, "354\r\n" },
		{ { 250, { 2, 1, 5 }, { NULL, 0 } }, "250 2.1.5\r\n" },
		{ { 550, { 0, 0, 0 }, { "a\r\t\0b\177", 6 } }, "550 a???b?\r\n" },
		{ { 250, { 0, 0, 0 }, { "\n", 1 } }, "250-\r\n250\r\n" },
	};
	struct buf out = BUF_INIT(4000);
	char text[600];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&out);
		reply_format(&out, &cases[i].reply);
		assert_str_equal(buf_str(&out), str_of(cases[i].wire));
	}
	memset(text, 'x', sizeof(text));
	buf_clear(&out);
	reply_format(&out, &(struct reply){ 550, { 5, 1, 1 }, str_make(text, sizeof(text)) });
	assert_int_equal(out.n, REPLY_LINE_MAX);
	assert_memory_equal(out.p + out.n - 3, "x\r\n", 3);
	buf_done(&out);
	/* Too many lines for the buffer: a whole reply all the same. */
	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = '\n';
	buf_init(&out, 600);
	reply_format(&out, &(struct reply){ 550, { 5, 1, 1 }, str_make(text, sizeof(text)) });
	assert_str_equal(buf_str(&out), STR("550 5.1.1 x\r\n"));
	assert_false(buf_ok(&out));
	buf_done(&out);
	buf_init(&out, 100);
	reply_format(&out, &(struct reply){ 550, { 5, 1, 1 }, str_make(text, sizeof(text)) });
	assert_int_equal(out.n, 0);
	buf_done(&out);
}

#define NONE INT_MAX

struct read_case {
	const char *lines[4];
	int last;		/* what the last line returns; the others 0 */
	struct reply reply;
};

static void test_reader(void **state)
{
	static const struct read_case cases[] = {
		{ { "250 OK" }, 1, { 250, { 0, 0, 0 }, { "OK", 2 } } },
		{ { "250 2.1.0 OK" }, 1, { 250, { 2, 1, 0 }, { "OK", 2 } } },
		{ { "550-5.1.1 a", "550 5.1.1 b" }, 1, { 550, { 5, 1, 1 }, { "a\nb", 3 } } },
		{ { "550-a", "550 5.7.1 b" }, 1, { 550, { 5, 7, 1 }, { "a\nb", 3 } } },
		{ { "550-5.1.1 a", "550 5.7.1 b" }, 1, { 550, { 5, 1, 1 }, { "a\n5.7.1 b", 9 } } },
		{ { "550 2.1.1 a" }, 1, { 550, { 0, 0, 0 }, { "2.1.1 a", 7 } } },
		{ { "550 5.1.1" }, 1, { 550, { 5, 1, 1 }, { "", 0 } } },
		{ { "550 5.1.1a" }, 1, { 550, { 0, 0, 0 }, { "5.1.1a", 6 } } },
		{ { "550 5.1.1000 a" }, 1, { 550, { 0, 0, 0 }, { "5.1.1000 a", 10 } } },
		{ { "250" }, 1, { 250, { 0, 0, 0 }, { "", 0 } } },
		{ { "250-", "250" }, 1, { 250, { 0, 0, 0 }, { "\n", 1 } } },
		{ { "250OK" }, 1, { 250, { 0, 0, 0 }, { "OK", 2 } } },
		{ { "220 a\tb\001c\177" }, 1, { 220, { 0, 0, 0 }, { "a b?c?", 6 } } },
		{ { "220 a\xc3\xa4\xff\xc3" }, 1, { 220, { 0, 0, 0 }, { "a\xc3\xa4??", 5 } } },
		{ { "354 a", "250 b" }, NONE, { 0 } },
		{ { "250-a", "251 b" }, -EPROTO, { 0 } },
		{ { "25" }, -EPROTO, { 0 } },
		{ { "" }, -EPROTO, { 0 } },
		{ { "2501 x" }, -EPROTO, { 0 } },
		{ { "150 x" }, -EPROTO, { 0 } },
		{ { "650 x" }, -EPROTO, { 0 } },
		{ { "HTTP/1.1 400" }, -EPROTO, { 0 } },
		{ { " 250 x" }, -EPROTO, { 0 } },
	};
	struct reply_reader r;

	(void)state;
	reply_reader_init(&r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct read_case *c = &cases[i];
		int result = 0;

		reply_reader_reset(&r);
		for (int j = 0; j < 4 && c->lines[j] && !result; j++)
			result = reply_reader_line(&r, str_of(c->lines[j]));
		if (c->last == NONE)
			continue;
		if (result != c->last) {
			print_error("\"%s\": %d, want %d\n", c->lines[0], result, c->last);
			fail();
		}
		if (result != 1)
			continue;
		assert_int_equal(r.reply.code, c->reply.code);
		assert_str_equal(r.reply.text, c->reply.text);
		assert_int_equal(r.reply.enhanced.class, c->reply.enhanced.class);
		assert_int_equal(r.reply.enhanced.subject, c->reply.enhanced.subject);
		assert_int_equal(r.reply.enhanced.detail, c->reply.enhanced.detail);
	}
	reply_reader_done(&r);
}

/* A flood is cut at whole characters; too many lines are an error. */
static void test_reader_limits(void **state)
{
	struct reply_reader r;
	char line[1005] = "250-";
	int result = 0;

	(void)state;
	for (int i = 4; i + 1 < 1005; i += 2)
		memcpy(line + i, "\xc3\xa4", 2);
	reply_reader_init(&r);
	for (int i = 0; i < REPLY_LINES_MAX - 1; i++)
		assert_int_equal(reply_reader_line(&r, str_make(line, 1004)), 0);
	assert_int_equal(reply_reader_line(&r, STR("250 end")), 1);
	assert_true(r.reply.text.n <= REPLY_TEXT_MAX && r.reply.text.n > REPLY_TEXT_MAX - 4);
	assert_true((unsigned char)r.reply.text.p[r.reply.text.n - 1] == 0xa4 ||
		    r.reply.text.p[r.reply.text.n - 1] == '\n');
	reply_reader_reset(&r);
	for (int i = 0; i <= REPLY_LINES_MAX && !result; i++)
		result = reply_reader_line(&r, STR("250-x"));
	assert_int_equal(result, -EMSGSIZE);
	reply_reader_done(&r);
}

static void test_describe(void **state)
{
	struct buf out = BUF_INIT(100);
	const struct reply none = { .text = STR("connection reset") };

	(void)state;
	reply_describe(&out, &REPLY(550, 5, 1, 1, "no such\nuser\001"));
	assert_str_equal(buf_str(&out), STR("550 5.1.1 no such user?"));
	buf_clear(&out);
	reply_describe(&out, &REPLY(250, 0, 0, 0, ""));
	assert_str_equal(buf_str(&out), STR("250"));
	buf_clear(&out);
	reply_describe(&out, &none);
	assert_str_equal(buf_str(&out), STR("connection reset"));
	buf_done(&out);
	buf_init(&out, 13);
	reply_describe(&out, &REPLY(550, 5, 1, 1, "no such user"));
	assert_str_equal(buf_str(&out), STR("550 5.1.1 no "));
	buf_done(&out);
}

static void test_ehlo(void **state)
{
	const struct reply full = { 250,
				    { 0 },
				    STR("mx.example greets you\nPIPELINING\nsize 1000\n8BITMIME\n"
					"BINARYMIME\nCHUNKING\nSMTPUTF8\nDSN\nENHANCEDSTATUSCODES\n"
					"STARTTLS\nREQUIRETLS\nETRN\n"
					"AUTH PLAIN scram-sha-256\nAUTH=LOGIN\nXCLIENT "
					"NAME\nLIMITS RCPTMAX=50 MAILMAX=7 X=1\nX-OTHER") };
	const struct reply odd = {
		250, { 0 }, STR("\001\x80 x\nSIZE many\nBINARYMIME\nPIPELININGS\nLIMITS MAILMAX=-1")
	};
	const struct reply empty = { 250, { 0 }, STR_NONE };
	struct offers o;

	(void)state;
	ehlo_parse(&full, &o);
	assert_string_equal(o.name, "mx.example");
	assert_true(o.pipelining && o.size && o.eightbit && o.binarymime && o.chunking &&
		    o.smtputf8);
	assert_true(o.dsn && o.enhanced && o.starttls && o.requiretls && o.etrn && o.xclient);
	assert_true(o.auth_plain && o.auth_login && o.auth_scram_sha_256 && !o.auth_cram_md5);
	assert_int_equal(o.size_max, 1000);
	assert_int_equal(o.mail_max, 7);
	assert_int_equal(o.rcpt_max, 50);
	assert_int_equal(o.rcpt_domain_max, 0);
	assert_int_equal(offers_bits(&o), OFFER_SIZE | OFFER_8BITMIME | OFFER_BINARYMIME |
						  OFFER_SMTPUTF8 | OFFER_DSN | OFFER_AUTH |
						  OFFER_REQUIRETLS);
	ehlo_parse(&odd, &o);
	assert_string_equal(o.name, "??");
	assert_true(o.size && !o.size_max && !o.binarymime && !o.pipelining && !o.mail_max);
	ehlo_parse(&empty, &o);
	assert_int_equal(offers_bits(&o), 0);
	assert_string_equal(o.name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_reader_limits),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_ehlo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
