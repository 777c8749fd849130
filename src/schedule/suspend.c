/*
 * suspend - what operators suspended: a set that never changes, replaced whole, and the file that
 * keeps it.
 *
 * STATE/suspended is text, so that a person can read it, and replaced whole (net/file.h):
 *
 *	relevo suspended 1
 *	KIND SINCE NAME WHY...
 *
 * KIND: destination, provider, source, route; SINCE: ms since 1970; NAME: octets that are no
 * visible ASCII, and %, as %XX; WHY: the rest of the line, likewise, but with its blanks. What
 * cannot be read is reported and left aside as suspended.damaged, the rest counts.
 *
 * A change is made in the pool: it copies the set, writes the file, and only then puts the copy in
 * the place of the old one; .recording, which only pool threads wait for, keeps two changes apart.
 * Then each home is told, takes the set that is in force by then, and looks at its destinations in
 * pieces. Sets are small (SUSPENSIONS_MAX), changes rare: copying costs nothing that matters.
 */
#include "schedule/home.h"

#include "net/file.h"
#include "report/kept.h"
#include "report/log.h"

#include <errno.h>
#include <fcntl.h>

#define SUSPENSIONS_MAX 10000
#define WHY_MAX 200		/* octets */
#define HEAD "relevo suspended 1"
#define FILE_MAX (SUSPENSIONS_MAX * 4096u)

struct entry {
	struct map_node node;
	struct list in_order;
	struct suspension said;
	char text[];			/* name NUL why NUL */
};

struct suspended {
	_Atomic unsigned refs;
	unsigned n_of[SUSPEND_KINDS];
	struct map map;
	struct list order;		/* the same, as they were suspended */
};

static const char *const kinds[SUSPEND_KINDS] = {
	[SUSPEND_DESTINATION] = "destination",
	[SUSPEND_PROVIDER] = "provider",
	[SUSPEND_SOURCE] = "source",
	[SUSPEND_ROUTE] = "route",
};

const char *suspend_kind_name(enum suspend_kind k)
{
	return kinds[k];
}

/* ---- sets */

static struct suspended *set_new(void)
{
	struct suspended *s = mem_zalloc(sizeof(*s));

	atomic_init(&s->refs, 1);
	list_init(&s->order);
	return s;
}

static struct suspended *set_ref(struct suspended *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void suspended_unref(struct suspended *s)
{
	struct list *at;

	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	while ((at = list_pop(&s->order)))
		mem_free(LIST_ENTRY(at, struct entry, in_order));
	map_done(&s->map);
	mem_free(s);
}

static uint64_t key_of(enum suspend_kind kind, struct str name)
{
	return hash_u64(hash_nocase(name) + kind);
}

static bool is_name(enum suspend_kind kind, const char *own, struct str name)
{
	return kind == SUSPEND_DESTINATION ? str_eq_nocase(str_of(own), name) :
					     str_eq(str_of(own), name);
}

static struct entry *set_find(const struct suspended *s, enum suspend_kind kind, struct str name)
{
	if (!s->n_of[kind])
		return NULL;
	for (struct map_node *n = map_first(&s->map, key_of(kind, name)); n; n = map_next(n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		if (e->said.kind == kind && is_name(kind, e->said.name, name))
			return e;
	}
	return NULL;
}

static void set_add(struct suspended *s, enum suspend_kind kind, struct str name, struct str why,
		    int64_t since_ms)
{
	struct entry *e = mem_alloc(size_add(sizeof(*e), size_add(name.n + 1, why.n + 1)));

	str_copy(e->text, name.n + 1, name);
	str_copy(e->text + name.n + 1, why.n + 1, why);
	e->said = (struct suspension){ kind, e->text, e->text + name.n + 1, since_ms };
	map_insert(&s->map, &e->node, key_of(kind, name));
	list_push(&s->order, &e->in_order);
	s->n_of[kind]++;
}

static void set_remove(struct suspended *s, struct entry *e)
{
	s->n_of[e->said.kind]--;
	map_remove(&s->map, &e->node);
	list_remove(&e->in_order);
	mem_free(e);
}

static struct suspended *set_copy(const struct suspended *s)
{
	struct suspended *copy = set_new();

	LIST_FOR(at, &s->order) {
		const struct suspension *x = &LIST_ENTRY(at, struct entry, in_order)->said;

		set_add(copy, x->kind, str_of(x->name), str_of(x->why), x->since_ms);
	}
	return copy;
}

const struct suspension *suspended_find(const struct suspended *s, enum suspend_kind kind,
					struct str name)
{
	const struct entry *e = set_find(s, kind, name);

	return e ? &e->said : NULL;
}

bool suspended_has(const struct suspended *s, enum suspend_kind kind)
{
	return s->n_of[kind];
}

/* ---- the file: text */

static bool kind_parse(struct str word, enum suspend_kind *ret)
{
	for (unsigned i = 0; i < SUSPEND_KINDS; i++) {
		if (!str_eq(word, str_of(kinds[i])))
			continue;
		*ret = (enum suspend_kind)i;
		return true;
	}
	return false;
}

static bool on_line(void *arg, char *p, size_t n)
{
	struct suspended *s = arg;
	struct str line = str_make(p, n), name, why;
	enum suspend_kind kind;
	uint64_t since_ms;

	if (!kind_parse(str_word(&line), &kind) ||
	    !str_parse_u64(str_word(&line), INT64_MAX, &since_ms))
		return false;
	name = str_word(&line);
	why = str_from(line, 1);
	if (!name.n || !fields_unescape(&name) || name.n > NAME_OCTETS_MAX ||
	    !fields_unescape(&why) || why.n > WHY_MAX || set_find(s, kind, name))
		return false;
	set_add(s, kind, name, why, (int64_t)since_ms);
	return true;
}

static void set_format(const struct suspended *s, struct buf *out)
{
	buf_add_lit(out, HEAD "\n");
	LIST_FOR(at, &s->order) {
		const struct suspension *x = &LIST_ENTRY(at, struct entry, in_order)->said;

		buf_printf(out, "%s %lld ", kinds[x->kind], (long long)x->since_ms);
		fields_escape(out, str_of(x->name), false);
		buf_add_byte(out, ' ');
		fields_escape(out, str_of(x->why), true);
		buf_add_byte(out, '\n');
	}
}

/* ---- the file: disk */

static int folder_open(struct world *w, const char *state)
{
	return w->disk_open(w, AT_FDCWD, state, O_RDONLY | O_DIRECTORY, 0);
}

/* Blocks. */
static int set_write(const struct suspended *s, struct world *w, const char *state)
{
	struct buf text = BUF_INIT(FILE_MAX);
	int r = -EFBIG, dir = folder_open(w, state);

	if (dir < 0)
		return dir;
	set_format(s, &text);
	if (buf_ok(&text))
		r = file_replace(w, dir, "suspended", buf_str(&text));
	buf_done(&text);
	w->disk_close(w, dir);
	return r;
}

static void complain(const char *state, const char *what, const char *why)
{
	struct buf text = BUF_INIT(8192);

	buf_printf(&text, "%s/suspended: %s: %s", state, what, why);
	log_begin(LOG_WARNING);
	log_str("text", buf_str(&text));
	log_end();
	buf_done(&text);
}

static void set_aside(const struct suspended *s, struct world *w, const char *state, int dir)
{
	int r = w->disk_rename(w, dir, "suspended", "suspended.damaged");

	if (r == 0)
		r = set_write(s, w, state);
	complain(state, "lines cannot be read; the file is now suspended.damaged",
		 r < 0 ? strerror(-r) : "the others count");
}

struct suspended *suspended_open(struct world *w, const char *state)
{
	static const struct kept_kind kind = {
		.file = "suspended", .head = HEAD, .size_max = FILE_MAX, .line = on_line,
	};
	struct suspended *s = set_new();
	int r, dir = state ? folder_open(w, state) : -ENOENT;
	unsigned first;

	r = dir < 0 ? dir : kept_read(w, dir, &kind, s, &first);
	if (r < 0 && r != -ENOENT)
		complain(state, "cannot be read, so nothing is suspended", strerror(-r));
	else if (r > 0)
		set_aside(s, w, state, dir);
	if (dir >= 0)
		w->disk_close(w, dir);
	return s;
}

/* ---- changes */

struct change {
	struct schedule *schedule;
	bool add;
	enum suspend_kind kind;
	struct str name, why;
	int64_t now_ms;
};

static struct suspended *set_in_force(struct schedule *s)
{
	struct suspended *set;

	pthread_mutex_lock(&s->lock);
	set = set_ref(s->suspended);
	pthread_mutex_unlock(&s->lock);
	return set;
}

static void set_put_in_force(struct schedule *s, struct suspended *set)
{
	struct suspended *old;

	pthread_mutex_lock(&s->lock);
	old = s->suspended;
	s->suspended = set;
	pthread_mutex_unlock(&s->lock);
	suspended_unref(old);
}

/* Into the copy. */
static int change_make(const struct change *c, struct suspended *set)
{
	struct entry *e = set_find(set, c->kind, c->name);

	if ((e != NULL) == c->add)
		return -EALREADY;
	if (c->add && set->map.n >= SUSPENSIONS_MAX)
		return -ENOSPC;
	if (c->add)
		set_add(set, c->kind, c->name, c->why, c->now_ms);
	else
		set_remove(set, e);
	return 0;
}

/* In the pool: .recording is held across the disk's calls. */
static int change_record(void *arg)
{
	struct change *c = arg;
	struct schedule *s = c->schedule;
	struct suspended *now, *set;
	int r;

	pthread_mutex_lock(&s->recording);
	now = set_in_force(s);
	set = set_copy(now);
	r = change_make(c, set);
	if (r == 0 && s->state) {
		r = set_write(set, net_world(s->net), s->state);
		if (r < 0)	/* it may have come as far as the new name */
			set_write(now, net_world(s->net), s->state);
	}
	if (r == 0)
		set_put_in_force(s, set);
	else
		suspended_unref(set);
	suspended_unref(now);
	pthread_mutex_unlock(&s->recording);
	return r;
}

/* ---- homes are told */

void home_take_suspended(struct home *h)
{
	struct suspended *old = h->suspended;

	h->suspended = set_in_force(h->schedule);
	suspended_unref(old);
}

struct telling {
	struct question question;
	struct walk walk;
};

static void tell_one(struct walk *w, struct destination *d)
{
	(void)w;
	destination_obey(d);
	destination_update(d);
}

static void told(struct walk *w)
{
	question_answer(&CONTAINER_OF(w, struct telling, walk)->question);
}

static bool tell_home(struct question *q)
{
	struct telling *t = CONTAINER_OF(q, struct telling, question);

	home_take_suspended(q->home);
	t->walk.step = tell_one;
	t->walk.done = told;
	walk_start(&t->walk, q->home);
	return false;
}

static void log_change(const struct change *c)
{
	log_begin(c->add ? LOG_SUSPENDED : LOG_RESUMED);
	log_cstr("kind", kinds[c->kind]);
	log_str("name", c->name);
	log_str("why", c->why);
	log_end();
}

static int change(struct change *c) SUSPENDS
{
	struct telling t = { .question = { .schedule = c->schedule, .fn = tell_home } };
	int r;

	if (!c->name.n || c->name.n > NAME_OCTETS_MAX || str_has_control(c->name))
		return -EINVAL;
	c->now_ms = loop_wall_ms();
	r = net_offload(change_record, c);
	if (r < 0)
		return r;
	log_change(c);
	question_ask_all(&t.question);
	return 0;
}

int schedule_suspend(struct schedule *s, enum suspend_kind kind, struct str name, struct str why)
{
	struct change c = {
		.schedule = s, .add = true, .kind = kind, .name = name,
		.why = str_sub(why, 0, WHY_MAX),
	};

	return change(&c);
}

int schedule_resume(struct schedule *s, enum suspend_kind kind, struct str name)
{
	struct change c = { .schedule = s, .kind = kind, .name = name };

	return change(&c);
}

void schedule_suspensions(struct schedule *s, void (*fn)(void *arg, const struct suspension *x),
			  void *arg)
{
	struct suspended *set = set_in_force(s);

	LIST_FOR(at, &set->order)
		fn(arg, &LIST_ENTRY(at, struct entry, in_order)->said);
	suspended_unref(set);
}
