/*
 * header - header fields, read without changing a byte and written in folded form; see header.h.
 *
 * Two readers that must agree: header_next over a slice that is there as a whole, and header_watch
 * over content that passes by, in constant memory. Both know one line end only, CRLF (D7), take
 * blanks before the colon (RFC 5322 4.5) and skip what is no field. Both are linear; the watcher
 * jumps over what does not interest it with memchr, and over the body at once.
 */
#include "mail/header.h"

#define FOLD 78		/* octets of a line we write, where blanks allow it: RFC 5322 2.1.1 */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ftext of RFC 5322 3.6.8. */
static bool is_name_char(char c)
{
	return c > ' ' && c <= '~' && c != ':';
}

static bool starts_crlf(struct str s)
{
	return s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n';
}

/* Octets of the first line of s with its CRLF, or all of s. */
static size_t line_length(struct str s)
{
	ssize_t end = str_search(s, STR("\r\n"));

	return end < 0 ? s.n : (size_t)end + 2;
}

/* A line with the lines that continue it. */
static size_t folded_length(struct str s)
{
	size_t n = line_length(s);

	while (n < s.n && is_blank(s.p[n]))
		n += line_length(str_from(s, n));
	return n;
}

/* Splits a folded line. False: no field. */
static bool field_split(struct str whole, struct header_field *ret)
{
	size_t n = 0, colon;

	while (n < whole.n && is_name_char(whole.p[n]))
		n++;
	colon = n;
	while (colon < whole.n && is_blank(whole.p[colon]))
		colon++;
	if (!n || colon == whole.n || whole.p[colon] != ':')
		return false;
	ret->name = str_sub(whole, 0, n);
	ret->value = str_from(whole, colon + 1);
	if (str_ends_nocase(ret->value, STR("\r\n")))
		ret->value.n -= 2;
	ret->whole = whole;
	return true;
}

bool header_next(struct str *rest, struct header_field *ret)
{
	while (rest->n) {
		struct str whole;

		if (starts_crlf(*rest)) {
			*rest = str_from(*rest, 2);
			return false;
		}
		whole = str_sub(*rest, 0, folded_length(*rest));
		*rest = str_from(*rest, whole.n);
		if (field_split(whole, ret))
			return true;
	}
	return false;
}

size_t header_length(struct str s)
{
	ssize_t end;

	if (starts_crlf(s))
		return 2;
	end = str_search(s, STR("\r\n\r\n"));
	return end < 0 ? s.n : (size_t)end + 4;
}

/*
 * The watcher's state: what the current line is - or was, which a continuation line inherits - and
 * flags. All zero is the start: before a line, with nothing to continue.
 */
enum {
	SKIP = 0,	/* no field, or nothing more to learn from it */
	NAME,		/* before the colon */
	BLANK,		/* blanks before the colon */
	VALUE,		/* of the first Message-ID: kept */
	MODE = 3,
	INSIDE = 4,	/* at least one byte of the line was read */
	AFTER_CR = 8,
};

static bool name_is(const struct header_watch *w, struct str name)
{
	return str_eq_nocase(str_make(w->name, w->name_n), name);
}

/* The colon was read: the name is complete. */
static void field_seen(struct header_watch *w)
{
	uint8_t mode = SKIP;

	w->fields++;
	if (name_is(w, STR("Date"))) {
		w->has_date = true;
	} else if (name_is(w, STR("From"))) {
		w->has_from = true;
	} else if (name_is(w, STR("Received"))) {
		w->received++;
	} else if (name_is(w, STR("Message-ID"))) {
		mode = w->has_message_id ? SKIP : VALUE;
		w->has_message_id = true;
	}
	w->state = INSIDE | mode;
}

/* A msg-id has no blanks; those of folding are dropped, what is not printable becomes '?'. */
static void keep_id_byte(struct header_watch *w, char c)
{
	if (is_blank(c) || c == '\r' || c == '\n' || w->message_id_n + 1u >= sizeof(w->message_id))
		return;
	w->message_id[w->message_id_n++] = c > ' ' && c <= '~' ? c : '?';
	w->message_id[w->message_id_n] = '\0';
}

static void name_byte(struct header_watch *w, char c)
{
	uint8_t mode = w->state & MODE;

	if (c == ':' && w->name_n) {
		field_seen(w);
	} else if (is_blank(c) && w->name_n) {
		w->state = INSIDE | BLANK;
	} else if (mode == BLANK || !is_name_char(c)) {
		w->state = INSIDE | SKIP;
	} else {
		/* Cut: no name that matters fills the array. */
		if (w->name_n < sizeof(w->name))
			w->name[w->name_n++] = c;
	}
}

/* The first byte of a line: it continues the field before, or begins another. */
static void line_start(struct header_watch *w, char c)
{
	w->state |= INSIDE;
	if (is_blank(c)) {
		if ((w->state & MODE) != VALUE)
			w->state = INSIDE | SKIP;
		return;
	}
	w->state = INSIDE | NAME;
	w->name_n = 0;
}

static void watch_byte(struct header_watch *w, char c)
{
	bool after_cr = w->state & AFTER_CR;

	w->state &= (uint8_t)~AFTER_CR;
	if (c == '\n' && after_cr) {
		/* The CR of an empty line began no line, so INSIDE is not set. */
		w->ended = !(w->state & INSIDE);
		w->state &= (uint8_t)~INSIDE;
		return;
	}
	if (after_cr && !(w->state & INSIDE))
		w->state = INSIDE | SKIP;	/* a bare CR at a line's start: no field */
	else if (after_cr && (w->state & MODE) != VALUE)
		w->state = INSIDE | SKIP;	/* a bare CR in a name */
	if (c == '\r') {
		w->state |= AFTER_CR;
		return;
	}
	if (!(w->state & INSIDE))
		line_start(w, c);
	if ((w->state & MODE) == VALUE)
		keep_id_byte(w, c);
	else if ((w->state & MODE) != SKIP)
		name_byte(w, c);
}

void header_watch(struct header_watch *w, const char *in, size_t n)
{
	for (size_t at = 0; at < n && !w->ended; at++) {
		if (w->state == (INSIDE | SKIP)) {
			const char *cr = memchr(in + at, '\r', n - at);

			if (!cr)
				return;
			at = (size_t)(cr - in);
		}
		watch_byte(w, in[at]);
	}
}

static bool can_write(struct str name, struct str value)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_name_char(name.p[i]))
			return false;
	return name.n && str_find(value, '\r') < 0 && str_find(value, '\n') < 0 &&
	       str_find(value, '\0') < 0;
}

/* Blanks and the word behind them, from the start of s: the smallest piece that folding moves. */
static size_t piece_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_blank(s.p[n]))
		n++;
	while (n < s.n && !is_blank(s.p[n]))
		n++;
	return n;
}

bool header_write(struct buf *out, struct str name, struct str value)
{
	size_t start = out->n, column = name.n + 2;
	bool first = true;

	if (!can_write(name, value))
		return false;
	/*
	 * Blanks at the ends mean nothing, and a line of blanks only is not allowed (RFC 5322
	 * 3.2.2).
	 */
	value = str_trim(value);
	buf_add_str(out, name);
	buf_add_lit(out, ": ");
	while (value.n) {
		size_t n = piece_length(value);

		if (!first && column + n > FOLD) {
			buf_add_lit(out, "\r\n");
			column = 0;
		}
		buf_add(out, value.p, n);
		column += n;
		value = str_from(value, n);
		first = false;
	}
	buf_add_lit(out, "\r\n");
	if (!buf_ok(out))
		out->n = start;
	return buf_ok(out);
}
