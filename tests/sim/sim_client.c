/*
 * sim_client - a client of the simulated world: hands letters in by SMTP, keeps what it was told.
 *
 * Not made of the relay's own code, so that both cannot be wrong in the same way. A session is a
 * list of steps; those that may be pipelined are sent ahead, if this session pipelines. A letter
 * that was not acknowledged is tried again later as a new attempt, with new addresses, until it is.
 */
#include "sim/sim.h"

#define LETTERS_MAX 64
#define STEPS_MAX 24
#define LINE_MAX 2048
#define PATIENCE (700 * SECOND)

enum step { GREETING, EHLO, MAIL, RCPT, DATA, CONTENT, CHUNK, QUIT };

struct client {
	unsigned number;
	struct endpoint from, to;
	struct letter *letters[LETTERS_MAX];
	uint64_t ready_at[LETTERS_MAX];
	unsigned letters_n;
	/* ---- the session */
	struct end *end;		/* NULL: none */
	uint64_t session, progress;
	bool pipelines, chunks, refused;
	enum step steps[STEPS_MAX];
	unsigned steps_n, sent, answered, recipient;
	char line[LINE_MAX];
	size_t line_n;
	struct letter *letter;		/* being sent; NULL: none */
	struct attempt *attempt;
	size_t chunk_at;
};

static void on_wake(struct event *ev);
static void on_ready(struct end *e);

/* ---- letters */

static void add_line(struct buf *b, bool eightbit)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ .,=-0123";
	size_t n = sim_chance(20) ? (size_t)sim_between(500, 990) : (size_t)sim_below(78);

	if (sim_chance(60))
		buf_add_lit(b, ".");
	if (sim_chance(20))
		buf_add_lit(b, "From ");
	for (size_t i = 0; i < n; i++)
		buf_add_byte(b, eightbit && i % 7 == 3 ? (char)(0x80 + i % 100)
						       : letters[sim_below(sizeof(letters) - 1)]);
	buf_add_lit(b, "\r\n");
}

static void make_content(struct attempt *a, const struct letter *l)
{
	struct buf *b = &a->content;

	*b = BUF_INIT(4u << 20);
	buf_printf(b, "X-Sim: %u.%u\r\nSubject: letter %u\r\n\r\n", l->number, l->attempts_n,
		   l->number);
	while (b->n < l->size && b->n < 20000)
		add_line(b, l->eightbit);
	while (b->n < l->size)		/* large ones repeat themselves: chance costs time */
		buf_printf(b, "..%zu The quick brown fox jumps over the lazy dog.\r\n", b->n);
	if (l->bare)
		buf_add_lit(b, "a line that ends in LF alone\nand one that does not\r\n");
}

/* ---- sending */

static void say(struct client *c, const char *text)
{
	end_send(c->end, text, strlen(text));
}

static void send_content(struct client *c)
{
	struct str left = buf_str(&c->attempt->content);
	struct buf out = BUF_INIT(8u << 20);

	while (left.n) {
		ssize_t lf = str_find(left, '\n');
		size_t n = lf < 0 ? left.n : (size_t)lf + 1;

		if (left.p[0] == '.')
			buf_add_lit(&out, ".");
		buf_add(&out, left.p, n);
		left = str_from(left, n);
	}
	buf_add_lit(&out, ".\r\n");
	end_send(c->end, out.p, out.n);
	c->attempt->dot_at = c->end->sent;
	buf_done(&out);
}

static void send_chunk(struct client *c)
{
	struct str left = str_from(buf_str(&c->attempt->content), c->chunk_at);
	bool last = c->sent + 1 == c->steps_n;
	size_t n = last ? left.n : left.n / 2;
	char text[64];

	snprintf(text, sizeof(text), "BDAT %zu%s\r\n", n, last ? " LAST" : "");
	say(c, text);
	end_send(c->end, left.p, n);
	c->chunk_at += n;
	if (last)
		c->attempt->dot_at = c->end->sent;
}

static void send_step(struct client *c, enum step step)
{
	char text[256], address[128];

	switch (step) {
	case GREETING:
		break;
	case EHLO:
		say(c, "EHLO client.example\r\n");
		break;
	case MAIL:
		if (c->letter->null_sender)
			snprintf(address, sizeof(address), "%s", "");
		else
			snprintf(address, sizeof(address), "sender.%u@home.example", c->number);
		snprintf(text, sizeof(text), "MAIL FROM:<%s>%s\r\n", address,
			 c->letter->eightbit ? " BODY=8BITMIME" : "");
		say(c, text);
		break;
	case RCPT:
		ledger_recipient(address, sizeof(address), c->letter, c->letter->attempts_n - 1,
				 c->recipient++);
		snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", address);
		say(c, text);
		break;
	case DATA:
		say(c, "DATA\r\n");
		break;
	case CONTENT:
		send_content(c);
		break;
	case CHUNK:
		send_chunk(c);
		break;
	case QUIT:
		say(c, "QUIT\r\n");
		break;
	}
}

static bool may_send(const struct client *c)
{
	enum step next = c->steps[c->sent], before = c->steps[c->sent - 1];

	if (c->sent == c->answered)
		return true;
	if (!c->pipelines || before == EHLO || before == DATA)
		return false;
	return next == RCPT || next == DATA || (next == CHUNK && before == CHUNK);
}

static void send_more(struct client *c)
{
	while (c->end && c->sent < c->steps_n && may_send(c)) {
		send_step(c, c->steps[c->sent]);
		c->sent++;
	}
}

static void add_step(struct client *c, enum step s)
{
	assert(c->steps_n < STEPS_MAX);
	c->steps[c->steps_n++] = s;
}

/* ---- sessions */

static void wake_at(struct client *c, uint64_t at)
{
	sim_at(at, on_wake, c, 0);
}

/* Who is refused again and again becomes patient. */
static uint64_t pause_ns(const struct client *c)
{
	bool often = c->letter && c->letter->attempts_n > 50;

	return sim_between(100, often ? 600000 : 20000) * MILLISECOND;
}

static void session_over(struct client *c)
{
	uint64_t pause = pause_ns(c);

	if (!c->end)
		return;
	if (c->attempt && c->attempt->state == ATTEMPT_UNSENT && c->attempt->dot_at)
		c->attempt->state = ATTEMPT_UNKNOWN;
	end_close(c->end);
	c->end = NULL;
	c->letter = NULL;
	c->attempt = NULL;
	c->session++;
	wake_at(c, sim.now + pause);
}

static struct letter *next_letter(struct client *c)
{
	for (unsigned i = 0; i < c->letters_n; i++)
		if (!c->letters[i]->done && c->ready_at[i] <= sim.now &&
		    c->letters[i]->attempts_n < ATTEMPTS_MAX)
			return c->letters[i];
	return NULL;
}

static void begin_letter(struct client *c)
{
	struct letter *l = next_letter(c);
	struct attempt *a;

	if (!l || sim_chance(150)) {
		add_step(c, QUIT);
		return;
	}
	a = mem_zalloc(sizeof(*a));
	make_content(a, l);
	a->end = c->end;
	a->began = sim.now;
	l->attempts[l->attempts_n++] = a;
	c->letter = l;
	c->attempt = a;
	c->steps_n = c->sent = c->answered = c->recipient = 0;
	c->chunk_at = 0;
	c->refused = false;
	/* The first one is allowed to go: everything before was answered. */
	add_step(c, MAIL);
	for (unsigned i = 0; i < l->recipients_n; i++)
		add_step(c, RCPT);
	if (c->chunks && sim_chance(400)) {
		for (uint64_t n = sim_between(1, 3); n; n--)
			add_step(c, CHUNK);
	} else {
		add_step(c, DATA);
		add_step(c, CONTENT);
	}
	send_step(c, MAIL);
	c->sent = 1;
}

static void on_patience(struct event *ev)
{
	struct client *c = ev->p;

	if (!c->end || c->session != ev->n)
		return;
	if (sim.now - c->progress >= PATIENCE) {
		sim_say("client %u has waited enough", c->number);
		session_over(c);
	} else {
		sim_at(c->progress + PATIENCE, on_patience, c, c->session);
	}
}

static void on_wake(struct event *ev)
{
	struct client *c = ev->p;

	if (c->end || !next_letter(c))
		return;
	c->end = end_connect(&c->from, &c->to, NULL);
	c->end->ready = on_ready;
	c->end->arg = c;
	c->progress = sim.now;
	c->line_n = c->steps_n = c->answered = 0;
	add_step(c, GREETING);
	add_step(c, EHLO);
	c->sent = 1;
	c->pipelines = c->chunks = false;
	sim_at(sim.now + PATIENCE, on_patience, c, c->session);
}

/* ---- answers */

static void final_reply(struct client *c, unsigned code)
{
	struct attempt *a = c->attempt;
	struct letter *l = c->letter;

	a->state = code == 250 ? ATTEMPT_ACKED : ATTEMPT_REFUSED;
	a->answered = sim.now;
	l->done = code == 250 || (l->bare && code >= 500);
	sim_say("client %u: letter %u.%u is answered %u", c->number, l->number, l->attempts_n - 1,
		code);
	if (code == 250 && l->bare)
		sim_fail("D7: letter %u with a bare LF was taken", l->number);
	if (code >= 500 && !l->bare)
		sim_fail("letter %u is refused for good: %u", l->number, code);
	c->letter = NULL;
	c->attempt = NULL;
	begin_letter(c);
}

static void on_reply(struct client *c, unsigned code)
{
	enum step step = c->steps[c->answered++];

	if (code == 421) {
		session_over(c);
		return;
	}
	switch (step) {
	case GREETING:
		if (code != 220)
			session_over(c);
		break;
	case EHLO:
		c->pipelines &= sim_chance(700);
		if (code != 250)
			session_over(c);
		else
			begin_letter(c);
		break;
	case MAIL:
	case RCPT:
		if (code >= 500 && !c->refused)
			sim_fail("%s is refused for good: %u",
				 step == MAIL ? "MAIL" : "RCPT", code);
		c->refused |= code != 250;
		if (c->refused &&
		    (c->sent == c->answered || c->steps[c->answered] == CHUNK))
			session_over(c);
		break;
	case DATA:
		if (code != 354 || c->refused)
			session_over(c);
		break;
	case CONTENT:
		final_reply(c, code);
		break;
	case CHUNK:
		if (c->answered == c->steps_n)
			final_reply(c, code);
		else if (code != 250)
			session_over(c);
		break;
	case QUIT:
		session_over(c);
		break;
	}
}

static void on_line(struct client *c, struct str line)
{
	uint64_t code;

	c->progress = sim.now;
	if (line.n < 3 || !str_parse_u64(str_sub(line, 0, 3), 599, &code)) {
		sim_fail("client %u gets no reply: %.*s", c->number, (int)line.n, line.p);
		return;
	}
	c->pipelines |= str_ends_nocase(line, STR("PIPELINING"));
	c->chunks |= str_ends_nocase(line, STR("CHUNKING"));
	if (line.n > 3 && line.p[3] == '-')
		return;
	on_reply(c, (unsigned)code);
	if (c->end)
		send_more(c);
}

static void on_ready(struct end *e)
{
	struct client *c = e->arg;
	char byte;

	while (c->end == e && end_read(e, &byte, 1)) {
		if (byte != '\n') {
			if (c->line_n < LINE_MAX)
				c->line[c->line_n++] = byte;
			continue;
		}
		if (c->line_n && c->line[c->line_n - 1] == '\r')
			c->line_n--;
		sim_say("client %u < %.*s", c->number, (int)c->line_n, c->line);
		on_line(c, str_make(c->line, c->line_n));
		c->line_n = 0;
	}
	if (c->end == e && (e->ended || e->reset || e->error))
		session_over(c);
}

struct client *client_new(const char *from, const struct endpoint *to)
{
	struct client *c = mem_zalloc(sizeof(*c));

	c->number = sim.clients++;
	c->from = endpoint_of(from);
	c->to = *to;
	return c;
}

struct letter *client_letter(struct client *c, uint64_t ready_at)
{
	struct letter *l = ledger_letter(c->number);

	assert(c->letters_n < LETTERS_MAX);
	c->letters[c->letters_n] = l;
	c->ready_at[c->letters_n++] = ready_at;
	wake_at(c, ready_at);
	return l;
}
