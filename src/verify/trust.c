/*
 * trust - one decision for one host and message; see trust.h.
 *
 * The rows of docs/design/verified.md in code. What is not obvious:
 *
 *  - "TLS-Required: No" (RFC 8689 5) lifts what the receiving domain's policies demand, not what
 *    our administrator's route does, and not a REQUIRETLS that stands beside it.
 *  - REQUIRETLS (RFC 8689 4.2.1) wants the host's name vouched for as well as its certificate: by
 *    DNSSEC, by MTA-STS, or by our own configuration.
 *  - A connection without TLS serves whoever wants no more; one with TLS only those who would have
 *    opened it in the same context, for a certificate of ours may stand in it.
 */
#include "verify/trust.h"

static enum trust_level level_of_use(enum tls_use use)
{
	switch (use) {
	case TLS_OFF:
		return TRUST_OFF;
	case TLS_OFFERED:
		return TRUST_TRY;
	case TLS_REQUIRED:
	case TLS_IMPLICIT:
		return TRUST_ENCRYPT;
	case TLS_VERIFIED:
		break;
	}
	return TRUST_PKIX;
}

static void raise_to(struct trust_decision *d, enum trust_level level)
{
	if (d->level < level)
		d->level = level;
}

static void by_policies(struct trust_decision *d, const struct trust_facts *f)
{
	d->tells_dane = f->dane != DANE_NONE;
	/* RFC 8461 2: "MUST NOT override" a DANE that failed; a usable one comes first */
	d->tells_sts = !d->tells_dane && f->sts != STS_NONE;
	if (f->wish == WISH_OPTIONAL)
		return;
	if (f->dane == DANE_FAILED) {
		d->refusal = REFUSED_DANE;
	} else if (f->dane == DANE_USABLE) {
		d->level = TRUST_DANE;
	} else if (f->sts == STS_ENFORCE) {
		raise_to(d, TRUST_STS);
		if (!f->sts_lists)
			d->refusal = REFUSED_STS;
	} else if (f->dane == DANE_UNUSABLE) {
		raise_to(d, TRUST_ENCRYPT);
	}
}

static void by_wish(struct trust_decision *d, const struct trust_facts *f)
{
	bool is_named = !f->is_mx || f->is_secure || d->level >= TRUST_STS;

	if (f->wish != WISH_REQUIRED || d->refusal)
		return;
	if (f->use == TLS_OFF || !is_named)
		d->refusal = REFUSED_WISH;
	raise_to(d, TRUST_PKIX);
}

struct trust_decision trust_decide(const struct trust_facts *f)
{
	struct trust_decision d = { .level = level_of_use(f->use) };

	if (f->use != TLS_OFF)
		by_policies(&d, f);
	/* by MX a name proves nothing if anybody could have put it there */
	if (f->use == TLS_VERIFIED && f->is_mx && !f->is_secure && d.level < TRUST_STS &&
	    !d.refusal)
		d.refusal = REFUSED_STS;
	by_wish(&d, f);
	return d;
}

/* ---- connections */

static bool is_named(const struct trust *t, const struct trust *wanted)
{
	return str_eq_nocase(t->host, wanted->host);
}

static bool is_same_record(const struct tlsa *a, const struct tlsa *b)
{
	return a->usage == b->usage && a->selector == b->selector && a->matching == b->matching &&
	       str_eq(a->data, b->data);
}

static bool has_record(const struct trust *wanted, const struct tlsa *record)
{
	for (unsigned i = 0; i < wanted->records_n; i++)
		if (is_same_record(&wanted->records[i], record))
			return true;
	return false;
}

static bool has_name(const struct trust *wanted, struct str name)
{
	for (unsigned i = 0; i < wanted->names_n; i++)
		if (str_eq_nocase(wanted->names[i], name))
			return true;
	return false;
}

/* The host's name was said in the handshake and decides what answers there: it must be the same. */
static bool covers_dane(const struct trust *has, const struct trust *wanted)
{
	return has->level == TRUST_DANE && is_named(has, wanted) &&
	       has_record(wanted, &has->record) &&
	       (has->record.usage == TLSA_END_ENTITY || has_name(wanted, has->name));
}

bool trust_covers(const struct trust *has, const struct trust *wanted)
{
	if (!str_eq(has->login, wanted->login) || has->is_implicit != wanted->is_implicit)
		return false;
	if (has->is_encrypted && has->context != wanted->context)
		return false;
	switch (wanted->level) {
	case TRUST_OFF:
		return !has->is_encrypted;
	case TRUST_TRY:		/* one that never tried would keep from TLS who could have it */
		return has->is_encrypted || has->level != TRUST_OFF;
	case TRUST_ENCRYPT:
		return has->is_encrypted;
	case TRUST_PKIX:
	case TRUST_STS:
		return has->is_encrypted && is_named(has, wanted) &&
		       (has->level == TRUST_PKIX || has->level == TRUST_STS);
	case TRUST_DANE:
		break;
	}
	return has->is_encrypted && covers_dane(has, wanted);
}

const char *trust_level_name(enum trust_level l)
{
	static const char *const names[] = {
		[TRUST_OFF] = "none",  [TRUST_TRY] = "none", [TRUST_ENCRYPT] = "none",
		[TRUST_PKIX] = "pkix", [TRUST_STS] = "sts",  [TRUST_DANE] = "dane",
	};

	return names[l];
}
