/*
 * dovecot - see dovecot.h.
 *
 * Lines end in LF and hold fields between tabs; in a field, octet 1 followed by 0, 1, t, r or n
 * stands for NUL, octet 1, tab, CR or LF. The client opens with VERSION and CPID, the server with
 * VERSION, MECH for each mechanism, SPID, CUID, COOKIE and DONE, VERSION first and DONE last. Then:
 *
 *     > AUTH id mechanism service=smtp ... resp=BASE64     (resp is the last field)
 *     < CONT id BASE64        > CONT id BASE64
 *     < OK id user=NAME ...   or   FAIL id [user=NAME] [temp] [code=temp_fail] [reason=TEXT] ...
 *
 * What Dovecot sends is trusted in its verdict and bounded in everything else. "nologin" says that
 * no login process will ask for the user's data afterwards.
 */
#include "policy/dovecot.h"

#include "base/mem.h"
#include "smtp/base64.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <unistd.h>

#define LINE_MAX_OCTETS STREAM_BUFFER
#define HANDSHAKE_LINES_MAX 256
#define TEXT_MAX 512   /* octets of a reason that are kept */
#define REQUEST_ID "1" /* one login in a connection */

struct dovecot {
	struct stream *stream;
	bool has[SASL_MECHANISMS_N], is_plain_text[SASL_MECHANISMS_N];
	bool has_version;
	struct buf line; /* to be sent; wiped: there are passwords in it */
	struct buf out, user, reason;
};

/* ---- lines */

static struct str take_field(struct str *rest)
{
	ssize_t tab = str_find(*rest, '\t');
	struct str field = tab < 0 ? *rest : str_sub(*rest, 0, (size_t)tab);

	*rest = str_from(*rest, field.n + 1);
	return field;
}

/* A line without its LF into ret, borrowed until the next read. 1, 0 at the end, or -errno. */
static int read_line(struct dovecot *d, uint64_t deadline, struct str *ret) SUSPENDS
{
	for (;;) {
		struct str all = stream_peek(d->stream);
		ssize_t end = str_find(all, '\n');
		ssize_t n;

		if (end >= 0) {
			*ret = str_sub(all, 0, (size_t)end);
			return 1;
		}
		n = stream_fill(d->stream, deadline);
		if (n <= 0)
			return n == 0 ? -ECONNRESET : n == -ENOBUFS ? -EPROTO : (int)n;
	}
}

static int send_line(struct dovecot *d, uint64_t deadline) SUSPENDS
{
	int r = buf_ok(&d->line) ? 0 : -EMSGSIZE;

	if (r == 0)
		r = stream_write(d->stream, d->line.p, d->line.n, deadline);
	if (r == 0)
		r = stream_flush(d->stream, deadline);
	if (d->line.p)
		OPENSSL_cleanse(d->line.p, d->line.size);
	buf_clear(&d->line);
	return r;
}

/* ---- the handshake */

static void take_mechanism(struct dovecot *d, struct str rest)
{
	enum sasl_mechanism m = sasl_mechanism_find(take_field(&rest));

	if (m == SASL_NONE || sasl_mechanism_has_plus(m))
		return; /* what we could not bind the channel for, Dovecot cannot either */
	d->has[m] = true;
	while (rest.n) {
		struct str flag = take_field(&rest);

		d->is_plain_text[m] |= str_eq(flag, STR("plaintext"));
		if (str_eq(flag, STR("private")))
			d->has[m] = false;
	}
}

/* 1: it was the last; 0: one more; -EPROTO. */
static int take_greeting(struct dovecot *d, struct str line)
{
	struct str word = take_field(&line);

	if (str_eq(word, STR("VERSION"))) {
		d->has_version = str_eq(take_field(&line), STR("1"));
		return d->has_version ? 0 : -EPROTO;
	}
	if (!d->has_version)
		return -EPROTO; /* it comes first; this is another protocol */
	if (str_eq(word, STR("MECH")))
		take_mechanism(d, line);
	return str_eq(word, STR("DONE")) ? 1 : 0;
}

static int shake_hands(struct dovecot *d, uint64_t deadline) SUSPENDS
{
	struct str line;
	int r;

	buf_printf(&d->line, "VERSION\t1\t1\nCPID\t%d\n", (int)getpid());
	r = send_line(d, deadline);
	for (unsigned i = 0; r == 0 && i < HANDSHAKE_LINES_MAX; i++) {
		r = read_line(d, deadline, &line);
		if (r < 0)
			return r;
		r = take_greeting(d, line);
		stream_consume(d->stream, line.n + 1);
	}
	return r == 1 && d->has_version ? 0 : r < 0 ? r : -EPROTO;
}

int dovecot_open(const struct endpoint *where, uint64_t deadline, struct dovecot **ret)
{
	struct stream *stream;
	struct dovecot *d;
	int r = stream_connect(NULL, where, deadline, &stream);

	if (r < 0)
		return r;
	d = mem_zalloc(sizeof(*d));
	d->stream = stream;
	buf_init(&d->line, 2 * SASL_OCTETS_MAX);
	buf_reserve(&d->line, d->line.max); /* does not move: no copies of secrets */
	buf_init(&d->out, SASL_OCTETS_MAX);
	buf_init(&d->user, SASL_NAME_MAX);
	buf_init(&d->reason, TEXT_MAX);
	r = shake_hands(d, deadline);
	if (r == 0)
		*ret = d;
	else
		dovecot_close(d);
	return r;
}

void dovecot_close(struct dovecot *d)
{
	if (!d)
		return;
	stream_free(d->stream);
	if (d->line.p)
		OPENSSL_cleanse(d->line.p, d->line.size);
	buf_done(&d->line);
	buf_done(&d->out);
	buf_done(&d->user);
	buf_done(&d->reason);
	mem_free(d);
}

bool dovecot_has(const struct dovecot *d, enum sasl_mechanism m)
{
	return d->has[m];
}

bool dovecot_is_plain_text(const struct dovecot *d, enum sasl_mechanism m)
{
	return d->is_plain_text[m];
}

/* ---- a login */

/* A field's text; false: too long or a wrong escape. */
static bool unescape(struct buf *out, struct str field)
{
	buf_clear(out);
	for (size_t i = 0; i < field.n; i++) {
		static const char codes[] = "01trn", octets[] = "\0\1\t\r\n";
		const char *code;

		if (field.p[i] != '\1') {
			buf_add_byte(out, field.p[i]);
			continue;
		}
		code = ++i < field.n && field.p[i] ? strchr(codes, field.p[i]) : NULL;
		if (!code)
			return false;
		buf_add_byte(out, octets[code - codes]);
	}
	return buf_ok(out);
}

static bool take_value(struct str field, struct str key, struct str *ret)
{
	if (!str_starts(field, key))
		return false;
	*ret = str_from(field, key.n);
	return true;
}

/*
 * The fields of OK and FAIL. False: a name or a message that cannot be taken. A reason that is too
 * long is no harm.
 */
static bool take_result(struct dovecot *d, struct str rest, bool *ret_later)
{
	while (rest.n) {
		struct str field = take_field(&rest), value;

		if (take_value(field, STR("user="), &value) &&
		    (!unescape(&d->user, value) ||
		     !sasl_text_is_valid(buf_str(&d->user), SASL_NAME_MAX)))
			return false;
		if (take_value(field, STR("resp="), &value) && !base64_decode(&d->out, value))
			return false;
		if (take_value(field, STR("reason="), &value) && !unescape(&d->reason, value))
			buf_clear(&d->reason);
		*ret_later |= str_eq(field, STR("temp")) || str_eq(field, STR("code=temp_fail"));
	}
	return true;
}

/* A dovecot_answer, or -EPROTO. */
static int take_answer(struct dovecot *d, struct str line)
{
	struct str word = take_field(&line), id = take_field(&line);
	bool is_later = false;

	if (!str_eq(id, STR(REQUEST_ID)))
		return -EPROTO;
	if (str_eq(word, STR("CONT")))
		return base64_decode(&d->out, line) ? DOVECOT_CONTINUE : -EPROTO;
	buf_clear(&d->user);
	if (str_eq(word, STR("OK")))
		return take_result(d, line, &is_later) && d->user.n ? DOVECOT_OK : -EPROTO;
	if (!str_eq(word, STR("FAIL")))
		return -EPROTO;
	if (!take_result(d, line, &is_later))
		buf_clear(&d->user); /* not a name: it failed all the same */
	return is_later ? DOVECOT_LATER : DOVECOT_FAIL;
}

static bool is_handshake_word(struct str line)
{
	struct str word = take_field(&line);

	return str_eq(word, STR("MECH")) || str_eq(word, STR("SPID")) || str_eq(word, STR("CUID"));
}

static int exchange(struct dovecot *d, uint64_t deadline) SUSPENDS
{
	int r = send_line(d, deadline);
	struct str line;

	buf_clear(&d->out);
	buf_clear(&d->reason);
	for (unsigned i = 0; r == 0 && i < HANDSHAKE_LINES_MAX; i++) {
		r = read_line(d, deadline, &line);
		if (r < 0)
			return r;
		/* after a reload it may tell its mechanisms again */
		if (is_handshake_word(line)) {
			stream_consume(d->stream, line.n + 1);
			r = 0;
			continue;
		}
		r = take_answer(d, line);
		stream_consume(d->stream, line.n + 1);
		return r;
	}
	return r < 0 ? r : -EPROTO;
}

static void add_endpoint(struct buf *out, const char *ip, const char *port,
			 const struct endpoint *e)
{
	if (!e || !e->ip.family)
		return;
	buf_printf(out, "\t%s=", ip);
	ip_format(out, &e->ip);
	buf_printf(out, "\t%s=%u", port, e->port);
}

int dovecot_start(struct dovecot *d, enum sasl_mechanism m, const struct dovecot_client *client,
		  struct str initial, bool has_initial, uint64_t deadline)
{
	struct buf *out = &d->line;

	if (!d->has[m] || str_has_control(client->session))
		return -EINVAL;
	if (d->is_plain_text[m] && !client->secured)
		return -EACCES; /* Dovecot leaves that to whoever asks it */
	buf_printf(out, "AUTH\t" REQUEST_ID "\t%s\tservice=smtp\tnologin", sasl_mechanism_name(m));
	if (client->session.n) {
		buf_add_lit(out, "\tsession=");
		buf_add_str(out, client->session);
	}
	if (client->secured)
		buf_add_lit(out, "\tsecured");
	if (client->has_certificate)
		buf_add_lit(out, "\tvalid-client-cert");
	add_endpoint(out, "lip", "lport", client->local);
	add_endpoint(out, "rip", "rport", client->remote);
	if (has_initial) {
		buf_add_lit(out, "\tresp=");
		base64_encode(out, initial.p, initial.n);
	}
	buf_add_byte(out, '\n');
	return exchange(d, deadline);
}

int dovecot_continue(struct dovecot *d, struct str answer, uint64_t deadline)
{
	buf_add_lit(&d->line, "CONT\t" REQUEST_ID "\t");
	base64_encode(&d->line, answer.p, answer.n);
	buf_add_byte(&d->line, '\n');
	return exchange(d, deadline);
}

struct str dovecot_out(const struct dovecot *d)
{
	return buf_str(&d->out);
}

struct str dovecot_user(const struct dovecot *d)
{
	return buf_str(&d->user);
}

struct str dovecot_reason(const struct dovecot *d)
{
	return buf_str(&d->reason);
}
