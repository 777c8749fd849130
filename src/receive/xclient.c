/*
 * xclient - XCLIENT: a proxy that may say so tells who the client really is (Postfix,
 * XCLIENT_README).
 *
 * The session begins anew as if that client had connected: a greeting, and EHLO is due, unless HELO
 * was told as well. Who may say it is decided by the address that connected (or that the PROXY
 * header named), not by one that an earlier XCLIENT told. [UNAVAILABLE] forgets what was told; a
 * client without an address is 0.0.0.0, which is in nobody's network, least of all in the proxy's.
 *
 * Several may follow each other, as lines are short. With the first other command behind them the
 * client itself may be at the other end: proxies (nginx, Dovecot) pass octets on unread from there.
 * So no further one is taken, or the client would name itself anybody it likes. For the same reason
 * the proxy's certificate is not the client's.
 */
#include "receive/session.h"

#include "base/mem.h"
#include "config/table.h"
#include "smtp/proxy.h"

static bool has(const struct xclient *x, enum xclient_attribute a)
{
	return x->given & ~x->unavailable & 1u << a;
}

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
	session_forget(s);
	s->was_named = true;
	s->client.fingerprint = STR_NONE;
	s->client.certificate_verified = false;
	s->client.tls = NULL;
	if (has(x, XCLIENT_LOGIN))
		session_set_login(s, str_of(x->login));
	if (has(x, XCLIENT_HELO))
		session_set_helo(s, str_of(x->helo));
	s->extended = has(x, XCLIENT_PROTO) && x->is_extended;
	session_set_peer(s, &peer);
	s->client.is_local = s->client.is_local && was_local;
}

/* The client is another: its connection is counted, lists are asked. */
static int begin_anew(struct session *s, const struct xclient *x) SUSPENDS
{
	int r;

	session_uncount(s);
	s->stranger = (struct stranger){ 0 };
	r = session_admit(s);
	if (r < 0)
		return r;
	session_look_up(s);
	/* The proxy's word for a name that we did not find; it has looked it up itself. */
	if (has(x, XCLIENT_NAME) && !s->stranger.name[0])
		str_copy(s->stranger.name, sizeof(s->stranger.name), str_of(x->name));
	return session_greet(s);
}

static int take_word(struct session *s, struct str args, struct xclient *x) SUSPENDS
{
	if (!xclient_parse(args, x))
		return session_refuse(s, REPLY(501, 5, 5, 4, "XCLIENT takes ADDR=, NAME= ..."));
	/* A proxy that passes on what its client sent ahead would let it speak in its own name. */
	if (session_has_input(s))
		return session_refuse(s, REPLY(503, 5, 5, 1, "Wait for the greeting"));
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
