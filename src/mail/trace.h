/*
 * trace - the fields a relay puts before the message (RFC 5321 4.4, RFC 5322 3.6, RFC 3848, RFC
 * 6531 4.3).
 */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include "base/buf.h"
#include "base/str.h"

struct trace {
	struct str helo;	/* what the client called itself; empty: none */
	/*
	 * "192.0.2.1" or "IPv6:2001:db8::1", for the TCP-info comment; empty for local submission
	 */
	struct str client;
	struct str client_name;	/* verified reverse name; empty: none */
	struct str hostname;	/* ours */
	struct str protocol;	/* SMTP, ESMTP, ESMTPS, ESMTPA, UTF8SMTP, LMTP, HTTP, "local" ... */
	struct str id;		/* the message id as people see it */
	struct str recipient;	/* for <...>: only when there is exactly one; else empty */
	int64_t time_s;		/* wall clock, seconds since 1970 */
	struct str tls;		/* "TLSv1.3 TLS_AES_256_GCM_SHA384 256 bits"; empty: plain */
};

/*
 * "Received: from ... by ... with ... id ...; date". Bytes that do not belong (peers' names) become
 * '?'.
 */
void received_format(struct buf *out, const struct trace *t);

/* RFC 5322 date in UTC: "Sun, 22 Nov 2026 03:39:00 +0000". */
void date_format(struct buf *out, int64_t time_s);

/* RFC 3339 with milliseconds, UTC: "2026-11-22T03:39:00.123Z": for logs. */
void timestamp_format(struct buf *out, int64_t time_ms);

#endif
