/*
 * limits_state - the file STATE/limits: what was spent of limits per minute or longer, and of
 * today's warm-ups, so that a restart does not give all of it again. It is written as report/kept.h
 * says, every SAVE_EVERY at most. Lines of fields (base/fields.h):
 *
 *	relevo limits 1
 *	rate WIDTH ENDS NEXT CELLS ROUTE PROVIDER SOURCE DESTINATION TEXT
 *	day DAY COUNT ROUTE PROVIDER SOURCE DESTINATION TEXT
 *
 * rate: a bucket (bucket.h). WIDTH of a cell in ns; ENDS, when the newest ends, and NEXT, before
 * when nothing may pass (0: at once), in ms since 1970; CELLS "age:units,..." of those that are not
 * empty. day: COUNT messages on DAY (since 1970). TEXT is the limit's; the four before it say for
 * what it counts.
 *
 * Times are by the wall clock. If that went back, what lies in the future was spent just now.
 */
#include "schedule/gate.h"

#include "base/fields.h"
#include "base/mem.h"

#define FILE_MAX (256u * 1024 * 1024)
#define SAVE_EVERY (5 * SECOND)
#define METERS_AT_ONCE 64	/* under the lock */
#define FIELDS 10		/* of a line at most, with its first word */

/* ---- writing */
static void add_place(struct buf *b, const struct meter *m)
{
	fields_add(b, name_str(m->place.route));
	fields_add(b, name_str(m->place.provider));
	fields_add(b, name_str(m->place.source));
	fields_add(b, m->place.destination);
	fields_add(b, m->quota->text);
	buf_add_byte(b, '\n');
}

static void add_rate(struct buf *b, struct meter *m, const struct moment *t)
{
	const struct bucket *x = m->bucket;
	const char *comma = "";

	buf_printf(b, "rate\t%llu\t%lld\t%lld\t", (unsigned long long)x->width,
		   (long long)moment_to_wall(t, x->end),
		   m->not_before > t->now ? (long long)moment_to_wall(t, m->not_before) : 0);
	for (unsigned age = 0; age < BUCKET_CELLS; age++) {
		if (!bucket_cell(x, age))
			continue;
		buf_printf(b, "%s%u:%u", comma, age, bucket_cell(x, age));
		comma = ",";
	}
	buf_add_lit(b, "\t");
	add_place(b, m);
}

/* False: there is nothing to be kept of it any more. */
static bool add_meter(struct limits *l, struct buf *b, struct meter *m, const struct moment *t)
{
	if (m->gate.kind == GATE_WARM_UP) {
		meter_limit(l, m);		/* is it still that day? */
		if (!m->in_use)
			return false;
		buf_printf(b, "day\t%lld\t%u\t", (long long)m->day, m->in_use);
		add_place(b, m);
		return true;
	}
	if (!m->bucket || !bucket_spent(m->bucket, t->now))
		return false;
	add_rate(b, m, t);
	return true;
}

/*
 * The next few of the list of saved meters, behind the marker, which moves on. So passing never
 * waits for all of them.
 */
static bool add_some(void *arg, bool first, struct buf *b)
{
	struct limits *l = arg;
	struct moment t;
	bool more = true;

	pthread_mutex_lock(&l->lock);
	if (first)
		list_push_front(&l->saved, &l->marker);
	t = moment_now(l->world);
	for (unsigned i = 0; i < METERS_AT_ONCE && more; i++) {
		struct list *at = l->marker.next;
		struct meter *m;

		more = at != &l->saved;
		if (!more)
			break;
		list_remove(&l->marker);
		list_insert(at->next, &l->marker);
		m = LIST_ENTRY(at, struct meter, in_saved);
		if (!add_meter(l, b, m, &t))
			list_remove(at);
	}
	if (!more)
		list_remove(&l->marker);
	pthread_mutex_unlock(&l->lock);
	return more;
}

/* ---- reading */
/* "age:units,..."; the sum fits 32 bits. */
static bool parse_cells(struct str s, uint32_t cells[BUCKET_CELLS])
{
	uint64_t age, units, sum = 0;

	memset(cells, 0, BUCKET_CELLS * sizeof(*cells));
	while (s.n) {
		ssize_t comma = str_find(s, ','), colon;
		struct str one = comma < 0 ? s : str_sub(s, 0, (size_t)comma);

		s = comma < 0 ? STR_NONE : str_from(s, (size_t)comma + 1);
		colon = str_find(one, ':');
		if (colon < 0 ||
		    !str_parse_u64(str_sub(one, 0, (size_t)colon), BUCKET_CELLS - 1, &age) ||
		    !str_parse_u64(str_from(one, (size_t)colon + 1), UINT32_MAX, &units))
			return false;
		cells[age] = (uint32_t)units;
		sum += units;
	}
	for (age = sum = 0; age < BUCKET_CELLS; age++)
		sum += cells[age];
	return sum < UINT32_MAX;
}

/* The last five fields: for what, and of which limit. */
static struct meter *meter_of(struct limits *l, struct str *f, enum quota_kind kind)
{
	struct place p = {
		.route = name_intern(f[0]),
		.provider = name_intern(f[1]),
		.source = name_intern(f[2]),
		.destination = f[3],
	};
	struct quota *q = quota_get(l, f[4]);
	bool is_new = !q->period_ns && !q->days_n && q->refs == 1;
	struct meter *m = NULL;

	if (is_new) {
		q->kind = (uint8_t)kind;
		q->what = LIMIT_MESSAGES;
	}
	if (q->kind == kind && q->what != LIMIT_CONNECTIONS)
		m = meter_get(l, q, &p);
	quota_put(l, q);
	return m;
}

static void keep(struct limits *l, struct meter *m, uint64_t now)
{
	if (list_is_empty(&m->in_saved))
		list_push(&l->saved, &m->in_saved);
	meter_put(l, m, now);
}

static bool read_rate(struct limits *l, struct str *f, const struct moment *t)
{
	uint32_t cells[BUCKET_CELLS];
	uint64_t width;
	int64_t ends, next, wait;
	struct meter *m;

	if (!str_parse_u64(f[0], UINT64_MAX >> 8, &width) || !width ||
	    !fields_parse_i64(f[1], &ends) || !fields_parse_i64(f[2], &next) ||
	    !parse_cells(f[3], cells))
		return false;
	m = meter_of(l, f + 4, QUOTA_LIMIT);
	if (!m)
		return false;
	if (!m->quota->period_ns)
		m->quota->period_ns = width * (BUCKET_CELLS - 1);
	bucket_free(m->bucket);
	m->bucket = bucket_restore(width, t->now, moment_ago(t, ends), cells);
	wait = next ? -moment_ago(t, next) : 0;
	if (wait > 0)
		m->not_before = t->now + ((uint64_t)wait < m->quota->period_ns
						  ? (uint64_t)wait
						  : m->quota->period_ns);
	keep(l, m, t->now);
	return true;
}

static bool read_day(struct limits *l, struct str *f, const struct moment *t)
{
	uint64_t count;
	struct meter *m;
	int64_t day;

	if (!fields_parse_i64(f[0], &day) || !str_parse_u64(f[1], UINT32_MAX - 1, &count))
		return false;
	m = meter_of(l, f + 2, QUOTA_WARM_UP);
	if (!m)
		return false;
	meter_limit(l, m);		/* it is today */
	if (day >= m->day)
		m->in_use = (uint32_t)count;
	keep(l, m, t->now);
	return true;
}

static bool read_line(void *arg, char *line, size_t n)
{
	struct limits *l = arg;
	struct moment t = moment_now(l->world);
	struct str f[FIELDS];
	unsigned fields = fields_split(line, n, f, FIELDS);
	bool ok = false;

	if (!fields || !f[fields - 1].n)
		return false;
	pthread_mutex_lock(&l->lock);
	if (fields == 10 && str_eq(f[0], STR("rate")))
		ok = read_rate(l, f + 1, &t);
	else if (fields == 8 && str_eq(f[0], STR("day")))
		ok = read_day(l, f + 1, &t);
	pthread_mutex_unlock(&l->lock);
	return ok;
}

/* ---- start */

void limits_state_open(struct limits *l, const char *state)
{
	static const struct kept_kind kind = {
		.file = "limits", .head = "relevo limits 1",
		.what = "what was spent of the limits", .size_max = FILE_MAX,
		.every_ns = SAVE_EVERY, .line = read_line, .some = add_some,
	};

	l->kept = kept_start(l->world, state, &kind, l);
}
