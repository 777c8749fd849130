/*
 * key_check - what can be said about the file of a private key without using it.
 *
 * Whether it is there, whether others may read it; and, for `relevo check` alone, whether it
 * belongs to its certificate. A relay that runs must not have keys in its memory, not for a moment:
 * the worker is a fork of the process that loads the configuration.
 */
#ifndef CONFIG_KEY_CHECK_H
#define CONFIG_KEY_CHECK_H

#include "config/load.h"

/* Faults go to the diag; a file that may not be looked at draws none. chain: PEM. */
void key_check_file(struct load *l, const struct word *w, const char *path, struct str chain);

#endif
