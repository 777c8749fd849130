/*
 * users - who may log in: the users file, made with "relevo user" (the format stands in users.c).
 *
 * A struct users is one reading of the file: counted, never changed. A struct users_source watches
 * the file and reads it anew when it has changed. Passwords are not in it, only what verifies them.
 */
#ifndef POLICY_USERS_H
#define POLICY_USERS_H

#include "base/arena.h"
#include "base/hash.h"
#include "config/table.h"
#include "net/world.h"
#include "policy/gate.h"
#include "smtp/address.h"
#include "smtp/sasl.h"

#define USERS_FILE_MAX (64 * 1024 * 1024) /* octets */
#define USERS_LINE_MAX (16 * 1024)	  /* octets of a line without its end */

struct user {
	struct map_node node;					/* private */
	struct str name;					/* as written in the file */
	const char *hash;					/* of crypt(5) */
	const struct scram_secret *scram_sha_256, *scram_sha_1; /* NULL: none */
	bool disabled;
	bool sends_as_anybody; /* "*" */
	struct table *senders; /* addresses and domains; NULL: none */
	unsigned line;
};

struct users;

/* ---- one line: also for the commands that edit the file */
enum users_line { USERS_LINE_BLANK, USERS_LINE_USER, USERS_LINE_BAD };

struct user_words {
	struct str name, hash, scram_sha_256, scram_sha_1;
	bool disabled;
	bool has_from;
	struct str from; /* the words behind "from" */
};

/* line: without its end. The slices are of it. BAD: error holds the rest of a sentence. */
enum users_line users_line_parse(struct str line, struct user_words *ret, struct buf *error);
void users_line_format(struct buf *out, const struct user_words *u);
/* A word that may stand behind "from". */
bool users_sender_is_valid(struct str word);
/* A name that may stand in the file: a text of SASL without blanks, not beginning with "#". */
bool users_name_is_valid(struct str name);

/* ---- a reading */
/*
 * text: the whole file, called name in messages. NULL: errors holds sentences, one for each bad
 * line (the first twenty), each with its line's number.
 */
struct users *users_parse(const char *name, struct str text, struct buf *errors);
/*
 * Reads the file. NULL: errors says why. warnings: others may read it, it is empty. Blocks: at
 * start-up, in commands, in the pool. ret_stat may be NULL.
 */
struct users *users_load(struct world *w, const char *path, struct buf *errors,
			 struct buf *warnings, struct stat *ret_stat);
struct users *users_ref(struct users *u);
void users_unref(struct users *u); /* NULL is fine */
unsigned users_count(const struct users *u);
/* Without case (ASCII). Borrowed from the reading. NULL: there is none. */
const struct user *users_find(const struct users *u, struct str name);
const struct user *users_at(const struct users *u, unsigned index); /* in the file's order */
/* The first SCRAM secret of that kind in the file, remembered when it was read. NULL: none. */
const struct scram_secret *users_first_secret(const struct users *u, bool sha1);

/*
 * May he give this as the sender? The null path is everybody's: it is how notifications go, and
 * pretends nothing. Without a list: his own name, if it is an address.
 */
bool users_may_send_as(const struct user *u, const struct address *sender);

/*
 * Is the password right? 1: yes; 0: no, or no such user, or disabled: the same time for each.
 * -EBUSY, -ETIMEDOUT: too many others; -ECANCELED. Computes in the pool, gated: at most as many at
 * once as the gate allows. u is held meanwhile.
 */
int users_verify(struct users *u, struct gate *g, struct str name, struct str password,
		 uint64_t deadline) SUSPENDS;

/*
 * His SCRAM secret: true. False: no such user, or disabled, or he has none; *ret is then made up
 * from his name and the key, the same each time, of the shape that the others have.
 */
#define USERS_KEY 32
bool users_scram(const struct users *u, struct str name, bool sha1,
		 const unsigned char key[USERS_KEY], struct scram_secret *ret);
/* The made-up one, whoever he is. */
void users_scram_made_up(const struct users *u, struct str name, bool sha1,
			 const unsigned char key[USERS_KEY], struct scram_secret *ret);

/* ---- the file, watched */
struct users_source;

/* path is copied. Reads nothing yet. */
struct users_source *users_source_new(const char *path);
/*
 * The first reading, by whoever starts the relay: blocks. False: errors says why, and the source
 * goes on looking. Without it the first logins find nothing until one of them has read the file.
 */
bool users_source_start(struct users_source *s, struct world *w, struct buf *errors,
			struct buf *warnings);
void users_source_free(struct users_source *s);
/*
 * The present reading (a reference), read anew if the file has changed; looked at no more than once
 * a second, and at once after users_source_touch. A file that has become bad or has gone leaves the
 * last good reading in force. NULL: there never was a good one. From any loop.
 */
struct users *users_source_get(struct users_source *s) SUSPENDS;
void users_source_touch(struct users_source *s); /* a reload: look at the next get */
/* What a reading since the last call had to say (errors and warnings); false: nothing. */
bool users_source_news(struct users_source *s, struct buf *out);

#endif
