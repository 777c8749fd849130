/*
 * source - `source` and `pool`: the addresses that mail is sent from, and their shares.
 *
 * Names of sources and pools are one space, because a source stands for a pool of itself wherever a
 * pool is wanted. Members and overflows are resolved when everything was read; then every source is
 * followed through its overflows, which must not lead back to it: mail that is over one source's
 * plan would be handed round for ever.
 */
#include "config/reader.h"

#define WEIGHT_MAX 1000
#define WARM_UP_MAX 1000000000

static bool is_every_address(const struct ip *ip)
{
	static const uint8_t none[sizeof(ip->bytes)];

	return memcmp(ip->bytes, none, sizeof(none)) == 0;
}

static bool is_multicast(const struct ip *ip)
{
	return ip->family == 4 ? (ip->bytes[0] & 0xf0) == 0xe0 : ip->bytes[0] == 0xff;
}

static const struct source_draft *find_source(const struct load *l, const struct name *name)
{
	for (unsigned i = 0; i < l->sources.n; i++) {
		const struct source_draft *s = l->sources.p[i];

		if (s->source.name == name)
			return s;
	}
	return NULL;
}

static const struct pool_draft *find_pool(const struct load *l, const struct name *name)
{
	for (unsigned i = 0; i < l->pools.n; i++) {
		const struct pool_draft *p = l->pools.p[i];

		if (p->pool.name == name)
			return p;
	}
	return NULL;
}

/* The name of a new source or pool; NULL: a fault was reported. */
static const struct name *new_name(struct load *l, const struct word *w, const char *what)
{
	const struct name *name;
	const struct source_draft *s;
	const struct pool_draft *p;

	if (!route_name_is_valid(w->text)) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" cannot name a %s; expected letters, digits, -, _ or .",
			   DIAG_WORD(w->text), what);
		return NULL;
	}
	name = name_intern(w->text);
	s = find_source(l, name);
	p = find_pool(l, name);
	if (s || p) {
		const struct config_place *at = s ? &s->source.place : &p->pool.place;

		diag_error(&l->diag, &w->place, "%.*s is already the name of a %s, in %s:%u",
			   DIAG_WORD(w->text), s ? "source" : "pool", at->file, at->line);
		return NULL;
	}
	return name;
}

/* ---- source */

static const char *const source_words[] = { "address", "helo", NULL };

static bool read_address(struct reader *r, struct source *s)
{
	struct ip *slot, ip;

	if (!ip_parse(r->at->text, &ip)) {
		diag_error(&r->l->diag, reader_place(r),
			   "\"%.*s\" is not an IP address such as 192.0.2.10 or 2001:db8::10",
			   DIAG_WORD(r->at->text));
		return false;
	}
	if (is_every_address(&ip) || is_multicast(&ip)) {
		diag_error(&r->l->diag, reader_place(r), "nothing can be sent from %.*s",
			   DIAG_WORD(r->at->text));
		return false;
	}
	slot = ip.family == 4 ? &s->ipv4 : &s->ipv6;
	if (slot->family) {
		diag_error(&r->l->diag, reader_place(r),
			   "a source has one IPv%u address at most; several sources make a pool",
			   ip.family);
		return false;
	}
	*slot = ip;
	r->at++;
	return true;
}

static bool read_helo(struct reader *r, struct source *s)
{
	struct word w;

	if (!reader_name(r, "a host name", &w))
		return false;
	if (!domain_is_valid(w.text, false) && !domain_literal_is_valid(w.text)) {
		diag_error(&r->l->diag, &w.place,
			   "\"%.*s\" is not a host name such as out1.example.net",
			   DIAG_WORD(w.text));
		return false;
	}
	s->helo = arena_str(&r->l->c->arena, w.text);
	return true;
}

static bool read_source(struct reader *r, struct source *s)
{
	static const char *const address[] = { "an IP address", NULL };
	static const char *const end[] = { "the end of the line", NULL };

	r->at++;	/* the name */
	if (!reader_keyword(r, "address"))
		return false;
	if (!reader_has_word(r))
		return reader_expected(r, address);
	while (reader_has_word(r))
		if (!read_address(r, s))
			return false;
	if (reader_is_at(r, "helo")) {
		r->at++;
		if (!read_helo(r, s))
			return false;
	}
	return r->at == r->end || reader_expected(r, end);
}

static bool ip_same(const struct ip *a, const struct ip *b)
{
	return a->family && ip_eq(a, b);
}

static void warn_same_address(struct load *l, const struct source *s)
{
	for (unsigned i = 0; i < l->sources.n; i++) {
		const struct source *other = l->sources.p[i];

		if (ip_same(&s->ipv4, &other->ipv4) || ip_same(&s->ipv6, &other->ipv6))
			diag_warn(&l->diag, &s->place,
				  "sources %s and %s send from the same address; limits and "
				  "warm-up plans count them apart",
				  s->name->text, other->name->text);
	}
}

void source_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	struct source_draft *d = arena_zalloc(&l->c->arena, sizeof(*d));
	struct reader r = reader_of(l, st, "the source", "sources", source_words);

	(void)row;
	l->opened = d;
	d->source.place = st->place;
	d->source.name = new_name(l, &st->words[1], "source");
	if (!read_source(&r, &d->source) || !d->source.name)
		return;
	warn_same_address(l, &d->source);
	d->member = (struct source_member){ &d->source, 1 };
	d->alone = (struct source_pool){ d->source.name, st->place, &d->member, 1 };
	load_add(l, &l->sources, d, LOAD_SOURCES_MAX, &st->place, "sources");
}

/* ---- warm_up from YYYY-MM-DD N N N ... [overflow NAME] */

/* Days since 1970 of the proleptic Gregorian calendar. */
static int64_t day_number(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1;	/* years begin in March */
	int64_t m = month > 2 ? month - 3 : month + 9;

	return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static bool date_parse(struct str s, int64_t *ret)
{
	static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	uint64_t y, m, d, length;

	if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-' ||
	    !str_parse_u64(str_sub(s, 0, 4), 9999, &y) ||
	    !str_parse_u64(str_sub(s, 5, 7), 12, &m) ||
	    !str_parse_u64(str_sub(s, 8, 10), 31, &d) || y < 1970 || m < 1 || d < 1)
		return false;
	length = lengths[m - 1] + (m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
	if (d > length)
		return false;
	*ret = day_number((int64_t)y, (int64_t)m, (int64_t)d);
	return true;
}

static bool read_day(struct reader *r, uint32_t *ret)
{
	uint64_t n;

	if (!str_parse_u64(r->at->text, WARM_UP_MAX, &n) || n < 1) {
		diag_error(&r->l->diag, reader_place(r),
			   "\"%.*s\" is not a number of messages for a day; expected 1 to %d",
			   DIAG_WORD(r->at->text), WARM_UP_MAX);
		return false;
	}
	*ret = (uint32_t)n;
	r->at++;
	return true;
}

static bool read_plan(struct reader *r, struct source *s)
{
	static const char *const words[] = { "the messages of the first day", NULL };
	uint32_t *days = arena_alloc(&r->l->c->arena, (size_t)(r->end - r->at) * sizeof(*days));
	struct word date;

	if (!reader_keyword(r, "from") || !reader_name(r, "the first day", &date))
		return false;
	if (!date_parse(date.text, &s->warm_up_from_day)) {
		diag_error(&r->l->diag, &date.place,
			   "\"%.*s\" is not a day such as 2026-03-31", DIAG_WORD(date.text));
		return false;
	}
	if (!reader_has_word(r))
		return reader_expected(r, words);
	for (s->warm_up_n = 0; reader_has_word(r); s->warm_up_n++)
		if (!read_day(r, &days[s->warm_up_n]))
			return false;
	s->warm_up = days;
	return true;
}

void source_warm_up(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const keywords[] = { "from", "overflow", NULL };
	static const char *const end[] = { "the end of the line", NULL };
	struct reader r = reader_of(l, st, "warm_up", "warm_up", keywords);
	struct source_draft *d = l->frames[l->depth].object;

	(void)row;
	if (!read_plan(&r, &d->source))
		return;
	if (reader_is_at(&r, "overflow")) {
		r.at++;
		if (!reader_name(&r, "the name of a source or pool", &d->overflow))
			return;
	}
	if (r.at < r.end)
		reader_expected(&r, end);
}

/* ---- pool */

void source_pool_statement(struct load *l, const struct setting *row, const struct statement *st)
{
	struct pool_draft *d = arena_zalloc(&l->c->arena, sizeof(*d));

	(void)row;
	l->opened = d;
	d->pool.place = st->place;
	d->pool.name = new_name(l, &st->words[1], "pool");
	/* added even without a name, because its vector must be freed */
	if (!load_add(l, &l->pools, d, LOAD_POOLS_MAX, &st->place, "pools"))
		l->opened = NULL;
}

/* source NAME [weight N] */
void source_member(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const keywords[] = { "weight", NULL };
	static const char *const end[] = { "the end of the line", NULL };
	struct reader r = reader_of(l, st, "the member", "pools", keywords);
	struct member_draft *m = arena_zalloc(&l->scratch, sizeof(*m));
	struct pool_draft *d = l->frames[l->depth].object;
	uint64_t weight = 1;
	struct word w;

	(void)row;
	d->has_members = true;
	if (!reader_name(&r, "the name of a source", &m->source))
		return;
	if (reader_is_at(&r, "weight")) {
		r.at++;
		if (!reader_name(&r, "a number", &w))
			return;
		if (!str_parse_u64(w.text, WEIGHT_MAX, &weight)) {
			diag_error(&l->diag, &w.place, "weight must be between 0 and %d",
				   WEIGHT_MAX);
			return;
		}
	}
	if (r.at < r.end) {
		reader_expected(&r, end);
		return;
	}
	m->weight = (uint32_t)weight;
	load_add(l, &d->members, m, LOAD_MEMBERS_MAX, &st->place, "sources in one pool");
}

void source_finish_pool(struct load *l, struct pool_draft *d)
{
	bool is_drawn = false;

	for (unsigned i = 0; i < d->members.n; i++)
		is_drawn |= ((const struct member_draft *)d->members.p[i])->weight > 0;
	/* those with a fault were reported */
	if (is_drawn || !d->pool.name || (d->has_members && !d->members.n))
		return;
	diag_error(&l->diag, &d->pool.place, "pool %s has no source%s", d->pool.name->text,
		   d->members.n ? " with a weight above 0" : "");
}

/* ---- at the end */

static void add_names(const struct load *l, bool with_pools, struct choices *ret)
{
	for (unsigned i = 0; i < l->sources.n; i++)
		choices_add(ret, name_str(((struct source *)l->sources.p[i])->name));
	for (unsigned i = 0; with_pools && i < l->pools.n; i++)
		choices_add(ret, name_str(((struct source_pool *)l->pools.p[i])->name));
}

const struct source_pool *source_pool_find(struct load *l, const struct word *w)
{
	const struct name *name = name_intern(w->text);
	const struct source_draft *s = find_source(l, name);
	const struct pool_draft *p = find_pool(l, name);
	struct choices choices = { .n = 0 };

	if (s && name)
		return &s->alone;
	if (p && name)
		return &p->pool;
	add_names(l, true, &choices);
	diag_unknown(&l->diag, &w->place, "unknown source", w->text, &choices);
	return NULL;
}

const struct source *source_find(struct load *l, const struct word *w)
{
	const struct name *name = name_intern(w->text);
	const struct source_draft *s = find_source(l, name);
	struct choices choices = { .n = 0 };

	if (s && name)
		return &s->source;
	if (name && find_pool(l, name)) {
		diag_error(&l->diag, &w->place,
			   "%.*s is a pool; expected the name of a source",
			   DIAG_WORD(w->text));
		return NULL;
	}
	add_names(l, false, &choices);
	diag_unknown(&l->diag, &w->place, "unknown source", w->text, &choices);
	return NULL;
}

static void resolve_pool(struct load *l, struct pool_draft *d)
{
	struct source_member *members =
		arena_alloc(&l->c->arena, size_mul(d->members.n, sizeof(*members)));

	d->pool.members = members;
	for (unsigned i = 0; i < d->members.n; i++) {
		const struct member_draft *m = d->members.p[i];
		const struct source *s = source_find(l, &m->source);
		unsigned j = 0;

		while (j < d->pool.n && members[j].source != s)
			j++;
		if (s && j < d->pool.n)
			diag_error(&l->diag, &m->source.place, "source %s is in this pool already",
				   s->name->text);
		else if (s)
			members[d->pool.n++] = (struct source_member){ s, m->weight };
	}
}

/* ---- loops: a walk in depth, without recursion, from each source through its overflows */

enum { UNSEEN, OPEN, DONE };

struct visit {
	struct source_draft *source;
	unsigned next;		/* member of its overflow to be visited */
};

static struct source_draft *draft_of(const struct source *s)
{
	return CONTAINER_OF(s, struct source_draft, source);
}

static struct source_draft *next_of(struct visit *v)
{
	const struct source_pool *overflow = v->source->source.overflow;

	if (!overflow || v->next == overflow->n)
		return NULL;
	return draft_of(overflow->members[v->next++].source);
}

static void walk_from(struct load *l, struct source_draft *first, struct visit *path)
{
	unsigned n = 0;

	first->state = OPEN;
	path[n++] = (struct visit){ first, 0 };
	while (n) {
		struct source_draft *next = next_of(&path[n - 1]);

		if (!next) {
			path[--n].source->state = DONE;
		} else if (next->state == OPEN) {
			diag_error(&l->diag, &path[n - 1].source->overflow.place,
				   "the overflow of source %s leads back to source %s",
				   path[n - 1].source->source.name->text, next->source.name->text);
		} else if (next->state == UNSEEN) {
			next->state = OPEN;
			path[n++] = (struct visit){ next, 0 };
		}
	}
}

void source_check_all(struct load *l)
{
	struct visit *path = arena_alloc(&l->scratch, (size_t)(l->sources.n + 1) * sizeof(*path));

	for (unsigned i = 0; i < l->pools.n; i++)
		resolve_pool(l, l->pools.p[i]);
	for (unsigned i = 0; i < l->sources.n; i++) {
		struct source_draft *d = l->sources.p[i];

		if (d->overflow.text.n)
			d->source.overflow = source_pool_find(l, &d->overflow);
	}
	for (unsigned i = 0; i < l->sources.n; i++) {
		struct source_draft *d = l->sources.p[i];

		if (d->state == UNSEEN)
			walk_from(l, d, path);
	}
}

void source_freeze(struct load *l)
{
	struct config *c = l->c;
	const struct source **sources =
		arena_alloc(&c->arena, size_mul(l->sources.n, sizeof(*sources)));
	const struct source_pool **pools =
		arena_alloc(&c->arena, size_mul(l->pools.n, sizeof(*pools)));

	for (unsigned i = 0; i < l->sources.n; i++)
		sources[i] = l->sources.p[i];
	for (unsigned i = 0; i < l->pools.n; i++)
		pools[i] = l->pools.p[i];
	c->sources = sources;
	c->sources_n = l->sources.n;
	c->pools = pools;
	c->pools_n = l->pools.n;
}
