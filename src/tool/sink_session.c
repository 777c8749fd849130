/*
 * sink_session - one connection to the sink; see sink.h.
 *
 * Made to cost little, as it is there when others are measured: replies gather while commands are
 * in the buffer and leave in one write; content is scanned as a relay scans it (smtp/data.h), and
 * copied only where a digest or a file is wanted. What it accepts is what the parsers accept;
 * otherwise it answers as a relay would.
 */
#include "tool/sink.h"

#include "base/mem.h"
#include "smtp/data.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define TIMEOUT_S 300
#define RECIPIENTS_TEXT_MAX (1024 * 1024)
#define STORED_MAX (UINT64_C(1) << 30)
#define LINGER_S 2

struct session {
	struct sink_worker *worker;
	struct sink *sink;
	struct stream *stream;
	int fd;
	struct endpoint peer;
	bool greeted, has_mail;
	bool smtputf8;
	unsigned recipients_n;
	uint64_t octets;		/* of content so far */
	bool in_chunks;			/* a BDAT came in this transaction */
	unsigned messages;		/* taken on this connection */
	enum sink_stage cut_at;		/* SINK_STAGES: nowhere */
	struct watch_visit visit;
	bool has_left;			/* is not counted any more */
	int64_t mail_ms;		/* wall clock; 0: no transaction */
	unsigned code;			/* of the last reply that decided something in it */
	struct buf sender;		/* owned */
	struct buf recipients;		/* owned; comma between */
	struct buf stored;		/* owned; content for the file */
	struct buf envelope;		/* owned; MAIL and RCPT for the file */
	struct digest digest;
};

/* What a step of the session returns beside -errno. */
enum { GO_ON = 0, HANG_UP = 1 };

static uint64_t deadline(void)
{
	return in_seconds(TIMEOUT_S);
}

/* What is said takes its time to get there; what is said together takes it once. */
static int flush(struct session *t) SUSPENDS
{
	uint64_t latency = t->sink->settings.latency_ns;
	int r;

	if (!stream_unsent(t->stream))
		return 0;
	if (latency && (r = task_sleep_until(loop_now() + latency)) < 0)
		return r;
	return stream_flush(t->stream, deadline());
}

static int say(struct session *t, struct str line) SUSPENDS
{
	return stream_write(t->stream, line.p, line.n, deadline());
}

static int say_reply(struct session *t, const struct reply *r) SUSPENDS
{
	struct buf out = BUF_INIT(REPLY_LINE_MAX * 4);
	struct reply without = *r;
	int result;

	if (!(t->sink->settings.offers & OFFER_ENHANCED))
		without.enhanced.class = 0;
	reply_format(&out, &without);
	result = say(t, buf_str(&out));
	buf_done(&out);
	return result;
}

static uint32_t draw_million(struct sink_worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)((w->random >> 32) * 1000000 >> 32);
}

/* Waits and fails as told for the stage. *ret_reply: what to answer instead of yes; code 0:
 * nothing. */
static int act(struct session *t, enum sink_stage stage, struct reply *ret_reply) SUSPENDS
{
	const struct sink_settings *o = &t->sink->settings;

	*ret_reply = (struct reply){ 0 };
	if (o->delay_ns[stage]) {
		int r = flush(t);

		if (r < 0 || (r = task_sleep_until(loop_now() + o->delay_ns[stage])) < 0)
			return r;
	}
	if (o->cut[stage] || stage == t->cut_at) {
		atomic_fetch_add_explicit(&t->sink->cut, 1, memory_order_relaxed);
		return -ECONNABORTED;
	}
	for (unsigned i = 0; i < o->replies_n; i++) {
		if (o->replies[i].stage != stage || draw_million(t->worker) >= o->replies[i].share)
			continue;
		*ret_reply = o->replies[i].reply;
		atomic_fetch_add_explicit(&t->sink->refused, 1, memory_order_relaxed);
		break;
	}
	return 0;
}

/* act, then the reply told, or the one given. *ret_yes: it was the given one (or the told one is
 * positive). */
static int answer(struct session *t, enum sink_stage stage, struct str yes, bool *ret_yes) SUSPENDS
{
	struct reply told;
	int r = act(t, stage, &told);

	if (r < 0)
		return r;
	*ret_yes = !told.code || reply_is_positive(&told);
	if (!*ret_yes)
		t->code = told.code;
	if (!told.code)
		return say(t, yes);
	if ((r = say_reply(t, &told)) < 0)
		return r;
	return told.code == 421 ? HANG_UP : GO_ON;
}

static void journal(struct session *t)
{
	const struct watch_line line = {
		.mail_ms = t->mail_ms,
		.code = t->code,
		.sender = buf_str(&t->sender),
		.recipients = buf_str(&t->recipients),
		.octets = t->octets,
	};

	if (t->mail_ms && t->sink->settings.watch)
		watch_journal(t->sink->settings.watch, &t->visit, &line);
	t->mail_ms = 0;
	t->code = 0;
}

static void reset(struct session *t)
{
	journal(t);
	t->has_mail = t->in_chunks = t->smtputf8 = false;
	t->recipients_n = 0;
	t->octets = 0;
	buf_clear(&t->sender);
	buf_clear(&t->recipients);
	buf_clear(&t->stored);
	buf_clear(&t->envelope);
	if (t->sink->settings.wants_digest)
		digest_reset(&t->digest);
}

/* ---- envelope */

static int on_hello(struct session *t, enum verb verb) SUSPENDS
{
	const struct sink_settings *o = &t->sink->settings;
	bool yes;
	int r;

	reset(t);
	if ((verb == VERB_LHLO) != o->lmtp || (verb == VERB_EHLO && !(o->offers & OFFER_EHLO)))
		return say(t, STR("500 5.5.1 not this one\r\n"));
	if (verb == VERB_HELO)
		r = answer(t, SINK_EHLO, STR("250 sink\r\n"), &yes);
	else
		r = answer(t, SINK_EHLO, buf_str(&t->sink->hello), &yes);
	t->greeted = r == GO_ON && yes;
	return r;
}

static bool keeps_names(const struct session *t)
{
	const struct sink_settings *o = &t->sink->settings;

	return o->accepted || o->store || o->lmtp || o->watch || o->guard;
}

static void keep_line(struct session *t, const char *verb, struct str args)
{
	if (!t->sink->settings.store)
		return;
	buf_add_str(&t->envelope, str_of(verb));
	buf_add_byte(&t->envelope, ' ');
	buf_add_str(&t->envelope, args);
	buf_add_byte(&t->envelope, '\n');
}

/* As the guard says. */
static int refuse(struct session *t, const struct reply *told) SUSPENDS
{
	int r;

	atomic_fetch_add_explicit(&t->sink->refused, 1, memory_order_relaxed);
	t->code = told->code;
	if (!told->code)
		return -ECONNABORTED;
	if ((r = say_reply(t, told)) < 0)
		return r;
	return told->code == 421 ? HANG_UP : GO_ON;
}

static int on_mail(struct session *t, struct str args) SUSPENDS
{
	struct mail_command mail;
	struct reply bad;
	bool yes;
	int r;

	if (!t->greeted || t->has_mail)
		return say(t, STR("503 5.5.1 not now\r\n"));
	if (!mail_parse(args, t->sink->settings.offers, &mail, &bad))
		return say_reply(t, &bad);
	if (keeps_names(t)) {
		buf_add_str(&t->sender, mail.sender.whole);
		keep_line(t, "MAIL", args);
	}
	t->smtputf8 = mail.smtputf8;
	if (t->sink->settings.watch) {
		t->mail_ms = world_self()->wall_ms(world_self());
		watch_mail(t->sink->settings.watch, &t->visit, stage_now());
	}
	if (t->sink->settings.guard &&
	    !guard_mail(t->sink->settings.guard, &t->peer.ip, t->messages, stage_now(), &bad)) {
		r = refuse(t, &bad);
		reset(t);
		return r;
	}
	r = answer(t, SINK_MAIL, STR("250 2.1.0 ok\r\n"), &yes);
	if (r == GO_ON && yes)
		t->has_mail = true;
	else
		reset(t);
	return r;
}

static int on_rcpt(struct session *t, struct str args) SUSPENDS
{
	size_t before = t->recipients.n, envelope_before = t->envelope.n;
	struct rcpt_command rcpt;
	struct reply bad;
	bool yes;
	int r;

	if (!t->has_mail || t->in_chunks)
		return say(t, STR("503 5.5.1 MAIL first\r\n"));
	if (!rcpt_parse(args, t->sink->settings.offers, t->smtputf8, &rcpt, &bad))
		return say_reply(t, &bad);
	if (keeps_names(t)) {
		if (t->recipients_n)
			buf_add_byte(&t->recipients, ',');
		buf_add_str(&t->recipients, rcpt.recipient.whole);
		keep_line(t, "RCPT", args);
	}
	if (t->sink->settings.watch)
		watch_rcpt(t->sink->settings.watch, &t->visit, rcpt.recipient.domain, !before,
			   stage_now());
	yes = !t->sink->settings.guard ||
	      guard_rcpt(t->sink->settings.guard, &t->peer.ip, buf_str(&t->sender),
			 rcpt.recipient.whole, stage_now(), &bad);
	r = yes ? answer(t, SINK_RCPT, STR("250 2.1.5 ok\r\n"), &yes) : refuse(t, &bad);
	if (r == GO_ON && yes) {
		t->recipients_n++;
	} else {
		t->recipients.n = before;
		t->envelope.n = envelope_before;
	}
	return r;
}

/* ---- the end of content */

static void write_file(const char *folder, uint64_t number, const char *suffix, struct str s)
{
	struct buf path = BUF_INIT(4096);
	int fd;

	buf_printf(&path, "%s/%06llu.%s", folder, (unsigned long long)number, suffix);
	fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	while (fd >= 0 && s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0)
			break;
		s = str_from(s, (size_t)n);
	}
	if (fd < 0 || s.n)
		fprintf(stderr, "relevo: %s: %s\n", buf_cstr(&path), strerror(errno));
	if (fd >= 0)
		close(fd);
	buf_done(&path);
}

static void accepted(struct session *t, struct str recipients, unsigned recipients_n)
{
	struct sink *s = t->sink;
	const struct sink_message m = {
		.line = {
			.id = str_of(t->digest.id),
			.sender = buf_str(&t->sender),
			.recipients = recipients,
			.size = s->settings.wants_digest ? t->digest.size : t->octets,
			.crc = t->digest.crc,
		},
		.recipients_n = recipients_n,
	};

	if (s->settings.store) {
		uint64_t number =
			atomic_fetch_add_explicit(&s->stored, 1, memory_order_relaxed) + 1;

		write_file(s->settings.store, number, "env", buf_str(&t->envelope));
		write_file(s->settings.store, number, "eml", buf_str(&t->stored));
	}
	if (s->settings.accepted)
		s->settings.accepted(s->settings.arg, &m);
}

static void count(struct session *t, unsigned recipients_n)
{
	struct sink *s = t->sink;

	atomic_fetch_add_explicit(&s->messages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->recipients, recipients_n, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->octets, t->octets, memory_order_relaxed);
	t->messages++;
	t->code = 250;
	if (s->settings.watch)
		watch_message(s->settings.watch, &t->visit, recipients_n, t->octets);
}

static int flush_first(struct session *t) SUSPENDS
{
	return t->sink->settings.flush_first ? flush(t) : 0;
}

/* One reply for each recipient that was accepted (RFC 2033 4.2); each is drawn for itself. */
static int end_lmtp(struct session *t) SUSPENDS
{
	struct buf kept = BUF_INIT(RECIPIENTS_TEXT_MAX);
	struct str rest = buf_str(&t->recipients);
	unsigned kept_n = 0;
	int r = GO_ON;

	while (r == GO_ON && rest.n) {
		ssize_t comma = str_find(rest, ',');
		struct str address = comma < 0 ? rest : str_sub(rest, 0, (size_t)comma);
		bool yes;

		rest = str_from(rest, address.n + 1);
		r = answer(t, SINK_END, STR("250 2.1.5 delivered\r\n"), &yes);
		if (r != GO_ON || !yes)
			continue;
		if (kept_n++)
			buf_add_byte(&kept, ',');
		buf_add_str(&kept, address);
	}
	if (kept_n) {
		accepted(t, buf_str(&kept), kept_n);
		r = r == GO_ON ? flush_first(t) : r;
		count(t, kept_n);
	}
	buf_done(&kept);
	return r;
}

static int end_message(struct session *t) SUSPENDS
{
	bool yes;
	int r;

	if (t->sink->settings.wants_digest)
		digest_end(&t->digest);
	if (t->sink->settings.lmtp) {
		r = end_lmtp(t);
	} else {
		r = answer(t, SINK_END, STR("250 2.0.0 taken\r\n"), &yes);
		if (r >= 0 && yes) {
			accepted(t, buf_str(&t->recipients), t->recipients_n);
			r = r == GO_ON ? flush_first(t) : r;
			count(t, t->recipients_n);
		}
	}
	reset(t);
	return r;
}

/* ---- content */

static void take(struct session *t, struct str content, struct str wire)
{
	const struct sink_settings *o = &t->sink->settings;

	t->octets += content.n;
	if (o->wants_digest)
		digest_feed(&t->digest, content);
	if (o->store)
		buf_add_str(&t->stored, o->store_raw ? wire : content);
}

/* What is in the buffer, or else what comes next. */
static int more_input(struct session *t, struct str *ret) SUSPENDS
{
	*ret = stream_peek(t->stream);
	while (!ret->n) {
		ssize_t r = stream_fill(t->stream, deadline());

		if (r == 0)
			return -ECONNRESET;
		if (r < 0)
			return (int)r;
		*ret = stream_peek(t->stream);
	}
	return 0;
}

static int on_data(struct session *t) SUSPENDS
{
	struct data_reader reader = { 0 };
	struct reply told;
	int r;

	if (!t->recipients_n || t->in_chunks)
		return say(t, t->has_mail ? STR("554 5.5.1 no valid recipients\r\n")
					  : STR("503 5.5.1 not now\r\n"));
	r = act(t, SINK_DATA, &told);
	if (r < 0)
		return r;
	if (told.code) {
		r = say_reply(t, &told);
		t->code = told.code;
		reset(t);
		return r < 0 ? r : told.code == 421;
	}
	if ((r = say(t, STR("354 go ahead\r\n"))) < 0 || (r = flush(t)) < 0)
		return r;
	while (!reader.done) {
		struct str in;
		size_t used, written;

		if ((r = more_input(t, &in)) < 0)
			return r;
		used = data_read(&reader, in.p, in.n, t->worker->scratch, &written);
		take(t, str_make(t->worker->scratch, written), str_sub(in, 0, used));
		stream_consume(t->stream, used);
	}
	return end_message(t);
}

static int read_chunk(struct session *t, uint64_t size, bool keep) SUSPENDS
{
	while (size) {
		struct str in;
		int r = more_input(t, &in);

		if (r < 0)
			return r;
		in = str_sub(in, 0, size < in.n ? size : in.n);
		if (keep)
			take(t, in, in);
		stream_consume(t->stream, in.n);
		size -= in.n;
	}
	return 0;
}

static int on_bdat(struct session *t, struct str args) SUSPENDS
{
	struct reply told = { 0 };
	uint64_t size;
	bool last;
	int r;

	if (!(t->sink->settings.offers & OFFER_CHUNKING) || !bdat_parse(args, &size, &last))
		return say(t, STR("501 5.5.4 BDAT SIZE [LAST]\r\n"));
	if (t->recipients_n && !t->in_chunks && (r = act(t, SINK_DATA, &told)) < 0)
		return r;
	if ((r = read_chunk(t, size, t->recipients_n && !told.code)) < 0)
		return r;
	if (!t->recipients_n)
		return say(t, STR("503 5.5.1 not now\r\n"));
	if (told.code) {
		t->code = told.code;
		reset(t);
		return say_reply(t, &told);
	}
	t->in_chunks = true;
	return last ? end_message(t) : say(t, STR("250 2.0.0 chunk\r\n"));
}

/* ---- the session */

static int on_quit(struct session *t) SUSPENDS
{
	int r = say(t, STR("221 2.0.0 bye\r\n"));

	return r < 0 ? r : HANG_UP;
}

static int on_line(struct session *t, struct str line) SUSPENDS
{
	struct str args;
	enum verb verb = command_verb(line, &args);

	switch (verb) {
	case VERB_EHLO:
	case VERB_HELO:
	case VERB_LHLO:
		return on_hello(t, verb);
	case VERB_MAIL:
		return on_mail(t, args);
	case VERB_RCPT:
		return on_rcpt(t, args);
	case VERB_DATA:
		return on_data(t);
	case VERB_BDAT:
		return on_bdat(t, args);
	case VERB_RSET:
		reset(t);
		return say(t, STR("250 2.0.0 ok\r\n"));
	case VERB_NOOP:
		return say(t, STR("250 2.0.0 ok\r\n"));
	case VERB_QUIT:
		return on_quit(t);
	default:
		return say(t, STR("502 5.5.1 not known here\r\n"));
	}
}

/* Replies wait while another command is there already. */
static int flush_if_idle(struct session *t) SUSPENDS
{
	struct str in = stream_peek(t->stream);

	if (!stream_unsent(t->stream) || (in.n && str_find(in, '\n') >= 0))
		return 0;
	return flush(t);
}

static int greet(struct session *t) SUSPENDS
{
	struct reply no;
	bool yes;
	int r;

	if (t->sink->settings.guard && !guard_connect(t->sink->settings.guard, &t->peer.ip, &no)) {
		r = refuse(t, &no);
		return r == GO_ON ? HANG_UP : r;
	}
	r = answer(t, SINK_CONNECT,
		   t->sink->settings.lmtp ? STR("220 sink LMTP\r\n") : STR("220 sink ESMTP\r\n"),
		   &yes);
	return r == GO_ON && !yes ? HANG_UP : r;
}

/*
 * Not counted any more. Before our side is shut down: who sees that may open the next connection at
 * once, and that is not one too many.
 */
static void leave(struct session *t)
{
	const struct sink_settings *o = &t->sink->settings;

	if (t->has_left)
		return;
	t->has_left = true;
	if (o->watch)
		watch_disconnect(o->watch, &t->visit);
	if (o->guard)
		guard_disconnect(o->guard, &t->peer.ip);
}

static int converse(struct session *t) SUSPENDS
{
	int r = greet(t);

	while (r == GO_ON) {
		struct str line;

		if ((r = flush_if_idle(t)) < 0)
			return r;
		r = stream_line(t->stream, COMMAND_LINE_EXTENDED_MAX, deadline(), &line);
		if (r == 0)
			return -ECONNRESET;
		if (r == -EMSGSIZE)
			r = say(t, STR("500 5.5.2 line too long\r\n"));
		else if (r > 0)
			r = on_line(t, line);
	}
	if (r == HANG_UP) {
		leave(t);
		stream_linger(t->stream, in_seconds(LINGER_S));
	}
	return r;
}

static void session_task(void *arg)
{
	struct session *t = arg;
	const struct sink_settings *o = &t->sink->settings;
	struct endpoint local = { 0 };

	t->stream = stream_new(t->fd, &t->peer);
	digest_init(&t->digest);
	t->visit.client = t->peer.ip;
	if (o->watch && stream_local(t->stream, &local) == 0)
		t->visit.host = local.ip;
	if (o->watch)
		watch_connect(o->watch, &t->visit);
	t->cut_at = SINK_STAGES;
	if (o->cut_share && draw_million(t->worker) < o->cut_share)
		t->cut_at = draw_million(t->worker) % SINK_STAGES;
	converse(t);
	journal(t);
	leave(t);
	stream_free(t->stream);
	digest_done(&t->digest);
	buf_done(&t->sender);
	buf_done(&t->recipients);
	buf_done(&t->stored);
	buf_done(&t->envelope);
	mem_free(t);
}

void sink_session_start(struct sink_worker *w, int fd, const struct endpoint *peer)
{
	struct session *t = mem_zalloc(sizeof(*t));

	t->worker = w;
	t->sink = w->sink;
	t->fd = fd;
	t->peer = *peer;
	t->peer.path = NULL;
	buf_init(&t->sender, ADDRESS_PATH_MAX * 4);
	buf_init(&t->recipients, RECIPIENTS_TEXT_MAX);
	buf_init(&t->stored, STORED_MAX);
	buf_init(&t->envelope, RECIPIENTS_TEXT_MAX * 2);
	atomic_fetch_add_explicit(&w->sink->connections, 1, memory_order_relaxed);
	if (task_start(&w->sessions, session_task, t, "sink"))
		return;
	world_self()->sock_close(world_self(), fd);
	mem_free(t);
}
