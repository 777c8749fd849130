/*
 * top - relevo top: the destinations that matter most just now, again and again.
 *
 * A frame is made for the width and number that the client asked for, and ends with a "~" line;
 * then the client sends a line with new wishes ("WIDTH ROWS SORT", which a resized terminal
 * changes) for the next, or goes away. Of all destinations only the rows that are shown are kept,
 * so a relay with 100,000 of them pays a walk per frame and no memory. What peers chose is escaped,
 * as everywhere (D8), before it is cut to its column.
 */
#include "control/answer.h"

#include "base/mem.h"
#include "report/escape.h"
#include "smtp/address.h"

#define ROWS_MAX 500
#define WIDTH_MIN 40
#define WIDTH_MAX 1000
#define CLIENT_SECONDS 3600
#define CELL_MAX 512

enum sort { SORT_WAITING, SORT_RATE, SORT_FLIGHT, SORT_FAILURES, SORT_NAME };

static const char *const sort_names[] = {
	[SORT_WAITING] = "waiting", [SORT_RATE] = "rate", [SORT_FLIGHT] = "in-flight",
	[SORT_FAILURES] = "failures", [SORT_NAME] = "name",
};

#define SORTS_N (sizeof(sort_names) / sizeof(sort_names[0]))

struct top {
	struct answer *answer;
	size_t width;
	unsigned rows_max;
	enum sort sort;
	/* of the frame before: for what comes in per second */
	uint64_t then, ids;
	double in_per_second;		/* below 0: not known yet */
	/* the frame */
	struct destination_state **rows;	/* owned, as what they point to; best first */
	unsigned n;
	uint64_t destinations, waiting, slots;
	double per_second;
	unsigned suspensions;
};

/* ---- collecting */

static uint64_t weight(const struct destination_state *d)
{
	return (uint64_t)d->ready + d->waiting + d->held;
}

static int compare_u64(uint64_t x, uint64_t y)
{
	return x > y ? -1 : x < y;
}

/* < 0: x comes before y */
static int compare(enum sort by, const struct destination_state *x,
		   const struct destination_state *y)
{
	int r = 0;

	if (by == SORT_RATE)
		r = x->per_second > y->per_second ? -1 : x->per_second < y->per_second;
	else if (by == SORT_FLIGHT)
		r = compare_u64(x->in_flight, y->in_flight);
	else if (by == SORT_FAILURES)
		r = compare_u64(x->failures, y->failures);
	if (!r && by != SORT_NAME)
		r = compare_u64(weight(x), weight(y));
	return r ? r : strcmp(x->name, y->name);
}

/* At the homes, one after the other. */
static void on_destination(void *arg, const struct destination_state *d)
{
	struct top *t = arg;
	struct destination_state *room;
	unsigned at;

	t->destinations++;
	t->waiting += weight(d);
	t->slots += d->slots;
	t->per_second += d->per_second;
	if (t->n == t->rows_max && compare(t->sort, d, t->rows[t->n - 1]) >= 0)
		return;
	room = t->n < t->rows_max ? t->rows[t->n++] : t->rows[t->n - 1];
	for (at = t->n - 1; at && compare(t->sort, d, t->rows[at - 1]) < 0; at--)
		t->rows[at] = t->rows[at - 1];
	t->rows[at] = room;
	*room = *d;
	room->route = STR_NONE;		/* borrowed from the home */
}

static void on_suspension(void *arg, const struct suspension *x)
{
	struct top *t = arg;

	(void)x;
	t->suspensions++;
}

/* New messages take ids in order, and so does this look: the difference tells how many came. */
static void measure_in(struct top *t)
{
	uint64_t ids = spool_next_id(t->answer->links->spool).counter, now = loop_now();

	t->in_per_second = -1;
	if (t->then && now > t->then && ids > t->ids)
		t->in_per_second = (double)(ids - t->ids - 1) * (double)SECOND /
				   (double)(now - t->then);
	t->then = now;
	t->ids = ids;
}

static void collect(struct top *t) SUSPENDS
{
	t->n = 0;
	t->destinations = t->waiting = t->slots = 0;
	t->per_second = 0;
	t->suspensions = 0;
	measure_in(t);
	schedule_suspensions(t->answer->links->schedule, on_suspension, t);
	schedule_destinations(t->answer->links->schedule, on_destination, t);
}

/* ---- showing */

static int stats_look(void *arg)
{
	struct top *t = arg;
	struct spool_stats s;
	struct config *c = config_current();
	struct answer *a = t->answer;

	spool_stats(a->links->spool, &s);
	if (a->json) {
		json_begin(a);
		json_int(a, "messages", (int64_t)s.messages);
		json_int(a, "accepts", s.accepts);
		json_int(a, "connections_max", c->queue.connections_max);
	} else {
		answer_count(a, s.messages, "message");
		if (!s.accepts)
			buf_add_lit(&a->line, ", the spool is full");
		buf_printf(&a->line, ", %llu of %u connections out",
			   (unsigned long long)t->slots, c->queue.connections_max);
	}
	config_unref(c);
	return 0;
}

static void totals(struct top *t) SUSPENDS
{
	struct answer *a = t->answer;

	net_offload(stats_look, t);
	if (a->json) {
		json_int(a, "connections_out", (int64_t)t->slots);
		json_int(a, "sessions_in", receive_sessions(a->links->receive));
		json_int(a, "destinations", (int64_t)t->destinations);
		json_int(a, "waiting", (int64_t)t->waiting);
		json_decimal(a, "delivered_per_second", t->per_second);
		if (t->in_per_second >= 0)
			json_decimal(a, "in_per_second", t->in_per_second);
		json_int(a, "suspensions", t->suspensions);
		json_end(a);
		object_line(a);
		return;
	}
	buf_printf(&a->line, ", %u sessions in; ", receive_sessions(a->links->receive));
	if (t->in_per_second >= 0)
		buf_printf(&a->line, "in %.1f/s, ", t->in_per_second);
	buf_printf(&a->line, "delivered %.1f/s; ", t->per_second);
	answer_count(a, t->destinations, "destination");
	if (t->suspensions) {
		buf_add_lit(&a->line, ", ");
		answer_count(a, t->suspensions, "suspension");
	}
	a->line.n = utf8_cut(buf_str(&a->line), t->width).n;
	answer_line(a);
}

/* One value, escaped, cut to its column and filled up with blanks. */
static void add_cell(struct answer *a, struct str value, size_t width)
{
	char escaped[(CELL_MAX / 4) * ESCAPE_GROWTH + ESCAPE_EXTRA];
	size_t at = a->line.n;
	struct str cut;

	value = utf8_cut(value, CELL_MAX / 4);
	cut = str_make(escaped, (size_t)(escape_text(escaped, value) - escaped));
	buf_add_str(&a->line, utf8_cut(cut, width));
	while (a->line.n < at + width + 1 && buf_ok(&a->line))
		buf_add_byte(&a->line, ' ');
}

static void add_rest(struct answer *a, int64_t until_ms)
{
	size_t at = a->line.n;

	if (until_ms > loop_wall_ms())
		answer_age(a, until_ms - loop_wall_ms());
	while (a->line.n < at + 6 && buf_ok(&a->line))
		buf_add_byte(&a->line, ' ');
}

static void row_text(struct top *t, const struct destination_state *d) SUSPENDS
{
	struct answer *a = t->answer;

	add_cell(a, str_of(d->name), 28);
	add_cell(a, d->provider ? name_str(d->provider) : STR("-"), 10);
	add_cell(a, str_of(destination_status_name(d->status)), 9);
	buf_printf(&a->line, "%7u %7u %6u %5u %7.1f %5u ", d->ready, d->waiting + d->held,
		   d->in_flight, d->slots, d->per_second, d->failures);
	add_rest(a, d->rests_until_ms);
	if (d->said[0])
		answer_value(a, str_of(d->said));
	if (d->last[0] && strcmp(d->last, d->said) != 0) {
		if (d->said[0])
			buf_add_lit(&a->line, "; ");
		answer_value(a, str_of(d->last));
	}
	a->line.n = utf8_cut(buf_str(&a->line), t->width).n;
	answer_line(a);
}

static void row_json(struct answer *a, const struct destination_state *d) SUSPENDS
{
	json_begin(a);
	json_str(a, "destination", str_of(d->name));
	json_str(a, "provider", name_str(d->provider));
	json_str(a, "status", str_of(destination_status_name(d->status)));
	json_int(a, "ready", d->ready);
	json_int(a, "waiting", d->waiting);
	json_int(a, "held", d->held);
	json_int(a, "in_flight", d->in_flight);
	json_int(a, "slots", d->slots);
	json_decimal(a, "per_second", d->per_second);
	json_int(a, "failures", d->failures);
	json_time(a, "rests_until", d->rests_until_ms);
	json_str(a, "said", str_of(d->said));
	json_str(a, "last", str_of(d->last));
	json_end(a);
	object_line(a);
}

static void frame(struct top *t) SUSPENDS
{
	struct answer *a = t->answer;

	collect(t);
	a->objects = 0;
	totals(t);
	if (!a->json) {
		buf_add_lit(&a->line, "DESTINATION                  PROVIDER   STATUS      READY "
				      "WAITING FLIGHT SLOTS  RATE/S FAILS RESTS WHY; LAST WORDS");
		a->line.n = utf8_cut(buf_str(&a->line), t->width).n;
		answer_line(a);
	}
	for (unsigned i = 0; i < t->n && !a->dead; i++) {
		if (a->json)
			row_json(a, t->rows[i]);
		else
			row_text(t, t->rows[i]);
	}
	json_done(a);
	answer_frame(a);
}

/* ---- wishes */

static unsigned number(struct str word, unsigned least, unsigned most)
{
	uint64_t n;

	if (!str_parse_u64(word, most, &n))
		return most;
	return n < least ? least : (unsigned)n;
}

static bool wishes(struct top *t, struct str width, struct str rows, struct str sort)
{
	unsigned rows_max = number(rows, 1, ROWS_MAX);
	size_t i = 0;

	while (i < SORTS_N && !str_eq(sort, str_of(sort_names[i])))
		i++;
	if (i == SORTS_N)
		return false;
	t->sort = (enum sort)i;
	t->width = number(width, WIDTH_MIN, WIDTH_MAX);
	for (; t->rows_max < rows_max; t->rows_max++)
		t->rows[t->rows_max] = mem_alloc(sizeof(struct destination_state));
	while (t->rows_max > rows_max)
		mem_free(t->rows[--t->rows_max]);
	return true;
}

static bool next_wishes(struct top *t) SUSPENDS
{
	struct answer *a = t->answer;
	struct str line, width, rows;

	if (a->dead || stream_flush(a->stream, in_seconds(60)) < 0 ||
	    stream_line(a->stream, CONTROL_LINE_MAX, in_seconds(CLIENT_SECONDS), &line) != 1)
		return false;
	width = str_word(&line);
	rows = str_word(&line);
	return wishes(t, width, rows, str_word(&line));
}

/* WIDTH ROWS SORT, then "wait": so many ms before the first frame, to know what comes in */
void relay_top(struct answer *a, struct words *w)
{
	struct top t = { .answer = a };
	struct str width = words_next(w), rows = words_next(w), sort = words_next(w);
	unsigned wait_ms = number(words_next(w), 0, 10000);

	t.rows = mem_calloc(ROWS_MAX, sizeof(*t.rows));
	if (!wishes(&t, width, rows, sort)) {
		buf_add_lit(&a->line, "sorted by what? Expected one of");
		for (size_t i = 0; i < SORTS_N; i++)
			buf_printf(&a->line, "%s %s", i ? "," : "", sort_names[i]);
		answer_error(a);
		a->code = 2;
	} else {
		measure_in(&t);
		if (task_sleep_until(in_ms(wait_ms)) == 0)
			do
				frame(&t);
			while (next_wishes(&t));
		a->dead = true;
	}
	while (t.rows_max)
		mem_free(t.rows[--t.rows_max]);
	mem_free(t.rows);
}
