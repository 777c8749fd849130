/*
 * mime - what the tests of bounce/ share: a report taken apart again, with its form checked on the
 * way.
 */
#ifndef UNIT_BOUNCE_MIME_H
#define UNIT_BOUNCE_MIME_H

#include "mail/header.h"
#include "unit/unit.h"

#define PARTS_MAX 4

struct report {
	struct str top;			/* header section */
	char boundary[80];
	struct str headers[PARTS_MAX];	/* of the parts */
	struct str bodies[PARTS_MAX];	/* without the CRLF that belongs to the boundary */
	unsigned parts_n;
};

/* The value of a field, unfolded, in a static buffer; "" if it is not there. */
static inline const char *field(struct str headers, const char *name)
{
	static char values[8][2048];
	static unsigned next;
	char *value = values[next++ % 8];
	struct header_field f;
	size_t n = 0;

	value[0] = '\0';
	while (header_next(&headers, &f)) {
		struct str v = str_trim(f.value);

		if (!str_eq_nocase(f.name, str_of(name)))
			continue;
		for (size_t i = 0; i < v.n && n + 1 < sizeof(values[0]); i++)
			if (v.p[i] != '\r' && v.p[i] != '\n')
				value[n++] = v.p[i];
		value[n] = '\0';
		break;
	}
	return value;
}

#define assert_field(headers, name, expected) assert_string_equal(field(headers, name), expected)

/* Every line ends in CRLF, none is longer than 998 octets, there is no NUL (RFC 5322 2.1.1, D7). */
static inline void assert_sound(struct str s, bool ascii)
{
	size_t line = 0;

	assert_true(s.n >= 2 && s.p[s.n - 2] == '\r' && s.p[s.n - 1] == '\n');
	for (size_t i = 0; i < s.n; i++) {
		assert_true(s.p[i] != '\0');
		assert_true(!ascii || (unsigned char)s.p[i] < 0x80);
		assert_true((s.p[i] == '\n') == (i > 0 && s.p[i - 1] == '\r'));
		line = s.p[i] == '\n' ? 0 : line + 1;
		assert_true(line <= 999);
	}
}

static inline struct str header_of(struct str *s)
{
	size_t n = header_length(*s);
	struct str head = str_sub(*s, 0, n);

	*s = str_from(*s, n);
	return head;
}

static inline void report_parse(struct report *r, struct str message)
{
	struct str delimiter;
	char text[96];
	const char *type, *at;
	ssize_t end;

	*r = (struct report){ 0 };
	r->top = header_of(&message);
	type = field(r->top, "Content-Type");
	assert_non_null(strstr(type, "multipart/report"));
	assert_non_null(strstr(type, "report-type=delivery-status"));
	at = strstr(type, "boundary=\"");
	assert_non_null(at);
	snprintf(r->boundary, sizeof(r->boundary), "%.*s", (int)strcspn(at + 10, "\""), at + 10);
	snprintf(text, sizeof(text), "\r\n--%s", r->boundary);
	delimiter = str_of(text);
	end = str_search(message, delimiter);
	while (end >= 0) {
		struct str rest = str_from(message, (size_t)end + delimiter.n);

		if (str_starts(rest, STR("--\r\n"))) {
			assert_int_equal(rest.n, 4);
			return;
		}
		assert_true(str_starts(rest, STR("\r\n")) && r->parts_n < PARTS_MAX);
		message = str_from(rest, 2);
		r->headers[r->parts_n] = header_of(&message);
		end = str_search(message, delimiter);
		assert_true(end >= 0);
		r->bodies[r->parts_n++] = str_sub(message, 0, (size_t)end);
	}
	fail_msg("the closing boundary is missing");
}

/* The i-th block of fields of a delivery-status part: 0 is about the message, the others about
 * recipients. */
static inline struct str block(struct str status, unsigned i)
{
	for (; i; i--) {
		assert_true(header_length(status) < status.n);
		header_of(&status);
	}
	return header_of(&status);
}

static inline bool has_text(struct str s, const char *needle)
{
	return str_search(s, str_of(needle)) >= 0;
}

#endif
