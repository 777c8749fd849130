/* deliver/callout: what hosts say about one recipient, and that nothing is ever sent to them. */
#include "deliver/callout.h"

#include "policy/recipients.h"
#include "unit/deliver/rig.h"

static struct callout_case {
	const char *recipient;
	int word;
} asked;

static void ask(void *arg)
{
	(void)arg;
	asked.word = callout_ask(rig.deliver, rig.config, &rig.route, str_of(asked.recipient));
}

static int word_of(const char *recipient)
{
	asked = (struct callout_case){ recipient, -1 };
	rig_run(ask, NULL);
	return asked.word;
}

static void test_words(void **state)
{
	static const struct {
		const char *greeting, *ehlo, *mail, *rcpt;
		int word;
	} cases[] = {
		{ NULL, NULL, NULL, NULL, WORD_YES },
		{ NULL, NULL, NULL, "550 5.1.1 no such user", WORD_NO },
		{ NULL, NULL, NULL, "550 no such user", WORD_NO },
		{ NULL, NULL, NULL, "550 5.7.1 you are listed", WORD_NONE },
		{ NULL, NULL, NULL, "552 5.2.2 full", WORD_YES },
		{ NULL, NULL, NULL, "450 4.2.0 greylisted", WORD_LATER },
		{ NULL, NULL, NULL, "421 bye", WORD_LATER },
		{ NULL, NULL, "550 5.1.1 not from you", NULL, WORD_NONE },
		{ "554 go away", NULL, NULL, NULL, WORD_NONE },
		{ "421 busy", NULL, NULL, NULL, WORD_NONE },
		{ "!close", NULL, NULL, NULL, WORD_NONE },
		{ "!stall", NULL, NULL, NULL, WORD_NONE },
		{ NULL, NULL, NULL, "!close", WORD_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer p = { .greeting = cases[i].greeting, .ehlo = cases[i].ehlo,
				  .mail = cases[i].mail, .rcpt = { cases[i].rcpt } };
		int word;

		rig_open();
		rig_peer(0, &p);
		word = word_of("u@d.example");
		if (word != cases[i].word)
			fail_msg("case %zu: %d", i, word);
		rig_close();
		peer_stop(&p);
		assert_int_equal(p.content_n, 0);
		peer_forget(&p);
	}
}

static void test_dialogue(void **state)
{
	struct peer p = { .lmtp = false };

	(void)state;
	rig_open();
	rig_peer(0, &p);
	assert_int_equal(word_of("u@d.example"), WORD_YES);
	rig_close();
	peer_stop(&p);
	p.log[p.log_n] = 0;
	assert_non_null(strstr(p.log, "MAIL FROM:<>"));
	assert_non_null(strstr(p.log, "RCPT TO:<u@d.example>"));
	assert_non_null(strstr(p.log, "QUIT"));
	assert_null(strstr(p.log, "DATA"));
	peer_forget(&p);
}

/* The first that talks to us is believed; one that is down is passed over. */
static void test_hosts(void **state)
{
	struct peer p = { .rcpt = { "550 5.1.1 no" } };

	(void)state;
	rig_open();
	rig_host(0, "127.0.0.1", 1);
	rig_peer(1, &p);
	rig.hosts[1].backup = true;
	assert_int_equal(word_of("u@d.example"), WORD_NO);
	rig.route.hosts_n = 1;
	assert_int_equal(word_of("u@d.example"), WORD_NONE);
	rig.route.is_mx = true;
	assert_int_equal(word_of("u@d.example"), WORD_NONE);
	/* nothing is said that would not be an address */
	rig.route.is_mx = false;
	rig.hosts[0] = rig.hosts[1];
	assert_int_equal(word_of("u\r\nDATA@d.example"), WORD_NONE);
	rig_close();
	peer_stop(&p);
	p.log[p.log_n] = 0;
	assert_null(strstr(p.log, "DATA"));
	peer_forget(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_dialogue),
		cmocka_unit_test(test_hosts),
	};

	hash_seed(1, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
