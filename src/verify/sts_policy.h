/*
 * sts_policy - what a domain says about TLS to its exchangers: the texts of MTA-STS (RFC 8461),
 * parsed. Pure.
 */
#ifndef VERIFY_STS_POLICY_H
#define VERIFY_STS_POLICY_H

#include "base/arena.h"
#include "dns/dns.h"
#include "verify/trust.h"

#define STS_TEXT_MAX (64 * 1024)	/* octets of a policy (RFC 8461 3.3) */
#define STS_KEPT_MAX 4096		/* octets of it that are kept */
#define STS_ID_MAX 32
#define STS_MX_MAX 256			/* patterns that are kept */
#define STS_AGE_MAX 31557600u		/* seconds: a year (3.2) */

struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age_s;
	const struct str *mx;		/* patterns, borrowed from the text */
	unsigned mx_n;
};

/*
 * 3.2. The list of patterns is in the arena. False: it is no policy; unknown fields are passed
 * over, of repeated ones the first counts.
 */
bool sts_policy_parse(struct arena *a, struct str text, struct sts_policy *ret);
/*
 * The policy as it is kept and told: its four fields, a line each, in at most STS_KEPT_MAX octets.
 * Patterns that are beyond that are left out, so hosts that only they name get no mail while it is
 * enforced. It parses to the same.
 */
void sts_policy_format(struct buf *out, const struct sts_policy *p);
/* 4.1: "*." stands for exactly one label. */
bool sts_policy_lists(const struct sts_policy *p, struct str host);

/*
 * 3.1: the TXT records of _mta-sts.DOMAIN. False: there is not exactly one that begins with
 * "v=STSv1", or it is malformed.
 */
bool sts_record_find(const struct dns_answer *txt, char ret_id[STS_ID_MAX + 1]);
/* The strings of a TXT record, one behind the other; false: broken or too long for out. */
bool txt_join(const struct dns_record *r, struct buf *out);

const char *sts_mode_name(enum sts_mode m);

#endif
