/*
 * load - what the parts of config/ share while one configuration is being read.
 *
 * Internal to config/. A struct load lives for one config_load: the snapshot under construction,
 * the faults found so far, the names that can be resolved only at the end (a rule may stand before
 * its route).
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include "base/list.h"
#include "base/mem.h"
#include "config/setting.h"
#include "config/table.h"
#include "smtp/address.h"

#include <sys/stat.h>

#define LOAD_FILES_MAX 1000	/* files included by one configuration */
#define LOAD_DEPTH_MAX 8	/* includes in includes */
#define LOAD_FILE_MAX (16 * MIB) /* octets of a configuration file */
#define LOAD_TABLE_FILE_MAX (64 * MIB) /* octets of a table file */
#define LOAD_ENTRIES_MAX 1000000 /* in one table */

struct vector {			/* of pointers; the array is owned */
	void **p;
	unsigned n, size;
};

void vector_add(struct vector *v, void *p);
void vector_done(struct vector *v);

#define LOAD_NAME_MAX 64	/* octets of the name of a route, table, source ... */

/* These many of each: what is compared pairwise must stay few. */
#define LOAD_ROUTES_MAX 10000
#define LOAD_HOSTS_MAX 100	/* in one route */
#define LOAD_TABLES_MAX 1000
#define LOAD_RULES_MAX 10000
#define LOAD_TRANSCRIPTS_MAX 1000
#define LOAD_SOURCES_MAX 1000
#define LOAD_POOLS_MAX 200
#define LOAD_MEMBERS_MAX 1000	/* in one pool */
#define LOAD_LIMITS_MAX 1000
#define LOAD_PROVIDERS_MAX 1000
#define LOAD_REPLY_RULES_MAX 200 /* of one provider */
#define LOAD_SERVERS_MAX 16	/* of the resolver */
#define LOAD_SELF_MAX 1000
#define LOAD_IDENTITIES_MAX 200	/* in the tls block */
#define LOAD_KEYS_MAX 256	/* private keys: as many as a signer takes */
#define LOAD_DNS_LISTS_MAX 32	/* of one listener */
#define LOAD_USERS_MAX 8
#define LOAD_POPS_MAX 16
#define LOAD_CERTIFICATE_NAMES_MAX 100 /* in one rule: each is compared with the certificate */

#define TLS_UNSAID ((enum tls_use)99) /* the default, which depends on other statements */

struct identity_draft {		/* files of a certificate and its key */
	struct word certificate, key; /* text empty: not named */
	struct config_place place;
};

struct listen_draft {
	struct config_listen listen; /* first, in the snapshot's arena as the whole draft */
	struct config_clients clients; /* what this listener says itself: */
	unsigned clients_said;	/* a bit for each row of the table in clients.c */
	struct vector lists;	/* struct dns_list */
	struct word proxy_table, xclient_table;
	struct config_place login_place; /* line 0: it says nothing about logins */
	bool login_off;
	unsigned login_mechanisms; /* said; 0: the default */
};

struct pop_draft {
	struct config_pop pop;	/* first, in the snapshot's arena as the whole draft */
	struct config_place upstream_place;
};

struct route_draft {
	struct route route;	/* first: settings of the block are written into it */
	struct vector hosts;	/* struct route_host, in the snapshot's arena */
	struct word source;	/* a name; text empty: none */
	bool is_opportunistic;	/* tls was not said: what a login in a rule's block may raise */
	struct word ca;		/* a file; text empty: none */
	struct identity_draft identity;
	struct config_place login_place;
	struct word etrn_table, recipients_table;
};

struct rule_draft {
	struct rule rule;	/* first */
	struct word who_table, sender_table, recipient_table; /* names; text empty: none */
	struct word route;
	bool has_block;
	struct config_place place; /* of the rule */
	/* what the block says about the route: its settings are written into it */
	struct route_draft variant;
};

struct variant {		/* a route as a rule's block changes it */
	struct route route;
	struct str canonical;	/* what its name is a hash of */
};

struct source_draft {
	struct source source;	/* first, in the snapshot's arena as the whole draft */
	struct source_member member; /* of the pool that is this source alone */
	struct source_pool alone;
	struct word overflow;
	int state;		/* of the search for loops */
};

struct pool_draft {
	struct source_pool pool; /* first, in the snapshot's arena */
	struct vector members;	/* struct member_draft */
	bool has_members;	/* or statements that would be some */
};

struct member_draft {
	struct word source;
	uint32_t weight;
};

struct limit_draft {		/* names that are resolved at the end */
	struct limit limit;	/* first */
	struct word domains;	/* a table's name; text empty: none */
	struct word *providers, *sources, *routes;
};

struct provider_draft {
	struct provider provider; /* first, in the snapshot's arena */
	struct vector rules;	/* struct reply_rule */
	bool is_any;
};

struct frame {			/* an open block */
	enum block block;
	void *object;
};

struct input {			/* a file that is read, or waits to be */
	struct input *next;	/* what is read after it */
	const struct input *parent; /* that includes it; NULL: the main file */
	bool is_shipped;	/* the list of providers inside the program */
	const char *path;
	struct config_place place; /* of the include */
	unsigned depth;
	bool is_open;
	dev_t device;
	ino_t inode;
	struct lexer lexer;
};

struct load {
	const struct config_source *options;
	struct config *c;
	struct diag diag;
	struct arena scratch;	/* texts of files, inputs, drafts: freed when the loading ends */
	struct input *input;	/* the file being read */
	unsigned files;
	uint64_t hash;		/* of all texts */
	bool has_version;	/* a first statement was read, for better or worse */
	bool is_first;		/* the statement being run is it */

	struct frame frames[LEXER_NESTING_MAX + 1];
	unsigned depth;
	void *opened;		/* set by a handler: the struct that its block describes */
	/* where a statement stood in its block; line 0: not yet */
	struct config_place seen[SETTINGS_MAX];

	struct vector listens;	/* struct listen_draft */
	struct vector listen_drafts; /* with those that have a fault */
	struct vector routes;	/* struct route: of blocks, and those written as an address */
	struct vector drafts;	/* struct route_draft: those of blocks */
	struct vector tables, rules, transcripts;
	struct vector variants;	/* struct variant */
	struct vector sources;	/* struct source_draft */
	struct vector pools;	/* struct pool_draft */
	struct vector limits;	/* struct limit_draft */
	struct vector providers; /* struct provider_draft */
	struct provider_index *index; /* the snapshot's */
	struct provider_draft *any;	/* `provider any`; NULL: none yet */
	bool has_no_shipped;	/* `providers none` */
	struct vector servers;	/* struct endpoint, of the resolver */
	struct vector self_names, self_ips; /* struct str, struct ip */
	bool has_dnssec, has_hosts; /* the resolver block says it */

	struct identity_draft identity; /* the first, of the tls block itself */
	struct vector identities; /* struct identity_draft: all of the tls block */
	unsigned tls_minimum;	/* enum tls_version */
	struct word client_ca, ca; /* files; text empty: none */
	struct config_place tls_place, secrets_place, reports_place;
	struct vector contexts;	/* struct tls_context: counted, the snapshot's */
	struct vector client_contexts; /* struct client_context, of identity.c */
	struct vector keys;	/* struct config_key */
	struct vector users;	/* struct users_backend */
	struct vector secrets;	/* struct word: names that were used */
	struct vector pops;	/* struct pop_draft */
	struct vector dns_lists; /* struct dns_list, of the clients block */
	struct config_place hostname_place, postmaster_place, log_format_place, log_target_place;
	struct config_place root_hints_place, trust_anchor_place;
	struct word postmaster_route;
};

/* ---- load.c */
/* Adds unless there are max already; then it is an error: "more than 100 hosts". */
bool load_add(struct load *l, struct vector *v, void *p, unsigned max,
	      const struct config_place *at, const char *what);
/* beside the file that names it */
const char *load_path(struct load *l, const struct config_place *at, struct str name);
/* The text of a file, in the scratch arena; false: a fault was reported. *ret_stat may be NULL. */
bool load_read(struct load *l, const struct config_place *at, const char *path, uint64_t max,
	       struct str *ret, struct stat *ret_stat);
setting_handle load_include, load_version;

/* A folder from which files will be read later: whoever locks the process in is told. */
void load_note_folder(const char *path);

/* ---- statement.c: handlers of statements that have no file of their own */
setting_handle statement_hostname, statement_state, statement_user;
setting_handle statement_retry, statement_postmaster, statement_log, statement_format, statement_to;
setting_handle statement_transcript, statement_block, statement_self;
/* The statement as it would be written again: one space between words, quotes where they were. */
struct str statement_text(struct load *l, const struct statement *st);

/* The struct that a statement inside a block writes to, or the block's that is being opened. */
void *statement_object(struct load *l);

/* ---- listen.c */
setting_handle listen_statement, listen_banner, listen_from, listen_login;
/* Reports an address that another `listen` or `pop` has, or that is one too many. */
bool listen_is_free(struct load *l, const struct word *w, const struct endpoint *e);
/* The tls of a listener, once it is known whether there is a certificate. */
enum tls_use listen_tls(struct load *l, enum tls_use said, const struct config_place *at);
void listen_check_all(struct load *l);
void listen_freeze(struct load *l);

/* ---- clients.c: the clients block and its statements in listen blocks */
setting_handle clients_store, clients_dns_list, clients_greylist, clients_early, clients_tarpit;
/* After `clients` was read: what a listener does not say itself. */
const struct config_clients *clients_of_listener(struct load *l, const struct listen_draft *d);
void clients_freeze(struct load *l);

/* ---- identity.c: certificates, keys, contexts */
setting_handle identity_tls, identity_block, identity_file, identity_authorities;
setting_handle identity_minimum;
/* A certificate is named in the tls block. */
bool identity_has_server(const struct load *l);
void identity_check_all(struct load *l);
/* A client's context with a route's `ca` and `client_identity`; NULL draft: without. */
struct tls_context *identity_client_context(struct load *l, const struct route_draft *draft);
void identity_freeze(struct load *l);

/* ---- login.c: users, secrets, logins at other servers */
setting_handle login_users, login_secrets, login_route;
/* Whether files of the name can be in a `secrets` folder; faults are reported. */
bool login_secret_check(struct load *l, const struct word *name);
bool login_has_users(const struct load *l, unsigned kinds);	/* 1 << enum users_kind */
void login_check_all(struct load *l);
void login_freeze(struct load *l);

/* ---- pop.c */
setting_handle pop_statement, pop_upstream;
void pop_check_all(struct load *l);
void pop_freeze(struct load *l);

/* ---- reports.c */
setting_handle reports_statement, reports_address;
void reports_check(struct load *l);

/* ---- route.c: also the statements that a rule's block shares with a route's */
setting_handle route_statement, route_host_statement, route_protocol_statement;
setting_handle route_families_statement, route_source_statement, route_warn_statement;

/* ---- route_peer.c: TLS, whom a route has, ETRN */
setting_handle route_tls, route_identity, route_etrn, route_quota, route_recipients,
	route_slow_start;
/* What depends on other statements: contexts, tables, whether a login may go there. */
void route_settle_all(struct load *l);
/*
 * May the route's login go over it? Where TLS was not spoken of, it is required from here on;
 * where it is off, only this machine may be at the other end. Faults are reported.
 */
void route_check_login(struct load *l, struct route *route, bool is_opportunistic,
		       const struct config_place *at);

/* ---- route.c again */
void route_finish(struct load *l, struct route_draft *draft);
bool route_name_is_valid(struct str name);
/* "name:25", "10.0.0.5", "unix:/path"; text is NUL-terminated, and borrowed. Port 0: none. */
bool route_host_parse(struct str text, struct route_host *ret);
struct route *route_new_mx(struct arena *a);	/* the built-in route "mx" */

/* ---- variant.c */
/* The route as the block of the rule wants it; the route itself if the block is about none of it.
 * NULL: a fault was reported. */
const struct route *variant_of(struct load *l, const struct route *route,
			       const struct rule_draft *draft);

/* ---- source.c */
setting_handle source_statement, source_warm_up, source_pool_statement, source_member;
void source_finish_pool(struct load *l, struct pool_draft *draft);
/* A source or pool by its name; NULL: a fault was reported. */
const struct source_pool *source_pool_find(struct load *l, const struct word *name);
const struct source *source_find(struct load *l, const struct word *name);
void source_check_all(struct load *l);	/* names of members and overflows, loops */
void source_freeze(struct load *l);

/* ---- limit.c */
setting_handle limit_statement;
void limit_check_all(struct load *l);
void limit_freeze(struct load *l);

/* ---- provider.c, reply_rule.c, provider_index.c */
setting_handle provider_statement, provider_none, provider_mx, provider_domain, provider_on;
setting_handle provider_count;
void provider_finish(struct load *l, struct provider_draft *draft);
void provider_freeze(struct load *l);
const struct provider *provider_find(const struct load *l, const struct name *name);
/* What a `on` statement says; false: a fault was reported. */
bool reply_rule_read(struct load *l, const struct statement *st, struct reply_rule *ret);
/* The list that comes with the program. */
struct str provider_shipped_text(void);

struct provider_index *provider_index_new(struct arena *a);
void provider_index_done(const struct provider_index *index);	/* what is not the arena's */
/* Kinds: ENTRY_DOMAIN (the name itself), ENTRY_BELOW. Returns whose it is: p, or another. */
const struct provider *provider_index_add_mx(struct provider_index *index, const struct entry *e,
					     const struct provider *p);
const struct provider *provider_index_add_domain(struct provider_index *index,
						 const struct entry *e, const struct provider *p);
/* Takes the pattern: it lives as long as the index. */
void provider_index_keep(struct provider_index *index, struct pattern *pattern);

/* ---- resolver.c */
setting_handle resolver_statement, resolver_dnssec, resolver_file, resolver_hosts;
void resolver_finish(struct load *l);

/* ---- reference_doors.c */
extern const char reference_doors[];

/* ---- rule.c */
setting_handle rule_accept, rule_reject, rule_tag;
void rule_finish(struct load *l, struct route_draft *variant);

/* ---- tables.c: the statement, table files */
setting_handle tables_statement;
void tables_entries(struct load *l, struct table *t, const struct statement *st);

/* ---- order.c: warnings about rules that no mail reaches, and routes that no rule names */
void order_check(struct load *l);

/* ---- check.c: what can be seen only at the end */
void check_all(struct load *l);
/* By the name that people write; NULL: a fault was reported. */
const struct route *check_find_route(struct load *l, const struct word *name);
const struct table *check_find_table(struct load *l, const struct word *name);
/* The same, with a warning if it holds no networks. */
const struct table *check_find_networks(struct load *l, const struct word *name);

#endif
