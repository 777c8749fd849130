/*
 * match - which part of a rule did not fit: what deciding and explaining share inside policy/.
 */
#ifndef POLICY_MATCH_H
#define POLICY_MATCH_H

#include "policy/policy.h"

enum match_part { MATCH_ALL, MATCH_NOT_WHO, MATCH_NOT_SENDER, MATCH_NOT_RECIPIENT };

/* The first part, from left to right, that does not fit. */
enum match_part policy_match(const struct rule *rule, const struct client *client,
			     const struct address *sender, const struct address *recipient);

/* The rule that says whether <postmaster> is taken from this client; NULL: none speaks of it. */
const struct rule *policy_postmaster_rule(const struct config *c, const struct client *client,
					  const struct address *sender);

#endif
