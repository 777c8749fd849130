/*
 * sts_policy - the texts of MTA-STS; see sts_policy.h.
 *
 * Read by their grammar (RFC 8461 3.1, 3.2) and no wider: a policy that is taken binds us for up to
 * a year, so what is unclear is no policy. Lines may end in LF or CR LF, as the grammar says.
 */
#include "verify/sts_policy.h"

#define RECORD_MAX 1024		/* octets of a TXT record that is looked at */
#define KEY_MAX 32

/* ---- the record */

bool txt_join(const struct dns_record *r, struct buf *out)
{
	for (size_t at = 0; at < r->n;) {
		size_t n = r->p[at++];

		if (n > r->n - at || !buf_add(out, r->p + at, n))
			return false;
		at += n;
	}
	return true;
}

static struct str next_field(struct str *rest)
{
	ssize_t end = str_find(*rest, ';');
	struct str field = end < 0 ? *rest : str_sub(*rest, 0, (size_t)end);

	*rest = end < 0 ? STR_NONE : str_from(*rest, (size_t)end + 1);
	return str_trim(field);
}

static bool is_alnum(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]))
			return false;
	return s.n;
}

/* Everything behind "v=STSv1": fields with a name and a value, one of them the id. */
static bool read_record(struct str rest, char ret_id[STS_ID_MAX + 1])
{
	bool found = false;

	while (rest.n) {
		struct str field = next_field(&rest);
		ssize_t equal = str_find(field, '=');
		struct str value = str_from(field, (size_t)(equal + 1));

		if (!field.n && !rest.n)
			break;
		if (equal <= 0 || str_find(field, ' ') >= 0)
			return false;
		if (!str_eq(str_sub(field, 0, (size_t)equal), STR("id")) || found)
			continue;
		if (!is_alnum(value) || value.n > STS_ID_MAX)
			return false;
		str_copy(ret_id, STS_ID_MAX + 1, value);
		found = true;
	}
	return found;
}

bool sts_record_find(const struct dns_answer *txt, char ret_id[STS_ID_MAX + 1])
{
	const struct str version = STR("v=STSv1");
	char id[STS_ID_MAX + 1];
	unsigned n = 0;
	bool ok = false;

	for (unsigned i = 0; i < txt->n; i++) {
		struct buf text = BUF_INIT(RECORD_MAX);
		struct str rest;

		if (txt_join(&txt->records[i], &text) && str_starts(buf_str(&text), version)) {
			rest = str_trim(str_from(buf_str(&text), version.n));
			if (rest.n && rest.p[0] == ';') {
				n++;
				ok = read_record(str_from(rest, 1), id);
			}
		}
		buf_done(&text);
	}
	if (n != 1 || !ok)
		return false;
	str_copy(ret_id, STS_ID_MAX + 1, str_of(id));
	return true;
}

/* ---- the policy */

static bool is_label(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return s.n > 0 && s.n < 64;
}

static bool is_domain(struct str s)
{
	unsigned labels = 0;

	if (s.n > DNS_NAME_MAX)
		return false;
	for (bool more = true; more; labels++) {
		ssize_t dot = str_find(s, '.');
		struct str label = dot < 0 ? s : str_sub(s, 0, (size_t)dot);

		if (!is_label(label))
			return false;
		more = dot >= 0;
		s = str_from(s, label.n + 1);
	}
	return labels > 0;
}

static bool is_pattern(struct str s)
{
	return is_domain(str_starts(s, STR("*.")) ? str_from(s, 2) : s);
}

static bool is_key(struct str s)
{
	if (!s.n || s.n > KEY_MAX || !ascii_is_alnum(s.p[0]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && !strchr("_-.", s.p[i]))
			return false;
	return true;
}

struct reading {
	struct sts_policy policy;
	struct str *mx;			/* room for STS_MX_MAX */
	bool has_version, has_mode, has_age;
};

static bool read_mode(struct reading *r, struct str value)
{
	static const struct {
		const char *name;
		enum sts_mode mode;
	} modes[] = {{"none", STS_NONE}, {"testing", STS_TESTING}, {"enforce", STS_ENFORCE}};

	if (r->has_mode)
		return true;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!str_eq(value, str_of(modes[i].name)))
			continue;
		r->policy.mode = modes[i].mode;
		r->has_mode = true;
	}
	return r->has_mode;
}

static bool read_age(struct reading *r, struct str value)
{
	uint64_t age;

	if (r->has_age)
		return true;
	if (value.n > 10 || !str_parse_u64(value, UINT64_MAX, &age))
		return false;
	r->policy.max_age_s = age < STS_AGE_MAX ? (uint32_t)age : STS_AGE_MAX;
	r->has_age = true;
	return true;
}

/* False: the policy is malformed. */
static bool read_field(struct reading *r, struct str key, struct str value)
{
	if (str_eq(key, STR("version"))) {
		bool ok = r->has_version || str_eq(value, STR("STSv1"));

		r->has_version = true;
		return ok;
	}
	if (str_eq(key, STR("mode")))
		return read_mode(r, value);
	if (str_eq(key, STR("max_age")))
		return read_age(r, value);
	if (!str_eq(key, STR("mx")))
		return true;
	if (!is_pattern(value))
		return false;
	if (r->policy.mx_n < STS_MX_MAX)
		r->mx[r->policy.mx_n++] = value;
	return true;
}

static bool read_line(struct reading *r, struct str line)
{
	ssize_t colon;

	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	if (!str_trim(line).n)
		return true;
	colon = str_find(line, ':');
	if (colon < 0 || !is_key(str_sub(line, 0, (size_t)colon)))
		return false;
	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t')
			return false;
	return read_field(r, str_sub(line, 0, (size_t)colon),
			  str_trim(str_from(line, (size_t)colon + 1)));
}

bool sts_policy_parse(struct arena *a, struct str text, struct sts_policy *ret)
{
	struct reading r = { .has_version = false };

	if (text.n > STS_TEXT_MAX)
		return false;
	r.mx = arena_alloc(a, STS_MX_MAX * sizeof(*r.mx));
	while (text.n) {
		ssize_t end = str_find(text, '\n');
		struct str line = end < 0 ? text : str_sub(text, 0, (size_t)end);

		if (!read_line(&r, line))
			return false;
		text = str_from(text, line.n + 1);
	}
	if (!r.has_version || !r.has_mode || !r.has_age ||
	    (!r.policy.mx_n && r.policy.mode != STS_NONE))
		return false;
	r.policy.mx = r.mx;
	*ret = r.policy;
	return true;
}

void sts_policy_format(struct buf *out, const struct sts_policy *p)
{
	buf_printf(out, "version: STSv1\nmode: %s\nmax_age: %u\n", sts_mode_name(p->mode),
		   p->max_age_s);
	for (unsigned i = 0; i < p->mx_n; i++)
		if (out->n + p->mx[i].n + sizeof("mx: \n") <= STS_KEPT_MAX)
			buf_printf(out, "mx: %.*s\n", STR_ARG(p->mx[i]));
}

bool sts_policy_lists(const struct sts_policy *p, struct str host)
{
	ssize_t dot;

	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	dot = str_find(host, '.');
	for (unsigned i = 0; i < p->mx_n; i++) {
		struct str mx = p->mx[i];

		if (!str_starts(mx, STR("*."))) {
			if (str_eq_nocase(mx, host))
				return true;
		} else if (dot > 0 && str_eq_nocase(str_from(mx, 1), str_from(host, (size_t)dot))) {
			return true;
		}
	}
	return false;
}

const char *sts_mode_name(enum sts_mode m)
{
	static const char *const names[] = { "none", "testing", "enforce" };

	return names[m];
}
