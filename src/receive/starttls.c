/*
 * starttls - STARTTLS, and the handshake of addresses where TLS begins at once (RFC 3207, 8314).
 *
 * What lies behind STARTTLS already was refused by the loop over commands; what the client said so
 * far is forgotten, and it begins with EHLO again (RFC 3207 4.2, promise D7). A handshake has a
 * time to end in. If it fails, the connection is worth nothing any more and is closed; the client's
 * failures are counted (bans), and all it begins (a limit), so that nobody can have us compute
 * handshakes all day.
 *
 * A handshake shows the certificate that is in force when it begins, not when the session began
 * (config_server_context). Sessions that have begun TLS keep what they have.
 */
#include "receive/session.h"

#include "net/tls.h"
#include "policy/bans.h"

#include <errno.h>

#define HANDSHAKE_WAIT (30 * SECOND)
#define WHY_MAX 160

bool session_may_starttls(const struct session *s)
{
	return (s->listen->tls == TLS_OFFERED || s->listen->tls == TLS_REQUIRED) &&
	       s->config->tls.server && !session_has_tls(s);
}

static void log_tls(const struct session *s, const struct tls_facts *f)
{
	log_begin(LOG_TLS);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_cstr("version", f->version);
	log_cstr("cipher", f->cipher);
	log_u64("bits", f->bits);
	log_cstr("resumed", f->resumed ? "yes" : "no");
	log_str("sni", str_of(f->server_name));
	if (f->has_certificate) {
		log_str("subject", str_of(f->subject));
		log_str("fingerprint", str_of(f->fingerprint));
		log_cstr("verified", f->verified ? "yes" : "no");
	}
	log_end();
}

static void log_failed(const struct session *s, int error)
{
	char why[WHY_MAX] = "";

	stream_tls_problem(s->stream, why, sizeof(why));
	log_begin(LOG_TLS_FAILED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_str("why", str_of(why));
	if (!why[0] || error != -EPROTO)
		log_errno("error", error);
	log_end();
}

/* Before anything is computed. 0, or it was dismissed. */
static int admit(struct session *s) SUSPENDS
{
	struct strangers *strangers = s->reception->receive->help.strangers;
	struct decision d;

	if (!strangers)
		return 0;
	strangers_handshake(strangers, s->config, &s->client, &d);
	return d.verdict == VERDICT_ACCEPT ? 0 : session_dismiss(s, d.reply, "limit");
}

static int handshake(struct session *s) SUSPENDS
{
	struct tls_context *context =
		config_server_context(s->config, s->listen->asks_certificates);
	const struct tls_facts *f;
	int r = -ENOKEY;

	if (context)
		r = stream_tls_accept(s->stream, context, session_deadline(s, HANDSHAKE_WAIT));
	tls_context_unref(context);
	if (r < 0) {
		s->silent = true;	/* neither side knows what the other would understand */
		log_failed(s, r);
		if (r == -ECANCELED)
			return r;
		bans_failed(s->reception->receive->handshakes, &s->client.ip, STR_NONE, 0,
			    loop_now());
		return session_end(s, "tls");
	}
	f = stream_tls(s->stream);
	s->client.tls = s->stream;
	s->client.fingerprint = str_of(f->fingerprint);
	s->client.certificate_verified = f->has_certificate && f->verified;
	log_tls(s, f);
	return 0;
}

int session_handshake(struct session *s)
{
	int r = admit(s);

	return r < 0 ? r : handshake(s);
}

/*
 * Who may have no handshake now is dismissed, not told to go on without (454, RFC 3207 4): what
 * somebody else does at its address must not take a client's mail out of TLS.
 */
int starttls_handle(struct session *s, struct str args)
{
	int r;

	(void)args;
	if (session_has_tls(s))
		return session_refuse(s, REPLY(503, 5, 5, 1, "TLS has begun already"));
	if (!session_may_starttls(s))
		return session_refuse(s, REPLY(502, 5, 5, 1, "TLS is not offered here"));
	r = admit(s);
	if (r == 0)
		r = session_say(s, STR("220 2.0.0 Begin\r\n"));
	if (r == 0)
		r = session_flush(s);
	if (r == 0)
		r = handshake(s);
	if (r == 0)
		session_forget(s);
	return r;
}
