/*
 * content - the bytes of one message while they arrive and after; see content.h.
 *
 * A list of chunks that are never moved: the committer writes them to the log as they lie, readers
 * get slices of them. The first chunk is sized by the sender's SIZE=, later ones double up to
 * CHUNK_MAX, so that a 4 KB message is one chunk and a 200 KB one a dozen.
 *
 * Budgets: octets allocated count as arriving until the message's record is on stable storage
 * (then, if there is room, as waiting), or until the content is freed. The counters are a struct of
 * their own, counted by every content, because a message may outlive the spool by a moment at
 * shutdown.
 */
#include "spool/inner.h"

#include "base/crc.h"

#include <assert.h>

#define CHUNK_FIRST (4096 - 64)		/* octets; with malloc's and ours below one page */
#define CHUNK_MAX (32 * 1024)
#define CHUNK_FILE (64 * 1024)		/* collected before each write to a file */

/* ---- budgets */

struct content_memory *content_memory_new(struct spool *s)
{
	struct content_memory *m = mem_zalloc(sizeof(*m));

	atomic_init(&m->refs, 1);
	pthread_mutex_init(&m->lock, NULL);
	m->spool = s;
	m->world = s->world;
	return m;
}

static void free_dead(struct dead_file *d)
{
	while (d) {
		struct dead_file *next = d->next;

		mem_free(d);
		d = next;
	}
}

void content_memory_unref(struct content_memory *m)
{
	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&m->lock);
	free_dead(m->dead);
	mem_free(m);
}

void content_memory_close(struct content_memory *m)
{
	pthread_mutex_lock(&m->lock);
	m->spool = NULL;
	pthread_mutex_unlock(&m->lock);
	content_memory_unref(m);
}

/* The file is left to the next recovery if the spool is gone already. */
void content_file_dead(struct content_memory *m, uint64_t name, uint64_t octets, uint64_t batch)
{
	struct dead_file *d = mem_alloc(sizeof(*d));

	*d = (struct dead_file){ .name = name, .octets = octets, .batch = batch };
	pthread_mutex_lock(&m->lock);
	d->next = m->dead;
	m->dead = d;
	if (m->spool)
		keeper_wake(m->spool);
	pthread_mutex_unlock(&m->lock);
}

static bool take_budget(struct content *c, uint64_t n)
{
	struct content_memory *m = c->memory;

	if (!m)
		return true;
	if (atomic_fetch_add_explicit(&m->arriving, n, memory_order_relaxed) + n >
	    atomic_load_explicit(&m->arriving_max, memory_order_relaxed)) {
		atomic_fetch_sub_explicit(&m->arriving, n, memory_order_relaxed);
		return false;
	}
	c->counted += n;
	return true;
}

static void give_budget(struct content *c)
{
	if (c->counted)
		atomic_fetch_sub_explicit(c->waiting ? &c->memory->waiting : &c->memory->arriving,
					  c->counted, memory_order_relaxed);
	c->counted = 0;
}

bool content_committed(struct content *c)
{
	struct content_memory *m = c->memory;
	uint64_t n = c->counted;

	c->committed = true;
	if (!m || !n)
		return true;
	if (atomic_fetch_add_explicit(&m->waiting, n, memory_order_relaxed) + n >
	    atomic_load_explicit(&m->waiting_max, memory_order_relaxed)) {
		atomic_fetch_sub_explicit(&m->waiting, n, memory_order_relaxed);
		return false;
	}
	atomic_fetch_sub_explicit(&m->arriving, n, memory_order_relaxed);
	c->waiting = true;
	return true;
}

/* ---- life */

struct content *content_new(struct spool *s, uint64_t size_hint)
{
	struct content *c = mem_zalloc(sizeof(*c));

	atomic_init(&c->refs, 1);
	c->hint = size_hint;
	c->fd = -1;
	if (s) {
		c->memory = s->memory;
		atomic_fetch_add_explicit(&c->memory->refs, 1, memory_order_relaxed);
	}
	return c;
}

struct content *content_ref(struct content *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

static void free_chunks(struct content *c)
{
	for (struct chunk *chunk = c->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		mem_free(chunk);
	}
	c->chunks = c->last = NULL;
}

void content_unref(struct content *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	free_chunks(c);
	give_budget(c);
	/*
	 * A descriptor is open only if the seal never came; closing it does not wait for the disk.
	 */
	if (c->fd >= 0)
		c->memory->world->disk_close(c->memory->world, c->fd);
	if (c->file && !c->committed)
		content_file_dead(c->memory, c->file, c->written, 0);
	content_memory_unref(c->memory);
	mem_free(c->head);
	mem_free(c);
}

/* ---- arriving */

static size_t next_size(const struct content *c, size_t n)
{
	size_t size = CHUNK_FIRST;

	if (c->file)
		return CHUNK_FILE;
	if (c->last)
		size = c->last->size >= CHUNK_MAX / 2 ? CHUNK_MAX : (size_t)c->last->size * 2;
	else if (c->hint)
		size = c->hint < CONTENT_MEMORY_MAX ? (size_t)c->hint : CHUNK_MAX;
	return size < n ? n : size;
}

static struct chunk *add_chunk(struct content *c, size_t size)
{
	struct chunk *chunk = mem_alloc(sizeof(*chunk) + size);

	*chunk = (struct chunk){ .size = (uint32_t)size };
	if (c->last)
		c->last->next = chunk;
	else
		c->chunks = chunk;
	c->last = chunk;
	return chunk;
}

/*
 * What is there goes to the file; the file's one buffer is counted whether it fits or not, it is
 * small.
 */
static int spill(struct content *c) SUSPENDS;
static int spill(struct content *c)
{
	if (!c->file)
		c->error = content_file_open(c);
	if (!c->error)
		c->error = content_file_flush(c);
	if (!c->error && (!c->last || c->chunks != c->last || c->last->size != CHUNK_FILE)) {
		free_chunks(c);
		give_budget(c);
		add_chunk(c, CHUNK_FILE);
		c->counted = CHUNK_FILE;
		atomic_fetch_add_explicit(&c->memory->arriving, CHUNK_FILE, memory_order_relaxed);
	}
	return c->error;
}

int content_room(struct content *c, size_t n, char **ret)
{
	size_t size;
	int r;

	assert(n <= CONTENT_ROOM_MAX && !c->sealed);
	if (c->error)
		return c->error;
	if (!c->last || c->last->size - c->last->n < n) {
		size = next_size(c, n);
		if (!c->file && (!c->memory || c->body_n + n <= CONTENT_MEMORY_MAX) &&
		    take_budget(c, size))
			add_chunk(c, size);
		else if ((r = spill(c)) < 0)
			return r;
	}
	*ret = c->last->data + c->last->n;
	return 0;
}

void content_added(struct content *c, size_t n)
{
	assert(n <= c->last->size - c->last->n);
	c->crc = crc32c(c->crc, c->last->data + c->last->n, n);
	c->last->n += (uint32_t)n;
	c->body_n += n;
}

int content_add(struct content *c, const void *p, size_t n)
{
	const char *from = p;

	while (n) {
		size_t rest = c->last && !c->error ? c->last->size - c->last->n : 0;
		size_t now = n < CONTENT_ROOM_MAX ? n : CONTENT_ROOM_MAX;
		char *to;
		int r;

		if (rest && rest < now)
			now = rest;
		if ((r = content_room(c, now, &to)) < 0)
			return r;
		memcpy(to, from, now);
		content_added(c, now);
		from += now;
		n -= now;
	}
	return c->error;
}

void content_set_head(struct content *c, struct str head)
{
	assert(!c->sealed && head.n <= CONTENT_HEAD_MAX);
	mem_free(c->head);
	c->head = head.n ? mem_dup(head.p, head.n) : NULL;
	c->head_n = (uint32_t)head.n;
}

int content_seal(struct content *c)
{
	if (!c->error && c->file)
		c->error = content_file_seal(c);
	if (!c->error && c->file) {
		free_chunks(c);
		give_budget(c);
	}
	c->sealed = !c->error;
	return c->error;
}

uint64_t content_size(const struct content *c)
{
	return c->body_n + c->head_n;
}

uint64_t content_body_size(const struct content *c)
{
	return c->body_n;
}

struct str content_head(const struct content *c)
{
	return str_make(c->head, c->head_n);
}

bool content_is_file(const struct content *c)
{
	return c->file;
}
