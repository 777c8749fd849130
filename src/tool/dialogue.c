/*
 * dialogue - the client's side of SMTP and LMTP; see dialogue.h.
 */
#include "tool/dialogue.h"

#include <errno.h>
#include <stdio.h>

#define OUT_MAX 4096
#define LINE_MAX_OCTETS 4096	/* of a reply; longer ones are no SMTP */

void dialogue_init(struct dialogue *d)
{
	*d = (struct dialogue){ .out = BUF_INIT(OUT_MAX), .deadline = NEVER };
	reply_reader_init(&d->reader);
}

void dialogue_done(struct dialogue *d)
{
	stream_free(d->stream);
	d->stream = NULL;
	reply_reader_done(&d->reader);
	buf_done(&d->out);
}

/* A peer's bytes on a terminal: what is not printable is shown as '?' (D8). */
static void show(const char *arrow, struct str s)
{
	fputs(arrow, stderr);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\r' && s.p[i] != '\n')
			fputc((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? '?' : s.p[i], stderr);
	fputc('\n', stderr);
}

int dialogue_connect(struct dialogue *d, const struct endpoint *server)
{
	int r = stream_connect(NULL, server, d->deadline, &d->stream);

	return r < 0 ? r : dialogue_reply(d);
}

static int hello(struct dialogue *d, const char *verb, const char *name) SUSPENDS
{
	buf_clear(&d->out);
	buf_printf(&d->out, "%s %s\r\n", verb, name);
	return dialogue_command(d, buf_str(&d->out));
}

int dialogue_hello(struct dialogue *d, const char *name, bool lmtp)
{
	int r = hello(d, lmtp ? "LHLO" : "EHLO", name);

	if (r < 0)
		return r;
	d->offers = (struct offers){ 0 };
	if (reply_is_positive(dialogue_said(d)))
		ehlo_parse(dialogue_said(d), &d->offers);
	else if (!lmtp && reply_is_permanent(dialogue_said(d)))
		r = hello(d, "HELO", name);
	return r;
}

int dialogue_add(struct dialogue *d, struct str command)
{
	if (d->verbose)
		show("> ", command);
	return stream_write(d->stream, command.p, command.n, d->deadline);
}

int dialogue_flush(struct dialogue *d)
{
	return stream_unsent(d->stream) ? stream_flush(d->stream, d->deadline) : 0;
}

int dialogue_reply(struct dialogue *d)
{
	int r = dialogue_flush(d);

	if (r < 0)
		return r;
	reply_reader_reset(&d->reader);
	do {
		struct str line;

		r = stream_line(d->stream, LINE_MAX_OCTETS, d->deadline, &line);
		if (r == 0)
			return -ECONNRESET;
		if (r < 0)
			return r;
		if (d->verbose)
			show("< ", line);
		r = reply_reader_line(&d->reader, line);
	} while (r == 0);
	return r < 0 ? r : 0;
}

int dialogue_command(struct dialogue *d, struct str command)
{
	int r = dialogue_add(d, command);

	return r < 0 ? r : dialogue_reply(d);
}

int dialogue_content(struct dialogue *d, struct str content)
{
	struct data_writer w = { 0 };
	struct str end;
	int r;

	while (content.n) {
		size_t n = data_write_plain(&w, content.p, content.n);

		if ((r = stream_write(d->stream, content.p, n, d->deadline)) < 0)
			return r;
		if (n < content.n && (r = stream_write(d->stream, ".", 1, d->deadline)) < 0)
			return r;
		content = str_from(content, n);
	}
	end = data_write_end(&w);
	return stream_write(d->stream, end.p, end.n, d->deadline);
}
