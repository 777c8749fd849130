/*
 * users_source - the users file, watched: read anew when it has changed.
 *
 * Who asks first in a second looks at the file's inode, size and times, in the pool; the others
 * go on with the present reading meanwhile. So an edit counts within a second, without a signal,
 * and a thousand logins a second cost one stat. The lock guards pointers, never a wait.
 */
#include "policy/users.h"

#include "base/mem.h"
#include "net/loop.h"

#include <fcntl.h>

#define LOOK_EVERY SECOND
#define NEWS_MAX 8192

struct users_source {
	char *path;
	pthread_mutex_t lock;
	/* under the lock */
	struct users *current; /* owned; NULL: none was good */
	struct buf news;
	uint64_t next_look; /* loop_now */
	bool is_looking;
	/* of whoever is looking */
	struct stat seen;
	bool has_seen;
};

struct users_source *users_source_new(const char *path)
{
	struct users_source *s = mem_zalloc(sizeof(*s));

	s->path = mem_strdup(path);
	pthread_mutex_init(&s->lock, NULL);
	buf_init(&s->news, NEWS_MAX);
	return s;
}

void users_source_free(struct users_source *s)
{
	if (!s)
		return;
	users_unref(s->current);
	buf_done(&s->news);
	pthread_mutex_destroy(&s->lock);
	mem_free(s->path);
	mem_free(s);
}

bool users_source_start(struct users_source *s, struct world *w, struct buf *errors,
			struct buf *warnings)
{
	s->current = users_load(w, s->path, errors, warnings, &s->seen);
	s->has_seen = true;
	return s->current != NULL;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool has_changed(struct users_source *s, struct world *w)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = w->disk_open(w, AT_FDCWD, s->path, flags, 0);
	struct stat st = {0}; /* stays so if it is not there */

	if (fd >= 0) {
		w->disk_stat(w, fd, &st);
		w->disk_close(w, fd);
	}
	return !s->has_seen || !is_same(&st, &s->seen);
}

struct look {
	struct users_source *source;
	struct world *world;
	struct users *found; /* NULL: as it was, or bad */
	struct buf news;
};

static int look_in_pool(void *arg)
{
	struct look *l = arg;
	struct users_source *s = l->source;
	struct buf warnings = BUF_INIT(NEWS_MAX);

	if (has_changed(s, l->world)) {
		l->found = users_load(l->world, s->path, &l->news, &warnings, &s->seen);
		s->has_seen = true;
		buf_add_str(&l->news, buf_str(&warnings));
	}
	buf_done(&warnings);
	return 0;
}

/* True: it is for the caller to look. */
static bool is_due(struct users_source *s)
{
	uint64_t now = loop_now();
	bool due;

	pthread_mutex_lock(&s->lock);
	due = !s->is_looking && now >= s->next_look;
	if (due) {
		s->is_looking = true;
		s->next_look = now + LOOK_EVERY;
	}
	pthread_mutex_unlock(&s->lock);
	return due;
}

static void look(struct users_source *s) SUSPENDS
{
	struct look l = {.source = s, .world = world_self(), .news = BUF_INIT(NEWS_MAX)};
	struct users *old = NULL;

	net_offload(look_in_pool, &l);
	pthread_mutex_lock(&s->lock);
	if (l.found) {
		old = s->current;
		s->current = l.found;
	}
	if (l.news.n) {
		buf_clear(&s->news);
		buf_add_str(&s->news, buf_str(&l.news));
	}
	s->is_looking = false;
	pthread_mutex_unlock(&s->lock);
	users_unref(old);
	buf_done(&l.news);
}

struct users *users_source_get(struct users_source *s)
{
	struct users *u;

	if (is_due(s))
		look(s);
	pthread_mutex_lock(&s->lock);
	u = s->current ? users_ref(s->current) : NULL;
	pthread_mutex_unlock(&s->lock);
	return u;
}

void users_source_touch(struct users_source *s)
{
	pthread_mutex_lock(&s->lock);
	s->next_look = 0;
	pthread_mutex_unlock(&s->lock);
}

bool users_source_news(struct users_source *s, struct buf *out)
{
	bool is_there;

	pthread_mutex_lock(&s->lock);
	is_there = s->news.n > 0;
	buf_add_str(out, buf_str(&s->news));
	buf_clear(&s->news);
	pthread_mutex_unlock(&s->lock);
	return is_there;
}
