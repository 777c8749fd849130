/*
 * ehlo - the reply to EHLO as a struct of offers; see ehlo.h.
 *
 * The first line names the server, every other one is a keyword with its values. A table says which
 * keyword sets which flag; SIZE, AUTH and LIMITS have values and a function each. Nothing here can
 * fail: a server that offers nonsense offers nothing.
 */
#include "smtp/ehlo.h"

#include "smtp/command.h"
#include "smtp/sasl.h"

struct keyword {
	const char *name;
	size_t flag;					/* offset of a bool in struct offers */
	void (*values)(struct offers *o, struct str rest);	/* NULL: values are passed over */
};

static void read_size(struct offers *o, struct str rest)
{
	uint64_t size;

	if (str_parse_u64(str_word(&rest), UINT64_MAX, &size))
		o->size_max = size;
}

static void read_mechanisms(struct offers *o, struct str rest)
{
	static const struct {
		const char *name;
		size_t flag;
	} mechanisms[] = {
		{ "PLAIN", offsetof(struct offers, auth_plain) },
		{ "LOGIN", offsetof(struct offers, auth_login) },
		{ "SCRAM-SHA-256", offsetof(struct offers, auth_scram_sha_256) },
		{ "CRAM-MD5", offsetof(struct offers, auth_cram_md5) },
	};

	for (struct str word = str_word(&rest); word.n; word = str_word(&rest)) {
		o->mechanisms |= 1u << sasl_mechanism_find(word) & ~1u;
		for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
			if (str_eq_nocase(word, str_of(mechanisms[i].name)))
				*(bool *)((char *)o + mechanisms[i].flag) = true;
	}
}

static void set_limit(struct offers *o, size_t offset, uint32_t value)
{
	memcpy((char *)o + offset, &value, sizeof(value));
}

/* "MAILMAX=100 RCPTMAX=50 RCPTDOMAINMAX=1": RFC 9422 4. A limit of 0 is none. */
static void read_limits(struct offers *o, struct str rest)
{
	static const struct {
		const char *name;
		size_t limit;
	} limits[] = {
		{ "MAILMAX=", offsetof(struct offers, mail_max) },
		{ "RCPTMAX=", offsetof(struct offers, rcpt_max) },
		{ "RCPTDOMAINMAX=", offsetof(struct offers, rcpt_domain_max) },
	};

	for (struct str word = str_word(&rest); word.n; word = str_word(&rest)) {
		for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
			struct str name = str_of(limits[i].name);
			uint64_t value;

			if (str_starts_nocase(word, name) &&
			    str_parse_u64(str_from(word, name.n), UINT32_MAX, &value))
				set_limit(o, limits[i].limit, (uint32_t)value);
		}
	}
}

#define FLAG(name) offsetof(struct offers, name)
#define NO_FLAG SIZE_MAX

static const struct keyword keywords[] = {
	{ "PIPELINING", FLAG(pipelining), NULL },
	{ "SIZE", FLAG(size), read_size },
	{ "8BITMIME", FLAG(eightbit), NULL },
	{ "BINARYMIME", FLAG(binarymime), NULL },
	{ "CHUNKING", FLAG(chunking), NULL },
	{ "SMTPUTF8", FLAG(smtputf8), NULL },
	{ "DSN", FLAG(dsn), NULL },
	{ "ENHANCEDSTATUSCODES", FLAG(enhanced), NULL },
	{ "STARTTLS", FLAG(starttls), NULL },
	{ "REQUIRETLS", FLAG(requiretls), NULL },
	{ "ETRN", FLAG(etrn), NULL },
	{ "XCLIENT", FLAG(xclient), NULL },
	{ "AUTH", NO_FLAG, read_mechanisms },
	{ "LIMITS", NO_FLAG, read_limits },
};

static void read_keyword(struct offers *o, struct str line)
{
	/* as written before RFC 2554; some still add it */
	const struct str old_auth = STR("AUTH=");
	struct str word;

	if (str_starts_nocase(line, old_auth)) {
		read_mechanisms(o, str_from(line, old_auth.n));
		return;
	}
	word = str_word(&line);
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (!str_eq_nocase(word, str_of(keywords[i].name)))
			continue;
		if (keywords[i].flag != NO_FLAG)
			*(bool *)((char *)o + keywords[i].flag) = true;
		if (keywords[i].values)
			keywords[i].values(o, line);
	}
}

/* The first word of the greeting line; what is not printable ASCII becomes '?'. */
static void read_name(struct offers *o, struct str line)
{
	str_copy(o->name, sizeof(o->name), str_word(&line));
	for (char *p = o->name; *p; p++)
		if (*p <= ' ' || *p > '~')
			*p = '?';
}

void ehlo_parse(const struct reply *reply, struct offers *ret)
{
	struct offers o = { 0 };
	struct str rest = reply->text;

	for (bool first = true; rest.n; first = false) {
		ssize_t end = str_find(rest, '\n');
		struct str line = end < 0 ? rest : str_sub(rest, 0, (size_t)end);

		rest = str_from(rest, line.n + 1);
		if (first)
			read_name(&o, line);
		else
			read_keyword(&o, line);
	}
	/* Binary content goes by BDAT only (RFC 3030 3). */
	o.binarymime = o.binarymime && o.chunking;
	*ret = o;
}

unsigned offers_bits(const struct offers *o)
{
	unsigned bits = 0;

	if (o->size)
		bits |= OFFER_SIZE;
	if (o->eightbit)
		bits |= OFFER_8BITMIME;
	if (o->binarymime)
		bits |= OFFER_BINARYMIME;
	if (o->smtputf8)
		bits |= OFFER_SMTPUTF8;
	if (o->dsn)
		bits |= OFFER_DSN;
	if (o->mechanisms || o->auth_cram_md5)
		bits |= OFFER_AUTH;
	if (o->requiretls)
		bits |= OFFER_REQUIRETLS;
	return bits;
}
