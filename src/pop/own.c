/*
 * own - a listener with the relay's own users: a login, and an empty mailbox behind it.
 *
 * USER and PASS ask the users; before TLS they are refused, except on this machine. APOP (if the
 * listener has it) needs a secret that both sides know in clear, which no users file holds: it is
 * the first line of the file NAME.apop in the `secrets` folder, beside whatever else lies there.
 * The users file still says who there is, and who is disabled. The timestamp is a random number, so
 * an answer that was heard once is of no use again.
 */
#include "pop/service.h"

#include "base/mem.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>

#define VERIFY_NS (20 * SECOND)
#define SECRET_MAX 1024

/* ---- what it can */

static int capabilities(struct session *s) SUSPENDS
{
	struct buf b = BUF_INIT(512);
	int r;

	buf_add_lit(&b, "+OK\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nUIDL\r\nTOP\r\n");
	if (pop_session_is_private(s))
		buf_add_lit(&b, "USER\r\n");
	if (pop_session_offers_tls(s))
		buf_add_lit(&b, "STLS\r\n");
	buf_add_lit(&b, ".");
	r = pop_session_say(s, buf_str(&b));
	buf_done(&b);
	return r;
}

/* ---- logins */

static int judge(struct session *s, int right, struct str name, struct str password) SUSPENDS
{
	int r;

	if (right < 0)
		return right == -ECANCELED
			       ? right
			       : pop_session_say(s, STR("-ERR [SYS/TEMP] Try again later"));
	if (right) {
		pop_session_welcome(s, name);
		return pop_session_say(s, STR("+OK Logged in"));
	}
	r = pop_session_failed(s, name, password);
	s->name[0] = 0;
	return r < 0 ? r : pop_session_refuse(s, STR("[AUTH] Wrong name or password"));
}

static int user(struct session *s, struct str args) SUSPENDS
{
	if (!pop_session_is_private(s))
		return pop_session_refuse(s, STR("[AUTH] Only under TLS: say STLS first"));
	if (!args.n || args.n > POP_NAME_MAX)
		return pop_session_refuse(s, STR("USER wants a name"));
	str_copy(s->name, sizeof(s->name), args);
	return pop_session_say(s, STR("+OK"));	/* whoever it is */
}

static int pass(struct session *s, struct str args) SUSPENDS
{
	const struct pop_links *l = &s->core->pop->links;
	struct str name = str_of(s->name), password;
	char *copy;
	int r = 0;

	if (!pop_session_is_private(s))
		return pop_session_refuse(s, STR("[AUTH] Only under TLS: say STLS first"));
	if (!name.n)
		return pop_session_refuse(s, STR("Say USER first"));
	copy = str_dup(args);		/* the line does not outlive a wait */
	password = str_make(copy, args.n);
	if (l->verify)
		r = l->verify(l->arg, s->config, &s->client.ip, name, password,
			      pop_session_deadline(s, VERIFY_NS));
	r = judge(s, r, name, password);
	OPENSSL_cleanse(copy, args.n);
	mem_free(copy);
	return r;
}

struct secret_question {
	const struct config *config;
	struct str name;
	struct buf secret, error;
};

static int read_secret(void *arg)
{
	struct secret_question *q = arg;

	return config_secret(q->config, q->name, &q->secret, &q->error);
}

/* 1 right, 0 wrong, -errno. Who does not exist costs a look at the folder, too. */
static int check_apop(struct session *s, struct str name, struct str digest) SUSPENDS
{
	const struct pop_links *l = &s->core->pop->links;
	struct secret_question q = { .config = s->config, .secret = BUF_INIT(SECRET_MAX),
				     .error = BUF_INIT(SECRET_MAX) };
	struct buf file = BUF_INIT(SECRET_MAX);
	int r = l->find ? l->find(l->arg, s->config, name, &file) : 0;

	if (r == 0)
		buf_add_str(&file, name);
	buf_add_lit(&file, ".apop");
	q.name = buf_str(&file);
	if (r >= 0 && !net_offload(read_secret, &q))
		r = 0;
	if (r == 1)
		r = pop_apop_is(str_of(s->timestamp), buf_str(&q.secret), digest);
	if (q.secret.p)
		OPENSSL_cleanse(q.secret.p, q.secret.size);
	buf_done(&q.secret);
	buf_done(&q.error);
	buf_done(&file);
	return r;
}

static int apop(struct session *s, struct str args) SUSPENDS
{
	struct str name, digest;
	char *copy;
	int r;

	if (!s->timestamp[0] || !pop_apop_parse(args, &name, &digest))
		return pop_session_refuse(s, STR("Not available, or bad arguments"));
	copy = str_dup(args);		/* the line does not outlive a wait */
	pop_apop_parse(str_make(copy, args.n), &name, &digest);
	r = judge(s, check_apop(s, name, digest), name, digest);
	mem_free(copy);
	return r;
}

static int authorization(struct session *s, enum pop_verb verb, struct str args) SUSPENDS
{
	switch (verb) {
	case POP_USER:
		return user(s, args);
	case POP_PASS:
		return pass(s, args);
	case POP_APOP:
		return apop(s, args);
	case POP_STLS:
		return pop_session_starttls(s);
	case POP_UNKNOWN:
	case POP_AUTH:
		return pop_session_refuse(s, STR("Unknown command"));
	default:
		return pop_session_refuse(s, STR("Log in first"));
	}
}

/* ---- the mailbox: there is nothing in it */

static int mailbox(struct session *s, enum pop_verb verb, struct str args) SUSPENDS
{
	switch (verb) {
	case POP_STAT:
		return pop_session_say(s, STR("+OK 0 0"));
	case POP_LIST:
	case POP_UIDL:
		if (str_trim(args).n)
			return pop_session_refuse(s, STR("No such message"));
		return pop_session_say(s, STR("+OK\r\n."));
	case POP_RETR:
	case POP_TOP:
	case POP_DELE:
		return pop_session_refuse(s, STR("No such message"));
	case POP_NOOP:
	case POP_RSET:
		return pop_session_say(s, STR("+OK"));
	case POP_UNKNOWN:
		return pop_session_refuse(s, STR("Unknown command"));
	default:
		return pop_session_refuse(s, STR("You have logged in already"));
	}
}

/* ---- the conversation */

static int greet(struct session *s) SUSPENDS
{
	struct buf b = BUF_INIT(512);
	uint64_t chance[2];
	int r;

	buf_add_lit(&b, "+OK POP3");
	if (s->settings->apop) {
		world_self()->random(world_self(), chance, sizeof(chance));
		snprintf(s->timestamp, sizeof(s->timestamp), "<%016llx%016llx@%.*s>",
			 (unsigned long long)chance[0], (unsigned long long)chance[1],
			 (int)(s->config->hostname.n < 80 ? s->config->hostname.n : 80),
			 s->config->hostname.p);
		buf_printf(&b, " %s", s->timestamp);
	}
	r = pop_session_say(s, buf_str(&b));
	buf_done(&b);
	return r;
}

static int bye(struct session *s) SUSPENDS
{
	int r = pop_session_say(s, STR("+OK Bye"));

	return r < 0 ? r : pop_session_end(s, "quit");
}

int pop_own_run(struct session *s)
{
	int r = greet(s);

	while (r >= 0) {
		struct str args = STR_NONE;
		enum pop_verb verb;

		r = pop_session_command(s, &verb, &args);
		if (r < 0 || verb == POP_BAD)
			continue;
		if (verb == POP_CAPA)
			r = capabilities(s);
		else if (verb == POP_QUIT)
			r = bye(s);
		else if (s->logged_in)
			r = mailbox(s, verb, args);
		else
			r = authorization(s, verb, args);
	}
	return r;
}
