/*
 * greylist_file - STATE/greylist: what greylisting knows, kept over restarts (report/kept.h).
 *
 *	relevo greylist 2
 *	KIND DIGEST FIRST UNTIL COUNT
 *
 * KIND: triple or network; DIGEST: 128 bits as hex; FIRST attempt and UNTIL when it is remembered,
 * in ms since 1970; COUNT: of good messages. In no order. The worst that a wrong line does is to
 * let one triple pass, or wait. What a crash loses is a minute of first attempts: those senders
 * wait a little longer.
 */
#include "policy/greylist_inner.h"

#include "base/fields.h"
#include "net/loop.h"

#define SAVE_EVERY (60 * SECOND)
#define FILE_MAX (64u * 1024 * 1024)
#define FIELDS 5

static const char *const kinds[GREYLIST_KINDS] = { "triple", "network" };

/* ---- writing */

static void put(void *arg, const struct map_node *node, struct buf *out)
{
	const struct greylist *g = arg;
	const struct grey *x = CONTAINER_OF(node, struct grey, node);

	if (x->until_ms <= g->world->wall_ms(g->world))
		return;
	buf_printf(out, "%s\t", kinds[g->kind_saved]);
	for (unsigned i = 0; i < GREYLIST_DIGEST; i++)
		buf_printf(out, "%02x", x->digest[i]);
	buf_printf(out, "\t%lld\t%lld\t%u\t\n", (long long)x->first_ms, (long long)x->until_ms,
		   x->good);
}

static bool some(void *arg, bool first, struct buf *out)
{
	struct greylist *g = arg;
	bool more;

	if (first)
		g->kind_saved = g->bucket_saved = 0;
	pthread_mutex_lock(&g->lock);
	more = kept_walk(&g->kinds[g->kind_saved].map, &g->bucket_saved, put, g, out);
	pthread_mutex_unlock(&g->lock);
	if (more)
		return true;
	g->bucket_saved = 0;
	return ++g->kind_saved < GREYLIST_KINDS;
}

/* ---- reading */

static bool parse_kind(struct str word, enum greylist_kind *ret)
{
	for (unsigned i = 0; i < GREYLIST_KINDS; i++) {
		if (!str_eq(word, str_of(kinds[i])))
			continue;
		*ret = (enum greylist_kind)i;
		return true;
	}
	return false;
}

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_digest(struct str hex, unsigned char ret[GREYLIST_DIGEST])
{
	if (hex.n != 2 * GREYLIST_DIGEST)
		return false;
	for (unsigned i = 0; i < GREYLIST_DIGEST; i++) {
		int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (unsigned char)(high * 16 + low);
	}
	return true;
}

static void take(struct greylist *g, enum greylist_kind k, const struct grey *as)
{
	struct grey *x;

	pthread_mutex_lock(&g->lock);
	x = greylist_find(g, k, as->digest);
	if (!x)
		x = greylist_add(g, k, as->digest);
	x->first_ms = as->first_ms;
	x->until_ms = as->until_ms;
	x->good = as->good;
	pthread_mutex_unlock(&g->lock);
}

static bool on_line(void *arg, char *line, size_t n)
{
	struct greylist *g = arg;
	struct str f[FIELDS];
	enum greylist_kind kind;
	struct grey x = { 0 };
	uint64_t good;

	if (fields_split(line, n, f, FIELDS) != FIELDS || !parse_kind(f[0], &kind) ||
	    !parse_digest(f[1], x.digest) || !fields_parse_i64(f[2], &x.first_ms) ||
	    !fields_parse_i64(f[3], &x.until_ms) || !str_parse_u64(f[4], UINT32_MAX, &good))
		return false;
	x.good = (uint32_t)good;
	if (x.until_ms > g->world->wall_ms(g->world))
		take(g, kind, &x);
	return true;
}

void greylist_keep(struct greylist *g, struct world *w, const char *state)
{
	static const struct kept_kind kind = {
		.file = "greylist", .head = "relevo greylist 2", .what = "what greylisting knows",
		.size_max = FILE_MAX, .every_ns = SAVE_EVERY, .line = on_line, .some = some,
	};

	g->world = w;
	g->kept = kept_start(w, state, &kind, g);
}

void greylist_stop(struct greylist *g)
{
	kept_stop(g->kept);
}
