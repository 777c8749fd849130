/*
 * explain_destination - relevo explain --destination, and what explain says of a route.
 */
#ifndef RUN_EXPLAIN_DESTINATION_H
#define RUN_EXPLAIN_DESTINATION_H

#include "config/config.h"

/*
 * What a configuration alone says of mail for that name, a domain or a route: which limits apply,
 * from which sources it goes.
 */
void explain_destination(struct buf *out, const struct config *c, struct str name);
void explain_destination_json(struct buf *out, const struct config *c, struct str name);
/* Indented lines: sources, patience, waits; for a route that a rule chose. */
void explain_route(struct buf *out, const struct config *c, const struct route *r);

#endif
