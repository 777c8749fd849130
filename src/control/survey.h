/*
 * survey - all destinations at a glance, taken before a selection so that matching a million
 * messages asks nobody: whose each destination is, and what it is doing just now.
 */
#ifndef CONTROL_SURVEY_H
#define CONTROL_SURVEY_H

#include "base/name.h"
#include "schedule/schedule.h"

struct survey;

struct surveyed {
	struct map_node node;		/* private */
	const struct name *route;
	struct str domain;		/* lower case; empty: not by MX */
	const struct name *provider;	/* NULL: none that is known */
	enum destination_status status;
	unsigned in_flight;
};

struct survey *survey_take(struct schedule *s) SUSPENDS;
void survey_free(struct survey *v);	/* NULL is fine */

/* Any thread from here on. route: as the spool has it. NULL: none that had mail at that moment. */
const struct surveyed *survey_find(const struct survey *v, const struct name *route,
				   struct str domain);
/* By what was found, or (NULL) by what the configuration says of the domain. */
struct str survey_provider(const struct survey *v, const struct surveyed *d, struct str domain);
/* QUERY_SUSPENDED, _LIMITED, _RESTING: which of them are true. */
unsigned survey_status(const struct survey *v, const struct surveyed *d, struct str route,
		       struct str domain);

#endif
