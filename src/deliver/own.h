/*
 * own - which names and addresses are this relay's: for loops by MX (RFC 5321 5.1). See own.c.
 */
#ifndef DELIVER_OWN_H
#define DELIVER_OWN_H

#include "config/config.h"

/* One core's knowledge of the machine's interfaces. Zeroed: none yet. */
struct own {
	struct ip *ips;			/* owned */
	unsigned n;
	uint64_t until;			/* when it is looked up anew */
};

void own_done(struct own *o);
/* The hostname, or one of `self`; a name with or without a dot at its end. */
bool own_has_name(const struct config *c, struct str name);
/* Whether any address can be ours where exchangers listen on that port. If not, none is. */
bool own_can_have_ip(const struct config *c, uint16_t port);
/* Whether mail to that address and port would come back to us. */
bool own_has_ip(struct own *o, const struct config *c, const struct ip *ip, uint16_t port);

/* Pure: the same, given the addresses of the interfaces. */
bool own_ip_is_ours(const struct config *c, const struct own *interfaces, const struct ip *ip,
		    uint16_t port);

#endif
