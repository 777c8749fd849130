/*
 * tlsrpt_inner - what the files of TLS reports share. Not for other folders.
 */
#ifndef VERIFY_TLSRPT_INNER_H
#define VERIFY_TLSRPT_INNER_H

#include "verify/tlsrpt.h"
#include "verify/tlsrpt_report.h"

#include <pthread.h>

struct tlsrpt {
	struct net *net;
	struct spool *spool;
	struct schedule *schedule;
	struct dns *dns;
	char *state;			/* owned; NULL: in memory only */
	pthread_mutex_t lock;
	/* under the lock: day -> key -> policy as it stands in a report; see tlsrpt.c */
	json_t *days;
	bool changed;
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
