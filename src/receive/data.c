/*
 * data - DATA: content with dots stuffed, up to CRLF.CRLF (RFC 5321 4.1.1.4, 4.5.2; promise D7).
 *
 * Refused before any content comes: within a BDAT transaction, for BINARYMIME (RFC 3030 3),
 * without a recipient. That nothing lies behind the command already was checked by the loop over
 * commands.
 */
#include "receive/intake.h"

static int read_content(struct session *s) SUSPENDS
{
	struct pace *pace = &s->transaction.pace;

	while (!s->transaction.intake->reader.done) {
		struct str in = stream_peek(s->stream);
		size_t used;
		int r;

		if (!in.n) {
			if (pace->octets > intake_read_max(s))
				return session_too_big(s);
			r = intake_wait(s, pace);
			if (r < 0)
				return r;
			continue;
		}
		used = intake_dotted(s, in);
		stream_consume(s->stream, used);
		pace->octets += used;
		s->octets += used;
	}
	return 0;
}

int data_handle(struct session *s, struct str args)
{
	struct transaction *t = &s->transaction;
	int r;

	(void)args;
	if (t->intake || t->failed)
		return session_refuse(s, REPLY(503, 5, 5, 1, "BDAT has begun"));
	if (t->body == BODY_BINARYMIME)
		return session_refuse(s, REPLY(503, 5, 5, 1, "BINARYMIME needs BDAT"));
	if (!t->recipients_n)
		return session_refuse(s, intake_no_recipients(s));
	intake_begin(s);
	r = session_say(s, STR("354 Send it, then a dot on a line of its own\r\n"));
	if (r == 0)
		r = session_flush(s);
	if (r < 0)
		return r;
	transcript_content(s->transcript, false, true);
	r = read_content(s);
	transcript_content(s->transcript, false, false);
	if (r == 0)
		r = intake_finish(s);
	transaction_reset(s);
	return r;
}
