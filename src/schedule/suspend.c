/*
 * suspend - what operators suspended: a set that never changes, replaced whole, and the file that
 * keeps it.
 *
 * STATE/suspended is text, so that a person can read it; replaced atomically (suspended.new,
 * synced, renamed, folder synced):
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

#include "base/buf.h"
#include "report/log.h"

#include <errno.h>
#include <fcntl.h>

#define SUSPENSIONS_MAX 10000
#define WHY_MAX 200		/* octets */
#define HEAD STR("relevo suspended 1\n")
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

static void add_escaped(struct buf *out, struct str s, bool blanks)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c > ' ' && c < 0x7f && c != '%') || (blanks && c == ' '))
			buf_add_byte(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static int digit_of(char c)
{
	return ascii_is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* False: no such text was ever written. */
static bool unescape(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		int high = -1, low = -1;

		if (s.p[i] != '%') {
			buf_add_byte(out, s.p[i]);
			continue;
		}
		if (i + 2 < s.n) {
			high = digit_of(s.p[i + 1]);
			low = digit_of(s.p[i + 2]);
		}
		if (high < 0 || low < 0 || high + low == 0)
			return false;
		buf_add_byte(out, (char)(high * 16 + low));
		i += 2;
	}
	return buf_ok(out);
}

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

static bool line_parse(struct suspended *s, struct str line)
{
	struct buf name = BUF_INIT(NAME_OCTETS_MAX), why = BUF_INIT(WHY_MAX);
	enum suspend_kind kind;
	uint64_t since_ms;
	bool ok = kind_parse(str_word(&line), &kind) &&
		  str_parse_u64(str_word(&line), INT64_MAX, &since_ms) &&
		  unescape(&name, str_word(&line)) && name.n &&
		  unescape(&why, str_from(line, 1)) && !set_find(s, kind, buf_str(&name));

	if (ok)
		set_add(s, kind, buf_str(&name), buf_str(&why), (int64_t)since_ms);
	buf_done(&name);
	buf_done(&why);
	return ok;
}

/* Returns how many lines make no sense; an unfinished one at the end is one of them. */
static unsigned set_parse(struct suspended *s, struct str text)
{
	unsigned bad = 0;

	if (!str_starts(text, HEAD))
		return 1;
	text = str_from(text, HEAD.n);
	while (text.n) {
		ssize_t end = str_find(text, '\n');

		bad += end < 0 || !line_parse(s, str_sub(text, 0, (size_t)end));
		text = str_from(text, end < 0 ? text.n : (size_t)end + 1);
	}
	return bad;
}

static void set_format(const struct suspended *s, struct buf *out)
{
	buf_add_str(out, HEAD);
	LIST_FOR(at, &s->order) {
		const struct suspension *x = &LIST_ENTRY(at, struct entry, in_order)->said;

		buf_printf(out, "%s %lld ", kinds[x->kind], (long long)x->since_ms);
		add_escaped(out, str_of(x->name), false);
		buf_add_byte(out, ' ');
		add_escaped(out, str_of(x->why), true);
		buf_add_byte(out, '\n');
	}
}

/* ---- the file: disk */

static int write_all(struct world *w, int fd, struct str text)
{
	for (size_t at = 0; at < text.n;) {
		struct iovec iov = { (void *)(uintptr_t)(text.p + at), text.n - at };
		ssize_t r = w->disk_pwritev(w, fd, &iov, 1, at);

		if (r <= 0 && r != -EINTR)
			return r < 0 ? (int)r : -EIO;
		at += r > 0 ? (size_t)r : 0;
	}
	return w->disk_sync(w, fd);
}

static int write_in(struct world *w, int dir, struct str text)
{
	int r, fd;

	/* A crash in the middle of a rename may leave both names to one file. */
	w->disk_unlink(w, dir, "suspended.new", false);
	fd = w->disk_open(w, dir, "suspended.new", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	r = write_all(w, fd, text);
	w->disk_close(w, fd);
	if (r == 0)
		r = w->disk_rename(w, dir, "suspended.new", "suspended");
	return r < 0 ? r : w->disk_sync(w, dir);
}

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
		r = write_in(w, dir, buf_str(&text));
	buf_done(&text);
	w->disk_close(w, dir);
	return r;
}

static int read_in(struct world *w, int dir, struct buf *text)
{
	int fd = w->disk_open(w, dir, "suspended", O_RDONLY, 0);
	ssize_t r;

	if (fd < 0)
		return fd;
	do {
		char *p = buf_reserve(text, 4096);

		r = p ? w->disk_pread(w, fd, p, 4096, text->n) : -EFBIG;
		if (r > 0)
			buf_commit(text, (size_t)r);
	} while (r > 0 || r == -EINTR);
	w->disk_close(w, fd);
	return (int)r;
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
	struct suspended *s = set_new();
	struct buf text = BUF_INIT(FILE_MAX);
	int r, dir = state ? folder_open(w, state) : -ENOENT;

	r = dir < 0 ? dir : read_in(w, dir, &text);
	if (r < 0 && r != -ENOENT)
		complain(state, "cannot be read, so nothing is suspended", strerror(-r));
	else if (r == 0 && set_parse(s, buf_str(&text)))
		set_aside(s, w, state, dir);
	if (dir >= 0)
		w->disk_close(w, dir);
	buf_done(&text);
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
