/*
 * answer - building and sending lines; see answer.h.
 */
#include "control/answer.h"

#include "mail/trace.h"
#include "report/escape.h"

#define PIECE_OCTETS (32 * 1024)
#define SEND_SECONDS 60		/* a client that takes nothing for so long is dropped */

static void send_line(struct answer *a, const char *tag) SUSPENDS
{
	struct str line = buf_str(&a->line);
	uint64_t deadline = in_seconds(SEND_SECONDS);

	if (!a->dead)
		a->dead = stream_write(a->stream, tag, strlen(tag), deadline) < 0 ||
			  stream_write(a->stream, line.p, line.n, deadline) < 0 ||
			  stream_write(a->stream, "\r\n", 2, deadline) < 0;
	buf_clear(&a->line);
}

void answer_line(struct answer *a)
{
	send_line(a, " ");
}

void answer_error(struct answer *a)
{
	a->code = 1;
	send_line(a, "!");
}

void answer_frame(struct answer *a)
{
	send_line(a, "~");
}

static void add_escaped(struct answer *a, struct str value, char *(*escape)(char *to, struct str s))
{
	char *to = buf_reserve(&a->line, value.n * ESCAPE_GROWTH + ESCAPE_EXTRA);

	if (to)
		buf_commit(&a->line, (size_t)(escape(to, value) - to));
}

void answer_value(struct answer *a, struct str value)
{
	add_escaped(a, value, escape_text);
}

void answer_age(struct answer *a, int64_t ms)
{
	int64_t s = ms < 0 ? 0 : ms / 1000;

	if (s < 100)
		buf_printf(&a->line, "%llds", (long long)s);
	else if (s < 100 * 60)
		buf_printf(&a->line, "%lldm", (long long)s / 60);
	else if (s < 48 * 3600)
		buf_printf(&a->line, "%lldh", (long long)s / 3600);
	else
		buf_printf(&a->line, "%lldd", (long long)s / 86400);
}

void answer_size(struct answer *a, uint64_t octets)
{
	static const char units[] = "BKMGT";
	uint64_t tenths = octets * 10;
	unsigned unit = 0;

	while (tenths >= 10240 && units[unit + 1]) {
		tenths /= 1024;
		unit++;
	}
	if (unit == 0)
		buf_add_u64(&a->line, octets);
	else if (tenths < 100)
		buf_printf(&a->line, "%u.%u%c", (unsigned)(tenths / 10), (unsigned)(tenths % 10),
			   units[unit]);
	else
		buf_printf(&a->line, "%u%c", (unsigned)(tenths / 10), units[unit]);
}

void answer_count(struct answer *a, uint64_t n, const char *word)
{
	buf_add_u64(&a->line, n);
	buf_printf(&a->line, " %s%s", word, n == 1 ? "" : "s");
}

void json_begin(struct answer *a)
{
	buf_add_byte(&a->line, '{');
	a->fields = 0;
}

void json_key(struct answer *a, const char *key)
{
	buf_printf(&a->line, "%s\"%s\":", a->fields++ ? "," : "", key);
}

void json_str(struct answer *a, const char *key, struct str value)
{
	if (!value.n)
		return;
	json_key(a, key);
	add_escaped(a, value, escape_json);
}

void json_int(struct answer *a, const char *key, int64_t value)
{
	json_key(a, key);
	buf_printf(&a->line, "%lld", (long long)value);
}

void json_decimal(struct answer *a, const char *key, double value)
{
	json_key(a, key);
	buf_printf(&a->line, "%.2f", value);
}

void json_time(struct answer *a, const char *key, int64_t ms)
{
	struct buf b = BUF_INIT(64);

	if (ms)
		timestamp_format(&b, ms);
	json_str(a, key, buf_str(&b));
	buf_done(&b);
}

void json_end(struct answer *a)
{
	buf_add_byte(&a->line, '}');
	a->fields = 1;	/* of the object around it, where there is one */
}

void json_list(struct answer *a, const char *key)
{
	json_key(a, key);
	buf_add_byte(&a->line, '[');
}

/* JSON may be broken into lines between elements, so that no array is too long for the buffer. */
void json_next(struct answer *a)
{
	if (a->line.n > PIECE_OCTETS)
		answer_line(a);
	buf_add_byte(&a->line, ',');
}

void json_element(struct answer *a, struct str value)
{
	add_escaped(a, value, escape_json);
}

void object_line(struct answer *a)
{
	send_line(a, a->objects++ ? " ," : " [");
}

void json_done(struct answer *a)
{
	if (!a->json)
		return;
	buf_add_str(&a->line, a->objects ? STR("]") : STR("[]"));
	answer_line(a);
}
