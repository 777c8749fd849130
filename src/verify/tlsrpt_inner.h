/*
 * tlsrpt_inner - what the files of TLS reports share. Not for other folders.
 */
#ifndef VERIFY_TLSRPT_INNER_H
#define VERIFY_TLSRPT_INNER_H

#include "verify/tlsrpt.h"
#include "verify/tlsrpt_report.h"

#include <pthread.h>

#define TLSRPT_DAYS_MAX 4
#define TLSRPT_OCTETS_MAX (32u * 1024 * 1024)	/* of memory, all days together */

/* tlsrpt_count.c: what was counted on one day */
struct day {
	int64_t number;			/* since 1970, UTC */
	json_t *policies;		/* owned; NULL: this place is free */
	size_t octets;			/* of memory, about */
	bool changed;			/* since it was saved */
	bool is_full;			/* and that was told */
};

void day_measure(struct day *d);	/* sets .octets */
/* others: octets of all other days. False: there was no room to count this one. */
bool day_count(struct day *d, const struct tlsrpt_session *s, size_t others);

struct tlsrpt {
	struct net *net;
	struct spool *spool;
	struct schedule *schedule;
	struct dns *dns;
	char *state;			/* owned; NULL: in memory only */
	pthread_mutex_t lock;
	struct day days[TLSRPT_DAYS_MAX];	/* under the lock */
	int64_t not_before_ms;		/* of reports about the days before; 0: not drawn yet */
	/* ---- the keeper, on the first loop */
	struct task_group tasks;
	struct post start;
	_Atomic bool is_started, stopping;
};

/* tlsrpt_send.c: one domain's report to all who want it. False: nobody does, or nobody got it. */
bool tlsrpt_send(struct tlsrpt *t, const struct config *c, struct str domain, int64_t day,
		 json_t *const *policies, unsigned n) SUSPENDS;

#endif
