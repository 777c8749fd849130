/*
 * bans - failed logins slow down, and in the end shut out, the client they come from.
 *
 * Failures are counted for the client's network (an IPv4 address; the /64 of an IPv6 address) and
 * for the name that was tried, and are forgotten one by one as time passes. From some number on
 * each further answer comes later, twice as late each time; from another on the network is banned
 * for a while, twice as long each time. A name is never banned - anybody could lock anybody out -
 * but guesses at it from many networks are slowed.
 *
 * Decisions are pure but for the tables; the time is given (loop_now). From any loop. What is
 * counted of networks, and their bans, may be kept over restarts (bans_keep), or whoever brings the
 * relay down would be free; what is counted of names is not: they are never banned.
 */
#ifndef POLICY_BANS_H
#define POLICY_BANS_H

#include "net/endpoint.h"
#include "net/task.h"
#include "net/world.h"

struct ban_limits {
	unsigned free;	    /* failures without consequence */
	uint64_t forget_ms; /* one failure is forgotten each time this has passed */
	unsigned delay_ms;  /* before the answer to the first failure beyond free */
	unsigned delay_max_ms;
	unsigned name_delay_max_ms; /* the same for a name: its owner has to wait too */
	unsigned ban_after;	    /* failures; 0: nobody is banned */
	uint64_t ban_ms, ban_max_ms;
	unsigned entries_max; /* networks and names that are remembered, each */
};

extern const struct ban_limits ban_limits_default;

struct bans;

struct bans *bans_new(const struct ban_limits *l); /* copied */
void bans_free(struct bans *b);			   /* NULL is fine */
/* Others from now on, entries_max apart; what was counted and who is banned stays. */
void bans_set_limits(struct bans *b, const struct ban_limits *l);

/*
 * A login failed. name may be empty (nothing was said that can be called one). credential: a keyed
 * hash of name and password (hash_bytes), 0 if there is none: a client that tries one wrong
 * password again and again - a telephone that nobody told of the new one - is slowed, but counts
 * once. True: with this the network became banned.
 */
bool bans_failed(struct bans *b, const struct ip *client, struct str name, uint64_t credential,
		 uint64_t now);
/*
 * A login succeeded: what was counted against the name is forgotten, not what was counted against
 * the network, or one good account would buy endless guesses at the others.
 */
void bans_succeeded(struct bans *b, struct str name);
/* How long an answer to this login has to wait, in milliseconds: the longer of the two. */
unsigned bans_delay_ms(struct bans *b, const struct ip *client, struct str name, uint64_t now);
/* Milliseconds until a banned network may come back; 0: it is not banned. */
uint64_t bans_banned_ms(struct bans *b, const struct ip *client, uint64_t now);
/* An operator lifts a ban. False: there was none. */
bool bans_lift(struct bans *b, const struct ip *client, uint64_t now);

struct bans_stats {
	unsigned networks, names, banned; /* banned: that were, at the last look at each */
};
void bans_stats(struct bans *b, struct bans_stats *ret);

/* ---- bans_file.c: the file STATE/bans */
/* Before anybody fails. Reads (blocks), then keeps; what fails is reported in the log. */
void bans_keep(struct bans *b, struct world *w, const char *state);
void bans_stop(struct bans *b);		/* saves; from the main thread */

/*
 * Waits that long, but not past the deadline: costs a sleeping task. 0; -ETIMEDOUT: the deadline
 * came first; -ECANCELED.
 */
int bans_pause(unsigned delay_ms, uint64_t deadline) SUSPENDS;

#endif
