/*
 * digest - size and checksum of a load message, and the ledger's lines; see digest.h.
 */
#include "tool/digest.h"

#include "base/crc.h"

void digest_init(struct digest *d)
{
	*d = (struct digest){ .head = BUF_INIT(DIGEST_HEAD_MAX) };
}

void digest_done(struct digest *d)
{
	buf_done(&d->head);
	digest_init(d);
}

void digest_reset(struct digest *d)
{
	buf_clear(&d->head);
	d->decided = false;
	d->crc = 0;
	d->size = 0;
	d->id[0] = '\0';
}

static void count(struct digest *d, struct str s)
{
	d->crc = crc32c(d->crc, s.p, s.n);
	d->size += s.n;
}

/* Where the field begins in the header section, at the start of a line; -1: not there. */
static ssize_t find_field(struct str s, bool *ret_header_ended)
{
	const struct str field = STR(DIGEST_FIELD);
	ssize_t at, end = str_search(s, STR("\r\n\r\n"));

	*ret_header_ended = end >= 0;
	if (end >= 0)
		s = str_sub(s, 0, (size_t)end + 2);
	if (str_starts(s, field))
		return 0;
	at = str_search(s, STR("\r\n" DIGEST_FIELD));
	return at < 0 ? -1 : at + 2;
}

/* Looks for the field in what there is; last: nothing more comes. */
static bool decide(struct digest *d, struct str s, bool last)
{
	bool header_ended;
	ssize_t at = find_field(s, &header_ended);
	struct str value;
	ssize_t end;

	if (at < 0) {
		if (!header_ended && !last)
			return false;
		d->decided = true;
		count(d, s);
		return true;
	}
	value = str_from(s, (size_t)at + sizeof(DIGEST_FIELD) - 1);
	end = str_search(value, STR("\r\n"));
	if (end < 0 && !last)
		return false;
	str_copy(d->id, sizeof(d->id), str_sub(value, 0, end < 0 ? value.n : (size_t)end));
	d->decided = true;
	count(d, str_from(s, (size_t)at));
	return true;
}

void digest_feed(struct digest *d, struct str piece)
{
	if (d->decided) {
		count(d, piece);
		return;
	}
	/* The usual case: the header section is in the first piece. */
	if (!d->head.n && decide(d, piece, false))
		return;
	if (!buf_add_str(&d->head, piece)) {
		decide(d, buf_str(&d->head), true);
		count(d, piece);
		return;
	}
	if (decide(d, buf_str(&d->head), false))
		buf_clear(&d->head);
}

void digest_end(struct digest *d)
{
	if (!d->decided)
		decide(d, buf_str(&d->head), true);
	buf_clear(&d->head);
}

/* ---- the ledger */

static void add_word(struct buf *out, struct str s)
{
	if (!s.n)
		buf_add_byte(out, '-');
	for (size_t i = 0; i < s.n; i++)
		buf_add_byte(out, (unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f ? '?' : s.p[i]);
	buf_add_byte(out, ' ');
}

void ledger_format(struct buf *out, const struct ledger_line *l)
{
	add_word(out, l->id);
	add_word(out, l->sender);
	add_word(out, l->recipients);
	buf_printf(out, "%llu %08x\n", (unsigned long long)l->size, l->crc);
}

static bool parse_hex(struct str s, uint32_t *ret)
{
	uint32_t value = 0;

	if (s.n != 8)
		return false;
	for (size_t i = 0; i < 8; i++) {
		const char *digits = "0123456789abcdef",
			   *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;

		if (!at)
			return false;
		value = value << 4 | (uint32_t)(at - digits);
	}
	*ret = value;
	return true;
}

static struct str take_word(struct str *rest)
{
	struct str word = str_word(rest);

	return str_eq(word, STR("-")) ? str_sub(word, 0, 0) : word;
}

bool ledger_parse(struct str line, struct ledger_line *ret)
{
	struct ledger_line l;

	l.id = take_word(&line);
	l.sender = take_word(&line);
	l.recipients = take_word(&line);
	if (!str_parse_u64(str_word(&line), UINT64_MAX, &l.size) ||
	    !parse_hex(str_word(&line), &l.crc))
		return false;
	if (str_trim(line).n)
		return false;
	*ret = l;
	return true;
}
