/*
 * trace - Received fields and dates; see trace.h.
 *
 * The clauses and their order are those of RFC 5321 4.4 (Time-stamp-line): from, by, with, id, for,
 * date. Names that a peer chose are cut and cleaned, so that no peer can end the field, open a
 * comment or add a clause. Dates are computed here rather than by gmtime_r: no lock, no time zone,
 * no locale.
 */
#include "mail/trace.h"

#define NAME_MAX_OCTETS 255	/* of a name that a peer chose */
#define TIME_MAX INT64_C(253402300799)	/* 9999-12-31T23:59:59Z: years have four digits */

struct date {
	int year, month, day;	/* month 1-12 */
	int weekday;		/* 0: Sunday */
	int hour, minute, second;
};

/*
 * Days since 1970 into a civil date. Years are counted from March, so that the leap day is the last
 * one; 719,468 days lie between 0000-03-01 and 1970-01-01; an era is 400 years, 146,097 days.
 */
static struct date date_of(int64_t time_s)
{
	struct date d;
	int64_t days, era, second;
	int day, year;

	time_s = time_s < 0 ? 0 : time_s > TIME_MAX ? TIME_MAX : time_s;
	days = time_s / 86400;
	second = time_s % 86400;
	d.hour = (int)(second / 3600);
	d.minute = (int)(second / 60 % 60);
	d.second = (int)(second % 60);
	d.weekday = (int)((days + 4) % 7);	/* 1970-01-01 was a Thursday */
	days += 719468;
	era = days / 146097;
	day = (int)(days % 146097);
	year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	day -= 365 * year + year / 4 - year / 100;
	d.month = (5 * day + 2) / 153;		/* 0: March */
	d.day = day - (153 * d.month + 2) / 5 + 1;
	d.month += d.month < 10 ? 3 : -9;
	d.year = (int)(era * 400) + year + (d.month <= 2);
	return d;
}

/* width digits, with leading zeros: printf is too slow for what every message needs. */
static void add_digits(struct buf *out, int value, int width)
{
	char digits[8];

	for (int i = width; i-- > 0; value /= 10)
		digits[i] = (char)('0' + value % 10);
	buf_add(out, digits, (size_t)width);
}

static void add_time(struct buf *out, const struct date *d)
{
	add_digits(out, d->hour, 2);
	buf_add_byte(out, ':');
	add_digits(out, d->minute, 2);
	buf_add_byte(out, ':');
	add_digits(out, d->second, 2);
}

/* RFC 5322 3.3. */
void date_format(struct buf *out, int64_t time_s)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct date d = date_of(time_s);

	buf_add(out, days[d.weekday], 3);
	buf_add_lit(out, ", ");
	add_digits(out, d.day, 2);
	buf_add_byte(out, ' ');
	buf_add(out, months[d.month - 1], 3);
	buf_add_byte(out, ' ');
	add_digits(out, d.year, 4);
	buf_add_byte(out, ' ');
	add_time(out, &d);
	buf_add_lit(out, " +0000");
}

/* RFC 3339 5.6. */
void timestamp_format(struct buf *out, int64_t time_ms)
{
	struct date d = date_of(time_ms / 1000);
	int64_t ms = time_ms < 0 ? 0 : time_ms % 1000;

	add_digits(out, d.year, 4);
	buf_add_byte(out, '-');
	add_digits(out, d.month, 2);
	buf_add_byte(out, '-');
	add_digits(out, d.day, 2);
	buf_add_byte(out, 'T');
	add_time(out, &d);
	buf_add_byte(out, '.');
	add_digits(out, (int)ms, 3);
	buf_add_byte(out, 'Z');
}

/* What a domain, an address literal or an atom may hold, and '_', which the field knows. */
static bool is_name_char(char c)
{
	return ascii_is_alnum(c) || (c && strchr("-._:[]", c));
}

/* atext of RFC 5322 3.2.3: protocol names and ids are atoms. Dots, for ids with a host. */
static bool is_atom_char(char c)
{
	return ascii_is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

/* A parsed address holds nothing else; octets >= 0x80 are UTF-8 under SMTPUTF8 (RFC 6531 4.3). */
static bool is_address_char(char c)
{
	return (unsigned char)c >= 0x20 && c != 0x7f;
}

static bool is_comment_char(char c)
{
	return is_name_char(c) || c == ' ';
}

static void add_clean(struct buf *out, struct str s, bool (*fits)(char c))
{
	s = str_sub(s, 0, NAME_MAX_OCTETS);
	for (size_t i = 0; i < s.n; i++)
		buf_add_byte(out, fits(s.p[i]) ? s.p[i] : '?');
}

static void add_literal(struct buf *out, struct str client)
{
	buf_add_byte(out, '[');
	add_clean(out, client, is_name_char);
	buf_add_byte(out, ']');
}

/*
 * "from HELO (NAME [IP])". A client that gave no name is called by its address (Extended-Domain).
 */
static void add_from(struct buf *out, const struct trace *t)
{
	buf_add_lit(out, "from ");
	if (t->helo.n)
		add_clean(out, t->helo, is_name_char);
	else
		add_literal(out, t->client);
	if (t->client.n) {
		buf_add_lit(out, " (");
		if (t->client_name.n) {
			add_clean(out, t->client_name, is_name_char);
			buf_add_byte(out, ' ');
		}
		add_literal(out, t->client);
		buf_add_byte(out, ')');
	}
	buf_add_lit(out, "\r\n\t");
}

void received_format(struct buf *out, const struct trace *t)
{
	buf_add_lit(out, "Received: ");
	if (t->helo.n || t->client.n)
		add_from(out, t);
	buf_add_lit(out, "by ");
	add_clean(out, t->hostname, is_name_char);
	if (t->protocol.n) {
		buf_add_lit(out, " with ");
		add_clean(out, t->protocol, is_atom_char);
	}
	if (t->tls.n) {
		buf_add_lit(out, " (");
		add_clean(out, t->tls, is_comment_char);
		buf_add_byte(out, ')');
	}
	if (t->id.n) {
		buf_add_lit(out, " id ");
		add_clean(out, t->id, is_atom_char);
	}
	if (t->recipient.n) {
		buf_add_lit(out, "\r\n\tfor <");
		add_clean(out, t->recipient, is_address_char);
		buf_add_lit(out, ">; ");
	} else {
		buf_add_lit(out, ";\r\n\t");
	}
	date_format(out, t->time_s);
	buf_add_lit(out, "\r\n");
}
