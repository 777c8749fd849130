/* receive/: sizes, line lengths, hops, time-outs, connections, a full disk. */
#include "unit/receive/rig.h"

#include <limits.h>

#define KIB 1024
#define CONFIG \
	"listen 127.0.0.1:2525 { timeout 1s; data_timeout 1s; connections_max 3 }\n" CONFIG_RULES \
	"message {\n\tsize_max 300K\n\thops_max 10\n\trecipients_max 100\n}\n"
#define LIMIT (300 * KIB)

static void begin(struct client_end *c, const struct rig *g)
{
	client_open(c, g);
	client_expect(c, "220", "greeting");
	client_says(c, "EHLO x\r\n", "250");
}

static void transaction(struct client_end *c)
{
	client_says(c, ENVELOPE "DATA\r\n", "250,250,354");
}

/* n octets of content in lines, without the final dot. */
static void send_content(struct client_end *c, size_t n)
{
	char *text = mem_alloc(n);

	memset(text, 'x', n);
	for (size_t i = 0; i + 80 <= n; i += 80)
		memcpy(text + i + 78, "\r\n", 2);
	if (n >= 2)
		memcpy(text + n - 2, "\r\n", 2);
	if (n % 80 == 1)	/* the line before ended where this one's CR stands */
		text[n - 3] = 'x';
	client_send(c, str_make(text, n));
	mem_free(text);
}

static void test_size(void **state)
{
	static const struct {
		size_t n;
		const char *expect;
	} rows[] = {
		{ 255 * KIB, "250" }, { 256 * KIB, "250" }, { 256 * KIB + 2, "250" },
		{ LIMIT - 2, "250" }, { LIMIT, "250" },
		{ LIMIT + 2, "552 5.3.4" }, { 2 * LIMIT, "552 5.3.4" },
	};
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		transaction(&c);
		send_content(&c, rows[i].n);
		client_send(&c, STR(".\r\n"));
		client_expect(&c, rows[i].expect, "size");
		if (rows[i].n <= LIMIT)
			assert_int_equal(content_body_size(rig_last()->content), rows[i].n);
	}
	client_says(&c, "MAIL FROM:<a@b.example> SIZE=307201\r\n", "552 5.3.4");
	client_says(&c, "MAIL FROM:<a@b.example> SIZE=99999999999999999999\r\n", "552 5.3.4");
	client_says(&c, "MAIL FROM:<a@b.example> SIZE=307200\r\n", "250");
	client_says(&c, "QUIT\r\n", "221,end");
	client_close(&c);
	rig_close(&g);
}

/* Beyond all bounds: the session ends, in constant memory. */
static void test_flood(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	transaction(&c);
	send_content(&c, 2 * LIMIT + 1024 * KIB + 64 * KIB);
	client_expect(&c, "421 4.3.4,end", "flood");
	client_close(&c);
	assert_int_equal(rig_received_n, 0);
	rig_close(&g);
}

static void say_line(struct client_end *c, const char *start, size_t length, const char *end,
		     const char *expect)
{
	char *line = mem_alloc(length);
	size_t n = strlen(start), m = strlen(end);

	memset(line, 'x', length);
	memcpy(line, start, n);
	memcpy(line + length - m, end, m);
	client_send(c, str_make(line, length));
	client_expect(c, expect, start);
	mem_free(line);
}

static void test_lines(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	say_line(&c, "NOOP ", 512, "\r\n", "250");
	say_line(&c, "NOOP ", 513, "\r\n", "500 5.5.2");
	say_line(&c, "NOOP ", 2048, "\r\n", "500 5.5.2");
	say_line(&c, "NOOP ", 2049, "\r\n", "500 5.5.2");
	say_line(&c, "NOOP ", 100000, "\r\n", "500 5.5.2");
	say_line(&c, "MAIL FROM:<a@b.example> ENVID=", 2048, "\r\n", "501 5.5.4");
	say_line(&c, "MAIL FROM:<a@b.example> ENVID=", 2049, "\r\n", "500 5.5.2");
	say_line(&c, "BDAT 3", 600, " \r\nabc", "501 5.5.4,end");
	client_close(&c);
	begin(&c, &g);
	say_line(&c, "MAIL FROM:<", 300, "@b.example>\r\n", "501 5.1.7");
	client_says(&c, ENVELOPE, "250,250");
	say_line(&c, "NOOP ", 5000, "\r\n", "500 5.5.2");	/* and nothing is forgotten */
	client_says(&c, "DATA\r\n", "354");
	say_line(&c, "a line of content ", 200000, "\r\n.\r\n", "250");
	client_close(&c);
	rig_close(&g);
}

#define HOPS_8 "Received: 1\r\nReceived: 2\r\nreceived: 3\r\nReceived: 4\r\nReceived: 5\r\n" \
	       "Received: 6\r\nReceived: 7\r\nReceived: 8\r\n"

static void test_hops(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	transaction(&c);
	client_says(&c, HOPS_8 "X: y\r\nReceived: 9\r\nReceived: 10\r\n\r\nReceived: body\r\n.\r\n",
		    "250");
	transaction(&c);
	client_says(&c, HOPS_8 "Received: 9\r\nX: y\r\nRECEIVED : 10\r\nReceived: 11\r\n\r\n.\r\n",
		    "554 5.4.6");
	client_says(&c, "NOOP\r\n", "250");
	client_close(&c);
	rig_close(&g);
}

/* RFC 5321 4.5.3.1.10: the client sends the others in another transaction. All in one group. */
static void test_recipients(void **state)
{
	struct buf lines = BUF_INIT(65536), replies = BUF_INIT(65536);
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "250");
	for (int i = 0; i < 130; i++) {
		buf_printf(&lines, "RCPT TO:<user%d@ours.example>\r\n", i);
		buf_printf(&replies, "%s,", i < 100 ? "250 2.1.5" : "452 4.5.3");
	}
	buf_add_lit(&lines, "DATA\r\n");
	buf_add_lit(&replies, "354");
	client_send(&c, buf_str(&lines));
	client_expect(&c, buf_cstr(&replies), "recipients");
	client_says(&c, ".\r\n", "250");
	assert_int_equal(rig_last()->recipients_n, 100);
	assert_str_equal(recipient_address(rig_last(), 99), STR("user99@ours.example"));
	client_close(&c);
	buf_done(&lines);
	buf_done(&replies);
	rig_close(&g);
}

static void test_timeouts(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	client_open(&c, &g);
	client_expect(&c, "220,421 4.4.2,end", "silence");
	client_close(&c);
	begin(&c, &g);
	client_send(&c, STR("NOO"));
	client_expect(&c, "421 4.4.2,end", "half a command");
	client_close(&c);
	begin(&c, &g);
	transaction(&c);
	client_send(&c, STR("half a line"));
	client_expect(&c, "421 4.4.2,end", "half a message");
	client_close(&c);
	begin(&c, &g);
	client_says(&c, ENVELOPE "BDAT 10 LAST\r\nabc", "250,250,421 4.4.2,end");
	client_close(&c);
	assert_int_equal(rig_received_n, 0);
	rig_close(&g);
}

/* Time that passes: a loop sees it when the next octets wake it. */
static void pass(struct client_end *c, uint64_t seconds, struct str octets)
{
	atomic_fetch_add(&rig_jumped, seconds * SECOND);
	client_send(c, octets);
}

/* Content that comes too slowly on average, after a grace of 30 s, though each piece is in time. */
static void test_rate(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, "listen 127.0.0.1:2525 { rate_min 10/s }\n" CONFIG_RULES, 1);
	begin(&c, &g);
	transaction(&c);
	/* 400 octets at the start are good for 40 s more. */
	send_content(&c, 400);
	pass(&c, 29, STR("a\r\n"));
	usleep(50000);
	pass(&c, 40, STR("b\r\n.\r\n"));
	client_expect(&c, "250", "slow, but not too slow");
	transaction(&c);
	pass(&c, 29, STR("a\r\n"));
	usleep(50000);
	pass(&c, 2, STR("b\r\n"));
	client_expect(&c, "421 4.4.2,end", "too slow");
	client_close(&c);
	rig_close(&g);
}

/* Chunks do not begin anew: an octet in each now and then is too slow, too. */
static void test_rate_of_chunks(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, "listen 127.0.0.1:2525 { rate_min 10/s }\n" CONFIG_RULES, 1);
	begin(&c, &g);
	client_says(&c, ENVELOPE "BDAT 1\r\na", "250,250,250");
	for (int i = 0; i < 2; i++) {
		pass(&c, 14, STR("BDAT 1\r\na"));
		client_expect(&c, "250", "within the grace");
	}
	pass(&c, 14, STR("BDAT 1\r\na"));
	client_expect(&c, "421 4.4.2,end", "too slow");
	client_close(&c);
	/* the next message begins anew; so does what is refused */
	begin(&c, &g);
	for (int i = 0; i < 2; i++) {
		client_says(&c, ENVELOPE "BDAT 3\r\na\r\n", "250,250,250");
		pass(&c, 20, STR("BDAT 3 LAST\r\nb\r\n"));
		client_expect(&c, "250", "another message");
	}
	pass(&c, 20, STR("BDAT 1 LAST\r\na"));
	client_expect(&c, "503", "no transaction");
	client_close(&c);
	rig_close(&g);
}

/* Chunks of nothing are idle commands; the last one, and those with octets, are not. */
static void test_empty_chunks(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, "listen 127.0.0.1:2525 { idle_commands_max 11 }\n" CONFIG_RULES, 1);
	begin(&c, &g);		/* EHLO is the first */
	client_says(&c, ENVELOPE, "250,250");
	for (int i = 0; i < 20; i++)
		client_says(&c, "BDAT 1\r\na", "250");
	for (int i = 0; i < 10; i++)
		client_says(&c, "BDAT 0\r\n", "250");
	client_says(&c, "BDAT 0 LAST\r\n", "250");
	client_says(&c, ENVELOPE, "250,250");
	for (int i = 0; i < 11; i++)
		client_says(&c, "BDAT 0\r\n", "250");
	client_says(&c, "BDAT 0\r\n", "421 4.7.0,end");
	client_close(&c);
	rig_close(&g);
}

static void test_session_max(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, "listen 127.0.0.1:2525 { session_max 10m }\n" CONFIG_RULES, 1);
	begin(&c, &g);
	for (int i = 0; i < 3; i++) {
		pass(&c, 180, STR("NOOP\r\n"));
		client_expect(&c, "250", "busy");
	}
	pass(&c, 70, STR("NO"));
	client_expect(&c, "421 4.4.2,end", "long enough");
	client_close(&c);
	rig_close(&g);
}

/* Commands that bring no message forward, up to the last that is allowed and one more. */
static void test_idle_commands(void **state)
{
	static const char *const lines[] = { "NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "HELP\r\n",
					     "EHLO x\r\n" };
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, "listen 127.0.0.1:2525 { idle_commands_max 11 }\n" CONFIG_RULES, 1);
	begin(&c, &g);		/* EHLO is the first */
	for (int round = 0; round < 2; round++) {
		for (int i = round == 0; i < 11; i++) {
			client_send(&c, str_of(lines[i % 5]));
			client_expect(&c, "2", lines[i % 5]);
		}
		transaction(&c);
		client_says(&c, "x\r\n.\r\n", "250");
	}
	for (int i = 0; i < 11; i++)
		client_says(&c, "NOOP\r\n", "250");
	client_says(&c, ENVELOPE, "250,250");	/* this is work, and no message yet */
	client_says(&c, "RSET\r\n", "421 4.7.0,end");
	client_close(&c);
	rig_close(&g);
}

static void refuse_for_now(struct client_end *c, int n)
{
	struct buf lines = BUF_INIT(65536);

	while (n > 0) {
		int some = n > 500 ? 500 : n;

		buf_clear(&lines);
		for (int i = 0; i < some; i++)
			buf_printf(&lines, "RCPT TO:<user%d@ours.example>\r\n", i);
		client_send(c, buf_str(&lines));
		for (int i = 0; i < some; i++)
			client_expect(c, "452 4.5.3", "for now");
		n -= some;
	}
	buf_done(&lines);
}

/* Refusals for now have a budget, too, from one message to the next. */
static void test_deferrals(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG_LISTEN CONFIG_RULES "message { recipients_max 1 }\n", 1);
	begin(&c, &g);
	client_says(&c, ENVELOPE, "250,250");
	refuse_for_now(&c, 10000);
	client_says(&c, "DATA\r\n", "354");
	client_says(&c, "x\r\n.\r\n", "250");
	client_says(&c, ENVELOPE, "250,250");
	refuse_for_now(&c, 10000);
	client_says(&c, "RCPT TO:<user@ours.example>\r\n", "421 4.7.0,end");
	client_close(&c);
	assert_int_equal(rig_received_n, 1);
	rig_close(&g);
}

/* A session is counted until its task is done, a moment after the client saw its end. */
static void sessions_become(struct rig *g, unsigned n)
{
	for (int i = 0; i < 5000 && receive_sessions(g->receive) != n; i++)
		usleep(1000);
	assert_int_equal(receive_sessions(g->receive), n);
}

static void test_connections(void **state)
{
	struct client_end c[4];
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 2);
	for (int i = 0; i < 3; i++)
		begin(&c[i], &g);
	client_open(&c[3], &g);
	client_expect(&c[3], "421 4.3.2,end", "one too many");
	client_close(&c[3]);
	sessions_become(&g, 3);
	client_says(&c[0], "QUIT\r\n", "221,end");
	client_close(&c[0]);
	sessions_become(&g, 2);
	begin(&c[0], &g);
	for (int i = 0; i < 3; i++)
		client_close(&c[i]);
	rig_close(&g);
}

/* Writes that fail: nothing is acknowledged, nothing is handed on (D1, D4). */
static void test_disk(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	transaction(&c);
	rig_fail_writes(-EIO, 1);
	client_says(&c, "x\r\n.\r\n", "451 4.3.0");
	assert_int_equal(rig_received_n, 0);
	transaction(&c);
	client_says(&c, "x\r\n.\r\n", "250");
	/* Nothing at all can be written: then nothing may be said. */
	transaction(&c);
	rig_fail_writes(-EIO, INT_MAX);
	client_says(&c, "x\r\n.\r\n", "end");
	rig_fail_writes(0, 0);
	client_close(&c);
	assert_int_equal(rig_received_n, 1);
	rig_close(&g);
}

/* Content that goes to a file of its own, for which there is no room. */
static void test_full(void **state)
{
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	begin(&c, &g);
	transaction(&c);
	rig_fail_writes(-ENOSPC, 1);
	send_content(&c, 290 * KIB);
	client_says(&c, ".\r\n", "452 4.3.1");
	rig_fail_writes(0, 0);
	transaction(&c);
	client_says(&c, "x\r\n.\r\n", "250");
	assert_int_equal(rig_received_n, 1);
	client_close(&c);
	rig_close(&g);
}

/* As many recipients wait as may: nothing more is taken, before content where it can be told. */
static void test_queue(void **state)
{
	struct spool_options o = { .arriving_memory_max = 1 << 20, .recipients_max = 4 };
	struct client_end c;
	struct rig g;

	(void)state;
	rig_open(&g, CONFIG, 1);
	spool_set_limits(g.spool, &o);
	begin(&c, &g);
	client_says(&c, ENVELOPE "RCPT TO:<v@ours.example>\r\nDATA\r\n", "250,250,250,354");
	client_says(&c, "x\r\n.\r\n", "250");
	client_says(&c, ENVELOPE "RCPT TO:<v@ours.example>\r\nRCPT TO:<w@ours.example>\r\nDATA\r\n",
		    "250,250,250,250,354");
	client_says(&c, "x\r\n.\r\n", "452 4.3.1");
	client_says(&c, ENVELOPE "RCPT TO:<v@ours.example>\r\nDATA\r\n", "250,250,250,354");
	client_says(&c, "x\r\n.\r\n", "250");
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "452 4.3.1");
	assert_int_equal(rig_received_n, 2);
	/* a commit that fails leaves no place taken */
	o.recipients_max = 5;
	spool_set_limits(g.spool, &o);
	for (int i = 0; i < 2; i++) {
		transaction(&c);
		rig_fail_writes(-EIO, i == 0);
		client_says(&c, "x\r\n.\r\n", i == 0 ? "451 4.3.0" : "250");
	}
	client_says(&c, "MAIL FROM:<a@b.example>\r\n", "452 4.3.1");
	client_close(&c);
	rig_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_rate_of_chunks),
		cmocka_unit_test(test_empty_chunks),
		cmocka_unit_test(test_session_max),
		cmocka_unit_test(test_idle_commands),
		cmocka_unit_test(test_deferrals),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
