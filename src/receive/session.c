/*
 * session - one client's conversation: greeting, loop over commands, table of verbs, end.
 *
 * A task (RFC 5321 3, 4.1). Replies gather in the stream's output buffer and are sent when no
 * further complete command is there, so a pipelined group is answered in one send (RFC 2920 3.2).
 * Before every wait what was said is sent.
 *
 * The table says of each verb what must have come before, whether it must be the last of its
 * group, and whether its line may be long. What is checked here never reaches a handler. Input
 * that is there already behind EHLO, HELO, DATA or STARTTLS was sent blindly: the first two are
 * refused and the session goes on; behind DATA it may be content, which must never be taken for
 * commands, and behind STARTTLS somebody in between may have put it there, so the session ends.
 *
 * Where TLS is required, only what leads there is answered before (RFC 3207 4). Refusals beyond
 * tarpit_after come late: the task sleeps, which costs nothing; so that the connections of an
 * address are not used up by sleepers, beyond a quarter of them the client is cut instead.
 *
 * Who sends many commands ahead gives up the loop after some of them: the 64 KiB after which the
 * stream does would be a thousand commands, and 660 such clients made a good one wait for two
 * seconds.
 *
 * What a session may say is bounded in every way: refusals for good by errors_max, refusals for now
 * by DEFERRALS_MAX, commands that bring no message forward by idle_commands_max. The last two count
 * from one message to the next: a client that sends mail may go on for session_max.
 *
 * Ends: every wait may say -ETIMEDOUT (421 4.4.2) or -ECANCELED (shutdown, 421 4.3.2); a verb may
 * end the session by session_end. All unwind to session_main, which says the farewell and logs the
 * totals.
 */
#include "receive/session.h"

#include "base/mem.h"
#include "net/tls.h"

#include <errno.h>

#define OVER (-ECONNABORTED)	/* what session_end returns: .reason says why */
#define FAREWELL (2 * SECOND)	/* for the last words to arrive */
#define ARGS_LOGGED 320		/* octets of a refused MAIL's or RCPT's line in the log */
#define TARPIT_SHARE 4		/* one of so many connections of an address may wait in it */
#define COMMANDS_PER_TURN 32	/* of one that sends ahead, until others have theirs */
#define DEFERRALS_MAX 10000	/* 4xx without a message in between: each is a line of the log */

enum needs { NOTHING, HELLO, TRANSACTION };
enum group { ANYWHERE, LAST, ALONE };	/* ALONE: last, and what is there behind it is an error */

struct row {
	int (*handle)(struct session *s, struct str args);
	uint8_t needs;		/* enum needs */
	uint8_t group;		/* enum group */
	bool bare;		/* takes no arguments */
	bool plain;		/* before TLS, too, where it is required (RFC 3207 4) */
	bool idle;		/* brings no message forward: see idle_commands_max */
	uint16_t line_max;	/* octets with CRLF; 0: COMMAND_LINE_MAX */
};

#define LONG COMMAND_LINE_EXTENDED_MAX	/* parameters lengthen it: RFC 5321 4.5.3.1.4 */

static const struct row rows[] = {
	[VERB_EHLO] = { ehlo_handle, NOTHING, ALONE, false, true, true, 0 },
	[VERB_HELO] = { helo_handle, NOTHING, ALONE, false, true, true, 0 },
	[VERB_MAIL] = { mail_handle, HELLO, ANYWHERE, false, false, false, LONG },
	[VERB_RCPT] = { rcpt_handle, TRANSACTION, ANYWHERE, false, false, false, LONG },
	[VERB_DATA] = { data_handle, TRANSACTION, ALONE, true, false, false, 0 },
	/* Octets follow this one, whatever is wrong with it: only the handler may refuse it. */
	[VERB_BDAT] = { bdat_handle, NOTHING, ANYWHERE, false, true, false, LONG },
	[VERB_RSET] = { rset_handle, NOTHING, ANYWHERE, true, false, true, 0 },
	[VERB_NOOP] = { noop_handle, NOTHING, LAST, false, true, true, 0 },
	[VERB_VRFY] = { vrfy_handle, NOTHING, LAST, false, false, true, 0 },
	[VERB_EXPN] = { expn_handle, NOTHING, LAST, false, false, true, 0 },
	[VERB_HELP] = { help_handle, NOTHING, ANYWHERE, false, false, true, 0 },
	[VERB_QUIT] = { quit_handle, NOTHING, LAST, true, true, false, 0 },
	[VERB_STARTTLS] = { starttls_handle, HELLO, ALONE, true, true, false, 0 },
	[VERB_AUTH] = { auth_handle, HELLO, LAST, false, false, false,
			COMMAND_LINE_AUTH_MAX },
	[VERB_ETRN] = { etrn_handle, HELLO, LAST, false, false, false, 0 },
	[VERB_XCLIENT] = { xclient_handle, NOTHING, LAST, false, true, false, LONG },
};

/* ---- what verbs use */

uint64_t session_deadline(const struct session *s, uint64_t wait_ns)
{
	uint64_t at = loop_now() + wait_ns;

	return at < s->ends ? at : s->ends;
}

static uint64_t reply_deadline(const struct session *s)
{
	return session_deadline(s, s->listen->timeout_ns);
}

int session_say(struct session *s, struct str lines)
{
	return stream_write(s->stream, lines.p, lines.n, reply_deadline(s));
}

int session_say_all(struct session *s, const struct str *pieces, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = session_say(s, pieces[i]);
	return r;
}

int session_flush(struct session *s)
{
	return stream_flush(s->stream, reply_deadline(s));
}

void session_has_brought(struct session *s)
{
	s->messages++;
	s->idle_commands = s->deferrals = 0;
}

bool session_has_input(struct session *s)
{
	return stream_peek(s->stream).n || stream_fill_now(s->stream) > 0;
}

int session_end(struct session *s, const char *reason)
{
	s->reason = reason;
	return OVER;
}

int session_lost(struct session *s)
{
	s->silent = true;
	return session_end(s, "lost");
}

const struct config_clients *session_clients(const struct session *s)
{
	return s->listen->clients ? s->listen->clients : &s->config->clients;
}

bool session_is_strange(const struct session *s)
{
	return !s->client.is_local && !s->client.login.n && !s->client.certificate_verified &&
	       !s->client.has_popped;
}

bool session_has_tls(const struct session *s)
{
	return stream_tls(s->stream) != NULL;
}

bool session_lacks_tls(const struct session *s)
{
	return s->listen->tls == TLS_REQUIRED && !session_has_tls(s);
}

/* Any reply that is put together. The buffer is our own: writing may suspend. */
static int say_reply(struct session *s, const struct reply *reply) SUSPENDS
{
	struct buf text = BUF_INIT(2 * REPLY_TEXT_MAX);
	int r;

	reply_format(&text, reply);
	r = session_say(s, buf_str(&text));
	buf_done(&text);
	return r;
}

/* The null path would be left out of the log. */
static struct str sender_shown(const struct session *s)
{
	return s->transaction.sender.whole.n ? s->transaction.sender.whole : STR("<>");
}

static void log_refused(const struct session *s, const struct reply *reply)
{
	log_begin(LOG_REFUSED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_cstr("verb", s->verb ? verb_name(s->verb) : "unknown");
	log_str("args", str_sub(s->args, 0, ARGS_LOGGED));
	if (s->transaction.open)
		log_str("from", sender_shown(s));
	log_reply("reply", reply);
	log_end();
}

int session_dismiss(struct session *s, struct reply reply, const char *reason)
{
	int r;

	log_refused(s, &reply);
	if (s->silent)		/* nothing can be said: a handshake comes first */
		return session_end(s, reason);
	r = say_reply(s, &reply);
	return r < 0 ? r : session_end(s, reason);
}

int session_too_big(struct session *s)
{
	return session_dismiss(s, REPLY(421, 4, 3, 4, "Far too big, closing"), "too-big");
}

/* 0; 1: too many wait already; or it is over. */
static int tarpit(struct session *s) SUSPENDS
{
	_Atomic unsigned *waiting = &s->listening->tarpitted_n;
	const struct config_clients *c = session_clients(s);
	unsigned max = s->listen->connections_max / TARPIT_SHARE;
	int r = session_flush(s);

	if (r < 0)
		return r;
	if (atomic_fetch_add(waiting, 1) >= (max ? max : 1)) {
		atomic_fetch_sub(waiting, 1);
		return 1;
	}
	s->waiting = true;
	r = task_sleep_until(session_deadline(s, c->tarpit_ns));
	s->waiting = false;
	atomic_fetch_sub(waiting, 1);
	return r;
}

/* What is refused for now is no fault of the client's: it has a larger budget. */
static bool is_one_too_many(struct session *s, const struct reply *reply)
{
	if (reply_is_permanent(reply))
		return ++s->errors > s->listen->errors_max;
	return ++s->deferrals > DEFERRALS_MAX;
}

int session_refuse(struct session *s, struct reply reply)
{
	const struct reply enough = REPLY(421, 4, 7, 0, "Too many errors, closing");
	const struct config_clients *c = session_clients(s);
	int r = 0;

	if (is_one_too_many(s, &reply))
		return session_dismiss(s, enough, "errors");
	log_refused(s, &reply);
	if (c->tarpit_ns && s->errors > c->tarpit_after && !s->client.is_local)
		r = tarpit(s);
	if (r)
		return r < 0 ? r : session_dismiss(s, enough, "tarpit");
	/* RFC 2034 4: none in responses to HELO and EHLO. */
	if (s->verb == VERB_EHLO || s->verb == VERB_HELO)
		reply.enhanced.class = 0;
	return say_reply(s, &reply);
}

/* ---- commands */

static bool has_line(struct str in)
{
	return str_search(in, STR("\r\n")) >= 0;
}

/* A whole command is there, in the input buffer or in the socket. */
static bool line_waits(struct session *s)
{
	while (!has_line(stream_peek(s->stream)))
		if (stream_fill_now(s->stream) <= 0)
			return false;
	return true;
}

/*
 * 1: a line, without its CRLF, borrowed until the next read; -EMSGSIZE: one that was too long; else
 * it is over.
 */
static int next_line(struct session *s, struct str *ret) SUSPENDS
{
	int r;

	if (s->reception->stopping && !s->transaction.intake)
		return -ECANCELED;	/* before the flush: the farewell sends all */
	if (stream_unsent(s->stream) && !line_waits(s) && (r = session_flush(s)) < 0)
		return r;
	s->waiting = true;
	r = stream_line(s->stream, COMMAND_LINE_AUTH_MAX, reply_deadline(s), ret);
	s->waiting = false;
	if (r == 0)
		return session_lost(s);
	if (r == -ECONNABORTED)
		return session_dismiss(s, REPLY(421, 4, 7, 0, "Far too long, closing"), "flood");
	return r;
}

static int unknown(struct session *s) SUSPENDS
{
	if (s->verb == VERB_UNKNOWN)
		return session_refuse(s, REPLY(500, 5, 5, 2, "Unknown command"));
	return session_refuse(s, REPLY(502, 5, 5, 1, "Command not implemented"));
}

/* A browser that was talked into speaking to us; what follows is a stranger's text. */
static int cut_http(struct session *s) SUSPENDS
{
	return session_dismiss(s, REPLY(421, 4, 7, 0, "This is SMTP, not HTTP"), "http");
}

/* Input that is there already behind a command that ends its group. */
static int blind_input(struct session *s) SUSPENDS
{
	const struct reply injected = REPLY(554, 5, 5, 1, "Nothing may stand behind STARTTLS");
	int r;

	if (s->verb == VERB_STARTTLS)
		return session_dismiss(s, injected, "blind-input");
	r = session_refuse(s, REPLY(503, 5, 5, 1, "Wait for the reply before you send more"));

	return r < 0 || s->verb != VERB_DATA ? r : session_end(s, "blind-input");
}

static int out_of_order(struct session *s) SUSPENDS
{
	if (!s->helo.n)
		return session_refuse(s, REPLY(503, 5, 5, 1, "Say EHLO first"));
	return session_refuse(s, REPLY(503, 5, 5, 1, "Send MAIL first"));
}

int session_idles(struct session *s)
{
	if (++s->idle_commands <= s->listen->idle_commands_max)
		return 0;
	return session_dismiss(s, REPLY(421, 4, 7, 0, "Too many commands without a message"),
			       "idle");
}

static bool comes_too_early(const struct session *s, const struct row *row)
{
	return (row->needs >= HELLO && !s->helo.n) ||
	       (row->needs == TRANSACTION && !s->transaction.open);
}

static int dispatch(struct session *s, const struct row *row, size_t line_n,
		    struct str args) SUSPENDS
{
	int r;

	s->client_speaks |= s->named && s->verb != VERB_XCLIENT;
	if (line_n + 2 > (row->line_max ? row->line_max : COMMAND_LINE_MAX))
		return session_refuse(s, REPLY(500, 5, 5, 2, "Line too long"));
	if (row->idle && (r = session_idles(s)) < 0)
		return r;
	if (!row->plain && session_lacks_tls(s))
		return session_refuse(s, REPLY(530, 5, 7, 0, "Say STARTTLS first"));
	if (comes_too_early(s, row))
		return out_of_order(s);
	if (row->bare && args.n)
		return session_refuse(s, REPLY(501, 5, 5, 4, "This command takes no arguments"));
	if (s->verb == VERB_MAIL || s->verb == VERB_RCPT)
		s->args = args;		/* these two read nothing before they answer */
	return row->handle(s, args);
}

/* To look for input is a read call, which ends the life of the line: the arguments are copied. */
static int dispatch_alone(struct session *s, const struct row *row, size_t line_n,
			  struct str args) SUSPENDS
{
	char *copy = str_dup(args);
	int r;

	/* Where TLS is not offered nothing can be injected into it. */
	if (session_has_input(s) && (s->verb != VERB_STARTTLS || session_may_starttls(s)))
		r = blind_input(s);
	else
		r = dispatch(s, row, line_n, str_make(copy, args.n));
	mem_free(copy);
	return r;
}

static int command(struct session *s) SUSPENDS
{
	const struct row *row;
	struct str line, args;
	int r;

	s->args = STR_NONE;	/* borrowed from what the next read replaces */
	s->verb = VERB_UNKNOWN;
	if (s->commands % COMMANDS_PER_TURN == COMMANDS_PER_TURN - 1)
		task_yield();
	r = next_line(s, &line);
	s->commands += r == 1 || r == -EMSGSIZE;
	if (r == -EMSGSIZE)
		return session_refuse(s, REPLY(500, 5, 5, 2, "Line too long"));
	if (r < 0)
		return r;
	s->verb = command_verb(line, &args);
	if (s->verb == VERB_HTTP)
		return cut_http(s);
	if (s->verb >= sizeof(rows) / sizeof(rows[0]) || !rows[s->verb].handle)
		return unknown(s);
	row = &rows[s->verb];
	if (row->group == ALONE)
		return dispatch_alone(s, row, line.n, args);
	return dispatch(s, row, line.n, args);
}

/* ---- beginning and end */

void session_set_helo(struct session *s, struct str name)
{
	mem_free((char *)s->helo.p);
	s->helo = name.n ? str_make(mem_dup(name.p, name.n), name.n) : STR_NONE;
	s->client.helo = s->helo;
}

void session_set_login(struct session *s, struct str name)
{
	mem_free((char *)s->login.p);
	s->login = name.n ? str_make(mem_dup(name.p, name.n), name.n) : STR_NONE;
	s->client.login = s->login;
}

void session_forget(struct session *s)
{
	struct strangers *strangers = s->reception->receive->help.strangers;

	transaction_reset(s);
	session_set_helo(s, STR_NONE);
	session_set_login(s, STR_NONE);
	if (strangers)
		strangers_logged_out(strangers, &s->stranger);
	s->extended = false;
}

/* Sends what is left, with a last word where one is due, and closes so that it arrives. */
static void farewell(struct session *s, int error) SUSPENDS
{
	const struct reply stopping = REPLY(421, 4, 3, 2, "The relay is stopping, try again later");
	const struct reply late = REPLY(421, 4, 4, 2, "Timeout, closing");
	const struct reply *last = NULL;

	if (error == -ECANCELED) {
		last = &stopping;
		s->reason = "shutdown";
	} else if (error == -ETIMEDOUT) {
		last = &late;
		s->reason = "timeout";
	}
	if (s->silent || (error != OVER && !last))
		return;
	task_uncancel();
	s->ends = loop_now() + FAREWELL;
	if (last) {
		log_refused(s, last);
		say_reply(s, last);
	}
	/*
	 * The plain case: nothing unread is there that would make the kernel reset. TLS is ended in
	 * order, or the client must think that somebody cut our last words.
	 */
	if (s->verb == VERB_QUIT && !session_has_tls(s) && !session_has_input(s) &&
	    stream_flush(s->stream, s->ends) == 0)
		return;
	stream_linger(s->stream, s->ends);
}

static void log_disconnected(const struct session *s, int error)
{
	log_begin(LOG_DISCONNECTED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_str("helo", s->helo);
	log_str("login", s->login);
	log_cstr("reason", s->reason ? s->reason : "lost");
	if (!s->reason)
		log_errno("error", error);
	log_u64("messages", s->messages);
	log_u64("commands", s->commands);
	log_u64("errors", s->errors);
	log_u64("octets", s->octets);
	log_ms("ms", loop_now() - s->began);
	log_end();
}

static void session_free(struct session *s)
{
	struct reception *r = s->reception;
	struct listening *l = s->listening;

	session_forget(s);
	stream_free(s->stream);
	transcript_free(s->transcript);
	config_unref(s->config);
	list_remove(&s->in_reception);
	mem_free(s);
	service_leave(r, l);
}

static void session_main(void *arg)
{
	struct session *s = arg;
	int r;

	task_note(NULL, "receive");
	r = session_welcome(s);
	while (r >= 0)
		r = command(s);
	transaction_reset(s);
	farewell(s, r);
	log_disconnected(s, r);
	session_uncount(s);
	session_free(s);
}

const struct config_listen *session_settings(const struct config *c, const struct endpoint *e)
{
	for (unsigned i = 0; i < c->listens_n; i++)
		if (endpoint_eq(&c->listens[i].endpoint, e))
			return &c->listens[i];
	return NULL;
}

bool session_start(struct reception *r, struct listening *l, int fd, const struct endpoint *peer)
{
	struct config *config = config_current();
	const struct config_listen *listen = session_settings(config, &l->at.endpoint);
	struct session *s;

	if (!listen) {		/* the address has just left the configuration */
		config_unref(config);
		return false;
	}
	s = mem_zalloc(sizeof(*s));
	s->reception = r;
	s->listening = l;
	s->config = config;
	s->listen = listen;
	s->began = loop_now();
	s->ends = listen->session_max_ns ? s->began + listen->session_max_ns : NEVER;
	session_id_make(s->id);
	session_set_peer(s, peer);
	s->origin = s->client.ip;
	s->task = task_start(NULL, session_main, s, "session");
	if (!s->task) {
		config_unref(config);
		mem_free(s);
		return false;
	}
	s->stream = stream_new(fd, peer);
	s->transcript = transcript_start(config, &peer->ip, STR_NONE, s->id);
	if (s->transcript)
		stream_set_tap(s->stream, transcript_tap, s->transcript);
	list_push(&r->sessions, &s->in_reception);
	return true;
}

void session_stop(struct session *s)
{
	if (s->waiting && !s->transaction.intake)
		task_cancel(s->task);
}

void session_cut(struct session *s)
{
	task_cancel(s->task);
}
