/*
 * users_edit - changes to the users file: whole or not at all, one at a time, comments kept.
 *
 * The folder is locked for as long as an edit is open, so two commands wait for each other; the
 * new text goes to a file beside the old one, is synced, and takes its name. Mode and owner stay.
 * For commands: blocks, and prints what is wrong on standard error.
 */
#ifndef RUN_USERS_EDIT_H
#define RUN_USERS_EDIT_H

#include "policy/users.h"

struct users_edit {
	char *path;	 /* owned; symbolic links followed */
	int folder;	 /* locked */
	bool is_new;	 /* the file was not there */
	struct stat st;	 /* of the file that was there */
	struct buf text; /* all of it; wiped */
};

/* may_be_new: a file that is not there counts as empty. False: a sentence was printed. */
bool users_edit_open(struct users_edit *e, const char *path, bool may_be_new);
void users_edit_done(struct users_edit *e); /* without users_edit_commit: nothing changed */

/* The user's line, parsed; borrowed from text until it changes. False: there is none. */
bool users_edit_find(const struct users_edit *e, struct str name, struct user_words *ret);
void users_edit_add(struct users_edit *e, const struct user_words *u);
/* name: as it stands there now. The line must be there. */
void users_edit_replace(struct users_edit *e, struct str name, const struct user_words *u);
void users_edit_remove(struct users_edit *e, struct str name);

/* False: a sentence was printed, and the old file is there as it was. */
bool users_edit_commit(struct users_edit *e);

#endif
