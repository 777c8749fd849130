/* recipients: tables, what the server said and for how long, servers that are down, bounds. */
#include "policy/recipients.h"

#include "base/hash.h"
#include "config/table.h"
#include "unit/policy/zone.h"

#include <stdlib.h>
#include <unistd.h>

#define HOURS(n) ((n) * 3600 * SECOND)

static unsigned asked;
static int word;			/* what the server says next */
static unsigned inside, most;

static int ask(void *arg, const struct config *c, const struct route *r, struct str recipient)
{
	(void)arg;
	(void)c;
	(void)r;
	CHECK(recipient.n);
	asked++;
	if (++inside > most)
		most = inside;
	task_sleep_until(in_ms(5));
	inside--;
	return word;
}

static const struct recipients_ask server = { .ask = ask };
static struct recipients *known;
static struct route route = { .callout = true };

static int look(const char *text, unsigned code)
{
	struct address a = address_split(str_of(text));
	struct reply reply = { 0 };
	int r = recipients_known(known, NULL, &route, &a, in_seconds(20), &reply);

	CHECK_EQ(reply.code, code);
	return r;
}

static void callouts(void *arg)
{
	(void)arg;
	word = WORD_YES;
	CHECK_EQ(look("a@x", 0), RECIPIENT_EXISTS);
	word = WORD_NO;
	CHECK_EQ(look("A@X", 0), RECIPIENT_EXISTS);
	CHECK_EQ(look("b@x", 550), RECIPIENT_MISSING);
	CHECK_EQ(look("b@x", 550), RECIPIENT_MISSING);
	CHECK_EQ(asked, 2);
	/* a no is believed for an hour, a yes for a day */
	word = WORD_YES;
	zone_pass(HOURS(1));
	CHECK_EQ(look("b@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(asked, 3);
	word = WORD_NO;
	zone_pass(HOURS(22));
	CHECK_EQ(look("a@x", 0), RECIPIENT_EXISTS);
	zone_pass(HOURS(2));
	CHECK_EQ(look("a@x", 550), RECIPIENT_MISSING);
	/* it will not say: who exists does, the others are told to come back */
	word = WORD_LATER;
	zone_pass(HOURS(25));
	CHECK_EQ(look("b@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(look("c@x", 450), RECIPIENT_LATER);
}

static void server_down(void *arg)
{
	(void)arg;
	asked = 0;
	word = WORD_YES;
	CHECK_EQ(look("yes@x", 0), RECIPIENT_EXISTS);
	word = WORD_NO;
	CHECK_EQ(look("no@x", 550), RECIPIENT_MISSING);
	word = WORD_NONE;
	asked = 0;
	zone_pass(HOURS(1000));
	CHECK_EQ(look("yes@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(asked, 1);
	/* for half a minute nobody tries again */
	CHECK_EQ(look("no@x", 0), RECIPIENT_UNSURE);
	CHECK_EQ(look("new@x", 0), RECIPIENT_UNSURE);
	CHECK_EQ(look("yes@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(asked, 1);
	word = WORD_NO;
	zone_pass(31 * SECOND);
	CHECK_EQ(look("new@x", 550), RECIPIENT_MISSING);
	word = -ECANCELED;
	CHECK_EQ(look("another@x", 0), -ECANCELED);
}

static unsigned left;

static void one_of_many(void *arg)
{
	char text[32];

	snprintf(text, sizeof(text), "u%zu@many", (size_t)arg);
	CHECK_EQ(look(text, 0), RECIPIENT_EXISTS);
	left--;
}

static void many(void *arg)
{
	struct recipients *others = known;

	(void)arg;
	known = recipients_new(&server, 100);
	word = WORD_YES;
	asked = most = 0;
	for (left = 0; left < 200; left++)
		CHECK(task_start(NULL, one_of_many, (void *)(size_t)(left % 50), "one"));
	while (left)
		task_sleep_until(in_ms(2));
	CHECK_EQ(most, RECIPIENTS_AT_ONCE);
	CHECK(asked >= 50 && asked < 50 + RECIPIENTS_AT_ONCE);
	for (size_t i = 0; i < 300; i++) {
		left = 1;
		one_of_many((void *)i);
		CHECK(recipients_count(known) <= 100);
	}
	recipients_free(known);
	known = others;
}

static void with_table(void *arg)
{
	struct arena arena = { .blocks = NULL };
	struct table *t = table_new(&arena, STR_NONE);
	struct entry e;

	(void)arg;
	CHECK(entry_parse(STR("listed@x"), &e));
	table_insert(t, &e);
	route = (struct route){ .recipients = t };
	CHECK_EQ(look("Listed@X", 0), RECIPIENT_EXISTS);
	CHECK_EQ(look("other@x", 550), RECIPIENT_MISSING);
	/* both: the table first, the server for the others */
	route.callout = true;
	word = WORD_YES;
	asked = 0;
	CHECK_EQ(look("listed@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(asked, 0);
	CHECK_EQ(look("asked@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(asked, 1);
	/* never of mail exchangers, and not where nothing is said */
	route = (struct route){ .callout = true, .is_mx = true };
	CHECK_EQ(look("any@x", 0), RECIPIENT_EXISTS);
	route = (struct route){ .callout = false };
	CHECK_EQ(look("any@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(asked, 1);
	route = (struct route){ .callout = true };
	table_done(t);
	arena_done(&arena);
}

/* A flood of names that do not exist, before and after: who exists is still known. */
static void flood(void *arg)
{
	char name[32];

	(void)arg;
	word = WORD_YES;
	for (unsigned i = 0; i < 60; i++)
		snprintf(name, sizeof(name), "yes%u@x", i), look(name, 0);
	word = WORD_NO;
	for (unsigned i = 0; i < 500; i++)
		snprintf(name, sizeof(name), "no%u@x", i), look(name, 550);
	CHECK_EQ(recipients_count(known), 100);
	asked = 0;
	CHECK_EQ(look("no499@x", 550), RECIPIENT_MISSING);	/* the newest are known as well */
	word = WORD_NONE;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "yes%u@x", i);
		CHECK_EQ(look(name, 0), RECIPIENT_EXISTS);
	}
	CHECK_EQ(asked, 0);
	/* more of them than there is room: the others keep a quarter, so a no is remembered */
	word = WORD_YES;
	for (unsigned i = 0; i < 500; i++)
		snprintf(name, sizeof(name), "more%u@x", i), look(name, 0);
	CHECK_EQ(recipients_count(known), 100);
	word = WORD_NO;
	for (unsigned i = 0; i < 25; i++)
		snprintf(name, sizeof(name), "late%u@x", i), look(name, 550);
	asked = 0;
	for (unsigned i = 0; i < 25; i++)
		snprintf(name, sizeof(name), "late%u@x", i), look(name, 550);
	for (unsigned i = 426; i < 500; i++)
		snprintf(name, sizeof(name), "more%u@x", i), look(name, 0);
	CHECK_EQ(asked, 0);
	/* he does not exist any more, and another one does: each counts where he is now */
	zone_pass(HOURS(25));
	look("more499@x", 550);
	word = WORD_YES;
	look("late24@x", 0);
	asked = 0;
	look("more499@x", 550);
	look("late24@x", 0);
	CHECK_EQ(asked, 0);
}

static void run(void (*fn)(void *arg))
{
	zone_open(NULL, 0, 1);
	known = recipients_new(&server, 100);
	zone_run(fn, NULL);
	recipients_free(known);
	zone_close();
}

static void test_callouts(void **state)
{
	(void)state;
	run(callouts);
}

static void test_server_down(void **state)
{
	(void)state;
	run(server_down);
}

static void test_flood(void **state)
{
	(void)state;
	run(flood);
}

static void test_many(void **state)
{
	(void)state;
	run(many);
}

static void test_table(void **state)
{
	(void)state;
	run(with_table);
}

/* ---- the file */

static char folder[] = "/tmp/relevo-recipients-XXXXXX";

static void restarted(void)
{
	recipients_stop(known);
	recipients_free(known);
	known = recipients_new(&server, 100);
	recipients_keep(known, &zone_world, folder);
}

static void before_restart(void *arg)
{
	(void)arg;
	word = WORD_YES;
	CHECK_EQ(look("yes@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(look("-odd %\x7f@x", 0), RECIPIENT_EXISTS);
	word = WORD_NO;
	CHECK_EQ(look("no@x", 550), RECIPIENT_MISSING);
}

/* The server is down, and we have begun anew: who exists does, who does not does not. */
static void after_restart(void *arg)
{
	(void)arg;
	word = WORD_NONE;
	asked = 0;
	CHECK_EQ(look("YES@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(look("-odd %\x7f@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(look("no@x", 550), RECIPIENT_MISSING);
	CHECK_EQ(asked, 0);
	CHECK_EQ(look("new@x", 0), RECIPIENT_UNSURE);
	CHECK_EQ(asked, 1);
}

/* A day later it has to be asked again, and still cannot be. */
static void a_day_later(void *arg)
{
	(void)arg;
	word = WORD_NONE;
	asked = 0;
	CHECK_EQ(look("yes@x", 0), RECIPIENT_EXISTS);
	CHECK_EQ(look("no@x", 0), RECIPIENT_UNSURE);
	CHECK_EQ(asked, 1);
}

static void pass_days(void *arg)
{
	zone_pass(HOURS(24) * (size_t)arg);
}

static void test_kept(void **state)
{
	static const char name[] = "/recipients";
	char path[64];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s%s", folder, name);
	route = (struct route){ .callout = true, .base = name_intern(STR("primary")) };
	zone_open(NULL, 0, 1);
	known = recipients_new(&server, 100);
	recipients_keep(known, &zone_world, folder);
	zone_run(before_restart, NULL);
	restarted();
	assert_int_equal(recipients_count(known), 3);
	zone_run(after_restart, NULL);
	zone_run(pass_days, (void *)1);
	restarted();
	assert_int_equal(recipients_count(known), 2);	/* a no is forgotten */
	zone_run(a_day_later, NULL);
	route.base = name_intern(STR("another"));
	zone_run(pass_days, (void *)1);
	word = WORD_YES;
	zone_run(before_restart, NULL);		/* other routes know nothing of it */
	zone_run(pass_days, (void *)30);
	restarted();
	assert_int_equal(recipients_count(known), 2);	/* what nobody confirmed is forgotten */
	recipients_free(known);
	zone_close();
	unlink(path);
	assert_return_code(rmdir(folder), 0);
}

static void test_words(void **state)
{
	const struct {
		struct reply reply;
		enum recipient_word word;
	} cases[] = {
		{ REPLY(250, 2, 1, 5, ""), WORD_YES }, { REPLY(251, 0, 0, 0, ""), WORD_YES },
		{ REPLY(550, 5, 1, 1, ""), WORD_NO }, { REPLY(550, 0, 0, 0, ""), WORD_NO },
		{ REPLY(553, 0, 0, 0, ""), WORD_NO }, { REPLY(550, 5, 2, 1, ""), WORD_NO },
		{ REPLY(552, 5, 2, 2, ""), WORD_YES }, { REPLY(552, 0, 0, 0, ""), WORD_NONE },
		{ REPLY(550, 5, 7, 1, ""), WORD_NONE }, { REPLY(554, 5, 7, 1, ""), WORD_NONE },
		{ REPLY(450, 4, 2, 0, ""), WORD_LATER }, { REPLY(421, 0, 0, 0, ""), WORD_LATER },
		{ REPLY(0, 0, 0, 0, ""), WORD_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (recipients_word(&cases[i].reply) != cases[i].word)
			fail_msg("case %zu: %u", i, cases[i].reply.code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callouts),
		cmocka_unit_test(test_server_down),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_words),
	};

	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
