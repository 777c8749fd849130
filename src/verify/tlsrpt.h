/*
 * tlsrpt - reports about TLS to those whom we send mail (RFC 8460): counting, and once a day
 * telling. See tlsrpt.c.
 */
#ifndef VERIFY_TLSRPT_H
#define VERIFY_TLSRPT_H

#include "schedule/schedule.h"
#include "spool/spool.h"
#include "verify/dane.h"

/* RFC 8460 4.3; their names stand in tlsrpt_report.c. */
enum tlsrpt_result {
	TLSRPT_SUCCESS,
	TLSRPT_STARTTLS_NOT_SUPPORTED, TLSRPT_CERTIFICATE_HOST_MISMATCH,
	TLSRPT_CERTIFICATE_EXPIRED, TLSRPT_CERTIFICATE_NOT_TRUSTED, TLSRPT_VALIDATION_FAILURE,
	TLSRPT_TLSA_INVALID, TLSRPT_DNSSEC_INVALID, TLSRPT_STS_POLICY_FETCH_ERROR,
	TLSRPT_RESULTS_N
};

enum tlsrpt_type { TLSRPT_NO_POLICY, TLSRPT_TLSA, TLSRPT_STS };

/* One connection, or what kept us from making it. */
struct tlsrpt_session {
	struct str domain;		/* of the recipients */
	enum tlsrpt_type type;
	struct str policy_domain;	/* of TLSA: whose records */
	struct str policy;		/* of STS: its text */
	const struct tlsa *records;	/* of TLSA */
	unsigned records_n;
	struct str host;		/* the exchanger */
	struct ip peer, local;		/* may be unset */
	enum tlsrpt_result result;
	struct str why;			/* our words, of a failure */
};

struct tlsrpt;

/* Reads what was counted before; blocks. state: NULL: in memory only. */
struct tlsrpt *tlsrpt_new(struct net *n, struct spool *s, struct dns *d, const char *state);
void tlsrpt_set_schedule(struct tlsrpt *t, struct schedule *q);	/* before the first report */
void tlsrpt_stop(struct tlsrpt *t);	/* ends soon; any thread */
void tlsrpt_end(struct tlsrpt *t) SUSPENDS;	/* on each loop: waits for its tasks */
void tlsrpt_free(struct tlsrpt *t);

/* Any loop; takes no time, and does nothing where reports are off. */
void tlsrpt_count(struct tlsrpt *t, const struct tlsrpt_session *s);

/*
 * Makes and sends all reports of a day (since 1970, UTC) now, and forgets what was counted for it:
 * what happens by itself some time after midnight. Returns how many were sent.
 */
unsigned tlsrpt_report_day(struct tlsrpt *t, int64_t day) SUSPENDS;

#endif
