/* dns/wire: answers as packets, good ones, cut ones, malicious ones. */
#include "dns/wire.h"

#include "base/mem.h"
#include "unit/unit.h"

struct packet {
	unsigned char p[4096];
	size_t n;
};

static void put(struct packet *k, const void *p, size_t n)
{
	assert_true(k->n + n <= sizeof(k->p));
	memcpy(k->p + k->n, p, n);
	k->n += n;
}

static void put16(struct packet *k, unsigned v)
{
	unsigned char b[2] = { (unsigned char)(v >> 8), (unsigned char)v };

	put(k, b, 2);
}

/* "a.example" */
static void put_name(struct packet *k, const char *name)
{
	while (*name) {
		const char *dot = strchr(name, '.');
		size_t n = dot ? (size_t)(dot - name) : strlen(name);
		unsigned char length = (unsigned char)n;

		put(k, &length, 1);
		put(k, name, n);
		name += n + (dot != NULL);
	}
	put(k, "", 1);
}

static void begin(struct packet *k, const char *name, unsigned type, unsigned rcode,
		  unsigned answers, unsigned authority)
{
	k->n = 0;
	put16(k, 1);
	put16(k, 0x8000 | rcode);
	put16(k, 1);
	put16(k, answers);
	put16(k, authority);
	put16(k, 0);
	put_name(k, name);
	put16(k, type);
	put16(k, 1);
}

static void put_record(struct packet *k, const char *owner, unsigned type, unsigned ttl,
		       const void *data, size_t n)
{
	put_name(k, owner);
	put16(k, type);
	put16(k, 1);
	put16(k, ttl >> 16);
	put16(k, ttl);
	put16(k, (unsigned)n);
	put(k, data, n);
}

static void put_cname(struct packet *k, const char *owner, const char *target, unsigned ttl)
{
	struct packet name = { .n = 0 };

	put_name(&name, target);
	put_record(k, owner, 5, ttl, name.p, name.n);
}

static struct arena arena;

static struct dns_query parse(const struct packet *k, unsigned type)
{
	struct dns_query q = { .type = (uint16_t)type };
	/* on the heap, so that a checker sees the end */
	void *copy = mem_dup(k->p, k->n);

	wire_answer_parse(str_make(copy, k->n), &arena, &q);
	mem_free(copy);
	return q;
}

static void test_addresses(void **state)
{
	struct packet k;
	struct dns_query q;

	(void)state;
	begin(&k, "www.Example", 1, 0, 6, 0);
	put_record(&k, "host.example", 1, 500, "\1\2\3\4", 4);	/* before the chain */
	put_cname(&k, "WWW.example", "mid.example", 300);
	put_cname(&k, "mid.example", "host.example", 200);
	put_record(&k, "HOST.example", 1, 400, "\5\6\7\10", 4);
	put_record(&k, "other.example", 1, 1, "\5\6\7\10", 4);
	put_record(&k, "host.example", 1, 1, "\5\6\7", 3);		/* malformed */
	q = parse(&k, 1);
	assert_int_equal(q.status, DNS_OK);
	assert_int_equal(q.records_n, 2);
	assert_int_equal(q.ttl, 200);
	assert_string_equal(q.canonical, "host.example");
	assert_memory_equal(q.records[1].p, "\5\6\7\10", 4);
	/* the same, cut anywhere: never more than there is, never a crash */
	for (size_t n = 0; n < k.n; n++) {
		struct packet cut = k;

		cut.n = n;
		q = parse(&cut, 1);
		assert_true(q.records_n <= 2);
	}
	q = parse(&k, 5);	/* the CNAME itself */
	assert_int_equal(q.status, DNS_OK);
	assert_int_equal(q.records_n, 1);
	assert_string_equal(q.canonical, "");
}

static void test_mx_compressed(void **state)
{
	struct packet k;
	struct dns_query q;
	char text[WIRE_TEXT_SIZE];

	(void)state;
	begin(&k, "example", 15, 0, 3, 0);
	put_record(&k, "example", 15, 0x80000001u, "\0\12\2mx\300\14", 7);
	put_record(&k, "example", 15, 9, "\0\0\0", 3);
	put_record(&k, "example", 15, 9, "\0\12\2mx\300\377", 7);	/* points nowhere */
	q = parse(&k, 15);
	assert_int_equal(q.status, DNS_OK);
	assert_int_equal(q.records_n, 2);
	assert_int_equal(q.ttl, 0);
	assert_int_equal(q.records[0].n, 2 + 12);
	assert_int_equal(wire_name_text(str_make((const char *)q.records[0].p + 2, 12), text), 12);
	assert_string_equal(text, "mx.example");
	assert_int_equal(wire_name_text(str_make((const char *)q.records[1].p + 2, 1), text), 1);
	assert_string_equal(text, "");
}

static void test_negative(void **state)
{
	/* minimum 100 */
	static const char soa[] = "\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\144";
	struct packet k;
	struct dns_query q;

	(void)state;
	begin(&k, "no.example", 1, 3, 0, 1);
	put_record(&k, "example", 6, 50, soa, sizeof(soa) - 1);
	q = parse(&k, 1);
	assert_int_equal(q.status, DNS_NXDOMAIN);
	assert_int_equal(q.ttl, 50);
	begin(&k, "no.example", 1, 0, 1, 1);
	put_cname(&k, "no.example", "there.example", 70);
	put_record(&k, "example", 6, 500, soa, sizeof(soa) - 1);
	q = parse(&k, 1);
	assert_int_equal(q.status, DNS_NODATA);
	assert_int_equal(q.ttl, 70);
	assert_string_equal(q.canonical, "there.example");
	begin(&k, "no.example", 1, 0, 0, 1);
	put_record(&k, "example", 6, 500, soa, sizeof(soa) - 1);
	assert_int_equal(parse(&k, 1).ttl, 100);
	begin(&k, "no.example", 1, 0, 0, 0);
	q = parse(&k, 1);
	assert_int_equal(q.status, DNS_NODATA);
	assert_int_equal(q.ttl, 0);
	begin(&k, "no.example", 1, 2, 0, 0);
	assert_int_equal(parse(&k, 1).status, DNS_SERVFAIL);
	begin(&k, "no.example", 1, 5, 0, 0);
	assert_int_equal(parse(&k, 1).status, DNS_SERVFAIL);
}

static void test_malicious(void **state)
{
	struct packet k;
	struct dns_query q;

	(void)state;
	begin(&k, "a.example", 1, 0, 2, 0);	/* CNAMEs in a circle */
	put_cname(&k, "a.example", "b.example", 1);
	put_cname(&k, "b.example", "a.example", 1);
	assert_int_equal(parse(&k, 1).status, DNS_SERVFAIL);
	k.n = 0;				/* a name that points at itself */
	put(&k, "\0\1\200\0\0\1\0\0\0\0\0\0\300\14\0\1\0\1", 18);
	assert_int_equal(parse(&k, 1).status, DNS_SERVFAIL);
	k.p[5] = 2;				/* two questions */
	assert_int_equal(parse(&k, 1).status, DNS_SERVFAIL);
	begin(&k, "a.example", 1, 0, 65535, 0);	/* more announced than there are */
	put_record(&k, "a.example", 1, 1, "\1\2\3\4", 4);
	q = parse(&k, 1);
	assert_true(q.records_n <= 1);
	for (unsigned seed = 1; seed < 20000; seed++) {	/* noise behind a good head */
		unsigned v = seed;

		begin(&k, "a.example", 1 + 14 * (seed & 1), 0, seed % 7, seed % 3);
		for (int i = 0; i < 60; i++) {
			unsigned char c;

			v = v * 1103515245 + 12345;
			c = (unsigned char)(v >> 16);
			put(&k, seed & 2 && i % 11 == 0 ? (const void *)"\300\14" : &c,
			    seed & 2 && i % 11 == 0 ? 2 : 1);
		}
		q = parse(&k, 1 + 14 * (seed & 1));
		assert_true(q.records_n <= 7);
		arena_done(&arena);
	}
}

static void test_texts(void **state)
{
	static const struct {
		const char *p;
		size_t n, result;
		const char *text;
	} cases[] = {
		{ "\2mX\7Example\0rest", 16, 12, "mx.example" },
		{ "\0", 1, 1, "" },
		{ "\3a.b\0", 5, 0, NULL },
		{ "\3a\\b\0", 5, 0, NULL },
		{ "\3a\0b\0", 5, 0, NULL },
		{ "\3a b\0", 5, 0, NULL },
		{ "\2mx", 3, 0, NULL },
		{ "\2m", 2, 0, NULL },
		{ "\300\14", 2, 0, NULL },
		{ "", 0, 0, NULL },
	};
	char text[WIRE_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t r = wire_name_text(str_make(cases[i].p, cases[i].n), text);

		if (r != cases[i].result || (r && strcmp(text, cases[i].text)))
			fail_msg("case %zu: %zu", i, r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_mx_compressed),
		cmocka_unit_test(test_negative),  cmocka_unit_test(test_malicious),
		cmocka_unit_test(test_texts),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	arena_done(&arena);
	return r;
}
