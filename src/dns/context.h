/*
 * context - a context of libunbound, set up from our options. Belongs to unbound.c.
 *
 * All of it happens on the thread that runs the event base.
 */
#ifndef DNS_CONTEXT_H
#define DNS_CONTEXT_H

#include "base/buf.h"
#include "dns/hosts_file.h"
#include "dns/unbound.h"

struct event_base;
struct ub_ctx;

struct context {
	struct ub_ctx *ub;		/* NULL: there is no server to ask */
	struct hosts_file *hosts;
};

/*
 * 0; error may then hold a sentence that warns. Or -errno and a sentence, and ret is untouched.
 * w is for files.
 */
int context_open(struct world *w, struct event_base *base, const struct dns_options *o,
		 struct context *ret, struct buf *error);
void context_close(struct context *c);

#endif
