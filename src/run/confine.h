/*
 * confine - what the worker's sandbox lets through: from the configuration to struct sandbox.
 *
 * The supervisor notes the folders of all files that the configuration names, each time it is
 * read; the worker is locked into those, its state, its log and what libraries read. A reload that
 * names a file elsewhere finds it closed: then a sentence asks for a restart. (The supervisor could
 * open such files for the worker; but then a worker that was taken over could ask root for any.)
 */
#ifndef RUN_CONFINE_H
#define RUN_CONFINE_H

#include "config/config.h"
#include "run/sandbox.h"

/* From now on the folders of files that are read by config_load are noted (one thread). */
void confine_note_files(void);
/* In the worker: what a reload could not open because of the sandbox, once; else NULL. */
const char *confine_denied(void);

/*
 * In the worker, once it is locked in: tries to open each private key that c names, as a worker
 * that was taken over would, and warns of those that let it. One line each.
 */
void confine_check_keys(const struct config *c, struct buf *warnings);

/*
 * Enter the worker's sandbox; as it is, with one thread. report: words for the log. 0 or -errno;
 * then the report is a sentence.
 */
int confine_worker(const struct config *c, struct buf *report);

#endif
