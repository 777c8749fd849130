/*
 * through - a listener in front of a real POP3 server: its conversation is passed through, and its
 * +OK to a login is what counts.
 *
 * Command by command, as POP3 is question and answer: a line goes to the server, its reply comes
 * back - one line, or lines up to one with a dot alone, of any length, in pieces as they come. So
 * no side is ever ahead of what was looked at, and one task is enough. A client's pipelining is
 * fine: its lines wait here.
 *
 * Not passed on: STLS, which is each connection's own (and CAPA's word about it); logins before
 * TLS, except on this machine; APOP, if the listener is without; verbs that are not POP3's, as
 * nobody knows how long their replies are; and before a login everything but logins.
 *
 * AUTH may take several steps, and only mechanisms pass that we can read: a login that gives a
 * right must say whose it is, and ANONYMOUS (RFC 4505) is nobody's. So a machine of our own
 * (smtp/sasl.h) listens until it has the name. Whoever got in without one - by an identity that is
 * not the user himself, by a token that alone says whose it is - or is disabled in a users file
 * reads his mail, and may not relay for it. Mechanisms in -PLUS bind the login to a TLS connection
 * with the server, of which there is none here.
 *
 * The server hears from all clients by one address, ours: failed logins are counted here, by the
 * client's own.
 */
#include "pop/service.h"

#include "base/mem.h"
#include "smtp/base64.h"
#include "smtp/sasl.h"

#include <errno.h>
#include <openssl/crypto.h>

#define CONNECT_NS (20 * SECOND)
#define STEPS_MAX 8			/* of one AUTH */

/* ---- to the server */

static int upstream_lost(struct session *s) SUSPENDS
{
	int r = pop_session_say(s, STR("-ERR [SYS/TEMP] The mail server cannot be reached"));

	return r < 0 ? r : pop_session_end(s, "upstream");
}

static uint64_t patience(const struct session *s)
{
	return pop_session_deadline(s, POP_UPSTREAM_NS);
}

static int upstream_say(struct session *s, struct str a, struct str b) SUSPENDS
{
	int r = stream_write(s->upstream, a.p, a.n, patience(s));

	if (r == 0)
		r = stream_write(s->upstream, b.p, b.n, patience(s));
	if (r == 0)
		r = stream_write(s->upstream, "\r\n", 2, patience(s));
	return r < 0 ? r : stream_flush(s->upstream, patience(s));
}

/* A status line: 1, borrowed until the next read. */
static int upstream_line(struct session *s, struct str *ret) SUSPENDS
{
	int r = stream_line(s->upstream, POP_REPLY_MAX, patience(s), ret);

	return r == 0 ? -ECONNRESET : r;
}

/* ---- connecting */

static int connect_to(struct session *s, const struct ip *ip) SUSPENDS
{
	const struct endpoint e = { .ip = *ip, .port = s->settings->upstream_port };

	return stream_connect(NULL, &e, pop_session_deadline(s, CONNECT_NS), &s->upstream);
}

static int connect_upstream(struct session *s) SUSPENDS
{
	struct dns_addresses *a;
	struct ip ip;
	int r = -EHOSTUNREACH;

	if (ip_parse(s->settings->upstream_host, &ip))
		return connect_to(s, &ip);
	a = mem_zalloc(sizeof(*a));
	dns_addresses(s->core->pop->links.dns, s->settings->upstream_host, DNS_IPV4 | DNS_IPV6,
		      pop_session_deadline(s, CONNECT_NS), a);
	for (unsigned i = 0; a->status == DNS_OK && i < a->n && r < 0 && r != -ECANCELED; i++)
		r = connect_to(s, &a->ips[i]);
	mem_free(a);
	return r;
}

static int upstream_handshake(struct session *s) SUSPENDS
{
	struct tls_context *c = s->settings->upstream_context;
	const struct str name = s->settings->upstream_host;
	const struct tls_wish wish = {
		.demand = s->settings->upstream_tls == TLS_VERIFIED ? TLS_PKIX : TLS_ANY,
		.server_name = name,
		.names = &name,
		.names_n = 1,
	};

	return c ? stream_tls_connect(s->upstream, c, &wish, patience(s)) : -EPROTO;
}

/* The server's greeting comes back, in greeting. What came with it in clear is not read (D7). */
static int upstream_starttls(struct session *s) SUSPENDS
{
	struct str line;
	int r = upstream_say(s, STR("STLS"), STR_NONE);

	if (r == 0)
		r = upstream_line(s, &line);
	if (r < 0)
		return r;
	if (pop_status(line) != POP_OK)
		return s->settings->upstream_tls == TLS_OFFERED ? 0 : -EPROTO;
	return stream_peek(s->upstream).n ? -EPROTO : upstream_handshake(s);
}

static int open_upstream(struct session *s, struct buf *greeting) SUSPENDS
{
	enum tls_use tls = s->settings->upstream_tls;
	struct str line;
	int r = connect_upstream(s);

	if (r == 0 && tls == TLS_IMPLICIT)
		r = upstream_handshake(s);
	if (r == 0)
		r = upstream_line(s, &line);
	if (r < 0)
		return r;
	if (pop_status(line) != POP_OK || str_has_control(line))
		return -EPROTO;
	if (!s->settings->apop && pop_timestamp(line).n)	/* whose word would be APOP */
		line = str_trim(str_sub(line, 0, (size_t)(pop_timestamp(line).p - line.p)));
	buf_add_str(greeting, line);
	return tls == TLS_OFF || tls == TLS_IMPLICIT ? 0 : upstream_starttls(s);
}

/* ---- replies */

static int pass_line(struct session *s, struct str line) SUSPENDS
{
	char *copy = str_dup(line);
	int r = pop_session_say(s, str_make(copy, line.n));

	mem_free(copy);
	return r;
}

/* The lines behind +OK, in pieces. */
static int pass_lines(struct session *s) SUSPENDS
{
	unsigned state = 0;

	while (state != POP_ENDED) {
		struct str octets = stream_peek(s->upstream);
		ssize_t r = 1;
		size_t n;

		if (!octets.n)
			r = stream_fill(s->upstream, patience(s));
		if (r <= 0)
			return r < 0 ? (int)r : -ECONNRESET;
		octets = stream_peek(s->upstream);
		n = pop_find_end(&state, octets);
		r = stream_write(s->stream, octets.p, n, pop_session_deadline(s, POP_IDLE_NS));
		if (r < 0)
			return (int)r;
		stream_consume(s->upstream, n);
	}
	return 0;
}

static bool is_read(enum sasl_mechanism m)
{
	return m != SASL_NONE && !sasl_mechanism_has_plus(m);
}

/* "SASL PLAIN ANONYMOUS": those that we can read; nothing if there is none. */
static int pass_mechanisms(struct session *s, struct str line) SUSPENDS
{
	struct buf b = BUF_INIT(POP_REPLY_MAX);
	int r = 0;

	buf_add_str(&b, str_word(&line));
	for (struct str word = str_word(&line); word.n; word = str_word(&line)) {
		if (!is_read(sasl_mechanism_find(word)))
			continue;
		buf_add_byte(&b, ' ');
		buf_add_str(&b, word);
	}
	if (b.n > strlen("SASL"))
		r = pop_session_say(s, buf_str(&b));
	buf_done(&b);
	return r;
}

/* Its own word on STLS is left out, ours is put in. */
static int pass_capabilities(struct session *s) SUSPENDS
{
	for (;;) {
		struct str line;
		int r = upstream_line(s, &line);

		if (r < 0)
			return r;
		if (str_eq(line, STR("."))) {
			if (pop_session_offers_tls(s) && (r = pop_session_say(s, STR("STLS"))) < 0)
				return r;
			return pop_session_say(s, STR("."));
		}
		if (str_eq_nocase(line, STR("STLS")) ||
		    (!pop_session_is_private(s) && (str_eq_nocase(line, STR("USER")) ||
						str_starts_nocase(line, STR("SASL")))))
			continue;
		r = str_starts_nocase(line, STR("SASL")) ? pass_mechanisms(s, line)
							 : pass_line(s, line);
		if (r < 0)
			return r;
	}
}

/* 1: +OK, 0: -ERR; both are passed on. */
static int pass_reply(struct session *s, bool multiline, bool capabilities) SUSPENDS
{
	enum pop_status status;
	struct str line;
	int r = upstream_line(s, &line);

	if (r < 0)
		return r;
	status = pop_status(line);
	if (status != POP_OK && status != POP_ERR)
		return -EPROTO;
	r = pass_line(s, line);
	if (r == 0 && status == POP_OK && multiline)
		r = capabilities ? pass_capabilities(s) : pass_lines(s);
	return r < 0 ? r : status == POP_OK;
}

/* ---- commands */

static int ask(struct session *s, enum pop_verb verb, struct str args) SUSPENDS
{
	static const char *const names[] = {
		[POP_USER] = "USER", [POP_PASS] = "PASS", [POP_APOP] = "APOP", [POP_AUTH] = "AUTH",
		[POP_CAPA] = "CAPA", [POP_QUIT] = "QUIT", [POP_STAT] = "STAT", [POP_LIST] = "LIST",
		[POP_RETR] = "RETR", [POP_DELE] = "DELE", [POP_NOOP] = "NOOP", [POP_RSET] = "RSET",
		[POP_TOP] = "TOP", [POP_UIDL] = "UIDL",
	};
	char *copy = NULL;
	int r;

	if (args.n) {
		copy = mem_alloc(args.n + 1);
		copy[0] = ' ';
		memcpy(copy + 1, args.p, args.n);
	}
	r = upstream_say(s, str_of(names[verb]), str_make(copy, copy ? args.n + 1 : 0));
	mem_free(copy);
	return r;
}

/* ---- AUTH */

/* Reads along until it knows who logs in. */
struct hearing {
	struct sasl_server *machine;	/* owned */
	bool is_done;
};

/* text: base64 of the client's; is_answer: or else nothing was said yet. */
static void hear(struct session *s, struct hearing *h, struct str text, bool is_answer)
{
	struct buf octets = BUF_INIT(POP_REPLY_MAX);
	enum sasl_step step;

	if (!h->is_done && (str_eq(text, STR("=")) || base64_decode(&octets, text))) {
		step = sasl_server_step(h->machine, buf_str(&octets), is_answer);
		h->is_done = step != SASL_SEND;
		if (step != SASL_FAILED)
			str_copy(s->name, sizeof(s->name), sasl_server_user(h->machine));
	} else {
		h->is_done = true;
	}
	if (octets.p)
		OPENSSL_cleanse(octets.p, octets.size);
	buf_done(&octets);
}

/* A line of the client's within AUTH: base64, or "*". 0: it is passed on. */
static int auth_step(struct session *s, struct hearing *h) SUSPENDS
{
	struct str line;
	char *copy;
	int r = stream_flush(s->stream, pop_session_deadline(s, POP_IDLE_NS));

	if (r == 0)
		r = stream_line(s->stream, POP_REPLY_MAX, pop_session_deadline(s, POP_IDLE_NS),
				&line);
	if (r <= 0)
		return r < 0 && r != -EMSGSIZE ? r : pop_session_end(s, "lost");
	if (str_has_control(line))
		return pop_session_end(s, "blind-input");
	hear(s, h, line, true);
	copy = str_dup(line);
	r = upstream_say(s, str_make(copy, line.n), STR_NONE);
	OPENSSL_cleanse(copy, line.n);
	mem_free(copy);
	return r;
}

/* 1: logged in, 0: refused. */
static int converse(struct session *s, struct hearing *h) SUSPENDS
{
	for (unsigned i = 0; i < STEPS_MAX; i++) {
		enum pop_status status;
		struct str line;
		int r = upstream_line(s, &line);

		if (r < 0)
			return r;
		status = pop_status(line);
		if (status == POP_NONSENSE)
			return -EPROTO;
		r = pass_line(s, line);
		if (r < 0 || status != POP_CONTINUE)
			return r < 0 ? r : status == POP_OK;
		r = auth_step(s, h);
		if (r < 0)
			return r;
	}
	return -EPROTO;
}

/* 1: logged in, s->name says who if that is known; 0: refused. */
static int auth(struct session *s, struct str args) SUSPENDS
{
	const struct sasl_binding none = { .exporter = STR_NONE };
	struct str words = args, word = str_word(&words), initial = str_word(&words);
	struct hearing h = {
		.machine = sasl_server_new(sasl_mechanism_find(word), &none, STR("unused")),
	};
	int r;

	s->name[0] = 0;
	hear(s, &h, initial, initial.n > 0);
	r = ask(s, POP_AUTH, args);
	if (r == 0)
		r = converse(s, &h);
	sasl_server_free(h.machine);
	return r;
}

/* ---- logins */

/* What speaks against this login; empty: nothing. */
static struct str objection(const struct session *s, enum pop_verb verb, struct str args)
{
	if (!pop_session_is_private(s) && verb != POP_APOP)
		return STR("[AUTH] Only under TLS: say STLS first");
	if (verb == POP_APOP && !s->settings->apop)
		return STR("Not available");
	if (verb == POP_AUTH && !is_read(sasl_mechanism_find(str_word(&args))))
		return STR("[AUTH] No such mechanism");
	return STR_NONE;
}

/* The server has let him in. Whether he may relay for that is ours to say. */
static int welcome(struct session *s) SUSPENDS
{
	const struct pop_links *l = &s->core->pop->links;
	struct str name = str_of(s->name);
	int r = name.n && l->admit ? l->admit(l->arg, s->config, name) : name.n > 0;

	if (r == -ECANCELED)
		return r;
	if (r == 1) {
		pop_session_welcome(s, name);
		return 0;
	}
	pop_session_let_in(s);
	pop_session_log_failed(s, name, !name.n ? "he may read, not relay: whose login it is was "
						  "not said"
					: r ? "he may read, not relay: a users file cannot be read"
					    : "he may read, not relay: disabled in the users file");
	return 0;
}

static int login(struct session *s, enum pop_verb verb, struct str args) SUSPENDS
{
	struct str against = objection(s, verb, args);
	char *secret;
	int r;

	if (against.n)
		return pop_session_refuse(s, against);
	secret = str_dup(args);
	if (verb == POP_APOP)
		str_copy(s->name, sizeof(s->name), str_word(&args));
	args = str_of(secret);
	if (verb == POP_AUTH)
		r = auth(s, args);
	else if ((r = ask(s, verb, args)) == 0)
		r = pass_reply(s, false, false);
	if (verb == POP_USER)	/* the name that PASS is about, if the server took it */
		str_copy(s->name, sizeof(s->name), r == 1 ? args : STR_NONE);
	else if (r == 1)
		r = welcome(s);
	else if (r == 0)
		r = pop_session_failed(s, str_of(s->name), args);
	OPENSSL_cleanse(secret, args.n);
	mem_free(secret);
	return r;
}

static int command(struct session *s, enum pop_verb verb, struct str args) SUSPENDS
{
	int r;

	switch (verb) {
	case POP_UNKNOWN:
		return pop_session_refuse(s, STR("Unknown command"));
	case POP_STLS:
		return pop_session_starttls(s);
	case POP_USER:
	case POP_PASS:
	case POP_APOP:
	case POP_AUTH:
		if (s->logged_in)
			return pop_session_refuse(s, STR("You have logged in already"));
		return login(s, verb, args);
	case POP_CAPA:
	case POP_QUIT:
		break;
	default:
		if (!s->logged_in)
			return pop_session_refuse(s, STR("Log in first"));
	}
	r = ask(s, verb, args);
	if (r == 0)
		r = pass_reply(s, pop_is_multiline(verb, args), verb == POP_CAPA);
	return r >= 0 && verb == POP_QUIT ? pop_session_end(s, "quit") : r;
}

static bool is_ours(const struct session *s, int r)
{
	return s->reason || r == -ECANCELED || (r == -ETIMEDOUT && loop_now() >= s->ends);
}

int pop_through_run(struct session *s)
{
	struct buf greeting = BUF_INIT(POP_REPLY_MAX);
	int r = open_upstream(s, &greeting);

	if (r == 0)
		r = pop_session_say(s, buf_str(&greeting));
	else if (!is_ours(s, r))
		r = upstream_lost(s);
	buf_done(&greeting);
	while (r >= 0) {
		struct str args = STR_NONE;
		enum pop_verb verb;

		r = pop_session_command(s, &verb, &args);
		if (r < 0 || verb == POP_BAD)
			continue;
		r = command(s, verb, args);
		/* In the middle of a reply nothing can be said that would be understood. */
		if (r < 0 && !is_ours(s, r))
			return pop_session_end(s, "upstream");
	}
	return r;
}
