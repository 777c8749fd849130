/*
 * strangers - what is asked about clients whom no rule knows: DNS block and allow lists, names,
 * greylisting, and how much one client, network or login may send (config.h: config_clients,
 * limits per client, client network and login).
 *
 * A stranger is who is accepted by a rule that knows nothing of him ("accept from any to ..."): the
 * questions are about those only. Clients that are local, have logged in, shown a certificate that
 * a rule names, looked at their mail (SMTP after POP) or come from a network that a rule names are
 * none. Limits per client and client network count everybody but local clients and those who have
 * logged in; limits per login count logins. <postmaster> can be written to by anybody, as long as
 * the limits are kept (RFC 5321 4.5.1).
 *
 * The questions to the DNS run at once beside each other and have one deadline; what cannot be
 * answered in time counts for nothing. State is shared by all cores, bounded, and - greylisting and
 * its passes - kept over restarts (STATE/greylist). How much memory: see docs/design/abuse.md.
 */
#ifndef POLICY_STRANGERS_H
#define POLICY_STRANGERS_H

#include "dns/dns.h"
#include "policy/client_limits.h"
#include "policy/policy.h"

struct strangers;

/*
 * state: the folder; NULL: nothing is kept. Loops need not run. What is there and cannot be read is
 * reported in the log and left aside.
 */
struct strangers *strangers_new(struct net *n, struct dns *d, const char *state);
void strangers_stop(struct strangers *s);	/* saves; from the main thread */
void strangers_free(struct strangers *s);	/* NULL is fine */

/* What is known about one session's client; embedded in the session, zeroed at the start. */
struct stranger {
	bool counted;			/* its connection counts: strangers_disconnected */
	int32_t score;			/* of the lists; what they said: */
	char listed[256];		/* "zen.example: 127.0.0.2 (text)", for the log */
	char name[256];			/* its reverse name, verified; empty: none */
	bool name_exists;		/* it has one, verified or not */
	/* ---- private */
	bool looked_up;
	bool name_unknown;		/* the DNS could not tell */
	bool greylisted;		/* it was told to come back, or has just passed */
	struct reply helo_reply;	/* why its HELO name is refused; .code 0: it is not */
	uint64_t helo_hash;		/* of the name that this is about */
	unsigned helos_n;		/* names that were asked about */
	struct connection_counts counts;
	unsigned before_login_n;	/* of these */
	char text[512];			/* of a reply that was put together */
};

/*
 * ret->verdict ACCEPT: go on. REFUSE, LATER: ret->reply says why (5xx and 4xx, enhanced codes by
 * RFC 3463 and 7372); its text lives as long as x, or until the next call with it. A decision about
 * the connection is told at the first RCPT (so that senders and recipients stand in the log),
 * except those of limits of connections, which are 421 at the greeting.
 */
/* Limits of connections; 421. Counts it if accepted. Does not suspend. */
void strangers_connected(struct strangers *s, const struct config *c, const struct client *client,
			 struct stranger *x, struct decision *ret);
void strangers_disconnected(struct strangers *s, struct stranger *x);
/* It has logged in: limits of connections per login; 421. Does not suspend. */
void strangers_logged_in(struct strangers *s, const struct config *c, const struct client *client,
			 struct stranger *x, struct decision *ret);
/* Its login counts no more (STARTTLS), its connection does. Again and again is fine. */
void strangers_logged_out(struct strangers *s, struct stranger *x);
/* It wants to begin TLS: limits of handshakes; 421. Does not suspend. */
void strangers_handshake(struct strangers *s, const struct config *c, const struct client *client,
			 struct decision *ret);
/*
 * Asks lists and the reverse name, if the listener wants it: beside the greeting delay. Nothing for
 * local clients. A client whose address changes (PROXY, XCLIENT) is asked about again.
 */
void strangers_look_up(struct strangers *s, const struct config_clients *cc,
		       const struct client *client, struct stranger *x,
		       uint64_t deadline) SUSPENDS;
/*
 * After EHLO: the HELO name. What it finds is kept, and said by strangers_recipient; ret is for the
 * log. The same name again is not asked about again; who says more than a few is refused.
 */
void strangers_helo(struct strangers *s, const struct config_clients *cc,
		    const struct client *client, struct stranger *x, struct decision *ret) SUSPENDS;
/*
 * At RCPT, after the rules accepted: lists' score, names, greylisting, limits of recipients. ret:
 * the rules' decision, of which .rule is looked at; verdict and reply are changed to say no. Counts
 * the recipient if it is accepted.
 */
void strangers_recipient(struct strangers *s, const struct config *c,
			 const struct config_clients *cc, const struct client *client,
			 struct stranger *x, const struct address *sender,
			 const struct address *recipient, struct decision *ret);
/* At MAIL: limits of messages; and of octets, as announced (0: they were not). */
void strangers_message(struct strangers *s, const struct config *c, const struct client *client,
		       struct stranger *x, uint64_t size, struct decision *ret);
/*
 * A message was taken: its octets beyond what was announced count, and good senders pass the
 * greylist by themselves. size, announced: octets.
 */
void strangers_good(struct strangers *s, const struct config *c, const struct config_clients *cc,
		    const struct client *client, struct stranger *x, uint64_t size,
		    uint64_t announced);

#endif
