/*
 * table - sets of addresses, domains and networks; see table.h.
 *
 * A hash map for each kind of entry, with members in the snapshot's arena. An address is
 * looked up at most once in each map, a domain once and once more for each of its dots.
 * Networks are one map keyed by prefix length and prefix; a bit set remembers which lengths occur,
 * so a lookup costs one probe for each length in use. A trie would save a few probes and cost a
 * hundred lines.
 */
#include "config/table.h"

#include "base/hash.h"
#include "base/list.h"
#include "smtp/address.h"
#include "smtp/sasl.h"

#define FINGERPRINT_DIGITS 64	/* of SHA-256 */

struct named {			/* all kinds but networks */
	struct map_node node;
	struct str local;	/* plain: unquoted; empty: no address */
	struct str domain;
};

struct net {
	struct map_node node;
	struct network network;
};

struct table {
	struct arena *arena;	/* borrowed */
	struct str name;
	struct map names[ENTRY_NETWORK]; /* by kind; [ENTRY_BAD] is not used */
	struct map networks;
	uint64_t lengths4;	/* bit n: an IPv4 network /n is there (0-32) */
	uint64_t lengths6[3];	/* the same for IPv6 (0-128) */
	struct str wide;
};

/* ---- reading one entry */

static bool bad(struct entry *ret, const char *why)
{
	*ret = (struct entry){ .kind = ENTRY_BAD, .error = why };
	return false;
}

static bool entry_network(struct str text, struct entry *ret)
{
	ssize_t slash = str_find(text, '/');
	struct ip ip;

	if (network_parse(text, &ret->network)) {
		ret->kind = ENTRY_NETWORK;
		return true;
	}
	if (slash > 0 && ip_parse(str_sub(text, 0, (size_t)slash), &ip))
		return bad(ret, "is not a network: the prefix length is wrong, "
				"or bits behind it are set (10.1.0.0/16, not 10.1.2.3/16)");
	return bad(ret, "is not a network such as 10.0.0.0/8 or 2001:db8::/32");
}

static bool entry_address(struct str text, struct entry *ret)
{
	struct address a;

	if (text.p[0] == '@')
		return bad(ret, "is not an address; a domain is written without the @");
	if (address_parse(text, ADDRESS_UTF8, &a) != ADDRESS_OK)
		return bad(ret, "is not an address such as user@example.org");
	*ret = (struct entry){ .kind = ENTRY_ADDRESS, .local = a.local, .domain = a.domain };
	return true;
}

/*
 * A last label of digits alone is an unfinished or mistyped IP address (RFC 1123 2.1), never a
 * domain.
 */
static bool ends_in_digits(struct str domain)
{
	ssize_t dot = str_rfind(domain, '.');
	uint64_t ignored;

	return str_parse_u64(str_from(domain, (size_t)(dot + 1)), UINT64_MAX, &ignored);
}

static bool entry_domain(struct str text, enum entry_kind kind, struct entry *ret)
{
	if (!domain_is_valid(text, true) || ends_in_digits(text))
		return bad(ret, "is neither an address, a domain nor a network");
	*ret = (struct entry){ .kind = kind, .domain = text };
	return true;
}

/* Digits alone, or in pairs with colons between all of them; 0: neither. */
static size_t fingerprint_plain(struct str text, char dst[FINGERPRINT_DIGITS])
{
	bool has_colons = text.n == FINGERPRINT_DIGITS / 2 * 3 - 1;
	size_t n = 0;

	if (!has_colons && text.n != FINGERPRINT_DIGITS)
		return 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = ascii_lower(text.p[i]);

		if (has_colons && i % 3 == 2) {
			if (c != ':')
				return 0;
			continue;
		}
		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return 0;
		dst[n++] = c;
	}
	return n;
}

bool entry_parse_login(struct str text, struct entry *ret)
{
	if (entry_parse(text, ret) && (ret->kind == ENTRY_ADDRESS || ret->kind == ENTRY_DOMAIN))
		return true;
	if (!sasl_text_is_valid(text, SASL_NAME_MAX))
		return bad(ret, text.n ? "is not the name of a login" : "is empty");
	*ret = (struct entry){ .kind = ENTRY_WORD, .domain = text };
	return true;
}

bool entry_parse(struct str text, struct entry *ret)
{
	char digits[FINGERPRINT_DIGITS];
	struct ip ip;

	*ret = (struct entry){ 0 };
	if (!text.n)
		return bad(ret, "is empty");
	if (fingerprint_plain(text, digits)) {
		*ret = (struct entry){ .kind = ENTRY_FINGERPRINT, .domain = text };
		return true;
	}
	if (str_find(text, '@') >= 0)
		return entry_address(text, ret);
	if (text.p[0] == '[') {
		if (!domain_literal_is_valid(text))
			return bad(ret, "is not an address literal such as [192.0.2.1]; networks "
					"have no brackets");
		*ret = (struct entry){ .kind = ENTRY_DOMAIN, .domain = text };
		return true;
	}
	if (str_eq(text, STR(".")) || str_eq(text, STR("*")))
		return bad(ret, "would mean every domain; a table cannot say that, a rule says it "
				"with the word any");
	if (str_starts(text, STR("*.")))
		return bad(ret, "has a wildcard; every name below example.org is written "
				".example.org");
	if (text.p[0] == '.')
		return entry_domain(str_from(text, 1), ENTRY_BELOW, ret);
	if (str_find(text, '/') >= 0 || str_find(text, ':') >= 0 || ip_parse(text, &ip))
		return entry_network(text, ret);
	return entry_domain(text, ENTRY_DOMAIN, ret);
}

/* ---- keys */

/*
 * The local part without its quotes and backslashes: "\"a\"@b" and a@b are one mailbox (RFC 5321
 * 4.1.2).
 */
static struct str local_plain(struct str local, char dst[ADDRESS_MAX])
{
	size_t n = 0;

	if (local.n < 2 || local.n > ADDRESS_MAX || local.p[0] != '"')
		return local;
	for (size_t i = 1; i + 1 < local.n; i++) {
		if (local.p[i] == '\\' && i + 2 < local.n)
			i++;
		dst[n++] = local.p[i];
	}
	return str_make(dst, n);
}

#define LITERAL_MAX (ENDPOINT_TEXT_MAX + 1)

/*
 * A literal in its one form, so that [IPv6:2001:db8:0::1] is [ipv6:2001:DB8::1]; else the domain
 * itself.
 */
static struct str domain_plain(struct str domain, char dst[LITERAL_MAX])
{
	struct str text;
	struct ip ip;

	if (domain.n < 3 || domain.p[0] != '[')
		return domain;
	text = str_sub(domain, 1, domain.n - 1);
	if (str_starts_nocase(text, STR("IPv6:")))
		text = str_from(text, 5);
	if (!ip_parse(text, &ip))
		return domain;
	dst[0] = '[';
	ip_text(dst + 1, &ip);
	return str_of(dst);
}

static uint64_t key(struct str local, struct str domain)
{
	return hash_nocase(domain) ^ (local.n ? hash_u64(hash_nocase(local)) : 0);
}

static const struct named *find(const struct map *m, struct str local, struct str domain)
{
	for (struct map_node *n = map_first(m, key(local, domain)); n; n = map_next(n)) {
		const struct named *name = CONTAINER_OF(n, struct named, node);

		if (str_eq_nocase(name->domain, domain) && str_eq_nocase(name->local, local))
			return name;
	}
	return NULL;
}

static uint64_t network_key(const struct network *n)
{
	return ip_hash(&n->ip) ^ hash_u64(n->prefix);
}

static const struct net *find_network(const struct map *m, const struct network *network)
{
	for (struct map_node *n = map_first(m, network_key(network)); n; n = map_next(n)) {
		const struct net *net = CONTAINER_OF(n, struct net, node);

		if (net->network.prefix == network->prefix && ip_eq(&net->network.ip, &network->ip))
			return net;
	}
	return NULL;
}

/* ---- making */

struct table *table_new(struct arena *a, struct str name)
{
	struct table *t = arena_zalloc(a, sizeof(*t));

	t->arena = a;
	t->name = arena_str(a, name);
	return t;
}

void table_done(struct table *t)
{
	for (unsigned kind = 0; kind < ENTRY_NETWORK; kind++)
		map_done(&t->names[kind]);
	map_done(&t->networks);
}

static void insert_network(struct table *t, const struct network *network)
{
	struct net *net;

	if (find_network(&t->networks, network))
		return;
	net = arena_alloc(t->arena, sizeof(*net));
	net->network = *network;
	map_insert(&t->networks, &net->node, network_key(network));
	if (network->ip.family == 4)
		t->lengths4 |= (uint64_t)1 << network->prefix;
	else
		t->lengths6[network->prefix / 64] |= (uint64_t)1 << network->prefix % 64;
}

_Static_assert(LITERAL_MAX >= FINGERPRINT_DIGITS, "one buffer for both");

void table_insert(struct table *t, const struct entry *e)
{
	char local_buf[ADDRESS_MAX], domain_buf[LITERAL_MAX];
	struct str local = local_plain(e->local, local_buf);
	struct str domain = e->domain;
	struct named *name;

	if (e->kind == ENTRY_FINGERPRINT)
		domain = str_make(domain_buf, fingerprint_plain(e->domain, domain_buf));
	else if (e->kind != ENTRY_WORD)
		domain = domain_plain(e->domain, domain_buf);

	if (e->kind == ENTRY_NETWORK) {
		insert_network(t, &e->network);
		return;
	}
	if (find(&t->names[e->kind], local, domain))
		return;
	name = arena_alloc(t->arena, sizeof(*name));
	name->local = arena_str(t->arena, local);
	name->domain = arena_str(t->arena, domain);
	map_insert(&t->names[e->kind], &name->node, key(local, domain));
	if (e->kind == ENTRY_BELOW && str_find(domain, '.') < 0 && !t->wide.n)
		t->wide = name->domain;
}

/* ---- asking */

static bool has_below(const struct table *t, struct str domain)
{
	if (!t->names[ENTRY_BELOW].n || !domain.n || domain.p[0] == '[')
		return false;
	for (ssize_t dot; (dot = str_find(domain, '.')) >= 0; ) {
		domain = str_from(domain, (size_t)dot + 1);
		if (find(&t->names[ENTRY_BELOW], STR_NONE, domain))
			return true;
	}
	return false;
}

bool table_has_domain(const struct table *t, struct str domain)
{
	char buf[LITERAL_MAX];

	domain = domain_plain(domain, buf);
	return find(&t->names[ENTRY_DOMAIN], STR_NONE, domain) || has_below(t, domain);
}

bool table_has_address(const struct table *t, struct str local, struct str domain)
{
	char local_buf[ADDRESS_MAX], domain_buf[LITERAL_MAX];

	if (t->names[ENTRY_ADDRESS].n &&
	    find(&t->names[ENTRY_ADDRESS], local_plain(local, local_buf),
		 domain_plain(domain, domain_buf)))
		return true;
	return table_has_domain(t, domain);
}

bool table_has_fingerprint(const struct table *t, struct str hex)
{
	return hex.n && find(&t->names[ENTRY_FINGERPRINT], STR_NONE, hex);
}

bool table_has_login(const struct table *t, struct str name)
{
	ssize_t at = str_rfind(name, '@');
	char local_buf[ADDRESS_MAX], domain_buf[LITERAL_MAX];

	if (find(&t->names[ENTRY_WORD], STR_NONE, name))
		return true;
	if (at < 0)
		return find(&t->names[ENTRY_DOMAIN], STR_NONE, name);
	return at && find(&t->names[ENTRY_ADDRESS],
			  local_plain(str_sub(name, 0, (size_t)at), local_buf),
			  domain_plain(str_from(name, (size_t)at + 1), domain_buf));
}

bool table_has_helo(const struct table *t, struct str name)
{
	return table_has_domain(t, name) || find(&t->names[ENTRY_WORD], STR_NONE, name);
}

bool table_any_name(const struct table *t, bool (*fn)(void *arg, struct str name), void *arg)
{
	char text[ADDRESS_MAX + 1];

	for (struct map_node *n = NULL; (n = map_walk(&t->names[ENTRY_DOMAIN], n)); )
		if (fn(arg, CONTAINER_OF(n, struct named, node)->domain))
			return true;
	for (struct map_node *n = NULL; (n = map_walk(&t->names[ENTRY_ADDRESS], n)); ) {
		const struct named *name = CONTAINER_OF(n, struct named, node);
		int length = snprintf(text, sizeof(text), "%.*s@%.*s", STR_ARG(name->local),
				      STR_ARG(name->domain));

		if (length > 0 && (size_t)length < sizeof(text) &&
		    fn(arg, str_make(text, (size_t)length)))
			return true;
	}
	return false;
}

static struct network cut_to(const struct ip *ip, unsigned prefix)
{
	struct network n = { .ip = *ip, .prefix = (uint8_t)prefix };

	for (unsigned i = 0; i < sizeof(n.ip.bytes); i++) {
		if (i * 8 >= prefix)
			n.ip.bytes[i] = 0;
		else if (prefix - i * 8 < 8)
			n.ip.bytes[i] &= (uint8_t)(0xff00 >> (prefix - i * 8));
	}
	return n;
}

/* Within a network of at most prefix_max bits? */
static bool has_around(const struct table *t, const struct ip *ip, unsigned prefix_max)
{
	if (!ip->family || !t->networks.n)
		return false;
	for (unsigned prefix = 0; prefix <= prefix_max; prefix++) {
		uint64_t lengths = ip->family == 4 ? t->lengths4 : t->lengths6[prefix / 64];

		if (!(lengths >> prefix % 64 & 1))
			continue;
		struct network n = cut_to(ip, prefix);

		if (find_network(&t->networks, &n))
			return true;
	}
	return false;
}

bool table_has_ip(const struct table *t, const struct ip *ip)
{
	return has_around(t, ip, ip->family == 4 ? 32 : 128);
}

bool table_covers_networks(const struct table *a, const struct table *b)
{
	for (const struct network *n = NULL; (n = table_network(b, n)); )
		if (!has_around(a, &n->ip, n->prefix))
			return false;
	return true;
}

static bool has_named(const struct table *t, enum entry_kind kind, const struct named *n)
{
	if (kind == ENTRY_ADDRESS)
		return table_has_address(t, n->local, n->domain);
	if (kind == ENTRY_DOMAIN)
		return table_has_domain(t, n->domain);
	return find(&t->names[ENTRY_BELOW], STR_NONE, n->domain) || has_below(t, n->domain);
}

bool table_covers_names(const struct table *a, const struct table *b)
{
	for (unsigned kind = ENTRY_ADDRESS; kind <= ENTRY_BELOW; kind++)
		for (struct map_node *n = NULL; (n = map_walk(&b->names[kind], n)); )
			if (!has_named(a, (enum entry_kind)kind,
				       CONTAINER_OF(n, struct named, node)))
				return false;
	return true;
}

unsigned table_count_kind(const struct table *t, enum entry_kind kind)
{
	return (unsigned)(kind == ENTRY_NETWORK ? t->networks.n : t->names[kind].n);
}

unsigned table_count(const struct table *t)
{
	unsigned n = 0;

	for (unsigned kind = ENTRY_ADDRESS; kind < ENTRY_KINDS; kind++)
		n += table_count_kind(t, (enum entry_kind)kind);
	return n;
}

struct str table_name(const struct table *t)
{
	return t->name;
}

struct str table_wide(const struct table *t)
{
	return t->wide;
}

const struct network *table_network(const struct table *t, const struct network *previous)
{
	const struct map_node *at =
		previous ? &CONTAINER_OF(previous, struct net, network)->node : NULL;
	struct map_node *next = map_walk(&t->networks, at);

	return next ? &CONTAINER_OF(next, struct net, node)->network : NULL;
}
