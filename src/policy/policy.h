/*
 * policy - who may relay what: the rules, read top to bottom (promise D6).
 *
 * Pure decisions over a configuration snapshot: they never suspend.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "config/config.h"
#include "smtp/address.h"

struct stream;

/* Who is talking to us, as far as is known by now. All that is borrowed belongs to the session. */
struct client {
	struct ip ip;		/* family 0: the control socket */
	bool is_local;		/* 127.0.0.0/8, ::1, the control socket */
	struct str login;	/* empty: none */
	struct str helo;	/* as said; empty: not yet */
	/* SHA-256 of its certificate, hex; empty: it has shown none */
	struct str fingerprint;
	bool certificate_verified;	/* an authority of client_ca vouches for it */
	/* its names are asked of the stream (stream_tls_names); NULL: no TLS, or explain */
	const struct stream *tls;
	/* which of our addresses it came to, for limits that belong to one; NULL: none */
	const struct endpoint *listen;
	bool has_popped;	/* it looked at its mail from this address a while ago */
};

void client_init(struct client *c, const struct endpoint *peer);

enum verdict { VERDICT_ACCEPT, VERDICT_REFUSE, VERDICT_LATER };

struct decision {
	enum verdict verdict;
	/* which decided; NULL: the end (refused), or <postmaster> */
	const struct rule *rule;
	const struct route *route;	/* ACCEPT */
	/* ACCEPT: to whom: <postmaster> is replaced by the configured address */
	struct str recipient;
	struct reply reply;		/* REFUSE, LATER */
};

/*
 * One recipient. sender: .whole empty for the null path. <postmaster> without a domain is accepted
 * where mail from strangers is (RFC 5321 4.5.1) or from local, and goes where `postmaster` says.
 */
void policy_decide(const struct config *c, const struct client *client,
		   const struct address *sender, const struct address *recipient,
		   struct decision *ret);

/*
 * Could this client send anything at all? False: the session may be refused at MAIL at the latest.
 */
bool policy_has_hope(const struct config *c, const struct client *client);

/*
 * What relevo explain prints: rules in order with why each did not fit, the deciding one, route and
 * hosts.
 */
void policy_explain(struct buf *out, const struct config *c, const struct client *client,
		    const struct address *sender, const struct address *recipient);
const char *policy_tls_words(enum tls_use use);	/* what a route demands, for the same */

#endif
