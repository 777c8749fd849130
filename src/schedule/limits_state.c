/*
 * limits_state - the file STATE/limits: what was spent of limits per minute or longer, and of
 * today's warm-ups, so that a restart does not give all of it again. An actor of its own writes it
 * when something changed: every SAVE_EVERY, less often if writing takes long, and at the end. What
 * a crash loses is what was spent since.
 *
 * Text, replaced atomically (limits.new, synced, renamed, folder synced); fields end with a tab, a
 * line with a newline:
 *
 *	relevo limits 1
 *	rate WIDTH ENDS NEXT CELLS ROUTE PROVIDER SOURCE DESTINATION TEXT
 *	day DAY COUNT ROUTE PROVIDER SOURCE DESTINATION TEXT
 *
 * rate: a bucket (bucket.h). WIDTH of a cell in ns; ENDS, when the newest ends, and NEXT, before
 * when nothing may pass (0: at once), in ms since 1970; CELLS "age:units,..." of those that are not
 * empty. day: COUNT messages on DAY (since 1970). TEXT is the limit's; the four before it say for
 * what it counts; empty ones are "-". Control octets, "%" and a "-" in front are written as %XX.
 *
 * Times are by the wall clock. If that went back, what lies in the future was spent just now. A
 * damaged line is left out; one line in the log tells of all of them.
 */
#include "schedule/gate.h"

#include "base/mem.h"
#include "report/log.h"

#include <errno.h>
#include <fcntl.h>

#define VERSION_LINE "relevo limits 1"
#define FILE_MAX (256u * 1024 * 1024)
#define LINE_OCTETS_MAX 8192
#define SAVE_EVERY (5 * SECOND)
#define SAVE_SHARE 20		/* at most one part in so many of the time is spent writing */
#define METERS_AT_ONCE 64	/* under the lock */
#define PIECE (64 * 1024)
#define FIELDS 10		/* of a line at most, with its first word */

/* ---- fields */
static void add_field(struct buf *b, struct str s)
{
	if (!s.n)
		buf_add_byte(b, '-');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f || c == '%' || (c == '-' && !i))
			buf_printf(b, "%%%02X", c);
		else
			buf_add_byte(b, (char)c);
	}
	buf_add_byte(b, '\t');
}

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place; false: damaged. */
static bool read_field(char *p, struct str *field)
{
	size_t n = 0;

	if (str_eq(*field, STR("-"))) {
		*field = STR_NONE;
		return true;
	}
	for (size_t i = 0; i < field->n; i++, n++) {
		p[n] = p[i];
		if (p[i] != '%')
			continue;
		if (field->n - i < 3 || hex_digit(p[i + 1]) < 0 || hex_digit(p[i + 2]) < 0)
			return false;
		p[n] = (char)(hex_digit(p[i + 1]) * 16 + hex_digit(p[i + 2]));
		i += 2;
	}
	field->n = n;
	return n > 0;
}

static void add_place(struct buf *b, const struct meter *m)
{
	add_field(b, name_str(m->place.route));
	add_field(b, name_str(m->place.provider));
	add_field(b, name_str(m->place.source));
	add_field(b, m->place.destination);
	add_field(b, m->quota->text);
	buf_add_byte(b, '\n');
}

/* ---- writing */
struct moment {
	uint64_t now;
	int64_t wall_ms;
};

static struct moment moment(struct limits *l)
{
	return (struct moment){ l->world->now(l->world), l->world->wall_ms(l->world) };
}

/* A time to come, by the wall clock, rounded up. */
static int64_t to_wall(const struct moment *t, uint64_t at)
{
	return t->wall_ms + (int64_t)((at - t->now + MILLISECOND - 1) / MILLISECOND);
}

static void add_rate(struct buf *b, struct meter *m, const struct moment *t)
{
	const struct bucket *x = m->bucket;
	const char *comma = "";

	buf_printf(b, "rate\t%llu\t%lld\t%lld\t", (unsigned long long)x->width,
		   (long long)to_wall(t, x->end),
		   m->not_before > t->now ? (long long)to_wall(t, m->not_before) : 0);
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
 * The next few of the list of saved meters, behind the marker, which moves on; whether there are
 * more. So passing never waits for all of them.
 */
static bool add_some(struct limits *l, struct list *marker, struct buf *b)
{
	struct moment t;
	bool more = true;

	pthread_mutex_lock(&l->lock);
	t = moment(l);
	for (unsigned i = 0; i < METERS_AT_ONCE && more; i++) {
		struct list *at = marker->next;
		struct meter *m;

		more = at != &l->saved;
		if (!more)
			break;
		list_remove(marker);
		list_insert(at->next, marker);
		m = LIST_ENTRY(at, struct meter, in_saved);
		if (!add_meter(l, b, m, &t))
			list_remove(at);
	}
	if (!more)
		list_remove(marker);
	pthread_mutex_unlock(&l->lock);
	return more;
}

static int write_out(struct world *w, int fd, struct buf *b, uint64_t *offset)
{
	while (b->n) {
		struct iovec iov = { b->p, b->n };
		ssize_t r = w->disk_pwritev(w, fd, &iov, 1, *offset);

		if (r <= 0)
			return r < 0 ? (int)r : -EIO;
		*offset += (uint64_t)r;
		buf_consume(b, (size_t)r);
	}
	return 0;
}

static int write_all(struct limits *l, int fd)
{
	struct buf b = BUF_INIT(FILE_MAX);
	uint64_t offset = 0;
	struct list marker;
	bool more = true;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	l->changed = false;
	list_push_front(&l->saved, &marker);
	pthread_mutex_unlock(&l->lock);
	buf_add_lit(&b, VERSION_LINE "\n");
	while (more) {
		more = add_some(l, &marker, &b);
		if (r == 0 && (b.n >= PIECE || !more))
			r = write_out(l->world, fd, &b, &offset);
		if (r < 0)
			buf_clear(&b);
	}
	buf_done(&b);
	return r;
}

static int save(struct limits *l)
{
	struct world *w = l->world;
	int r, fd;

	w->disk_unlink(w, l->folder, "limits.new", false);
	fd = w->disk_open(w, l->folder, "limits.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	r = write_all(l, fd);
	if (r == 0)
		r = w->disk_sync(w, fd);
	w->disk_close(w, fd);
	if (r == 0)
		r = w->disk_rename(w, l->folder, "limits.new", "limits");
	return r < 0 ? r : w->disk_sync(w, l->folder);
}

static void report_failure(struct limits *l, int error)
{
	if (l->save_failed)
		return;
	log_begin(LOG_WARNING);
	log_cstr("text", "what was spent of the limits cannot be recorded; tried again");
	log_errno("error", error);
	log_end();
}

static void save_if_changed(struct limits *l)
{
	bool changed;
	int r;

	pthread_mutex_lock(&l->lock);
	changed = l->changed;
	pthread_mutex_unlock(&l->lock);
	if (!changed && !l->save_failed)
		return;
	r = save(l);
	if (r < 0)
		report_failure(l, r);
	l->save_failed = r < 0;
}

static int64_t saver_step(void *arg)
{
	struct limits *l = arg;
	bool stopping = atomic_load(&l->saver_stopping);
	uint64_t now = l->world->now(l->world), took;

	if (!stopping && now < l->save_at)
		return (int64_t)(l->save_at - now);
	save_if_changed(l);
	if (stopping)
		return STEP_DONE;
	took = l->world->now(l->world) - now;
	l->save_at = now + (took * SAVE_SHARE > SAVE_EVERY ? took * SAVE_SHARE : SAVE_EVERY);
	return (int64_t)(l->save_at - now);
}

/* ---- reading */
static bool parse_i64(struct str s, int64_t *ret)
{
	uint64_t v;

	if (!str_parse_u64(s, INT64_MAX, &v))
		return false;
	*ret = (int64_t)v;
	return true;
}

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

/* How long ago by the wall clock, in ns; negative: to come. */
static int64_t ago(const struct moment *t, int64_t wall_ms)
{
	const int64_t far = 100ll * 365 * 24 * 3600 * 1000;	/* ms */
	int64_t ms = t->wall_ms - wall_ms;

	if (ms > far)
		ms = far;
	if (ms < -far)
		ms = -far;
	return ms * (int64_t)MILLISECOND;
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

	if (!str_parse_u64(f[0], UINT64_MAX >> 8, &width) || !width || !parse_i64(f[1], &ends) ||
	    !parse_i64(f[2], &next) || !parse_cells(f[3], cells))
		return false;
	m = meter_of(l, f + 4, QUOTA_LIMIT);
	if (!m)
		return false;
	if (!m->quota->period_ns)
		m->quota->period_ns = width * (BUCKET_CELLS - 1);
	bucket_free(m->bucket);
	m->bucket = bucket_restore(width, t->now, ago(t, ends), cells);
	wait = next ? -ago(t, next) : 0;
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

	if (!parse_i64(f[0], &day) || !str_parse_u64(f[1], UINT32_MAX - 1, &count))
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

static bool read_line(struct limits *l, char *line, size_t n, const struct moment *t)
{
	struct str rest = str_make(line, n), f[FIELDS];
	unsigned fields = 0;
	size_t expected;

	while (rest.n && fields < FIELDS) {
		ssize_t tab = str_find(rest, '\t');

		if (tab < 0)
			return false;
		f[fields] = str_sub(rest, 0, (size_t)tab);
		if (!read_field(line + (f[fields].p - line), &f[fields]))
			return false;
		rest = str_from(rest, (size_t)tab + 1);
		fields++;
	}
	if (!fields)
		return false;
	expected = str_eq(f[0], STR("rate")) ? 10 : str_eq(f[0], STR("day")) ? 8 : 0;
	if (fields != expected || rest.n || !f[fields - 1].n)
		return false;
	return expected == 8 ? read_day(l, f + 1, t) : read_rate(l, f + 1, t);
}

static void report_damage(unsigned lines, unsigned first)
{
	log_begin(LOG_WARNING);
	log_cstr("text", "the record of what was spent of the limits is damaged");
	log_u64("lines", lines);
	log_u64("first", first);
	log_end();
}

static void read_lines(struct limits *l, struct buf *b)
{
	struct moment t = moment(l);
	unsigned number = 0, damaged = 0, first = 0;

	for (size_t at = 0; at < b->n; number++) {
		ssize_t end = str_find(str_from(buf_str(b), at), '\n');
		size_t n = end < 0 ? b->n - at : (size_t)end;
		bool ok;

		if (!number)
			ok = str_eq(str_make(b->p + at, n), STR(VERSION_LINE));
		else
			ok = end >= 0 && read_line(l, b->p + at, n, &t);
		if (!ok && !damaged++)
			first = number + 1;
		if (!ok && !number)
			break;
		at += n + 1;
	}
	if (damaged)
		report_damage(damaged, first);
}

static int read_file(struct limits *l, struct buf *b)
{
	struct world *w = l->world;
	int fd = w->disk_open(w, l->folder, "limits", O_RDONLY, 0);
	ssize_t r = 0;
	char *to;

	if (fd < 0)
		return fd;
	while ((to = buf_reserve(b, PIECE)) && (r = w->disk_pread(w, fd, to, PIECE, b->n)) > 0)
		buf_commit(b, (size_t)r);
	w->disk_close(w, fd);
	if (!buf_ok(b))
		return -EFBIG;
	return (int)r;
}

static void report_unread(int error)
{
	log_begin(LOG_WARNING);
	log_cstr("text", "what was spent of the limits cannot be read; all is unspent");
	log_errno("error", error);
	log_end();
}

/* ---- start and end */
void limits_state_open(struct limits *l, const char *state)
{
	struct world *w = l->world;
	struct buf b = BUF_INIT(FILE_MAX);
	int r;

	l->folder = w->disk_open(w, AT_FDCWD, state, O_RDONLY | O_DIRECTORY, 0);
	r = l->folder < 0 ? l->folder : read_file(l, &b);
	if (r < 0 && (r != -ENOENT || l->folder < 0))
		report_unread(r);
	pthread_mutex_lock(&l->lock);
	if (r == 0)
		read_lines(l, &b);
	pthread_mutex_unlock(&l->lock);
	buf_done(&b);
	if (l->folder >= 0)
		l->saver = w->actor_start(w, "limits", saver_step, l);
}

void limits_state_close(struct limits *l)
{
	struct world *w = l->world;
	struct actor *saver;

	pthread_mutex_lock(&l->lock);
	saver = l->saver;
	l->saver = NULL;
	pthread_mutex_unlock(&l->lock);
	if (!saver)
		return;
	atomic_store(&l->saver_stopping, true);
	w->actor_wake(w, saver);
	w->actor_join(w, saver);
	w->disk_close(w, l->folder);
	l->folder = -1;
}
