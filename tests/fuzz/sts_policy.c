/*
 * Fuzz: the texts that strangers publish about TLS. The first octet chooses the parser. What is
 * accepted is bounded, lies in the text, and is accepted again from its own file.
 */
#include "verify/dane.h"
#include "verify/sts_policy.h"
#include "verify/sts_store.h"
#include "verify/tlsrpt_report.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void policy(struct str text)
{
	struct arena a = { .blocks = NULL };
	struct sts_policy p;

	if (sts_policy_parse(&a, text, &p)) {
		assert(p.max_age_s <= STS_AGE_MAX && p.mx_n <= STS_MX_MAX);
		assert(p.mx_n || p.mode == STS_NONE);
		for (unsigned i = 0; i < p.mx_n; i++) {
			assert(p.mx[i].p >= text.p && p.mx[i].p + p.mx[i].n <= text.p + text.n);
			assert(p.mx[i].p[0] == '*' || sts_policy_lists(&p, p.mx[i]));
		}
	}
	arena_done(&a);
}

static void stored(struct str text)
{
	struct sts_stored p, again;
	struct buf b = BUF_INIT(1 << 20);

	if (sts_stored_parse(text, &p)) {
		sts_stored_format(&b, &p);
		assert(sts_stored_parse(buf_str(&b), &again));
		assert(str_eq(p.text, again.text) && str_eq(p.id, again.id) &&
		       str_eq(p.domain, again.domain) && p.fetched_ms == again.fetched_ms);
	}
	buf_done(&b);
}

static void answer(const struct dns_record *list, unsigned n)
{
	struct dns_answer a = { .records = list, .n = n };
	struct arena arena = { .blocks = NULL };
	char id[STS_ID_MAX + 1] = "";
	struct rua to[RUA_MAX];
	unsigned found;
	struct tlsa t;

	if (sts_record_find(&a, id))
		assert(id[0] && strlen(id) <= STS_ID_MAX);
	found = rua_find(&a, &arena, to);
	assert(found <= RUA_MAX);
	for (unsigned i = 0; i < found; i++)
		assert(to[i].at.n && !str_has_control(to[i].at) && str_is_ascii(to[i].at));
	if (tlsa_parse(&list[0], &t))
		assert(t.data.n > 0);
	arena_done(&arena);
}

/* A record: as it is, and in two, parted in the middle. */
static void records(const uint8_t *data, size_t n)
{
	const struct dns_record whole = { data, (uint16_t)n };
	const struct dns_record list[2] = { { data, (uint16_t)(n / 2) },
					    { data + n / 2, (uint16_t)(n - n / 2) } };

	answer(&whole, 1);
	answer(list, 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest;

	if (n < 2 || n > 60000)
		return 0;
	rest = str_make((const char *)data + 1, n - 1);
	if (data[0] % 3 == 0)
		policy(rest);
	else if (data[0] % 3 == 1)
		stored(rest);
	else
		records(data + 1, n - 1);
	return 0;
}
