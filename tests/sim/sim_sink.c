/*
 * sim_sink - a server of the simulated world that takes mail and tells the ledger what arrived.
 *
 * Not made of the relay's own code. What it answers to a recipient stands in the address; besides,
 * in the time of faults, it refuses for the moment, hangs up, or takes a message and hangs up
 * before it says so.
 */
#include "sim/internet.h"

#define RCPTS_MAX 64
#define IDLE_NS (300 * SECOND)
#define IN_MAX (8u << 20)

struct sink_session {
	struct end *end;
	struct buf in, content;
	size_t at;			/* in .in, of what was not handled yet */
	bool in_data, closed;
	size_t chunk;			/* octets of BDAT to come */
	bool in_chunk, chunk_last;
	bool mail;
	uint64_t began;
	char recipients[RCPTS_MAX][128];
	unsigned recipients_n;
	bool pipelines, chunks;
	/* ---- at a provider */
	struct group *group;		/* NULL: a host of nobody's */
	unsigned source;		/* where the relay comes from */
	char sender[128], domain[64];	/* of the transaction; the domain it came to last */
	unsigned messages;		/* transactions on this connection */
	unsigned named;			/* recipients of this one that limits_saw was told of */
	uint64_t progress;
};

static void leave(struct sink_session *s)
{
	if (s->closed)
		return;
	s->closed = true;
	end_close(s->end);
	if (!s->group)
		return;
	s->group->open[s->source]--;
	if (s->named && s->messages > 1)
		limits_cut(s->source, str_of(s->domain), s->named);
}

static void hang_up(struct sink_session *s)
{
	if (sim_chance(500))
		end_reset(s->end);
	leave(s);
}

static void reply(struct sink_session *s, const char *text)
{
	if (!s->closed)
		end_send(s->end, text, strlen(text));
}

/* What may happen at any command while faults last. True: that was it. */
static bool misbehaves(struct sink_session *s, bool after_mail)
{
	if (sim_fault(sim.faults.sink_drop)) {
		hang_up(s);
		return true;
	}
	if (sim_fault(sim.faults.sink_421)) {
		reply(s, "421 4.3.2 not now\r\n");
		leave(s);
		return true;
	}
	if (after_mail && sim_fault(sim.faults.sink_4xx)) {
		reply(s, "451 4.3.0 later, please\r\n");
		return true;
	}
	return false;
}

/* What a provider says; true: that was it. 421 ends the connection, so does silence. */
static bool says(struct sink_session *s, const char *text)
{
	if (!text)
		return false;
	reply(s, text);
	if (!*text)
		hang_up(s);
	else if (!strncmp(text, "421", 3) || (!strncmp(text, "554", 3) && !s->messages))
		leave(s);
	return true;
}

/* ---- a message is complete */

struct origin {
	unsigned letter, attempt, recipient;
	enum recipient_kind kind;
};

static bool origin_of(struct str address, struct origin *o)
{
	return ledger_parse(address, &o->letter, &o->attempt, &o->recipient, &o->kind);
}

static struct str line_after(struct str text, struct str key)
{
	ssize_t at = str_search(text, key);
	struct str rest = at < 0 ? STR_NONE : str_from(text, (size_t)at + key.n);
	ssize_t end = str_find(rest, '\r');

	return str_trim(end < 0 ? rest : str_sub(rest, 0, (size_t)end));
}

/* One delivery for each recipient that a notice is about. */
static void take_notice(struct delivery *d, struct str content)
{
	static const struct str key = { "Final-Recipient: rfc822;", 24 };
	struct str left = content;
	ssize_t at;

	d->is_notice = true;
	str_copy(d->id, sizeof(d->id), line_after(content, STR("Message-ID:")));
	while ((at = str_search(left, key)) >= 0) {
		struct str address = line_after(left, key);
		struct origin o;

		left = str_from(left, (size_t)at + key.n);
		if (!origin_of(address, &o)) {
			sim_fail("a notice about nobody: %.*s", (int)address.n, address.p);
			return;
		}
		d->letter = o.letter;
		d->attempt = o.attempt;
		d->recipient = o.recipient;
		d->delayed = str_eq_nocase(line_after(left, STR("Action:")), STR("delayed"));
		ledger_delivery(d, content);
	}
}

static void take(struct sink_session *s, uint64_t reply_end)
{
	struct delivery d = { .began = s->began, .accepted = sim.now, .relay = s->end->other,
			      .reply_end = reply_end };
	struct str content = buf_str(&s->content);

	for (unsigned i = 0; i < s->recipients_n; i++) {
		struct origin o;

		if (!origin_of(str_of(s->recipients[i]), &o)) {
			take_notice(&d, content);
			continue;
		}
		d.is_notice = false;
		d.letter = o.letter;
		d.attempt = o.attempt;
		d.recipient = o.recipient;
		ledger_delivery(&d, content);
	}
}

static void forget(struct sink_session *s)
{
	s->named = 0;
	s->mail = false;
	s->recipients_n = 0;
	buf_clear(&s->content);
}

static bool is_rejected(const struct sink_session *s)
{
	struct origin o;

	for (unsigned i = 0; i < s->recipients_n; i++)
		if (origin_of(str_of(s->recipients[i]), &o) && o.kind == KIND_REJ)
			return true;
	return false;
}

static void on_late_reply(struct event *ev)
{
	reply(ev->p, "250 2.0.0 at last\r\n");
}

static void complete(struct sink_session *s)
{
	static const char ok[] = "250 2.0.0 taken\r\n";
	unsigned slow_ms = s->group ? s->group->slow_reply_ms : 0;

	if (misbehaves(s, true)) {
		forget(s);
		return;
	}
	if (s->group && !is_rejected(s))
		s->group->took[s->source]++;
	if (is_rejected(s)) {
		reply(s, "554 5.7.1 not this\r\n");
	} else if (sim_fault(sim.faults.sink_drop)) {
		take(s, UINT64_MAX);
		sim_say("sink takes it and hangs up");
		hang_up(s);
	} else if (sim_fault(sim.faults.sink_4xx)) {
		take(s, s->end->sent + strlen("250 2.0.0 at last\r\n"));
		sim_at(sim.now + sim_between(1, 900) * SECOND, on_late_reply, s, 0);
	} else if (slow_ms) {
		take(s, s->end->sent + strlen("250 2.0.0 at last\r\n"));
		sim_at(sim.now + slow_ms * MILLISECOND, on_late_reply, s, 0);
	} else {
		take(s, s->end->sent + strlen(ok));
		reply(s, ok);
	}
	forget(s);
}

/* ---- commands */

/* Tells those who count what came. */
static void notice_recipient(struct sink_session *s, struct str address)
{
	struct str domain = str_from(address, (size_t)(str_rfind(address, '@') + 1));
	const struct domain *d = internet_domain(domain);
	bool is_first = !str_eq_nocase(domain, str_of(s->domain));

	if (d && d->group != s->group)
		sim_fail("mail for %s comes to %s", d->name, s->group->name);
	str_copy(s->domain, sizeof(s->domain), domain);
	s->named++;
	limits_saw(s->end->other->node, s->group, s->source, domain, is_first, s->messages - 1);
}

static void on_mail(struct sink_session *s, struct str line)
{
	ssize_t open = str_find(line, '<'), close = str_find(line, '>');

	forget(s);
	s->messages++;
	s->domain[0] = 0;
	str_copy(s->sender, sizeof(s->sender),
		 open < 0 || close < open ? STR_NONE
					  : str_sub(line, (size_t)open + 1, (size_t)close));
	if (s->group && says(s, provider_mail(s->group, s->source)))
		return;
	s->mail = true;
	s->began = sim.now;
	reply(s, "250 2.1.0 ok\r\n");
}

static void on_rcpt(struct sink_session *s, struct str line)
{
	ssize_t open = str_find(line, '<'), close = str_find(line, '>');
	struct str address;
	struct origin o;

	if (!s->mail || open < 0 || close < open || s->recipients_n == RCPTS_MAX) {
		reply(s, "503 5.5.1 no\r\n");
		return;
	}
	address = str_sub(line, (size_t)open + 1, (size_t)close);
	if (s->group)
		notice_recipient(s, address);
	if (misbehaves(s, true))
		return;
	if (s->group && provider_cuts(s->group)) {
		hang_up(s);
		return;
	}
	if (s->group &&
	    says(s, provider_rcpt(s->group, s->source, str_of(s->sender), address)))
		return;
	if (origin_of(address, &o) && o.kind == KIND_BAD) {
		reply(s, "550 5.1.1 no such person\r\n");
	} else if (origin_of(address, &o) && o.kind == KIND_TMP) {
		reply(s, "450 4.2.1 not for years\r\n");
	} else {
		str_copy(s->recipients[s->recipients_n++], 128, address);
		reply(s, "250 2.1.5 ok\r\n");
	}
}

static void on_bdat(struct sink_session *s, struct str line)
{
	struct str rest = str_from(line, 5), word = str_word(&rest);
	uint64_t n = 0;

	if (!str_parse_u64(word, IN_MAX, &n))
		sim_fail("BDAT without a number: %.*s", (int)line.n, line.p);
	s->chunk = (size_t)n;
	s->chunk_last = str_eq_nocase(str_word(&rest), STR("LAST"));
	s->in_chunk = true;
}

static void on_ehlo(struct sink_session *s)
{
	char text[256];

	s->pipelines = sim_chance(700);
	s->chunks = sim_chance(300);
	snprintf(text, sizeof(text),
		 "250-sink.example\r\n250-8BITMIME\r\n%s%s250 SIZE 10000000\r\n",
		 s->pipelines ? "250-PIPELINING\r\n" : "", s->chunks ? "250-CHUNKING\r\n" : "");
	reply(s, text);
}

static void on_command(struct sink_session *s, struct str line)
{
	if (str_starts_nocase(line, STR("RCPT"))) {
		on_rcpt(s, line);
	} else if (str_starts_nocase(line, STR("BDAT"))) {
		on_bdat(s, line);
	} else if (str_starts_nocase(line, STR("QUIT"))) {
		reply(s, "221 2.0.0 bye\r\n");
		leave(s);
	} else if (str_starts_nocase(line, STR("RSET")) || str_starts_nocase(line, STR("NOOP"))) {
		if (str_starts_nocase(line, STR("RSET")))
			forget(s);
		reply(s, "250 2.0.0 ok\r\n");
	} else if (misbehaves(s, str_starts_nocase(line, STR("MAIL")))) {
		return;
	} else if (str_starts_nocase(line, STR("EHLO")) || str_starts_nocase(line, STR("HELO"))) {
		on_ehlo(s);
	} else if (str_starts_nocase(line, STR("MAIL"))) {
		on_mail(s, line);
	} else if (str_starts_nocase(line, STR("DATA"))) {
		s->in_data = s->recipients_n;
		reply(s, s->in_data ? "354 go on\r\n" : "554 5.5.1 no valid recipients\r\n");
	} else {
		sim_fail("a sink does not understand %.*s", (int)line.n, line.p);
	}
}

/* A line with its CRLF; STR_NONE: there is none yet. */
static struct str take_line(struct sink_session *s)
{
	struct str left = str_from(buf_str(&s->in), s->at);
	ssize_t lf = str_find(left, '\n');

	if (lf < 0)
		return STR_NONE;
	s->at += (size_t)lf + 1;
	return str_sub(left, 0, (size_t)lf + 1);
}

static bool handle_line(struct sink_session *s)
{
	struct str line = take_line(s);

	if (!line.n)
		return false;
	/* A turned bit in a content file shows at its end: then the message is not finished. */
	if ((line.n < 2 || line.p[line.n - 2] != '\r') && !sim.flips_done)
		sim_fail("D7: the relay sends a bare LF");
	if (!s->in_data) {
		on_command(s, str_sub(line, 0, line.n < 2 ? 0 : line.n - 2));
	} else if (str_eq(line, STR(".\r\n"))) {
		s->in_data = false;
		complete(s);
	} else {
		buf_add_str(&s->content, str_from(line, line.p[0] == '.'));
	}
	return true;
}

static bool handle_chunk(struct sink_session *s)
{
	size_t left = s->in.n - s->at, n = left < s->chunk ? left : s->chunk;

	if (n)
		buf_add(&s->content, s->in.p + s->at, n);
	s->at += n;
	s->chunk -= n;
	if (s->chunk)
		return false;
	s->in_chunk = false;
	if (!s->recipients_n)
		reply(s, "503 5.5.1 no valid recipients\r\n");
	else if (s->chunk_last)
		complete(s);
	else
		reply(s, "250 2.0.0 go on\r\n");
	return true;
}

static void on_ready(struct end *e)
{
	struct sink_session *s = e->arg;
	char piece[4096];
	size_t n;

	s->progress = sim.now;
	while ((n = end_read(e, piece, sizeof(piece))))
		buf_add(&s->in, piece, n);
	while (!s->closed && (s->in_chunk ? handle_chunk(s) : handle_line(s)))
		;
	if (s->at > 65536 || s->at == s->in.n) {
		buf_consume(&s->in, s->at);
		s->at = 0;
	}
	if (e->ended || e->reset)
		leave(s);
}

/* Who says nothing for long is gone: what it held of the provider's limits is free again. */
static void on_idle(struct event *ev)
{
	struct sink_session *s = ev->p;

	if (s->closed)
		return;
	if (sim.now - s->progress >= IDLE_NS)
		leave(s);
	else
		sim_at(s->progress + IDLE_NS, on_idle, s, 0);
}

static void on_accepted(struct end *e, void *arg)
{
	struct sink_session *s = mem_zalloc(sizeof(*s));

	(void)arg;
	s->end = e;
	s->in = s->content = BUF_INIT(IN_MAX);
	e->ready = on_ready;
	e->arg = s;
	s->group = internet_group(&e->at);
	s->source = internet_source(&e->other->at.ip);
	s->progress = sim.now;
	if (s->group) {
		s->group->open[s->source]++;
		sim_at(sim.now + IDLE_NS, on_idle, s, 0);
		if (says(s, provider_greets(s->group, s->source)))
			return;
	}
	if (!misbehaves(s, false))
		reply(s, sim_fault(sim.faults.sink_4xx) ? "554 5.3.2 no\r\n"
							: "220 sink.example\r\n");
}

struct port *sink_new(const char *at)
{
	struct endpoint e = endpoint_of(at);
	struct port *p = port_new(&e);

	p->accepted = on_accepted;
	return p;
}

static void on_trapped(struct end *e, void *arg)
{
	(void)arg;
	sim_fail("%s connects to a host that it must not use", e->other->node->name);
}

void sink_trap(const char *at)
{
	sink_new(at)->accepted = on_trapped;
}
