/* spool: writes and syncs that fail (D4), a full disk, watermarks. */
#include "unit/spool/harness.h"

static void arm(atomic_int *counter, int nth, int in_a_row, int error)
{
	atomic_store(&failure, error);
	atomic_store(&failures_in_a_row, in_a_row);
	atomic_store(counter, nth);
}

/* Are exactly the acknowledged ones there? */
static void check_found(const struct put *puts, unsigned n)
{
	unsigned acknowledged = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned times = 0;

		for (unsigned j = 0; j < found_n; j++)
			if (id_eq(&found[j]->id, &puts[i].id)) {
				times++;
				assert_true(content_is(found[j], puts[i].octets, puts[i].seed));
			}
		if (puts[i].result == 0)
			assert_int_equal(times, 1);
		else
			assert_int_equal(times, 0);
		acknowledged += puts[i].result == 0;
	}
	assert_int_equal(found_n, acknowledged);
}

/*
 * One message after the other; the nth write or sync fails. The state as of a kill -9 is looked at,
 * too.
 */
static void one_failure(atomic_int *counter, int nth)
{
	struct put puts[12];
	struct spool_stats st;
	unsigned failed = 0;

	open_faulty();
	arm(counter, nth, 1, EIO);
	for (unsigned i = 0; i < 12; i++) {
		puts[i] = (struct put){ .octets = 3000 + i, .seed = i };
		run_task(put_task, &puts[i]);
		assert_true(puts[i].result == 0 || puts[i].result == -EIO);
		failed += puts[i].result != 0;
	}
	spool_stats(spool, &st);
	assert_true(st.poisoned <= 1);
	assert_true(failed <= 1);
	keep_state();
	close_spool();
	open_spool();
	check_found(puts, 12);
	close_spool();
	use_kept_state();
	open_spool();
	check_found(puts, 12);
	close_spool();
	open_spool();	/* and once more: what the recovery wrote is sound */
	check_found(puts, 12);
	assert_int_equal(atomic_load(&events[SPOOL_EVENT_DAMAGE]), 0);
	close_spool();
	remove_tree(default_options().path);
}

static void test_failed_writes(void **state)
{
	(void)state;
	for (int n = 1; n <= 7; n++)
		one_failure(&writes_until_failure, n);
}

static void test_failed_syncs(void **state)
{
	(void)state;
	for (int n = 1; n <= 7; n++)
		one_failure(&syncs_until_failure, n);
}

/* A note that was written but not synced when the segment was poisoned is written again. */
static void test_notes_survive_poison(void **state)
{
	struct put p = { .octets = 100, .seed = 1, .keep = true, .recipients = 2 };
	struct put q = { .octets = 100, .seed = 2 };
	struct put gone = { .octets = 100, .seed = 3, .keep = true };
	struct outcome o = { .recipient = 1, .state = RECIPIENT_RELAYED, .attempted = true,
			     .reply = REPLY(250, 2, 0, 0, "ok") };
	static const uint32_t first[] = { 0 };

	(void)state;
	open_faulty();
	run_task(put_task, &p);
	run_task(put_task, &gone);
	arm(&syncs_until_failure, 1, 1, EIO);
	assert_int_equal(record_outcomes(p.message, &o, 1, true), 0);
	assert_int_equal(reroute(p.message, first, 1, "mx:other", true), 0);
	assert_int_equal(finish_message(gone.message, true), 0);
	run_task(put_task, &q);
	message_unref(gone.message);
	keep_state();
	message_unref(p.message);
	close_spool();
	use_kept_state();
	open_spool();
	assert_int_equal(found_n, q.result == 0 ? 2 : 1);
	assert_true(id_eq(&found[0]->id, &p.id));
	assert_int_equal(found[0]->recipients[1].state, RECIPIENT_RELAYED);
	assert_string_equal(found[0]->recipients[1].last, "250 2.0.0 ok");
	assert_str_equal(recipient_route(found[0], 0), STR("mx:other"));
	assert_str_equal(recipient_route(found[0], 1), STR("mx"));
	close_spool();
}

struct bounce {
	struct message *about;		/* a bounce about it is committed with its first
					   recipient's state */
	struct message *note_about;	/* its second recipient is noted; both NULL: holds the
					   gate */
	int result;
};

static void bounce_task(void *arg)
{
	struct bounce *j = arg;
	struct outcome o = { .recipient = j->about ? 0 : 1,
			     .state = j->about ? RECIPIENT_FAILED : RECIPIENT_RELAYED };
	struct batch *b = batch_new(spool);
	struct message *bounce = NULL;

	if (j->about) {
		struct content *c = make_content(100, 9);

		bounce = make_message(1, c);
		content_unref(c);
		batch_message(b, bounce);
	}
	batch_outcomes(b, j->about ? j->about : j->note_about, &o, 1);
	j->result = j->about ? spool_commit(spool, b) : spool_note(spool, b);
	message_unref(bounce);
}

static void *open_gate(void *arg)
{
	(void)arg;
	wait_ms(150);
	atomic_store(&gate, 0);
	return NULL;
}

static void either_task(void *arg)
{
	struct bounce *j = arg;

	if (j->about || j->note_about) {
		task_sleep_until(in_ms(j->about ? 40 : 80));	/* the note last: it closes */
		bounce_task(arg);
	} else {
		struct put q = { .octets = 10, .seed = 1 };

		atomic_store(&gate, 1);
		put_task(&q);
		j->result = q.result;
	}
}

/*
 * A bounce with the final state it reports, and a note of the other recipient's, in one batch whose
 * sync fails: the bounce fails with its state, the note stands, and the message stays queued.
 */
static void test_half_final(void **state)
{
	struct put p = { .octets = 100, .seed = 1, .keep = true, .recipients = 2 };
	struct bounce jobs[3] = { { 0 } };
	struct outcome failed = { .state = RECIPIENT_FAILED };
	struct message *m;
	pthread_t thread;

	(void)state;
	open_faulty();
	run_task(put_task, &p);
	wait_ms(100);
	jobs[1].about = p.message;
	jobs[2].note_about = p.message;
	arm(&syncs_until_failure, 2, 1, EIO);
	pthread_create(&thread, NULL, open_gate, NULL);
	run_tasks(3, either_task, jobs, sizeof(jobs[0]));
	pthread_join(thread, NULL);
	assert_int_equal(jobs[0].result, 0);
	assert_int_equal(jobs[1].result, -EIO);
	assert_int_equal(jobs[2].result, 0);
	assert_int_equal(atomic_load(&p.message->open_n), 1);
	m = spool_find(spool, &p.id);
	assert_ptr_equal(m, p.message);
	message_unref(m);
	keep_state();
	message_unref(p.message);
	close_spool();
	use_kept_state();
	open_spool();
	assert_int_equal(found_n, 2);
	m = id_eq(&found[0]->id, &p.id) ? found[0] : found[1];
	assert_int_equal(m->recipients[0].state, RECIPIENT_QUEUED);
	assert_int_equal(m->recipients[1].state, RECIPIENT_RELAYED);
	assert_int_equal(record_outcomes(m, &failed, 1, false), 0);
	assert_null(spool_find(spool, &p.id));
	close_spool();
}

/*
 * The new segment fails as well: nobody is told anything certain; after the back-off it works
 * again.
 */
static void test_disk_gone(void **state)
{
	struct put puts[5];
	struct outcome o = { .state = RECIPIENT_RELAYED };
	struct put first = { .octets = 100, .seed = 77, .keep = true };

	(void)state;
	open_faulty();
	run_task(put_task, &first);
	arm(&syncs_until_failure, 1, 1000, EIO);
	puts[0] = (struct put){ .octets = 3000, .seed = 0 };
	run_task(put_task, &puts[0]);
	assert_int_equal(puts[0].result, -ESHUTDOWN);
	assert_false(spool_accepts(spool));
	puts[1] = (struct put){ .octets = 3000, .seed = 1 };
	run_task(put_task, &puts[1]);
	assert_int_equal(puts[1].result, -EIO);
	assert_int_equal(record_outcomes(first.message, &o, 1, true), -EIO);
	assert_int_equal(atomic_load(&first.message->open_n), 0);
	assert_int_equal(atomic_load(&events[SPOOL_EVENT_FAILED]), 1);
	arm(&syncs_until_failure, 0, 1, EIO);
	WAIT_UNTIL(spool_accepts(spool));
	assert_true(spool_accepts(spool));
	puts[2] = (struct put){ .octets = 3000, .seed = 2 };
	run_task(put_task, &puts[2]);
	assert_int_equal(puts[2].result, 0);
	message_unref(first.message);
	keep_state();
	close_spool();
	use_kept_state();
	open_spool();
	assert_int_equal(found_n, 1);
	assert_true(id_eq(&found[0]->id, &puts[2].id));
	close_spool();
}

/* No new segment can be made: messages get ENOSPC, bookkeeping goes on in what is left. */
static void test_full_disk(void **state)
{
	struct put p = { .octets = 100, .seed = 1, .keep = true, .recipients = 3 };
	struct outcome o = { .state = RECIPIENT_RELAYED };
	unsigned n = 0;

	(void)state;
	open_faulty();
	run_task(put_task, &p);
	wait_ms(100);
	atomic_store(&creates_fail, 1);
	for (struct put q = { .octets = 100000, .seed = 1 }; n < 100; n++) {
		run_task(put_task, &q);
		if (q.result) {
			assert_int_equal(q.result, -ENOSPC);
			break;
		}
		wait_ms(2);
	}
	assert_true(n > 5 && n < 30);
	assert_false(spool_accepts(spool));
	assert_int_equal(atomic_load(&events[SPOOL_EVENT_FULL]), 1);
	for (o.recipient = 0; o.recipient < 2; o.recipient++)
		assert_int_equal(record_outcomes(p.message, &o, 1, true), 0);
	atomic_store(&creates_fail, 0);
	WAIT_UNTIL(spool_accepts(spool));
	assert_true(spool_accepts(spool));
	put_message(100, 5);
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, n + 2);
	assert_int_equal(atomic_load(&found[0]->open_n), 1);
	close_spool();
}

struct leaving {
	struct message *about;
	unsigned n;		/* recipients, with as much said of each as is kept */
	bool note, final;
	int result;
};

static void leave_task(void *arg)
{
	struct leaving *l = arg;
	struct outcome o[8];
	char *said = pattern(RECORD_LAST_MAX, 1);
	struct batch *b = batch_new(spool);

	for (unsigned i = 0; i < l->n; i++)
		o[i] = (struct outcome){
			.recipient = i,
			.state = l->final ? RECIPIENT_RELAYED : RECIPIENT_QUEUED,
			.host = str_make(said, RECORD_LAST_MAX / 8),
			.reply = { 250, { 2, 0, 0 }, str_make(said, RECORD_LAST_MAX) },
		};
	batch_outcomes(b, l->about, o, l->n);
	l->result = l->note ? spool_note(spool, b) : spool_commit(spool, b);
	mem_free(said);
}

/* The second half of the active segment, which is for bookkeeping, but for its last page. */
static void fill_reserve(struct message *m)
{
	struct segment *g = LIST_ENTRY(spool->segments.prev, struct segment, link);
	struct leaving l = { .about = m, .n = 1 };
	uint64_t at;

	while ((at = atomic_load(&g->used)) + RECORD_PAGE <= g->size - RECORD_PAGE) {
		run_task(leave_task, &l);
		assert_int_equal(l.result, 0);
		assert_true(atomic_load(&g->used) > at);
	}
}

/*
 * There is no room to say that a message is final. Then nothing of it goes, and nothing smaller is
 * written before: who looks at how far the log is synced (keeper.c, K2 and K5) would take it for
 * recorded.
 */
static void test_unrecorded_end(void **state)
{
	struct put large = { .octets = 300000, .seed = 7, .keep = true, .recipients = 8 };
	struct put other = { .octets = 100, .seed = 1, .keep = true };
	struct leaving end = { .n = 8, .note = true, .final = true }, small = { .n = 1 };
	struct message *m;

	(void)state;
	open_faulty();
	run_task(put_task, &large);
	run_task(put_task, &other);
	atomic_store(&creates_fail, 1);
	for (struct put q = { .octets = 100000, .seed = 1 }; !q.result; wait_ms(2))
		run_task(put_task, &q);
	fill_reserve(other.message);
	end.about = large.message;
	run_task(leave_task, &end);
	assert_int_equal(end.result, -ENOSPC);
	assert_int_equal(atomic_load(&large.message->open_n), 0);
	small.about = other.message;
	run_task(leave_task, &small);
	wait_ms(200);		/* for the keeper */
	keep_state();
	message_unref(large.message);
	message_unref(other.message);
	close_spool();
	use_kept_state();
	open_spool();
	assert_int_equal(recovery.damaged_records, 0);
	m = spool_find(spool, &large.id);
	assert_non_null(m);
	assert_true(content_is(m, 300000, 7));
	message_unref(m);
	close_spool();
}

static void test_watermarks(void **state)
{
	struct spool_options o = default_options();

	(void)state;
	o.free_min = 100 << 20;
	o.size_max = 1 << 20;
	assert_int_equal(try_open(faulty_world(), &o), 0);
	assert_true(spool_accepts(spool));
	assert_true(spool_accepts_size(spool, 500000));
	assert_false(spool_accepts_size(spool, 2 << 20));
	atomic_store(&free_mib, 99);
	WAIT_UNTIL(!spool_accepts(spool));
	assert_false(spool_accepts(spool));
	assert_int_equal(atomic_load(&events[SPOOL_EVENT_FULL]), 1);
	atomic_store(&free_mib, 101);	/* not enough: hysteresis */
	wait_ms(1200);
	spool_accepts(spool);
	wait_ms(100);
	assert_false(spool_accepts(spool));
	atomic_store(&free_mib, 200);
	WAIT_UNTIL(spool_accepts(spool));
	assert_true(spool_accepts(spool));
	assert_int_equal(atomic_load(&events[SPOOL_EVENT_ROOM]), 1);
	close_spool();
}

/* Content that cannot be written is dead, and says so again. */
static void large_task(void *arg)
{
	struct content *c = content_new(spool, 0);
	char *p = pattern(100000, 1);
	int r = 0;

	for (int i = 0; i < 10 && r == 0; i++)
		r = content_add(c, p, 100000);
	*(int *)arg = r;
	assert_int_equal(content_add(c, p, 10), r);
	assert_int_equal(content_seal(c), r);
	content_unref(c);
	mem_free(p);
}

static void test_content_failure(void **state)
{
	int result;

	(void)state;
	open_faulty();
	wait_ms(100);	/* until the keeper is idle */
	arm(&writes_until_failure, 1, 1, ENOSPC);
	run_task(large_task, &result);
	assert_int_equal(result, -ENOSPC);
	WAIT_UNTIL(count_files("content") == 0);
	assert_int_equal(count_files("content"), 0);
	close_spool();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_FOLDER(test_failed_writes),
		TEST_IN_FOLDER(test_failed_syncs),
		TEST_IN_FOLDER(test_notes_survive_poison),
		TEST_IN_FOLDER(test_half_final),
		TEST_IN_FOLDER(test_disk_gone),
		TEST_IN_FOLDER(test_full_disk),
		TEST_IN_FOLDER(test_unrecorded_end),
		TEST_IN_FOLDER(test_watermarks),
		TEST_IN_FOLDER(test_content_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
