/*
 * bans_file - STATE/bans: networks whose logins failed, kept over restarts (report/kept.h).
 *
 *	relevo bans 1
 *	network IP LEVEL DRAINED BANS UNTIL
 *
 * IP: an IPv4 address, or an IPv6 address whose last 64 bits are 0; LEVEL: thousandths of failures
 * at DRAINED; BANS so far; UNTIL: when the last one ends, 0: it has ended. Times in ms since 1970.
 * Networks of which nothing counts any more are left out. If the clock was set back, what lies in
 * the future is taken as now, and a ban lasts no longer than the longest.
 */
#include "policy/bans_inner.h"

#include "net/loop.h"

#define SAVE_EVERY SECOND	/* so an attacker who crashes the relay gains a second */
#define FILE_MAX (16u * 1024 * 1024)
#define FIELDS 6

/* ---- writing */

/* It is known as one that comes back until it has kept still for as long as the longest ban. */
static bool still_counts(const struct bans *b, const struct count *n, uint64_t now)
{
	return n->level || n->banned_until > now ||
	       (n->bans && now - n->drained < b->limits.ban_max_ms * MILLISECOND);
}

static void put(void *arg, const struct map_node *node, struct buf *out)
{
	struct bans *b = arg;
	const struct count *n = CONTAINER_OF(node, struct count, node);
	const struct moment t = moment_now(b->world);
	char ip[ENDPOINT_TEXT_MAX];

	if (!still_counts(b, n, t.now))
		return;
	buf_printf(out, "network\t%s\t%u\t%lld\t%u\t%lld\t\n", ip_text(ip, &n->network), n->level,
		   (long long)moment_to_wall(&t, n->drained), n->bans,
		   (long long)(n->banned_until > t.now ? moment_to_wall(&t, n->banned_until) : 0));
}

static bool some(void *arg, bool first, struct buf *out)
{
	struct bans *b = arg;
	bool more;

	if (first)
		b->bucket_saved = 0;
	pthread_mutex_lock(&b->lock);
	more = kept_walk(&b->networks.map, &b->bucket_saved, put, b, out);
	pthread_mutex_unlock(&b->lock);
	return more;
}

/* ---- reading */

/* The level that is left of it now. */
static uint32_t level_left(const struct bans *b, uint64_t level, int64_t ago_ns)
{
	uint64_t each = b->limits.forget_ms * MILLISECOND / BANS_ONE;
	uint64_t gone = ago_ns > 0 && each ? (uint64_t)ago_ns / each : 0;

	return gone < level ? (uint32_t)(level - gone) : 0;
}

static void take(struct bans *b, const struct ip *network, const struct count *as, uint64_t now)
{
	struct count *n;

	pthread_mutex_lock(&b->lock);
	n = bans_network(b, network, now);
	if (!n->level && !n->bans) {		/* else it stood there already */
		n->level = as->level;
		n->bans = as->bans;
		n->banned_until = as->banned_until;
		b->banned += n->banned_until != 0;
	}
	pthread_mutex_unlock(&b->lock);
}

static bool on_line(void *arg, char *line, size_t n)
{
	struct bans *b = arg;
	const struct moment t = moment_now(b->world);
	const int64_t longest = (int64_t)(b->limits.ban_max_ms * MILLISECOND);
	struct count x = { .drained = t.now };
	uint64_t level, bans;
	int64_t drained_ms, until_ms, left;
	struct str f[FIELDS];
	struct ip ip;

	if (fields_split(line, n, f, FIELDS) != FIELDS || !str_eq(f[0], STR("network")) ||
	    !ip_parse(f[1], &ip) || !str_parse_u64(f[2], BANS_LEVEL_MAX, &level) ||
	    !fields_parse_i64(f[3], &drained_ms) || !str_parse_u64(f[4], UINT32_MAX, &bans) ||
	    !fields_parse_i64(f[5], &until_ms))
		return false;
	x.bans = (uint32_t)bans;
	x.level = level_left(b, level, moment_ago(&t, drained_ms));
	left = until_ms ? -moment_ago(&t, until_ms) : 0;
	if (left > 0)
		x.banned_until = t.now + (uint64_t)(left < longest ? left : longest);
	if (x.level || x.banned_until || (bans && moment_ago(&t, drained_ms) < longest))
		take(b, &ip, &x, t.now);
	return true;
}

void bans_keep(struct bans *b, struct world *w, const char *state)
{
	static const struct kept_kind kind = {
		.file = "bans", .head = "relevo bans 1", .what = "which logins failed",
		.size_max = FILE_MAX, .every_ns = SAVE_EVERY, .line = on_line, .some = some,
	};

	b->world = w;
	b->kept = kept_start(w, state, &kind, b);
}

void bans_stop(struct bans *b)
{
	kept_stop(b->kept);
}
