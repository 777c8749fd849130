/*
 * internet - what the relays of the simulated world deliver to by MX: domains, the providers that
 * host them, the sources that relays send from, and the limits that they were told to keep.
 *
 *   sim_internet.c   who there is, drawn from the seed; who moves where
 *   sim_zone.c       the DNS as world->dns_ask answers it
 *   sim_provider.c   what providers refuse: throttles, greylists, blocks, downs
 *   sim_limits.c     limits: what was let go by relays and came to sinks, held against them
 *   sim_operator.c   what an operator does meanwhile
 *   sim_config.c     configurations of relays that say all this
 */
#ifndef SIM_INTERNET_H
#define SIM_INTERNET_H

#include "sim/sim.h"

#define GROUPS_MAX 5
#define GROUP_HOSTS 3
#define DOMAINS_MAX 16
#define SOURCES_MAX 3
#define SOURCE_NONE SOURCES_MAX		/* the system's choice */
#define LIMITS_MAX 10

enum domain_kind {
	DOMAIN_MX,		/* some exchangers of its group */
	DOMAIN_IMPLICIT,	/* no MX: its own address is a host of its group */
	DOMAIN_BACKUP,		/* we are its second exchanger: those behind us are not for us */
	/* ---- mail for these fails */
	DOMAIN_NULL,		/* MX 0 . */
	DOMAIN_NOWHERE,		/* NXDOMAIN */
	DOMAIN_EMPTY,		/* neither MX nor addresses */
	DOMAIN_SELF,		/* we are its best exchanger */
};
#define DOMAIN_FAILS DOMAIN_NULL	/* from that kind on */

/* A provider. Relays know it by name (a `provider` block), or do not. */
struct group {
	unsigned number;		/* its hosts are mx1.pNUMBER.example, 10.2.NUMBER.1 ... */
	char name[16];
	bool known;
	unsigned hosts_n;
	struct port *ports[GROUP_HOSTS];
	/* ---- what it refuses; 0: nothing */
	bool stays;			/* throttles go on when faults have stopped */
	unsigned connections_max;	/* from one source */
	unsigned messages_n;		/* from one source in messages_ns */
	uint64_t messages_ns;
	uint64_t greylist_ns;
	unsigned cuts;			/* of 1000 transactions */
	unsigned slow_reply_ms;		/* after the content */
	bool blocks_at_mail;		/* else at the greeting */
	uint64_t blocked_until[SOURCES_MAX + 1];
	/* ---- its state */
	unsigned open[SOURCES_MAX + 1];
	uint64_t taken_at[SOURCES_MAX + 1][64];	/* a ring of MAILs that passed the throttle */
	uint64_t taken_n[SOURCES_MAX + 1];
	unsigned took[SOURCES_MAX + 1];	/* messages */
	/* ---- what relays are told of it */
	unsigned told_connections, told_messages;
};

struct domain {
	char name[32];
	enum domain_kind kind;
	struct group *group;		/* NULL: of those that fail */
	unsigned route;			/* index of sim_routes */
	struct {
		unsigned host, preference;
	} mx[GROUP_HOSTS];
	unsigned mx_n;
	uint64_t trouble_until;		/* the DNS fails for it till then ... */
	unsigned trouble;		/* ... so: an enum dns_status */
};

struct sim_limit {
	enum limit_what what;
	uint64_t count, period_ns;
	bool evenly;
	unsigned per;			/* LIMIT_PER_* */
	int domain, group, source, route;	/* -1: any */
};

enum { ROUTE_PLAIN, ROUTE_BULK, ROUTES };
extern const char *const route_names[ROUTES];	/* "mx", "bulk" */

struct internet {
	struct group groups[GROUPS_MAX];
	unsigned groups_n;
	struct domain domains[DOMAINS_MAX];
	unsigned domains_n, good_n;	/* the first good_n take mail */
	unsigned sources_n;
	bool has_pool;			/* ROUTE_BULK goes out by all sources, else by the first */
	unsigned weights[SOURCES_MAX];
	unsigned warm_up[SOURCES_MAX][3];	/* caps of three days from day 0 on; 0: none */
	struct sim_limit limits[LIMITS_MAX];
	unsigned limits_n;
	unsigned connections_max;	/* of the relay; 0: its default */
	bool reacts;			/* relays have rules for what providers say */
	bool calm;			/* nothing goes wrong: nothing may be deferred */
	bool prompt;			/* nor does the DNS take seconds */
};

extern struct internet internet;

/* ---- sim_internet.c */
void internet_draw(void);
void internet_fair(void);	/* one domain, the first, takes little; nothing goes wrong */
void internet_blocked(void);	/* all sources but the last are blocked by a provider */
void internet_accidents(uint64_t span);
struct domain *internet_domain(struct str name);	/* without case; NULL: none */
struct group *internet_group(const struct endpoint *at);	/* whose host; NULL: nobody's */
unsigned internet_source(const struct ip *ip);
const char *source_address(unsigned source);		/* "10.0.0.11" */

/* ---- sim_zone.c */
void zone_begin(void);
void zone_fill_world(struct world *w);
void zone_forget(struct node *n);			/* it died: nobody waits for answers */
extern unsigned zone_asked, zone_failed;

/* ---- sim_provider.c: NULL: fine; else what to say; "": hang up */
const char *provider_greets(struct group *g, unsigned source);
const char *provider_mail(struct group *g, unsigned source);
const char *provider_rcpt(struct group *g, unsigned source, struct str sender, struct str address);
bool provider_cuts(struct group *g);
void provider_begin(void);

/* ---- sim_limits.c */
void limits_begin(void);
void limits_died(struct node *n, bool forgets);
void limits_stopped(struct node *n);
/* A relay opens and closes connections; source as it asked for. */
void limits_opened(struct node *n, const struct endpoint *to, unsigned source);
void limits_closed(struct node *n, const struct endpoint *to, unsigned source);
/* At a sink: a transaction's first recipient, and each. */
void limits_saw(struct node *n, struct group *g, unsigned source, struct str domain,
		bool is_first, unsigned messages_before);
/* A kept connection ended in the middle of a transaction: it may be repeated. */
void limits_cut(unsigned source, struct str domain, unsigned recipients);
void limits_sum(unsigned *ret_passes, unsigned *ret_binding);

/* ---- sim_operator.c */
void operator_begin(void);
void operator_works(uint64_t span);
void operator_relents(void);		/* faults have stopped: he takes everything back */
void operator_forget(struct node *n);	/* its disk may have lost what was suspended */

/* ---- sim_config.c */
void config_write(struct buf *out);	/* what the internet wants in a relay's configuration */

#endif
