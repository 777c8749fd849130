/*
 * https - one question to a web server: for policies, reports, tokens. See https.c.
 */
#ifndef NET_HTTPS_H
#define NET_HTTPS_H

#include "base/buf.h"
#include "net/endpoint.h"

#include <stdatomic.h>

enum https_result {
	HTTPS_OK,
	HTTPS_UNREACHABLE, HTTPS_UNTRUSTED, HTTPS_REFUSED, HTTPS_TOO_LARGE, HTTPS_TIMEOUT,
	HTTPS_WRONG_TYPE,
};

struct https_question {
	const char *url;		/* https://... */
	bool may_be_clear;		/* http://, too: for a server on this machine */
	/* where the host is, as our own DNS says; ips_n 0: the system's resolver is asked */
	const char *host;
	uint16_t port;
	const struct ip *ips;
	unsigned ips_n;
	const char *ca_file;		/* NULL: the system's authorities */
	const char *user, *password;	/* HTTP Basic; NULL: none */
	const char *wants_type;		/* "text/plain"; NULL: any */
	struct str posted;		/* empty: GET */
	const char *posted_type;
	unsigned timeout_ms;		/* of all of it; not 0 */
	const _Atomic bool *stopping;	/* ends it early; may be NULL */
};

/*
 * Blocks: in the pool. body: appended, up to its maximum. why: what went wrong, in words; the
 * server's are not among them. OK: 200, or if something was posted 2xx.
 */
enum https_result https_ask(const struct https_question *q, struct buf *body, char *why,
			    size_t why_size);

#endif
