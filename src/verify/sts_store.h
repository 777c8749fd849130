/*
 * sts_store - policies as they lie in STATE/mta-sts, a file for each domain. See sts_store.c. Not
 * for other folders.
 */
#ifndef VERIFY_STS_STORE_H
#define VERIFY_STS_STORE_H

#include "verify/sts_policy.h"

struct sts_stored {
	struct str domain, id, text;
	int64_t fetched_ms;		/* wall clock */
};

/* Pure. The slices are borrowed from the text. False: damaged. */
bool sts_stored_parse(struct str text, struct sts_stored *ret);
void sts_stored_format(struct buf *out, const struct sts_stored *p);

/* All three block. Of a file that is damaged, or not its domain's, found gets .domain alone. */
void sts_store_read(struct world *w, const char *state,
		    void (*found)(void *arg, const struct sts_stored *p), void *arg);
int sts_store_write(struct world *w, const char *state, const struct sts_stored *p);
void sts_store_remove(struct world *w, const char *state, struct str domain);

#endif
