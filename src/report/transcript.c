/*
 * transcript - whole dialogues as log lines: every command and reply, without content and
 * credentials.
 *
 * In: the octets as the stream reads and writes them (below TLS). Out: one TRANSCRIPT line per
 * line of the dialogue, per direction. Content is only counted: that of DATA from
 * transcript_content to its final dot, that of BDAT by the size that its command names. What
 * follows AUTH (and PASS and APOP, of POP3) is masked, and so is all that its side says until the
 * other side ends the exchange: a client may send its answers ahead. Never suspends.
 */
#include "report/log.h"

#include "base/mem.h"
#include "smtp/command.h"

#define LINE_KEPT 480		/* octets of a line that are logged */

/* How far the end of DATA was seen: at a line's start, behind its dot, behind the dot's CR. */
enum dot { DOT_NONE, DOT_CR, DOT_START, DOT_DOT, DOT_DOT_CR };

struct direction {
	char line[LINE_KEPT];
	size_t n;		/* kept */
	bool cut;		/* the line was longer */
	bool content;		/* DATA's content passes */
	enum dot dot;
	uint64_t chunk;		/* octets of BDAT still to come */
	uint64_t octets;	/* of content so far */
};

struct transcript {
	char session[SESSION_ID_MAX];
	struct direction in, out;
	struct direction *auth;	/* that says credentials now, or NULL */
};

static bool is_wanted(const struct config *c, const struct ip *peer, struct str domain)
{
	for (unsigned i = 0; i < c->log.transcripts_n; i++) {
		const struct transcript_rule *r = &c->log.transcripts[i];

		if (r->network.ip.family ? peer && network_has(&r->network, peer) :
					   domain.n && str_eq_nocase(r->domain, domain))
			return true;
	}
	return false;
}

struct transcript *transcript_start(const struct config *c, const struct ip *peer,
				    struct str domain,
				    const char *session)
{
	struct transcript *t;

	if (!c->log.transcripts_n || !is_wanted(c, peer, domain))
		return NULL;
	t = mem_zalloc(sizeof(*t));
	str_copy(t->session, sizeof(t->session), str_of(session));
	return t;
}

static void begin(const struct transcript *t, const struct direction *d)
{
	log_begin(LOG_TRANSCRIPT);
	log_cstr("session", t->session);
	log_cstr("dir", d == &t->out ? "out" : "in");
}

static void content_ended(struct transcript *t, struct direction *d)
{
	begin(t, d);
	log_u64("content", d->octets);
	log_end();
	d->octets = 0;
	d->content = false;
}

/*
 * A command with a credential. *ret_head: it, and AUTH's mechanism, may be seen, what follows may
 * not.
 */
static bool is_credential(struct str line, struct str *ret_head)
{
	struct str rest = line, word = str_word(&rest);
	bool is_auth = str_eq_nocase(word, STR("AUTH"));

	if (!is_auth && !str_eq_nocase(word, STR("PASS")) && !str_eq_nocase(word, STR("APOP")))
		return false;
	if (is_auth)
		str_word(&rest);
	*ret_head = str_sub(line, 0, line.n - rest.n);
	return true;
}

/* A reply that asks for nothing more. */
static bool is_final(struct str line)
{
	return line.n && (ascii_is_digit(line.p[0]) || str_starts(line, STR("+OK")) ||
			  str_starts(line, STR("-ERR")));
}

static void log_line(const struct transcript *t, const struct direction *d, struct str line,
		     bool masked)
{
	begin(t, d);
	if (line.n)
		log_str("line", line);
	if (masked)
		log_cstr("masked", "yes");
	if (d->cut)
		log_cstr("cut", "yes");
	log_end();
}

/*
 * A complete line. Who is client and who server shows by itself: the side that says AUTH is the
 * client, and only the other side's 334 asks for more.
 */
static void line_ended(struct transcript *t, struct direction *d)
{
	struct direction *other = d == &t->in ? &t->out : &t->in;
	struct str line = str_make(d->line, d->n), head, rest;
	bool last;

	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	if (t->auth == d) {
		log_line(t, d, STR_NONE, true);
	} else if (is_credential(line, &head)) {
		if (str_starts_nocase(str_trim(head), STR("AUTH")))
			t->auth = d;
		log_line(t, d, str_trim(head), head.n < line.n);
	} else {
		if (str_starts(line, STR("334")))
			t->auth = other;
		else if (t->auth && is_final(line))
			t->auth = NULL;
		if (command_verb(line, &rest) == VERB_BDAT && !bdat_parse(rest, &d->chunk, &last))
			d->chunk = 0;
		log_line(t, d, line, false);
	}
	d->n = 0;
	d->cut = false;
}

static enum dot dot_next(enum dot state, char c)
{
	if (c == '\r')
		return state == DOT_DOT ? DOT_DOT_CR : DOT_CR;
	if (c == '\n')
		return state == DOT_CR ? DOT_START : DOT_NONE;
	return c == '.' && state == DOT_START ? DOT_DOT : DOT_NONE;
}

/* Returns how many octets of s were content; the final dot ends it. */
static size_t take_data(struct transcript *t, struct direction *d, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (d->dot == DOT_DOT_CR && s.p[i] == '\n') {
			d->octets += i + 1;
			content_ended(t, d);
			return i + 1;
		}
		d->dot = dot_next(d->dot, s.p[i]);
	}
	d->octets += s.n;
	return s.n;
}

static size_t take_chunk(struct transcript *t, struct direction *d, struct str s)
{
	size_t n = s.n < d->chunk ? s.n : (size_t)d->chunk;

	d->chunk -= n;
	d->octets += n;
	if (!d->chunk)
		content_ended(t, d);
	return n;
}

static size_t take_line(struct transcript *t, struct direction *d, struct str s)
{
	ssize_t end = str_find(s, '\n');
	size_t n = end < 0 ? s.n : (size_t)end, room = LINE_KEPT - d->n;

	d->cut |= n > room;
	memcpy(d->line + d->n, s.p, n < room ? n : room);
	d->n += n < room ? n : room;
	if (end < 0)
		return n;
	line_ended(t, d);
	return n + 1;
}

void transcript_tap(void *arg, bool outgoing, struct str bytes)
{
	struct transcript *t = arg;
	struct direction *d = outgoing ? &t->out : &t->in;

	while (bytes.n) {
		size_t used = d->content ? take_data(t, d, bytes) :
			      d->chunk ? take_chunk(t, d, bytes) : take_line(t, d, bytes);

		bytes = str_from(bytes, used);
	}
}

void transcript_content(struct transcript *t, bool outgoing, bool on)
{
	struct direction *d;

	if (!t)
		return;
	d = outgoing ? &t->out : &t->in;
	if (on && !d->content) {
		d->content = true;
		d->dot = DOT_START;	/* ".CRLF" at once is empty content */
		d->octets = 0;
	} else if (!on && d->content) {
		content_ended(t, d);
	}
}

void transcript_free(struct transcript *t)
{
	if (!t)
		return;
	for (struct direction *d = &t->in; d; d = d == &t->in ? &t->out : NULL) {
		if (d->content || d->chunk)
			content_ended(t, d);
		else if (d->n)
			line_ended(t, d);
	}
	mem_free(t);
}
