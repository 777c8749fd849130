/*
 * table - entries of a `table` block, a table file, or the words of a rule, looked up in constant
 * time.
 *
 * Entries: "a@b" an address, "b" a domain, ".b" every name below it, networks and addresses of
 * hosts, fingerprints of certificates (64 hex digits, colons between them or not), and words: names
 * of logins that look like none of these. Domains compare without case; local parts of addresses
 * likewise (rules are about whom we serve, not delivery), and "\"a\"@b" is a@b. Literals compare by
 * the address that they name. Names in UTF-8 compare bytewise.
 */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "base/arena.h"
#include "net/endpoint.h"

struct table;

/* address, domain or .domain entries */
bool table_has_address(const struct table *t, struct str local, struct str domain);
/* domain and .domain entries only */
bool table_has_domain(const struct table *t, struct str domain);
bool table_has_ip(const struct table *t, const struct ip *ip);
/* SHA-256, hex; empty: false */
bool table_has_fingerprint(const struct table *t, struct str hex);
/* The whole name of a login, as an address, a domain or a word; without case. */
bool table_has_login(const struct table *t, struct str name);
/* What a client said in HELO or EHLO, as a domain, below one, or as a word. */
bool table_has_helo(const struct table *t, struct str name);
/* Is there an address or domain for which fn is true? */
bool table_any_name(const struct table *t, bool (*fn)(void *arg, struct str name), void *arg);
/* Is each address, domain and .domain of b in a as well? So is each network? */
bool table_covers_names(const struct table *a, const struct table *b);
bool table_covers_networks(const struct table *a, const struct table *b);
unsigned table_count(const struct table *t);
struct str table_name(const struct table *t);	/* empty: made from the words of a rule */

/* ---- making one: config/ and tests; afterwards it never changes */

enum entry_kind {
	ENTRY_BAD, ENTRY_ADDRESS, ENTRY_DOMAIN, ENTRY_BELOW, ENTRY_FINGERPRINT, ENTRY_WORD,
	ENTRY_NETWORK,
};
#define ENTRY_KINDS 7

struct entry {
	enum entry_kind kind;
	/* slices of the text; BELOW: the domain without its dot; FINGERPRINT, WORD: .domain */
	struct str local, domain;
	struct network network;
	const char *error;		/* of BAD: why, as the rest of a sentence about the word */
};

/* Pure. False: BAD. */
bool entry_parse(struct str text, struct entry *ret);
/* The same for names of logins: what is none of the others is a WORD. */
bool entry_parse_login(struct str text, struct entry *ret);

/* in the arena; ends with table_done */
struct table *table_new(struct arena *a, struct str name);
void table_done(struct table *t);	/* frees what is not the arena's */
/* copies; an entry that is there already is fine */
void table_insert(struct table *t, const struct entry *e);
unsigned table_count_kind(const struct table *t, enum entry_kind kind);
/* An entry such as ".com": every name below a top-level domain; empty: there is none. */
struct str table_wide(const struct table *t);
/* All networks, in no particular order: start with NULL, NULL at the end. */
const struct network *table_network(const struct table *t, const struct network *previous);

#endif
