/*
 * Fuzz: answers of the DNS. The first octet chooses the type that was asked for. What is kept is
 * bounded and consistent; names in records stand alone.
 */
#include "dns/wire.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const uint16_t types[] = { 1, 5, 12, 15, 16, 28, 52 };

static void check_record(const struct dns_record *r, unsigned type)
{
	char text[WIRE_TEXT_SIZE];
	struct str s = str_make((const char *)r->p, r->n);
	size_t used;

	assert(r->n > 0);
	assert(type != 1 || r->n == 4);
	assert(type != 28 || r->n == 16);
	if (type != 5 && type != 12 && type != 15)
		return;
	assert(type != 15 || r->n >= 3);
	used = wire_name_text(type == 15 ? str_from(s, 2) : s, text);
	/* a name that is none for a host is 0; else it fills the record */
	assert(used == 0 || used + (type == 15 ? 2 : 0) == r->n);
	assert(used == 0 || strlen(text) < WIRE_NAME_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dns_query q = { .name = "fuzz.example" };
	struct arena arena;
	size_t octets = 0;

	if (!n)
		return 0;
	q.type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	arena_init(&arena);
	wire_answer_parse(str_make((const char *)data + 1, n - 1), &arena, &q);
	assert(q.status == DNS_OK || q.status == DNS_NODATA || q.status == DNS_NXDOMAIN ||
	       q.status == DNS_SERVFAIL);
	assert((q.status == DNS_OK) == (q.records_n > 0));
	assert(strlen(q.canonical) < WIRE_TEXT_SIZE);
	for (unsigned i = 0; i < q.records_n; i++) {
		check_record(&q.records[i], q.type);
		octets += q.records[i].n;
	}
	assert(octets <= WIRE_ANSWER_MAX);
	arena_done(&arena);
	return 0;
}
