/*
 * https - one question to a web server, for policies and reports. See https.c.
 */
#ifndef VERIFY_HTTPS_H
#define VERIFY_HTTPS_H

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
	/* where the host is, as our own DNS says; curl asks nobody */
	const char *host;
	uint16_t port;
	const struct ip *ips;
	unsigned ips_n;
	const char *wants_type;		/* "text/plain"; NULL: any */
	struct str posted;		/* empty: GET */
	const char *posted_type;
	unsigned timeout_ms;
	const _Atomic bool *stopping;	/* ends it early; may be NULL */
};

/*
 * Blocks: in the pool. body: appended, up to its maximum. why: what went wrong, in words; the
 * server's are not among them.
 */
enum https_result https_ask(const struct https_question *q, struct buf *body, char *why,
			    size_t why_size);

#endif
