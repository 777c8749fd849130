/*
 * send - relevo send: hands one message from a file or standard input to a server, by SMTP or LMTP.
 *
 * The message is read whole before anything is sent. Line ends LF become CRLF (and a last line gets
 * one) unless --raw. With --raw and CHUNKING offered BDAT is used, so that any bytes can be tried;
 * without it they go through DATA as they are. The server's final reply is printed, for LMTP one
 * for each recipient. Exit codes: 0 taken, 1 refused for good, 75 (EX_TEMPFAIL) try again later, 2
 * usage.
 */
#include "tool/tool.h"

#include "base/arena.h"
#include "base/mem.h"
#include "tool/dialogue.h"
#include "tool/options.h"
#include "tool/stage.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define MESSAGE_MAX (UINT64_C(1) << 30)
#define RECIPIENTS_MAX 1000
#define TIMEOUT_DEFAULT (60 * SECOND)

enum { EXIT_TAKEN = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_LATER = 75 };

struct sending {
	struct stage stage;
	struct dialogue dialogue;
	struct endpoint server;
	const char *server_text, *from, *helo, *body, *notify, *ret, *envid;
	const char *to[RECIPIENTS_MAX];
	unsigned to_n, accepted_n;
	bool lmtp, raw, verbose, smtputf8;
	uint64_t timeout_ns;
	struct mail_command mail;
	struct rcpt_command rcpts[RECIPIENTS_MAX];
	struct buf content;
	struct arena arena;	/* what mail and rcpts borrow from */
	int result;		/* the exit code */
};

/* ---- what goes wrong */

static int worse(int a, int b)
{
	/* Refused for good tells more than try again later; both more than taken. */
	if (a == EXIT_REFUSED || b == EXIT_REFUSED)
		return EXIT_REFUSED;
	return a > b ? a : b;
}

static int result_of(const struct reply *r)
{
	if (reply_is_positive(r))
		return EXIT_TAKEN;
	return reply_is_permanent(r) ? EXIT_REFUSED : EXIT_LATER;
}

static void print_reply(const char *what, const struct reply *r)
{
	struct buf line = BUF_INIT(REPLY_TEXT_MAX + 64);

	reply_describe(&line, r);
	printf("%s%s%s\n", what, *what ? ": " : "", buf_cstr(&line));
	buf_done(&line);
}

/* A reply that ends it if it is not positive. True: go on. */
static bool went_well(struct sending *s, const char *what)
{
	const struct reply *r = dialogue_said(&s->dialogue);

	if (reply_is_positive(r))
		return true;
	print_reply(what, r);
	s->result = worse(s->result, result_of(r));
	return false;
}

/* ---- the conversation; each returns 0, 1 (the server said no: printed, end politely) or -errno */

static int open_session(struct sending *s) SUSPENDS
{
	struct dialogue *d = &s->dialogue;
	int r = dialogue_connect(d, &s->server);

	if (r < 0)
		return r;
	if (!went_well(s, "greeting"))
		return 1;
	if ((r = dialogue_hello(d, s->helo, s->lmtp)) < 0)
		return r;
	return went_well(s, "hello") ? 0 : 1;
}

static int say_envelope(struct sending *s) SUSPENDS
{
	struct dialogue *d = &s->dialogue;
	unsigned offered = offers_bits(&d->offers);
	struct buf line = BUF_INIT(COMMAND_LINE_EXTENDED_MAX);
	int r = -EINVAL;

	s->mail.size = s->content.n;
	s->mail.has_size = true;
	if (mail_format(&line, &s->mail, offered) && (r = dialogue_command(d, buf_str(&line))) == 0)
		r = went_well(s, "sender") ? 0 : 1;
	for (unsigned i = 0; r == 0 && i < s->to_n; i++) {
		buf_clear(&line);
		if (!rcpt_format(&line, &s->rcpts[i], offered)) {
			r = -EINVAL;
			break;
		}
		r = dialogue_command(d, buf_str(&line));
		if (r == 0 && went_well(s, s->to[i]))
			s->accepted_n++;
	}
	buf_done(&line);
	return r < 0 ? r : r || !s->accepted_n;
}

static int say_content(struct sending *s) SUSPENDS
{
	struct dialogue *d = &s->dialogue;
	char command[64];
	int n, r;

	if (d->offers.chunking && (s->raw || s->mail.body == BODY_BINARYMIME)) {
		n = snprintf(command, sizeof(command), "BDAT %zu LAST\r\n", s->content.n);
		r = dialogue_add(d, str_make(command, (size_t)n));
		return r < 0 ? r : stream_write(d->stream, s->content.p, s->content.n, d->deadline);
	}
	if ((r = dialogue_command(d, STR("DATA\r\n"))) < 0)
		return r;
	if (!went_well(s, "DATA"))
		return 1;
	return dialogue_content(d, buf_str(&s->content));
}

/* The final reply; LMTP has one for each recipient that was accepted (RFC 2033 4.2). */
static int hear_final(struct sending *s) SUSPENDS
{
	unsigned replies = s->lmtp ? s->accepted_n : 1;
	int r = 0;

	for (unsigned i = 0; i < replies && (r = dialogue_reply(&s->dialogue)) == 0; i++) {
		print_reply("", dialogue_said(&s->dialogue));
		s->result = worse(s->result, result_of(dialogue_said(&s->dialogue)));
	}
	return r;
}

static int converse(struct sending *s) SUSPENDS
{
	int r;

	if ((r = open_session(s)) || (r = say_envelope(s)) || (r = say_content(s)) ||
	    (r = hear_final(s)))
		return r;
	return 0;
}

static void send_task(void *arg) SUSPENDS
{
	struct sending *s = arg;
	int r;

	s->dialogue.deadline = in_ms(s->timeout_ns / MILLISECOND);
	r = converse(s);
	if (r < 0) {
		fprintf(stderr, "relevo: %s: %s\n", s->server_text, strerror(-r));
		s->result = r == -EINVAL ? EXIT_REFUSED : EXIT_LATER;
	} else {
		dialogue_command(&s->dialogue, STR("QUIT\r\n"));
	}
	dialogue_done(&s->dialogue);
	stage_done(&s->stage);
}

/* ---- before it */

/* LF to CRLF; the last line gets its end. */
static void fix_lines(struct buf *content)
{
	struct buf fixed = BUF_INIT(content->max);
	struct str rest = buf_str(content);

	while (rest.n) {
		ssize_t lf = str_find(rest, '\n');
		struct str line = lf < 0 ? rest : str_sub(rest, 0, (size_t)lf);

		rest = str_from(rest, line.n + 1);
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		buf_add_str(&fixed, line);
		buf_add_lit(&fixed, "\r\n");
	}
	buf_done(content);
	*content = fixed;
}

static bool parse_body(struct sending *s, struct buf *error)
{
	struct reply ignored;
	struct buf text = BUF_INIT(4096);
	bool fine;

	buf_printf(&text, "FROM:<%s>", s->from);
	if (s->body)
		buf_printf(&text, " BODY=%s", s->body);
	if (s->ret)
		buf_printf(&text, " RET=%s", s->ret);
	if (s->envid) {
		buf_add_lit(&text, " ENVID=");
		xtext_encode(&text, str_of(s->envid));
	}
	if (s->smtputf8)
		buf_add_lit(&text, " SMTPUTF8");
	fine = mail_parse(arena_str(&s->arena, buf_str(&text)), ~0u, &s->mail, &ignored);
	if (!fine)
		buf_printf(error, "sender <%s>: %.*s", s->from, STR_ARG(ignored.text));
	buf_done(&text);
	return fine;
}

static bool parse_recipient(struct sending *s, unsigned i, struct buf *error)
{
	struct reply ignored;
	struct buf text = BUF_INIT(4096);
	bool fine;

	buf_printf(&text, "TO:<%s>", s->to[i]);
	if (s->notify)
		buf_printf(&text, " NOTIFY=%s", s->notify);
	fine = rcpt_parse(arena_str(&s->arena, buf_str(&text)), ~0u, s->smtputf8, &s->rcpts[i],
			  &ignored);
	if (!fine)
		buf_printf(error, "recipient <%s>: %.*s", s->to[i], STR_ARG(ignored.text));
	buf_done(&text);
	return fine;
}

static bool prepare(struct sending *s, const char *file, struct buf *error)
{
	int r;

	if (!s->to_n) {
		buf_add_lit(error, "who is to get it? (--to ADDRESS)");
		return false;
	}
	if (!parse_body(s, error))
		return false;
	for (unsigned i = 0; i < s->to_n; i++)
		if (!parse_recipient(s, i, error))
			return false;
	if (!stage_resolve(s->server_text, s->lmtp ? 24 : 25, &s->server, error))
		return false;
	if ((r = stage_read_file(file, &s->content)) < 0) {
		buf_printf(error, "%s: %s", file ? file : "standard input", strerror(-r));
		return false;
	}
	if (!s->raw)
		fix_lines(&s->content);
	return true;
}

static bool add_recipient(void *target, const char *value, struct buf *error)
{
	struct sending *s = target;

	if (s->to_n == RECIPIENTS_MAX) {
		buf_printf(error, "at most %d recipients", RECIPIENTS_MAX);
		return false;
	}
	s->to[s->to_n++] = value;
	return true;
}

static int run(struct sending *s, const char *file)
{
	struct buf error = BUF_INIT(4096);

	if (!prepare(s, file, &error)) {
		fprintf(stderr, "relevo: %s\n", buf_cstr(&error));
		buf_done(&error);
		return EXIT_USAGE;
	}
	dialogue_init(&s->dialogue);
	s->dialogue.verbose = s->verbose;
	stage_open(&s->stage, 1);
	stage_start_task(&s->stage, 0, send_task, s, "send");
	while (!stage_wait(&s->stage, s->timeout_ns))
		;
	if (s->stage.interrupted)
		_exit(EXIT_LATER);	/* the user's wish: no need to unwind a conversation */
	stage_close(&s->stage);
	return s->result;
}

int send_main(int argc, char **argv)
{
	struct sending *s = mem_zalloc(sizeof(*s));
	const struct option_row rows[] = {
		{"server", "HOST:PORT", OPTION_TEXT, &s->server_text, NULL,
		 "where to (127.0.0.1:2525)"},
		{"from", "ADDRESS", OPTION_TEXT, &s->from, NULL, "sender; empty: the null sender"},
		{"to", "ADDRESS", OPTION_CALL, s, add_recipient, "a recipient; may be repeated"},
		{"helo", "NAME", OPTION_TEXT, &s->helo, NULL, "what to call ourselves (localhost)"},
		{"lmtp", NULL, OPTION_FLAG, &s->lmtp, NULL, "speak LMTP"},
		{"body", "TYPE", OPTION_TEXT, &s->body, NULL, "7bit, 8bitmime or binarymime"},
		{"smtputf8", NULL, OPTION_FLAG, &s->smtputf8, NULL,
		 "addresses and header may be UTF-8"},
		{"notify", "LIST", OPTION_TEXT, &s->notify, NULL,
		 "never, or of success,failure,delay"},
		{"ret", "WHAT", OPTION_TEXT, &s->ret, NULL, "what a report returns: full or hdrs"},
		{"envid", "TEXT", OPTION_TEXT, &s->envid, NULL, "what a report names the message"},
		{"raw", NULL, OPTION_FLAG, &s->raw, NULL, "send the bytes as they are"},
		{"timeout", "TIME", OPTION_TIME, &s->timeout_ns, NULL,
		 "for everything together (60s)"},
		{"verbose", NULL, OPTION_FLAG, &s->verbose, NULL, "show the conversation"},
		{0},
	};
	struct options o = {
		.usage = "relevo send [OPTION]... --to ADDRESS [FILE]",
		.purpose = "Sends one message from FILE or standard input. Exit code: 0 taken, 1 "
			   "refused, 75 try later.",
		.rows = rows,
		.operands_max = 1,
	};
	int r;

	s->server_text = "127.0.0.1:2525";
	s->from = "";
	s->helo = "localhost";
	s->timeout_ns = TIMEOUT_DEFAULT;
	s->content = BUF_INIT(MESSAGE_MAX);
	r = options_read(&o, argc, argv);
	if (r == OPTIONS_RUN)
		r = run(s, o.operands[0]);
	buf_done(&s->content);
	arena_done(&s->arena);
	mem_free(s);
	return r;
}
