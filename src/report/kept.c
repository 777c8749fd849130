/*
 * kept - see kept.h.
 */
#include "report/kept.h"

#include "base/mem.h"
#include "net/file.h"
#include "report/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#define SAVE_SHARE 20		/* at most one part in so many of the time is spent writing */
#define BUCKETS_AT_ONCE 256	/* of a map, an entry or so each */

struct kept {
	const struct kept_kind *kind;	/* borrowed */
	void *arg;
	struct world *world;
	int folder;
	_Atomic bool changed;		/* since the last writing began */
	_Atomic bool stopping;
	pthread_mutex_t lock;		/* of .actor alone */
	struct actor *actor;		/* NULL: it has stopped */
	/* the actor's own */
	uint64_t save_at;		/* not before */
	bool has_failed;		/* the last time: told once */
};

__attribute__((format(printf, 2, 3))) static void warn(int error, const char *format, ...)
{
	struct buf text = BUF_INIT(1024);
	va_list ap;

	va_start(ap, format);
	buf_vprintf(&text, format, ap);
	va_end(ap);
	log_begin(LOG_WARNING);
	log_str("text", buf_str(&text));
	if (error)
		log_errno("error", error);
	log_end();
	buf_done(&text);
}

/* ---- writing */

static int save(struct kept *k)
{
	struct file_new f;

	atomic_store(&k->changed, false);
	file_new_begin(&f, k->world, k->folder, k->kind->file);
	buf_printf(&f.text, "%s\n", k->kind->head);
	for (bool first = true, more = true; more; first = false) {
		more = k->kind->some(k->arg, first, &f.text);
		file_new_flush(&f);
	}
	return file_new_end(&f);
}

static void save_and_tell(struct kept *k)
{
	int r = save(k);

	if (r < 0) {
		atomic_store(&k->changed, true);
		if (!k->has_failed)
			warn(r, "%s cannot be recorded; tried again", k->kind->what);
	}
	k->has_failed = r < 0;
}

static int64_t step(void *arg)
{
	struct kept *k = arg;
	bool stopping = atomic_load(&k->stopping);
	uint64_t now = k->world->now(k->world), took;

	if (!atomic_load(&k->changed))
		return stopping ? STEP_DONE : STEP_IDLE;
	if (!stopping && now < k->save_at)
		return (int64_t)(k->save_at - now);
	save_and_tell(k);
	if (stopping)
		return STEP_DONE;
	took = k->world->now(k->world) - now;
	k->save_at = now + (took * SAVE_SHARE > k->kind->every_ns ? took * SAVE_SHARE
								   : k->kind->every_ns);
	return STEP_AGAIN;	/* what changed meanwhile found it awake */
}

void kept_changed(struct kept *k)
{
	if (!k || atomic_load(&k->changed) || atomic_exchange(&k->changed, true))
		return;
	pthread_mutex_lock(&k->lock);
	if (k->actor)
		k->world->actor_wake(k->world, k->actor);
	pthread_mutex_unlock(&k->lock);
}

bool kept_walk(const struct map *m, size_t *at,
	       void (*put)(void *arg, const struct map_node *node, struct buf *out), void *arg,
	       struct buf *out)
{
	for (size_t end = *at + BUCKETS_AT_ONCE; *at < m->size && *at < end; ++*at)
		for (struct map_node *n = map_bucket_first(m, *at); n; n = map_bucket_next(m, n))
			put(arg, n, out);
	return *at < m->size;
}

/* ---- reading */

int kept_read(struct world *w, int folder, const struct kept_kind *kind, void *arg,
	      unsigned *ret_first)
{
	struct buf b = BUF_INIT(kind->size_max);
	int r = file_read(w, folder, kind->file, &b), damaged = 0;
	unsigned number = 0;

	*ret_first = 1;
	if (r == 0 && !b.n)
		damaged = 1;		/* never written so */
	for (size_t at = 0; r == 0 && at < b.n; at++) {
		ssize_t end = str_find(str_from(buf_str(&b), at), '\n');
		size_t n = end < 0 ? b.n - at : (size_t)end;
		bool ok;

		number++;
		if (number == 1)
			ok = str_eq(str_make(b.p + at, n), str_of(kind->head));
		else
			ok = end >= 0 && kind->line(arg, b.p + at, n);
		if (!ok && !damaged++)
			*ret_first = number;
		if (!ok && number == 1)
			break;		/* another format */
		at += n;
	}
	buf_done(&b);
	return r < 0 ? r : damaged;
}

static void read_and_tell(struct kept *k)
{
	struct buf text = BUF_INIT(1024);
	unsigned first = 0;
	int r = kept_read(k->world, k->folder, k->kind, k->arg, &first);

	if (r < 0 && r != -ENOENT)
		warn(r, "%s cannot be read; it is forgotten", k->kind->what);
	if (r <= 0)
		return;
	buf_printf(&text, "the record of %s is damaged; its other lines count", k->kind->what);
	log_begin(LOG_WARNING);
	log_str("text", buf_str(&text));
	log_u64("lines", (uint64_t)r);
	log_u64("first", first);
	log_end();
	buf_done(&text);
}

/* ---- start and end */

struct kept *kept_start(struct world *w, const char *state, const struct kept_kind *kind, void *arg)
{
	int folder = w->disk_open(w, AT_FDCWD, state, O_RDONLY | O_DIRECTORY, 0);
	struct kept *k;

	if (folder < 0) {
		warn(folder, "%s is not kept: the state folder cannot be opened", kind->what);
		return NULL;
	}
	k = mem_zalloc(sizeof(*k));
	k->kind = kind;
	k->arg = arg;
	k->world = w;
	k->folder = folder;
	pthread_mutex_init(&k->lock, NULL);
	read_and_tell(k);
	k->actor = w->actor_start(w, kind->file, step, k);
	return k;
}

void kept_stop(struct kept *k)
{
	struct actor *actor;

	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	actor = k->actor;
	k->actor = NULL;
	pthread_mutex_unlock(&k->lock);
	if (!actor)
		return;
	atomic_store(&k->stopping, true);
	k->world->actor_wake(k->world, actor);
	k->world->actor_join(k->world, actor);
	k->world->disk_close(k->world, k->folder);
}

void kept_free(struct kept *k)
{
	if (!k)
		return;
	kept_stop(k);
	pthread_mutex_destroy(&k->lock);
	mem_free(k);
}

/* ---- both clocks */

struct moment moment_now(struct world *w)
{
	return (struct moment){ w->now(w), w->wall_ms(w) };
}

int64_t moment_to_wall(const struct moment *t, uint64_t at)
{
	if (!at)
		return 0;
	if (at >= t->now)
		return t->wall_ms + (int64_t)((at - t->now + MILLISECOND - 1) / MILLISECOND);
	return t->wall_ms - (int64_t)((t->now - at) / MILLISECOND);
}

int64_t moment_ago(const struct moment *t, int64_t wall_ms)
{
	const int64_t far = 100ll * 365 * 24 * 3600 * 1000;	/* ms */
	int64_t ms = t->wall_ms - wall_ms;

	if (ms > far)
		ms = far;
	if (ms < -far)
		ms = -far;
	return ms * (int64_t)MILLISECOND;
}
