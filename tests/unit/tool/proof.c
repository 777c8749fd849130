/* tool/digest, load_message, load_proof, histogram: that what proves arrival can tell right from
 * wrong. */
#include "tool/load.h"
#include "unit/unit.h"

#include "base/crc.h"
#include "base/mem.h"

static void make(struct buf *out, size_t size, uint64_t seed, uint64_t number)
{
	const struct load_plan plan = {
		.run = "run",
		.seed = seed,
		.size = size,
		.from = "a@b.example",
		.to = "c@d.example",
		.recipients_n = 1,
	};

	buf_clear(out);
	load_message_make(out, &plan, number);
}

/* Exact size, whole lines, the same bytes from the same seed, others from another. */
static void test_message(void **state)
{
	struct buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20);

	(void)state;
	for (size_t size = LOAD_SIZE_MIN; size < 700; size++) {
		make(&a, size, 1, 42);
		assert_int_equal(a.n, size);
		assert_true(str_ends_nocase(buf_str(&a), STR("\r\n")));
	}
	make(&a, 20000, 1, 42);
	make(&b, 20000, 1, 42);
	assert_str_equal(buf_str(&a), buf_str(&b));
	assert_true(str_search(buf_str(&a), STR("\r\n.")) > 0);
	make(&b, 20000, 2, 42);
	assert_false(str_eq(buf_str(&a), buf_str(&b)));
	buf_done(&a);
	buf_done(&b);
}

static void feed(struct digest *d, struct str s, size_t piece)
{
	digest_reset(d);
	for (size_t at = 0; at < s.n; at += piece)
		digest_feed(d, str_sub(s, at, at + piece));
	digest_end(d);
}

/* However it is cut, and whatever a relay put before it. */
static void test_digest(void **state)
{
	struct buf original = BUF_INIT(1 << 20), relayed = BUF_INIT(1 << 20);
	struct digest d;

	(void)state;
	digest_init(&d);
	make(&original, 3000, 1, 7);
	buf_add_lit(&relayed, "Received: from x\r\n\tby y; now\r\nMessage-ID: <z>\r\n");
	buf_add_str(&relayed, buf_str(&original));
	for (size_t piece = 1; piece < 4000; piece = piece * 3 / 2 + 1) {
		feed(&d, buf_str(&relayed), piece);
		assert_string_equal(d.id, "run-7");
		assert_int_equal(d.size, 3000);
		assert_int_equal(d.crc, crc32c(0, original.p, original.n));
	}
	/* Without the field in the header section, all counts. */
	feed(&d, STR("Subject: x\r\n\r\nX-Relevo-Load: no\r\n"), 5);
	assert_string_equal(d.id, "");
	assert_int_equal(d.size, 33);
	feed(&d, STR(""), 1);
	assert_int_equal(d.size, 0);
	digest_done(&d);
	buf_done(&original);
	buf_done(&relayed);
}

static void test_ledger(void **state)
{
	const struct ledger_line line = {
		.id = STR("run-7"), .recipients = STR("c@d,e\ne@f"), .size = 123, .crc = 0x0a0b0c0d,
	};
	struct ledger_line back;
	struct buf out = BUF_INIT(1000);

	(void)state;
	ledger_format(&out, &line);
	assert_str_equal(buf_str(&out), STR("run-7 - c@d,e?e@f 123 0a0b0c0d\n"));
	assert_true(ledger_parse(str_sub(buf_str(&out), 0, out.n - 1), &back));
	assert_str_equal(back.id, line.id);
	assert_int_equal(back.sender.n, 0);
	assert_int_equal(back.size, 123);
	assert_int_equal(back.crc, 0x0a0b0c0d);
	assert_false(ledger_parse(STR("run-7 - c@d 123"), &back));
	assert_false(ledger_parse(STR("run-7 - c@d 123 0a0b0c0d more"), &back));
	buf_done(&out);
}

static void arrive(struct proof *p, const char *id, uint32_t crc, unsigned recipients)
{
	const struct sink_message m = {.line = {.id = str_of(id), .size = 100, .crc = crc},
				       .recipients_n = recipients};

	proof_arrived(p, &m);
}

static void test_proof(void **state)
{
	struct proof *p = mem_zalloc(sizeof(*p));
	struct proof_result r;

	(void)state;
	proof_init(p, "run", 8);
	for (uint64_t i = 0; i < 7; i++)
		proof_sent(p, i, (uint32_t)i, 100);
	for (uint64_t i = 0; i < 5; i++)
		proof_answered(p, i, PROOF_ACCEPTED, 2);
	proof_answered(p, 5, PROOF_REFUSED, 0);
	arrive(p, "run-0", 0, 2);			/* complete */
	arrive(p, "run-1", 1, 1);			/* in two parts */
	arrive(p, "run-1", 1, 1);
	arrive(p, "run-2", 2, 1);			/* half of it is missing */
	arrive(p, "run-3", 3, 2);			/* twice */
	arrive(p, "run-3", 3, 2);
	arrive(p, "run-4", 99, 2);			/* changed */
	arrive(p, "run-5", 5, 2);			/* refused */
	arrive(p, "run-6", 6, 2);			/* unknown: may come */
	arrive(p, "run-8", 0, 1);
	arrive(p, "other-1", 0, 1);
	arrive(p, "", 0, 1);
	proof_judge(p, &r);
	assert_int_equal(r.complete, 3);
	assert_int_equal(r.missing, 1);
	assert_int_equal(r.duplicate, 1);
	assert_int_equal(r.different, 1);
	assert_int_equal(r.unasked, 1);
	assert_int_equal(p->strangers, 3);
	proof_done(p);
	mem_free(p);
}

static void test_histogram(void **state)
{
	struct histogram *h = mem_zalloc(sizeof(*h));

	(void)state;
	assert_int_equal(histogram_at(h, 500), 0);
	for (uint64_t i = 1; i <= 100000; i++)
		histogram_add(h, i);
	assert_in_range(histogram_at(h, 500), 50000, 51600);
	assert_in_range(histogram_at(h, 990), 99000, 100000);
	assert_int_equal(histogram_at(h, 1000), 100000);
	histogram_add(h, UINT64_MAX);
	assert_true(histogram_at(h, 1000) == UINT64_MAX);
	mem_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_ledger),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
