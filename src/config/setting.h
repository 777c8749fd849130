/*
 * setting - the one table of settings: every statement that a configuration can hold.
 *
 * A row drives the parser (where the statement may stand, what it takes), the defaults, the bounds,
 * the check and the reference page. A new setting is a row, a field in config.h, and nothing else,
 * unless it needs a handler because its words are more than one value.
 */
#ifndef CONFIG_SETTING_H
#define CONFIG_SETTING_H

#include "config/lexer.h"
#include "config/value.h"

enum block {
	BLOCK_NONE,
	BLOCK_TOP,		/* the file itself: struct config */
	BLOCK_LISTEN,		/* struct listen_draft, whose first member is the config_listen */
	BLOCK_ROUTE,		/* struct route_draft, whose first member is the struct route */
	BLOCK_HOST,		/* struct route_host */
	BLOCK_TABLE,		/* entries, not statements: struct table */
	BLOCK_RULE,		/* of accept: the struct route_draft inside a struct rule_draft */
	BLOCK_SOURCE,		/* struct source_draft */
	BLOCK_POOL,		/* struct pool_draft */
	BLOCK_PROVIDER,		/* struct provider_draft */
	BLOCK_RESOLVER,		/* struct config */
	BLOCK_TLS,		/* struct config: the statements keep words in struct load */
	BLOCK_IDENTITY,		/* struct identity_draft */
	BLOCK_CLIENTS,		/* struct config */
	BLOCK_LOGINS,		/* struct config */
	BLOCK_REPORTS,		/* struct config */
	BLOCK_POP,		/* struct pop_draft */
	BLOCK_QUEUE,		/* struct config */
	BLOCK_MESSAGE,		/* struct config */
	BLOCK_LOG,		/* struct config */
	BLOCK_SKIP,		/* inside a statement with a fault: read over */
};

#define SETTINGS_MAX 192		/* rows */

struct load;
struct setting;
typedef void setting_handle(struct load *l, const struct setting *row, const struct statement *st);

struct setting {
	const char *name;
	enum block in;
	enum block opens;	/* the block that may follow; NONE: none may */
	bool needs_block;	/* it must follow */
	bool repeats;		/* may stand more than once */
	bool is_later;		/* known, but not in this version */
	bool at_start;		/* a reload does not change it */
	const char *arguments;	/* as the reference shows them */
	uint16_t words_min, words_max; /* arguments */
	setting_handle *handle;	/* NULL: value says it all */

	enum value value;
	size_t offset;		/* of the field in the block's struct */
	uint64_t min, max;
	/* of CHOICE: words, each for the value that is its index; NULL: none; "" at the end */
	const char *const *choices;
	const char *zero;	/* the word that stands for 0, where 0 has a meaning of its own */
	const char *fallback;	/* the default, as it would be written */
	/* where the default is no value: what holds then, for the reference */
	const char *fallback_note;

	const char *meaning;	/* one line */
	const char *detail;	/* the longer description; NULL: the line says it */
	const char *example;	/* statements that load when put in a file of their own */
	const char *since;
};

extern const struct setting settings[];
extern const unsigned settings_n;

/* NULL: no such statement there */
const struct setting *setting_find(enum block in, struct str name);
void setting_choices(enum block in, struct choices *ret);	/* those of this version */
const char *setting_block_name(enum block in);			/* "a route block" */

/* Reads the words into the block's struct; faults go to the diag. */
void setting_store(struct load *l, const struct setting *row, const struct statement *st,
		   void *object);
/* Puts a number into the field; kind: COUNT, PORT, SIZE, DURATION or RATE. */
void setting_put(enum value kind, void *field, uint64_t value);
/* The value of a word by a row's choices; -1: a fault was reported. */
int setting_choice(struct load *l, const char *const *choices, const struct word *w);
/* Writes every fallback of a block's rows into a fresh struct. */
void setting_defaults(struct load *l, enum block in, void *object);

#endif
