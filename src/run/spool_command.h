/*
 * spool_command - what relevo spool check, spool dump, backup and restore share.
 */
#ifndef RUN_SPOOL_COMMAND_H
#define RUN_SPOOL_COMMAND_H

#include "spool/look.h"

#define MESSAGES_MAX (1024 * 1024) /* octets of a configuration's errors, or of a sentence */

char *path_in(const char *folder, const char *name); /* owned by the caller */

struct dump_options {
	uint64_t segment;	   /* 0: none */
	struct message_id message; /* none: none */
	bool json;
};

int spool_check(const char *path); /* the exit code */
int spool_dump(const char *path, const struct dump_options *o);

#endif
