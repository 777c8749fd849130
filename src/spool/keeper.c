/*
 * keeper - the second actor of the spool: does what the committer must not wait for.
 *
 *   - makes the next segment ready (allocated, synced, its name too) and fills it with zeros as the
 *     active one fills, gently: at most ZERO_STEP each ZERO_EVERY_NS, and not at all near the end
 *     of the active one
 *   - deletes segments that nobody needs, and content files of messages that are final
 *   - sweeps: sweep.c
 *   - looks at the free space when somebody asked and the last look is a second old
 *
 * It blocks in the disk and sleeps until woken otherwise: an idle relay's disk can sleep as well.
 *
 * How a deletion stays safe (D2, D3):
 *   K1  live_n is 0: every message whose newest copy lay here is final or was copied
 *   K2  dead_batch is synced: the DONEs and copies that K1 rests on are on stable storage
 *   K3  no older segment is left that holds a message of which records here speak (speaks_from)
 *   K4  the folder is synced before another segment is deleted, so that deletions become durable in
 *       order
 *   K5  a content file goes only when the batch with its message's DONE is synced
 *   K6  nothing goes while a backup copies (spool_pin)
 */
#include "spool/keeper.h"

#include <fcntl.h>

#define ZERO_STEP (512u * 1024)
#define ZERO_EVERY_NS (20 * MILLISECOND)
#define SHRINK_STEP (4u << 20)
#define SHRINK_EVERY_NS (20 * MILLISECOND)
#define RETRY_NS (1 * SECOND)		/* after a segment could not be made */

void keeper_wake(struct spool *s)
{
	/* Under the lock, because at the end the actor goes while the committer still runs. */
	spool_lock(s);
	if (s->keeper_actor)
		s->world->actor_wake(s->world, s->keeper_actor);
	spool_unlock(s);
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- the next segment */

static void set_ready(struct spool *s, struct segment *g)
{
	spool_lock(s);
	s->ready = g;
	spool_unlock(s);
}

/*
 * Takes it away from the committer while it is worked on: zeros must never be written over its
 * records.
 */
static struct segment *take_ready(struct spool *s)
{
	struct segment *g;

	spool_lock(s);
	g = s->ready;
	s->ready = NULL;
	spool_unlock(s);
	return g;
}

static void discard(struct spool *s, struct segment *g)
{
	char name[SEGMENT_NAME];

	s->world->disk_unlink(s->world, s->segments_dir, segment_name(name, g->number), false);
	segment_unref(g);
}

/* How full the active one is, and its number. */
static uint64_t active_used(struct spool *s, uint64_t *ret_size, uint64_t *ret_number)
{
	struct segment *g = NULL;
	uint64_t used = 0;

	*ret_size = *ret_number = 0;
	spool_lock(s);
	if (!list_is_empty(&s->segments)) {
		g = LIST_ENTRY(s->segments.prev, struct segment, link);
		used = atomic_load_explicit(&g->used, memory_order_relaxed);
		*ret_size = g->size;
		*ret_number = g->number;
	}
	spool_unlock(s);
	return used;
}

static int64_t make_ready(struct keeper *k)
{
	struct spool *s = k->spool;
	struct segment_place place = spool_segment_place(s);
	uint64_t now = s->world->now(s->world);
	struct segment *g;
	int r;

	if (now < k->retry_at)
		return (int64_t)(k->retry_at - now);
	r = segment_create(&place, spool_new_segment_number(s), s->segment_size, &g);
	if (r < 0) {
		/*
		 * The reserve is what is left in the active one: for bookkeeping, bounces and
		 * sweeping only.
		 */
		atomic_store(&s->tight, true);
		k->retry_at = now + RETRY_NS;
		space_look(s);
		return (int64_t)RETRY_NS;
	}
	set_ready(s, g);
	atomic_store(&s->tight, false);
	space_look(s);
	return STEP_IDLE;
}

static int64_t fill_ready(struct keeper *k, struct segment *g, uint64_t used, uint64_t size)
{
	struct spool *s = k->spool;
	uint64_t target = used + used / 2, now = s->world->now(s->world);

	if (target > g->size)
		target = g->size;
	if (g->zeroed >= target || used > size - size / 8)
		return STEP_IDLE;
	if (now < k->zeroed_at + ZERO_EVERY_NS)
		return (int64_t)(k->zeroed_at + ZERO_EVERY_NS - now);
	k->zeroed_at = now;
	if (take_ready(s) != g)
		return STEP_IDLE;	/* the committer was faster */
	if (segment_zero(g, ZERO_STEP) < 0) {
		discard(s, g);
		return STEP_AGAIN;
	}
	set_ready(s, g);
	return (int64_t)ZERO_EVERY_NS;
}

static int64_t keep_ready(struct keeper *k)
{
	struct spool *s = k->spool;
	uint64_t size, number, used = active_used(s, &size, &number);
	struct segment *g;

	spool_lock(s);
	g = s->ready;
	spool_unlock(s);
	if (!g)
		return make_ready(k);
	if (g->number < number && take_ready(s) == g) {	/* see take_segment in commit.c */
		discard(s, g);
		return STEP_AGAIN;
	}
	return fill_ready(k, g, used, size);
}

/* ---- deleting */

/* K1 to K3. Under the lock. */
static bool is_dead(struct spool *s, struct segment *g, bool *ret_wants_sync)
{
	struct list *before = g->link.prev;

	if (!g->is_full || g->live_n)
		return false;
	if (before != &s->segments &&
	    LIST_ENTRY(before, struct segment, link)->number >= g->speaks_from)
		return false;
	if (g->dead_batch <= atomic_load(&s->synced))
		return true;
	*ret_wants_sync = true;
	return false;
}

static struct segment *find_dead(struct spool *s, bool *ret_wants_sync)
{
	struct segment *found = NULL;

	spool_lock(s);
	LIST_FOR(at, &s->segments) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		if (is_dead(s, g, ret_wants_sync)) {
			found = g;
			break;
		}
	}
	spool_unlock(s);
	return found;
}

static int delete_segment(struct keeper *k, struct segment *g)
{
	struct spool *s = k->spool;
	struct world *w = s->world;
	char name[SEGMENT_NAME];
	int r = 0;

	if (!g->unlinked)
		r = w->disk_unlink(w, s->segments_dir, segment_name(name, g->number), false);
	if (r < 0 && r != -ENOENT)
		return r;
	g->unlinked = true;
	r = w->disk_sync(w, s->segments_dir);	/* K4 */
	if (r < 0)
		return r;
	spool_lock(s);
	list_remove(&g->link);
	spool_unlock(s);
	list_push(&k->shrinking, &g->link);
	return 0;
}

static int64_t delete_dead_segments(struct keeper *k)
{
	struct spool *s = k->spool;
	bool wants_sync = false;
	struct segment *g;

	while ((g = find_dead(s, &wants_sync))) {
		if (delete_segment(k, g) < 0)
			return (int64_t)RETRY_NS;
		wants_sync = false;
	}
	if (wants_sync)
		atomic_store(&s->keeper_wants_sync, true);
	return STEP_IDLE;
}

static void file_is_gone(struct spool *s, struct dead_file *d)
{
	if (d->fd >= 0)
		s->world->disk_close(s->world, d->fd);
	atomic_fetch_sub_explicit(&s->file_octets, d->octets, memory_order_relaxed);
	mem_free(d);
}

/* Takes it. A large one keeps its blocks until shrink_file gives them back. */
static void delete_file(struct keeper *k, struct dead_file *d)
{
	struct spool *s = k->spool;
	struct world *w = s->world;
	char name[CONTENT_FILE_NAME];

	content_file_name(name, d->name);
	d->fd = -1;
	if (d->octets > SHRINK_STEP && !atomic_load(&k->stopping))
		d->fd = w->disk_open(w, s->content_dir, name, O_WRONLY, 0);
	w->disk_unlink(w, s->content_dir, name, false);
	if (d->fd < 0) {
		file_is_gone(s, d);
		return;
	}
	d->next = NULL;
	if (k->shrinking_last)
		k->shrinking_last->next = d;
	else
		k->shrinking_file = d;
	k->shrinking_last = d;
}

static void shrink_file(struct keeper *k)
{
	struct spool *s = k->spool;
	struct dead_file *d = k->shrinking_file;
	uint64_t octets = d->octets > SHRINK_STEP ? d->octets - SHRINK_STEP : 0;

	if (s->world->disk_truncate(s->world, d->fd, octets) < 0)
		octets = 0;
	atomic_fetch_sub_explicit(&s->file_octets, d->octets - octets, memory_order_relaxed);
	d->octets = octets;
	if (octets)
		return;
	k->shrinking_file = d->next;
	if (!d->next)
		k->shrinking_last = NULL;
	file_is_gone(s, d);
}

/*
 * Gives the blocks of deleted segments back piece by piece. Freeing 64 MiB at once makes a commit
 * of the file system's journal, for which the committer's sync waits, take 80 ms where the disk is
 * mounted with `discard`; in pieces of 4 MiB it is below 10 (measured on ext4). Only after the name
 * is gone for certain: half a segment under its name would bring back messages whose DONE stood in
 * the other half.
 */
static void shrink_segment(struct keeper *k, struct segment *g)
{
	struct world *w = k->spool->world;
	uint64_t octets = atomic_load(&g->disk);


	octets -= octets < SHRINK_STEP ? octets : SHRINK_STEP;
	if (w->disk_truncate(w, g->fd, octets) < 0)
		octets = 0;
	atomic_store(&g->disk, octets);
	if (!octets) {
		list_remove(&g->link);
		segment_unref(g);
	}
}

/* One in which no reader is at work any more, and that no message still names; NULL: none. */
static struct segment *find_unread(struct keeper *k)
{
	LIST_FOR(at, &k->shrinking) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		if (atomic_load(&g->refs) == 1)
			return g;
	}
	return NULL;
}

static int64_t shrink_deleted(struct keeper *k)
{
	struct world *w = k->spool->world;
	uint64_t now = w->now(w);
	struct segment *g;

	if (list_is_empty(&k->shrinking) && !k->shrinking_file)
		return STEP_IDLE;
	if (now < k->shrink_at)
		return (int64_t)(k->shrink_at - now);
	if (k->shrinking_file)
		shrink_file(k);
	else if ((g = find_unread(k)))
		shrink_segment(k, g);
	else
		return (int64_t)RETRY_NS;
	k->shrink_at = now + SHRINK_EVERY_NS;
	return (int64_t)SHRINK_EVERY_NS;
}

static void delete_dead_files(struct keeper *k)
{
	struct spool *s = k->spool;
	struct content_memory *m = s->memory;
	struct dead_file *d, *next;

	pthread_mutex_lock(&m->lock);
	d = m->dead;
	m->dead = NULL;
	pthread_mutex_unlock(&m->lock);
	for (; d; d = next) {
		next = d->next;
		if (d->batch > atomic_load(&s->synced)) {	/* K5 */
			pthread_mutex_lock(&m->lock);
			d->next = m->dead;
			m->dead = d;
			pthread_mutex_unlock(&m->lock);
			atomic_store(&s->keeper_wants_sync, true);
			continue;
		}
		delete_file(k, d);
	}
}

/* K6 */
static int64_t delete_dead(struct keeper *k)
{
	struct spool *s = k->spool;
	int64_t rest = STEP_IDLE;

	pthread_mutex_lock(&s->deleting);
	if (!atomic_load(&s->pins)) {
		delete_dead_files(k);
		rest = delete_dead_segments(k);
	}
	pthread_mutex_unlock(&s->deleting);
	return rest;
}

struct spool_extent *spool_pin(struct spool *s, unsigned *ret_n)
{
	struct spool_extent *extents;
	unsigned n = 0;

	pthread_mutex_lock(&s->deleting);	/* a deletion under way ends first */
	atomic_fetch_add(&s->pins, 1);
	pthread_mutex_unlock(&s->deleting);
	spool_lock(s);
	LIST_FOR(at, &s->segments)
		n++;
	extents = mem_calloc(n, sizeof(*extents));
	n = 0;
	LIST_FOR(at, &s->segments) {
		struct segment *g = LIST_ENTRY(at, struct segment, link);

		extents[n++] = (struct spool_extent){ g->number, atomic_load(&g->synced) };
	}
	spool_unlock(s);
	*ret_n = n;
	return extents;
}

void spool_unpin(struct spool *s)
{
	atomic_fetch_sub(&s->pins, 1);
	keeper_wake(s);
}

/*
 * What was allocated and never used goes back to the file system. Not of a poisoned one: nothing is
 * done to it (D4).
 */
static void trim_full_segments(struct spool *s)
{
	struct segment *g = NULL;

	spool_lock(s);
	LIST_FOR(at, &s->segments) {
		g = LIST_ENTRY(at, struct segment, link);
		if (g->is_full && !g->poisoned && g->full_at && !g->trimmed)
			break;
		g = NULL;
	}
	if (g)
		g->trimmed = true;
	spool_unlock(s);
	/* Only the keeper takes segments out of the list: g stays. */
	if (g && s->world->disk_truncate(s->world, g->fd, atomic_load(&g->used)) == 0)
		atomic_store(&g->disk, atomic_load(&g->used));
}

/* ---- the actor */

static int64_t keeper_step(void *arg)
{
	struct keeper *k = arg;
	struct spool *s = k->spool;
	uint64_t synced = atomic_load(&s->synced);
	int64_t rest;

	if (atomic_load(&k->stopping))
		return STEP_DONE;
	sweep_take_back(k);
	if (atomic_exchange(&s->space_wanted, false))
		space_look(s);
	rest = keep_ready(k);
	trim_full_segments(s);
	rest = sooner(rest, delete_dead(k));
	rest = sooner(rest, shrink_deleted(k));
	rest = sooner(rest, sweep(k));
	/* A sync between the look and the wish would be missed. */
	return synced == atomic_load(&s->synced) ? rest : STEP_AGAIN;
}

void keeper_start(struct spool *s)
{
	struct keeper *k = mem_zalloc(sizeof(*k));
	struct actor *actor;

	k->spool = s;
	list_init(&k->shrinking);
	s->keeper = k;
	actor = s->world->actor_start(s->world, "spool keeper", keeper_step, k);
	spool_lock(s);
	s->keeper_actor = actor;
	spool_unlock(s);
}

void keeper_stop(struct spool *s)
{
	struct actor *actor;

	atomic_store(&s->keeper->stopping, true);
	spool_lock(s);
	actor = s->keeper_actor;
	s->keeper_actor = NULL;
	spool_unlock(s);
	s->world->actor_wake(s->world, actor);
	s->world->actor_join(s->world, actor);
}

void keeper_free(struct spool *s)
{
	struct keeper *k = s->keeper;
	struct segment *g;
	struct list *at;

	sweep_take_back(k);
	delete_dead_files(k);
	while (k->shrinking_file) {
		struct dead_file *d = k->shrinking_file;

		k->shrinking_file = d->next;
		file_is_gone(s, d);
	}
	while ((at = list_pop(&k->shrinking)))
		segment_unref(LIST_ENTRY(at, struct segment, link));
	if ((g = take_ready(s)))
		discard(s, g);
	segment_unref(k->from);
	mem_free(k);
}
