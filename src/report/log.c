/*
 * log - building one line; see log.h.
 *
 * A line is built in a buffer of the thread and handed to the writer whole. Nothing here
 * suspends, so a task cannot lose the buffer to another between log_begin and log_end. A line
 * costs about a microsecond: numbers, times and keys are put together by hand, and the date is
 * made once a second.
 *
 * Bounds: a value is cut at VALUE_MAX octets (and ends in "..."), a field that does not fit into
 * LINE_MAX any more is left out and the line ends in truncated=1.
 */
#include "report/log.h"

#include "mail/trace.h"
#include "report/escape.h"
#include "report/writer.h"
#include "smtp/address.h"

#include <assert.h>
#include <stdatomic.h>

#define LINE_MAX_OCTETS 8192
#define VALUE_MAX 512		/* octets of a value, before escaping */
#define REPLY_MAX 500
#define TAIL 24			/* kept free for the end of a line */

static const struct str event_names[] = {
#define X(id, name, meaning) STR(name),
	LOG_EVENTS(X)
#undef X
};

static __thread struct {
	char p[LINE_MAX_OCTETS];
	size_t n;
	bool open, json, truncated;
	int64_t second;		/* the one that time holds */
	char time[24];		/* "2026-11-22T03:39:00." */
} line;

static _Atomic bool use_json;
static _Atomic uint64_t session_counter;
static _Atomic uint32_t session_prefix;

/* ---- pieces: the caller has checked the room */
static void put(struct str s)
{
	memcpy(line.p + line.n, s.p, s.n);
	line.n += s.n;
}

static void put_u64(uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	put(str_make(digits + at, sizeof(digits) - at));
}

static void put_three(unsigned value)
{
	line.p[line.n++] = (char)('0' + value / 100 % 10);
	line.p[line.n++] = (char)('0' + value / 10 % 10);
	line.p[line.n++] = (char)('0' + value % 10);
}

static void put_time(int64_t ms)
{
	int64_t second = ms / 1000;

	if (second != line.second || !line.time[0]) {
		struct buf b = BUF_INIT(64);

		timestamp_format(&b, second * 1000);
		str_copy(line.time, 21, buf_str(&b));	/* up to the dot */
		line.second = second;
		buf_done(&b);
	}
	put(str_of(line.time));
	put_three((unsigned)(ms % 1000));
	line.p[line.n++] = 'Z';
}

/* " key=" or ",\"key\":"; false: no room for a value of n octets. */
static bool put_key(const char *key, size_t n)
{
	struct str k = str_of(key);

	assert(line.open);
	if (line.n + k.n + n + 8 + TAIL > LINE_MAX_OCTETS) {
		line.truncated = true;
		return false;
	}
	put(line.json ? STR(",\"") : STR(" "));
	put(k);
	put(line.json ? STR("\":") : STR("="));
	return true;
}

static void put_value(struct str s)
{
	char *to = line.p + line.n;

	to = line.json ? escape_json(to, s) : escape_text(to, s);
	line.n = (size_t)(to - line.p);
}

/* ---- lines */
static void begin(enum log_event event)
{
	assert(!line.open);
	line.n = 0;
	line.open = true;
	line.truncated = false;
	line.json = atomic_load_explicit(&use_json, memory_order_relaxed);
	if (line.json)
		put(STR("{\"time\":\""));
	put_time(writer_wall_ms());
	put(line.json ? STR("\",\"event\":\"") : STR(" "));
	put(event_names[event]);
	if (line.json)
		put(STR("\""));
}

void log_begin(enum log_event event)
{
	uint64_t dropped = writer_take_dropped();

	if (dropped) {
		begin(LOG_LOG_DROPPED);
		log_u64("lines", dropped);
		log_end();
	}
	begin(event);
}

void log_end(void)
{
	assert(line.open);
	if (line.truncated)
		put(line.json ? STR(",\"truncated\":1") : STR(" truncated=1"));
	put(line.json ? STR("}\n") : STR("\n"));
	line.open = false;
	writer_line(str_make(line.p, line.n));
}

static void add_cut(const char *key, struct str value, size_t max)
{
	char cut[VALUE_MAX + 4];

	if (!value.n)
		return;
	if (value.n > max) {
		/*
		 * A value that is no UTF-8 is cut anywhere, else utf8_cut never cuts through a
		 * character.
		 */
		struct str kept = utf8_cut(value, max - 3);

		memcpy(cut, kept.p, kept.n);
		memcpy(cut + kept.n, "...", 3);
		value = str_make(cut, kept.n + 3);
	}
	if (put_key(key, value.n * ESCAPE_GROWTH + ESCAPE_EXTRA))
		put_value(value);
}

void log_str(const char *key, struct str value)
{
	add_cut(key, value, VALUE_MAX);
}

void log_cstr(const char *key, const char *value)
{
	add_cut(key, str_of(value), VALUE_MAX);
}

void log_u64(const char *key, uint64_t value)
{
	if (put_key(key, 20))
		put_u64(value);
}

void log_i64(const char *key, int64_t value)
{
	if (!put_key(key, 21))
		return;
	if (value < 0)
		line.p[line.n++] = '-';
	put_u64(value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void log_id(const char *key, const struct message_id *id)
{
	char text[ID_TEXT_MAX];

	if (!id_is_none(id))
		log_cstr(key, id_format(text, id));
}

void log_ip(const char *key, const struct ip *ip)
{
	char text[ENDPOINT_TEXT_MAX];

	log_cstr(key, ip_text(text, ip));
}

void log_endpoint(const char *key, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	log_cstr(key, endpoint_text(text, e));
}

void log_reply(const char *key, const struct reply *r)
{
	struct buf b = BUF_INIT(REPLY_MAX + 4);

	reply_describe(&b, r);
	add_cut(key, buf_str(&b), REPLY_MAX);
	buf_done(&b);
}

static void put_thousandths(const char *key, uint64_t n)
{
	if (!put_key(key, 24))
		return;
	put_u64(n / 1000);
	line.p[line.n++] = '.';
	put_three((unsigned)(n % 1000));
}

void log_ms(const char *key, uint64_t ns)
{
	put_thousandths(key, ns / 1000);
}

void log_seconds(const char *key, uint64_t ms)
{
	put_thousandths(key, ms);
}

void log_errno(const char *key, int error)
{
	char text[128];

	log_cstr(key, strerror_r(error < 0 ? -error : error, text, sizeof(text)));
}

/* ---- the folder's doors */
int log_open(struct net *n, const struct config *c)
{
	struct world *w = net_world(n);
	uint32_t prefix;
	int r = writer_open(n, c);

	if (r < 0)
		return r;
	w->random(w, &prefix, sizeof(prefix));
	atomic_store(&session_prefix, prefix);
	atomic_store(&use_json, c->log.format == LOG_JSON);
	return 0;
}

int log_reopen(const struct config *c)
{
	int r = writer_reopen(c);

	if (r == 0)
		atomic_store(&use_json, c->log.format == LOG_JSON);
	return r;
}

void log_close(void)
{
	uint64_t dropped = writer_take_dropped();

	if (dropped) {
		begin(LOG_LOG_DROPPED);
		log_u64("lines", dropped);
		log_end();
	}
	writer_close();
}

void log_flush(void)
{
	writer_flush();
}

/*
 * Three digits drawn at start, so that the sessions of two runs are told apart in one log file,
 * then a count.
 */
void session_id_make(char dst[SESSION_ID_MAX])
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t count = atomic_fetch_add(&session_counter, 1);
	uint32_t prefix = atomic_load_explicit(&session_prefix, memory_order_relaxed);
	unsigned shift = 15;

	while (shift < 50 && count >> (shift + 5))
		shift += 5;
	*dst++ = 's';
	for (int i = 0; i < 15; i += 5)
		*dst++ = digits[prefix >> i & 31];
	for (unsigned at = shift; ; at -= 5) {
		*dst++ = digits[count >> at & 31];
		if (!at)
			break;
	}
	*dst = '\0';
}
