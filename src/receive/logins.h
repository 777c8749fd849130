/*
 * logins - who may log in, asked of the backends that the configuration names, in its order: users
 * files, Dovecot, token servers (config.h: users).
 *
 * One for the whole relay, for every door that has logins (SMTP, POP3): the readings of users
 * files, token servers with what they remember, the count of failures. From any loop. A question
 * takes its list of backends from the configuration of whoever asks.
 *
 * The first backend that says yes decides; what no backend could judge, because one that might have
 * known did not answer, is "later", never "wrong". But who is disabled in any users file is out,
 * whoever says yes: by the name that was given and by the one that the backend made of it. While a
 * users file cannot be read, and never could, nobody knows who is: "later".
 */
#ifndef RECEIVE_LOGINS_H
#define RECEIVE_LOGINS_H

#include "config/config.h"
#include "policy/bans.h"
#include "policy/dovecot.h"
#include "smtp/address.h"
#include "smtp/sasl.h"

struct logins;

/*
 * warnings: sentences about files and token servers that cannot be used as they are, one per line.
 * Blocks: from the main thread.
 */
struct logins *logins_new(struct world *w, const struct config *c, struct buf *warnings);
/*
 * Backends that are new are made, users files are looked at at once, failures are judged by c from
 * now on. Before c is in force.
 */
void logins_reload(struct logins *l, const struct config *c, struct buf *warnings);
void logins_free(struct logins *l);	/* NULL is fine; nobody asks any more */
struct bans *logins_bans(struct logins *l);

enum login_verdict { LOGIN_GOOD, LOGIN_WRONG, LOGIN_LATER };

struct login {
	char user[SASL_NAME_MAX + 1];	/* of GOOD: as the backend writes it */
	const char *backend;		/* a literal: "file", "dovecot", "introspect" */
	char why[160];			/* of the others, for the log */
};

/*
 * May somebody whom a backend outside has let in come in as ret->user? given: the name that he gave
 * it. GOOD; else *ret says why. The questions below have asked this already.
 */
int logins_admit(struct logins *l, const struct config *c, struct str given,
		 struct login *ret) SUSPENDS;

/* Each returns a login_verdict or -ECANCELED. who: what Dovecot is told. */
int logins_password(struct logins *l, const struct config *c, const struct dovecot_client *who,
		    struct str user, struct str password, uint64_t deadline,
		    struct login *ret) SUSPENDS;
/* Without a password: does a users file name him, and is he not disabled? ret->user as it does. */
int logins_has(struct logins *l, const struct config *c, struct str user,
	       struct login *ret) SUSPENDS;
/* user may be empty: whom the token names. */
int logins_token(struct logins *l, const struct config *c, struct str user, struct str token,
		 uint64_t deadline, struct login *ret) SUSPENDS;

/*
 * The stored secret of the first users file that has one for him. A login_verdict; unless GOOD *ret
 * is made up. .user is as the file writes it, or as it was given.
 */
int logins_scram(struct logins *l, const struct config *c, struct str user, bool sha1,
		 struct scram_secret *ret, struct login *ret_login) SUSPENDS;

/*
 * Dovecot has the conversation by itself, from the client's first message on. A dovecot_answer;
 * *ret is the caller's to close unless NULL. -ENOENT: no Dovecot that offers the mechanism;
 * -ECANCELED.
 */
int logins_dovecot(const struct config *c, enum sasl_mechanism m, const struct dovecot_client *who,
		   struct str initial, uint64_t deadline, struct dovecot **ret) SUSPENDS;

/*
 * May he give this as the sender? As the users file says that names him; for who stands in none:
 * the null path, and his own name if that is an address.
 */
bool logins_may_send_as(struct logins *l, const struct config *c, struct str user,
			const struct address *sender) SUSPENDS;

#endif
