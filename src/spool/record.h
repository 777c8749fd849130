/*
 * record - the records of the log as bytes: encode, sign, check, decode. Pure; formats in record.c.
 */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "base/bytes.h"
#include "spool/message.h"

#define RECORD_HEADER 40	/* octets before the envelope */
#define RECORD_ALIGN 8		/* every record begins at a multiple */
/*
 * Octets; more is damage. 100,000 recipients, the most that message.recipients_max allows, have
 * room with the longest address, ORCPT, route and last reply (2,100 octets).
 */
#define RECORD_ENVELOPE_MAX (256u << 20)
#define RECORD_SALT 16		/* octets of a segment's salt */
#define RECORD_LAST_MAX 1024	/* octets kept of a recipient's last reply */
#define RECORD_PAGE 4096	/* a page that holds synced octets is not written again (I2) */

enum record_type {
	RECORD_MESSAGE = 1,	/* envelope, head, state; then the body, or the name of its file */
	RECORD_PROGRESS = 2,	/* what became of recipients; hold and crash count */
	RECORD_DONE = 3,	/* every recipient is final: the message is no more */
	RECORD_COMMIT = 4,	/* ends a batch */
	RECORD_SEAL = 5,	/* another segment is valid up to here and no further */
};

struct record {
	uint8_t type;
	uint32_t envelope_n, content_n;	/* octets */
	uint32_t content_crc;		/* of the body, also when it is in a file */
	uint32_t crc;			/* of salt, offset, header, envelope */
	struct message_id id;
};

static inline uint64_t record_align(uint64_t n)
{
	return (n + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

static inline uint64_t record_octets(const struct record *r)	/* in the log, padding included */
{
	return record_align(RECORD_HEADER + (uint64_t)r->envelope_n + r->content_n);
}

/* The header without its checksum, into 40 octets. */
void record_put(char *to, const struct record *r);
/* Fills in the checksum of a header with its envelope behind it, for its place. Returns it. */
uint32_t record_sign(char *record, const uint8_t salt[RECORD_SALT], uint64_t offset);
/* Looks like a header: mark, type, sane lengths. Says nothing about its checksum. */
bool record_get(const char header[RECORD_HEADER], struct record *ret);
/* The checksum fits: record holds the header with the whole envelope behind it. */
bool record_is_signed(const char *record, const uint8_t salt[RECORD_SALT], uint64_t offset);
/* One more record into the checksum of a batch. */
uint32_t record_fold(uint32_t checksum, uint32_t crc, uint32_t content_crc);

/* ---- MESSAGE */
struct record_body {
	uint64_t octets;	/* of the body */
	uint64_t file;		/* name of its file; 0: it stands in the record */
	uint32_t crc;
};

/*
 * Octets of header and envelope; then exactly these, with the state as it is now. Not signed yet.
 */
size_t record_message_octets(const struct message *m, struct str head);
void record_message_put(char *to, const struct message *m, struct str head,
			const struct record_body *body);
/*
 * A new message with its state, or NULL: malformed. ret_head borrows envelope. Interns routes and
 * tag: only for records whose checksum fits.
 */
struct message *record_message_get(const struct record *r, struct str envelope,
				   struct str *ret_head, struct record_body *ret_body);
/* Only head and body of it, for readers. */
bool record_message_content(const struct record *r, struct str envelope, struct str *ret_head,
			    struct record_body *ret_body);

/* ---- PROGRESS */
struct change {
	uint32_t recipient;
	uint8_t state, warned;
	uint16_t attempts;
	bool attempted;		/* not recorded: the committer computes attempts */
	int64_t next_ms;
	struct str last;	/* empty: keeps the one before */
};

/* A recipient's new route, by which it is due at once. */
struct reroute {
	uint32_t recipient;
	struct str route;
};

struct progress {
	bool has_flags;
	uint8_t flags, crashes;	/* if has_flags */
	uint32_t routes_n, warned_n, changes_n;	/* that are still to come */
	struct cursor rest;
	/* private */
	uint8_t bits;		/* of what stands there */
	struct str route;	/* of the reroute before */
};

/* What a PROGRESS record is made of: as many of each as its struct progress says. */
struct progress_parts {
	const struct reroute *routes;
	const uint32_t *warned;		/* recipients */
	const struct change *changes;
};

/* Of p only the counts and flags are read. */
size_t record_progress_octets(const struct progress *p, const struct progress_parts *parts);
void record_progress_put(char *to, const struct message_id *id, const struct progress *p,
			 const struct progress_parts *parts);
bool record_progress_get(struct str envelope, struct progress *ret);
/*
 * In this order: all reroutes, all who were warned, then all changes, which may set another time.
 * False: no more, or malformed (p->rest.bad). Each goes over what was not asked for.
 */
bool record_progress_route(struct progress *p, struct reroute *ret);
bool record_progress_warned(struct progress *p, uint32_t *ret_recipient);
bool record_progress_next(struct progress *p, struct change *ret);

/* ---- DONE, COMMIT, SEAL */
struct commit {
	uint64_t segment;	/* that it stands in */
	uint64_t batch;		/* number; rises through all segments */
	uint64_t start, octets;	/* where the batch begins; up to the COMMIT */
	uint64_t synced;	/* the highest batch that was on stable storage when this one was
				   written */
	uint32_t records, checksum;
};

struct seal {
	uint64_t segment;	/* another one */
	uint64_t octets;	/* of it are valid; what lies behind is void */
	uint64_t batch;		/* and with it the batches of this number and higher */
};

#define RECORD_DONE_OCTETS RECORD_HEADER
#define RECORD_COMMIT_OCTETS (RECORD_HEADER + 48)
#define RECORD_SEAL_OCTETS (RECORD_HEADER + 24)

void record_done_put(char *to, const struct message_id *id);
void record_commit_put(char *to, const struct commit *c);
bool record_commit_get(struct str envelope, struct commit *ret);
void record_seal_put(char *to, const struct seal *s);
bool record_seal_get(struct str envelope, struct seal *ret);

#endif
