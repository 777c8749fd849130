/*
 * world - the world of the targets of whole sessions: one thread, a clock of its own, sockets in
 * memory; the disk is the real one.
 *
 * The relay's actors (loops, committer, pool, log) are stepped one after the other until none has
 * anything to do (world_settle); then the target does what its peer would do next. The clock stands
 * still while somebody has something to do, and is put forward to the next timer when all wait
 * (world_pass). So no input needs time, and the same input does the same each time, but for what
 * OpenSSL draws.
 *
 * world_real() itself is bent: whoever copies it gets this world.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "base/buf.h"
#include "base/mem.h"
#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WIRES_MAX 32
#define WIRE_FD 100000			/* descriptors from there on are wires */
#define WIRE_ROOM 65536			/* octets that are sent and not read yet */
#define ACTORS_MAX 64
#define STEPS_MAX 200000		/* of one wait: more is a loop without end */

#define check(condition) is_true(condition, #condition, __FILE__, __LINE__)

static void is_true(bool ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	abort();
}

/* ---- leaks */

#if defined(__has_feature) && __has_feature(address_sanitizer)
int __lsan_do_recoverable_leak_check(void);
#else
static int __lsan_do_recoverable_leak_check(void)
{
	return 0;
}
#endif

int LLVMFuzzerInitialize(int *argc, char ***argv);

/*
 * libFuzzer looks for leaks after each input that has left more in memory than before; here that is
 * nearly all of them, as caches and counts fill, and takes most of the time. So leaks are looked
 * for now and then, by count_input. Its schedule by entropy takes a third of the time for inputs
 * that reach this much.
 */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char **more = calloc((size_t)*argc + 3, sizeof(*more));

	memcpy(more, *argv, (size_t)*argc * sizeof(*more));
	more[(*argc)++] = strdup("-detect_leaks=0");
	more[(*argc)++] = strdup("-entropic=0");
	*argv = more;
	return 0;
}

#define LEAKS_EVERY 5000	/* inputs */

static void count_input(void)
{
	static unsigned n;

	if (++n % LEAKS_EVERY == 0)
		check(!__lsan_do_recoverable_leak_check());
}

/* ---- clock and chance */

static uint64_t fuzz_now = SECOND, fuzz_chance;

static uint64_t clock_now(struct world *w)
{
	(void)w;
	return fuzz_now;
}

static int64_t clock_wall_ms(struct world *w)
{
	(void)w;
	return 1790000000000 + (int64_t)(fuzz_now / MILLISECOND);
}

static void chance(struct world *w, void *p, size_t n)
{
	unsigned char *to = p;

	(void)w;
	for (size_t i = 0; i < n; i++) {
		fuzz_chance = fuzz_chance * 6364136223846793005u + 1442695040888963407u;
		to[i] = (unsigned char)(fuzz_chance >> 56);
	}
}

/* ---- actors */

struct actor {
	actor_step *step;
	void *arg;
	bool used, awake, done;
	uint64_t due;			/* fuzz_now */
};

static struct actor actors[ACTORS_MAX];

static struct actor *fuzz_actor_start(struct world *w, const char *name, actor_step *step,
				      void *arg)
{
	(void)w, (void)name;
	for (size_t i = 0; i < ACTORS_MAX; i++) {
		if (actors[i].used)
			continue;
		actors[i] = (struct actor){ step, arg, true, true, false, UINT64_MAX };
		return &actors[i];
	}
	abort();
}

static void fuzz_actor_wake(struct world *w, struct actor *a)
{
	(void)w;
	a->awake = true;
}

static void wake_all(void)
{
	for (size_t i = 0; i < ACTORS_MAX; i++)
		actors[i].awake = true;
}

static bool actor_turn(struct actor *a)
{
	int64_t rest;

	if (!a->used || a->done || (!a->awake && a->due > fuzz_now))
		return false;
	a->awake = false;
	rest = a->step(a->arg);
	a->done = rest < 0;
	a->awake |= rest == STEP_AGAIN;
	a->due = rest < 0 || rest == STEP_IDLE ? UINT64_MAX : fuzz_now + (uint64_t)rest;
	return true;
}

/* What the target does when all wait, such as a server behind the relay. False: nothing. */
static bool (*world_idle)(void);

/* Until nobody has anything to do at this time. */
static void world_settle(void)
{
	bool worked = true;

	for (unsigned steps = 0; worked; steps++) {
		check(steps < STEPS_MAX);
		worked = false;
		for (size_t i = 0; i < ACTORS_MAX; i++)
			worked |= actor_turn(&actors[i]);
		if (!worked && world_idle)
			worked = world_idle();
	}
}

/* The clock goes to the next timer, if one is due within so many ns. False: none is. */
static bool world_pass(uint64_t within)
{
	uint64_t next = UINT64_MAX;

	world_settle();
	for (size_t i = 0; i < ACTORS_MAX; i++)
		if (actors[i].used && !actors[i].done && actors[i].due < next)
			next = actors[i].due;
	if (next == UINT64_MAX || next - fuzz_now > within)
		return false;
	fuzz_now = next;
	world_settle();
	return true;
}

static void fuzz_actor_join(struct world *w, struct actor *a)
{
	(void)w;
	for (unsigned steps = 0; !a->done; steps++) {
		check(steps < STEPS_MAX);
		world_settle();
		if (!a->done)
			world_pass(UINT64_MAX / 2);
	}
	a->used = false;
}

/* ---- wires: what the relay has as a socket, and the target as its other end */

struct wire {
	struct buf to_relay, to_peer;	/* owned */
	size_t to_relay_at, to_peer_at;
	bool used, peer_ended, peer_closed, relay_ended, relay_closed;
	struct endpoint local, remote;	/* as the relay sees them */
	void *tag;
	int poller;			/* 0: not polled */
	unsigned edges;
	bool listens;
	struct wire *dialled;		/* to one that listens: not accepted yet */
};

static struct wire wires[WIRES_MAX];
static bool pollers_woken[ACTORS_MAX];
/* What becomes of connections that the relay opens; false: refused. NULL: all are. */
static bool (*wire_asked)(struct wire *w, const struct endpoint *to);

static int wire_fd(const struct wire *w)
{
	return WIRE_FD + (int)(w - wires);
}

static struct wire *wire_of(int fd)
{
	check(fd >= WIRE_FD && fd < WIRE_FD + WIRES_MAX && wires[fd - WIRE_FD].used);
	return &wires[fd - WIRE_FD];
}

/* Connected; its descriptor is wire_fd. */
static struct wire *wire_new(void)
{
	for (size_t i = 0; i < WIRES_MAX; i++) {
		struct wire *w = &wires[i];

		if (w->used)
			continue;
		*w = (struct wire){ .used = true, .to_relay = BUF_INIT(SIZE_MAX / 2),
				    .to_peer = BUF_INIT(SIZE_MAX / 2) };
		return w;
	}
	abort();
}

static void wire_done(struct wire *w)
{
	buf_done(&w->to_relay);
	buf_done(&w->to_peer);
	w->used = false;
}

static void wire_edge(struct wire *w, unsigned edges)
{
	w->edges |= edges;
	wake_all();
}

/* The target's end: octets to the relay, its end, and what the relay said. */
static void wire_say(struct wire *w, const void *p, size_t n)
{
	if (w->relay_closed || !n)
		return;
	buf_add(&w->to_relay, p, n);
	wire_edge(w, POLL_READ);
}

static void wire_end(struct wire *w)
{
	w->peer_ended = true;
	wire_edge(w, POLL_READ | POLL_END);
}

static struct str wire_heard(const struct wire *w)
{
	return str_from(buf_str(&w->to_peer), w->to_peer_at);
}

static void wire_take(struct wire *w, size_t n)
{
	w->to_peer_at += n;
	if (w->to_peer_at < w->to_peer.n)
		return;
	buf_clear(&w->to_peer);
	w->to_peer_at = 0;
	wire_edge(w, POLL_WRITE);
}

/* The target is through with it; the relay may be, too. */
static void wire_close(struct wire *w)
{
	w->peer_closed = true;
	w->peer_ended = true;
	if (w->relay_closed)
		wire_done(w);
	else
		wire_edge(w, POLL_READ | POLL_END | POLL_ERROR);
}

static ssize_t wire_recv(struct world *world, int fd, void *p, size_t n)
{
	struct wire *w = wire_of(fd);
	size_t there = w->to_relay.n - w->to_relay_at;

	(void)world;
	if (!there)
		return w->peer_ended ? 0 : -EAGAIN;
	n = n < there ? n : there;
	memcpy(p, w->to_relay.p + w->to_relay_at, n);
	w->to_relay_at += n;
	if (w->to_relay_at == w->to_relay.n) {
		buf_clear(&w->to_relay);
		w->to_relay_at = 0;
	}
	return (ssize_t)n;
}

static ssize_t wire_send(struct world *world, int fd, const struct iovec *iov, int n)
{
	struct wire *w = wire_of(fd);
	ssize_t sent = 0;

	(void)world;
	check(!w->relay_ended);
	if (w->peer_closed)
		return -EPIPE;
	for (int i = 0; i < n; i++) {
		size_t there = wire_heard(w).n, room = there < WIRE_ROOM ? WIRE_ROOM - there : 0;
		size_t now = iov[i].iov_len < room ? iov[i].iov_len : room;

		buf_add(&w->to_peer, iov[i].iov_base, now);
		sent += (ssize_t)now;
		if (now < iov[i].iov_len)
			return sent ? sent : -EAGAIN;
	}
	return sent;
}

static int wire_listen(struct world *world, const struct endpoint *at, int backlog)
{
	struct wire *w = wire_new();

	(void)world, (void)at, (void)backlog;
	w->listens = true;
	return wire_fd(w);
}

/* The target connects to a socket on which the relay listens. */
static inline struct wire *wire_dial(int fd)
{
	struct wire *listening = wire_of(fd), *w = wire_new();

	check(listening->listens && !listening->dialled);
	listening->dialled = w;
	wire_edge(listening, POLL_READ);
	world_settle();
	return w;
}

static int wire_accept(struct world *world, int fd, struct endpoint *ret)
{
	struct wire *listening = wire_of(fd), *w = listening->dialled;

	(void)world;
	if (!w)
		return -EAGAIN;
	listening->dialled = NULL;
	*ret = w->remote;
	if (!ret->ip.family)
		ret->path = "";
	return wire_fd(w);
}

static int wire_connect(struct world *world, const struct endpoint *local,
			const struct endpoint *remote)
{
	struct wire *w = wire_new();

	(void)world;
	w->remote = *remote;
	w->remote.path = NULL;
	if (local)
		w->local = *local;
	if (wire_asked && wire_asked(w, remote))
		return wire_fd(w);
	wire_done(w);
	return -ECONNREFUSED;
}

static int wire_error(struct world *world, int fd)
{
	(void)world;
	wire_of(fd);
	return 0;
}

static int wire_shutdown(struct world *world, int fd)
{
	(void)world;
	wire_of(fd)->relay_ended = true;
	return 0;
}

static int wire_local(struct world *world, int fd, struct endpoint *ret)
{
	(void)world;
	*ret = wire_of(fd)->local;
	return 0;
}

static void wire_relay_closes(struct world *world, int fd)
{
	struct wire *w = wire_of(fd);

	(void)world;
	w->relay_closed = w->relay_ended = true;
	w->poller = 0;
	if (w->peer_closed || w->listens)
		wire_done(w);
}

/* ---- pollers */

static bool pollers_used[ACTORS_MAX];

static int fuzz_poll_open(struct world *w)
{
	int poller = 1;

	(void)w;
	while (pollers_used[poller])
		check(++poller < ACTORS_MAX);
	pollers_used[poller] = true;
	return poller;
}

static void fuzz_poll_close(struct world *w, int poller)
{
	(void)w;
	pollers_used[poller] = pollers_woken[poller] = false;
}

static int fuzz_poll_add(struct world *world, int poller, int fd, void *tag, unsigned flags)
{
	struct wire *w = wire_of(fd);

	(void)world, (void)flags;
	w->poller = poller;
	w->tag = tag;
	w->edges = w->listens ? 0 : POLL_WRITE | (w->to_relay.n ? POLL_READ : 0) |
		   (w->peer_ended ? POLL_READ | POLL_END : 0);
	return 0;
}

static void fuzz_poll_remove(struct world *world, int poller, int fd)
{
	(void)world, (void)poller;
	wire_of(fd)->poller = 0;
}

static int fuzz_poll_wait(struct world *world, int poller, struct poll_event *events, int max,
			  int64_t timeout_ns)
{
	int n = 0;

	(void)world, (void)timeout_ns;
	if (pollers_woken[poller])
		events[n++] = (struct poll_event){ .tag = NULL };
	pollers_woken[poller] = false;
	for (size_t i = 0; i < WIRES_MAX && n < max; i++) {
		struct wire *w = &wires[i];

		if (!w->used || w->poller != poller || !w->edges)
			continue;
		events[n++] = (struct poll_event){ w->tag, w->edges };
		w->edges = 0;
	}
	return n;
}

static void fuzz_poll_wake(struct world *w, int poller)
{
	(void)w;
	pollers_woken[poller] = true;
	wake_all();
}

/* ---- the folder, in memory */

static char folder[] = "/dev/shm/relevo-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void tidy_up(void)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *name, struct str text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	check(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n);
	close(fd);
}

static void folder_make(void)
{
	check(mkdtemp(folder) && !atexit(tidy_up));
}

static void world_bend(void)
{
	struct world *w = world_real();

	w->now = clock_now;
	w->wall_ms = clock_wall_ms;
	w->random = chance;
	w->actor_start = fuzz_actor_start;
	w->actor_wake = fuzz_actor_wake;
	w->actor_join = fuzz_actor_join;
	w->sock_listen = wire_listen;
	w->sock_accept = wire_accept;
	w->sock_connect = wire_connect;
	w->sock_error = wire_error;
	w->sock_recv = wire_recv;
	w->sock_send = wire_send;
	w->sock_shutdown = wire_shutdown;
	w->sock_local = wire_local;
	w->sock_close = wire_relay_closes;
	w->poll_open = fuzz_poll_open;
	w->poll_close = fuzz_poll_close;
	w->poll_add = fuzz_poll_add;
	w->poll_remove = fuzz_poll_remove;
	w->poll_wait = fuzz_poll_wait;
	w->poll_wake = fuzz_poll_wake;
}

/* ---- something on the loop */

struct errand {
	struct post post;
	void (*fn)(void *arg);
	void *arg;
	bool as_task;
};

static void errand_run(struct post *p)
{
	struct errand *e = CONTAINER_OF(p, struct errand, post);

	if (!e->as_task)
		e->fn(e->arg);
	else
		check(task_start(NULL, e->fn, e->arg, "fuzz"));
}

/* fn has run, or, as a task, has begun; and all that came of it at this time is done. */
static inline void world_do(struct net *net, void (*fn)(void *arg), void *arg, bool as_task)
{
	struct errand e = { .fn = fn, .arg = arg, .as_task = as_task };

	loop_post(net_loop(net, 0), &e.post, errand_run);
	world_settle();
}

#endif
