/*
 * wire - reading names and answers of the DNS; see wire.h.
 *
 * An answer's section is read once for each step of the chain of CNAMEs and once for the records:
 * servers send the chain in order, but nothing obliges them. The chain ends after CHAIN_MAX steps,
 * a resolver's own limit is lower. Names inside records (of MX, CNAME, NS and PTR: the types that
 * may be compressed, RFC 3597 4) are written out in full, so that a record stands alone.
 */
#include "dns/wire.h"

#define HEADER_SIZE 12
#define CHAIN_MAX 16
#define POINTERS_MAX 64
#define RECORDS_MAX 4096	/* looked at in one packet */

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_MX = 15,
       TYPE_AAAA = 28 };

struct name {
	unsigned char p[WIRE_NAME_MAX];
	size_t n;
};

struct packet {
	const unsigned char *p;
	size_t n;
	unsigned counts[4];		/* question, answer, authority, additional */
	size_t answers;			/* where that section begins */
	struct name question;
	struct name last;		/* of the chain of CNAMEs */
};

struct record {
	struct name owner;
	unsigned type, class;
	uint32_t ttl;
	size_t data, data_n;		/* where it stands in the packet */
};

static unsigned u16_at(const struct packet *k, size_t at)
{
	return (unsigned)k->p[at] << 8 | k->p[at + 1];
}

static uint32_t u32_at(const struct packet *k, size_t at)
{
	return (uint32_t)u16_at(k, at) << 16 | u16_at(k, at + 2);
}

/* A name that may be compressed; *at moves behind it. */
static bool name_read(const struct packet *k, size_t *at, struct name *ret)
{
	size_t here = *at, behind = 0;
	unsigned n, pointers = 0;

	ret->n = 0;
	do {
		if (here >= k->n)
			return false;
		n = k->p[here];
		if (n >= 0xc0) {
			if (here + 2 > k->n || ++pointers > POINTERS_MAX)
				return false;
			behind = behind ? behind : here + 2;
			here = u16_at(k, here) & 0x3fff;
			continue;
		}
		if (n > 63 || here + 1 + n > k->n || ret->n + 1 + n > WIRE_NAME_MAX)
			return false;
		memcpy(ret->p + ret->n, k->p + here, n + 1);
		ret->n += n + 1;
		here += n + 1;
	} while (n);
	*at = behind ? behind : here;
	return true;
}

static bool name_eq(const struct name *a, const struct name *b)
{
	return str_eq_nocase(str_make((const char *)a->p, a->n),
			     str_make((const char *)b->p, b->n));
}

static bool record_read(const struct packet *k, size_t *at, struct record *ret)
{
	if (!name_read(k, at, &ret->owner) || k->n - *at < 10)
		return false;
	ret->type = u16_at(k, *at);
	ret->class = u16_at(k, *at + 2);
	ret->ttl = u32_at(k, *at + 4);
	if (ret->ttl & 0x80000000u)	/* RFC 2181 8 */
		ret->ttl = 0;
	ret->data_n = u16_at(k, *at + 8);
	ret->data = *at + 10;
	if (k->n - ret->data < ret->data_n)
		return false;
	*at = ret->data + ret->data_n;
	return true;
}

static bool open_packet(struct packet *k, struct str s)
{
	*k = (struct packet){ .p = (const unsigned char *)s.p, .n = s.n };
	if (s.n < HEADER_SIZE)
		return false;
	for (unsigned i = 0; i < 4; i++)
		k->counts[i] = u16_at(k, 4 + 2 * i);
	k->answers = HEADER_SIZE;
	if (k->counts[0] != 1 || !name_read(k, &k->answers, &k->question) ||
	    k->n - k->answers < 4)
		return false;
	k->answers += 4;
	k->last = k->question;
	return true;
}

/*
 * The next record of class IN with that owner (NULL: any) and type; *left is how many the section
 * still has.
 */
static bool find_record(const struct packet *k, size_t *at, unsigned *left,
			const struct name *owner, unsigned type, struct record *ret)
{
	while (*left) {
		--*left;
		if (!record_read(k, at, ret)) {
			*left = 0;
			return false;
		}
		if (ret->type == type && ret->class == 1 &&
		    (!owner || name_eq(owner, &ret->owner)))
			return true;
	}
	return false;
}

static unsigned answers_in(const struct packet *k)
{
	return k->counts[1] < RECORDS_MAX ? k->counts[1] : RECORDS_MAX;
}

/* From the question along its CNAMEs, as far as the answer tells. */
static bool follow(struct packet *k, uint32_t *ttl)
{
	struct record r;

	for (int i = 0; i < CHAIN_MAX; i++) {
		size_t at = k->answers;
		unsigned left = answers_in(k);

		if (!find_record(k, &at, &left, &k->last, TYPE_CNAME, &r))
			return true;
		at = r.data;
		if (!name_read(k, &at, &k->last))
			return false;
		*ttl = r.ttl < *ttl ? r.ttl : *ttl;
	}
	return false;
}

/* Octets before the name in the data of types that have one; -1: no name. */
static int name_offset(unsigned type)
{
	if (type == TYPE_MX)
		return 2;
	return type == TYPE_CNAME || type == TYPE_PTR || type == TYPE_NS ? 0 : -1;
}

/* The data of a record, names written out; an empty slice if it is malformed. */
static struct str data_of(const struct packet *k, const struct record *r, struct arena *a)
{
	const char *p = (const char *)k->p + r->data;
	size_t before = 0, at = r->data;
	int offset = name_offset(r->type);
	struct name name;
	char *copy;

	if ((r->type == TYPE_A && r->data_n != 4) || (r->type == TYPE_AAAA && r->data_n != 16))
		return STR_NONE;
	if (offset < 0)
		return arena_str(a, str_make(p, r->data_n));
	before = (size_t)offset;
	at += before;
	if (r->data_n <= before || !name_read(k, &at, &name) || at != r->data + r->data_n)
		return STR_NONE;
	copy = arena_alloc(a, before + name.n);
	memcpy(copy, p, before);
	memcpy(copy + before, name.p, name.n);
	return str_make(copy, before + name.n);
}

static void collect(const struct packet *k, struct arena *a, struct dns_query *ret)
{
	unsigned left = answers_in(k), n = 0;
	struct dns_record *records = arena_alloc(a, left * sizeof(*records));
	size_t at = k->answers, octets = 0;
	struct record r;

	while (find_record(k, &at, &left, &k->last, ret->type, &r)) {
		struct str data = data_of(k, &r, a);

		octets += sizeof(*records) + data.n;
		if (octets > WIRE_ANSWER_MAX)
			break;
		if (!data.n)
			continue;
		ret->ttl = r.ttl < ret->ttl ? r.ttl : ret->ttl;
		records[n++] = (struct dns_record){ (const unsigned char *)data.p,
						    (uint16_t)data.n };
	}
	ret->records = records;
	ret->records_n = n;
}

/*
 * How long a negative answer may be kept: RFC 2308 5, from the SOA in the authority section; 0:
 * there is none.
 */
static uint32_t negative_ttl(const struct packet *k, uint32_t ttl)
{
	unsigned answers = k->counts[1], left = k->counts[2];
	size_t at = k->answers;
	struct record r;
	uint32_t minimum;

	while (answers--)
		if (!record_read(k, &at, &r))
			return 0;
	if (!find_record(k, &at, &left, NULL, TYPE_SOA, &r) || r.data_n < 22)
		return 0;
	minimum = u32_at(k, r.data + r.data_n - 4);
	ttl = r.ttl < ttl ? r.ttl : ttl;
	ttl = minimum < ttl ? minimum : ttl;
	return ttl ? ttl : 1;
}

static enum dns_status status_of(unsigned rcode, unsigned n)
{
	if (rcode == 3)
		return DNS_NXDOMAIN;
	if (rcode != 0)
		return DNS_SERVFAIL;
	return n ? DNS_OK : DNS_NODATA;
}

void wire_answer_parse(struct str packet, struct arena *a, struct dns_query *ret)
{
	struct packet *k = arena_alloc(a, sizeof(*k));

	ret->status = DNS_SERVFAIL;
	ret->ttl = 0;
	ret->canonical[0] = '\0';
	ret->records = NULL;
	ret->records_n = 0;
	if (!open_packet(k, packet))
		return;
	ret->ttl = UINT32_MAX;
	if (ret->type != TYPE_CNAME && !follow(k, &ret->ttl)) {
		ret->ttl = 0;
		return;
	}
	if (!name_eq(&k->last, &k->question))
		wire_name_text(str_make((char *)k->last.p, k->last.n), ret->canonical);
	collect(k, a, ret);
	ret->status = status_of(k->p[3] & 15, ret->records_n);
	if (ret->status != DNS_OK) {
		ret->records_n = 0;
		ret->ttl = ret->status == DNS_SERVFAIL ? 0 : negative_ttl(k, ret->ttl);
	}
}

size_t wire_name_text(struct str s, char ret[WIRE_TEXT_SIZE])
{
	size_t at = 0, n = 0;
	char text[WIRE_TEXT_SIZE];

	for (;;) {
		size_t label = at < s.n ? (unsigned char)s.p[at] : 64;

		if (label > 63 || s.n - at < label + 1 || at + label + 1 > WIRE_NAME_MAX)
			return 0;
		at++;
		if (!label)
			break;
		if (n)
			text[n++] = '.';
		for (; label; label--) {
			char c = ascii_lower(s.p[at++]);

			if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '/')
				return 0;
			text[n++] = c;
		}
	}
	memcpy(ret, text, n);
	ret[n] = '\0';
	return at;
}
