/*
 * body - the content on its way (RFC 5321 4.1.1.4, 4.5.2; RFC 3030 2).
 *
 * Small content is gathered in the stream's output buffer and leaves in one write together with its
 * final dot; of large content the pieces are sent from where they lie, but for the last TAIL
 * octets, which leave with the dot. Dots are stuffed by smtp/data between slices, without moving a
 * byte.
 *
 * A server may answer before the end: "552 too big", and then either go on reading, or stop. So
 * input is looked for after each slice, and when a write fails the last words are looked for too (a
 * server that answers and closes makes our next write fail). Only an answer that refuses counts; a
 * "250" to half a message is no promise.
 *
 * RFC 5321 4.5.3.2.5 gives each write a time-out and says nothing of their sum: who reads an octet
 * now and then could hold a connection of its destination for days. So the average counts as well:
 * by the time that so many octets are written they must have gone at the route's rate_min, after a
 * grace of one time-out, for servers that think at the beginning. What the system's buffer takes
 * counts as gone.
 */
#include "deliver/body.h"

#include "smtp/data.h"

#include <errno.h>

/* octets of content that fit into the output buffer, dots included, mostly */
#define SMALL (STREAM_BUFFER - 1024)
#define PIECE_SMALL 4095	/* octets up to which a stream gathers what it is given */
#define TAIL 1024
#define WORDS_MS 1000		/* waiting for last words */

/* What it said instead of reading on. */
static enum failure last_words(struct client *c, enum failure otherwise) SUSPENDS
{
	enum failure f;

	c->broken = false;
	f = client_expect(c, 2, WORDS_MS * MILLISECOND);
	c->broken = true;
	if (failure_is_reply(f) || f == FAIL_CANCELLED)
		return f;
	return otherwise ? otherwise : f ? f : FAIL_GARBAGE;
}

/* For the octets written so far. */
static uint64_t deadline_of(const struct body_sender *b)
{
	const struct client *c = b->client;
	uint64_t one = deadline_in(c->timeout_ns), all = NEVER;

	if (c->rate_min && b->written / c->rate_min < NEVER / SECOND / 2)
		all = b->began + c->timeout_ns + b->written / c->rate_min * SECOND;
	return one < all ? one : all;
}

static enum failure write_piece(struct body_sender *b, struct str piece) SUSPENDS
{
	enum failure f;

	b->written += piece.n;
	f = client_write_until(b->client, piece, deadline_of(b));
	return f && f != FAIL_CANCELLED ? last_words(b->client, f) : f;
}

/* A run of octets without a dot to stuff; is_last: what ends the content comes next. */
static enum failure write_run(struct body_sender *b, struct str run, bool is_last) SUSPENDS
{
	enum failure f = FAIL_NONE;

	if (b->size > SMALL) {
		size_t tail = is_last && run.n > TAIL ? TAIL : 0;

		f = write_piece(b, str_sub(run, 0, run.n - tail));
		return f || !tail ? f : write_piece(b, str_from(run, run.n - tail));
	}
	for (size_t at = 0; !f && at < run.n; at += PIECE_SMALL)
		f = write_piece(b, str_sub(run, at, at + PIECE_SMALL));
	return f;
}

static enum failure write_stuffed(struct body_sender *b, struct data_writer *w, struct str slice,
				  bool is_last) SUSPENDS
{
	enum failure f = FAIL_NONE;

	while (!f && slice.n) {
		size_t n = data_write_plain(w, slice.p, slice.n);

		f = write_run(b, str_sub(slice, 0, n), is_last && n == slice.n);
		if (!f && n < slice.n)
			f = write_piece(b, STR("."));
		slice = str_from(slice, n);
	}
	return f;
}

static enum failure begin_chunk(struct body_sender *b) SUSPENDS
{
	struct buf line = BUF_INIT(64);
	enum failure f;

	buf_printf(&line, "BDAT %llu LAST\r\n", (unsigned long long)b->size);
	f = write_piece(b, buf_str(&line));
	buf_done(&line);
	return f;
}

static enum failure send_slices(struct body_sender *b, struct data_writer *w) SUSPENDS
{
	enum failure f = FAIL_NONE;
	uint64_t sent = 0;
	struct str slice;
	int r;

	while (!f && (r = content_reader_next(b->reader, &slice)) > 0) {
		bool is_last = (sent += slice.n) >= b->size;

		f = b->chunking ? write_run(b, slice, is_last)
				: write_stuffed(b, w, slice, is_last);
		if (!f && !is_last && client_has_input(b->client))
			f = last_words(b->client, FAIL_NONE);
	}
	if (f)
		return f;
	if (r == -EBADMSG)
		return FAIL_DAMAGED;
	return r < 0 || sent != b->size ? FAIL_CONTENT : FAIL_NONE;
}

enum failure body_send(struct body_sender *b)
{
	struct data_writer w = { 0 };
	enum failure f = FAIL_NONE;

	b->began = loop_now();
	b->written = 0;
	transcript_content(b->client->transcript, true, !b->chunking);
	if (b->chunking)
		f = begin_chunk(b);
	if (!f)
		f = send_slices(b, &w);
	if (!f && !b->chunking)
		f = write_piece(b, data_write_end(&w));
	if (!f) {
		f = client_flush_until(b->client, deadline_of(b));
		if (f && f != FAIL_CANCELLED)
			f = last_words(b->client, f);
	}
	transcript_content(b->client->transcript, true, false);
	if (f)
		b->client->broken = true;
	return f;
}
