/*
 * schedule/: gates between the queues and the hops - limits, providers, sources, and what replies
 * ask for: what waits, for how long, in which order, and that waiting is no attempt.
 */
#include "unit/schedule/rig.h"

static uint64_t domain_done[10];	/* jobs, by the digit of their domain */
static uint64_t source_done[4];		/* by the digit of their source; 3: from none */
static unsigned domain_now[10], together_peak;
static uint64_t recipients_max;

static unsigned digit_of(const struct job *j)
{
	return (unsigned)(destination_domain(j->destination).p[1] - '0');
}

static void count_begin(const struct job *j)
{
	unsigned together = 0;

	if (!destination_domain(j->destination).n)
		return;
	domain_now[digit_of(j)]++;
	for (unsigned i = 0; i < 10; i++)
		together += domain_now[i];
	if (together > together_peak)
		together_peak = together;
	if (j->recipients_n > recipients_max)
		recipients_max = j->recipients_n;
}

static void count_end(struct slot *slot)
{
	if (!destination_domain(slot->destination).n)
		return;
	domain_now[digit_of(slot->finished)]--;
	domain_done[digit_of(slot->finished)]++;
	source_done[slot->source ? slot->source->text[1] - '0' : 3]++;
}

static void begin(unsigned workers, const char *more, const char *route_more)
{
	memset(domain_done, 0, sizeof(domain_done));
	memset(source_done, 0, sizeof(source_done));
	memset(domain_now, 0, sizeof(domain_now));
	together_peak = 0;
	recipients_max = 0;
	rig_open(workers);
	rig.job_hook = count_begin;
	rig.work_hook = count_end;
	rig.work_ns = 100 * MILLISECOND;
	rig.config_more = more;
	rig.route_more = route_more;
	rig_reconfigure(ROUTES);
}

static void add(unsigned n, const char *routes)
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = rig_message(1, routes);

		schedule_add(rig.schedule, m);
		message_unref(m);
	}
}

static struct destination_state seen;

static void see(void *arg, const struct destination_state *d)
{
	if (!strcmp(d->name, arg))
		seen = *d;
}

static void look(void *arg)
{
	seen = (struct destination_state){ .name = "" };
	schedule_destinations(rig.schedule, see, arg);
}

static void look_at(const char *name)
{
	rig_call(look, (void *)(uintptr_t)name);
}

static void set_provider(unsigned from, unsigned to, const char *name)
{
	for (unsigned i = from; i <= to; i++)
		rig.providers[i] = name_intern(str_of(name));
}

/* ---- limits */

static void test_rate(void **state)
{
	(void)state;
	begin(2, "limit 10/min messages to domain d6.example\n", NULL);
	add(100, "6");
	add(100, "7");
	stepped_run(30 * SECOND);
	assert_int_equal(domain_done[6], 10);
	assert_int_equal(domain_done[7], 100);
	look_at("d6.example");
	assert_int_equal(seen.status, DESTINATION_LIMITED);
	assert_int_equal(seen.ready, 90);
	assert_int_equal(seen.slots, 0);
	assert_true(strlen(seen.said) > 10);
	for (unsigned minute = 1; minute < 10; minute++) {
		stepped_run(60 * SECOND);
		assert_in_range(domain_done[6], 10 * minute, 10 * (minute + 1));
	}
	stepped_run(2 * MINUTE);
	assert_int_equal(domain_done[6], 100);
	rig_close();
}

/* A provider's gate is passed in turns: who has a thousand does not go before who has ten. */
static void test_provider(void **state)
{
	(void)state;
	begin(2, "limit 60/min messages per provider\nlimit 3 connections per provider\n", NULL);
	set_provider(6, 9, "p");
	add(1000, "6");
	stepped_run(10 * SECOND);
	add(10, "7");
	add(10, "8");
	stepped_run(3 * MINUTE);
	assert_in_range(together_peak, 1, 3);
	assert_int_equal(domain_done[7] + domain_done[8], 20);
	stepped_run(17 * MINUTE);
	assert_int_equal(domain_done[6], 1000);
	rig_close();
}

static void test_connections_of_provider(void **state)
{
	(void)state;
	begin(3, "limit 4 connections per provider\n", NULL);
	set_provider(6, 8, "p");
	add(400, "6");
	add(400, "7");
	add(400, "8");
	stepped_run(MINUTE);
	assert_int_equal(rig.jobs_done, 1200);
	assert_int_equal(together_peak, 4);
	rig_close();
}

/* Nothing is known of the provider: one slot at a time, which asks by the destination alone. */
static void test_provider_unknown(void **state)
{
	(void)state;
	begin(2, "", NULL);
	rig.provider_unknown = true;
	add(50, "6");
	stepped_run(MINUTE);
	assert_int_equal(domain_done[6], 50);
	assert_int_equal(together_peak, 1);
	look_at("d6.example");
	rig.provider_unknown = false;
	add(50, "6");
	stepped_run(MINUTE);
	assert_int_equal(domain_done[6], 100);
	assert_in_range(together_peak, 2, 20);
	rig_close();
}

/* The domain moves to another provider, whose limits count from then on. */
static void test_provider_changes(void **state)
{
	(void)state;
	begin(2, "provider p { mx p.example }\nprovider q { mx q.example }\n"
		 "limit 1/min messages to provider q\n", NULL);
	set_provider(6, 6, "p");
	add(10, "6");
	stepped_run(SECOND);
	assert_int_equal(domain_done[6], 10);
	set_provider(6, 6, "q");
	add(10, "6");
	stepped_run(30 * SECOND);
	assert_in_range(domain_done[6], 11, 11);
	look_at("d6.example");
	assert_string_equal(seen.provider->text, "q");
	stepped_run(10 * MINUTE);
	assert_int_equal(domain_done[6], 20);
	rig_close();
}

/* More recipients than may go: the job goes in parts, and none of them is counted twice. */
static void test_split(void **state)
{
	struct message *m;

	(void)state;
	begin(2, "limit 10/min recipients per destination\n", NULL);
	m = rig_message(25, "6");
	schedule_add(rig.schedule, m);
	assert_int_equal(m->jobs_n, 1);
	stepped_run(30 * SECOND);
	assert_int_equal(rig.final, 10);
	stepped_run(61 * SECOND);
	assert_int_equal(rig.final, 20);
	stepped_run(61 * SECOND);
	assert_int_equal(rig.final, 25);
	assert_int_equal(recipients_max, 10);
	assert_true(rig_is_done(m));
	message_unref(m);
	rig_close();
}

static unsigned untried_left;

static void untried(struct slot *slot)
{
	count_end(slot);
	if (!untried_left)
		return;
	untried_left--;
	for (uint32_t i = 0; i < slot->finished->recipients_n; i++)
		slot->finished->message->recipients[slot->finished->recipients[i]].state =
			RECIPIENT_QUEUED;
	slot->result = JOB_UNTRIED;
}

static void test_give_back(void **state)
{
	(void)state;
	begin(1, "limit 10/h messages per destination\n", NULL);
	rig.work_hook = untried;
	untried_left = 30;
	add(11, "6");
	stepped_run(10 * MINUTE);
	assert_int_equal(untried_left, 0);
	assert_int_equal(domain_done[6], 40);
	stepped_run(HOUR);
	assert_int_equal(domain_done[6], 41);
	rig_close();
}

/* A reload that lifts a limit sets free who waits for it. */
static void test_reload(void **state)
{
	(void)state;
	begin(2, "limit 1/day messages per destination\n", NULL);
	add(20, "6");
	stepped_run(HOUR);
	assert_int_equal(domain_done[6], 1);
	rig.config_more = "";
	rig_reconfigure(ROUTES);
	stepped_run(MINUTE);
	assert_int_equal(domain_done[6], 20);
	rig_close();
}

/* D9: what waits at a gate is warned about and given up at its time. */
static void test_deadlines(void **state)
{
	struct message *m;

	(void)state;
	begin(2, "limit 1/day messages per destination\n", NULL);
	add(1, "6");
	stepped_run(SECOND);
	add(10, "6");
	m = rig_message(1, "6");
	schedule_add(rig.schedule, m);
	stepped_run(5 * HOUR);
	assert_int_equal(rig.deadlines, 11);
	assert_int_equal(m->recipients[0].warned, 1);
	assert_int_equal(m->recipients[0].attempts, 0);
	stepped_run(120 * HOUR);
	assert_true(rig_is_done(m));
	message_unref(m);
	rig_close();
}

/* ---- sources */

#define SOURCES "source s0 address 192.0.2.1\nsource s1 address 192.0.2.2\n" \
		"source s2 address 192.0.2.3\n"

static const char *refused_source;
static enum reaction reaction;
static unsigned refused_n;

static void put_back(struct slot *slot)
{
	for (uint32_t i = 0; i < slot->finished->recipients_n; i++) {
		struct recipient *r =
			&slot->finished->message->recipients[slot->finished->recipients[i]];

		r->state = RECIPIENT_QUEUED;
		slot->finished->message->open_n++;
	}
	slot->result = JOB_DEFERRED;
	slot->next_ms = loop_wall_ms() + 300000;
}

static bool one_each;		/* messages on a connection */

static void refuse(struct slot *slot)
{
	unsigned at = slot->source ? (unsigned)(slot->source->text[1] - '0') : 3;

	slot->spent = one_each;
	if (!refused_source || (slot->source && !strchr(refused_source, slot->source->text[1]))) {
		source_done[at]++;
		return;
	}
	refused_n++;
	slot->reaction = reaction;
	str_copy(slot->reacts_to, sizeof(slot->reacts_to), STR("421 go away"));
	put_back(slot);
}

static void begin_sources(unsigned workers, const char *pool)
{
	begin(workers,
	      SOURCES "pool main { source s0 weight 3; source s1 weight 1 }\n"
		      "pool one { source s0 }\n",
	      pool);
	rig.job_hook = NULL;
	rig.work_hook = refuse;
	refused_source = NULL;
	refused_n = 0;
	one_each = false;
}

static void test_shares(void **state)
{
	(void)state;
	begin_sources(2, "source main");
	rig.work_ns = 0;
	for (int i = 0; i < 400; i++) {
		add(1, "0");
		stepped_run(MILLISECOND);
	}
	stepped_run(MINUTE);
	assert_int_equal(source_done[0] + source_done[1], 400);
	assert_in_range(source_done[0], 240, 360);
	rig_close();
}

/* A backlog keeps two slots busy, but each new connection is from a source drawn anew. */
static void test_shares_of_a_backlog(void **state)
{
	(void)state;
	begin_sources(1, "source main");
	one_each = true;
	add(400, "1");
	stepped_run(2 * MINUTE);
	assert_int_equal(source_done[0] + source_done[1], 400);
	assert_in_range(source_done[0], 240, 360);
	rig_close();
}

/* One source is refused: the other takes over at once, and nothing counts as an attempt. */
static void test_other_source(void **state)
{
	struct message *m;

	(void)state;
	begin_sources(2, "source main");
	refused_source = "0";
	reaction = REACT_OTHER_SOURCE;
	add(100, "3");
	m = rig_message(1, "3");
	schedule_add(rig.schedule, m);
	stepped_run(30 * SECOND);
	assert_int_equal(source_done[1], 101);
	assert_int_equal(source_done[0], 0);
	assert_in_range(refused_n, 1, 20);
	assert_true(rig_is_done(m));
	message_unref(m);
	refused_source = NULL;
	stepped_run(61 * MINUTE);		/* then the first one is tried again */
	add(100, "3");
	stepped_run(MINUTE);
	assert_in_range(source_done[0], 20, 100);
	rig_close();
}

static void suspend_source(void *arg)
{
	(void)arg;
	CHECK(schedule_suspend(rig.schedule, SUSPEND_SOURCE, STR("s0"), STR("test")) == 0);
}

/* Slots that were started for a source, and have not asked yet, do not go by it any more. */
static void test_source_suspended_before_the_first_turn(void **state)
{
	(void)state;
	begin_sources(2, "source main");
	refused_source = NULL;
	rig.resolve_ns = SECOND;
	add(100, "3");
	stepped_run(SECOND / 2);
	assert_int_equal(rig.slots, 0);
	rig_call(suspend_source, NULL);
	stepped_run(5 * MINUTE);
	assert_int_equal(source_done[0], 0);
	assert_int_equal(source_done[1], 100);
	rig_close();
}

/* All are refused: then it waits as any other job, an hour for the sources. */
static void test_no_other_source(void **state)
{
	(void)state;
	begin_sources(2, "source main");
	refused_source = "01";
	reaction = REACT_OTHER_SOURCE;
	add(1, "0");
	stepped_run(10 * MINUTE);
	assert_int_equal(refused_n, 2);
	stepped_run(49 * MINUTE);
	assert_int_equal(refused_n, 2);
	refused_source = NULL;
	stepped_run(10 * MINUTE);
	assert_int_equal(rig.final - refused_n, 1);
	rig_close();
}

static void test_pause(void **state)
{
	(void)state;
	begin_sources(2, "source one");
	refused_source = "0";
	reaction = REACT_PAUSE;
	add(50, "2");
	stepped_run(SECOND);
	assert_in_range(refused_n, 1, 5);
	refused_source = NULL;
	stepped_run(9 * MINUTE);
	assert_int_equal(source_done[0], 0);
	look_at("r2");
	assert_int_equal(seen.status, DESTINATION_LIMITED);
	assert_string_equal(seen.last, "421 go away");
	stepped_run(7 * MINUTE);
	assert_int_equal(source_done[0], 50);
	rig_close();
}

static void test_slow(void **state)
{
	uint64_t fast;

	(void)state;
	begin_sources(1, "source one");
	rig.work_ns = 10 * MILLISECOND;
	add(2000, "2");
	stepped_run(SECOND);
	fast = source_done[0];
	assert_in_range(fast, 400, 500);
	refused_source = "0";
	reaction = REACT_SLOW;
	stepped_run(20 * MILLISECOND);
	refused_source = NULL;
	stepped_run(SECOND);
	assert_in_range(source_done[0] - fast, 2, fast / 3);
	stepped_run(30 * MINUTE);		/* it recovers by itself */
	assert_int_equal(source_done[0], 2000);
	rig_close();
}

/* What the fresh source may not send today goes by the overflow. */
static void test_warm_up(void **state)
{
	(void)state;
	begin_sources(2, "source one");
	rig.config_more = "source s1 address 192.0.2.2\n"
			  "source s0 address 192.0.2.1 {\n"
			  "warm_up from 2023-11-14 50 100 200 overflow s1\n}\n";
	rig.route_more = "source s0";
	rig_reconfigure(ROUTES);
	add(120, "3");
	stepped_run(MINUTE);
	assert_int_equal(source_done[0], 50);
	assert_int_equal(source_done[1], 70);
	stepped_run(2 * HOUR);	/* a new day, UTC */
	add(120, "3");
	stepped_run(MINUTE);
	assert_int_equal(source_done[0], 150);
	assert_int_equal(source_done[1], 90);
	rig_close();
}

/* The spare one is for what the others may not send, and only for that. */
static void test_spare(void **state)
{
	(void)state;
	begin_sources(2, "source one");
	rig.config_more = SOURCES "pool main { source s0; source s1 weight 0 }\n";
	rig.route_more = "source main";
	rig_reconfigure(ROUTES);
	add(100, "3");
	stepped_run(MINUTE);
	assert_int_equal(source_done[0], 100);
	refused_source = "0";
	reaction = REACT_OTHER_SOURCE;
	add(100, "3");
	stepped_run(MINUTE);
	assert_int_equal(source_done[1], 100);
	rig_close();
}

/* ---- parts */

static unsigned partly_n;

static void partly(struct slot *slot)
{
	struct job *j = slot->finished;

	if (partly_n++)
		return;
	put_back(slot);
	slot->result = JOB_PARTLY;
	for (uint32_t i = 0; i < j->recipients_n; i += 2)
		j->message->recipients[j->recipients[i]].next_ms = loop_wall_ms() + 60000;
}

static void test_partly(void **state)
{
	struct message *m;

	(void)state;
	begin(2, "", NULL);
	rig.job_hook = NULL;
	rig.work_hook = partly;
	partly_n = 0;
	m = rig_message(10, "6");
	schedule_add(rig.schedule, m);
	stepped_run(SECOND);
	assert_int_equal(partly_n, 2);
	assert_int_equal(m->jobs_n, 1);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(m->recipients[i].state,
				 i % 2 ? RECIPIENT_RELAYED : RECIPIENT_QUEUED);
	stepped_run(MINUTE);
	assert_int_equal(partly_n, 3);
	assert_true(rig_is_done(m));
	message_unref(m);
	rig_close();
}

/* ---- many connections to a provider are refused: its lane learns, its domains do not rest */

static void test_refused_by_provider(void **state)
{
	(void)state;
	begin(2, "", NULL);
	set_provider(6, 9, "p");
	rig.job_hook = NULL;
	rig.work_hook = NULL;
	rig.work_ns = SECOND;
	rig.refuse_above = 3;
	add(400, "6789");
	stepped_run(5 * MINUTE);
	assert_int_equal(rig.jobs_done, 400);
	assert_in_range(rig.downs, 1, 40);
	rig_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_provider),
		cmocka_unit_test(test_connections_of_provider),
		cmocka_unit_test(test_provider_unknown),
		cmocka_unit_test(test_provider_changes),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_give_back),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_shares_of_a_backlog),
		cmocka_unit_test(test_other_source),
		cmocka_unit_test(test_source_suspended_before_the_first_turn),
		cmocka_unit_test(test_no_other_source),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_warm_up),
		cmocka_unit_test(test_spare),
		cmocka_unit_test(test_partly),
		cmocka_unit_test(test_refused_by_provider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
