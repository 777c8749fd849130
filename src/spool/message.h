/*
 * message - one queued message in memory: envelope and the state of each recipient, in one
 * allocation.
 *
 * Counted, any thread. The envelope never changes after message_new. What changes per recipient
 * (state, attempts, last reply, next attempt) is written by the spool's committer when the record
 * that says so was written, and by recovery; everyone reads and writes it between message_lock and
 * message_unlock (a few instructions, never across a suspension) - but for the route, which an
 * operator may change and everybody may read at any time. Routes and tags are interned
 * (base/name.h): a million messages by one route hold a pointer each. With one recipient below 300
 * octets, content and last replies aside; with the job that schedule/ makes of it below 512.
 */
#ifndef SPOOL_MESSAGE_H
#define SPOOL_MESSAGE_H

#include "base/hash.h"
#include "base/id.h"
#include "base/list.h"
#include "base/name.h"
#include "smtp/command.h"
#include "smtp/reply.h"

#include <stdatomic.h>

/*
 * What became of a recipient. QUEUED is the only one that is not final. Values stand in the spool's
 * records.
 */
enum recipient_state {
	RECIPIENT_QUEUED = 0,
	RECIPIENT_DELIVERED = 1,	/* to a mailbox: by LMTP */
	RECIPIENT_RELAYED = 2,		/* the next hop said 250 */
	RECIPIENT_FAILED = 3,		/* bounced, or no bounce was due (the reason is logged
					   and recorded) */
	RECIPIENT_DISCARDED = 4,	/* by a rule */
	RECIPIENT_DELETED = 5,		/* by an operator */
};

struct recipient {
	_Atomic(const struct name *) route;	/* see recipient_route; NULL: none */
	uint32_t address;		/* offset into the message's text; orcpt follows it */
	uint16_t address_n, orcpt_n;
	uint8_t notify;			/* NOTIFY_* */
	/* ---- under message_lock from here on */
	uint8_t state;			/* enum recipient_state */
	uint8_t warned;			/* a "delayed" notice was made (or was not due) */
	uint8_t decided;		/* the committer's own: the state that was put into
					   records last */
	uint16_t attempts;
	int64_t next_ms;		/* wall clock of the next attempt; 0: at once */
	char *last;			/* owned; last reply in words, with host; NULL: none */
};

#define MESSAGE_HELD 1		/* by an operator or a crash: not tried until released (recorded) */
#define MESSAGE_RESTORED 2	/* with the one above: held since a restore (recorded) */

struct content;
struct segment;

struct message {
	struct message_id id;
	_Atomic uint32_t refs;
	_Atomic uint8_t lock;		/* see message_lock */
	/* never written after message_new, so they may share an octet */
	uint8_t body : 2;		/* enum body */
	uint8_t ret : 2;		/* enum dsn_ret */
	bool smtputf8 : 1;
	bool local : 1;			/* came in from `local`, or was made here */
	bool is_bounce : 1;		/* made here about another message: never bounced again */
	bool requires_tls : 1;		/* RFC 8689: goes only where TLS is verified */
	uint8_t flags;			/* MESSAGE_*; under message_lock */
	uint8_t crashes;		/* how often it was being worked on when a worker died */
	uint32_t recipients_n;
	_Atomic uint32_t open_n;	/* recipients without a final state */
	_Atomic uint32_t jobs_n;	/* schedule's: jobs not yet ended */
	uint32_t undecided_n;		/* the committer's own: recipients whose decided state is
					   not final */
	uint64_t size;			/* octets of content, head included */
	int64_t arrived_ms;		/* wall clock */
	/* they stand in the text in this order, then the recipients' */
	uint16_t sender_n, envid_n, client_n, login_n;
	uint32_t offset;		/* of its record, and... */
	uint32_t octets;		/* that it takes in the log; the spool's, under its lock */
	bool stored;			/* stands in the log; under message_lock */
	/* the spool's own, under its lock: its record could not be read once; was found damaged;
	   its content file was */
	bool unreadable, damaged, file_damaged;
	_Atomic bool is_scheduled;	/* schedule's: it came to schedule_add */
	bool in_index, unrecorded;	/* the committer's own: see committer.h */
	_Atomic bool is_being_warned;	/* bounce's: a delayed notice about it is being made */
	const struct name *tag;		/* for queries and logs; NULL: none */
	struct content *content;	/* counted; NULL once dropped from memory; take by
					   message_content */
	/* ---- the spool's own: where the newest copy lies; under its lock */
	struct map_node node;
	struct list in_segment;
	struct segment *segment;	/* counted; NULL: not in the log yet */
	uint64_t oldest;		/* no segment below this number ever held a copy that is
					   still there */
	uint64_t file;			/* the content file's name; 0: the body stands in the
					   record */
	void *jobs;			/* schedule's own */
	struct recipient recipients[];	/* behind them the text */
};

struct envelope_recipient {
	/* route: a name in the configuration, "mx", or smtp://...; it is interned */
	struct str address, orcpt, route;
	unsigned notify;
};

/* What message_new copies from. */
struct envelope {
	struct str sender;	/* empty: the null path */
	struct str envid;	/* xtext as sent */
	struct str client;	/* "192.0.2.1"; for logs and loops */
	struct str login;
	enum body body;
	enum dsn_ret ret;
	bool smtputf8, local, is_bounce, requires_tls;
	const struct name *tag;	/* NULL: none */
	int64_t arrived_ms;
	const struct envelope_recipient *recipients;
	uint32_t recipients_n;
};

/*
 * A message whose id is still none: batch_message gives it one (unless the caller took one by
 * spool_next_id).
 */
struct message *message_new(const struct envelope *e,
			    struct content *content /* counted here; may be NULL */);
struct message *message_ref(struct message *m);
void message_unref(struct message *m);		/* NULL is fine */
struct content *message_content(struct message *m);	/* counted, or NULL */
void message_drop_content(struct message *m);		/* from memory; it stays in the spool */

void message_lock(struct message *m);
void message_unlock(struct message *m);

static inline const char *message_text(const struct message *m)
{
	return (const char *)(m->recipients + m->recipients_n);
}

static inline struct str message_sender(const struct message *m)
{
	return str_make(message_text(m), m->sender_n);
}

static inline struct str message_envid(const struct message *m)
{
	return str_make(message_text(m) + m->sender_n, m->envid_n);
}

static inline struct str message_client(const struct message *m)
{
	return str_make(message_text(m) + m->sender_n + m->envid_n, m->client_n);
}

static inline struct str message_login(const struct message *m)
{
	return str_make(message_text(m) + m->sender_n + m->envid_n + m->client_n, m->login_n);
}

static inline struct str message_tag(const struct message *m)	/* empty: none */
{
	return name_str(m->tag);
}

static inline struct str recipient_address(const struct message *m, uint32_t i)
{
	return str_make(message_text(m) + m->recipients[i].address, m->recipients[i].address_n);
}

static inline struct str recipient_orcpt(const struct message *m, uint32_t i)
{
	const struct recipient *r = &m->recipients[i];

	return str_make(message_text(m) + r->address + r->address_n, r->orcpt_n);
}

/* As it is now: batch_route may change it. Any thread, without the lock; NULL: none. */
static inline const struct name *recipient_route_name(const struct message *m, uint32_t i)
{
	return atomic_load_explicit(&m->recipients[i].route, memory_order_acquire);
}

static inline struct str recipient_route(const struct message *m, uint32_t i)
{
	return name_str(recipient_route_name(m, i));
}

const char *recipient_state_name(enum recipient_state s);	/* "queued", "relayed", ... */

/* Octets of memory that this message takes, allocations included, content aside. */
size_t message_memory(const struct message *m);

#endif
