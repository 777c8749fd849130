/*
 * quota - what meters measure, found by its text. See gate.h.
 *
 * Limits whose text is the same after a reload are the same quota, so what was spent of it counts
 * on. There are as many quotas as limits and sources that warm up: a list will do.
 */
#include "schedule/gate.h"

#include "base/mem.h"

#include <assert.h>

struct quota *quota_get(struct limits *l, struct str text)
{
	struct quota *q;

	LIST_FOR(at, &l->quotas) {
		q = LIST_ENTRY(at, struct quota, in_quotas);
		if (str_eq(q->text, text)) {
			q->refs++;
			return q;
		}
	}
	q = mem_zalloc(sizeof(*q) + text.n + 1);
	memcpy(q + 1, text.p, text.n);
	q->text = str_make((const char *)(q + 1), text.n);
	q->refs = 1;
	list_push(&l->quotas, &q->in_quotas);
	return q;
}

void quota_put(struct limits *l, struct quota *q)
{
	(void)l;
	if (--q->refs)
		return;
	list_remove(&q->in_quotas);
	mem_free(q->days);
	mem_free(q);
}

/* Rounded down to whole units: rather a unit too strict. */
static void set_units(struct quota *q, uint64_t count)
{
	q->shift = 0;
	if (q->what == LIMIT_OCTETS)
		while (count >> q->shift > UINT32_MAX)
			q->shift++;
	count >>= q->shift;
	q->units = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX - 1;
}

struct quota *quota_of_limit(struct limits *l, const struct limit *x)
{
	struct quota *q = quota_get(l, x->text);

	q->kind = QUOTA_LIMIT;
	q->what = (uint8_t)x->what;
	q->evenly = x->evenly;
	q->period_ns = x->period_ns;
	set_units(q, x->count);
	return q;
}

struct quota *quota_of_warm_up(struct limits *l, const struct source *s)
{
	struct buf text = BUF_INIT(NAME_OCTETS_MAX + 16);
	struct quota *q;

	buf_add_lit(&text, "warm-up of ");
	buf_add_str(&text, name_str(s->name));
	q = quota_get(l, buf_str(&text));
	buf_done(&text);
	mem_free(q->days);
	q->kind = QUOTA_WARM_UP;
	q->from_day = s->warm_up_from_day;
	q->days_n = s->warm_up_n;
	q->days = mem_dup(s->warm_up, size_mul(s->warm_up_n, sizeof(*s->warm_up)));
	return q;
}
