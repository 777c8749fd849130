/*
 * load_message - the messages of relevo load: each with its id, each reproducible from seed and
 * number.
 *
 * The id field is the first of all, so that what a relay puts before it can be told from what was
 * sent (digest.h). Body lines are pseudo-random; every sixteenth begins with a dot, so that
 * stuffing is tried too. The date is fixed: the same seed makes the same bytes.
 */
#include "tool/load.h"

#define LINE 72		/* octets of a body line without CRLF */

static uint64_t mix(uint64_t *state)
{
	uint64_t v = *state += 0x9e3779b97f4a7c15u;

	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
	return v ^ (v >> 31);
}

/* n octets of printable text. */
static void fill(char *to, size_t n, uint64_t *state)
{
	static const char letters[64] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++) {
		if (i % 10 == 0)
			word = mix(state);
		to[i] = letters[word & 63];
		word >>= 6;
	}
}

/* Exactly n octets of lines; the last one may be short, but never without its CRLF. */
static void add_body(struct buf *out, size_t n, uint64_t *state)
{
	for (unsigned i = 0; n >= 2; i++) {
		size_t length = n - 2 < LINE ? n - 2 : LINE;
		char *to;

		/* What would be left is too little for a line of its own. */
		if (n - length - 2 == 1)
			length--;
		to = buf_reserve(out, length + 2);
		if (!to)
			return;
		fill(to, length, state);
		if (i % 16 == 15 && length)
			to[0] = '.';
		memcpy(to + length, "\r\n", 2);
		buf_commit(out, length + 2);
		n -= length + 2;
	}
}

void load_recipient(struct buf *out, const struct load_plan *plan, uint64_t number, unsigned i)
{
	struct str to = str_of(plan->to);
	size_t local = (size_t)(str_rfind(to, '@') + 1);

	if (plan->recipients_n > 1)
		buf_add_u64(out, i + 1);
	if (!plan->domains_n) {
		buf_add_str(out, to);
		return;
	}
	buf_add_str(out, str_sub(to, 0, local));
	buf_printf(out, "d%llu.",
		   (unsigned long long)((number * plan->recipients_n + i) % plan->domains_n));
	buf_add_str(out, str_from(to, local));
}

void load_message_make(struct buf *out, const struct load_plan *plan, uint64_t number)
{
	uint64_t state = plan->seed ^ (number * 0xd6e8feb86659fd93u);
	size_t start = out->n;

	buf_printf(out, DIGEST_FIELD "%s-%llu\r\n", plan->run, (unsigned long long)number);
	buf_printf(out, "From: <%s>\r\nTo: <%s>\r\n", plan->from, plan->to);
	buf_printf(out, "Subject: load %llu\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n",
		   (unsigned long long)number);
	buf_printf(out, "Message-ID: <%s-%llu@load.invalid>\r\n\r\n", plan->run,
		   (unsigned long long)number);
	if (out->n - start < plan->size)
		add_body(out, plan->size - (out->n - start), &state);
}
