/*
 * disk - inside the simulated disk: what sim_disk.c and sim_crash.c share.
 *
 * A file has two contents: `cur`, as a reader sees it now, and `dur`, as it is on the platter. What
 * was written since the last sync stands in `writes`, in order, as whole sectors. A name in a
 * folder likewise: `cur`, `dur`, and what it was in between. A sync of the file makes its content
 * and size durable, not its name; only a sync of the folder does that.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "sim/sim.h"

#define SECTOR 512u
#define VERSIONS_MAX 64

struct written {
	uint64_t offset;	/* a multiple of SECTOR */
	size_t n;
	char *bytes;		/* owned; the sectors as they were after the write */
};

struct bytes {
	char *p;		/* owned; zeros behind n */
	uint64_t n, size;
};

struct disk_name {
	struct list link;
	char text[64];
	struct inode *cur, *dur;	/* counted; NULL: not there */
	struct inode *between[VERSIONS_MAX];	/* counted, NULL: was not there */
	unsigned between_n;
};

struct inode {
	unsigned refs;		/* of names and handles */
	unsigned number;
	bool folder;
	struct list names;	/* of a folder */
	struct bytes cur, dur;
	struct written *writes;	/* owned */
	size_t writes_n, writes_size;
	uint64_t size_least;	/* the smallest size since the last sync */
	bool size_changed;
	uint64_t last_write;	/* where it began */
	uint64_t charged;	/* octets of the disk that it takes */
	int next_error;		/* of the next write; 0: none */
	struct handle *locked_by;
	struct list in_disk;
};

struct handle {
	struct node *node;
	struct inode *inode;	/* counted; NULL: free */
};

struct disk {
	uint64_t capacity;
	struct inode *root;	/* counted */
	struct list inodes;
	unsigned inodes_made;
	int bad;		/* every write fails so */
	bool bad_reads;		/* and every read */
	bool bad_halves;	/* after a part was written, by chance */
	uint64_t trouble_at;	/* when a call failed last */
	unsigned flips;
};

void bytes_resize(struct bytes *b, uint64_t n);
struct inode *inode_ref(struct inode *i);
void inode_unref(struct inode *i);
void inode_settle(struct inode *i, size_t writes);	/* those first writes are durable */
void inode_drop_writes(struct inode *i);
void folder_settle(struct inode *folder);

/* The first n sectors' writes reach the platter by chance; torn, mixed up. sim_crash.c */
void inode_lose(struct inode *i, unsigned kept, unsigned torn);

#endif
