/*
 * recipients_file - STATE/recipients: what the servers of relay domains said of their recipients,
 * kept over restarts (report/kept.h).
 *
 *	relevo recipients 1
 *	WORD ROUTE ADDRESS UNTIL
 *
 * WORD: yes or no; UNTIL: believed without asking again, in ms since 1970. A no is forgotten then;
 * a yes stays, as it holds while the server is down, until nobody has asked again for AGE_MS.
 * Addresses stand in clear: they do in the spool, too, and the folder is the relay's alone.
 */
#include "policy/recipients_inner.h"

#include "base/fields.h"
#include "net/loop.h"

#define AGE_MS (30ll * 24 * 3600 * 1000)
#define SAVE_EVERY (10 * SECOND)
#define FILE_MAX (64u * 1024 * 1024)
#define FIELDS 4

/* ---- writing */

static bool is_old(enum recipient_word word, int64_t until_ms, int64_t now_ms)
{
	return now_ms > until_ms && (word != WORD_YES || now_ms - until_ms > AGE_MS);
}

static void put(void *arg, const struct map_node *node, struct buf *out)
{
	const struct recipients *x = arg;
	const struct known *k = CONTAINER_OF(node, struct known, node);

	if (!k->address.n || is_old(k->word, k->until_ms, x->world->wall_ms(x->world)))
		return;
	buf_add_str(out, k->word == WORD_YES ? STR("yes\t") : STR("no\t"));
	fields_add(out, name_str(k->route));
	fields_add(out, k->address);
	buf_printf(out, "%lld\t\n", (long long)k->until_ms);
}

static bool some(void *arg, bool first, struct buf *out)
{
	struct recipients *x = arg;
	bool more;

	if (first)
		x->bucket_saved = 0;
	pthread_mutex_lock(&x->lock);
	more = kept_walk(&x->map, &x->bucket_saved, put, x, out);
	pthread_mutex_unlock(&x->lock);
	return more;
}

/* ---- reading */

static bool on_line(void *arg, char *line, size_t n)
{
	struct recipients *x = arg;
	struct str f[FIELDS];
	enum recipient_word word = WORD_YES;
	int64_t until_ms;

	if (fields_split(line, n, f, FIELDS) != FIELDS || !f[2].n ||
	    !fields_parse_i64(f[3], &until_ms))
		return false;
	if (str_eq(f[0], STR("no")))
		word = WORD_NO;
	else if (!str_eq(f[0], STR("yes")))
		return false;
	if (!is_old(word, until_ms, x->world->wall_ms(x->world)))
		recipients_learn(x, name_intern(f[1]), f[2], word, until_ms);
	return true;
}

void recipients_keep(struct recipients *x, struct world *w, const char *state)
{
	static const struct kept_kind kind = {
		.file = "recipients", .head = "relevo recipients 1",
		.what = "which recipients relay domains have", .size_max = FILE_MAX,
		.every_ns = SAVE_EVERY, .line = on_line, .some = some,
	};

	x->world = w;
	x->kept = kept_start(w, state, &kind, x);
}

void recipients_stop(struct recipients *x)
{
	kept_stop(x->kept);
}
