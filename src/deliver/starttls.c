/*
 * starttls - TLS for a session out (RFC 3207, RFC 8314).
 *
 * What the server sends behind its 220, before the handshake, would be taken for answers that came
 * protected: somebody in between could put them there. So such a connection is dropped, whatever
 * the route says; stream_tls_connect throws the buffer away as well (D7). What was offered in plain
 * text counts for nothing afterwards: the caller says EHLO again.
 *
 * A handshake has the time of a reply. Suspends.
 */
#include "deliver/client.h"

#include "deliver/errors.h"

#include <errno.h>

static bool is_certificate(enum tls_problem p)
{
	switch (p) {
	case TLS_CERTIFICATE_EXPIRED:
	case TLS_CERTIFICATE_NOT_TRUSTED:
	case TLS_CERTIFICATE_HOST_MISMATCH:
	case TLS_TLSA_INVALID:
	case TLS_VALIDATION_FAILURE:
		return true;
	case TLS_NO_PROBLEM:
	case TLS_HANDSHAKE_FAILURE:
		break;
	}
	return false;
}

static struct tls_wish wish_of(const struct trust *t)
{
	struct tls_wish w = { .names = t->names, .names_n = t->names_n };
	struct ip ip;

	if (t->level == TRUST_DANE) {
		w.demand = TLS_DANE;
		w.records = t->records;
		w.records_n = t->records_n;
	} else if (t->level >= TRUST_PKIX) {
		w.demand = TLS_PKIX;
	}
	if (!ip_parse(t->host, &ip))	/* RFC 6066 3: no addresses */
		w.server_name = t->level == TRUST_DANE && t->names_n ? t->names[0] : t->host;
	return w;
}

/* RFC 7672 3.2.2: the host's names come first, so what they prove serves its other domains, too. */
static void note_dane(struct client *c, const struct trust *wanted)
{
	if (!stream_tls_record(c->stream, &c->trust.record) ||
	    c->trust.record.usage == TLSA_END_ENTITY)
		return;
	for (unsigned i = 0; i < wanted->names_n && !c->trust.name.n; i++)
		if (stream_tls_holds(c->stream, wanted->names[i]))
			c->trust.name = str_make(str_dup(wanted->names[i]), wanted->names[i].n);
}

static void note_proof(struct client *c, const struct trust *wanted)
{
	const struct tls_facts *f = stream_tls(c->stream);

	c->trust.is_encrypted = true;
	c->trust.level = wanted->level > TRUST_ENCRYPT && f->verified ? wanted->level
								       : TRUST_ENCRYPT;
	if (c->trust.level == TRUST_DANE)
		note_dane(c, wanted);
	snprintf(c->tls, sizeof(c->tls), "%s %s %s", f->version, f->cipher,
		 trust_level_name(c->trust.level));
	log_begin(LOG_SECURED);
	log_cstr("session", c->session);
	log_cstr("host", c->host);
	log_cstr("tls", f->version);
	log_cstr("cipher", f->cipher);
	log_cstr("verified", trust_level_name(c->trust.level));
	log_end();
}

enum failure client_handshake(struct client *c, const struct trust *wanted)
{
	struct tls_wish wish = wish_of(wanted);
	int r;

	if (!wanted->context)
		return FAIL_NO_TLS;
	r = stream_tls_connect(c->stream, wanted->context, &wish, deadline_in(c->timeout_ns));
	if (r == 0) {
		note_proof(c, wanted);
		return FAIL_NONE;
	}
	c->tls_problem = stream_tls_problem(c->stream, c->why, sizeof(c->why));
	client_failed(c, r);
	if (r == -ECANCELED || r == -ETIMEDOUT)
		return client_failed(c, r);
	return is_certificate(c->tls_problem) ? FAIL_CERTIFICATE : FAIL_HANDSHAKE;
}

enum failure client_starttls(struct client *c, const struct trust *wanted)
{
	enum failure f;

	if (!wanted->context)
		return wanted->level > TRUST_TRY ? FAIL_NO_TLS : FAIL_NONE;
	f = client_command(c, STR("STARTTLS"), 2);
	if ((f == FAIL_4XX || f == FAIL_5XX) && wanted->level == TRUST_TRY)
		return FAIL_NONE;	/* it goes on in plain text */
	if (f)
		return f;
	if (stream_has_input(c->stream))
		stream_fill_now(c->stream);	/* at its end there is nothing, and no handshake */
	if (stream_peek(c->stream).n) {
		c->broken = true;
		return FAIL_INJECTION;
	}
	c->offers = (struct offers){ 0 };
	c->offered = 0;
	return client_handshake(c, wanted);
}
