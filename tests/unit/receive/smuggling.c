/*
 * receive/: ends of content that are none. Each false end is followed by commands; nothing of them
 * may be executed, whatever pieces the octets come in (D7), and the content is refused at its true
 * end.
 */
#include "unit/receive/rig.h"

#define HIDDEN "MAIL FROM:<evil@x.example>\r\nRCPT TO:<u@ours.example>\r\nDATA\r\nsmuggled\r\n.\r\n"

static const char *const false_ends[] = {
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n",
	"\r\r\n.\n", "\r\n.\r\r\n", "\n\n.\n\n", "\r\n.", "\r\n.\n.\r", "\r\r.\r\r", "\n\r.\n\r",
};

/* Those with a NUL are cut at it by C; this one says how long it is. */
static struct str false_end(size_t i)
{
	struct str s = str_of(false_ends[i]);

	return str_eq(s, STR("\r\n.")) ? STR("\r\n.\0\r\n") : s;
}

static void begin(struct client_end *c, const struct rig *g, const char *name)
{
	client_open(c, g);
	client_expect(c, "220", name);
	client_says(c, "EHLO x\r\n", "250");
	client_says(c, ENVELOPE, "250,250");
}

/* The octets in pieces of that size; 0: in one. */
static void send_pieces(struct client_end *c, struct str s, size_t piece)
{
	for (size_t at = 0; at < s.n; at += piece ? piece : s.n)
		client_send(c, str_sub(s, at, piece ? at + piece : s.n));
}

static void test_false_ends(void **state)
{
	static const size_t pieces[] = { 0, 1, 3 };
	struct buf content = BUF_INIT(4096);
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG_LISTEN CONFIG_RULES, 1);
	for (size_t i = 0; i < sizeof(false_ends) / sizeof(false_ends[0]); i++) {
		/* A NUL is content like any other; such content is fine but for that. */
		bool clean = false_end(i).n == 6 && false_end(i).p[3] == '\0';

		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
			struct client_end c;

			begin(&c, &g, "false end");
			client_says(&c, "DATA\r\n", "354");
			buf_clear(&content);
			buf_add_lit(&content, "Subject: x\r\n\r\nbefore");
			buf_add_str(&content, false_end(i));
			buf_add_lit(&content, HIDDEN);
			/* HIDDEN's own end is the true one. */
			send_pieces(&c, buf_str(&content), pieces[p]);
			client_expect(&c, clean ? "250 2.0.0" : "554 5.6.0", "after a false end");
			client_says(&c, "NOOP\r\nQUIT\r\n", "250,221,end");
			client_close(&c);
			assert_int_equal(rig_received_n, clean);
			rig_forget();
		}
	}
	buf_done(&content);
	rig_close(&g);
}

/* A line that is cut by a bare LF is one command, and a wrong one. */
static void test_commands(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG_LISTEN CONFIG_RULES, 1);
	begin(&c, &g, "commands");
	client_says(&c, "RSET\nMAIL FROM:<e@x.example>\r\n", "500 5.5.2");
	client_says(&c, "NOOP\rRSET\r\n", "500 5.5.2");
	client_says(&c, "DATA\r\n", "354");
	client_says(&c, "x\r\n.\r\n", "250");
	assert_int_equal(rig_received_n, 1);
	assert_str_equal(message_sender(rig_last()), STR("a@b.example"));
	client_close(&c);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_false_ends),
		cmocka_unit_test(test_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
