/*
 * sts_store - policies on disk, so that a restart does not open the door to whoever keeps us from
 * fetching them again (RFC 8461 10.2).
 *
 * A file is named as its domain and holds:
 *
 *	mta-sts 1
 *	domain example.com
 *	id 20261122T0300
 *	fetched 1795316400000		milliseconds since 1970
 *	(an empty line)
 *	the policy, as sts_policy_format writes it
 *
 * What the disk does not give now is passed over, and fetched again. Blocks: at start, and in the
 * pool.
 */
#include "verify/sts_store.h"

#include "verify/store.h"

#define FOLDER "mta-sts"
#define FILE_MAX (STS_TEXT_MAX + 1024)

/* ---- the text */

static bool take_line(struct str *rest, struct str key, struct str *ret)
{
	ssize_t end = str_find(*rest, '\n');
	struct str line = end < 0 ? STR_NONE : str_sub(*rest, 0, (size_t)end);

	if (end < 0 || !str_starts(line, key))
		return false;
	*ret = str_from(line, key.n);
	*rest = str_from(*rest, (size_t)end + 1);
	return true;
}

bool sts_stored_parse(struct str text, struct sts_stored *ret)
{
	struct sts_stored p;
	struct str version, fetched, empty;
	uint64_t ms;

	if (!take_line(&text, STR("mta-sts "), &version) || !str_eq(version, STR("1")) ||
	    !take_line(&text, STR("domain "), &p.domain) || !take_line(&text, STR("id "), &p.id) ||
	    p.id.n > STS_ID_MAX || !take_line(&text, STR("fetched "), &fetched) ||
	    !str_parse_u64(fetched, INT64_MAX, &ms) || !take_line(&text, STR(""), &empty) ||
	    empty.n)
		return false;
	for (size_t i = 0; i < p.id.n; i++)
		if (!ascii_is_alnum(p.id.p[i]))
			return false;
	if (!store_can_name(p.domain))
		return false;
	p.fetched_ms = (int64_t)ms;
	p.text = text;
	*ret = p;
	return true;
}

void sts_stored_format(struct buf *out, const struct sts_stored *p)
{
	buf_printf(out, "mta-sts 1\ndomain %.*s\nid %.*s\nfetched %lld\n\n", STR_ARG(p->domain),
		   STR_ARG(p->id), (long long)p->fetched_ms);
	buf_add_str(out, p->text);
}

/* ---- files */

static struct store store_of(struct world *w, const char *state)
{
	return (struct store){ w, state, FOLDER, FILE_MAX };
}

struct reading {
	void (*found)(void *arg, const struct sts_stored *p);
	void *arg;
};

static void on_file(void *arg, struct str name, struct str text)
{
	const struct reading *r = arg;
	struct sts_stored p;

	if (!sts_stored_parse(text, &p) || !str_eq(p.domain, name))
		p = (struct sts_stored){ .domain = name };
	r->found(r->arg, &p);
}

void sts_store_read(struct world *w, const char *state,
		    void (*found)(void *arg, const struct sts_stored *p), void *arg)
{
	const struct store s = store_of(w, state);
	struct reading r = { found, arg };

	store_each(&s, on_file, &r);
}

int sts_store_write(struct world *w, const char *state, const struct sts_stored *p)
{
	const struct store s = store_of(w, state);
	struct buf text = BUF_INIT(FILE_MAX);
	int r;

	sts_stored_format(&text, p);
	r = store_write(&s, p->domain, buf_str(&text));
	buf_done(&text);
	return r;
}

void sts_store_remove(struct world *w, const char *state, struct str domain)
{
	const struct store s = store_of(w, state);

	store_remove(&s, domain);
}
