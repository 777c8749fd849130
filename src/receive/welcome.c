/*
 * welcome - from the connection to the greeting: who is it, may it be here, does it wait?
 *
 * In this order: the header of a proxy, where one must stand; what speaks against the client
 * (bans, limits of connections), before anything costs us work; the handshake, on addresses where
 * TLS begins at once; what lists and names say of a stranger, beside the delay before the greeting;
 * and whether it talked before it was greeted. Before a handshake nothing can be said, so who may
 * not be here is cut without a word.
 *
 * A client behind a proxy is never "local": its loopback is not ours - unless the proxy stands on
 * this machine and so does the client.
 */
#include "receive/session.h"

#include "config/table.h"
#include "net/tls.h"
#include "policy/bans.h"
#include "receive/logins.h"
#include "smtp/proxy.h"

#include <errno.h>

#define PROXY_WAIT (10 * SECOND)
#define LOOK_UP_WAIT (5 * SECOND)	/* for lists and names; or the greeting delay */

void session_set_peer(struct session *s, const struct endpoint *peer)
{
	struct client c;

	client_init(&c, peer);
	c.has_popped = service_has_popped(s->reception->receive, &c.ip);
	c.helo = s->helo;
	c.login = s->login;
	c.listen = &s->listen->endpoint;
	c.fingerprint = s->client.fingerprint;
	c.certificate_verified = s->client.certificate_verified;
	c.tls = s->client.tls;
	s->client = c;
	s->peer = *peer;
}

/* ---- the proxy's header */

/* Reads no octet beyond the header: what follows may be a handshake. 0, or it is over. */
static int read_header(struct session *s, struct proxy *ret) SUSPENDS
{
	uint64_t deadline = session_deadline(s, PROXY_WAIT);

	for (;;) {
		size_t more;
		ssize_t n = proxy_parse(stream_peek(s->stream), ret, &more);

		if (n > 0) {
			stream_consume(s->stream, (size_t)n);
			return 0;
		}
		if (n < 0)
			return session_end(s, "bad-proxy");
		n = stream_fill_some(s->stream, more, deadline);
		if (n == 0)
			return session_lost(s);
		if (n < 0)
			return n == -ETIMEDOUT ? session_end(s, "bad-proxy") : (int)n;
	}
}

static int hear_proxy(struct session *s) SUSPENDS
{
	bool was_local = s->client.is_local;
	struct proxy p;
	int r;

	if (!s->listen->proxy_from || !table_has_ip(s->listen->proxy_from, &s->client.ip))
		return 0;
	s->silent = true;	/* whoever it is, it is no mail client until the header is there */
	r = read_header(s, &p);
	if (r < 0)
		return r;
	s->silent = false;
	if (!p.has_addresses)
		return 0;
	session_set_peer(s, &p.source);
	s->client.is_local = s->client.is_local && was_local;
	s->origin = s->client.ip;
	return 0;
}

/* ---- may it be here? */

static int shut_out(struct session *s, struct bans *b, const char *text,
		    const char *reason) SUSPENDS
{
	if (!b || s->client.is_local || !bans_banned_ms(b, &s->client.ip, loop_now()))
		return 0;
	return session_dismiss(s, (struct reply){ 421, { 4, 7, 0 }, str_of(text) }, reason);
}

int session_admit(struct session *s)
{
	struct receive *receive = s->reception->receive;
	struct strangers *strangers = receive->help.strangers;
	struct decision d = { .verdict = VERDICT_ACCEPT };
	int r;

	r = shut_out(s, receive->help.logins ? logins_bans(receive->help.logins) : NULL,
		     "Too many failed logins from there, come back later", "banned");
	if (r == 0)
		r = shut_out(s, receive->handshakes,
			     "Too many failed handshakes from there, come back later",
			     "tls-banned");
	if (r < 0 || !strangers)
		return r;
	s->counted = true;
	strangers_connected(strangers, s->config, &s->client, &s->stranger, &d);
	if (d.verdict == VERDICT_ACCEPT)	/* a proxy may have told the login */
		strangers_logged_in(strangers, s->config, &s->client, &s->stranger, &d);
	return d.verdict == VERDICT_ACCEPT ? 0 : session_dismiss(s, d.reply, "limit");
}

void session_uncount(struct session *s)
{
	if (s->counted)
		strangers_disconnected(s->reception->receive->help.strangers, &s->stranger);
	s->counted = false;
}

/* ---- what is it like? */

void session_look_up(struct session *s)
{
	struct strangers *strangers = s->reception->receive->help.strangers;
	const struct config_clients *c = session_clients(s);
	uint64_t wait = c->greet_delay_ns > LOOK_UP_WAIT ? c->greet_delay_ns : LOOK_UP_WAIT;

	if (strangers && session_is_strange(s))
		strangers_look_up(strangers, c, &s->client, &s->stranger,
				  session_deadline(s, wait));
}

/* RFC 5321 3.1: the client waits for the greeting. Junk is often in a hurry. */
static int see_whether_it_waits(struct session *s) SUSPENDS
{
	const struct reply hasty = REPLY(554, 5, 5, 1, "You talked before you were greeted");
	const struct config_clients *c = session_clients(s);
	uint64_t until = session_deadline(s, c->greet_delay_ns);
	int r = 0;

	session_look_up(s);
	if (!session_is_strange(s))
		return 0;
	s->waiting = true;
	if (c->greet_delay_ns)
		r = task_sleep_until(until);
	s->waiting = false;
	if (r == 0 && c->refuse_early && session_has_input(s))
		return session_dismiss(s, hasty, "early-talker");
	return r;
}

/* ---- the greeting */

/* "220 relay.example ESMTP Relevo": no enhanced code (RFC 2034 4). */
int session_greet(struct session *s)
{
	const struct str pieces[] = { STR("220 "), s->config->hostname,
				      s->listen->banner.n ? STR(" ") : STR_NONE, s->listen->banner,
				      STR("\r\n") };
	int r = session_say_all(s, pieces, sizeof(pieces) / sizeof(pieces[0]));

	return r < 0 ? r : session_flush(s);
}

static void log_connected(const struct session *s)
{
	log_begin(LOG_CONNECTED);
	log_cstr("session", s->id);
	log_endpoint("client", &s->peer);
	log_endpoint("listen", &s->listening->at.endpoint);
	if (!endpoint_eq(&s->peer, stream_peer(s->stream)))
		log_endpoint("proxy", stream_peer(s->stream));
	log_end();
}

int session_welcome(struct session *s)
{
	int r = hear_proxy(s);

	log_connected(s);
	if (r < 0)
		return r;
	s->silent = s->listen->tls == TLS_IMPLICIT;
	r = session_admit(s);
	if (r == 0 && s->listen->tls == TLS_IMPLICIT)
		r = session_handshake(s);
	if (r < 0)
		return r;
	s->silent = false;
	r = see_whether_it_waits(s);
	return r < 0 ? r : session_greet(s);
}
