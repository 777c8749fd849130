/*
 * look - reading a spool without touching it: for relevo spool check and dump, backup and restore.
 *
 * Nothing is locked, written, moved or removed, so a relay may be running on it; then what is seen
 * is as of one moment for each segment, and segments may go while they are read. How far a segment
 * is valid is decided as recovery decides it. All calls block.
 */
#ifndef SPOOL_LOOK_H
#define SPOOL_LOOK_H

#include "spool/recover.h"

struct look {
	struct spool *spool;	  /* owned: only its folders, world and identity */
	struct recovery recovery; /* .segments, by number; ends as recovery sees them */
	struct spool_recovery stats;
	int identity; /* 0, -ENOENT or -EBADMSG */
	bool is_live; /* a relay works on it */
	/* set by the caller before look_open; each may be NULL */
	void (*record)(void *arg, struct scan *sc, const struct scanned *f);
	/*
	 * Octets that are no record. torn: behind what was acknowledged; else damage. 0 to 0, from
	 * look_open: the segment's header, and so all of it.
	 */
	void (*damage)(void *arg, const char *segment, uint64_t from, uint64_t to, bool torn);
	void (*segment)(void *arg, struct old_segment *old); /* before its records */
	void *arg;
};

/*
 * *l: zero but for what the caller sets. 0; -EPROTO: an unknown version; -errno. On failure error
 * holds a sentence, and nothing is to be closed.
 */
int look_open(struct look *l, struct world *w, const char *path, struct buf *error);
void look_all(struct look *l);
void look_close(struct look *l);

/* The body in a file: 0; -ENOENT; -EBADMSG: not what was written; -errno. */
int look_content(struct look *l, const struct record_body *body);

/* ---- a set of messages by id, with a number each */
struct look_id {
	struct map_node node;
	struct message_id id;
	struct segment *g; /* counted; of the newest copy; NULL: only its DONE was seen */
	uint64_t offset;
	struct record_body body;
	bool is_done;
	bool is_damaged;
};

struct look_ids {
	struct map map;
	struct arena arena;
};

struct look_id *look_id(struct look_ids *ids, const struct message_id *id); /* makes it */
struct look_id *look_id_find(const struct look_ids *ids, const struct message_id *id);
/* What a record says: MESSAGE and DONE. Returns its entry, or NULL: another record. */
struct look_id *look_id_take(struct look_ids *ids, struct scan *sc, const struct scanned *f);
void look_ids_done(struct look_ids *ids);

#endif
