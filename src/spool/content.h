/*
 * content - the bytes of one message: what we put before it (head) and what came in (body).
 *
 * Written by one task while it arrives, then sealed and shared (counted, any thread). The body
 * lives in memory up to CONTENT_MEMORY_MAX and while the budget for all arriving content lasts;
 * beyond that it streams to a file of its own in the spool, written and synced through the pool
 * (D1), so that a 100 MB message costs no more memory than a small one. The head is made last (it
 * depends on what the header section lacks), is small, and always stays in memory and in the
 * message's record.
 */
#ifndef SPOOL_CONTENT_H
#define SPOOL_CONTENT_H

#include "base/buf.h"
#include "net/task.h"

#define CONTENT_MEMORY_MAX (256 * 1024)	/* octets of a body that may stay in memory */
#define CONTENT_ROOM_MAX (32 * 1024)	/* octets that content_room may be asked for */
#define CONTENT_HEAD_MAX (16 * 1024)	/* octets of head */

struct spool;
struct content;

/*
 * size_hint: octets expected (SIZE=), 0: unknown. Takes no file and no memory yet. s NULL: memory
 * only, for tests.
 */
struct content *content_new(struct spool *s, uint64_t size_hint);
struct content *content_ref(struct content *c);
/*
 * The last unref of content that was never committed removes its file (in the pool, not waited
 * for). NULL is fine.
 */
void content_unref(struct content *c);

/*
 * Room for n more octets of body (n <= CONTENT_ROOM_MAX); write there, then content_added with how
 * many. Returns 0, or -errno from the disk (-ENOSPC ...): the content is then dead, further calls
 * say so again; the caller reads the rest of its input away and answers 451 / 452.
 */
int content_room(struct content *c, size_t n, char **ret) SUSPENDS;
void content_added(struct content *c, size_t n);
int content_add(struct content *c, const void *p, size_t n) SUSPENDS;	/* both in one, any n */

/* Put before the body (trace fields): replaces the head. Before the seal. */
void content_set_head(struct content *c, struct str head);
/* The body is complete: a file is synced, with its directory entry. 0 or -errno. */
int content_seal(struct content *c) SUSPENDS;

uint64_t content_size(const struct content *c);		/* head + body, octets */
uint64_t content_body_size(const struct content *c);
struct str content_head(const struct content *c);
bool content_is_file(const struct content *c);

/*
 * Reading, head first, in slices as they lie; a slice is borrowed until the next call. File content
 * and content that was dropped from memory is read through the pool, in pieces of at most 64 KiB,
 * and checked against its checksum: a mismatch is -EBADMSG at the piece where it shows or, at the
 * latest, instead of the end (0).
 */
struct content_reader {
	struct content *content;	/* counted */
	uint64_t at;			/* octets given so far */
	void *state;			/* private, owned */
};

struct message;
/* From memory if it is there, else from the spool. 0, or -errno. */
int content_reader_open(struct content_reader *r, struct spool *s, struct message *m) SUSPENDS;
void content_reader_open_content(struct content_reader *r, struct content *c);
/* 1: a slice; 0: the end; -errno */
int content_reader_next(struct content_reader *r, struct str *ret) SUSPENDS;
void content_reader_rewind(struct content_reader *r);
void content_reader_close(struct content_reader *r);

#endif
