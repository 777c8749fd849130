/* spool: commit, reopen, outcomes, notes, DONE, group commit, lock, version. */
#include "unit/spool/harness.h"

static void test_reopen(void **state)
{
	static const size_t sizes[] = {
		0, 1, 4000, 4096, 100000, CONTENT_MEMORY_MAX, CONTENT_MEMORY_MAX + 1, 3000000
	};
	struct message_id ids[8];

	(void)state;
	open_spool();
	assert_int_equal(found_n, 0);
	for (unsigned i = 0; i < 8; i++) {
		struct message *m;

		ids[i] = put_message(sizes[i], i + 10);
		m = spool_find(spool, &ids[i]);
		assert_non_null(m);
		assert_true(content_is(m, sizes[i], i + 10));
		message_drop_content(m);
		assert_true(content_is(m, sizes[i], i + 10));
		message_unref(m);
	}
	assert_int_equal(count_files("content"), 2);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 8);
	assert_int_equal(recovery.messages, 8);
	assert_int_equal(recovery.damaged_records + recovery.torn_batches, 0);
	for (unsigned i = 0; i < 8; i++) {
		struct message *m = found[i];

		assert_true(id_eq(&m->id, &ids[i]));
		assert_true(content_is(m, sizes[i], i + 10));
		assert_str_equal(message_sender(m), STR("sender@example.org"));
		assert_str_equal(message_envid(m), STR("QQ314159"));
		assert_str_equal(message_client(m), STR("192.0.2.1"));
		assert_str_equal(message_login(m), STR("alice"));
		assert_str_equal(recipient_address(m, 0), STR("user0@dest0.example"));
		assert_str_equal(recipient_orcpt(m, 0), STR("rfc822;a@b"));
		assert_str_equal(recipient_route(m, 0), STR("mx"));
		assert_str_equal(message_tag(m), STR("news"));
		assert_int_equal(m->size, sizes[i] + 21);
		assert_true(m->smtputf8 && !m->local && !m->is_bounce);
		assert_int_equal(m->arrived_ms, 1700000000123);
	}
	close_spool();
}

/* The recipients that count: of all messages that are open, until the whole message is final. */
static void check_places(uint32_t taken)
{
	struct spool_options o = default_options();

	o.recipients_max = taken + 2;
	spool_set_limits(spool, &o);
	assert_false(spool_take_places(spool, 3));
	assert_true(spool_take_places(spool, 2));
	assert_false(spool_take_places(spool, 1));
	spool_give_back_places(spool, 2);
	o.recipients_max = 0;
	spool_set_limits(spool, &o);
	assert_true(spool_take_places(spool, UINT32_MAX));
	spool_give_back_places(spool, UINT32_MAX);
}

static void test_outcomes(void **state)
{
	struct put p = { .octets = 500, .seed = 3, .recipients = 3, .keep = true };
	struct outcome defer = {
		.recipient = 0,
		.state = RECIPIENT_QUEUED,
		.attempted = true,
		.warned = true,
		.next_ms = 99,
		.reply = REPLY(451, 4, 7, 1, "greylisted"),
		.host = STR("mx.example (192.0.2.9)"),
	};
	struct outcome two[] = {
		{ .recipient = 1, .state = RECIPIENT_RELAYED, .attempted = true },
		{ .recipient = 2,
		  .state = RECIPIENT_FAILED,
		  .attempted = true,
		  .reply = REPLY(550, 5, 1, 1, "no") },
	};

	(void)state;
	open_spool();
	run_task(put_task, &p);
	check_places(3);
	assert_int_equal(record_outcomes(p.message, &defer, 1, true), 0);
	assert_int_equal(record_outcomes(p.message, &defer, 1, true), 0);
	assert_int_equal(record_outcomes(p.message, two, 2, false), 0);
	assert_int_equal(atomic_load(&p.message->open_n), 1);
	assert_int_equal(p.message->recipients[0].attempts, 2);
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 1);
	check_places(3);
	p.message = message_ref(found[0]);
	assert_int_equal(atomic_load(&p.message->open_n), 1);
	assert_int_equal(p.message->recipients[0].state, RECIPIENT_QUEUED);
	assert_int_equal(p.message->recipients[0].attempts, 2);
	assert_int_equal(p.message->recipients[0].warned, 1);
	assert_int_equal(p.message->recipients[0].next_ms, 99);
	assert_string_equal(p.message->recipients[0].last,
			    "mx.example (192.0.2.9): 451 4.7.1 greylisted");
	assert_int_equal(p.message->recipients[1].state, RECIPIENT_RELAYED);
	assert_null(p.message->recipients[1].last);
	assert_int_equal(p.message->recipients[2].state, RECIPIENT_FAILED);
	assert_string_equal(p.message->recipients[2].last, "550 5.1.1 no");
	defer.state = RECIPIENT_DELIVERED;
	assert_int_equal(record_outcomes(p.message, &defer, 1, true), 0);
	assert_null(spool_find(spool, &p.message->id));
	check_places(0);
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 0);
	check_places(0);
	close_spool();
}

static void flags_task(void *arg)
{
	struct batch *b = batch_new(spool);

	batch_flags(b, arg, MESSAGE_HELD, 2);
	assert_int_equal(spool_commit(spool, b), 0);
}

static void test_flags(void **state)
{
	struct put p = { .octets = 500, .seed = 3, .keep = true };

	(void)state;
	open_spool();
	run_task(put_task, &p);
	run_task(flags_task, p.message);
	assert_int_equal(p.message->flags, MESSAGE_HELD);
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 1);
	assert_int_equal(found[0]->flags, MESSAGE_HELD);
	assert_int_equal(found[0]->crashes, 2);
	close_spool();
}

/* A delayed notice made for another recipient: that alone is recorded. */
static void warned_task(void *arg)
{
	static const uint32_t some[] = { 0, 2, 3 };
	struct batch *b = batch_new(spool);

	batch_warned(b, arg, some, 3);
	assert_int_equal(spool_commit(spool, b), 0);
}

static void check_warned(const struct message *m)
{
	static const uint8_t warned[] = { 1, 0, 0, 1 };

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(m->recipients[i].warned, warned[i]);
		assert_int_equal(m->recipients[i].attempts, 1);
		assert_int_equal(m->recipients[i].next_ms, 99);
	}
	assert_int_equal(m->recipients[2].state, RECIPIENT_RELAYED);
}

static void test_warned(void **state)
{
	struct put p = { .octets = 500, .seed = 3, .recipients = 4, .keep = true };
	struct outcome o[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		o[i] = (struct outcome){ .recipient = i, .attempted = true, .next_ms = 99 };
	o[2].state = RECIPIENT_RELAYED;
	open_spool();
	run_task(put_task, &p);
	assert_int_equal(record_outcomes(p.message, o, 4, true), 0);
	run_task(warned_task, p.message);
	check_warned(p.message);
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 1);
	check_warned(found[0]);
	close_spool();
}

static void check_rerouted(const struct message *m)
{
	static const char *const routes[] = { "mx:slow", "mx", "mx", "smtp://[::1]:26" };

	for (unsigned i = 0; i < 4; i++)
		assert_str_equal(recipient_route(m, i), str_of(routes[i]));
	assert_int_equal(m->recipients[0].next_ms, 0);
	assert_int_equal(m->recipients[0].attempts, 2);
	assert_int_equal(m->recipients[0].warned, 1);
	assert_string_equal(m->recipients[0].last, "451 4.7.1 greylisted");
	assert_int_equal(m->recipients[1].state, RECIPIENT_RELAYED);
	assert_int_equal(m->recipients[2].next_ms, 99);
	assert_int_equal(atomic_load(&m->open_n), 3);
}

/* Another route, written, noted, twice; it is due at once and remembers what was. */
static void test_reroute(void **state)
{
	static const uint32_t some[] = { 0, 1, 3 }, last[] = { 3 };
	struct put p = { .octets = 500, .seed = 3, .recipients = 4, .keep = true };
	struct outcome o[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		o[i] = (struct outcome){ .recipient = i,
					 .attempted = true,
					 .warned = true,
					 .next_ms = 99,
					 .reply = REPLY(451, 4, 7, 1, "greylisted") };
	open_spool();
	run_task(put_task, &p);
	assert_int_equal(record_outcomes(p.message, o, 4, true), 0);
	o[1].state = RECIPIENT_RELAYED;
	assert_int_equal(record_outcomes(p.message, o, 4, true), 0);
	assert_int_equal(reroute(p.message, some, 3, "mx:slow", false), 0);
	assert_int_equal(reroute(p.message, last, 1, "smtp://[::1]:26", true), 0);
	check_rerouted(p.message);
	keep_state();
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 1);
	check_rerouted(found[0]);
	close_spool();
	use_kept_state();	/* as a kill -9 leaves it */
	open_spool();
	assert_int_equal(found_n, 1);
	check_rerouted(found[0]);
	assert_int_equal(finish_message(found[0], false), 0);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 0);
	close_spool();
}

/* In the batch with the message itself, and with what makes it final. */
static void same_batch_task(void *arg)
{
	static const uint32_t first[] = { 0 };
	struct put *p = arg;
	struct outcome o = { .recipient = 1, .state = RECIPIENT_FAILED };
	struct content *c = make_content(10, 1);
	struct batch *b = batch_new(spool);

	p->message = make_message(2, c);
	content_unref(c);
	batch_message(b, p->message);
	batch_outcomes(b, p->message, &o, 1);
	batch_route(b, p->message, first, 1, name_intern(STR("other")));
	p->result = spool_commit(spool, b);
}

static void test_reroute_in_one_batch(void **state)
{
	struct put p = { 0 };

	(void)state;
	open_spool();
	run_task(same_batch_task, &p);
	assert_int_equal(p.result, 0);
	assert_str_equal(recipient_route(p.message, 0), STR("other"));
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 1);
	assert_str_equal(recipient_route(found[0], 0), STR("other"));
	assert_int_equal(found[0]->recipients[1].state, RECIPIENT_FAILED);
	close_spool();
}

static void test_thousand_recipients(void **state)
{
	struct put p = { .octets = 5000, .seed = 8, .recipients = 1000, .keep = true };
	struct outcome o[10];

	(void)state;
	open_spool();
	run_task(put_task, &p);
	assert_int_equal(p.result, 0);
	for (unsigned i = 0; i < 990; i += 10) {
		for (unsigned j = 0; j < 10; j++)
			o[j] = (struct outcome){ .recipient = i + j,
						 .state = RECIPIENT_RELAYED,
						 .attempted = true,
						 .reply = REPLY(250, 2, 0, 0,
								"queued as something") };
		assert_int_equal(record_outcomes(p.message, o, 10, true), 0);
	}
	message_unref(p.message);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 1);
	assert_int_equal(atomic_load(&found[0]->open_n), 10);
	assert_str_equal(recipient_address(found[0], 999), STR("user999@dest5.example"));
	assert_true(content_is(found[0], 5000, 8));
	close_spool();
}

static void many_task(void *arg)
{
	struct put *p = arg;

	for (int i = 0; i < 20; i++) {
		p->keep = true;
		put_task(p);
		assert_int_equal(p->result, 0);
		if (i % 4) {
			struct record_job j = { .message = p->message,
						.note = i & 1,
						.n = 1,
						.outcomes = &(struct outcome){
							.state = RECIPIENT_RELAYED } };

			record_task(&j);
			assert_int_equal(j.result, 0);
		}
		message_unref(p->message);
	}
}

static void test_group_commit(void **state)
{
	static struct put puts[100];
	struct spool_stats st;

	(void)state;
	open_spool();
	for (unsigned i = 0; i < 100; i++)
		puts[i] = (struct put){ .octets = 2000, .seed = i };
	run_tasks(100, many_task, puts, sizeof(puts[0]));
	spool_stats(spool, &st);
	assert_int_equal(st.messages, 500);
	assert_true(st.commits >= 2000);
	assert_true(st.syncs < st.commits / 2);
	close_spool();
	open_spool();
	assert_int_equal(found_n, 500);
	for (unsigned i = 0; i < found_n; i++)
		assert_int_equal(found[i]->recipients[0].state, RECIPIENT_QUEUED);
	close_spool();
}

static void test_note_is_synced_soon(void **state)
{
	struct put p = { .octets = 500, .seed = 3, .keep = true };
	struct outcome o = { .state = RECIPIENT_QUEUED, .attempted = true };
	int before;

	(void)state;
	open_faulty();
	run_task(put_task, &p);
	wait_ms(150);	/* until the keeper is idle */
	before = atomic_load(&datasyncs);
	assert_int_equal(record_outcomes(p.message, &o, 1, true), 0);
	WAIT_UNTIL(atomic_load(&datasyncs) > before);
	wait_ms(100);
	assert_int_equal(atomic_load(&datasyncs), before + 1);
	message_unref(p.message);
	close_spool();
}

static void test_ids_never_repeat(void **state)
{
	struct message_id a, b, c;

	(void)state;
	open_spool();
	a = spool_next_id(spool);
	b = spool_next_id(spool);
	close_spool();
	open_spool();
	c = spool_next_id(spool);
	assert_int_equal(a.spool, c.spool);
	assert_true(c.incarnation > a.incarnation);
	assert_true(b.counter > a.counter && a.counter >= 1);
	close_spool();
}

static void test_lock(void **state)
{
	struct spool_options o = default_options();
	struct spool *first;
	struct net *first_net;

	(void)state;
	open_spool();
	first = spool;
	first_net = net;
	assert_int_equal(try_open(world_real(), &o), -EWOULDBLOCK);
	assert_non_null(strstr(last_error, "another relevo"));
	o.lock_wait_ns = 50 * MILLISECOND;
	assert_int_equal(try_open(world_real(), &o), -EWOULDBLOCK);
	spool = first;
	net = first_net;
	close_spool();
	o = default_options();
	assert_int_equal(try_open(world_real(), &o), 0);
	close_spool();
}

static void *close_later(void *arg)
{
	(void)arg;
	usleep(150000);
	close_spool();
	return NULL;
}

static void test_lock_is_waited_for(void **state)
{
	struct spool_options o = default_options();
	struct buf error = BUF_INIT(400);
	struct net *second_net;
	struct spool *second;
	pthread_t thread;

	(void)state;
	open_spool();
	o.lock_wait_ns = 10 * SECOND;
	second_net = net_new(world_real(), 1, 1);
	net_start(second_net);
	pthread_create(&thread, NULL, close_later, NULL);
	assert_int_equal(spool_open(second_net, &o, NULL, NULL, &second, NULL, &error), 0);
	pthread_join(thread, NULL);
	spool_close(second);
	net_stop(second_net);
	buf_done(&error);
}

static void overwrite(const char *name, off_t at, const void *p, size_t n)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, at), n);
	close(fd);
}

static void test_unknown_version(void **state)
{
	struct spool_options o = default_options();

	(void)state;
	open_spool();
	put_message(10, 1);
	close_spool();
	overwrite("spool", 13, "2", 1);
	assert_int_equal(try_open(world_real(), &o), -EPROTO);
	assert_non_null(strstr(last_error, "version 2"));
	overwrite("spool", 13, "1", 1);
	open_spool();
	assert_int_equal(found_n, 1);
	close_spool();
}

static void test_identity_lost(void **state)
{
	char path[512];
	struct message_id id, next;

	(void)state;
	open_spool();
	id = put_message(10, 1);
	close_spool();
	snprintf(path, sizeof(path), "%s/s/spool", folder);
	unlink(path);
	open_spool();
	assert_int_equal(found_n, 1);
	next = spool_next_id(spool);
	assert_int_equal(next.spool, id.spool);
	assert_true(next.incarnation > id.incarnation);
	close_spool();
}

static void test_memory(void **state)
{
	struct message *m = make_message(1, NULL);

	(void)state;
	print_message("struct message %zu, struct recipient %zu, with one recipient %zu\n",
		      sizeof(struct message), sizeof(struct recipient), message_memory(m));
	assert_true(message_memory(m) <= 288);
	message_unref(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_IN_FOLDER(test_reopen),
		TEST_IN_FOLDER(test_outcomes),
		TEST_IN_FOLDER(test_flags),
		TEST_IN_FOLDER(test_warned),
		TEST_IN_FOLDER(test_reroute),
		TEST_IN_FOLDER(test_reroute_in_one_batch),
		TEST_IN_FOLDER(test_thousand_recipients),
		TEST_IN_FOLDER(test_group_commit),
		TEST_IN_FOLDER(test_note_is_synced_soon),
		TEST_IN_FOLDER(test_ids_never_repeat),
		TEST_IN_FOLDER(test_lock),
		TEST_IN_FOLDER(test_lock_is_waited_for),
		TEST_IN_FOLDER(test_unknown_version),
		TEST_IN_FOLDER(test_identity_lost),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
