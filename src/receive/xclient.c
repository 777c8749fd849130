/*
 * xclient - XCLIENT: a proxy that may say so tells who the client really is (Postfix,
 * XCLIENT_README).
 *
 * The session begins anew as if that client had connected: a greeting, and EHLO is due, unless HELO
 * was told as well. Who may say it is decided by the address that connected (or that the PROXY
 * header named), not by one that an earlier XCLIENT told. [UNAVAILABLE] forgets what was told; a
 * client without an address is 0.0.0.0, which is in nobody's network, least of all in the proxy's.
 *
 * Several may follow each other, as lines are short: each adds what was not told yet, and changes
 * nothing. With the first other command behind them the client itself may be at the other end:
 * proxies pass octets on unread from there, nginx even straight behind XCLIENT where its client
 * logged in without EHLO. So no further one is taken, and what was told once stays, or the client
 * would name itself anybody it likes. For the same reason the proxy's certificate is not the
 * client's. What is given up: one connection is for one client. Postfix would take another between
 * two messages, but nothing that we know of asks for that: nginx, Dovecot and swaks speak for one
 * client each, and Postfix itself, amavis and their like tell theirs by XFORWARD.
 *
 * Dovecot sends all its lines and EHLO in one go, and counts the greetings. So these three verbs
 * may stand behind XCLIENT already; anything else that is there was sent by somebody who does not
 * wait for the proxy, and ends the session: refused, it would go on in the proxy's own name.
 */
#include "receive/session.h"

#include "base/mem.h"
#include "config/table.h"
#include "smtp/proxy.h"

static bool has(const struct xclient *x, enum xclient_attribute a)
{
	return x->given & ~x->unavailable & 1u << a;
}

/* What was told before stays; the first one begins anew. */
static void become(struct session *s, const struct xclient *x)
{
	bool was_local = s->client.is_local;
	struct endpoint peer = s->peer;

	if (has(x, XCLIENT_ADDR))
		peer = (struct endpoint){ .ip = x->addr };
	else if (x->given & 1u << XCLIENT_ADDR)
		peer = (struct endpoint){ .ip.family = 4 };
	if (has(x, XCLIENT_PORT))
		peer.port = x->port;
	if (!s->named)
		session_forget(s);
	s->named |= x->given;
	s->client.fingerprint = STR_NONE;
	s->client.certificate_verified = false;
	s->client.tls = NULL;
	if (has(x, XCLIENT_LOGIN))
		session_set_login(s, str_of(x->login));
	if (has(x, XCLIENT_HELO))
		session_set_helo(s, str_of(x->helo));
	if (has(x, XCLIENT_PROTO))
		s->extended = x->is_extended;
	session_set_peer(s, &peer);
	s->client.is_local = s->client.is_local && was_local;
}

/* The client is another: its connection is counted, lists are asked. */
static int begin_anew(struct session *s, const struct xclient *x) SUSPENDS
{
	char name[sizeof(s->stranger.name)] = "";
	int r;

	if (has(x, XCLIENT_NAME))
		str_copy(name, sizeof(name), str_of(x->name));
	else if (s->named & 1u << XCLIENT_NAME)		/* by a line before */
		str_copy(name, sizeof(name), str_of(s->stranger.name));
	session_uncount(s);
	s->stranger = (struct stranger){ 0 };
	r = session_admit(s);
	if (r < 0)
		return r;
	session_look_up(s);
	/* The proxy's word for a name that we did not find; it has looked it up itself. */
	if (!s->stranger.name[0] || !(s->named & 1u << XCLIENT_ADDR))
		str_copy(s->stranger.name, sizeof(s->stranger.name), str_of(name));
	return session_greet(s);
}

/* Behind XCLIENT stands nothing, or what a proxy may send ahead; perhaps not all of it yet. */
static bool may_stand_behind(struct str in)
{
	static const struct str verbs[] = { { "XCLIENT ", 8 }, { "EHLO ", 5 }, { "HELO ", 5 } };

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (str_starts_nocase(in, str_sub(verbs[i], 0, in.n)))
			return true;
	return false;
}

static int take_word(struct session *s, struct str args, struct xclient *x) SUSPENDS
{
	if (!xclient_parse(args, x))
		return session_refuse(s, REPLY(501, 5, 5, 4, "XCLIENT takes ADDR=, NAME= ..."));
	if (x->given & s->named)
		return session_refuse(s, REPLY(550, 5, 7, 0, "Who the client is was said already"));
	if (session_has_input(s) && !may_stand_behind(stream_peek(s->stream)))
		return session_dismiss(s, REPLY(421, 4, 7, 0, "Wait for the greeting"),
				       "blind-input");
	become(s, x);
	return begin_anew(s, x);
}

static bool is_proxy(const struct session *s)
{
	return s->listen->xclient_from && table_has_ip(s->listen->xclient_from, &s->origin);
}

bool session_may_xclient(const struct session *s)
{
	return is_proxy(s) && !s->client_speaks;
}

int xclient_handle(struct session *s, struct str args)
{
	struct xclient *x;
	int r;

	if (!s->listen->xclient_from)
		return session_refuse(s, REPLY(502, 5, 5, 1, "XCLIENT is not offered here"));
	if (!is_proxy(s))
		return session_refuse(s, REPLY(550, 5, 7, 0, "You may not say who the client is"));
	if (s->transaction.open)
		return session_refuse(s, REPLY(503, 5, 5, 1, "Not within a transaction"));
	if (s->client_speaks)
		return session_refuse(s, REPLY(550, 5, 7, 0, "Who the client is was said already"));
	x = mem_zalloc(sizeof(*x));	/* too large for a task's stack */
	r = take_word(s, args, x);
	mem_free(x);
	return r;
}
