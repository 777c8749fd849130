/*
 * Fuzz: a message's beginning. Reader and watcher agree however the content is cut; the fields lie
 * in the header section, in order; a value that is written comes back; a trace field is one field.
 */
#include "base/mem.h"
#include "mail/header.h"
#include "mail/trace.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_fields(struct str text, size_t chunk)
{
	struct header_watch w = { 0 };
	struct header_field f;
	struct str rest = text;
	const char *behind = text.p;
	unsigned fields = 0, received = 0;
	bool date = false, from = false, id = false;

	while (header_next(&rest, &f)) {
		assert(f.name.n && f.whole.p >= behind && f.name.p == f.whole.p);
		assert(f.value.p + f.value.n <= f.whole.p + f.whole.n);
		behind = f.whole.p + f.whole.n;
		assert(behind <= text.p + text.n && rest.p == behind);
		fields++;
		received += str_eq_nocase(f.name, STR("Received"));
		date |= str_eq_nocase(f.name, STR("Date"));
		from |= str_eq_nocase(f.name, STR("From"));
		id |= str_eq_nocase(f.name, STR("Message-ID"));
	}
	assert(header_length(text) == text.n - rest.n);
	for (size_t at = 0; at < text.n; at += chunk) {
		struct str part = str_sub(text, at, at + chunk);

		header_watch(&w, part.p, part.n);
	}
	assert(w.fields == fields && w.received == received && w.has_date == date);
	assert(w.has_from == from && w.has_message_id == id);
	assert(strlen(w.message_id) == w.message_id_n && w.message_id_n < sizeof(w.message_id));
	if (rest.n)
		assert(w.ended);
}

static void check_write(struct str name, struct str value)
{
	struct buf out = BUF_INIT(SIZE_MAX / 2), plain = BUF_INIT(SIZE_MAX / 2);
	struct header_field f;
	struct str rest;

	if (!header_write(&out, name, value)) {
		assert(out.n == 0);
		return;
	}
	rest = buf_str(&out);
	assert(header_next(&rest, &f) && rest.n == 0 && str_eq(f.name, name));
	/* Unfolded (RFC 5322 2.2.3) it is the value again, without blanks at the ends. */
	for (size_t i = 0; i < f.value.n; i++)
		if (f.value.p[i] != '\r' && f.value.p[i] != '\n')
			buf_add_byte(&plain, f.value.p[i]);
	assert(str_eq(str_trim(buf_str(&plain)), str_trim(value)));
	buf_done(&out);
	buf_done(&plain);
}

static void check_trace(struct str s, int64_t time_s)
{
	const struct trace t = { s, s, s, s, s, s, s, time_s };
	struct buf out = BUF_INIT(8192);
	struct header_field f;
	struct str rest;

	received_format(&out, &t);
	assert(buf_ok(&out));
	rest = buf_str(&out);
	assert(header_next(&rest, &f) && rest.n == 0 && str_eq(f.name, STR("Received")));
	for (size_t i = 0; i < out.n; i++)
		assert(out.p[i] && (out.p[i] != '\r' || out.p[i + 1] == '\n'));
	timestamp_format(&out, time_s);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = str_make((const char *)data, n);
	int64_t time_s = 0;
	ssize_t colon = str_find(text, ':');

	check_fields(text, n + 1);
	check_fields(text, 1);
	check_fields(text, n ? data[0] % 16 + 1 : 1);
	if (colon >= 0)
		check_write(str_sub(text, 0, (size_t)colon), str_from(text, (size_t)colon + 1));
	check_write(STR("Subject"), text);
	memcpy(&time_s, data, n < 8 ? n : 8);
	check_trace(text, time_s);
	return 0;
}
