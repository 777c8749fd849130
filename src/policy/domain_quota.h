/*
 * domain_quota - how much mail waits for each domain of a route that has a quota (struct route:
 * quota_octets, quota_messages): messages and octets, as the schedule knows them.
 *
 * Counted by tickets: the schedule takes one for a job when it arrives at its home - after recovery
 * too, so the counts need no file - and gives it back when the job ends; parts of a job share its
 * ticket. So nothing can be counted twice or forgotten, and routes without a quota cost a
 * comparison. What comes in and what is counted are a moment apart: a burst may pass a quota by as
 * many messages as are on their way. A quota that a reload brings counts what waits already, as
 * soon as the schedule has gone through it.
 *
 * Any thread.
 */
#ifndef POLICY_DOMAIN_QUOTA_H
#define POLICY_DOMAIN_QUOTA_H

#include "config/config.h"

struct domain_quota;
struct quota_ticket;

struct domain_quota *domain_quota_new(void);
void domain_quota_free(struct domain_quota *q);	/* all tickets are back; NULL is fine */

/* Mail by that route is counted. NULL is fine. */
bool domain_quota_counts(const struct route *r);
/*
 * octets for each of the domains (repeated ones count once). NULL: the route has no quota.
 */
struct quota_ticket *domain_quota_take(struct domain_quota *q, const struct route *r,
				       const struct str *domains, unsigned n, uint64_t octets);
struct quota_ticket *domain_quota_share(struct quota_ticket *t);	/* NULL is fine */
void domain_quota_return(struct domain_quota *q, struct quota_ticket *t);	/* NULL is fine */

/*
 * May another message of that size (0: unknown) wait for the domain? False: *ret is a 452. At RCPT,
 * once the rules have accepted it.
 */
bool domain_quota_accepts(struct domain_quota *q, const struct route *r, struct str domain,
			  uint64_t octets, struct reply *ret);
void domain_quota_waiting(struct domain_quota *q, const struct route *r, struct str domain,
		   uint64_t *ret_messages, uint64_t *ret_octets);

#endif
