/*
 * auth - AUTH: a client says who it is, and proves it (RFC 4954; mechanisms in smtp/sasl.h).
 *
 * The machine of the mechanism (sasl_server) takes what the client sends and says what it must be
 * told: an answer to send, a password, a secret or a token to judge. What it asks for is looked up
 * in the backends (logins.c). SCRAM for somebody whom no users file knows, and a token that no
 * server knows, are Dovecot's if it offers the mechanism: then the conversation passes through.
 *
 * A failure is counted at once, before the client can hang up, and the answer comes the later the
 * more there were; in the end the client is shut out (policy/bans.h). The log has the name that was
 * given, never a password; the buffers that held one are wiped.
 *
 * Offered only under TLS or to clients on this machine: others have nothing to say that somebody in
 * between could not hear.
 */
#include "receive/session.h"

#include "base/hash.h"
#include "net/tls.h"
#include "receive/logins.h"
#include "smtp/base64.h"

#include <errno.h>
#include <openssl/crypto.h>

#define BACKEND_WAIT (30 * SECOND)	/* Dovecot answers a wrong password after 2 s or more */
#define NONCE_OCTETS 18
#define NONCE_MAX 32
#define PLUS (1u << SASL_SCRAM_SHA_1_PLUS | 1u << SASL_SCRAM_SHA_256_PLUS)

enum ending {
	AUTH_GOOD, AUTH_WRONG, AUTH_LATER, AUTH_CANCELLED, AUTH_NO_BASE64, AUTH_TOO_LONG,
	AUTH_GOES_ON,		/* no ending: the client's answer is there */
};

struct exchange {
	struct session *session;
	enum sasl_mechanism mechanism;
	struct sasl_server *machine;	/* owned */
	struct dovecot *dovecot;	/* owned; the conversation passes through, or NULL */
	struct buf octets;		/* owned; what the client sent last: secret */
	struct buf first;		/* owned; its first message: secret */
	struct dovecot_client who;
	struct endpoint local;
	struct login login;
	bool counted, banned;		/* as a failure */
};

/* ---- what may be used */

static bool has_binding(const struct session *s)
{
	unsigned char octets[TLS_BINDING_MAX];

	return session_has_tls(s) && (stream_tls_exporter(s->stream, octets) ||
				      stream_tls_end_point(s->stream, octets));
}

unsigned session_mechanisms(const struct session *s)
{
	unsigned m = s->reception->receive->help.logins ? s->listen->mechanisms : 0;

	if (session_lacks_tls(s) || (!session_has_tls(s) && !s->client.is_local))
		return 0;
	return m & PLUS && !has_binding(s) ? m & ~PLUS : m;
}

/* ---- one exchange: beginning and end */

static void wipe(struct buf *b)
{
	if (b->p)
		OPENSSL_cleanse(b->p, b->size);
	buf_clear(b);
}

static void make_nonce(char nonce[NONCE_MAX])
{
	struct world *w = world_self();
	unsigned char octets[NONCE_OCTETS];
	struct buf text = { .p = nonce, .size = NONCE_MAX, .max = NONCE_MAX };

	w->random(w, octets, sizeof(octets));
	base64_encode(&text, octets, sizeof(octets));
	buf_cstr(&text);
}

static void exchange_begin(struct exchange *e, struct session *s, enum sasl_mechanism m)
{
	unsigned char exporter[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX];
	struct sasl_binding binding = { 0 };
	char nonce[NONCE_MAX];

	*e = (struct exchange){ .session = s, .mechanism = m,
				.octets = BUF_INIT(COMMAND_LINE_AUTH_MAX),
				.first = BUF_INIT(COMMAND_LINE_AUTH_MAX) };
	if (session_mechanisms(s) & PLUS) {
		binding.exporter = str_make((char *)exporter,
					    stream_tls_exporter(s->stream, exporter));
		binding.end_point = str_make((char *)end_point,
					     stream_tls_end_point(s->stream, end_point));
	}
	make_nonce(nonce);
	e->machine = sasl_server_new(m, &binding, str_of(nonce));
	e->who = (struct dovecot_client){
		.remote = &s->peer,
		.local = stream_local(s->stream, &e->local) == 0 ? &e->local : NULL,
		.secured = true,	/* else nobody comes here */
		.has_certificate = s->client.certificate_verified,
		.session = str_of(s->id),
	};
}

static void exchange_end(struct exchange *e)
{
	sasl_server_free(e->machine);
	dovecot_close(e->dovecot);
	wipe(&e->octets);
	wipe(&e->first);
	buf_done(&e->octets);
	buf_done(&e->first);
}

static uint64_t backend_deadline(const struct exchange *e)
{
	return session_deadline(e->session, BACKEND_WAIT);
}

/* ---- challenge and answer */

static int say_challenge(struct session *s, struct str out) SUSPENDS
{
	struct buf line = BUF_INIT(2 * SASL_OCTETS_MAX);
	int r;

	buf_add_lit(&line, "334 ");
	base64_encode(&line, out.p, out.n);
	buf_add_lit(&line, "\r\n");
	r = session_say(s, buf_str(&line));
	wipe(&line);
	buf_done(&line);
	return r < 0 ? r : session_flush(s);
}

/* An enum ending (GOES_ON: e->octets is the answer), or it is over. */
static int challenge(struct exchange *e, struct str out) SUSPENDS
{
	struct session *s = e->session;
	struct str line;
	int r = say_challenge(s, out);

	if (r < 0)
		return r;
	s->waiting = true;
	r = stream_line(s->stream, COMMAND_LINE_AUTH_MAX,
			session_deadline(s, s->listen->timeout_ns), &line);
	s->waiting = false;
	if (r == 0)
		return session_lost(s);
	if (r == -EMSGSIZE)
		return AUTH_TOO_LONG;
	if (r < 0)
		return r == -ECONNABORTED ? session_end(s, "flood") : r;
	wipe(&e->octets);
	if (str_eq(line, STR("*")))
		return AUTH_CANCELLED;
	return base64_decode(&e->octets, line) ? AUTH_GOES_ON : AUTH_NO_BASE64;
}

/* "user\0password", keyed: tells a telephone that repeats itself from one who guesses. */
static uint64_t credential_of(const struct exchange *e)
{
	struct str user = sasl_server_user(e->machine);
	struct str password = sasl_server_password(e->machine);

	if (!password.n)
		return 0;
	return hash_bytes(password.p, password.n) * 31 + hash_nocase(user) + 1;
}

static void count_failure(struct exchange *e, uint64_t credential)
{
	struct session *s = e->session;
	struct bans *b = logins_bans(s->reception->receive->help.logins);

	if (e->counted)
		return;
	e->counted = true;
	e->banned = bans_failed(b, &s->client.ip, sasl_server_user(e->machine), credential,
				loop_now());
}

/* ---- Dovecot has it */

/* Dovecot said yes. An ending. */
static int take_over(struct exchange *e) SUSPENDS
{
	struct session *s = e->session;
	int r;

	str_copy(e->login.user, sizeof(e->login.user), dovecot_user(e->dovecot));
	r = logins_admit(s->reception->receive->help.logins, s->config,
			 sasl_server_user(e->machine), &e->login);
	if (r == LOGIN_LATER)
		return AUTH_LATER;
	if (r == LOGIN_WRONG) {
		count_failure(e, 0);
		return AUTH_WRONG;
	}
	r = dovecot_out(e->dovecot).n ? challenge(e, dovecot_out(e->dovecot)) : AUTH_GOES_ON;
	return r == AUTH_GOES_ON ? AUTH_GOOD : r;
}

static int pass_through(struct exchange *e, int answer) SUSPENDS
{
	while (answer == DOVECOT_CONTINUE) {
		int r = challenge(e, dovecot_out(e->dovecot));

		if (r != AUTH_GOES_ON)
			return r;
		answer = dovecot_continue(e->dovecot, buf_str(&e->octets), backend_deadline(e));
	}
	if (answer == -ECANCELED)
		return answer;
	e->login.backend = "dovecot";
	if (answer == DOVECOT_OK)
		return take_over(e);
	if (answer == DOVECOT_FAIL) {
		count_failure(e, 0);
		str_copy(e->login.why, sizeof(e->login.why), STR("wrong"));
		return AUTH_WRONG;
	}
	str_copy(e->login.why, sizeof(e->login.why), STR("Dovecot does not answer"));
	return AUTH_LATER;
}

/* An ending if Dovecot took over; GOES_ON: it is not Dovecot's. */
static int try_dovecot(struct exchange *e) SUSPENDS
{
	int r;

	if (sasl_mechanism_has_plus(e->mechanism))	/* it does not know of our TLS */
		return AUTH_GOES_ON;
	r = logins_dovecot(e->session->config, e->mechanism, &e->who, buf_str(&e->first),
			   backend_deadline(e), &e->dovecot);
	return r == -ENOENT ? AUTH_GOES_ON : pass_through(e, r);
}

/* ---- what the machine wants. Each sets *ret and returns GOES_ON, or an ending. */

static int judge(struct exchange *e, int verdict, enum sasl_step *ret)
{
	if (verdict < 0)
		return verdict;
	if (verdict == LOGIN_LATER)
		return AUTH_LATER;
	if (verdict == LOGIN_WRONG)
		count_failure(e, credential_of(e));
	*ret = sasl_server_judge(e->machine, verdict == LOGIN_GOOD);
	return AUTH_GOES_ON;
}

static int find_password(struct exchange *e, enum sasl_step *ret) SUSPENDS
{
	struct session *s = e->session;

	return judge(e, logins_password(s->reception->receive->help.logins, s->config, &e->who,
					sasl_server_user(e->machine),
					sasl_server_password(e->machine), backend_deadline(e),
					&e->login), ret);
}

static int find_token(struct exchange *e, enum sasl_step *ret) SUSPENDS
{
	struct session *s = e->session;
	int r, verdict = logins_token(s->reception->receive->help.logins, s->config,
				      sasl_server_user(e->machine),
				      sasl_server_password(e->machine), backend_deadline(e),
				      &e->login);

	if (verdict == LOGIN_WRONG || verdict == LOGIN_LATER) {
		r = try_dovecot(e);
		if (r != AUTH_GOES_ON)
			return r;
	}
	return judge(e, verdict, ret);
}

static int find_secret(struct exchange *e, enum sasl_step *ret) SUSPENDS
{
	struct session *s = e->session;
	bool sha1 = e->mechanism == SASL_SCRAM_SHA_1 || e->mechanism == SASL_SCRAM_SHA_1_PLUS;
	struct scram_secret secret;
	int verdict = logins_scram(s->reception->receive->help.logins, s->config,
				   sasl_server_user(e->machine), sha1, &secret, &e->login);
	int r = verdict == LOGIN_WRONG ? try_dovecot(e) : AUTH_GOES_ON;

	if (verdict == LOGIN_LATER)
		r = AUTH_LATER;
	else if (r == AUTH_GOES_ON)
		*ret = sasl_server_secret(e->machine, &secret, verdict == LOGIN_GOOD);
	OPENSSL_cleanse(&secret, sizeof(secret));
	return r;
}

/* DONE or FAILED: the machine's last words, and the ending. */
static int last_words(struct exchange *e, bool good) SUSPENDS
{
	struct str out = sasl_server_out(e->machine);
	int r = AUTH_GOES_ON;

	if (!good)
		count_failure(e, credential_of(e));
	if (!good && !e->login.why[0])
		str_copy(e->login.why, sizeof(e->login.why), str_of(sasl_server_why(e->machine)));
	if (out.n)
		r = challenge(e, out);
	if (r < 0)
		return r;
	if (good)
		return r == AUTH_GOES_ON ? AUTH_GOOD : r;
	return AUTH_WRONG;
}

static int converse(struct exchange *e, bool has_initial) SUSPENDS
{
	enum sasl_step step = sasl_server_step(e->machine, buf_str(&e->octets), has_initial);
	bool is_first = has_initial;
	int r = AUTH_GOES_ON;

	for (;;) {
		if (is_first)
			buf_add_str(&e->first, buf_str(&e->octets));
		is_first = false;
		switch (step) {
		case SASL_SEND:
			r = challenge(e, sasl_server_out(e->machine));
			if (r != AUTH_GOES_ON)
				return r;
			is_first = !e->first.n;
			step = sasl_server_step(e->machine, buf_str(&e->octets), true);
			break;
		case SASL_WANTS_PASSWORD:
			r = find_password(e, &step);
			break;
		case SASL_WANTS_SECRET:
			r = find_secret(e, &step);
			break;
		case SASL_WANTS_TOKEN:
			r = find_token(e, &step);
			break;
		case SASL_DONE:
			return last_words(e, true);
		case SASL_FAILED:
			return last_words(e, false);
		}
		if (r != AUTH_GOES_ON)
			return r;
	}
}

/* ---- what comes of it */

static void log_login(const struct exchange *e, enum log_event event, int ending)
{
	const struct session *s = e->session;
	struct str user = str_of(e->login.user);

	log_begin(event);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_str("user", event == LOG_LOGIN ? user : sasl_server_user(e->machine));
	log_cstr("mechanism", sasl_mechanism_name(e->mechanism));
	if (e->login.backend)
		log_cstr("backend", e->login.backend);
	if (event == LOG_LOGIN_FAILED) {
		log_cstr("result", ending == AUTH_LATER ? "later" : "wrong");
		log_str("why", str_of(e->login.why));
	}
	log_cstr("tls", session_has_tls(s) ? "yes" : "no");
	log_end();
}

static void log_banned(const struct session *s)
{
	struct bans *b = logins_bans(s->reception->receive->help.logins);

	log_begin(LOG_BANNED);
	log_cstr("session", s->id);
	log_ip("client", &s->client.ip);
	log_ms("ms", bans_banned_ms(b, &s->client.ip, loop_now()) * MILLISECOND);
	log_end();
}

static void log_failure(const struct exchange *e)
{
	log_login(e, LOG_LOGIN_FAILED, AUTH_WRONG);
	if (e->banned && !e->session->client.is_local)
		log_banned(e->session);
}

/* The answer to a guess comes the later the more guesses there were. */
static int pause_for(struct exchange *e, struct str user) SUSPENDS
{
	struct session *s = e->session;
	struct bans *b = logins_bans(s->reception->receive->help.logins);
	unsigned delay_ms = bans_delay_ms(b, &s->client.ip, user, loop_now());
	int r;

	if (!delay_ms)
		return 0;
	s->waiting = true;
	r = bans_pause(delay_ms, session_deadline(s, NEVER / 2));
	s->waiting = false;
	return r;
}

static int succeed(struct exchange *e) SUSPENDS
{
	struct session *s = e->session;
	struct strangers *strangers = s->reception->receive->help.strangers;
	struct decision d = { .verdict = VERDICT_ACCEPT };
	int r = pause_for(e, sasl_server_user(e->machine));

	if (r < 0)
		return r;
	bans_succeeded(logins_bans(s->reception->receive->help.logins), str_of(e->login.user));
	session_set_login(s, str_of(e->login.user));
	log_login(e, LOG_LOGIN, AUTH_GOOD);
	if (strangers)
		strangers_logged_in(strangers, s->config, &s->client, &s->stranger, &d);
	if (d.verdict != VERDICT_ACCEPT)
		return session_dismiss(s, d.reply, "limit");
	return session_say(s, STR("235 2.7.0 Welcome\r\n"));
}

#define ENOUGH REPLY(421, 4, 7, 0, "Too many failed logins, closing")

static int fail(struct exchange *e) SUSPENDS
{
	struct session *s = e->session;
	int r;

	log_failure(e);
	if (e->banned && !s->client.is_local)
		return session_dismiss(s, ENOUGH, "banned");
	r = pause_for(e, sasl_server_user(e->machine));
	return r < 0 ? r : session_refuse(s, REPLY(535, 5, 7, 8, "Wrong name or password"));
}

static int conclude(struct exchange *e, int ending) SUSPENDS
{
	struct session *s = e->session;

	switch (ending) {
	case AUTH_GOOD:
		return succeed(e);
	case AUTH_WRONG:
		return fail(e);
	case AUTH_LATER:
		log_login(e, LOG_LOGIN_FAILED, AUTH_LATER);
		return session_refuse(s, REPLY(454, 4, 7, 0, "Logins cannot be judged just now"));
	case AUTH_CANCELLED:
		return session_refuse(s, REPLY(501, 5, 7, 0, "Cancelled"));
	case AUTH_NO_BASE64:
		return session_refuse(s, REPLY(501, 5, 5, 2, "That is not base64"));
	case AUTH_TOO_LONG:
		return session_refuse(s, REPLY(500, 5, 5, 6, "Line too long"));
	}
	if (e->counted)
		log_failure(e);		/* he hung up on the challenge that says so */
	return ending;
}

/* What speaks against this AUTH; .code 0: nothing. */
static struct reply objection(const struct session *s, enum sasl_mechanism m)
{
	unsigned may = session_mechanisms(s);

	if (!s->reception->receive->help.logins || !s->listen->mechanisms)
		return REPLY(502, 5, 5, 1, "Nobody logs in here");
	if (s->client.login.n)
		return REPLY(503, 5, 5, 1, "You have logged in already");
	if (s->transaction.open)
		return REPLY(503, 5, 5, 1, "Not within a transaction");
	if (!may)
		return REPLY(538, 5, 7, 11, "Say STARTTLS first");
	if (m == SASL_NONE || !(may & 1u << m))
		return REPLY(504, 5, 5, 4, "That mechanism is not offered");
	return (struct reply){ 0 };
}

/* Connections that were there before the ban must not buy further guesses. */
static bool is_banned(const struct session *s)
{
	struct bans *b = logins_bans(s->reception->receive->help.logins);

	return !s->client.is_local && bans_banned_ms(b, &s->client.ip, loop_now());
}

/* args are read before the first wait: the line is borrowed. */
int auth_handle(struct session *s, struct str args)
{
	struct str word = str_word(&args), initial = str_word(&args);
	enum sasl_mechanism m = sasl_mechanism_find(word);
	struct reply reply = objection(s, m);
	struct exchange *e;
	int r = AUTH_GOES_ON;

	if (!reply.code && (str_trim(args).n || !word.n))
		reply = REPLY(501, 5, 5, 4, "AUTH takes a mechanism and an initial response");
	if (reply.code)
		return session_refuse(s, reply);
	if (is_banned(s))
		return session_dismiss(s, ENOUGH, "banned");
	e = arena_alloc(&s->transaction.arena, sizeof(*e));
	exchange_begin(e, s, m);
	if (initial.n && !str_eq(initial, STR("=")) && !base64_decode(&e->octets, initial))
		r = AUTH_NO_BASE64;
	if (r == AUTH_GOES_ON)
		r = converse(e, initial.n > 0);
	r = conclude(e, r);
	exchange_end(e);
	transaction_reset(s);
	return r;
}
