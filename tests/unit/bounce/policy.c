/* bounce/notice_policy and bounce/quota: statuses, what is due when, how often. */
#include "bounce/notice.h"
#include "unit/unit.h"

#include "base/mem.h"

#define MS(seconds) ((int64_t)(seconds) * 1000)
#define SECOND_NS 1000000000ull

static const struct {
	enum recipient_state state;
	struct reply reply;
	bool expired;
	struct enhanced expected;
} statuses[] = {
	{ RECIPIENT_FAILED, { .code = 550, .enhanced = { 5, 1, 1 } }, false, { 5, 1, 1 } },
	{ RECIPIENT_FAILED, { .code = 550 }, false, { 5, 0, 0 } },
	{ RECIPIENT_FAILED, { .code = 552 }, false, { 5, 2, 2 } },
	{ RECIPIENT_FAILED, { .code = 556 }, false, { 5, 1, 10 } },
	{ RECIPIENT_FAILED, { .code = 450, .enhanced = { 4, 2, 0 } }, true, { 5, 4, 7 } },
	{ RECIPIENT_FAILED, { .code = 451, .enhanced = { 4, 4, 7 } }, false, { 5, 4, 7 } },
	{ RECIPIENT_FAILED, { 0 }, true, { 5, 4, 7 } },
	{ RECIPIENT_FAILED, { 0 }, false, { 5, 4, 2 } },
	{ RECIPIENT_QUEUED, { 0 }, false, { 4, 4, 2 } },
	{ RECIPIENT_QUEUED, { .code = 451 }, false, { 4, 3, 0 } },
	{ RECIPIENT_QUEUED, { .enhanced = { 4, 4, 1 } }, false, { 4, 4, 1 } },
	{ RECIPIENT_RELAYED, { .code = 250 }, false, { 2, 0, 0 } },
	{ RECIPIENT_RELAYED, { .code = 250, .enhanced = { 2, 1, 5 } }, false, { 2, 1, 5 } },
};

static void test_status(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct enhanced e =
			notice_status(statuses[i].state, &statuses[i].reply, statuses[i].expired);

		if (e.class != statuses[i].expected.class ||
		    e.subject != statuses[i].expected.subject ||
		    e.detail != statuses[i].expected.detail)
			fail_msg("row %zu: %u.%u.%u", i, e.class, e.subject, e.detail);
	}
}

static struct message *make(const char *sender, unsigned notify, bool is_bounce)
{
	struct envelope_recipient recipient = {
		.address = STR("bob@example.net"), .route = STR("next"), .notify = notify,
	};
	struct envelope e = {
		.sender = str_of(sender), .is_bounce = is_bounce, .arrived_ms = MS(1000),
		.recipients = &recipient, .recipients_n = 1,
	};

	return message_new(&e, NULL);
}

#define TRIED true
#define IDLE false

/* Arrived at 1000 s; warned after 100 s, given up after 500 s, a bounce after 200 s. */
static const struct {
	const char *name;
	const char *sender;
	unsigned notify;
	bool is_bounce, was_warned;
	enum recipient_state state;
	bool attempted, dsn_passed;
	int now_s;
	int expected;			/* notice */
	enum recipient_state expected_state;
	bool expected_warned;
	int next_s;			/* if still queued */
} judgements[] = {
	{"fresh", "a@b", 0, 0, 0, RECIPIENT_QUEUED, TRIED, 0, 1050, NOTICE_NONE, RECIPIENT_QUEUED,
	 0, 1060},
	{"late", "a@b", 0, 0, 0, RECIPIENT_QUEUED, TRIED, 0, 1150, NOTICE_DELAYED, RECIPIENT_QUEUED,
	 1, 1160},
	{"late, told", "a@b", 0, 0, 1, RECIPIENT_QUEUED, TRIED, 0, 1150, NOTICE_NONE,
	 RECIPIENT_QUEUED, 1, 1160},
	{"deadline", "a@b", 0, 0, 0, RECIPIENT_QUEUED, IDLE, 0, 1100, NOTICE_DELAYED,
	 RECIPIENT_QUEUED, 1, 7777},
	{"no delay wanted", "a@b", NOTIFY_FAILURE, 0, 0, RECIPIENT_QUEUED, TRIED, 0, 1150,
	 NOTICE_NONE, RECIPIENT_QUEUED, 1, 1160},
	{"late bounce", "", 0, 1, 0, RECIPIENT_QUEUED, TRIED, 0, 1150, NOTICE_NONE,
	 RECIPIENT_QUEUED, 0, 1160},
	{"expired", "a@b", 0, 0, 1, RECIPIENT_QUEUED, TRIED, 0, 1500, NOTICE_FAILED,
	 RECIPIENT_FAILED, 0, 0},
	{"expired, idle", "a@b", 0, 0, 1, RECIPIENT_QUEUED, IDLE, 0, 1500, NOTICE_FAILED,
	 RECIPIENT_FAILED, 0, 0},
	{"expired bounce", "", 0, 1, 0, RECIPIENT_QUEUED, TRIED, 0, 1200, NOTICE_FAILED,
	 RECIPIENT_FAILED, 0, 0},
	{"failed", "a@b", 0, 0, 0, RECIPIENT_FAILED, TRIED, 0, 1001, NOTICE_FAILED,
	 RECIPIENT_FAILED, 0, 0},
	{"never", "a@b", NOTIFY_NEVER, 0, 0, RECIPIENT_FAILED, TRIED, 0, 1001, NOTICE_NONE,
	 RECIPIENT_FAILED, 0, 0},
	{"only success", "a@b", NOTIFY_SUCCESS, 0, 0, RECIPIENT_FAILED, TRIED, 0, 1001, NOTICE_NONE,
	 RECIPIENT_FAILED, 0, 0},
	/* Its sender cannot be told, whatever NOTIFY says; the postmaster may be. */
	{"failed bounce", "", NOTIFY_NEVER, 1, 0, RECIPIENT_FAILED, TRIED, 0, 1001, NOTICE_FAILED,
	 RECIPIENT_FAILED, 0, 0},
	{"relayed", "a@b", 0, 0, 0, RECIPIENT_RELAYED, TRIED, 0, 1001, NOTICE_NONE,
	 RECIPIENT_RELAYED, 0, 0},
	{"success", "a@b", NOTIFY_SUCCESS, 0, 0, RECIPIENT_RELAYED, TRIED, 0, 1001, NOTICE_SUCCESS,
	 RECIPIENT_RELAYED, 0, 0},
	{"success passed on", "a@b", NOTIFY_SUCCESS, 0, 0, RECIPIENT_RELAYED, TRIED, 1, 1001,
	 NOTICE_NONE, RECIPIENT_RELAYED, 0, 0},
	{"success of a bounce", "", NOTIFY_SUCCESS, 1, 0, RECIPIENT_RELAYED, TRIED, 0, 1001,
	 NOTICE_NONE, RECIPIENT_RELAYED, 0, 0},
	{"delivered", "a@b", NOTIFY_SUCCESS, 0, 0, RECIPIENT_DELIVERED, TRIED, 0, 1001,
	 NOTICE_SUCCESS, RECIPIENT_DELIVERED, 0, 0},
	{"deleted", "a@b", 0, 0, 0, RECIPIENT_DELETED, IDLE, 0, 1600, NOTICE_NONE,
	 RECIPIENT_DELETED, 0, 0},
};

static void test_judge(void **state)
{
	struct config c = {
		.queue = {
			.warn_after_ns = 100 * SECOND_NS,
			.give_up_after_ns = 500 * SECOND_NS,
			.bounce_give_up_after_ns = 200 * SECOND_NS,
		},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(judgements) / sizeof(judgements[0]); i++) {
		struct message *m =
			make(judgements[i].sender, judgements[i].notify, judgements[i].is_bounce);
		struct judgement j = {
			.config = &c,
			.message = m,
			.now_ms = MS(judgements[i].now_s),
			.retry_ms = MS(10),
			.was_warned = judgements[i].was_warned,
			.next_ms = MS(7777),
		};
		struct outcome o = {
			.state = judgements[i].state, .attempted = judgements[i].attempted,
			.dsn_passed = judgements[i].dsn_passed,
		};
		bool expired;
		int kind = notice_judge(&j, &o, &expired);

		if (kind != judgements[i].expected || o.state != judgements[i].expected_state)
			fail_msg("%s: notice %d, state %d", judgements[i].name, kind, o.state);
		if (o.state == RECIPIENT_QUEUED && (o.warned != judgements[i].expected_warned ||
						    o.next_ms != MS(judgements[i].next_s)))
			fail_msg("%s: warned %d, next %lld", judgements[i].name, o.warned,
				 (long long)o.next_ms);
		message_unref(m);
	}
}

/* What a deadline finds to do, and of whom another's notice may tell. */
static void test_due(void **state)
{
	static const struct {
		const char *name, *sender;
		unsigned notify;
		bool warned;
		int now_s;
		bool due, may_warn;
	} rows[] = {
		{ "fresh", "a@b", 0, false, 1050, false, true },
		{ "late", "a@b", 0, false, 1100, true, true },
		{ "late, told", "a@b", 0, true, 1100, false, true },
		{ "late, unwanted", "a@b", NOTIFY_FAILURE, false, 1100, true, false },
		{ "expired", "a@b", 0, true, 1500, true, false },
		{ "bounce", "", 0, false, 1150, false, false },
		{ "expired bounce", "", 0, false, 1200, true, false },
	};
	struct route never = { .name = STR("next"), .has_warn_after = true };
	const struct route *routes[] = { &never };
	struct config c = {
		.queue = {
			.warn_after_ns = 100 * SECOND_NS,
			.give_up_after_ns = 500 * SECOND_NS,
			.bounce_give_up_after_ns = 200 * SECOND_NS,
		},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message *m = make(rows[i].sender, rows[i].notify, false);
		int64_t now_ms = MS(rows[i].now_s);

		if (notice_is_due(&c, m, 0, rows[i].warned, now_ms) != rows[i].due ||
		    notice_may_warn(&c, m, 0, now_ms) != rows[i].may_warn)
			fail_msg("%s", rows[i].name);
		/* Its route never warns, whatever the queue says. */
		c.routes = routes;
		c.routes_n = 1;
		assert_false(notice_may_warn(&c, m, 0, now_ms));
		c.routes = NULL;
		c.routes_n = 0;
		message_unref(m);
	}
}

static void test_limits(void **state)
{
	struct quota *l = mem_zalloc(sizeof(*l));
	char address[32];

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(quota_take(l, STR("a@b.example"), 5, MS(1)));
	assert_false(quota_take(l, STR("A@B.example"), 5, MS(2)));
	quota_give_back(l, STR("a@b.example"), MS(2));
	assert_true(quota_take(l, STR("A@B.example"), 5, MS(2)));
	assert_false(quota_take(l, STR("A@B.example"), 5, MS(2)));
	assert_true(quota_take(l, STR("c@b.example"), 5, MS(2)));
	/* Others that fill the table do not make it forget who had the most. */
	for (int i = 0; i < 100000; i++) {
		snprintf(address, sizeof(address), "%d@flood.example", i);
		quota_take(l, str_of(address), 5, MS(3));
	}
	assert_false(quota_take(l, STR("a@b.example"), 5, MS(4)));
	assert_true(quota_take(l, STR("a@b.example"), 5, MS(3602)));
	assert_false(quota_take(l, STR("z@b.example"), 0, MS(1)));
	mem_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
