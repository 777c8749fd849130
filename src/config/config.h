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
#include "net/endpoint.h"
#include "net/world.h"
#include "smtp/reply.h"

#include <stdatomic.h>

struct config_place {		/* for messages and for relevo explain */
	const char *file;
	unsigned line, column;
};

struct config_listen {
	struct endpoint endpoint;
	struct config_place place;
	uint64_t timeout_ns;		/* waiting for a command (RFC 5321 4.5.3.2.7: 5 min) */
	/* waiting for the next piece of content (4.5.3.2.5: 3 min) */
	uint64_t data_timeout_ns;
	uint64_t session_max_ns;	/* a whole session */
	/* octets per second that content must average, after a grace of 30 s; 0: none */
	uint64_t rate_min;
	uint32_t errors_max;		/* refused commands before 421 */
	uint32_t connections_max;	/* sessions at once on this address; then 421 */
	struct str banner;		/* behind the host name in the greeting */
};

enum route_protocol { ROUTE_SMTP, ROUTE_LMTP };

struct route_host {
	struct str name;		/* a name or an address, without the port; or unix:/path */
	struct endpoint endpoint;	/* ip unset: the name is to be looked up */
	uint16_t port;
	bool backup;			/* only when no other host of the route can be used */
	uint32_t weight;		/* share among its equals, 1-1000; default 1 */
};

struct route {
	/* as the spool records it: a block's name, or "smtp://host:port" */
	struct str name;
	struct config_place place;
	/* by the recipient's domain: no hosts (a later part; not accepted yet) */
	bool is_mx;
	enum route_protocol protocol;
	const struct route_host *hosts;
	unsigned hosts_n;
	uint64_t give_up_after_ns;	/* 0: the queue's */
	uint64_t connect_timeout_ns;	/* RFC 5321 leaves it open; default 30 s */
	uint64_t timeout_ns;		/* for replies (4.5.3.2: 5 min) */
	uint64_t idle_ns;		/* how long an unused connection is kept */
	uint32_t connections_max;	/* at once to this route's next hop */
	uint32_t messages_max;		/* per connection */
	/* 8-bit content to a 7-bit hop: see docs/design (bounce unless set, if supported) */
	bool convert_8bit;
};

/* policy/ and config/ look things up in it: config/table.h */
struct table;

enum who_kind { WHO_ANY, WHO_LOCAL, WHO_NETWORKS, WHO_TABLE };
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
	const struct route *route;	/* accept */
	struct reply reply;		/* reject: 550 5.7.1 with its text */
	bool dangerously_open;
};

struct transcript_rule {
	struct network network;		/* family 0: a domain instead */
	struct str domain;
};

enum log_format { LOG_TEXT, LOG_JSON };
enum log_target { LOG_STDERR, LOG_FILE, LOG_SYSLOG };

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
		/* notices (DSNs) per sender and hour; 0: none at all */
		uint32_t notices_max;
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
};

struct config *config_load_from(const struct config_source *source, struct buf *messages,
				unsigned *ret_errors, unsigned *ret_warnings);

/*
 * By the name that the spool recorded; NULL: not in this configuration. "smtp://..." names are
 * found if a rule has them.
 */
const struct route *config_route(const struct config *c, struct str name);
/*
 * A route made from "smtp://host:port" or "lmtp://..." alone, in the arena given; NULL if it is no
 * such text.
 */
const struct route *config_route_parse(struct arena *a, struct str text);

/* All files named in the configuration are opened through this one function. fd or -errno. */
int config_open_file(const char *path);

/* docs/reference/configuration.md, from the table of settings. */
void config_reference(struct buf *out);

#endif
