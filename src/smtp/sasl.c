/*
 * sasl - names of mechanisms, which text may be a name or a password, and buffers for secrets; see
 * sasl.h.
 *
 * A buffer that holds a secret takes all its room at once: one that grows would leave its former
 * self on the heap.
 */
#include "smtp/sasl_inner.h"

#include "base/mem.h"
#include "smtp/address.h"

#include <openssl/crypto.h>

#define SCRAM_MESSAGE_MAX 4096 /* octets of each message of SCRAM that is kept */

static const char *const names[SASL_MECHANISMS_N] = {
	[SASL_NONE] = "",
	[SASL_PLAIN] = "PLAIN",
	[SASL_LOGIN] = "LOGIN",
	[SASL_SCRAM_SHA_1] = "SCRAM-SHA-1",
	[SASL_SCRAM_SHA_1_PLUS] = "SCRAM-SHA-1-PLUS",
	[SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
	[SASL_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
	[SASL_XOAUTH2] = "XOAUTH2",
	[SASL_OAUTHBEARER] = "OAUTHBEARER",
};

const char *sasl_mechanism_name(enum sasl_mechanism m)
{
	return names[m];
}

enum sasl_mechanism sasl_mechanism_find(struct str name)
{
	for (enum sasl_mechanism m = SASL_PLAIN; m < SASL_MECHANISMS_N; m++)
		if (str_eq_nocase(name, str_of(names[m])))
			return m;
	return SASL_NONE;
}

bool sasl_mechanism_has_plus(enum sasl_mechanism m)
{
	return m == SASL_SCRAM_SHA_1_PLUS || m == SASL_SCRAM_SHA_256_PLUS;
}

bool sasl_text_is_valid(struct str s, size_t max)
{
	if (s.n == 0 || s.n > max || !utf8_is_valid(s) || str_has_control(s))
		return false;
	/* U+0080 to U+009F, control characters as well (RFC 3454 C.2.2) */
	for (size_t i = 0; i + 1 < s.n; i++)
		if ((unsigned char)s.p[i] == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
			return false;
	return true;
}

bool sasl_nonce_is_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == ',')
			return false;
	return s.n > 0;
}

void sasl_buf_set(struct buf *b, struct str s)
{
	buf_clear(b);
	buf_reserve(b, b->max);
	buf_add_str(b, s);
}

void sasl_buf_wipe(struct buf *b)
{
	if (b->p)
		OPENSSL_cleanse(b->p, b->size);
	buf_done(b);
}

static size_t copy_data(unsigned char to[SASL_BINDING_MAX], struct str from)
{
	if (from.n == 0 || from.n > SASL_BINDING_MAX)
		return 0;
	memcpy(to, from.p, from.n);
	return from.n;
}

void sasl_bound_set(struct sasl_bound *to, const struct sasl_binding *from)
{
	*to = (struct sasl_bound){0};
	if (!from)
		return;
	to->exporter_n = copy_data(to->exporter, from->exporter);
	to->end_point_n = copy_data(to->end_point, from->end_point);
}

void scram_talk_init(struct scram_talk *t, bool sha1)
{
	*t = (struct scram_talk){.sha1 = sha1};
	buf_init(&t->header, SCRAM_MESSAGE_MAX);
	buf_init(&t->bare, SCRAM_MESSAGE_MAX);
	buf_init(&t->server_first, SCRAM_MESSAGE_MAX);
	buf_init(&t->nonce, 2 * SASL_NONCE_MAX);
}

void scram_talk_wipe(struct scram_talk *t)
{
	sasl_buf_wipe(&t->header);
	sasl_buf_wipe(&t->bare);
	sasl_buf_wipe(&t->server_first);
	sasl_buf_wipe(&t->nonce);
	OPENSSL_cleanse(&t->secret, sizeof(t->secret));
	OPENSSL_cleanse(t->signature, sizeof(t->signature));
}
