/*
 * deliver/: what one attempt does beyond one good transaction - hosts in turn, connections used
 * again, chunks, parameters passed on, content in each form.
 */
#include "unit/deliver/rig.h"

#define EHLO_ALL                                                                                   \
	"250-peer.example\r\n250-PIPELINING\r\n250-SIZE "                                          \
	"10000000\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n"                                  \
	"250-CHUNKING\r\n250 BINARYMIME"

static const struct mail plain = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } };

static void open_with(struct peer *p)
{
	rig_open();
	rig_peer(0, p);
}

/* What it saw can be looked at until peer_forget. */
static void stop_with(struct peer *p)
{
	rig_close();
	peer_stop(p);
}

static void close_with(struct peer *p)
{
	stop_with(p);
	peer_forget(p);
}

static void try_many(unsigned n, const struct mail *mail)
{
	struct message **m = mem_calloc(n, sizeof(struct message *));

	for (unsigned i = 0; i < n; i++)
		m[i] = rig_message(mail);
	rig_try(m, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(m[i]->recipients[0].state, RECIPIENT_RELAYED);
		message_unref(m[i]);
	}
	mem_free(m);
}

static void test_connection_is_kept(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_with(&p);
	try_many(10, &plain);
	try_many(10, &plain);
	close_with(&p);
	assert_int_equal(p.connections, 1);
	assert_int_equal(p.transactions, 20);
}

static void test_two_writes(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_with(&p);
	try_many(1, &plain);
	p.writes = 0;
	try_many(10, &plain);
	assert_int_equal(p.writes, 20);	/* the flight, and the content with its dot */
	close_with(&p);
}

static void test_messages_max(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_with(&p);
	rig.route.messages_max = 4;
	try_many(10, &plain);
	close_with(&p);
	assert_int_equal(p.connections, 3);
	assert_int_equal(p.transactions, 10);
}

static void test_server_limits_messages(void **state)
{
	struct peer p = { .messages_max = 4 };
	struct peer q = { .ehlo = "250-x\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=4" };

	(void)state;
	open_with(&p);
	try_many(10, &plain);	/* 421 at MAIL on a used connection counts for nothing */
	close_with(&p);
	assert_int_equal(p.connections, 3);
	open_with(&q);
	try_many(10, &plain);
	close_with(&q);
	assert_int_equal(q.connections, 3);
}

static void test_closed_while_idle(void **state)
{
	struct peer p = { .closes_idle = true };

	(void)state;
	open_with(&p);
	try_many(5, &plain);
	close_with(&p);
	assert_int_equal(p.connections, 5);
	assert_int_equal(p.transactions, 5);
}

static void test_pool_notices_close(void **state)
{
	struct peer p = { .closes_idle = true };

	(void)state;
	open_with(&p);
	try_many(1, &plain);
	rig_wait_pooled(0);
	close_with(&p);
}

static void test_idle_quit(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_with(&p);
	rig.route.idle_ns = 100 * MILLISECOND;
	try_many(1, &plain);
	rig_wait_pooled(0);
	stop_with(&p);
	assert_non_null(strstr(p.log, "QUIT"));
	peer_forget(&p);
}

static void test_reset_goes_first(void **state)
{
	struct peer p = { .rcpt = { "550 5.1.1 who?", NULL, NULL } };
	struct message *m[2];

	(void)state;
	open_with(&p);
	m[0] = rig_message(&plain);
	m[1] = rig_message(&(struct mail){ .content = plain.content, .recipients_n = 2 });
	rig_try(m, 2);
	assert_int_equal(m[0]->recipients[0].state, RECIPIENT_FAILED);
	assert_int_equal(m[1]->recipients[1].state, RECIPIENT_RELAYED);
	message_unref(m[0]);
	message_unref(m[1]);
	stop_with(&p);
	assert_non_null(strstr(p.log, "DATA\nRSET\nMAIL"));
	assert_int_equal(p.connections, 1);
	peer_forget(&p);
}

static void test_next_host(void **state)
{
	static const struct {
		const char *name;
		struct peer bad;
	} rows[] = {
		{ "greeting", { .greeting = "554 no" } },
		{ "close", { .greeting = "!close" } },
		{ "MAIL 421", { .mail = "421 4.3.2 no" } },
		{ "MAIL 4xx", { .mail = "452 4.3.1 disk" } },
		{ "RCPT close", { .rcpt = { "!close" } } },
		{ "DATA 4xx", { .data = "451 4.3.0 no" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer bad = rows[i].bad, good = { 0 };

		print_message("%s\n", rows[i].name);
		rig_open();
		rig_peer(0, &bad);
		rig_peer(1, &good);
		rig.hosts[1].backup = true;
		rig_try_one(&plain);
		assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
		assert_int_equal(rig.learnt, DESTINATION_WORKS);
		assert_int_equal(rig.result, JOB_SETTLED);
		rig_close();
		peer_stop(&bad);
		peer_stop(&good);
		assert_int_equal(bad.connections, 1);
		assert_int_equal(good.transactions, 1);
		peer_forget(&bad);
		peer_forget(&good);
	}
}

static void test_recipient_4xx_is_not_tried_elsewhere(void **state)
{
	struct peer a = { .rcpt = { "450 4.2.1 later" } }, b = { 0 };

	(void)state;
	rig_open();
	rig_peer(0, &a);
	rig_peer(1, &b);
	rig.hosts[1].backup = true;
	rig_try_one(&plain);
	assert_int_equal(rig.kept[0].state, RECIPIENT_QUEUED);
	rig_close();
	peer_stop(&a);
	peer_stop(&b);
	assert_int_equal(b.connections, 0);
	peer_forget(&a);
}

static void test_nobody_there(void **state)
{
	struct peer p = { 0 };

	(void)state;
	rig_open();
	peer_start(&p);
	rig_host(0, "127.0.0.1", p.port);
	peer_stop(&p);
	rig_try_one(&plain);
	assert_int_equal(rig.learnt, DESTINATION_DOWN);
	assert_int_equal(rig.result, JOB_UNTRIED);
	assert_int_equal(rig.settles, 0);
	assert_string_equal(rig.said, "127.0.0.1: connection refused");
	rig_host(0, "no-such-host.invalid", 25);
	rig_try_one(&plain);
	assert_int_equal(rig.learnt, DESTINATION_DOWN);
	assert_non_null(strstr(rig.said, "no-such-host.invalid: the host's name"));
	rig_close();
}

static void test_name(void **state)
{
	struct peer p = { 0 };

	(void)state;
	open_with(&p);
	rig_host(0, "localhost", p.port);
	rig_try_one(&plain);
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	assert_string_equal(rig.kept[0].host, "localhost (127.0.0.1)");
	close_with(&p);
}

static void test_no_route(void **state)
{
	(void)state;
	rig_open();
	rig_destination("x", "");
	rig_try_one(&plain);
	assert_int_equal(rig.learnt, DESTINATION_DOWN);
	assert_int_equal(rig.result, JOB_UNTRIED);
	assert_string_equal(rig.said, "route x is not in the configuration");
	rig_close();
}

static void test_chunks(void **state)
{
	struct peer p = { 0 }, q = { .ehlo = "250-x\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=30" };
	struct mail many = { .content = plain.content, .recipients_n = 250 };

	(void)state;
	open_with(&p);
	rig_try_one(&many);
	close_with(&p);
	assert_int_equal(rig.settles, 3);
	assert_int_equal(p.transactions, 3);
	for (int i = 0; i < 250; i++)
		assert_int_equal(rig.kept[i].state, RECIPIENT_RELAYED);
	open_with(&q);
	rig_try_one(&many);
	close_with(&q);
	assert_int_equal(q.transactions, 9);
}

/* The third RCPT of each transaction is one too many: it goes with the next, at once. */
static void test_too_many(void **state)
{
	struct peer p = {.rcpt = {NULL, NULL, "452 4.5.3 too many", "452 too many", "452 too many",
				  "452 too many"}};
	struct mail six = { .content = plain.content, .recipients_n = 6 };

	(void)state;
	open_with(&p);
	rig_try_one(&six);
	close_with(&p);
	assert_int_equal(rig.result, JOB_SETTLED);
	assert_int_equal(p.transactions, 3);
	for (int i = 0; i < 6; i++)
		assert_int_equal(rig.kept[i].state, RECIPIENT_RELAYED);
}

static void test_parameters(void **state)
{
	const struct envelope_recipient to[] = {
		{ .address = STR("b@c.example"), .route = STR("r"), .orcpt = STR("rfc822;x+40y"),
		  .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE },
		{ .address = STR("\"q q\"@c.example"), .route = STR("r"), .notify = NOTIFY_NEVER },
	};
	struct mail mail = {
		.envelope = {.sender = STR("a@b.example"),
			     .envid = STR("e+20id"),
			     .ret = RET_HDRS,
			     .body = BODY_8BITMIME,
			     .smtputf8 = true,
			     .recipients = to,
			     .recipients_n = 2},
		.content = plain.content,
	};
	struct peer p = { .ehlo = EHLO_ALL }, q = { 0 };

	(void)state;
	open_with(&p);
	rig_try_one(&mail);
	assert_true(rig.kept[0].dsn_passed);
	stop_with(&p);
	assert_string_equal(p.log, "EHLO relay.example\n"
		"MAIL FROM:<a@b.example> SIZE=36 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e+20id\n"
		"RCPT TO:<b@c.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+40y\n"
		"RCPT TO:<\"q q\"@c.example> NOTIFY=NEVER\n"
		"DATA\nQUIT\n");
	peer_forget(&p);
	mail.envelope.smtputf8 = false;
	open_with(&q);
	rig_try_one(&mail);
	assert_false(rig.kept[0].dsn_passed);
	stop_with(&q);
	assert_string_equal(q.log, "EHLO relay.example\nMAIL FROM:<a@b.example> BODY=8BITMIME\n"
		"RCPT TO:<b@c.example>\nRCPT TO:<\"q q\"@c.example>\nDATA\nQUIT\n");
	peer_forget(&q);
}

/* Lines with dots, of all sizes around those of buffers and pieces. */
static char *make_content(size_t n)
{
	char *p = mem_alloc(n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = i % 61 == 0 ? '.' : (char)('a' + i % 26);
	for (size_t i = 59; i + 1 < n; i += 61) {
		p[i] = '\r';
		p[i + 1] = '\n';
	}
	if (n >= 2) {
		p[n - 2] = '\r';
		p[n - 1] = '\n';
	}
	return p;
}

static void test_content(void **state)
{
	static const size_t sizes[] = {2,     3,     60,    4000,   4095,  4096,
				       5000,  15000, 15360, 15361,  16384, 17000,
				       40000, 65535, 65536, 200000, 262000};

	(void)state;
	for (int chunking = 0; chunking < 2; chunking++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *text = make_content(sizes[i]);
			struct mail mail = { .content = str_make(text, sizes[i]) };
			struct peer p = { .ehlo = chunking ? EHLO_ALL : NULL };

			print_message("%zu octets%s\n", sizes[i], chunking ? ", CHUNKING" : "");
			open_with(&p);
			rig_try_one(&mail);
			assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
			rig_close();
			peer_stop(&p);
			assert_int_equal(p.content_n, sizes[i]);
			assert_memory_equal(p.content, text, sizes[i]);
			assert_int_equal(strstr(p.log, "BDAT") != NULL,
					 chunking && sizes[i] >= 65536);
			peer_forget(&p);
			mem_free(text);
		}
}

static void test_bare_octets_by_bdat(void **state)
{
	static const char raw[] = "a\nb\rc\0d\r\n.\r\ne";
	struct mail mail = {.envelope = {.body = BODY_BINARYMIME},
			    .content = {raw, sizeof(raw) - 1}};
	struct peer p = { .ehlo = EHLO_ALL };

	(void)state;
	open_with(&p);
	rig_try_one(&mail);
	assert_int_equal(rig.kept[0].state, RECIPIENT_RELAYED);
	rig_close();
	peer_stop(&p);
	assert_int_equal(p.content_n, sizeof(raw) - 1);
	assert_memory_equal(p.content, raw, sizeof(raw) - 1);
	assert_non_null(strstr(p.log, "BODY=BINARYMIME"));
	peer_forget(&p);
}

/* The answer comes in the middle of the content, and nothing is read any more. */
static void test_early_reply(void **state)
{
	static const struct {
		const char *reply;
		enum recipient_state state;
	} rows[] = {
		{ "552 5.3.4 too big", RECIPIENT_FAILED },
		{ "451 4.3.0 no room", RECIPIENT_QUEUED },
		{ "421 4.3.2 bye", RECIPIENT_QUEUED },
		{ "250 2.0.0 thanks", RECIPIENT_QUEUED },
		{ "what", RECIPIENT_QUEUED },
	};
	char *text = make_content(260000), path[64];
	struct mail mail = { .content = str_make(text, 260000) };

	(void)state;
	snprintf(path, sizeof(path), "/tmp/relevo-early-%d", (int)getpid());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/*
		 * A unix socket's buffer is smaller than the content; that of TCP on this machine
		 * is not.
		 */
		struct peer p = { .early = rows[i].reply, .path = path };

		print_message("%s\n", rows[i].reply);
		open_with(&p);
		rig_try_one(&mail);
		assert_int_equal(rig.kept[0].state, rows[i].state);
		assert_int_equal(rig_pooled(), 0);
		close_with(&p);
	}
	unlink(path);
	mem_free(text);
}

static void test_failures_are_counted(void **state)
{
	struct peer p = { .rcpt = { "450 4.2.1 later" } };

	(void)state;
	open_with(&p);
	rig_try_one(&plain);
	assert_int_equal(rig.failures, 1);
	close_with(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_is_kept),
		cmocka_unit_test(test_two_writes),
		cmocka_unit_test(test_messages_max),
		cmocka_unit_test(test_server_limits_messages),
		cmocka_unit_test(test_closed_while_idle),
		cmocka_unit_test(test_pool_notices_close),
		cmocka_unit_test(test_idle_quit),
		cmocka_unit_test(test_reset_goes_first),
		cmocka_unit_test(test_next_host),
		cmocka_unit_test(test_recipient_4xx_is_not_tried_elsewhere),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_bare_octets_by_bdat),
		cmocka_unit_test(test_early_reply),
		cmocka_unit_test(test_failures_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
