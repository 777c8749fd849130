/*
 * unbound - the real world's resolver: libunbound in a thread of its own, through its event API.
 *
 * Fills world->dns_ask and dns_cancel. Questions cross to the thread by a queue, answers come back
 * as calls of query->done on that thread. The deadlines are the askers'; besides, a question that
 * is timeout_ns old is cancelled and answered by DNS_TIMEOUT.
 */
#ifndef DNS_UNBOUND_H
#define DNS_UNBOUND_H

#include "net/world.h"

enum dns_mode { DNS_MODE_SYSTEM, DNS_MODE_SERVERS, DNS_MODE_RECURSIVE };

struct dns_options {
	enum dns_mode mode;
	const struct endpoint *servers;	/* of SERVERS; copied */
	unsigned servers_n;
	bool dnssec;
	const char *trust_anchor;	/* file; NULL: the distribution's, else the built-in */
	const char *root_hints;		/* file; NULL: the built-in */
	/* file of "address name ..." lines; NULL: none; /etc/hosts may be missing in SYSTEM */
	const char *hosts;
	uint64_t timeout_ns;
	uint64_t cache_max;		/* octets, libunbound's caches together */
};

/*
 * Starts the thread, or, if one runs, gives it these options: questions under way are answered by
 * the old ones. 0, and perhaps a sentence in error that warns (the system names no server: then
 * every question is answered by DNS_SERVFAIL); or -errno and a sentence in error (a file that
 * cannot be read, ...): the old options then stay in force. One caller at a time.
 */
int unbound_configure(struct world *w, const struct dns_options *o, struct buf *error);
/*
 * Cancels what is under way, ends the thread. Afterwards dns_ask is NULL. Before net_stop: the
 * thread may still be on its way out of a post to a loop, though that has been handled.
 */
void unbound_stop(struct world *w);

#endif
