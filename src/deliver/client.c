/*
 * client - one SMTP or LMTP session out (RFC 5321 3.1, 3.2; RFC 2033).
 *
 * Every reply has one deadline for all of it, however slowly it trickles in, and may be long: lines
 * up to REPLY_OCTETS_MAX are taken, of which reply_reader keeps the first 4 KiB. Whatever breaks
 * the dialogue - a lost connection, a time-out, something that is no reply - sets .broken: such a
 * connection is closed without QUIT, as nobody knows what the other side would make of it. What a
 * failure means is said by errors.c, not here.
 */
#include "deliver/client.h"

#include "base/mem.h"
#include "deliver/own.h"

#include <errno.h>

#define REPLY_OCTETS_MAX (12 * 1024)	/* of one line; RFC 5321 4.5.3.1.5 says 512 */
#define QUIT_FLUSH_MS 1000
#define QUIT_END_MS 1000	/* of one that refused to talk to us */
#define SMTP_PORT 25

uint64_t deadline_in(uint64_t ns)
{
	uint64_t at;

	return __builtin_add_overflow(loop_now(), ns, &at) ? NEVER : at;
}

enum failure client_failed(struct client *c, ssize_t error)
{
	c->broken = true;
	switch (error) {
	case -ECANCELED:
		return FAIL_CANCELLED;
	case -ETIMEDOUT:
		return FAIL_TIMEOUT;
	case -EPROTO:
	case -EMSGSIZE:
	case -ECONNABORTED:
		return FAIL_GARBAGE;
	default:
		return FAIL_LOST;
	}
}

enum failure client_write_until(struct client *c, struct str octets, uint64_t deadline)
{
	int r = stream_write(c->stream, octets.p, octets.n, deadline);

	return r < 0 ? client_failed(c, r) : FAIL_NONE;
}

enum failure client_write(struct client *c, struct str octets)
{
	return client_write_until(c, octets, deadline_in(c->timeout_ns));
}

enum failure client_flush_until(struct client *c, uint64_t deadline)
{
	int r = stream_flush(c->stream, deadline);

	return r < 0 ? client_failed(c, r) : FAIL_NONE;
}

enum failure client_flush(struct client *c)
{
	return client_flush_until(c, deadline_in(c->timeout_ns));
}

static enum failure read_reply(struct client *c, uint64_t deadline) SUSPENDS
{
	struct str line;
	int r;

	reply_reader_reset(&c->reader);
	do {
		r = stream_line(c->stream, REPLY_OCTETS_MAX, deadline, &line);
		if (r <= 0)
			return client_failed(c, r);
		r = reply_reader_line(&c->reader, line);
	} while (r == 0);
	return r < 0 ? client_failed(c, -EPROTO) : FAIL_NONE;
}

enum failure client_expect(struct client *c, unsigned class, uint64_t timeout_ns)
{
	enum failure f = read_reply(c, deadline_in(timeout_ns));

	if (!f)
		f = failure_of_reply(&c->reader.reply, class);
	if (f == FAIL_421 || f == FAIL_GARBAGE)
		c->broken = true;
	return f;
}

/* A hint of the poller may be stale: what it told of may have been read with the octets before. */
bool client_has_input(struct client *c)
{
	return stream_peek(c->stream).n || stream_fill_now(c->stream) != -EAGAIN;
}

bool client_may_go_on(const struct client *c)
{
	return !c->broken && c->messages < c->messages_max &&
	       (!c->offers.mail_max || c->messages < c->offers.mail_max);
}

/* ---- the beginning */

enum failure client_command(struct client *c, struct str line, unsigned class)
{
	enum failure f = client_write(c, line);

	if (!f)
		f = client_write(c, STR("\r\n"));
	if (!f)
		f = client_flush(c);
	return f ? f : client_expect(c, class, c->timeout_ns);
}

static enum failure ask(struct client *c, const char *verb, struct str argument) SUSPENDS
{
	struct buf line = BUF_INIT(COMMAND_LINE_MAX);
	enum failure f;

	buf_printf(&line, "%s %.*s", verb, STR_ARG(argument));
	f = client_command(c, buf_str(&line), 2);
	buf_done(&line);
	return f;
}

static struct str our_name(const struct client_target *t)
{
	return t->source && t->source->helo.n ? t->source->helo : t->config->hostname;
}

/* EHLO, or HELO where EHLO is unknown (RFC 5321 3.2); LMTP knows only LHLO. */
static enum failure hello(struct client *c, struct str name) SUSPENDS
{
	enum failure f = ask(c, c->protocol == ROUTE_LMTP ? "LHLO" : "EHLO", name);
	struct str rest;

	if (!f) {
		ehlo_parse(&c->reader.reply, &c->offers);
		c->offered = offers_bits(&c->offers);
		return f;
	}
	if (f != FAIL_5XX || c->protocol == ROUTE_LMTP)
		return f;
	f = ask(c, "HELO", name);
	rest = c->reader.reply.text;
	if (!f)
		str_copy(c->offers.name, sizeof(c->offers.name), str_word(&rest));
	return f;
}

/*
 * A host that says our own name is us, if it listens where mail exchangers do. On other ports it
 * may be a filter or an LMTP server that shares our machine and its name, and so may anything be
 * that speaks LMTP.
 */
static bool is_ourselves(const struct client *c, const struct client_target *t)
{
	uint16_t port = c->endpoint.port;

	return c->protocol == ROUTE_SMTP &&
	       (port == SMTP_PORT || (t->route->is_mx && port == t->route->mx_port)) &&
	       own_has_name(t->config, str_of(c->offers.name));
}

static enum failure greet(struct client *c, const struct client_target *t,
			  enum stage *ret_stage) SUSPENDS
{
	enum failure f;

	*ret_stage = STAGE_GREETING;
	f = client_expect(c, 2, c->timeout_ns);
	if (f)
		return f;
	*ret_stage = STAGE_HELLO;
	f = hello(c, our_name(t));
	if (!f && is_ourselves(c, t))
		f = FAIL_LOOP;
	return f;
}

/* From plain text to TLS, if it is wanted and can be had; then all is said anew. */
static enum failure secure(struct client *c, const struct client_target *t,
			   enum stage *ret_stage) SUSPENDS
{
	enum failure f;

	*ret_stage = STAGE_TLS;
	if (!c->offers.starttls)
		return t->trust->level > TRUST_TRY ? FAIL_NO_TLS : FAIL_NONE;
	f = client_starttls(c, t->trust);
	if (!f && c->trust.is_encrypted) {
		*ret_stage = STAGE_HELLO;
		f = hello(c, our_name(t));
	}
	return f;
}

static enum failure begin(struct client *c, const struct client_target *t,
			  enum stage *ret_stage) SUSPENDS
{
	enum failure f = FAIL_NONE;

	*ret_stage = STAGE_TLS;
	if (t->trust->is_implicit)
		f = client_handshake(c, t->trust);
	if (!f)
		f = greet(c, t, ret_stage);
	if (!f && t->trust->level > TRUST_OFF && !t->trust->is_implicit)
		f = secure(c, t, ret_stage);
	if (!f && t->route->login_user.n) {
		*ret_stage = STAGE_LOGIN;
		f = client_login(c, t);
	}
	return f;
}

static void describe_host(struct client *c, struct str name)
{
	char address[ENDPOINT_TEXT_MAX];
	struct buf text = BUF_INIT(sizeof(c->host) - 1);

	ip_text(address, &c->endpoint.ip);
	buf_add_str(&text, str_sub(name, 0, 255));
	if (c->endpoint.ip.family && !str_eq(name, str_of(address)))
		buf_printf(&text, " (%s)", address);
	str_copy(c->host, sizeof(c->host), buf_str(&text));
	buf_done(&text);
}

static struct client *client_new(const struct client_target *t)
{
	struct client *c = mem_zalloc(sizeof(*c));

	c->endpoint = t->endpoint;
	if (t->endpoint.path)
		c->endpoint.path = c->path = mem_strdup(t->endpoint.path);
	c->protocol = t->route->protocol;
	c->source = t->source ? t->source->name : NULL;
	c->timeout_ns = t->route->timeout_ns;
	c->rate_min = t->route->rate_min;
	c->messages_max = UINT32_MAX;
	c->trust = (struct trust){
		.level = t->trust->level > TRUST_OFF ? TRUST_TRY : TRUST_OFF,
		.is_implicit = t->trust->is_implicit,
		.context = t->trust->context ? tls_context_ref(t->trust->context) : NULL,
		.host = str_make(str_dup(t->trust->host), t->trust->host.n),
		.login = str_make(str_dup(t->trust->login), t->trust->login.n),
	};
	list_init(&c->in_list);
	reply_reader_init(&c->reader);
	describe_host(c, t->host);
	session_id_make(c->session);
	return c;
}

/* A source that has no address there, or a unix socket: the system's choice. */
static const struct endpoint *local_end(const struct client_target *t, struct endpoint *ret)
{
	if (!t->source || t->endpoint.path)
		return NULL;
	*ret = (struct endpoint){ .ip = t->endpoint.ip.family == 6 ? t->source->ipv6
								   : t->source->ipv4 };
	return ret->ip.family ? ret : NULL;
}

static enum failure failure_of_connect(struct client *c, int error, bool has_source)
{
	c->broken = true;
	switch (error) {
	case -ECONNREFUSED:
		return FAIL_REFUSED;
	case -EADDRNOTAVAIL:
		return has_source ? FAIL_NO_SOURCE : FAIL_NO_NETWORK;
	case -ENETUNREACH:
	case -EAFNOSUPPORT:
		return FAIL_NO_NETWORK;
	case -ECANCELED:
	case -ETIMEDOUT:
		return client_failed(c, error);
	default:
		return FAIL_LOST;
	}
}

static enum failure connect_to(struct client *c, const struct client_target *t,
			       struct str *ret_detail) SUSPENDS
{
	struct endpoint source;
	const struct endpoint *local = local_end(t, &source);
	int r = stream_connect(local, &c->endpoint, deadline_in(t->route->connect_timeout_ns),
			       &c->stream);

	if (r < 0) {
		enum failure f = failure_of_connect(c, r, local);

		if (f == FAIL_LOST)
			*ret_detail = str_of(strerror(-r));
		else if (f == FAIL_NO_SOURCE)
			*ret_detail = name_str(c->source);
		return f;
	}
	c->transcript = transcript_start(t->config, &c->endpoint.ip, t->domain, c->session);
	if (c->transcript)
		stream_set_tap(c->stream, transcript_tap, c->transcript);
	return FAIL_NONE;
}

/*
 * What the message demands and the route does not is the message's trouble alone (RFC 8689 4.2.1).
 */
static void blame_wish(const struct client *c, const struct client_target *t, enum stage stage,
		       enum failure f, struct problem *p, struct arena *words)
{
	if (t->trust->wish != WISH_REQUIRED || t->route->tls == TLS_VERIFIED || stage != STAGE_TLS)
		return;
	if (f == FAIL_NO_TLS || f == FAIL_CERTIFICATE)
		problem_set(p, words, STAGE_TLS, FAIL_WISH, NULL, str_of(c->host), str_of(c->why));
	else
		p->scope = SCOPE_TRY;
}

/* TLS that does not work is no reason not to talk where plain text would have done. */
static bool may_do_without(const struct client *c, const struct client_target *t, enum stage stage,
			   enum failure f)
{
	if (t->trust->level != TRUST_TRY || t->trust->is_implicit || stage != STAGE_TLS ||
	    (f != FAIL_HANDSHAKE && f != FAIL_LOST && f != FAIL_TIMEOUT))
		return false;
	log_begin(LOG_TLS_FAILED);
	log_cstr("session", c->session);
	log_cstr("host", c->host);
	log_str("domain", t->domain);
	log_cstr("error", c->why[0] ? c->why : failure_name(f));
	log_cstr("then", "plain");
	log_end();
	return true;
}

static struct client *open_plain(const struct client_target *t, struct arena *words,
				 struct problem *ret) SUSPENDS
{
	struct client_target plain = *t;
	struct trust trust = *t->trust;
	struct client *c;

	trust.level = TRUST_OFF;
	plain.trust = &trust;
	c = client_open(&plain, words, ret);
	if (c)		/* it did try: whoever wants no more may have it */
		c->trust.level = TRUST_TRY;
	return c;
}

struct client *client_open(const struct client_target *t, struct arena *words, struct problem *ret)
{
	struct client *c = client_new(t);
	enum stage stage = STAGE_CONNECT;
	struct str detail = STR_NONE;
	enum failure f = connect_to(c, t, &detail);

	if (!f)
		f = begin(c, t, &stage);
	if (!f)
		return c;
	if (t->told)
		t->told(t->arg, c, stage, f);
	if (may_do_without(c, t, stage, f)) {
		client_free(c);
		return open_plain(t, words, ret);
	}
	*ret = (struct problem){ .error = NULL };
	if (f != FAIL_CANCELLED) {
		problem_set(ret, words, stage, f, failure_is_reply(f) ? &c->reader.reply : NULL,
			    str_of(c->host), detail.n ? detail : str_of(c->why));
		blame_wish(c, t, stage, f, ret, words);
	}
	/* another may be opened in its place: it should be gone when it no longer counts */
	if (!c->broken) {
		client_say_quit(c);
		client_await_end(c, in_ms(QUIT_END_MS));
	}
	client_free(c);
	return NULL;
}

/* ---- the end */

void client_say_quit(struct client *c)
{
	if (stream_write(c->stream, "QUIT\r\n", 6, in_ms(QUIT_FLUSH_MS)) < 0 ||
	    stream_flush(c->stream, in_ms(QUIT_FLUSH_MS)) < 0)
		c->broken = true;
}

void client_await_end(struct client *c, uint64_t deadline)
{
	if (c->broken || read_reply(c, deadline))
		return;
	do
		stream_consume(c->stream, stream_peek(c->stream).n);
	while (stream_fill(c->stream, deadline) > 0);
}

void client_free(struct client *c)
{
	if (!c)
		return;
	stream_free(c->stream);
	if (c->way) {
		way_disconnect(c->way);
		way_unref(c->way);
	}
	transcript_free(c->transcript);
	reply_reader_done(&c->reader);
	tls_context_unref(c->trust.context);
	mem_free((char *)(uintptr_t)c->trust.host.p);
	mem_free((char *)(uintptr_t)c->trust.login.p);
	mem_free((char *)(uintptr_t)c->trust.name.p);
	mem_free(c->path);
	mem_free(c);
}
