/*
 * coverage - sums of address ranges; see coverage.h.
 *
 * Ranges are sorted and merged, so /9 beside /9, or the same network in two rules, count for what
 * they are. Sums saturate at the limit: the whole of IPv6 does not fit a 128-bit count.
 */
#include "config/coverage.h"

#include "base/mem.h"

typedef unsigned __int128 wide;

struct range {			/* both ends belong to it */
	wide from, to;
	uint8_t family;
};

#define LIMIT4 ((wide)1 << (32 - 8))
#define LIMIT6 ((wide)1 << (128 - 16))

static const char *const private_networks[] = {	/* in order */
	"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
	"::1", "fc00::/7", "fe80::/10",
};
#define PRIVATES (sizeof(private_networks) / sizeof(private_networks[0]))

static struct range range_of(const struct network *n)
{
	unsigned bits = n->ip.family == 4 ? 32 : 128;
	struct range r = { .family = n->ip.family };

	for (unsigned i = 0; i < bits / 8; i++)
		r.from = r.from << 8 | n->ip.bytes[i];
	r.to = r.from;
	if (n->prefix < bits)
		r.to |= (bits - n->prefix == 128 ? 0 : (wide)1 << (bits - n->prefix)) - 1;
	return r;
}

void coverage_done(struct coverage *c)
{
	mem_free(c->ranges);
	*c = (struct coverage){ 0 };
}

void coverage_add(struct coverage *c, const struct network *n)
{
	if (c->n == c->size) {
		c->size = c->size ? c->size * 2 : 16;
		c->ranges = mem_realloc(c->ranges, size_mul(c->size, sizeof(*c->ranges)));
	}
	c->ranges[c->n++] = range_of(n);
}

void coverage_add_table(struct coverage *c, const struct table *t)
{
	for (const struct network *n = NULL; (n = table_network(t, n)); )
		coverage_add(c, n);
}

static int compare(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return a->from < b->from ? -1 : a->from > b->from;
}

static wide limit(uint8_t family)
{
	return family == 4 ? LIMIT4 : LIMIT6;
}

/* Adds the addresses from..to to the sum, which stays at the limit once it is there. */
static wide sum_add(wide sum, wide from, wide to, uint8_t family)
{
	wide max = limit(family);

	return to - from >= max - sum ? max : sum + (to - from) + 1;
}

/* The same without the private parts of the range. */
static wide sum_public(wide sum, const struct range *r, const struct range privates[PRIVATES])
{
	wide from = r->from;

	for (unsigned i = 0; i < PRIVATES; i++) {
		const struct range *p = &privates[i];

		if (p->family != r->family || p->to < from || p->from > r->to)
			continue;
		if (p->from > from)
			sum = sum_add(sum, from, p->from - 1, r->family);
		if (p->to >= r->to)
			return sum;
		from = p->to + 1;
	}
	return sum_add(sum, from, r->to, r->family);
}

bool coverage_is_wide(struct coverage *c)
{
	struct range privates[PRIVATES];
	wide sum4 = 0, sum6 = 0;

	for (unsigned i = 0; i < PRIVATES; i++) {
		struct network n = { 0 };

		if (network_parse(str_of(private_networks[i]), &n))
			privates[i] = range_of(&n);
	}
	if (c->n)
		qsort(c->ranges, c->n, sizeof(*c->ranges), compare);
	for (size_t i = 0; i < c->n; ) {
		struct range merged = c->ranges[i++];
		wide *sum = merged.family == 4 ? &sum4 : &sum6;

		for (; i < c->n && c->ranges[i].family == merged.family &&
		       c->ranges[i].from <= merged.to;
		     i++)
			if (c->ranges[i].to > merged.to)
				merged.to = c->ranges[i].to;
		*sum = sum_public(*sum, &merged, privates);
	}
	return sum4 >= LIMIT4 || sum6 >= LIMIT6;
}
