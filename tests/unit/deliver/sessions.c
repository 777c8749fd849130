/*
 * deliver/: one message to a peer that misbehaves in each way at each stage, and what becomes of
 * each recipient, of the destination, of the connection.
 */
#include "unit/deliver/rig.h"

#define EHLO_PLAIN "250 peer.example"
#define EHLO_LMTP "250-peer.example\r\n250-PIPELINING\r\n250 8BITMIME"
#define EHLO_ALL                                                                                   \
	"250-peer.example\r\n250-PIPELINING\r\n250-SIZE "                                          \
	"100000\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n"                                    \
	"250-CHUNKING\r\n250 BINARYMIME"

#define R RECIPIENT_RELAYED
#define D RECIPIENT_DELIVERED
#define Q RECIPIENT_QUEUED
#define F RECIPIENT_FAILED
#define NOBODY 9		/* no outcome: the job goes back untried */

struct scenario {
	const char *name;
	struct peer peer;
	struct mail mail;
	unsigned states[3];		/* of the recipients */
	const char *status;		/* of the first recipient with an outcome; "": none given */
	/* part of its words, or of what is said of the destination */
	const char *text;
	unsigned pooled;		/* connections in the pool afterwards */
	enum job_result result;
	enum destination_result learnt;
};

#define DOWN .states = { NOBODY, NOBODY }, .result = JOB_UNTRIED, .learnt = DESTINATION_DOWN
#define GONE .states = { R, R }, .result = JOB_SETTLED, .learnt = DESTINATION_WORKS, .pooled = 1
#define BOTH(state, judgement)                                                                     \
	.states = {state, state}, .result = (state) == Q ? JOB_DEFERRED : JOB_SETTLED,             \
	.learnt = DESTINATION_##judgement

static const struct scenario scenarios[] = {
	{"all is well", GONE, .status = "2.0.0", .text = "taken"},
	{"no pipelining", .peer = {.ehlo = EHLO_PLAIN}, GONE},
	{"everything", .peer = {.ehlo = EHLO_ALL}, GONE},
	{"octet by octet", .peer = {.trickle = true}, GONE},
	{"HELO only", .peer = {.ehlo = "502 5.5.1 what?"}, GONE},
	{"long replies", .peer = {.greeting = "220-a\r\n220-b\r\n220 c", .mail = "250-a\r\n250 b"},
	 GONE},

	{"greeting 4xx", .peer = {.greeting = "450 4.3.2 later"}, DOWN, .text = "later"},
	{"greeting 5xx", .peer = {.greeting = "554 5.7.1 not you"}, DOWN, .text = "not you"},
	{"greeting 421", .peer = {.greeting = "421 busy"}, DOWN, .text = "busy"},
	{"greeting close", .peer = {.greeting = "!close"}, DOWN, .text = "connection lost"},
	{"greeting stall", .peer = {.greeting = "!stall"}, DOWN, .text = "no greeting"},
	{"greeting garbage", .peer = {.greeting = "HTTP/1.1 400 Bad"}, DOWN, .text = "not SMTP"},
	{"greeting huge", .peer = {.greeting = HUGE}, DOWN, .text = "not SMTP"},
	{"EHLO 4xx", .peer = {.ehlo = "450 4.0.0 no"}, DOWN, .text = "no"},
	{"EHLO and HELO 5xx", .peer = {.ehlo = "550 no", .helo = "550 5.7.1 never"}, DOWN,
	 .text = "never"},
	{"EHLO 421", .peer = {.ehlo = "421 no"}, DOWN, .text = "no"},
	{"EHLO close", .peer = {.ehlo = "!close"}, DOWN, .text = "lost at EHLO"},
	{"EHLO stall", .peer = {.ehlo = "!stall"}, DOWN, .text = "no answer to EHLO"},
	{"EHLO garbage", .peer = {.ehlo = "250-a\r\n220 b"}, DOWN, .text = "not SMTP"},

	{"MAIL 4xx", .peer = {.mail = "451 4.7.1 grey"}, BOTH(Q, UNKNOWN), .status = "4.7.1",
	 .pooled = 1},
	{"MAIL 5xx", .peer = {.mail = "550 5.7.1 spam"}, BOTH(F, WORKS), .status = "5.7.1",
	 .pooled = 1},
	{"MAIL 5xx and 354",
	 .peer = {.mail = "550 5.7.1 spam", .always_354 = true, .dot = {"554 5.5.1 nobody"}},
	 BOTH(F, WORKS), .status = "5.7.1", .text = "spam", .pooled = 1},
	{"MAIL 4xx step by step", .peer = {.mail = "451 4.7.1 grey", .ehlo = EHLO_PLAIN},
	 BOTH(Q, UNKNOWN), .status = "4.7.1", .pooled = 1},
	{"MAIL 421", .peer = {.mail = "421 4.3.2 bye"}, BOTH(Q, UNKNOWN), .status = "4.3.2"},
	{"MAIL close", .peer = {.mail = "!close"}, BOTH(Q, UNKNOWN), .status = "4.4.2"},
	{"MAIL stall", .peer = {.mail = "!stall"}, BOTH(Q, UNKNOWN), .status = "4.4.2"},
	{"MAIL garbage", .peer = {.mail = "yes"}, BOTH(Q, UNKNOWN), .status = "4.5.0"},
	{"MAIL 354", .peer = {.mail = "354 go on"}, BOTH(Q, UNKNOWN), .status = "4.5.0"},
	{"MAIL huge", .peer = {.mail = HUGE}, BOTH(Q, UNKNOWN), .status = "4.5.0"},

	{"RCPT one 4xx", .peer = {.rcpt = {"450 4.2.1 later"}}, .states = {Q, R},
	 .result = JOB_DEFERRED, .learnt = DESTINATION_WORKS, .status = "4.2.1", .pooled = 1},
	{"RCPT one 5xx", .peer = {.rcpt = {"550 5.1.1 who?"}}, .states = {F, R},
	 .learnt = DESTINATION_WORKS, .status = "5.1.1", .pooled = 1},
	{"RCPT one 5xx step by step", .peer = {.ehlo = EHLO_PLAIN, .rcpt = {"550 5.1.1 who?"}},
	 .states = {F, R}, .learnt = DESTINATION_WORKS, .status = "5.1.1", .pooled = 1},
	{"RCPT both 5xx", .peer = {.rcpt = {"550 5.1.1 who?", "550 5.1.1 who?"}}, BOTH(F, WORKS),
	 .status = "5.1.1", .pooled = 1},
	{"RCPT both 5xx step by step",
	 .peer = {.ehlo = EHLO_PLAIN, .rcpt = {"550 5.1.1 who?", "550 5.1.1 who?"}}, BOTH(F, WORKS),
	 .status = "5.1.1", .pooled = 1},
	{"RCPT both 5xx and 354",
	 .peer = {.rcpt = {"550 5.1.1 who?", "550 5.1.1 who?"},
		  .always_354 = true,
		  .dot = {"554 5.5.1 nobody"}},
	 BOTH(F, WORKS), .status = "5.1.1", .pooled = 1},
	{"RCPT 552 without a code is 452", .peer = {.rcpt = {"552 too many"}}, .states = {Q, R},
	 .result = JOB_DEFERRED, .learnt = DESTINATION_WORKS, .text = "too many", .pooled = 1},
	{"RCPT 552 full mailbox", .peer = {.rcpt = {"552 5.2.2 full"}}, .states = {F, R},
	 .learnt = DESTINATION_WORKS, .status = "5.2.2", .pooled = 1},
	{"RCPT 421 for the second", .peer = {.rcpt = {NULL, "421 4.3.2 bye"}}, BOTH(Q, UNKNOWN),
	 .status = "4.3.2"},
	{"RCPT 5xx, then close", .peer = {.rcpt = {"550 5.1.1 who?", "!close"}}, .states = {F, Q},
	 .result = JOB_DEFERRED, .status = "5.1.1"},
	{"RCPT close", .peer = {.rcpt = {"!close"}}, BOTH(Q, UNKNOWN), .status = "4.4.2"},
	{"RCPT stall", .peer = {.rcpt = {NULL, "!stall"}}, BOTH(Q, UNKNOWN), .status = "4.4.2"},
	{"RCPT garbage", .peer = {.rcpt = {""}}, BOTH(Q, UNKNOWN), .status = "4.5.0"},

	{"DATA 4xx", .peer = {.data = "451 4.3.0 disk"}, BOTH(Q, UNKNOWN), .status = "4.3.0",
	 .pooled = 1},
	{"DATA 5xx", .peer = {.data = "554 5.6.0 no"}, BOTH(F, WORKS), .status = "5.6.0",
	 .pooled = 1},
	{"DATA 421", .peer = {.data = "421 4.3.2 bye"}, BOTH(Q, UNKNOWN), .status = "4.3.2"},
	{"DATA close", .peer = {.data = "!close"}, BOTH(Q, UNKNOWN), .status = "4.4.2"},
	{"DATA stall", .peer = {.data = "!stall"}, BOTH(Q, UNKNOWN), .status = "4.4.2"},
	{"DATA 250", .peer = {.data = "250 what"}, BOTH(Q, UNKNOWN), .status = "4.5.0"},

	{"dot 4xx", .peer = {.dot = {"451 4.7.1 scan"}}, BOTH(Q, WORKS), .status = "4.7.1",
	 .pooled = 1},
	{"dot 5xx", .peer = {.dot = {"554 5.7.1 virus"}}, BOTH(F, WORKS), .status = "5.7.1",
	 .pooled = 1},
	{"dot 421", .peer = {.dot = {"421 4.3.2 bye"}}, BOTH(Q, WORKS), .status = "4.3.2"},
	{"dot close", .peer = {.dot = {"!close"}}, BOTH(Q, WORKS), .status = "4.4.2",
	 .text = "may have been"},
	{"dot stall", .peer = {.dot = {"!stall"}}, BOTH(Q, WORKS), .status = "4.4.2",
	 .text = "may have been"},
	{"dot garbage", .peer = {.dot = {"OK"}}, BOTH(Q, WORKS), .status = "4.5.0"},
	{"dot huge", .peer = {.dot = {HUGE}}, BOTH(Q, WORKS), .status = "4.5.0"},

	{"LMTP", .peer = {.lmtp = true, .ehlo = EHLO_LMTP}, .states = {D, D},
	 .learnt = DESTINATION_WORKS, .pooled = 1},
	{"LMTP one each", .peer = {.lmtp = true, .ehlo = EHLO_LMTP, .dot = {"452 4.2.2 full"}},
	 .states = {Q, D}, .result = JOB_DEFERRED, .learnt = DESTINATION_WORKS, .status = "4.2.2",
	 .pooled = 1},
	{"LMTP one refused, one failed",
	 .peer = {.lmtp = true,
		  .ehlo = EHLO_LMTP,
		  .rcpt = {"550 5.1.1 who?"},
		  .dot = {"550 5.2.0 no"}},
	 BOTH(F, WORKS), .status = "5.1.1", .pooled = 1},
	{"LMTP lost between", .peer = {.lmtp = true, .ehlo = EHLO_LMTP, .dot = {NULL, "!close"}},
	 .states = {D, Q}, .result = JOB_DEFERRED, .learnt = DESTINATION_WORKS},
	{"LMTP without LHLO", .peer = {.lmtp = true, .ehlo = "500 what?"}, DOWN, .text = "what?"},

	{"too large", .peer = {.ehlo = "250-x\r\n250 SIZE 10"}, BOTH(F, WORKS), .status = "5.3.4",
	 .pooled = 1},
	{"SIZE without a limit", .peer = {.ehlo = "250-x\r\n250 SIZE 0"}, GONE},
	{"8-bit", .mail = {.envelope = {.body = BODY_8BITMIME}}, GONE},
	{"8-bit to a 7-bit host", .peer = {.ehlo = EHLO_PLAIN},
	 .mail = {.envelope = {.body = BODY_8BITMIME}}, BOTH(F, WORKS), .status = "5.6.3",
	 .pooled = 1},
	{"binary", .peer = {.ehlo = EHLO_ALL}, .mail = {.envelope = {.body = BODY_BINARYMIME}},
	 GONE},
	{"binary without BINARYMIME", .peer = {.ehlo = "250-x\r\n250-CHUNKING\r\n250 8BITMIME"},
	 .mail = {.envelope = {.body = BODY_BINARYMIME}}, BOTH(F, WORKS), .status = "5.6.3",
	 .pooled = 1},
	{"binary without CHUNKING", .peer = {.ehlo = "250-x\r\n250-BINARYMIME\r\n250 8BITMIME"},
	 .mail = {.envelope = {.body = BODY_BINARYMIME}}, BOTH(F, WORKS), .status = "5.6.3",
	 .pooled = 1},
	{"SMTPUTF8", .peer = {.ehlo = EHLO_ALL}, .mail = {.envelope = {.smtputf8 = true}}, GONE},
	{"SMTPUTF8 not offered", .mail = {.envelope = {.smtputf8 = true}}, BOTH(F, WORKS),
	 .status = "5.6.7", .pooled = 1},
	{"envelope that cannot be written", .mail = {.envelope = {.sender = {"a\nb", 3}}},
	 BOTH(F, WORKS), .status = "5.5.4", .pooled = 1},
};

static bool has_text(const char *where, const char *what)
{
	return !what || strstr(where, what);
}

static void check_status(const struct kept *k, const char *status)
{
	struct buf text = BUF_INIT(32);

	if (!status)
		return;
	enhanced_format(&text, k->enhanced);
	assert_string_equal(buf_cstr(&text), status);
	buf_done(&text);
}

static void run_scenario(const struct scenario *s)
{
	struct peer *p = mem_dup(&s->peer, sizeof(*p));
	struct mail mail = s->mail;
	bool said = false;

	print_message("%s\n", s->name);
	rig_open();
	rig.route.protocol = p->lmtp ? ROUTE_LMTP : ROUTE_SMTP;
	rig_peer(0, p);
	mail.recipients_n = 2;
	if (!mail.content.n)
		mail.content = STR(RIG_CONTENT);
	rig_try_one(&mail);
	assert_int_equal(rig.learnt, s->learnt);
	assert_int_equal(rig.result, s->result);
	for (int i = 0; i < 2; i++) {
		const struct kept *k = &rig.kept[i];

		assert_int_equal(k->known ? k->state : NOBODY, s->states[i]);
		if (!k->known || said)
			continue;
		said = true;
		check_status(k, s->status);
		assert_true(has_text(k->text, s->text));
		assert_true(has_text(k->host, "127.0.0.1"));
	}
	if (!said)
		assert_true(has_text(rig.said, s->text));
	assert_int_equal(rig_pooled(), s->pooled);
	if (s->states[0] == R && s->states[1] == R) {
		assert_int_equal(p->content_n, mail.content.n);
		assert_memory_equal(p->content, mail.content.p, mail.content.n);
	}
	rig_close();
	peer_stop(p);
	assert_int_equal(p->connections, 1);
	if (p->always_354)		/* a lone dot ended it */
		assert_int_equal(p->transactions, 1);
	peer_forget(p);
	mem_free(p);
}

static void test_scenarios(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		run_scenario(&scenarios[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scenarios),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
