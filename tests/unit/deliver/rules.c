/*
 * deliver/react: rules for replies - what they make of a refusal at each stage, for the recipients
 * and for the slot's report.
 */
#include "unit/deliver/rig.h"

#define R RECIPIENT_RELAYED
#define Q RECIPIENT_QUEUED
#define F RECIPIENT_FAILED
#define NOBODY 9		/* no outcome: open */
#define MINUTE (60 * SECOND)
#define ANY_RULE(text) "providers none\nprovider any {\n" text "\n}\n"

struct scenario {
	const char *name;
	const char *rule;
	struct peer peer;
	unsigned states[2];
	enum job_result result;
	enum destination_result learnt;
	enum reaction reaction;
	uint64_t ns;			/* of the reaction; of DEFER: the wait */
};

#define UNKNOWN DESTINATION_UNKNOWN
#define WORKS DESTINATION_WORKS
#define DOWN DESTINATION_DOWN

static const struct scenario scenarios[] = {
	/* ---- greeting and EHLO */
	{ "greeting, none fits", "on reply 421 then pause 5m", { .greeting = "554 no" },
	  { NOBODY, NOBODY }, JOB_UNTRIED, DOWN, REACT_NONE, 0 },
	{ "greeting slow", "on reply 421 then slow", { .greeting = "421 4.7.0 too many" },
	  { NOBODY, NOBODY }, JOB_UNTRIED, DOWN, REACT_SLOW, 0 },
	{ "greeting pause", "on reply 421 then pause 5m", { .greeting = "421 4.7.0 too many" },
	  { NOBODY, NOBODY }, JOB_UNTRIED, UNKNOWN, REACT_PAUSE, 5 * MINUTE },
	{ "greeting other source", "on reply 554 matches \"blocked\" then other-source 1h",
	  { .greeting = "554 5.7.1 you are blocked" },
	  { NOBODY, NOBODY }, JOB_PARTLY, UNKNOWN, REACT_OTHER_SOURCE, 60 * MINUTE },
	{ "greeting bounce", "on reply 554 then bounce", { .greeting = "554 5.7.1 never" },
	  { F, F }, JOB_SETTLED, UNKNOWN, REACT_NONE, 0 },
	{ "greeting defer", "on reply 554 then defer 6h", { .greeting = "554 5.7.1 never" },
	  { Q, Q }, JOB_DEFERRED, UNKNOWN, REACT_NONE, 360 * MINUTE },
	{ "EHLO pause", "on reply 5xx then pause 1h", { .ehlo = "550 no", .helo = "550 no" },
	  { NOBODY, NOBODY }, JOB_UNTRIED, UNKNOWN, REACT_PAUSE, 60 * MINUTE },

	/* ---- MAIL */
	{ "MAIL slow", "on reply 4xx then slow", { .mail = "451 4.7.1 too fast" },
	  { Q, Q }, JOB_DEFERRED, UNKNOWN, REACT_SLOW, 0 },
	{ "MAIL 421 slow", "on reply 421 then slow", { .mail = "421 4.7.1 too fast" },
	  { Q, Q }, JOB_DEFERRED, UNKNOWN, REACT_SLOW, 0 },
	{ "MAIL pause", "on status 4.7.* then pause 10m", { .mail = "451 4.7.1 too fast" },
	  { NOBODY, NOBODY }, JOB_PARTLY, UNKNOWN, REACT_PAUSE, 10 * MINUTE },
	{ "MAIL other source", "on reply 5xx matches \"list\" then other-source 4h",
	  { .mail = "554 5.7.1 on a list" },
	  { NOBODY, NOBODY }, JOB_PARTLY, UNKNOWN, REACT_OTHER_SOURCE, 240 * MINUTE },
	{ "MAIL bounce", "on reply 451 then bounce", { .mail = "451 4.1.8 no such sender" },
	  { F, F }, JOB_SETTLED, WORKS, REACT_NONE, 0 },
	{ "MAIL defer", "on reply 5xx then defer 30m", { .mail = "550 frequency limited" },
	  { Q, Q }, JOB_DEFERRED, WORKS, REACT_NONE, 30 * MINUTE },
	{ "MAIL 5xx pause", "on reply 5xx then pause 30m", { .mail = "550 5.7.1 spam" },
	  { F, F }, JOB_SETTLED, WORKS, REACT_PAUSE, 30 * MINUTE },

	/* ---- RCPT */
	{ "RCPT bounce", "on reply 450 matches \"no such user\" then bounce",
	  { .rcpt = { "450 4.1.1 No Such User" } }, { F, R }, JOB_SETTLED, WORKS, REACT_NONE, 0 },
	{ "RCPT defer", "on reply 550 then defer", { .rcpt = { "550 5.2.2 full" } },
	  { Q, R }, JOB_DEFERRED, WORKS, REACT_NONE, 0 },
	{ "RCPT slow", "on reply 450 then slow", { .rcpt = { "450 4.2.1 too fast" } },
	  { Q, R }, JOB_DEFERRED, WORKS, REACT_SLOW, 0 },
	{ "RCPT other source, one", "on reply 550 then other-source 1h",
	  { .rcpt = { "550 5.7.1 not you" } }, { NOBODY, R }, JOB_PARTLY, WORKS,
	  REACT_OTHER_SOURCE, 60 * MINUTE },
	{ "RCPT other source, all", "on reply 550 then other-source 1h",
	  { .rcpt = { "550 5.7.1 not you", "550 5.7.1 not you" } }, { NOBODY, NOBODY },
	  JOB_PARTLY, UNKNOWN, REACT_OTHER_SOURCE, 60 * MINUTE },
	{ "RCPT other source, then lost", "on reply 550 then other-source 1h",
	  { .rcpt = { "550 5.7.1 not you" }, .dot = { "!close" } }, { NOBODY, Q },
	  JOB_PARTLY, WORKS, REACT_OTHER_SOURCE, 60 * MINUTE },
	{ "RCPT 421 pause", "on reply 421 then pause 1m", { .rcpt = { NULL, "421 4.3.2 off" } },
	  { NOBODY, NOBODY }, JOB_PARTLY, UNKNOWN, REACT_PAUSE, MINUTE },

	/* ---- the gravest counts */
	{ "two reactions", "on reply 450 then slow\non reply 451 then pause 2m",
	  { .rcpt = { "451 4.7.1 a", "450 4.7.1 b" } }, { Q, Q }, JOB_DEFERRED, WORKS, REACT_PAUSE,
	  2 * MINUTE },

	/* ---- content */
	{ "DATA defer", "on reply 554 then defer 1h", { .data = "554 5.7.1 no" },
	  { Q, Q }, JOB_DEFERRED, WORKS, REACT_NONE, 60 * MINUTE },
	{ "dot bounce", "on reply 451 then bounce", { .dot = { "451 4.7.1 spam" } },
	  { F, F }, JOB_SETTLED, WORKS, REACT_NONE, 0 },
	{ "dot slow", "on reply 451 then slow", { .dot = { "451 4.7.28 rate" } },
	  { Q, Q }, JOB_DEFERRED, WORKS, REACT_SLOW, 0 },
	{ "dot pause", "on reply 451 then pause 3m", { .dot = { "451 4.7.28 rate" } },
	  { Q, Q }, JOB_DEFERRED, WORKS, REACT_PAUSE, 3 * MINUTE },
	{ "dot other source", "on reply 550 then other-source 1h", { .dot = { "550 5.7.1 list" } },
	  { NOBODY, NOBODY }, JOB_PARTLY, UNKNOWN, REACT_OTHER_SOURCE, 60 * MINUTE },
	{ "dot 421 other source", "on reply 421 then other-source 1h", { .dot = { "421 no" } },
	  { NOBODY, NOBODY }, JOB_PARTLY, UNKNOWN, REACT_OTHER_SOURCE, 60 * MINUTE },
};

static void check_outcomes(const struct scenario *s)
{
	int64_t now_ms = world_real()->wall_ms(world_real());

	for (int i = 0; i < 2; i++) {
		const struct kept *k = &rig.kept[i];

		assert_int_equal(k->known ? k->state : NOBODY, s->states[i]);
		if (k->known && k->state == Q && s->reaction == REACT_NONE && s->ns)
			assert_in_range(k->next_ms, now_ms + (int64_t)(s->ns / MILLISECOND) - 60000,
					now_ms + (int64_t)(s->ns / MILLISECOND) + 60000);
	}
}

static void test_scenarios(void **state)
{
	static const struct mail two = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 },
					 .recipients_n = 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		const struct scenario *s = &scenarios[i];
		struct peer p = s->peer;
		char text[512];

		print_message("%s\n", s->name);
		snprintf(text, sizeof(text), ANY_RULE("%s"), s->rule);
		rig_open_with(text);
		rig_peer(0, &p);
		rig_try_one(&two);
		check_outcomes(s);
		assert_int_equal(rig.result, s->result);
		assert_int_equal(rig.learnt, s->learnt);
		assert_int_equal(rig.reaction, s->reaction);
		if (s->reaction != REACT_NONE) {
			assert_int_equal(rig.reaction_ns, s->ns);
			assert_true(rig.reacts_to[0]);
		}
		rig_close();
		peer_stop(&p);
		peer_forget(&p);
	}
}

/* A provider's hosts speak with one voice, but only when they turn us away. */
static void test_other_hosts(void **state)
{
	static const struct {
		const char *rule;
		unsigned second;	/* transactions there */
	} rows[] = {
		{ "on reply 421 then slow", 1 },
		{ "on reply 421 then pause 1m", 0 },
		{ "on reply 421 then other-source 1m", 0 },
		{ "on reply 421 then defer 1m", 0 },
		{ "on reply 421 then bounce", 0 },
	};
	static const struct mail plain = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer a = { .greeting = i % 2 ? "421 no" : NULL,
				  .mail = i % 2 ? NULL : "421 no" }, b = { 0 };
		char text[512];

		snprintf(text, sizeof(text), ANY_RULE("%s"), rows[i / 2].rule);
		rig_open_with(text);
		rig_peer(0, &a);
		rig_peer(1, &b);
		rig.hosts[1].backup = true;
		rig_try_one(&plain);
		rig_close();
		peer_stop(&a);
		peer_stop(&b);
		assert_int_equal(b.transactions, rows[i / 2].second);
		peer_forget(&a);
		peer_forget(&b);
	}
}

/* A server that takes so many messages per connection is not "too fast". */
static void test_stale_is_no_refusal(void **state)
{
	static const struct mail plain = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } };
	struct peer p = { .messages_max = 2 };
	struct message *m[6];

	(void)state;
	rig_open_with(ANY_RULE("on reply 421 then slow"));
	rig_peer(0, &p);
	for (int i = 0; i < 6; i++)
		m[i] = rig_message(&plain);
	rig_try(m, 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(m[i]->recipients[0].state, R);
		message_unref(m[i]);
	}
	assert_int_equal(rig.reaction, REACT_NONE);
	rig_close();
	peer_stop(&p);
	assert_int_equal(p.connections, 3);
	peer_forget(&p);
}

/* The rules of the provider to whom the exchangers belong come first. */
static void test_by_provider(void **state)
{
	static const struct mail plain = { .content = { RIG_CONTENT, sizeof(RIG_CONTENT) - 1 } };
	struct peer p = { .mail = "451 4.7.1 no" };

	(void)state;
	rig_open_with("providers none\n"
		      "provider hoster { mx .hoster.test; on reply 451 then bounce }\n"
		      "provider any { on reply 451 then pause 1m }\n");
	rig_peer(0, &p);
	rig_try_one(&plain);
	assert_int_equal(rig.reaction, REACT_PAUSE);
	rig.route.is_mx = true;
	rig.route.mx_port = p.port;
	rig_destination("r", "there.example");
	zone_add("there.example MX 10 in.hoster.test");
	zone_add("in.hoster.test A 127.0.0.1");
	rig_try_one(&plain);
	assert_int_equal(rig.kept[0].state, F);
	rig_close();
	peer_stop(&p);
	peer_forget(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scenarios),
		cmocka_unit_test(test_other_hosts),
		cmocka_unit_test(test_stale_is_no_refusal),
		cmocka_unit_test(test_by_provider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
