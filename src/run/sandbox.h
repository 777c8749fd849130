/*
 * sandbox - what a process of the relay gives up before it does anything for strangers
 * (docs/design/security.md).
 *
 * Four fences, each good alone: no capabilities, and no way to gain any (no_new_privs); an
 * allow-list of system calls, whose breach ends the process (seccomp); a list of folders, beyond
 * which no file can be opened (Landlock); limits of memory and threads. They hold for the process
 * and all threads that it starts afterwards, so they are entered while there is one thread only.
 * Nothing here suspends, and none of it can be undone.
 *
 * Sanitizers and valgrind need calls and files of their own: builds for them, and runs under
 * valgrind, keep only the capabilities, no_new_privs and the limits. sandbox_is_whole tells.
 */
#ifndef RUN_SANDBOX_H
#define RUN_SANDBOX_H

#include "base/buf.h"

#include <sys/types.h>

enum sandbox_kind {
	SANDBOX_WORKER,		/* sockets, threads, files within the paths given */
	SANDBOX_SIGNER,		/* reads and writes what is open already, nothing else */
};

#define SANDBOX_PATHS_MAX 256

/* Folders, with all below them, or files. What is not there is passed over. */
struct sandbox_paths {
	char *at[SANDBOX_PATHS_MAX];	/* owned */
	bool writes[SANDBOX_PATHS_MAX];
	unsigned n;
};

uint64_t sandbox_machine_memory(void);	/* octets */

struct sandbox {
	enum sandbox_kind kind;
	const struct sandbox_paths *paths;	/* NULL: none at all */
	uint64_t memory_max;	/* octets of private memory (RLIMIT_DATA); 0: twice the machine's */
};

/* Later ones of the same path count only if they write. Too many: dropped, and false. */
bool sandbox_path_add(struct sandbox_paths *p, const char *path, bool writes);
void sandbox_paths_done(struct sandbox_paths *p);

/*
 * The fences, in this order: limits, capabilities, files, calls. A kernel without Landlock, or
 * with an old one, gives what it has; the report (words for the log, "calls=filtered ...") says
 * so. 0, or -errno: then nobody shall be served, and the report is a sentence that says why.
 */
int sandbox_enter(const struct sandbox *s, struct buf *report);
bool sandbox_is_whole(void);	/* false in builds with sanitizers and under valgrind */

/*
 * For a process that is still to become another user: the bounding set of capabilities is emptied,
 * as far as that is allowed. Before the change of user, which takes the permission away.
 */
void sandbox_drop_bounding(void);
/* The supervisor keeps what it needs later: ports, users, signals, reading. Only as root. */
void sandbox_supervisor(void);

/* ---- sandbox_calls.c: 0 or -errno */
int sandbox_calls_filter(enum sandbox_kind kind);
/* Names of the table that the machine named does not know ("x86_64", "aarch64"); for tests. */
unsigned sandbox_calls_unknown(enum sandbox_kind kind, const char *machine, struct buf *names);

/* ---- sandbox_files.c: the version of Landlock in force, 0: the kernel has none; or -errno */
int sandbox_files_restrict(const struct sandbox_paths *p);
/* What programs read on Debian to look names up and to verify certificates. */
void sandbox_paths_add_system(struct sandbox_paths *p);

#endif
