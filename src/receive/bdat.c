/*
 * bdat - BDAT: content in counted chunks (RFC 3030 2).
 *
 * The octets follow the command at once, whether or not it is taken, so those of a refused one are
 * read and thrown away before the answer; if they are far more than any message may have, the
 * session ends. So does a command that cannot be read: how many octets follow is unknown, and
 * content must never be taken for commands. After a refused chunk the transaction is failed: the
 * chunks behind it are refused as well, until the last one, RSET or EHLO.
 *
 * The lowest rate is that of the whole message, from its first chunk on, the waits between chunks
 * included: an octet in a chunk of its own now and then is no faster than an octet now and then. A
 * chunk of none that is not the last brings the message no further, and counts like a NOOP.
 */
#include "receive/intake.h"

#include <errno.h>

#define NUMBER_MAX 48	/* octets of "N octets\r\n" */

/* Reads size octets: into the transaction's intake, or away. */
static int read_chunk(struct session *s, uint64_t size, bool keep) SUSPENDS
{
	struct pace of_refused = { .began = loop_now() };
	struct pace *pace = keep ? &s->transaction.pace : &of_refused;
	uint64_t left = size;

	while (left) {
		struct str in = stream_peek(s->stream);
		int r;

		if (!in.n) {
			r = intake_wait(s, pace);
			if (r < 0)
				return r;
			continue;
		}
		if (in.n > left)
			in.n = left;
		if (keep)
			intake_plain(s, in);
		stream_consume(s->stream, in.n);
		left -= in.n;
		pace->octets += in.n;
		s->octets += in.n;
	}
	return intake_is_late(s, pace) ? -ETIMEDOUT : 0;
}

/* Why a chunk of that size cannot be taken; .code 0: it can. */
static struct reply objection(const struct session *s, uint64_t size)
{
	const struct transaction *t = &s->transaction;
	uint64_t before = t->intake ? t->intake->reader.octets : 0;

	if (session_lacks_tls(s))
		return REPLY(530, 5, 7, 0, "Say STARTTLS first");
	if (!s->helo.n)
		return REPLY(503, 5, 5, 1, "Say EHLO first");
	if (!t->open)
		return REPLY(503, 5, 5, 1, "Send MAIL first");
	if (t->failed)
		return REPLY(503, 5, 5, 1, "A chunk was refused; send RSET");
	if (!t->recipients_n)
		return intake_no_recipients(s);
	if (before + size > s->config->message.size_max)
		return REPLY(552, 5, 3, 4, "Message too big");
	return (struct reply){ 0 };
}

/* The chunk was refused: what came before it and what comes behind it is worth nothing any more. */
static int fail(struct session *s, struct reply reply, bool last) SUSPENDS
{
	struct transaction *t = &s->transaction;
	int r = session_refuse(s, reply);

	if (last) {
		transaction_reset(s);
		return r;
	}
	if (t->intake)
		intake_drop(t->intake);
	t->intake = NULL;
	t->failed = t->open;
	return r;
}

static int say_taken(struct session *s, uint64_t size) SUSPENDS
{
	char text[NUMBER_MAX];
	int n = snprintf(text, sizeof(text), "250 2.0.0 %llu octets\r\n", (unsigned long long)size);

	return session_say(s, str_make(text, (size_t)n));
}

int bdat_handle(struct session *s, struct str args)
{
	struct transaction *t = &s->transaction;
	struct reply trouble;
	uint64_t size;
	bool last;
	int r;

	if (!bdat_parse(args, &size, &last)) {
		r = session_refuse(s, REPLY(501, 5, 5, 4, "BDAT takes a size, and LAST"));
		return r < 0 ? r : session_end(s, "bad-bdat");
	}
	if (size > intake_read_max(s))
		return session_too_big(s);
	r = size || last ? 0 : session_idles(s);
	if (r < 0)
		return r;
	trouble = objection(s, size);
	if (!trouble.code && !t->intake)
		intake_begin(s);
	r = read_chunk(s, size, !trouble.code);
	if (r < 0)
		return r;
	if (!trouble.code && !last)
		trouble = intake_trouble(s);
	if (trouble.code)
		return fail(s, trouble, last);
	if (!last)
		return say_taken(s, size);
	data_check_end(&t->intake->reader);
	r = intake_finish(s);
	transaction_reset(s);
	return r;
}
