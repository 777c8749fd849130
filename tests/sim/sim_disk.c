/*
 * sim_disk - the disk that a relay of the simulated world calls: files, folders, syncs, failures.
 *
 * Calls from actors that have a stack of their own take virtual time, twice: before and after
 * their effect, so that others run and the node may die on both sides of it. Calls of loops (a
 * close) take none.
 *
 * Failures: a call says EIO, ENOSPC, EDQUOT or EINTR and has no effect; a write is short; it is
 * short, and the next one on that file, which is to write the rest, fails; a sync
 * fails, some of the dirty sectors reach the platter, the others never will, and the next sync
 * finds nothing to do and "succeeds", as Linux has it. What the page cache shows of the lost
 * sectors afterwards is drawn: the new octets (ext4) or the old ones (others).
 * A folder's sync that fails has done nothing; the next one does it.
 *
 * Left out: hard links, permissions, holes' exact accounting.
 */
#include "sim/disk.h"

#define HANDLES_MAX 4096

static struct handle handles[HANDLES_MAX];
#define FD_BASE 100000	/* descriptors of sockets lie below */

/* ---- octets */

void bytes_resize(struct bytes *b, uint64_t n)
{
	if (n > b->size) {
		uint64_t size = n < 4096 ? 4096 : n;
		char *p;

		if (b->size && size < b->size * 2)
			size = b->size * 2;
		p = mem_zalloc((size_t)size);
		if (b->n)
			memcpy(p, b->p, (size_t)b->n);
		mem_free(b->p);
		b->p = p;
		b->size = size;
	}
	if (n < b->n)
		memset(b->p + n, 0, (size_t)(b->n - n));
	b->n = n;
}

/* ---- inodes */

static struct inode *inode_new(struct disk *d, bool folder)
{
	struct inode *i = mem_zalloc(sizeof(*i));

	i->refs = 1;
	i->number = ++d->inodes_made;
	i->folder = folder;
	list_init(&i->names);
	list_push(&d->inodes, &i->in_disk);
	return i;
}

struct inode *inode_ref(struct inode *i)
{
	if (i)
		i->refs++;
	return i;
}

void inode_drop_writes(struct inode *i)
{
	for (size_t w = 0; w < i->writes_n; w++)
		mem_free(i->writes[w].bytes);
	i->writes_n = 0;
	i->size_changed = false;
}

void inode_unref(struct inode *i)
{
	if (!i || --i->refs)
		return;
	inode_drop_writes(i);
	mem_free(i->writes);
	mem_free(i->cur.p);
	mem_free(i->dur.p);
	list_remove(&i->in_disk);
	mem_free(i);		/* names of a lost folder are leaked with their files */
}

static void put_durable(struct inode *i, const struct written *w, size_t from, size_t n)
{
	uint64_t end = w->offset + from + n;

	if (end > i->dur.n)
		bytes_resize(&i->dur, end);
	memcpy(i->dur.p + w->offset + from, w->bytes + from, n);
}

void inode_settle(struct inode *i, size_t writes)
{
	size_t left = i->writes_n - writes;

	if (i->size_changed && i->size_least < i->dur.n)
		bytes_resize(&i->dur, i->size_least);
	for (size_t w = 0; w < writes; w++) {
		put_durable(i, &i->writes[w], 0, i->writes[w].n);
		mem_free(i->writes[w].bytes);
	}
	memmove(i->writes, i->writes + writes, left * sizeof(*i->writes));
	i->writes_n = left;
	bytes_resize(&i->dur, i->cur.n);
	i->size_changed = false;
}

/* The whole sectors around what was just written. */
static void note_write(struct inode *i, uint64_t offset, size_t n)
{
	uint64_t from = offset / SECTOR * SECTOR;
	uint64_t to = (offset + n + SECTOR - 1) / SECTOR * SECTOR;
	struct written *w;

	if (i->writes_n == i->writes_size) {
		i->writes_size = i->writes_size ? i->writes_size * 2 : 16;
		i->writes = mem_realloc(i->writes, i->writes_size * sizeof(*i->writes));
	}
	w = &i->writes[i->writes_n++];
	*w = (struct written){ .offset = from, .n = (size_t)(to - from) };
	w->bytes = mem_zalloc(w->n);
	memcpy(w->bytes, i->cur.p + from, (size_t)((to < i->cur.n ? to : i->cur.n) - from));
}

static void change_size(struct inode *i, uint64_t n)
{
	if (!i->size_changed || n < i->size_least)
		i->size_least = n < i->cur.n ? n : i->cur.n;
	i->size_changed = true;
	bytes_resize(&i->cur, n);
}

/* ---- names */

static struct disk_name *name_find(struct inode *folder, struct str text)
{
	LIST_FOR(at, &folder->names) {
		struct disk_name *n = LIST_ENTRY(at, struct disk_name, link);

		if (str_eq(str_of(n->text), text))
			return n;
	}
	return NULL;
}

static void name_set(struct inode *folder, struct str text, struct inode *to)
{
	struct disk_name *n = name_find(folder, text);

	if (!n) {
		n = mem_zalloc(sizeof(*n));
		assert(text.n < sizeof(n->text));
		memcpy(n->text, text.p, text.n);
		list_push(&folder->names, &n->link);
	} else if (n->cur != n->dur && n->between_n < VERSIONS_MAX) {
		n->between[n->between_n++] = inode_ref(n->cur);
	}
	inode_ref(to);
	inode_unref(n->cur);
	n->cur = to;
}

void folder_settle(struct inode *folder)
{
	LIST_FOR(at, &folder->names) {
		struct disk_name *n = LIST_ENTRY(at, struct disk_name, link);

		inode_ref(n->cur);
		inode_unref(n->dur);
		n->dur = n->cur;
		while (n->between_n)
			inode_unref(n->between[--n->between_n]);
		if (n->cur)
			continue;
		list_remove(&n->link);
		mem_free(n);
	}
}

/* The folder in which the last part of the path stands; that part in *ret_last (empty: itself). */
static struct inode *walk(struct disk *d, struct inode *at, struct str path, struct str *ret_last)
{
	if (path.n && path.p[0] == '/')
		at = d->root;
	*ret_last = STR_NONE;
	while (path.n) {
		ssize_t slash = str_find(path, '/');
		struct str part = slash < 0 ? path : str_sub(path, 0, (size_t)slash);

		path = slash < 0 ? STR_NONE : str_from(path, (size_t)slash + 1);
		if (!part.n || str_eq(part, STR(".")))
			continue;
		if (ret_last->n) {
			struct disk_name *n = name_find(at, *ret_last);

			if (!n || !n->cur || !n->cur->folder)
				return NULL;
			at = n->cur;
		}
		*ret_last = part;
	}
	return at;
}

/* ---- handles */

static struct handle *handle_of(int fd)
{
	struct handle *h = &handles[fd - FD_BASE];

	assert(fd >= FD_BASE && fd < FD_BASE + HANDLES_MAX && h->inode);
	return h;
}

static int handle_new(struct node *n, struct inode *i)
{
	for (int fd = 0; fd < HANDLES_MAX; fd++) {
		if (handles[fd].inode)
			continue;
		handles[fd] = (struct handle){ n, inode_ref(i) };
		return FD_BASE + fd;
	}
	return -EMFILE;
}

static void handle_close(struct handle *h)
{
	if (h->inode->locked_by == h)
		h->inode->locked_by = NULL;
	inode_unref(h->inode);
	*h = (struct handle){ 0 };
}

void disk_close_all(struct node *n)
{
	for (int fd = 0; fd < HANDLES_MAX; fd++)
		if (handles[fd].inode && handles[fd].node == n)
			handle_close(&handles[fd]);
}

static struct inode *folder_of(struct node *n, int dirfd)
{
	return dirfd == AT_FDCWD ? n->disk->root : handle_of(dirfd)->inode;
}

/* ---- a call begins and ends */

static const char *const call_names[CALL_KINDS] = {
	"open", "read", "write", "datasync", "sync", "allocate", "truncate", "stat", "rename",
	"unlink", "mkdir", "list", "space", "lock", "listen", "accept", "connect", "recv", "send",
	"poll_add", "shutdown",
};

static void take_time(struct node *n, uint64_t ns)
{
	if (sim_fault(sim.faults.slow_disk))
		ns = sim_between(MILLISECOND, 3 * SECOND);
	fiber_sleep(ns / 2 + sim_below(ns));
	if (n->dead)
		fiber_stop();
}

/* 0, or the error with which the call ends. */
static int begin(struct world *w, enum disk_call kind, uint64_t ns)
{
	struct node *n = node_of(w);
	bool writes = kind == CALL_WRITE || kind == CALL_DATASYNC || kind == CALL_SYNC ||
		      kind == CALL_ALLOCATE || kind == CALL_RENAME || kind == CALL_MKDIR;
	int error;

	if (n->dead)
		fiber_stop();
	take_time(n, ns);
	error = node_fault(n, kind);
	if (!error && n->disk->bad && sim.faulty &&
	    (writes || (kind == CALL_READ && n->disk->bad_reads)))
		error = n->disk->bad;
	if (error) {
		n->disk->trouble_at = sim.now;
		sim_say("%s disk %s fails: %s", n->name, call_names[kind], strerror(-error));
	}
	if (!node_call(n)) {
		fiber_stop();
		return -EIO;
	}
	return error;
}

/* The effect was had; the caller does not know yet. */
static void end(struct world *w, uint64_t ns)
{
	struct node *n = node_of(w);

	if (!node_call(n))
		fiber_stop();
	take_time(n, ns);
}

/* ---- space */

static uint64_t disk_used(struct disk *d)
{
	uint64_t used = 0;

	LIST_FOR(at, &d->inodes)
		used += LIST_ENTRY(at, struct inode, in_disk)->charged;
	return used;
}

static int charge(struct disk *d, struct inode *i, uint64_t n)
{
	n = (n + 4095) / 4096 * 4096;
	if (n <= i->charged)
		return 0;
	if (disk_used(d) + n - i->charged > d->capacity)
		return -ENOSPC;
	i->charged = n;
	return 0;
}

/* ---- the calls */

static int sim_disk_open(struct world *w, int dirfd, const char *path, int flags, mode_t mode)
{
	struct node *n = node_of(w);
	struct inode *folder, *i;
	struct disk_name *name;
	struct str last;
	int r = begin(w, CALL_OPEN, 20000);

	(void)mode;
	if (r < 0)
		return r;
	folder = walk(n->disk, folder_of(n, dirfd), str_of(path), &last);
	if (!folder)
		return -ENOENT;
	if (!last.n)
		return handle_new(n, folder);
	name = name_find(folder, last);
	i = name ? name->cur : NULL;
	if (i && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (!i && !(flags & O_CREAT))
		return -ENOENT;
	if (i && (flags & O_DIRECTORY) && !i->folder)
		return -ENOTDIR;
	if (!i) {
		i = inode_new(n->disk, false);
		name_set(folder, last, i);
		inode_unref(i);
		sim_say("%s create %s", n->name, path);
	}
	if (flags & O_TRUNC)
		change_size(i, 0);
	r = handle_new(n, i);
	end(w, 10000);
	return r;
}

static int sim_disk_close(struct world *w, int fd)
{
	struct node *n = node_of(w);

	if (!n->dead)
		handle_close(handle_of(fd));
	return 0;
}

static ssize_t sim_disk_pread(struct world *w, int fd, void *p, size_t n, uint64_t offset)
{
	int r = begin(w, CALL_READ, 20000);
	struct inode *i;

	if (r < 0)
		return r;
	i = handle_of(fd)->inode;
	if (offset >= i->cur.n)
		return 0;
	if (n > i->cur.n - offset)
		n = (size_t)(i->cur.n - offset);
	if (sim_fault(sim.faults.short_write) && n > 1)
		n = (size_t)sim_between(1, n - 1);
	memcpy(p, i->cur.p + offset, n);
	return (ssize_t)n;
}

static ssize_t write_one(struct node *node, struct inode *i, const char *p, size_t n,
			 uint64_t offset)
{
	if (charge(node->disk, i, offset + n) < 0) {
		node->disk->trouble_at = sim.now;
		return -ENOSPC;
	}
	if (offset + n > i->cur.n)
		change_size(i, offset + n);
	memcpy(i->cur.p + offset, p, n);
	return (ssize_t)n;
}

/* That call writes a part, and the next one fails with the error drawn here. */
static bool is_half(struct node *n, struct inode *i)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT };
	bool is_nth = sim.nth_kind == CALL_WRITE && sim.nth_error == NTH_HALF &&
		      sim.calls[CALL_WRITE] == sim.nth;

	if (!is_nth && !sim_fault(sim.faults.half_write))
		return false;
	i->next_error = errors[sim_below(3)];
	if (is_nth && sim.nth_death >= 0)
		node_die_soon(n, (uint64_t)sim.nth_death, sim.die_power);
	return true;
}

/* What fails so is told as any other. */
static int take_next_error(struct node *n, struct inode *i)
{
	int error = i->next_error;

	i->next_error = 0;
	if (!error)
		return 0;
	n->disk->trouble_at = sim.now;
	sim_say("%s disk write fails behind a part: %s", n->name, strerror(-error));
	return error;
}

static ssize_t sim_disk_pwritev(struct world *w, int fd, const struct iovec *iov, int iov_n,
				uint64_t offset)
{
	struct node *node = node_of(w);
	int r = begin(w, CALL_WRITE, 50000);
	bool is_short = r < 0 && r == node->disk->bad && node->disk->bad_halves && sim_chance(300);
	struct inode *i;
	size_t total = 0, left, done = 0;
	ssize_t e = 0;

	if (r < 0 && !is_short)
		return r;
	i = handle_of(fd)->inode;
	if ((r = take_next_error(node, i)) < 0)
		return r;
	for (int v = 0; v < iov_n; v++)
		total += iov[v].iov_len;
	left = total;
	is_short |= is_half(node, i) || sim_fault(sim.faults.short_write);
	if (is_short && total > 1)
		left = (size_t)sim_between(1, total - 1);
	for (int v = 0; v < iov_n && left; v++) {
		size_t now = iov[v].iov_len < left ? iov[v].iov_len : left;

		if (!now)
			continue;
		e = write_one(node, i, iov[v].iov_base, now, offset + done);
		if (e < 0)
			break;
		done += now;
		left -= now;
	}
	if (done)
		note_write(i, offset, done);
	i->last_write = offset;
	sim_say("%s write %u: %zu of %zu at %llu", node->name, i->number, done, total,
		(unsigned long long)offset);
	end(w, 20000);
	return done ? (ssize_t)done : e;
}

/* Some sectors reach the platter, the others are clean from now on, and never will. */
static void sync_failed(struct inode *i)
{
	bool is_new = sim_chance(700);
	uint64_t n = i->cur.n;
	char *seen = is_new && n ? mem_dup(i->cur.p, (size_t)n) : NULL;

	sim.disk_lied = true;
	inode_lose(i, (unsigned)sim_below(1001), 0);
	if (is_new) {		/* the page cache keeps what the platter does not have */
		bytes_resize(&i->cur, n);
		if (n)
			memcpy(i->cur.p, seen, (size_t)n);
	}
	mem_free(seen);
}

static int sync_file(struct world *w, struct inode *i, enum disk_call kind)
{
	struct node *n = node_of(w);
	size_t writes = i->writes_n;
	int r = begin(w, kind, sim_between(100, 8000) * 1000);

	if (r < 0) {
		sync_failed(i);
		if (sim.breakage == BREAK_RETRY)
			r = 0;
		end(w, 10000);
		return r;
	}
	if (sim.breakage != BREAK_DATASYNC)
		inode_settle(i, writes < i->writes_n ? writes : i->writes_n);
	sim_say("%s synced %u: %llu octets", n->name, i->number, (unsigned long long)i->cur.n);
	end(w, 50000);
	return 0;
}

static void late_sync(struct event *e)
{
	struct inode *i = e->p;

	if (i->refs > 1 && e->n <= i->writes_n)
		inode_settle(i, (size_t)e->n);
	inode_unref(i);
}

static int sim_disk_datasync(struct world *w, int fd)
{
	struct inode *i = node_of(w)->dead ? NULL : handle_of(fd)->inode;

	if (!i)
		fiber_stop();
	if (sim.breakage == BREAK_EARLY && i && i->writes_n && fiber_runs()) {
		sim_at(sim.now + sim_between(100, 30000) * 1000, late_sync, inode_ref(i),
		       i->writes_n);
		return 0;
	}
	return i ? sync_file(w, i, CALL_DATASYNC) : -EIO;
}

static int sim_disk_sync(struct world *w, int fd)
{
	struct node *n = node_of(w);
	struct inode *i = n->dead ? NULL : handle_of(fd)->inode;
	int r;

	if (!i)
		fiber_stop();
	if (!i || !i->folder)
		return i ? sync_file(w, i, CALL_SYNC) : -EIO;
	r = begin(w, CALL_SYNC, sim_between(100, 8000) * 1000);
	if (r < 0)
		return r;
	if (sim.breakage != BREAK_FOLDERS)
		folder_settle(i);
	sim_say("%s synced folder %u", n->name, i->number);
	end(w, 50000);
	return 0;
}

static int sim_disk_allocate(struct world *w, int fd, uint64_t offset, uint64_t n)
{
	int r = begin(w, CALL_ALLOCATE, 50000);
	struct inode *i;

	if (r < 0)
		return r;
	i = handle_of(fd)->inode;
	r = charge(node_of(w)->disk, i, offset + n);
	if (r < 0)
		return r;
	if (offset + n > i->cur.n)
		change_size(i, offset + n);
	end(w, 10000);
	return 0;
}

static int sim_disk_truncate(struct world *w, int fd, uint64_t n)
{
	int r = begin(w, CALL_TRUNCATE, 20000);
	struct inode *i;

	if (r < 0)
		return r;
	i = handle_of(fd)->inode;
	change_size(i, n);
	i->charged = (n + 4095) / 4096 * 4096 < i->charged ? (n + 4095) / 4096 * 4096 : i->charged;
	sim_say("%s truncate %u to %llu", node_of(w)->name, i->number, (unsigned long long)n);
	end(w, 10000);
	return 0;
}

static int sim_disk_stat(struct world *w, int fd, struct stat *ret)
{
	int r = begin(w, CALL_STAT, 5000);

	if (r < 0)
		return r;
	*ret = (struct stat){ 0 };
	ret->st_size = (off_t)handle_of(fd)->inode->cur.n;
	return 0;
}

static int sim_disk_rename(struct world *w, int dirfd, const char *from, const char *to)
{
	struct node *n = node_of(w);
	int r = begin(w, CALL_RENAME, 20000);
	struct inode *a, *b, *i;
	struct str from_last, to_last;
	struct disk_name *name;

	if (r < 0)
		return r;
	a = walk(n->disk, folder_of(n, dirfd), str_of(from), &from_last);
	b = walk(n->disk, folder_of(n, dirfd), str_of(to), &to_last);
	name = a && b ? name_find(a, from_last) : NULL;
	if (!name || !name->cur)
		return -ENOENT;
	i = inode_ref(name->cur);
	name_set(b, to_last, i);
	name_set(a, from_last, NULL);
	inode_unref(i);
	sim_say("%s rename %s to %s", n->name, from, to);
	end(w, 10000);
	return 0;
}

static int sim_disk_unlink(struct world *w, int dirfd, const char *path, bool folder)
{
	struct node *n = node_of(w);
	int r = begin(w, CALL_UNLINK, 20000);
	struct inode *at;
	struct str last;
	struct disk_name *name;

	(void)folder;
	if (r < 0)
		return r;
	at = walk(n->disk, folder_of(n, dirfd), str_of(path), &last);
	name = at ? name_find(at, last) : NULL;
	if (!name || !name->cur)
		return -ENOENT;
	name->cur->charged = 0;
	name_set(at, last, NULL);
	sim_say("%s unlink %s", n->name, path);
	end(w, 10000);
	return 0;
}

static int sim_disk_mkdir(struct world *w, int dirfd, const char *path, mode_t mode)
{
	struct node *n = node_of(w);
	int r = begin(w, CALL_MKDIR, 20000);
	struct inode *at, *made;
	struct str last;
	struct disk_name *name;

	(void)mode;
	if (r < 0)
		return r;
	at = walk(n->disk, folder_of(n, dirfd), str_of(path), &last);
	if (!at)
		return -ENOENT;
	name = name_find(at, last);
	if (!last.n || (name && name->cur))
		return -EEXIST;
	made = inode_new(n->disk, true);
	name_set(at, last, made);
	inode_unref(made);
	sim_say("%s mkdir %s", n->name, path);
	end(w, 10000);
	return 0;
}

static int sim_disk_list(struct world *w, int dirfd, const char *path,
			 int (*fn)(void *arg, const char *name), void *arg)
{
	struct node *n = node_of(w);
	int r = begin(w, CALL_LIST, 50000);
	struct inode *at;
	struct disk_name *name;
	struct str last;

	if (r < 0)
		return r;
	at = walk(n->disk, folder_of(n, dirfd), str_of(path), &last);
	if (at && last.n) {
		name = name_find(at, last);
		at = name ? name->cur : NULL;
	}
	if (!at || !at->folder)
		return -ENOENT;
	for (unsigned i = (unsigned)sim_below(8); i && !list_is_empty(&at->names); i--)
		list_push(&at->names, list_pop(&at->names));	/* any order */
	LIST_FOR(entry, &at->names) {
		name = LIST_ENTRY(entry, struct disk_name, link);
		if (name->cur && (r = fn(arg, name->text)))
			return r;
	}
	return 0;
}

static int sim_disk_space(struct world *w, int dirfd, struct disk_space *ret)
{
	struct disk *d = node_of(w)->disk;
	int r = begin(w, CALL_SPACE, 5000);
	uint64_t used;

	(void)dirfd;
	if (r < 0)
		return r;
	used = disk_used(d);
	*ret = (struct disk_space){ d->capacity, used < d->capacity ? d->capacity - used : 0,
				    UINT64_MAX };
	return 0;
}

static int sim_disk_lock(struct world *w, int fd)
{
	int r = begin(w, CALL_LOCK, 5000);
	struct handle *h;

	if (r < 0)
		return r;
	h = handle_of(fd);
	if (h->inode->locked_by && h->inode->locked_by != h)
		return -EWOULDBLOCK;
	h->inode->locked_by = h;
	return 0;
}

/* ---- for the plan */

struct disk *disk_new(uint64_t capacity, const char *state)
{
	struct disk *d = mem_zalloc(sizeof(*d));
	struct inode *i;

	d->capacity = capacity;
	list_init(&d->inodes);
	d->root = inode_new(d, true);
	i = inode_new(d, true);
	name_set(d->root, str_of(state), i);
	inode_unref(i);
	folder_settle(d->root);
	return d;
}

unsigned disk_files(struct disk *d, const char *path)
{
	struct str last;
	struct inode *at = walk(d, d->root, str_of(path), &last);
	struct disk_name *name = at ? name_find(at, last) : NULL;
	unsigned n = 0;

	if (!name || !name->cur)
		return 0;
	LIST_FOR(entry, &name->cur->names)
		n += LIST_ENTRY(entry, struct disk_name, link)->cur != NULL;
	return n;
}

void disk_set_bad(struct disk *d, int error, bool reads, bool halves)
{
	d->bad_halves = halves;
	d->bad_reads = reads;
	d->bad = error;
	d->trouble_at = sim.now;
}

uint64_t disk_trouble_at(const struct disk *d)
{
	return d->trouble_at;
}

void disk_fill_world(struct world *w)
{
	w->disk_open = sim_disk_open;
	w->disk_close = sim_disk_close;
	w->disk_pread = sim_disk_pread;
	w->disk_pwritev = sim_disk_pwritev;
	w->disk_datasync = sim_disk_datasync;
	w->disk_sync = sim_disk_sync;
	w->disk_allocate = sim_disk_allocate;
	w->disk_truncate = sim_disk_truncate;
	w->disk_stat = sim_disk_stat;
	w->disk_rename = sim_disk_rename;
	w->disk_unlink = sim_disk_unlink;
	w->disk_mkdir = sim_disk_mkdir;
	w->disk_list = sim_disk_list;
	w->disk_space = sim_disk_space;
	w->disk_lock = sim_disk_lock;
}
