/*
 * session - one POP3 client: what both kinds of listeners have in common. See service.h.
 *
 * Everything is bounded: a line, the errors, the time until the login, the time between commands,
 * the whole session. Replies stay in the output buffer until the input is used up (RFC 2449 6.6,
 * PIPELINING), and nothing that came before a TLS handshake is read after it (D7): input behind
 * STLS ends the session.
 *
 * Ends: -ETIMEDOUT closes without a word (RFC 1939 3), -ECANCELED (a shutdown) with -ERR.
 */
#include "pop/service.h"

#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>

#define FAREWELL (2 * SECOND)
#define HANDSHAKE (30 * SECOND)

int pop_session_end(struct session *s, const char *reason)
{
	s->reason = reason;
	return OVER;
}

uint64_t pop_session_deadline(const struct session *s, uint64_t ns)
{
	uint64_t at = loop_now() + ns;

	return at < s->ends ? at : s->ends;
}

int pop_session_say(struct session *s, struct str text)
{
	uint64_t deadline = pop_session_deadline(s, POP_IDLE_NS);
	int r = stream_write(s->stream, text.p, text.n, deadline);

	return r < 0 ? r : stream_write(s->stream, "\r\n", 2, deadline);
}

int pop_session_refuse(struct session *s, struct str text)
{
	int r;

	if (++s->errors > POP_ERRORS_MAX) {
		r = pop_session_say(s, STR("-ERR Too many errors"));
		return r < 0 ? r : pop_session_end(s, "errors");
	}
	r = stream_write(s->stream, "-ERR ", 5, pop_session_deadline(s, POP_IDLE_NS));
	return r < 0 ? r : pop_session_say(s, text);
}

/* ---- commands */

static bool line_waits(struct session *s)
{
	while (str_search(stream_peek(s->stream), STR("\r\n")) < 0)
		if (stream_fill_now(s->stream) <= 0)
			return false;
	return true;
}

static bool is_banned(const struct session *s)
{
	struct bans *b = s->core->pop->links.bans;

	return b && !s->client.is_local && bans_banned_ms(b, &s->client.ip, loop_now());
}

static int shut_out(struct session *s) SUSPENDS
{
	int r = pop_session_say(s, STR("-ERR [AUTH] Too many failed logins, come back later"));

	return r < 0 ? r : pop_session_end(s, "banned");
}

int pop_session_command(struct session *s, enum pop_verb *ret_verb, struct str *ret_args)
{
	uint64_t deadline = pop_session_deadline(s, POP_IDLE_NS);
	struct str line;
	int r = 0;

	*ret_verb = POP_BAD;
	if (s->core->stopping)
		return -ECANCELED;
	if (stream_unsent(s->stream) && !line_waits(s))
		r = stream_flush(s->stream, deadline);
	if (r < 0)
		return r;
	s->waiting = true;
	r = stream_line(s->stream, POP_LINE_MAX, deadline, &line);
	s->waiting = false;
	if (r == 0)
		return pop_session_end(s, "lost");
	if (r == -EMSGSIZE)
		return pop_session_refuse(s, STR("Line too long"));
	if (r < 0)
		return r;
	*ret_verb = pop_parse(line, ret_args);
	if (*ret_verb == POP_BAD)
		return pop_session_refuse(s, STR("This is no command"));
	if (*ret_verb != POP_PASS && *ret_verb != POP_APOP && *ret_verb != POP_AUTH)
		return 0;
	/* A connection that was there before the ban must not buy further guesses. */
	return is_banned(s) ? shut_out(s) : 0;
}

/* ---- TLS */

bool pop_session_is_private(const struct session *s)
{
	return s->client.is_local || stream_tls(s->stream);
}

bool pop_session_offers_tls(const struct session *s)
{
	return s->settings->tls != TLS_OFF && s->config->tls.server && !stream_tls(s->stream);
}

/* Limits of handshakes, before anything is computed. False: too many. */
static bool may_shake_hands(const struct session *s)
{
	struct strangers *strangers = s->core->pop->links.strangers;
	struct decision d = { .verdict = VERDICT_ACCEPT };

	if (strangers)
		strangers_handshake(strangers, s->config, &s->client, &d);
	return d.verdict == VERDICT_ACCEPT;
}

static int handshake(struct session *s) SUSPENDS
{
	struct tls_context *context = config_server_context(s->config, false);
	int r = -ENOKEY;

	if (context)
		r = stream_tls_accept(s->stream, context, pop_session_deadline(s, HANDSHAKE));
	tls_context_unref(context);
	return r < 0 && r != -ECANCELED && r != -ETIMEDOUT ? pop_session_end(s, "tls") : r;
}

int pop_session_starttls(struct session *s)
{
	int r;

	if (stream_tls(s->stream))
		return pop_session_refuse(s, STR("TLS is active already"));
	if (!pop_session_offers_tls(s))
		return pop_session_refuse(s, STR("TLS is not available"));
	if (stream_peek(s->stream).n || stream_fill_now(s->stream) > 0) {
		r = pop_session_say(s, STR("-ERR Wait for the reply before you send more"));
		return r < 0 ? r : pop_session_end(s, "blind-input");
	}
	/* As with SMTP: no invitation to go on without TLS. */
	if (!may_shake_hands(s)) {
		r = pop_session_say(s, STR("-ERR [SYS/TEMP] Too many handshakes from you"));
		return r < 0 ? r : pop_session_end(s, "limit");
	}
	s->name[0] = 0;		/* RFC 2595 4: nothing from before counts */
	r = pop_session_say(s, STR("+OK Begin TLS now"));
	if (r == 0)
		r = stream_flush(s->stream, pop_session_deadline(s, POP_IDLE_NS));
	return r < 0 ? r : handshake(s);
}

/* ---- logins */

void pop_session_let_in(struct session *s)
{
	s->logged_in = true;
	s->ends = loop_now() + POP_SESSION_NS;
}

void pop_session_welcome(struct session *s, struct str name)
{
	struct pop *p = s->core->pop;

	pop_session_let_in(s);
	if (p->links.bans && name.n)
		bans_succeeded(p->links.bans, name);
	popped_add(p->links.popped, &s->client.ip, loop_now(), s->settings->allow_ns);
	log_begin(LOG_POPPED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_str("login", name);
	log_u64("seconds", s->settings->allow_ns / SECOND);
	log_end();
}

static uint64_t credential_of(struct str name, struct str password)
{
	return hash_nocase(name) ^ hash_u64(hash_bytes(password.p, password.n));
}

static void log_banned(const struct session *s, uint64_t ms)
{
	log_begin(LOG_BANNED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_ms("ms", ms * MILLISECOND);
	log_end();
}

void pop_session_log_failed(const struct session *s, struct str name, const char *why)
{
	log_begin(LOG_LOGIN_FAILED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_str("login", name);
	log_cstr("why", why);
	log_end();
}

int pop_session_failed(struct session *s, struct str name, struct str password)
{
	struct bans *b = s->core->pop->links.bans;
	uint64_t now = loop_now();
	unsigned delay = 0;

	pop_session_log_failed(s, name, "no such user, or another password");
	if (b) {
		if (bans_failed(b, &s->client.ip, name, credential_of(name, password), now))
			log_banned(s, bans_banned_ms(b, &s->client.ip, now));
		delay = bans_delay_ms(b, &s->client.ip, name, now);
	}
	return delay ? bans_pause(delay, pop_session_deadline(s, POP_LOGIN_NS)) : 0;
}

/* ---- beginning and end */

static int run(struct session *s) SUSPENDS
{
	int r = 0;

	if (is_banned(s))
		return shut_out(s);
	if (s->settings->tls == TLS_IMPLICIT)
		r = may_shake_hands(s) ? handshake(s) : pop_session_end(s, "limit");
	if (r < 0)
		return r;
	return s->settings->has_upstream ? pop_through_run(s) : pop_own_run(s);
}

static void farewell(struct session *s, int error) SUSPENDS
{
	if (error == -ECANCELED)
		s->reason = "shutdown";
	else if (error == -ETIMEDOUT)
		s->reason = "timeout";
	if (!s->reason)
		return;
	task_uncancel();
	s->ends = loop_now() + FAREWELL;
	if (error == -ECANCELED)
		pop_session_say(s, STR("-ERR [SYS/TEMP] The service is stopping"));
	stream_linger(s->stream, s->ends);
}

static void log_end_of(const struct session *s, int error)
{
	log_begin(LOG_DISCONNECTED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_cstr("reason", s->reason ? s->reason : "lost");
	if (!s->reason)
		log_errno("error", error);
	log_u64("errors", s->errors);
	log_end();
}

static void session_main(void *arg)
{
	struct session *s = arg;
	struct pop *p = s->core->pop;
	int r;

	task_note(NULL, "pop");
	log_begin(LOG_CONNECTED);
	log_cstr("session", s->id);
	log_endpoint("client", stream_peer(s->stream));
	log_endpoint("listen", &s->listening->endpoint);
	log_end();
	r = run(s);
	farewell(s, r);
	log_end_of(s, r);
	stream_free(s->upstream);
	stream_free(s->stream);
	transcript_free(s->transcript);
	config_unref(s->config);
	list_remove(&s->in_core);
	mem_free(s);
	pop_leave(p);
}

static const struct config_pop *settings_of(const struct config *c, const struct endpoint *e)
{
	for (unsigned i = 0; c && i < c->pops_n; i++)
		if (endpoint_eq(&c->pops[i].endpoint, e))
			return &c->pops[i];
	return NULL;
}

bool pop_session_start(struct core *c, const struct door_address *l, int fd,
		       const struct endpoint *peer)
{
	struct config *config = config_current();
	const struct config_pop *settings = settings_of(config, &l->endpoint);
	struct session *s;

	if (!settings) {
		config_unref(config);
		return false;
	}
	s = mem_zalloc(sizeof(*s));
	s->core = c;
	s->listening = l;
	s->config = config;
	s->settings = settings;
	client_init(&s->client, peer);
	s->client.listen = &settings->endpoint;
	s->ends = loop_now() + POP_LOGIN_NS;
	session_id_make(s->id);
	s->task = task_start(NULL, session_main, s, "pop");
	if (!s->task) {
		config_unref(config);
		mem_free(s);
		return false;
	}
	s->stream = stream_new(fd, peer);
	s->transcript = transcript_start(config, &peer->ip, STR_NONE, s->id);
	if (s->transcript)
		stream_set_tap(s->stream, transcript_tap, s->transcript);
	list_push(&c->sessions, &s->in_core);
	return true;
}

void pop_session_stop(struct session *s)
{
	if (s->waiting)
		task_cancel(s->task);
}

void pop_session_cut(struct session *s)
{
	task_cancel(s->task);
}
