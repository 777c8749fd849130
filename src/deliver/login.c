/*
 * login - AUTH towards a next hop (RFC 4954), with the mechanisms of smtp/sasl.h.
 *
 * Only through TLS, or on this machine: elsewhere everybody could read along, or, with SCRAM, take
 * what follows over. The secret is read from its file for each connection and wiped after it, so a
 * new one needs no reload. A login that is refused is the host's failure and passes: a slip in a
 * password must not bounce mail, so it is told in the log instead, each time.
 *
 * Whoever offers SCRAM with channel binding is asked for that, also where the configuration names
 * the mechanism without it. A server must prove that it knows the secret too, where the mechanism
 * can tell. Suspends: in the dialogue, and in the pool for the secret and the arithmetic.
 */
#include "deliver/client.h"

#include "base/mem.h"
#include "smtp/base64.h"
#include "smtp/sasl.h"

#include <openssl/crypto.h>

#define SECRET_MAX 8192
#define LINE_MAX_OCTETS (2 * SASL_OCTETS_MAX)
#define INITIAL_MAX 480		/* octets that still fit into a command line of 512 */
#define STEPS_MAX 8
#define NONCE_OCTETS 18

struct login {
	struct client *client;
	const struct client_target *target;
	struct sasl_client *machine;		/* owned */
	enum sasl_mechanism mechanism;
	struct sasl_binding binding;
	unsigned char exporter[TLS_BINDING_MAX], end_point[TLS_BINDING_MAX];
	struct buf secret, line, challenge;	/* owned, wiped */
	/* of a step in the pool */
	struct str input;
	enum sasl_step step;
};

/* ---- the mechanism */

static bool has(const struct client *c, enum sasl_mechanism m)
{
	return c->offers.mechanisms & 1u << m;
}

static void add_offered(struct buf *out, const struct client *c)
{
	for (int m = SASL_NONE + 1; m < SASL_MECHANISMS_N; m++)
		if (has(c, (enum sasl_mechanism)m))
			buf_printf(out, "%s ", sasl_mechanism_name((enum sasl_mechanism)m));
}

static enum sasl_mechanism choose(const struct client *c, const struct route *r, bool has_binding)
{
	enum sasl_mechanism m = (enum sasl_mechanism)r->login_mechanism;
	struct buf offered = BUF_INIT(1024);

	if (m == SASL_SCRAM_SHA_256 && has_binding && has(c, SASL_SCRAM_SHA_256_PLUS))
		return SASL_SCRAM_SHA_256_PLUS;
	if (m == SASL_SCRAM_SHA_1 && has_binding && has(c, SASL_SCRAM_SHA_1_PLUS))
		return SASL_SCRAM_SHA_1_PLUS;
	if (m)
		return has(c, m) ? m : SASL_NONE;
	add_offered(&offered, c);
	/* who may log in here without TLS is on this machine: nothing to be protected from */
	m = sasl_client_choose(buf_str(&offered), true, has_binding, false);
	buf_done(&offered);
	return m;
}

static void bind_channel(struct login *l)
{
	const struct stream *s = l->client->stream;

	l->binding.exporter = str_make((char *)l->exporter, stream_tls_exporter(s, l->exporter));
	l->binding.end_point =
		str_make((char *)l->end_point, stream_tls_end_point(s, l->end_point));
}

/* Another hash is offered with binding, ours without: to say "y" would look like an attack. */
static void unbind(struct login *l)
{
	const struct client *c = l->client;

	if (!sasl_mechanism_has_plus(l->mechanism) &&
	    (has(c, SASL_SCRAM_SHA_256_PLUS) || has(c, SASL_SCRAM_SHA_1_PLUS)))
		l->binding = (struct sasl_binding){ .exporter = STR_NONE };
}

/* ---- the secret */

static int read_secret(void *arg)
{
	struct login *l = arg;
	struct buf error = BUF_INIT(sizeof(l->client->why) - 1);
	bool ok = config_secret(l->target->config, l->target->route->login_secret, &l->secret,
				&error);

	if (!ok)
		str_copy(l->client->why, sizeof(l->client->why), buf_str(&error));
	buf_done(&error);
	return ok ? 0 : -1;
}

static void wipe(struct buf *b)
{
	if (b->p)
		OPENSSL_cleanse(b->p, b->size);
	buf_done(b);
}

static void make_machine(struct login *l)
{
	unsigned char noise[NONCE_OCTETS];
	struct buf nonce = BUF_INIT(64);

	world_self()->random(world_self(), noise, sizeof(noise));
	base64_encode(&nonce, noise, sizeof(noise));
	l->machine = sasl_client_new(l->mechanism, &l->binding, l->target->route->login_user,
				     buf_str(&l->secret), buf_str(&nonce), l->target->host,
				     l->client->endpoint.port);
	buf_done(&nonce);
}

/* ---- the dialogue */

static int step_in_pool(void *arg)
{
	struct login *l = arg;

	l->step = sasl_client_step(l->machine, l->input);
	return 0;
}

/* A line, and 235 or 334. */
static enum failure say(struct login *l) SUSPENDS
{
	struct client *c = l->client;
	enum failure f;

	f = client_command(c, buf_str(&l->line), 2);
	if (f != FAIL_GARBAGE || c->reader.reply.code != 334)
		return f;
	c->broken = false;		/* 334 is no garbage here */
	return FAIL_NONE;
}

static bool is_asked(const struct login *l)
{
	return l->client->reader.reply.code == 334;
}

static enum failure give_up(struct login *l) SUSPENDS
{
	struct client *c = l->client;

	str_copy(c->why, sizeof(c->why), str_of(sasl_client_why(l->machine)));
	buf_clear(&l->line);
	buf_add_byte(&l->line, '*');
	if (is_asked(l))
		say(l);
	return FAIL_UNPROVEN;
}

static void add_response(struct login *l)
{
	struct str out = sasl_client_out(l->machine);

	base64_encode(&l->line, out.p, out.n);
}

static enum failure begin(struct login *l, bool *ret_given) SUSPENDS
{
	struct str out = sasl_client_out(l->machine);

	*ret_given = sasl_client_has_initial(l->machine) && out.n * 4 / 3 < INITIAL_MAX;
	buf_printf(&l->line, "AUTH %s", sasl_mechanism_name(l->mechanism));
	if (*ret_given) {
		buf_add_byte(&l->line, ' ');
		if (out.n)
			add_response(l);
		else
			buf_add_byte(&l->line, '=');
	}
	return say(l);
}

/* One challenge and its answer. */
static enum failure answer(struct login *l, bool is_initial) SUSPENDS
{
	buf_clear(&l->challenge);
	buf_clear(&l->line);
	if (!is_initial) {
		if (!base64_decode(&l->challenge, str_trim(l->client->reader.reply.text)))
			return FAIL_GARBAGE;
		l->input = buf_str(&l->challenge);
		net_offload(step_in_pool, l);
		if (l->step == SASL_FAILED)
			return give_up(l);
	}
	add_response(l);
	return say(l);
}

static enum failure talk(struct login *l) SUSPENDS
{
	enum failure f;
	bool given;

	net_offload(step_in_pool, l);
	if (l->step == SASL_FAILED) {
		str_copy(l->client->why, sizeof(l->client->why),
			 str_of(sasl_client_why(l->machine)));
		return FAIL_NO_SECRET;
	}
	f = begin(l, &given);
	for (unsigned i = 0; !f && is_asked(l); i++) {
		if (i == STEPS_MAX)
			return FAIL_GARBAGE;
		f = answer(l, !given && !i && sasl_client_has_initial(l->machine));
	}
	if (!f && !sasl_client_is_done(l->machine)) {
		l->client->broken = true;
		f = FAIL_UNPROVEN;
	}
	return f;
}

static enum failure log_in(struct login *l) SUSPENDS
{
	struct client *c = l->client;

	if (!c->trust.is_encrypted && !endpoint_is_here(&c->endpoint))
		return FAIL_NO_TLS;
	bind_channel(l);
	l->mechanism = choose(c, l->target->route, l->binding.exporter.n || l->binding.end_point.n);
	if (l->mechanism == SASL_NONE)
		return FAIL_NO_MECHANISM;
	unbind(l);
	if (net_offload(read_secret, l) < 0)
		return FAIL_NO_SECRET;
	make_machine(l);
	return talk(l);
}

static void tell(const struct login *l, enum failure f)
{
	const struct client *c = l->client;

	log_begin(LOG_WARNING);
	log_cstr("what", "the login at a next hop failed; its mail waits");
	log_cstr("session", c->session);
	log_cstr("host", c->host);
	log_str("user", l->target->route->login_user);
	log_cstr("mechanism", l->mechanism ? sasl_mechanism_name(l->mechanism) : "none");
	log_cstr("why", error_find(STAGE_LOGIN, f)->text);
	if (failure_is_reply(f))
		log_reply("reply", &c->reader.reply);
	else
		log_cstr("detail", c->why);
	log_end();
}

enum failure client_login(struct client *c, const struct client_target *t)
{
	struct login *l = mem_zalloc(sizeof(*l));
	enum failure f;

	*l = (struct login){.client = c,
			    .target = t,
			    .secret = BUF_INIT(SECRET_MAX),
			    .line = BUF_INIT(LINE_MAX_OCTETS),
			    .challenge = BUF_INIT(LINE_MAX_OCTETS)};
	/* what holds secrets must not move: it would leave copies behind */
	buf_reserve(&l->secret, l->secret.max);
	buf_reserve(&l->line, l->line.max);
	f = log_in(l);
	if (f && f != FAIL_CANCELLED)
		tell(l, f);
	sasl_client_free(l->machine);
	wipe(&l->secret);
	wipe(&l->line);
	wipe(&l->challenge);
	mem_free(l);
	return f;
}
