/*
 * spool - opening, closing and the small doors; see spool.h. What each other file does:
 *
 *   record.c    records as bytes (format)        commit.c   the committer: batches, syncs, failures
 *   segment.c   one file of the log (format)     group.c    one batch in the making
 *   identity.c  the file "spool" (format)        apply.c    what a batch means in memory
 *   batch.c     what a task hands in             index.c    messages and where they lie
 *   content*.c  a message's bytes                keeper.c   next segment, deletion; sweep.c copies
 *   survivors recover.c   reading the log after a start; scan.c finds records; quarantine.c keeps
 *   damage                damage.c    what becomes of a message found damaged
 *   look.c    reading a spool that somebody else may be using
 *
 * SPOOL/            lock, spool, spool.room
 * SPOOL/segments/   the log
 * SPOOL/content/    large bodies
 * SPOOL/quarantine/ what was damaged
 */
#include "spool/committer.h"

#include <assert.h>
#include <sched.h>
#include <fcntl.h>
#include <stdarg.h>

#define LOCK_STEP_NS (20 * MILLISECOND)
#define EVENT_TEXT_MAX 512

void spool_report(struct spool *s, enum spool_event kind, const char *format, ...)
{
	char text[EVENT_TEXT_MAX];
	va_list ap;

	if (!s->event)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	s->event(s->event_arg, kind, text);
}

struct segment_place spool_segment_place(struct spool *s)
{
	return (struct segment_place){ s->world, s->segments_dir, s->number, s->incarnation,
				       false };
}

uint64_t spool_new_segment_number(struct spool *s)
{
	return atomic_fetch_add(&s->next_segment, 1);
}

/* ---- opening */

static int open_folder(struct spool *s, int at, const char *path, int *ret_fd)
{
	struct world *w = s->world;
	int fd, r = w->disk_mkdir(w, at, path, 0700);

	if (r < 0 && r != -EEXIST)
		return r;
	fd = w->disk_open(w, at, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* The world has no sleep: a poller without sockets is one. */
static void rest_a_while(struct world *w)
{
	struct poll_event event;
	int poller = w->poll_open(w);

	if (poller < 0)
		return;
	w->poll_wait(w, poller, &event, 1, LOCK_STEP_NS);
	w->poll_close(w, poller);
}

static int lock_folder(struct spool *s, uint64_t wait_ns)
{
	struct world *w = s->world;
	uint64_t deadline = w->now(w) + wait_ns;
	int r, fd = w->disk_open(w, s->dir, "lock", O_RDWR | O_CREAT, 0600);

	if (fd < 0)
		return fd;
	s->lock_fd = fd;
	while ((r = w->disk_lock(w, fd)) == -EWOULDBLOCK && w->now(w) < deadline)
		rest_a_while(w);
	return r;
}

/* The spool's own name stands in the folder above it: D1 rests on that one, too. */
static int sync_name(struct spool *s, const char *path)
{
	struct world *w = s->world;
	ssize_t slash = str_rfind(str_of(path), '/');
	char *above = slash > 0 ? str_dup(str_make(path, (size_t)slash))
				: mem_strdup(slash == 0 ? "/" : ".");
	int r, fd = w->disk_open(w, AT_FDCWD, above, O_RDONLY | O_DIRECTORY, 0);

	mem_free(above);
	if (fd < 0)
		return fd;
	r = w->disk_sync(w, fd);
	w->disk_close(w, fd);
	return r;
}

static int open_folders(struct spool *s, const struct spool_options *o, struct buf *error)
{
	struct world *w = s->world;
	int r = open_folder(s, AT_FDCWD, o->path, &s->dir), quarantine = -1;

	if (r == 0)
		r = sync_name(s, o->path);
	if (r == 0)
		r = lock_folder(s, o->lock_wait_ns);
	if (r == -EWOULDBLOCK) {
		buf_printf(error, "another relevo uses the spool %s", o->path);
		return r;
	}
	if (r == 0)
		r = open_folder(s, s->dir, "segments", &s->segments_dir);
	if (r == 0)
		r = open_folder(s, s->dir, "content", &s->content_dir);
	if (r == 0)
		r = open_folder(s, s->dir, "quarantine", &quarantine);
	if (quarantine >= 0)
		w->disk_close(w, quarantine);
	if (r == 0)
		r = w->disk_sync(w, s->dir);
	if (r < 0)
		buf_printf(error, "cannot open the spool %s: %s", o->path, strerror(-r));
	return r;
}

static uint64_t choose_segment_size(struct spool *s, uint64_t wanted)
{
	struct disk_space space;
	uint64_t size = SEGMENT_SIZE_MAX;

	if (wanted)
		size = wanted;
	else if (s->world->disk_space(s->world, s->dir, &space) == 0 && space.total / 16 < size)
		size = space.total / 16;
	size &= ~(uint64_t)(RECORD_PAGE - 1);
	if (size > UINT32_MAX / 2)
		size = UINT32_MAX / 2 + 1;
	return size < SEGMENT_SIZE_MIN ? SEGMENT_SIZE_MIN : size;
}

static struct spool *spool_new(struct net *n, const struct spool_options *o)
{
	struct spool *s = mem_zalloc(sizeof(*s));

	s->net = n;
	s->world = net_world(n);
	s->dir = s->segments_dir = s->content_dir = s->lock_fd = -1;
	s->event = o->event;
	s->event_arg = o->event_arg;
	s->memory = content_memory_new(s);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->deleting, NULL);
	map_init(&s->index);
	list_init(&s->segments);
	atomic_init(&s->accepts, true);
	atomic_init(&s->id_counter, 1);
	atomic_init(&s->size_max, o->size_max);
	atomic_init(&s->free_min, o->free_min);
	atomic_init(&s->recipients_max, o->recipients_max);
	atomic_init(&s->memory->arriving_max, o->arriving_memory_max);
	atomic_init(&s->memory->waiting_max, o->waiting_memory_max);
	return s;
}

static void close_fd(struct spool *s, int fd)
{
	if (fd >= 0)
		s->world->disk_close(s->world, fd);
}

static void empty_index(struct spool *s)
{
	struct map_node *node = map_walk(&s->index, NULL), *next;

	for (; node; node = next) {
		struct message *m = CONTAINER_OF(node, struct message, node);

		next = map_walk(&s->index, node);
		map_remove(&s->index, node);
		list_remove(&m->in_segment);
		m->in_index = false;
		message_unref(m);
	}
	map_done(&s->index);
}

static void spool_free(struct spool *s)
{
	struct list *at;

	empty_index(s);
	while ((at = list_pop(&s->segments)))
		segment_unref(LIST_ENTRY(at, struct segment, link));
	close_fd(s, s->segments_dir);
	close_fd(s, s->content_dir);
	close_fd(s, s->dir);
	close_fd(s, s->lock_fd);	/* last: with it goes the lock */
	content_memory_close(s->memory);
	pthread_mutex_destroy(&s->deleting);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}

int spool_open(struct net *n, const struct spool_options *o, spool_found *found, void *arg,
	       struct spool **ret, struct spool_recovery *ret_recovery, struct buf *error)
{
	struct spool *s = spool_new(n, o);
	struct spool_recovery recovery = { 0 };
	int r = open_folders(s, o, error);

	if (r == 0) {
		s->segment_size = choose_segment_size(s, o->segment_size);
		r = recover(s, found, arg, &recovery, error);
	}
	if (r < 0) {
		if (s->committer)
			committer_free(s);
		spool_free(s);
		return r;
	}
	space_look(s);
	/* In this order: the keeper wakes the committer from its first step on. */
	committer_start(s);
	keeper_start(s);
	if (ret_recovery)
		*ret_recovery = recovery;
	*ret = s;
	return 0;
}

void spool_close(struct spool *s)
{
	keeper_stop(s);
	committer_stop(s);
	committer_free(s);
	keeper_free(s);
	spool_free(s);
}

/* ---- committing */

static int submit(struct spool *s, struct batch *b) SUSPENDS;
static int submit(struct spool *s, struct batch *b)
{
	bool strayed = false;
	int result;

	if (!b->items) {
		batch_release(b);
		return 0;
	}
	b->task = task_self();
	assert(b->task);
	b->loop = loop_self();
	committer_submit(s, b);
	while (!b->done) {
		task_wait_uncancellable();
		strayed |= !b->done;
	}
	result = b->result;
	batch_release(b);
	if (strayed)		/* somebody else's wake: it must not be lost */
		task_wake(task_self());
	return result;
}

int spool_commit(struct spool *s, struct batch *b)
{
	return submit(s, b);
}

int spool_note(struct spool *s, struct batch *b)
{
	assert(!b->has_messages);
	b->is_note = true;
	return submit(s, b);
}

struct message_id spool_next_id(struct spool *s)
{
	return (struct message_id){ s->number, s->incarnation,
				    atomic_fetch_add_explicit(&s->id_counter, 1,
							      memory_order_relaxed) };
}

/* ---- looking */

uint32_t spool_number(const struct spool *s)
{
	return s->number;
}

struct message *spool_find(struct spool *s, const struct message_id *id)
{
	struct message *m;

	spool_lock(s);
	m = index_find(s, id);
	if (m)
		message_ref(m);
	spool_unlock(s);
	return m;
}

/* ---- a walk over the index that holds the lock only for a piece of it */

#define EACH_BUCKETS 1024	/* under one lock: some tens of microseconds */

/*
 * The bucket after this one, counted with the bits in reverse: when the map doubles meanwhile (it
 * never shrinks) a bucket's members fall to it and to one that comes later in this order, so that
 * a member that stays is met exactly once.
 */
static size_t bucket_after(size_t at, size_t size)
{
	size_t bit = size >> 1;

	while (at & bit) {
		at ^= bit;
		bit >>= 1;
	}
	return at | bit;	/* 0: it was the last */
}

/* The messages of some buckets, counted; false: there are no more. *at goes on. */
static bool each_piece(struct spool *s, size_t *at, struct message_list *piece)
{
	spool_lock(s);
	for (int i = 0; i < EACH_BUCKETS && s->index.size; i++) {
		for (struct map_node *n = map_bucket_first(&s->index, *at); n;
		     n = map_bucket_next(&s->index, n))
			messages_add(piece, CONTAINER_OF(n, struct message, node));
		*at = bucket_after(*at, s->index.size);
		if (!*at)
			break;
	}
	spool_unlock(s);
	return *at;
}

void spool_each(struct spool *s, void (*fn)(void *arg, struct message *m), void *arg)
{
	struct message_list piece = { 0 };
	size_t at = 0;
	bool more;

	do {
		more = each_piece(s, &at, &piece);
		for (unsigned i = 0; i < piece.n; i++)
			fn(arg, piece.messages[i]);
		messages_clear(&piece);
		sched_yield();
	} while (more);
	mem_free(piece.messages);
}

void spool_stats(struct spool *s, struct spool_stats *ret)
{
	*ret = (struct spool_stats){
		.octets_on_disk = space_used(s),
		.commits = atomic_load(&s->commits),
		.batches = atomic_load(&s->batches),
		.syncs = atomic_load(&s->syncs),
		.octets_written = atomic_load(&s->octets_written),
		.swept_messages = atomic_load(&s->swept),
		.poisoned = atomic_load(&s->poisoned),
		.memory_arriving = atomic_load(&s->memory->arriving),
		.memory_waiting = atomic_load(&s->memory->waiting),
		.sync_ns_total = atomic_load(&s->sync_ns_total),
		.sync_ns_max = atomic_load(&s->sync_ns_max),
		.accepts = spool_accepts(s),
	};
	spool_lock(s);
	ret->messages = s->index.n;
	ret->octets_live = s->live_octets;
	LIST_FOR(at, &s->segments)
		ret->segments++;
	spool_unlock(s);
	ret->octets_live += atomic_load(&s->file_octets);
}

void spool_set_replica(struct spool *s, struct replica *r)
{
	s->replica = r;
}

void spool_replica_synced(struct spool *s)
{
	s->world->actor_wake(s->world, s->committer_actor);
}
