/*
 * config - a configuration snapshot: everything the relay was told, checked, frozen, counted.
 *
 * Made by config_load from text; never changes afterwards. A session takes a reference when it
 * begins and keeps it to its end; a reload swaps the current snapshot only if the new one is sound
 * (DESIGN section 7). All strings and arrays live in the snapshot's arena.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/name.h"
#include "base/pattern.h"
#include "net/endpoint.h"
#include "net/world.h"
#include "smtp/reply.h"

#include <stdatomic.h>

struct key_signer;
struct table;
struct tls_context;

struct config_place {		/* for messages and for relevo explain */
	const char *file;
	unsigned line, column;
};

/* ---- TLS */

enum tls_use {
	TLS_OFF,
	TLS_OFFERED,		/* a client may; a server is asked, and takes it or not */
	TLS_REQUIRED,		/* encrypted, whoever it is */
	TLS_IMPLICIT,		/* from the first octet on (RFC 8314) */
	TLS_VERIFIED,		/* routes: and the host is who it should be */
};

/* ---- strangers: what is asked of clients that no rule knows by network, login or certificate */

struct dns_list {
	struct config_place place;
	struct str zone;
	const struct ip *answers;	/* that count; none: any in 127.0.0.0/8 */
	unsigned answers_n;
	int32_t weight;			/* of an allow list: negative */
};

enum name_check { NAME_IGNORED, NAME_VALID, NAME_RESOLVES, NAME_MATCHES };

struct config_clients {
	const struct dns_list *lists;
	unsigned lists_n;
	int32_t lists_refuse;		/* from this sum of weights on: 550 5.7.1 */
	/* the address's name in the DNS: IGNORED; RESOLVES: it has one; MATCHES: and back again */
	enum name_check reverse_name;
	enum name_check helo;		/* VALID: a name or literal; RESOLVES: it has an address */
	bool greylist;
	uint64_t greylist_delay_ns, greylist_window_ns, greylist_pass_ns;
	bool refuse_early;		/* who talks before the greeting */
	uint64_t greet_delay_ns;	/* before the greeting; 0: none */
	uint64_t tarpit_ns;		/* before each further reply of an error, from .. on */
	uint32_t tarpit_after;
	bool null_one_recipient;	/* mail from <> has one recipient */
};

struct config_listen {
	struct endpoint endpoint;
	struct config_place place;
	enum tls_use tls;
	bool asks_certificates;
	bool submission;		/* logs in first; no mail for strangers */
	unsigned mechanisms;		/* bits 1 << enum sasl_mechanism; 0: no AUTH here */
	/* who may say PROXY (and must) and XCLIENT (and may); NULL: nobody */
	const struct table *proxy_from, *xclient_from;
	const struct config_clients *clients;
	uint64_t timeout_ns;		/* waiting for a command (RFC 5321 4.5.3.2.7: 5 min) */
	/* waiting for the next piece of content (4.5.3.2.5: 3 min) */
	uint64_t data_timeout_ns;
	uint64_t session_max_ns;	/* a whole session */
	/* octets per second that content must average, after a grace of 30 s; 0: none */
	uint64_t rate_min;
	uint32_t errors_max;		/* refused commands before 421 */
	uint32_t idle_commands_max;	/* without a message in between, before 421 */
	/* sessions at once on this address; then 421. One client has a tenth: limit_freeze */
	uint32_t connections_max;
	struct str banner;		/* behind the host name in the greeting */
};

enum route_protocol { ROUTE_SMTP, ROUTE_LMTP };

/* ---- sources: the addresses that we send from */

struct source_pool;

struct source {
	const struct name *name;
	struct config_place place;
	struct ip ipv4, ipv6;		/* family 0: none, it does not go there */
	struct str helo;		/* in EHLO; empty: the hostname */
	/*
	 * Warm-up: the n-th day (UTC, from warm_up_from_day on, counted since 1970) at most
	 * warm_up[n] messages to each provider (and to each destination that belongs to none); no
	 * cap after the last.
	 */
	const uint32_t *warm_up;
	unsigned warm_up_n;
	int64_t warm_up_from_day;
	/* takes over what this one may not send today; NULL: it waits */
	const struct source_pool *overflow;
};

struct source_member {
	const struct source *source;
	uint32_t weight;		/* share, 1-1000; 0: a spare, for when no other can */
};

/* A source alone is a pool of one. */
struct source_pool {
	const struct name *name;
	struct config_place place;
	const struct source_member *members;
	unsigned n;
};

/* Which address families a route's hosts are reached by. */
enum families { FAMILIES_ANY, FAMILIES_IPV4, FAMILIES_IPV6 };

struct route_host {
	struct str name;		/* a name or an address, without the port; or unix:/path */
	struct endpoint endpoint;	/* ip unset: the name is to be looked up */
	uint16_t port;
	bool backup;			/* only when no other host of the route can be used */
	uint32_t weight;		/* share among its equals, 1-1000; default 1 */
};

struct route {
	/*
	 * As the spool records it: a block's name, "smtp://host:port"; "mx", "mx:NAME" for routes
	 * that go by MX. A rule with a block makes a variant of its route: "NAME+XXXXXXXX", the
	 * hash of what the block says; if it is gone from the configuration, the route itself
	 * serves.
	 */
	struct str name;
	/* of the route without its variant: what limits, queries and people mean by "route" */
	const struct name *base;
	struct config_place place;
	bool is_mx;			/* by the recipient's domain: no hosts */
	uint16_t mx_port;		/* where mail exchangers listen; 25 */
	enum families families;
	enum route_protocol protocol;
	enum tls_use tls;
	/* counted by the snapshot; NULL: TLS_OFF; it knows `ca` and `client_identity` */
	struct tls_context *tls_context;
	struct str login_user;		/* empty: none */
	/* the name of the secret; config_secret reads it when it is needed */
	struct str login_secret;
	unsigned login_mechanism;	/* enum sasl_mechanism; 0: the best that both know */
	const struct table *etrn_from;		/* networks that may ask for this route's mail */
	uint64_t quota_octets, quota_messages;	/* waiting for one domain; 0: no bound */
	/* whom it has: NULL: everybody; see also callout */
	const struct table *recipients;
	bool callout;				/* ask the route's hosts, remember what they say */
	uint64_t slow_start_ns;		/* after it was down: until all connections are used */
	const struct source_pool *sources;	/* NULL: as the system likes */
	/* waits after consecutive failures; NULL: the queue's */
	const uint64_t *retry_ns;
	unsigned retry_n;
	bool has_warn_after;		/* warn_after_ns counts: 0 is "never" */
	uint64_t warn_after_ns;
	const struct route_host *hosts;
	unsigned hosts_n;
	uint64_t give_up_after_ns;	/* 0: the queue's */
	uint64_t connect_timeout_ns;	/* RFC 5321 leaves it open; default 30 s */
	uint64_t timeout_ns;		/* for replies (4.5.3.2: 5 min) */
	uint64_t rate_min;		/* octets of content a second, on average; 0: any */
	uint64_t idle_ns;		/* how long an unused connection is kept */
	/* at once to one next hop: the route's hosts together, or one domain by MX */
	uint32_t connections_max;
	uint32_t messages_max;		/* per connection */
	/* 8-bit content to a 7-bit hop: see docs/design (bounce unless set, if supported) */
	bool convert_8bit;
};

/* policy/ and config/ look things up in it: config/table.h */
struct table;

enum who_kind {
	WHO_ANY, WHO_LOCAL, WHO_NETWORKS, WHO_TABLE,
	WHO_LOGIN,			/* who_table: names; NULL: any login */
	/* who_table: fingerprints (SHA-256, hex) or names in certificates of client_ca; NULL: any
	   certificate that client_ca vouches for */
	WHO_CERTIFICATE,
	WHO_POP,			/* who looked at his mail from this address a while ago */
	WHO_HELO,			/* reject only: who_table holds names */
};
enum match_kind { MATCH_ANY, MATCH_LIST, MATCH_TABLE, MATCH_DOMAIN_TABLE };

struct address_match {			/* sender or recipient */
	enum match_kind kind;
	const struct table *table;	/* of LIST (made from the words), TABLE, DOMAIN_TABLE */
	bool negated;			/* reserved */
};

struct rule {
	bool accept;
	struct config_place place;
	/* the rule as written, blanks folded: for explain and the log */
	struct str text;
	enum who_kind who;
	const struct table *who_table;	/* networks */
	struct address_match sender, recipient;
	const struct route *route;	/* accept; of a rule with a block: the variant */
	const struct name *tag;		/* given to what it accepts; NULL: none */
	struct reply reply;		/* reject: 550 5.7.1 with its text */
	bool dangerously_open;
};

/* ---- limits */

enum limit_what {
	LIMIT_CONNECTIONS,		/* at once */
	LIMIT_MESSAGES_PER_CONNECTION,
	LIMIT_MESSAGES,			/* per time: transactions begun */
	LIMIT_RECIPIENTS,		/* per time: RCPT commands */
	LIMIT_OCTETS,			/* per time: of content */
	LIMIT_HANDSHAKES,		/* per time: of TLS, begun by those who send to us */
};

/* For each different one there is a count of its own. */
#define LIMIT_PER_DESTINATION 1		/* route (without variant) and domain */
#define LIMIT_PER_PROVIDER 2		/* destinations of none: each is one */
#define LIMIT_PER_SOURCE 4
#define LIMIT_PER_ROUTE 8		/* without variant */
/* of those who send to us, not of destinations: policy/ counts them */
#define LIMIT_PER_CLIENT 16		/* its address; of IPv6 its /64 */
#define LIMIT_PER_CLIENT_NETWORK 32	/* its /24; of IPv6 its /48 */
#define LIMIT_PER_LOGIN 64
#define LIMIT_PER_SENDER (LIMIT_PER_CLIENT | LIMIT_PER_CLIENT_NETWORK | LIMIT_PER_LOGIN)
#define LIMITS_PER_SENDER_MAX 16	/* written in one configuration: all may count one client */
#define LIMITS_OF_SENDER_MAX (LIMITS_PER_SENDER_MAX + 1)	/* and one that holds unwritten */

/*
 * limit COUNT connections | COUNT messages per connection | RATE messages|recipients|bytes,
 * followed by at least one of: per destination|provider|source|route ..., to domain D ...|table T,
 * to provider P ..., from source S ..., via ROUTE ...; they are combined. [evenly] at the end.
 *
 * Two hold unless a limit of their kind is written: connections per client of each listening
 * address, and handshakes per client.
 */
struct limit {
	struct config_place place;
	struct str text;		/* as written, blanks folded; limits are the same across
					   reloads if this is */
	enum limit_what what;
	uint64_t count;			/* in period_ns; octets count in octets */
	uint64_t period_ns;		/* 0 for the first two */
	/* counts those alone who come to this address; NULL: wherever they come. Of defaults. */
	const struct endpoint *listen;
	bool evenly;			/* one after the other, period / count apart */
	unsigned per;			/* LIMIT_PER_* */
	const struct table *domains;	/* NULL: any */
	/* any of them; NULL: any at all */
	const struct name *const *providers;
	unsigned providers_n;
	const struct name *const *sources;
	unsigned sources_n;
	const struct name *const *routes;
	unsigned routes_n;
};

/* ---- providers: who hosts many domains */

enum reaction {
	REACT_NONE,
	REACT_SLOW,		/* fewer connections and a longer gap between messages */
	REACT_PAUSE,		/* nothing to there from this source for .duration_ns */
	REACT_OTHER_SOURCE,	/* this source rests there for .duration_ns; another goes on */
	REACT_BOUNCE,		/* what was refused fails for good, whatever the code said */
	REACT_DEFER,		/* it waits (for .duration_ns, or by the schedule) though refused */
};

struct reply_rule {
	struct config_place place;
	struct str text;		/* as written, for the log */
	uint16_t code_from, code_to;	/* "421", "4xx"; 0-999: any */
	int16_t class, subject, detail;	/* enhanced status; -1: any */
	const struct pattern *pattern;	/* on the reply's text; NULL: any */
	enum reaction reaction;
	uint64_t duration_ns;		/* 0: the default of the reaction */
};

struct provider {
	const struct name *name;
	struct config_place place;
	bool is_shipped;		/* from the list that comes with the program */
	uint32_t connections_max;	/* from one source; 0: no bound of its own */
	uint32_t messages_max;		/* per connection; 0: likewise */
	const struct reply_rule *rules;	/* the first that fits decides */
	unsigned rules_n;
};

/* ---- the resolver */

enum resolver_mode {
	RESOLVER_SYSTEM,		/* /etc/resolv.conf and /etc/hosts */
	RESOLVER_SERVERS,		/* .servers */
	RESOLVER_RECURSIVE,		/* from the root on */
};

struct config_resolver {
	enum resolver_mode mode;
	const struct endpoint *servers;
	unsigned servers_n;
	bool dnssec;			/* validate */
	const char *trust_anchor;	/* file; NULL: Debian's, else the built-in one */
	const char *root_hints;		/* file; NULL: the built-in ones */
	/* "name address" lines before the DNS; NULL: none (SYSTEM: /etc/hosts) */
	const char *hosts;
	uint64_t timeout_ns;		/* for one answer */
	uint64_t cache_max;		/* octets */
};

/* ---- logins */

enum users_kind { USERS_FILE, USERS_DOVECOT, USERS_INTROSPECT };

struct users_backend {
	struct config_place place;
	enum users_kind kind;
	const char *file;		/* of FILE */
	struct endpoint dovecot;
	/* of INTROSPECT; the name of a secret, or empty; the others may be empty, too */
	struct str url, secret, client, scope, audience, claim, ca;
};

/* A private key: its name is its path, letter for letter. */
struct config_key {
	const char *path;
	struct str public;	/* of its certificate: SubjectPublicKeyInfo, DER; empty: none */
};

/* ---- SMTP after POP: a listener for POP3 */
struct config_pop {
	struct endpoint endpoint;
	struct config_place place;
	enum tls_use tls;
	uint64_t allow_ns;		/* how long a client may relay after it logged in */
	bool apop;
	bool has_upstream;		/* passed through to a real POP3 server */
	struct str upstream_host;
	uint16_t upstream_port;
	enum tls_use upstream_tls;
	struct tls_context *upstream_context;	/* counted by the snapshot; NULL: TLS_OFF */
};

struct transcript_rule {
	struct network network;		/* family 0: a domain instead */
	struct str domain;
};

enum log_format { LOG_TEXT, LOG_JSON };
enum log_target { LOG_STDERR, LOG_FILE, LOG_SYSLOG };

/* Addresses of one configuration that are listened on, `listen` and `pop` together. */
#define CONFIG_LISTENERS_MAX 256

struct config {
	_Atomic uint32_t refs;
	struct arena arena;
	struct str path;		/* of the main file */
	/* hex of all files read, so that a reload can say "unchanged" */
	struct str text_hash;

	struct str hostname;
	const char *state;		/* folder, absolute or relative to the working folder */
	struct str user;		/* empty: stay who we are */
	unsigned workers;		/* 0: one per core */

	const struct config_listen *listens;
	unsigned listens_n;
	/* by name; with those made from smtp:// and lmtp:// in rules */
	const struct route *const *routes;
	unsigned routes_n;
	const struct rule *rules;
	unsigned rules_n;
	struct table *const *tables;	/* the named ones and those made from the words of rules */
	unsigned tables_n;

	const struct limit *limits;
	unsigned limits_n;
	const struct source *const *sources;
	unsigned sources_n;
	const struct source_pool *const *pools;	/* without those made of one source */
	unsigned pools_n;
	const struct provider *const *providers; /* the shipped ones, too */
	unsigned providers_n;
	const struct provider *provider_any;	/* rules for all, after their own; may be NULL */
	const struct provider_index *provider_index;	/* private: config_provider_* */
	struct config_resolver resolver;

	struct {
		struct tls_context *server;	/* counted; NULL: no certificate is named */
		struct tls_context *server_asking;	/* the same, asks clients for theirs */
		const struct config_key *keys;
		unsigned keys_n;
		/* of the first identity: for explain and warnings; 0: none */
		int64_t expires_ms;
	} tls;
	struct tls_context *const *contexts;	/* private: all that are counted */
	unsigned contexts_n;
	const struct users_backend *users;	/* asked in this order */
	unsigned users_n;
	const char *secrets;			/* folder; NULL: none */
	const struct config_pop *pops;
	unsigned pops_n;
	struct config_clients clients;		/* the defaults of listeners */
	struct {
		uint32_t failures_max;		/* of logins, from one client, until it is banned */
		uint64_t ban_ns;
	} logins;
	bool mta_sts, dane;
	struct {
		bool on;
		struct str from, organization, contact;
	} tls_reports;				/* RFC 8460 */

	/* other names and addresses of this machine, beside hostname and what it listens on */
	const struct str *self_names;
	unsigned self_names_n;
	const struct ip *self_ips;
	unsigned self_ips_n;

	struct {
		/* waits after consecutive failures; the last repeats */
		const uint64_t *retry_ns;
		unsigned retry_n;
		uint64_t warn_after_ns;		/* 0: never */
		uint64_t give_up_after_ns;
		uint64_t bounce_give_up_after_ns;
		uint64_t size_max;		/* octets of spool; 0: no limit */
		/* octets of free space to leave; 0: min(5 % of the file system, 256 MiB) */
		uint64_t free_min;
		uint64_t memory;		/* octets of waiting content kept in memory */
		/* of all messages that wait; 0: one for each 4 KiB of the machine's memory */
		uint64_t recipients_max;
		/* notices (DSNs) per sender and hour; 0: none at all */
		uint32_t notices_max;
		uint32_t connections_max;	/* outgoing, of the relay */
	} queue;

	struct {
		uint64_t size_max;		/* octets */
		uint32_t recipients_max;
		uint32_t hops_max;
		uint64_t memory;		/* octets of arriving content kept in memory */
		/* octets of original that a bounce with RET=FULL carries */
		uint64_t bounce_size_max;
	} message;

	struct str postmaster;			/* address; empty: none named */
	const struct route *postmaster_route;	/* NULL: by the rules */

	struct {
		enum log_format format;
		enum log_target target;
		const char *file;		/* of LOG_FILE */
		const struct transcript_rule *transcripts;
		unsigned transcripts_n;
	} log;
};

struct config *config_ref(struct config *c);
void config_unref(struct config *c);	/* NULL is fine; any thread */

/* The snapshot in force: counted; any thread. NULL before the first config_set_current. */
struct config *config_current(void);
/*
 * The certificates that a handshake shows which begins now, counted: those in force, whenever the
 * session began; where none are any more, the session's own. Keys are known to who signs by their
 * names, and a key that was renewed in its place is no longer the one of the older certificate.
 * asks: the clients for theirs. NULL: there is none.
 */
struct tls_context *config_server_context(const struct config *own, bool asks);
/* Swap; takes the caller's reference; sessions under way keep the old one. Any thread. */
void config_set_current(struct config *c);

/*
 * Read the file and what it includes. Returns the snapshot, or NULL if there are errors. All errors
 * and warnings of syntax and meaning, one per line "file:line:column: error: ...", are appended to
 * messages; *ret_errors and *ret_warnings count them. strict: files that are named and missing are
 * errors (relevo run), else warnings (relevo check).
 */
struct config *config_load(const char *path, bool strict, struct buf *messages,
			   unsigned *ret_errors, unsigned *ret_warnings);

/*
 * The same from memory, or with other answers from outside: for tests, fuzzing and the simulated
 * world.
 */
struct config_source {
	const char *path;	/* of the main file */
	const char *text;	/* not NULL: the main file's content */
	size_t text_n;
	bool strict;
	bool is_alone;		/* no other file is opened: naming one is an error */
	const char *host_name;	/* the system's; NULL: ask it */
	int64_t now_ms;		/* wall clock, for the ends of certificates; 0: ask the system */
};

struct config *config_load_from(const struct config_source *source, struct buf *messages,
				unsigned *ret_errors, unsigned *ret_warnings);

/*
 * By the name that the spool recorded; NULL: not in this configuration. "smtp://..." names are
 * found if a rule has them. A variant that is gone is served by its route.
 */
const struct route *config_route(const struct config *c, struct str name);
/* By the name that people use: "bulk" also where "mx:bulk" is recorded; NULL: there is none. */
const struct route *config_route_named(const struct config *c, struct str base);
/*
 * A route made from "smtp://host:port" or "lmtp://..." alone, in the arena given; NULL if it is no
 * such text.
 */
const struct route *config_route_parse(struct arena *a, struct str text);

/* NULL: there is none */
const struct source *config_source(const struct config *c, const struct name *name);
const struct provider *config_provider(const struct config *c, const struct name *name);
/*
 * Whose mail exchanger this is (the longest ending that a provider's `mx` lists), or whose domain;
 * NULL: nobody's that we know.
 */
const struct provider *config_provider_of_mx(const struct config *c, struct str host);
const struct provider *config_provider_of_domain(const struct config *c, struct str domain);
/*
 * The first rule of the provider (NULL: none), then of `any`, that fits the reply; NULL: none.
 * Matches patterns, with PCRE2's limits: takes microseconds.
 */
const struct reply_rule *config_reply_rule(const struct config *c, const struct provider *p,
					   const struct reply *r);
bool limit_applies(const struct limit *l, struct str domain, const struct name *provider,
		   const struct name *source, const struct name *route);

/*
 * Who uses the private keys that snapshots name, those already loaded as well (a worker inherits
 * its first from the supervisor): set once, before the first handshake. NULL (the commands that
 * only read a configuration): identities are made, but cannot sign.
 */
void config_set_signer(struct key_signer *s);

/*
 * The first line of the secret of that name (the file of that name in the `secrets` folder), read
 * anew each time: blocks, so tasks ask in the pool (net_offload). False: error holds a sentence
 * (never a part of the secret). A file that everybody may read is refused. Wipe what you got.
 */
bool config_secret(const struct config *c, struct str name, struct buf *ret, struct buf *error);

/* All files named in the configuration are opened through this one function. fd or -errno. */
int config_open_file(const char *path);
/*
 * fn is told of each file that is opened so, with 0 or -errno: whoever locks a process in must know
 * them. Set once, before there are threads; NULL: nobody.
 */
void config_on_open(void (*fn)(const char *path, int result));

/* docs/reference/configuration.md, from the table of settings. */
void config_reference(struct buf *out);

#endif
