/* spool/record: round trips, and that no changed byte passes. */
#include "unit/spool/harness.h"

#include "base/crc.h"

static const uint8_t salt[RECORD_SALT] = "0123456789abcde";

/* A record of each type, signed for offset 4096. */
static size_t make_record(int type, char *to, size_t size)
{
	struct message_id id = { 7, 8, 9 };
	size_t n = 0;

	memset(to, 0, size);
	if (type == RECORD_MESSAGE) {
		struct record_body body = { .octets = 5, .crc = crc32c(0, "hello", 5) };
		struct message *m = make_message(3, NULL);

		m->id = id;
		m->requires_tls = true;
		m->recipients[1].last = mem_strdup("550 5.1.1 no");
		m->recipients[1].state = RECIPIENT_FAILED;
		m->recipients[2].next_ms = -5;
		n = record_message_octets(m, STR("Received: x\r\n"));
		record_message_put(to, m, STR("Received: x\r\n"), &body);
		message_unref(m);
	} else if (type == RECORD_PROGRESS) {
		struct change changes[] = {
			{ .recipient = 1,
			  .state = 2,
			  .attempts = 3,
			  .next_ms = 4,
			  .last = STR("said so") },
			{ .recipient = 2, .warned = 1 },
		};
		struct reroute routes[] = {
			{ 0, STR("mx:fast") }, { 2, STR("mx:fast") }, { 7, STR("smtp://[::1]:26") }
		};
		const uint32_t warned[] = { 3, 1 };
		struct progress_parts parts = { routes, warned, changes };
		struct progress p = { .has_flags = true, .flags = 1, .crashes = 2,
				      .routes_n = 3, .warned_n = 2, .changes_n = 2 };

		n = record_progress_octets(&p, &parts);
		record_progress_put(to, &id, &p, &parts);
	} else if (type == RECORD_DONE) {
		n = RECORD_DONE_OCTETS;
		record_done_put(to, &id);
	} else if (type == RECORD_COMMIT) {
		n = RECORD_COMMIT_OCTETS;
		record_commit_put(to, &(struct commit){ 1, 2, 3, 4, 5, 6, 7 });
	} else {
		n = RECORD_SEAL_OCTETS;
		record_seal_put(to, &(struct seal){ 1, 2, 3 });
	}
	record_sign(to, salt, 4096);
	return n;
}

static void test_message_round_trip(void **state)
{
	char record[2048];
	size_t n = make_record(RECORD_MESSAGE, record, sizeof(record));
	struct record_body body;
	struct record r;
	struct message *m;
	struct str head;

	(void)state;
	assert_true(record_get(record, &r));
	assert_true(record_is_signed(record, salt, 4096));
	assert_false(record_is_signed(record, salt, 4104));
	assert_int_equal(r.envelope_n + RECORD_HEADER, n);
	assert_int_equal(r.content_n, 5);
	m = record_message_get(&r, str_make(record + RECORD_HEADER, r.envelope_n), &head, &body);
	assert_non_null(m);
	assert_str_equal(head, STR("Received: x\r\n"));
	assert_int_equal(body.octets, 5);
	assert_int_equal(m->id.counter, 9);
	assert_int_equal(m->recipients_n, 3);
	assert_int_equal(atomic_load(&m->open_n), 2);
	assert_string_equal(m->recipients[1].last, "550 5.1.1 no");
	assert_int_equal(m->recipients[2].next_ms, -5);
	assert_str_equal(recipient_address(m, 2), STR("user2@dest2.example"));
	assert_str_equal(recipient_orcpt(m, 2), STR("rfc822;a@b"));
	assert_str_equal(message_login(m), STR("alice"));
	assert_str_equal(message_tag(m), STR("news"));
	assert_true(m->requires_tls && m->smtputf8);
	assert_ptr_equal(recipient_route_name(m, 0), name_intern(STR("mx")));
	assert_ptr_equal(recipient_route_name(m, 2), name_intern(STR("mx")));
	message_unref(m);
}

/* What recipients_max allows at its most can be read again. */
static void test_largest_envelope(void **state)
{
	enum { N = 100000, ORCPT = 500 };
	struct envelope_recipient *all = mem_calloc(N, sizeof(*all));
	struct envelope e = { .recipients = all, .recipients_n = N };
	char text[ORCPT], header[RECORD_HEADER];
	struct record r;
	struct message *m;

	(void)state;
	memset(text, 'a', sizeof(text));
	for (unsigned i = 0; i < N; i++)
		all[i] = (struct envelope_recipient){ .address = str_make(text, ADDRESS_MAX),
						      .orcpt = str_make(text, ORCPT),
						      .route = STR("mx") };
	m = message_new(&e, NULL);
	record_put(header, &(struct record){
		.type = RECORD_MESSAGE,
		.envelope_n = (uint32_t)(record_message_octets(m, STR_NONE) - RECORD_HEADER +
					 (size_t)N * RECORD_LAST_MAX),
	});
	assert_true(record_get(header, &r));
	message_unref(m);
	mem_free(all);
}

static void test_progress_round_trip(void **state)
{
	char record[512];
	static const struct {
		uint32_t recipient;
		const char *route;
	} routes[] = { { 0, "mx:fast" }, { 2, "mx:fast" }, { 7, "smtp://[::1]:26" } };
	uint32_t recipient;
	struct progress p, skipping;
	struct reroute route;
	struct change c;
	struct record r;

	(void)state;
	make_record(RECORD_PROGRESS, record, sizeof(record));
	assert_true(record_get(record, &r));
	assert_true(record_progress_get(str_make(record + RECORD_HEADER, r.envelope_n), &p));
	assert_true(p.has_flags && p.flags == 1 && p.crashes == 2);
	skipping = p;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(record_progress_route(&p, &route));
		assert_int_equal(route.recipient, routes[i].recipient);
		assert_str_equal(route.route, str_of(routes[i].route));
	}
	assert_false(record_progress_route(&p, &route));
	assert_true(record_progress_warned(&p, &recipient) && recipient == 3);
	assert_true(record_progress_warned(&p, &recipient) && recipient == 1);
	assert_false(record_progress_warned(&p, &recipient));
	assert_true(record_progress_next(&skipping, &c));
	assert_true(c.recipient == 1 && c.attempts == 3);
	assert_true(record_progress_next(&p, &c));
	assert_true(c.recipient == 1 && c.state == 2 && c.attempts == 3 && c.next_ms == 4);
	assert_str_equal(c.last, STR("said so"));
	assert_true(record_progress_next(&p, &c));
	assert_true(c.recipient == 2 && c.warned == 1 && !c.last.n);
	assert_false(record_progress_next(&p, &c));
	assert_false(p.rest.bad);
}

/*
 * Records of a log from before tags and reroutes: octet by octet, so that what is written today
 * cannot change what was written then.
 */
static void test_older_log(void **state)
{
	static const char message[] =
		"\1\2\1\0\0\0\0\0" "\1\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"
		"\1\0\0\0" "\1\0s" "\0\0" "\0\0" "\0\0" "\2\0H:"
		"\4\0\1\0\2\0" "\11\0\0\0\0\0\0\0" "\3\0a@b" "\0\0" "\2\0mx" "\0\0";
	static const char progress[] = "\0\0\0\0\1\0\0\0"
				       "\0\0\0\0\0\1\5\0\7\0\0\0\0\0\0\0\2\0no";
	struct record r = { .type = RECORD_MESSAGE, .envelope_n = sizeof(message) - 1 };
	struct record_body body;
	struct progress p;
	struct reroute route;
	struct change c;
	struct message *m;
	uint32_t recipient;
	struct str head;

	(void)state;
	m = record_message_get(&r, str_make(message, sizeof(message) - 1), &head, &body);
	assert_non_null(m);
	assert_null(m->tag);
	assert_true(m->body == BODY_8BITMIME && m->ret == RET_HDRS && m->smtputf8 && !m->local);
	assert_false(m->requires_tls);
	assert_str_equal(head, STR("H:"));
	assert_str_equal(message_sender(m), STR("s"));
	assert_str_equal(recipient_address(m, 0), STR("a@b"));
	assert_str_equal(recipient_route(m, 0), STR("mx"));
	assert_true(m->recipients[0].attempts == 2 && m->recipients[0].next_ms == 9);
	message_unref(m);
	assert_true(record_progress_get(str_make(progress, sizeof(progress) - 1), &p));
	assert_false(record_progress_route(&p, &route));
	assert_false(record_progress_warned(&p, &recipient));
	assert_true(record_progress_next(&p, &c));
	assert_true(c.warned == 1 && c.attempts == 5 && c.next_ms == 7);
	assert_str_equal(c.last, STR("no"));
}

static void test_commit_and_seal(void **state)
{
	char record[128];
	struct commit c;
	struct seal s;

	(void)state;
	make_record(RECORD_COMMIT, record, sizeof(record));
	assert_true(record_commit_get(str_make(record + RECORD_HEADER, 48), &c));
	assert_true(c.segment == 1 && c.batch == 2 && c.start == 3 && c.octets == 4 &&
		    c.synced == 5 && c.records == 6 && c.checksum == 7);
	make_record(RECORD_SEAL, record, sizeof(record));
	assert_true(record_seal_get(str_make(record + RECORD_HEADER, 24), &s));
	assert_true(s.segment == 1 && s.octets == 2 && s.batch == 3);
	assert_false(record_seal_get(str_make(record + RECORD_HEADER, 23), &s));
}

/* Whoever decodes it, right or wrong, must not read beyond it. */
static void decode(const struct record *r, struct str envelope)
{
	char *copy = mem_dup(envelope.p, envelope.n);	/* so that the sanitizer sees the end */
	struct str head, e = str_make(copy, envelope.n);
	struct record_body body;
	struct progress p;
	struct reroute route;
	struct change c;
	uint32_t recipient;

	message_unref(record_message_get(r, e, &head, &body));
	if (record_progress_get(e, &p)) {
		while (record_progress_route(&p, &route))
			assert_true(route.route.n);
		while (record_progress_warned(&p, &recipient))
			;
		while (record_progress_next(&p, &c))
			;
	}
	mem_free(copy);
}

static void test_every_byte(void **state)
{
	char record[2048];

	(void)state;
	for (int type = RECORD_MESSAGE; type <= RECORD_SEAL; type++) {
		size_t n = make_record(type, record, sizeof(record));

		for (size_t at = 0; at < n; at++) {
			for (int bit = 0; bit < 8; bit++) {
				struct record r;

				record[at] ^= (char)(1 << bit);
				if (record_get(record, &r) &&
				    RECORD_HEADER + r.envelope_n <= sizeof(record)) {
					assert_false(record_is_signed(record, salt, 4096));
					decode(&r, str_make(record + RECORD_HEADER, r.envelope_n));
				}
				record[at] ^= (char)(1 << bit);
			}
		}
	}
}

static void test_cut_envelopes(void **state)
{
	char record[2048];
	struct record r;

	(void)state;
	for (int type = RECORD_MESSAGE; type <= RECORD_PROGRESS; type++) {
		make_record(type, record, sizeof(record));
		assert_true(record_get(record, &r));
		for (uint32_t n = 0; n < r.envelope_n; n++) {
			struct record_body body;
			struct str head;

			if (type == RECORD_MESSAGE)
				assert_null(record_message_get(
					&r, str_make(record + RECORD_HEADER, n), &head, &body));
			decode(&r, str_make(record + RECORD_HEADER, n));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_round_trip),
		cmocka_unit_test(test_largest_envelope),
		cmocka_unit_test(test_progress_round_trip),
		cmocka_unit_test(test_older_log),
		cmocka_unit_test(test_commit_and_seal),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_cut_envelopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
