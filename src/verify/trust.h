/*
 * trust - how sure we must be of a host before it gets mail, and whether a connection is that good.
 *
 * Pure. What is known - the route's word, what DANE (RFC 7672) and MTA-STS (RFC 8461) say, what
 * the message itself demands (RFC 8689) - goes in, one decision comes out. Order of trust: DANE,
 * MTA-STS, what is offered; a policy only ever adds to what the route demands. See
 * docs/design/verified.md.
 */
#ifndef VERIFY_TRUST_H
#define VERIFY_TRUST_H

#include "config/config.h"
#include "net/tls.h"

enum trust_level {		/* each demands at least what those before it do */
	TRUST_OFF,		/* TLS is not spoken */
	TRUST_TRY,		/* TLS where it works, plain text where it does not */
	TRUST_ENCRYPT,		/* TLS, whoever it is */
	TRUST_PKIX,		/* a certificate for its name, by an authority we know */
	TRUST_STS,		/* the same, because its domain says so; and its name is listed */
	TRUST_DANE,		/* a certificate that its TLSA records know */
};

/* What was found about a host, see dane.h. */
enum dane_state {
	DANE_NONE,		/* no records, or no signed way to them */
	DANE_USABLE,
	DANE_UNUSABLE,		/* there are records, none that can be used (RFC 7672 2.2) */
	DANE_FAILED,		/* there may be some: the lookup failed on a signed way */
};

/* What a domain says of its exchangers, see sts.h. */
enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

/* What a message says about its own way. */
enum trust_wish {
	WISH_NOTHING,
	WISH_REQUIRED,		/* REQUIRETLS */
	WISH_OPTIONAL,		/* TLS-Required: No */
};

enum trust_refusal {
	REFUSED_NOT,
	REFUSED_DANE,		/* its records cannot be looked up: not now */
	REFUSED_STS,		/* it is not in its domain's policy */
	REFUSED_WISH,		/* REQUIRETLS, and nothing vouches for the host's name */
};

struct trust_facts {
	enum tls_use use;	/* the route's */
	bool is_mx;		/* the host's name is from the DNS, not from the configuration */
	bool is_secure;		/* and it was signed there */
	enum dane_state dane;
	enum sts_mode sts;
	bool sts_lists;		/* the policy names this host */
	enum trust_wish wish;
};

struct trust_decision {
	enum trust_level level;
	enum trust_refusal refusal;
	bool tells_dane, tells_sts;	/* which policies apply, for reports */
};

struct trust_decision trust_decide(const struct trust_facts *f);

/*
 * ---- a connection, wanted or there. Strings and records are borrowed.
 */
struct trust {
	enum trust_level level;		/* there: what it proved, TRUST_TRY: it is plain text */
	bool is_implicit;
	bool is_encrypted;		/* there only */
	struct tls_context *context;
	struct str host;		/* its name, for SNI and certificates */
	struct str login;		/* user and mechanism; empty: none */
	/* ---- there only, of TRUST_DANE: the record that it met, borrowed from its stream, and of
	   usage 2 the first of .names that its certificate has */
	struct tlsa record;
	struct str name;
	/* ---- wanted only */
	const struct str *names;
	unsigned names_n;
	const struct tlsa *records;
	unsigned records_n;
	enum trust_wish wish;
};

/*
 * May a message that wants that go over a connection that has this? Same endpoint and source. By
 * DANE: whether a handshake now, for this message's domain, would find the same (RFC 7672 3.1,
 * 3.2): the record that was met is still one of the host's; and, of usage 2, the name that was
 * found is one that may be found for this domain. Usage 3 knows no names.
 */
bool trust_covers(const struct trust *has, const struct trust *wanted);

const char *trust_level_name(enum trust_level l);	/* "none", "dane", ...: for the log */

#endif
