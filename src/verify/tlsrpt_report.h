/*
 * tlsrpt_report - what a TLS report looks like, and where it wants to go (RFC 8460). Pure. Not for
 * other folders.
 */
#ifndef VERIFY_TLSRPT_REPORT_H
#define VERIFY_TLSRPT_REPORT_H

#include "base/arena.h"
#include "verify/tlsrpt.h"

#include <jansson.h>

#define RUA_MAX 5		/* addresses of one record that are used */
#define REPORT_MAX (4 * 1024 * 1024)	/* octets of a report, before compression */

/*
 * 3: the one record of _smtp._tls.DOMAIN that begins with "v=TLSRPTv1". ret: "mailto:..." as an
 * address, out of its escapes, "https:..." as it stands; in the arena. Returns how many; 0: none.
 */
struct rua {
	bool is_mail;
	struct str at;
};

unsigned rua_find(const struct dns_answer *txt, struct arena *a, struct rua ret[RUA_MAX]);

struct report {
	struct str organization, contact, from, submitter;	/* submitter: our host name */
	struct str domain;		/* whom it is about */
	int64_t day;			/* since 1970, UTC */
	char id[80];			/* unique */
};

/* policies: what tlsrpt.c counted for the domain (see there). To be freed by json_decref. */
json_t *report_json(const struct report *r, json_t *const *policies, unsigned n);
bool report_gzip(struct buf *out, struct str in);
/* "relay.example!example.com!1459468800!1459555199!001.json.gz" */
void report_file_name(struct buf *out, const struct report *r);
/* 5.3: the whole mail. time_s: now; boundary: unique; gzip: the report. */
void report_mail(struct buf *out, const struct report *r, struct str to, int64_t time_s,
		 const char *boundary, struct str gzip);

const char *tlsrpt_result_name(enum tlsrpt_result r);	/* "certificate-expired" */
const char *tlsrpt_type_name(enum tlsrpt_type t);	/* "no-policy-found", "tlsa", "sts" */

#endif
