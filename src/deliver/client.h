/*
 * client - one SMTP or LMTP session out: greeting, EHLO, replies, QUIT. Used by one task at a time,
 * on one loop.
 */
#ifndef DELIVER_CLIENT_H
#define DELIVER_CLIENT_H

#include "base/hash.h"
#include "config/config.h"
#include "deliver/errors.h"
#include "net/stream.h"
#include "report/log.h"
#include "schedule/limits.h"
#include "smtp/ehlo.h"
#include "verify/trust.h"

struct client {
	struct map_node in_pool;
	/* the pool's idle ones, oldest first; or those that are closed */
	struct list in_list;
	struct stream *stream;		/* owned */
	struct endpoint endpoint;
	char *path;			/* owned; endpoint.path, or NULL */
	enum route_protocol protocol;
	const struct name *source;	/* from where; NULL: the system's choice */
	struct way *way;		/* counted; where it counts as a connection, or NULL */
	struct transcript *transcript;	/* owned; NULL: none */
	struct reply_reader reader;
	struct offers offers;
	unsigned offered;		/* OFFER_* */
	/* what it proved; .context counted, .host, .login and .name owned */
	struct trust trust;
	enum tls_problem tls_problem;	/* why a handshake failed */
	char tls[96];			/* "TLSv1.3 TLS_AES_256_GCM_SHA384 dane", or "" */
	char why[160];			/* what went wrong, behind the words of errors.c */
	uint64_t timeout_ns;
	uint64_t rate_min;		/* the route's, for body.c */
	uint64_t idle_until;		/* in the pool */
	uint64_t judged_until;		/* its host is judged anew then (connect.c) */
	uint32_t messages;		/* transactions begun */
	uint32_t messages_max;
	bool counted;			/* schedule/ has counted it as idle already */
	bool needs_reset;		/* a transaction was left open: RSET goes first */
	bool broken;			/* out of step, or gone: close, without QUIT */
	char host[320];			/* "name (address)", for logs and notices */
	char session[SESSION_ID_MAX];
};

struct client_target {
	const struct config *config;
	const struct route *route;
	const struct source *source;	/* NULL: the system's choice */
	struct endpoint endpoint;
	struct str host;		/* its name as the route has it */
	struct str domain;		/* next hop, for transcripts */
	const struct trust *trust;	/* what it must prove */
	/* of each connection that could not be used, for TLS reports; may be NULL */
	void (*told)(void *arg, const struct client *c, enum stage stage, enum failure f);
	void *arg;
};

/*
 * Connect and say hello. NULL: *ret tells why, its texts are in words; .error is NULL if the task
 * was cancelled.
 */
struct client *client_open(const struct client_target *t, struct arena *words,
			   struct problem *ret) SUSPENDS;
/* Closes at once, and no longer counts as a connection; NULL is fine. */
void client_free(struct client *c);

/*
 * Octets of commands; then client_flush. FAIL_NONE, FAIL_LOST, FAIL_TIMEOUT or FAIL_CANCELLED
 * (.broken is then set).
 */
enum failure client_write(struct client *c, struct str octets) SUSPENDS;
enum failure client_flush(struct client *c) SUSPENDS;
/* The same, until then at most. */
enum failure client_write_until(struct client *c, struct str octets, uint64_t deadline) SUSPENDS;
enum failure client_flush_until(struct client *c, uint64_t deadline) SUSPENDS;
/* One command, and a reply of that class. */
enum failure client_command(struct client *c, struct str line, unsigned class) SUSPENDS;
/*
 * The next reply: it must be of that class (2 or 3). .reader.reply holds it until the next one is
 * read.
 */
enum failure client_expect(struct client *c, unsigned class, uint64_t timeout_ns) SUSPENDS;
/* A failure of stream calls, by its -errno. */
enum failure client_failed(struct client *c, ssize_t error);

/*
 * Something came that nobody asked for, or the end: an idle connection is then of no use, and
 * content is not wanted.
 */
bool client_has_input(struct client *c);
bool client_may_go_on(const struct client *c);	/* another transaction is allowed on it */

/*
 * starttls.c: a handshake, for implicit TLS or after STARTTLS was answered. FAIL_NONE, or a failure
 * of STAGE_TLS, with .why and .tls_problem.
 */
enum failure client_handshake(struct client *c, const struct trust *wanted) SUSPENDS;
/* STARTTLS and the handshake; what was offered before is forgotten (RFC 3207 4.2). */
enum failure client_starttls(struct client *c, const struct trust *wanted) SUSPENDS;
/* login.c: AUTH as the route says. FAIL_NONE, or a failure of STAGE_LOGIN, with .why. */
enum failure client_login(struct client *c, const struct client_target *t) SUSPENDS;

/*
 * Say QUIT; client_await_end reads until the other side has closed or the deadline came: only then
 * it certainly counts one connection less.
 */
void client_say_quit(struct client *c) SUSPENDS;
void client_await_end(struct client *c, uint64_t deadline) SUSPENDS;

uint64_t deadline_in(uint64_t ns);	/* from now; NEVER if that is past the end of time */

#endif
