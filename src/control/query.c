/*
 * query - the parser; see query.h. The matcher is query_match.c.
 *
 * A table of keys drives it: what a key takes, and what to say when it gets something else. A bare
 * word that is a message id is a condition of its own together with the other bare ids, so that
 * `delete ID ID sender X` means those of the two that are from X.
 */
#include "control/query_inner.h"

#include "base/mem.h"
#include "config/value.h"

#define SUGGEST_DISTANCE 3

static const struct key_row {
	const char *name;
	enum query_take take;
} keys[QUERY_KEYS] = {
	[QUERY_SENDER] = { "sender", TAKE_ADDRESSES },
	[QUERY_RECIPIENT] = { "recipient", TAKE_ADDRESSES },
	[QUERY_DOMAIN] = { "domain", TAKE_NAMES },
	[QUERY_DESTINATION] = { "destination", TAKE_NAMES },
	[QUERY_PROVIDER] = { "provider", TAKE_NAMES },
	[QUERY_ROUTE] = { "route", TAKE_NAMES },
	[QUERY_AGE] = { "age", TAKE_TIME },
	[QUERY_SIZE] = { "size", TAKE_SIZE },
	[QUERY_TAG] = { "tag", TAKE_NAMES },
	[QUERY_STATUS] = { "status", TAKE_STATUS },
	[QUERY_ID] = { "id", TAKE_IDS },
};

static const struct {
	const char *name;
	unsigned bit;
} statuses[] = {
	{ "queued", QUERY_QUEUED },	  { "ready", QUERY_READY },
	{ "waiting", QUERY_WAITING },	  { "held", QUERY_HELD },
	{ "deferred", QUERY_DEFERRED },	  { "new", QUERY_NEW },
	{ "in-flight", QUERY_IN_FLIGHT }, { "suspended", QUERY_SUSPENDED },
	{ "limited", QUERY_LIMITED },	  { "resting", QUERY_RESTING },
};

#define STATUSES_N (sizeof(statuses) / sizeof(statuses[0]))

struct reading {
	const struct str *words;	/* borrowed */
	unsigned n, at;
	const char *stop;
	struct query *query;
	struct condition *bare;		/* that of the bare ids; NULL: none yet */
	struct buf *error;
};

/* ---- errors: the place, what it is, what was expected, what may have been meant */

static void add_shown(struct buf *out, struct str word)
{
	buf_add_byte(out, '"');
	for (size_t i = 0; i < word.n && i < 80; i++)
		buf_add_byte(out, (unsigned char)word.p[i] < 0x20 || word.p[i] == 0x7f ?
			     '?' : word.p[i]);
	buf_add_lit(out, "\"");
}

static void fail_at(struct reading *r, unsigned place, struct str word, const char *what)
{
	buf_printf(r->error, "word %u, ", place + 1);
	add_shown(r->error, word);
	buf_printf(r->error, ": %s", what);
}

static void add_expected(struct reading *r, struct str word, const char *(*name)(unsigned i),
			 unsigned n)
{
	const char *best = NULL;
	unsigned distance = SUGGEST_DISTANCE;

	buf_add_lit(r->error, "; expected one of ");
	for (unsigned i = 0; i < n; i++) {
		unsigned d = str_distance(word, str_of(name(i)));

		buf_printf(r->error, "%s%s", i ? ", " : "", name(i));
		if (d < distance) {
			distance = d;
			best = name(i);
		}
	}
	if (best)
		buf_printf(r->error, "; did you mean \"%s\"?", best);
}

static const char *key_name(unsigned i)
{
	return keys[i].name;
}

static const char *status_name(unsigned i)
{
	return statuses[i].name;
}

/* ---- values */

/*
 * Split off what stands before the next comma; one in quotes, as local parts have, is no end.
 * False: there is no more.
 */
static bool next_value(struct str *rest, struct str *ret)
{
	bool quoted = false;
	size_t i;

	if (!rest->p)
		return false;
	for (i = 0; i < rest->n && (quoted || rest->p[i] != ','); i++) {
		if (rest->p[i] == '\\' && quoted && i + 1 < rest->n)
			i++;
		else if (rest->p[i] == '"')
			quoted = !quoted;
	}
	*ret = str_sub(*rest, 0, i);
	*rest = i < rest->n ? str_from(*rest, i + 1) : STR_NONE;
	return true;
}

static struct condition *condition_add(struct reading *r, enum query_key key, bool negated)
{
	struct condition *c = arena_zalloc(&r->query->arena, sizeof(*c));

	c->key = key;
	c->negated = negated;
	*r->query->end = c;
	r->query->end = &c->next;
	return c;
}

static bool take_status(struct reading *r, struct condition *c, struct str value)
{
	for (size_t i = 0; i < STATUSES_N; i++)
		if (str_eq_nocase(value, str_of(statuses[i].name))) {
			c->status |= statuses[i].bit;
			return true;
		}
	fail_at(r, r->at, value, "there is no such status");
	add_expected(r, value, status_name, STATUSES_N);
	return false;
}

static bool take_id(struct reading *r, struct condition *c, struct str value)
{
	struct message_id id;
	struct message_id *grown;

	if (!id_parse(value, &id)) {
		fail_at(r, r->at, value, "is not a message id");
		return false;
	}
	if ((c->ids_n & (c->ids_n - 1)) == 0) {		/* 0, 1, 2, 4, ...: full */
		grown = arena_alloc(&r->query->arena,
				    size_mul(c->ids_n ? c->ids_n * 2 : 1, sizeof(id)));
		if (c->ids_n)
			memcpy(grown, c->ids, c->ids_n * sizeof(id));
		c->ids = grown;
	}
	c->ids[c->ids_n++] = id;
	return true;
}

static bool take_name(struct reading *r, struct condition *c, struct str value)
{
	struct query_name *name = arena_zalloc(&r->query->arena, sizeof(*name));

	if (value.n > 2 && value.p[0] == '<' && value.p[value.n - 1] == '>')
		value = str_sub(value, 1, value.n - 1);
	name->text = str_eq(value, STR("<>")) ? STR_NONE : arena_str(&r->query->arena, value);
	name->next = c->names;
	c->names = name;
	return true;
}

static bool take_values(struct reading *r, struct condition *c, struct str list)
{
	static bool (*const takes[])(struct reading *, struct condition *, struct str) = {
		[TAKE_ADDRESSES] = take_name, [TAKE_NAMES] = take_name,
		[TAKE_STATUS] = take_status, [TAKE_IDS] = take_id,
	};
	struct str value;

	while (next_value(&list, &value)) {
		if (!value.n) {
			fail_at(r, r->at, r->words[r->at], "a value is missing beside the comma");
			return false;
		}
		if (!takes[keys[c->key].take](r, c, value))
			return false;
	}
	return true;
}

/* ">2h", "<10m"; for shells, to which these mean files: "over 2h", "under 10m". */
static bool take_amount(struct reading *r, struct condition *c)
{
	bool is_time = keys[c->key].take == TAKE_TIME;
	struct str word = r->words[r->at], sign = word;

	if (str_eq(word, STR("over")) || str_eq(word, STR("under"))) {
		c->is_over = word.p[0] == 'o';
		word = ++r->at < r->n ? r->words[r->at] : STR_NONE;
	} else {
		c->is_over = word.n && word.p[0] == '>';
		if (word.n && (word.p[0] == '<' || word.p[0] == '>'))
			word = str_from(word, 1);
		else
			word = STR_NONE;
	}
	if (value_parse(is_time ? VALUE_DURATION : VALUE_SIZE, word, &c->amount))
		return true;
	fail_at(r, r->at < r->n ? r->at : r->n - 1, sign, is_time ?
		"expected '>2h' or '<10m' (in quotes, for the shell), over 2h or under 10m" :
		"expected '>1M' or '<10K' (in quotes, for the shell), over 1M or under 10K");
	return false;
}

/* ---- conditions */

static const struct key_row *key_find(struct str word)
{
	for (unsigned i = 0; i < QUERY_KEYS; i++)
		if (str_eq_nocase(word, str_of(keys[i].name)))
			return &keys[i];
	return NULL;
}

static bool read_key(struct reading *r, const struct key_row *row, bool negated)
{
	struct condition *c = condition_add(r, (enum query_key)(row - keys), negated);

	if (++r->at == r->n || (r->stop && str_eq(r->words[r->at], str_of(r->stop)))) {
		fail_at(r, r->at - 1, str_of(row->name), "a value is missing behind it");
		if (row->take == TAKE_TIME || row->take == TAKE_SIZE)
			buf_add_lit(r->error, "; the shell takes > and < for itself: put them in "
					      "quotes, or write over and under");
		return false;
	}
	if (!(row->take == TAKE_TIME || row->take == TAKE_SIZE ? take_amount(r, c) :
	      take_values(r, c, r->words[r->at])))
		return false;
	r->at++;
	return true;
}

static bool read_word(struct reading *r)
{
	struct str word = r->words[r->at];
	bool negated = str_eq_nocase(word, STR("not"));
	const struct key_row *row;
	struct message_id id;

	if (negated && ++r->at == r->n) {
		fail_at(r, r->at - 1, word, "a condition is missing behind it");
		return false;
	}
	word = r->words[r->at];
	row = key_find(word);
	if (row)
		return read_key(r, row, negated);
	if (!negated && str_eq_nocase(word, STR("all"))) {
		r->query->is_all = true;
		r->at++;
		return true;
	}
	if (!negated && id_parse(word, &id)) {
		if (!r->bare)
			r->bare = condition_add(r, QUERY_ID, false);
		take_id(r, r->bare, word);
		r->at++;
		return true;
	}
	fail_at(r, r->at, word, negated ? "is not a condition" : "is neither a condition nor a "
								 "message id");
	add_expected(r, word, key_name, QUERY_KEYS);
	return false;
}

struct query *query_parse(const struct str *words, unsigned n, const char *stop, unsigned *ret_used,
			  struct buf *error)
{
	struct query *q = mem_zalloc(sizeof(*q));
	struct reading r = { .words = words, .n = n, .stop = stop, .query = q, .error = error };
	bool ok = n <= QUERY_WORDS_MAX;

	q->end = &q->conditions;
	if (!ok)
		buf_printf(error, "more than %d words", QUERY_WORDS_MAX);
	while (ok && r.at < n && !(stop && str_eq(words[r.at], str_of(stop))))
		ok = read_word(&r);
	if (ok && q->is_all && q->conditions) {
		buf_add_lit(error, "\"all\" stands alone: with conditions, leave it out");
		ok = false;
	}
	if (!ok) {
		query_free(q);
		return NULL;
	}
	*ret_used = r.at;
	return q;
}

void query_free(struct query *q)
{
	if (!q)
		return;
	arena_done(&q->arena);
	mem_free(q);
}

/* ---- what it is about */

const char *query_status_name(enum query_status one)
{
	for (size_t i = 0; i < STATUSES_N; i++)
		if (statuses[i].bit == one)
			return statuses[i].name;
	return "";
}

bool query_is_empty(const struct query *q)
{
	return !q->is_all && !q->conditions;
}

unsigned query_statuses(const struct query *q)
{
	unsigned bits = 0;

	for (const struct condition *c = q->conditions; c; c = c->next)
		bits |= c->status;
	return bits;
}

bool query_has_provider(const struct query *q)
{
	for (const struct condition *c = q->conditions; c; c = c->next)
		if (c->key == QUERY_PROVIDER)
			return true;
	return false;
}

unsigned query_ids(const struct query *q, const struct message_id **ret)
{
	const struct condition *c = q->conditions;

	if (!c || c->next || c->key != QUERY_ID || c->negated)
		return 0;
	*ret = c->ids;
	return c->ids_n;
}

/* ---- words on the wire */

void query_word_encode(struct buf *out, struct str word)
{
	if (!word.n)
		buf_add_byte(out, '%');
	for (size_t i = 0; i < word.n; i++) {
		unsigned char c = (unsigned char)word.p[i];

		if (c <= 0x20 || c >= 0x7f || c == '%')
			buf_printf(out, "%%%02X", c);
		else
			buf_add_byte(out, (char)c);
	}
}

static int hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool query_word_decode(char *p, size_t n, struct str *ret)
{
	size_t to = 0;

	for (size_t i = 0; i < n && !(n == 1 && p[0] == '%'); i++) {
		if (p[i] != '%') {
			p[to++] = p[i];
			continue;
		}
		if (n - i < 3 || hex(p[i + 1]) < 0 || hex(p[i + 2]) < 0)
			return false;
		p[to++] = (char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
		i += 2;
	}
	*ret = str_make(p, to);
	return true;
}
