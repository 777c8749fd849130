/*
 * load - what the parts of config/ share while one configuration is being read.
 *
 * Internal to config/. A struct load lives for one config_load: the snapshot under construction,
 * the faults found so far, the names that can be resolved only at the end (a rule may stand before
 * its route).
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

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

/* These many of each: what is compared pairwise must stay few. */
#define LOAD_LISTENS_MAX 1000
#define LOAD_ROUTES_MAX 10000
#define LOAD_HOSTS_MAX 100	/* in one route */
#define LOAD_TABLES_MAX 1000
#define LOAD_RULES_MAX 10000
#define LOAD_TRANSCRIPTS_MAX 1000

struct route_draft {
	struct route route;	/* first: settings of the block are written into it */
	struct vector hosts;	/* struct route_host, in the snapshot's arena */
};

struct rule_draft {
	struct rule rule;
	struct word who_table, sender_table, recipient_table; /* names; text empty: none */
	struct word route;
};

struct frame {			/* an open block */
	enum block block;
	void *object;
};

struct source {			/* a file that is read, or waits to be */
	struct source *next;	/* what is read after it */
	const struct source *parent; /* that includes it; NULL: the main file */
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
	struct arena scratch;	/* texts of files, sources, drafts: freed when the loading ends */
	struct source *source;	/* the file being read */
	unsigned files;
	uint64_t hash;		/* of all texts */
	bool has_version;	/* a first statement was read, for better or worse */
	bool is_first;		/* the statement being run is it */

	struct frame frames[LEXER_NESTING_MAX + 1];
	unsigned depth;
	void *opened;		/* set by a handler: the struct that its block describes */
	/* where a statement stood in its block; line 0: not yet */
	struct config_place seen[SETTINGS_MAX];

	struct vector listens;	/* struct config_listen */
	struct vector routes;	/* struct route: of blocks, and those written as an address */
	struct vector drafts;	/* struct route_draft: those of blocks */
	struct vector tables, rules, transcripts;
	struct config_place hostname_place, postmaster_place, log_format_place, log_target_place;
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

/* ---- statement.c: handlers of statements that have no file of their own */
setting_handle statement_hostname, statement_state, statement_user, statement_listen,
	statement_banner;
setting_handle statement_retry, statement_postmaster, statement_log, statement_format, statement_to;
setting_handle statement_transcript, statement_block;

/* ---- route.c */
setting_handle route_statement, route_host_statement, route_protocol_statement;
void route_finish(struct load *l, struct route_draft *draft);
bool route_name_is_valid(struct str name);

/* ---- rule.c */
setting_handle rule_accept, rule_reject;

/* ---- tables.c: the statement, table files */
setting_handle tables_statement;
void tables_entries(struct load *l, struct table *t, const struct statement *st);

/* ---- check.c: what can be seen only at the end */
void check_all(struct load *l);

#endif
