/*
 * receive - the service: listening addresses, admission, which loop a connection goes to,
 * shutdown.
 *
 * A listening socket is watched by every loop. The loop that accepts a connection counts it,
 * refuses it with 421 if its address has too many, and hands it to the loop with the fewest
 * sessions if that has clearly fewer than itself: handing over costs a wake-up of another core, so
 * two sessions' difference is let be. There the session becomes a task (session.c).
 *
 * The main thread adds and removes addresses by posts to the loops. Where it must wait (no more
 * accepts on a socket that is closed next; all sessions gone) it joins an actor that looks at a
 * counter every few milliseconds: this works in the simulated world too, where no thread may
 * block, and needs no wake-up of something that may just have been freed.
 *
 * Shutdown: sessions that wait for a command are cancelled at once and say 421; those within
 * content go on until their transaction has ended or the grace time is over, then they are
 * cancelled as well.
 */
#include "receive/receive.h"

#include "base/mem.h"
#include "policy/bans.h"
#include "receive/service.h"
#include "receive/session.h"
#include "report/log.h"

#include <errno.h>

#define HAND_OVER_MARGIN 2	/* sessions */
#define LOOK_AGAIN (2 * MILLISECOND)

/* A connection on its way to another loop. */
struct arrival {
	struct post post;
	struct reception *reception;
	struct listening *listening;
	int fd;
	struct endpoint peer;
};

/*
 * Failed handshakes are counted apart from failed logins: a server with whom we cannot agree on TLS
 * tries again and again, and is no guesser of passwords. It costs us a handshake each time, so
 * beyond some number it waits a minute.
 */
static const struct ban_limits handshake_limits = {
	.free = 10,
	.forget_ms = 30 * 1000,
	.ban_after = 20,
	.ban_ms = 60 * 1000,
	.ban_max_ms = 15 * 60 * 1000,
	.entries_max = 20000,
};

static void stop_loop(struct post *p);
static void grace_over(struct timer *t);

struct receive *receive_new(struct net *n, struct spool *s, struct schedule *q)
{
	struct receive *r = mem_zalloc(sizeof(*r));

	r->net = n;
	r->spool = s;
	r->schedule = q;
	r->handshakes = bans_new(&handshake_limits);
	r->receptions_n = net_workers(n);
	r->receptions = mem_calloc(r->receptions_n, sizeof(*r->receptions));
	list_init(&r->listenings);
	for (unsigned i = 0; i < r->receptions_n; i++) {
		struct reception *reception = &r->receptions[i];

		reception->receive = r;
		reception->loop = net_loop(n, i);
		list_init(&reception->sessions);
		timer_init(&reception->grace, grace_over);
		buf_init(&reception->head, CONTENT_HEAD_MAX);
	}
	return r;
}

void receive_help(struct receive *r, const struct receive_helpers *h)
{
	r->help = *h;
}

void receive_free(struct receive *r)
{
	struct list *at;

	if (!r)
		return;
	while ((at = list_pop(&r->listenings))) {
		struct listening *l = LIST_ENTRY(at, struct listening, in_receive);

		mem_free(l->doors);
		mem_free(l->path);
		mem_free(l);
	}
	for (unsigned i = 0; i < r->receptions_n; i++) {
		mem_free(r->receptions[i].thrown);
		buf_done(&r->receptions[i].head);
	}
	bans_free(r->handshakes);
	mem_free(r->receptions);
	mem_free(r);
}

unsigned receive_sessions(struct receive *r)
{
	return atomic_load_explicit(&r->live, memory_order_relaxed);
}

/* ---- a connection comes in (outside tasks) */

/* What is said without a session. The socket is new, so a short line fits its buffer. */
static void turn_away(struct reception *r, struct listening *l, int fd, const struct endpoint *peer,
		      const struct reply *reply)
{
	struct world *w = loop_world(r->loop);
	struct buf line = BUF_INIT(REPLY_LINE_MAX);
	struct iovec iov;

	reply_format(&line, reply);
	iov = (struct iovec){ line.p, line.n };
	w->sock_send(w, fd, &iov, 1);
	w->sock_close(w, fd);
	buf_done(&line);
	log_begin(LOG_REFUSED);
	log_endpoint("client", peer);
	log_endpoint("listen", &l->endpoint);
	log_cstr("verb", "connect");
	log_reply("reply", reply);
	log_end();
	service_leave(r, l);
}

/* The connection becomes a session of the current loop, or is turned away. */
static void welcome(struct reception *r, struct listening *l, int fd, const struct endpoint *peer)
{
	const struct reply stopping = REPLY(421, 4, 3, 2, "The relay is stopping");
	const struct reply busy = REPLY(421, 4, 3, 2, "Too many connections, try again later");

	if (r->stopping)
		turn_away(r, l, fd, peer, &stopping);
	else if (!session_start(r, l, fd, peer))
		turn_away(r, l, fd, peer, &busy);
}

static void arrived(struct post *p)
{
	struct arrival a = *CONTAINER_OF(p, struct arrival, post);

	mem_free(CONTAINER_OF(p, struct arrival, post));
	welcome(a.reception, a.listening, a.fd, &a.peer);
}

static void hand_over(struct reception *to, struct listening *l, int fd,
		      const struct endpoint *peer)
{
	struct arrival *a = mem_alloc(sizeof(*a));

	*a = (struct arrival){ .reception = to, .listening = l, .fd = fd, .peer = *peer };
	loop_post(to->loop, &a->post, arrived);
}

static unsigned sessions_on(struct reception *r)
{
	return atomic_load_explicit(&r->sessions_n, memory_order_relaxed);
}

static struct reception *fewest_sessions(struct reception *own)
{
	struct receive *r = own->receive;
	struct reception *best = own;
	unsigned fewest = sessions_on(own);

	fewest = fewest > HAND_OVER_MARGIN ? fewest - HAND_OVER_MARGIN : 0;
	for (unsigned i = 0; i < r->receptions_n; i++) {
		if (sessions_on(&r->receptions[i]) >= fewest)
			continue;
		best = &r->receptions[i];
		fewest = sessions_on(best);
	}
	return best;
}

/* connections_max of the address in the current configuration; 0 if it is no longer there. */
static unsigned connections_max(const struct listening *l)
{
	struct config *c = config_current();
	const struct config_listen *listen = session_settings(c, &l->endpoint);
	unsigned max = listen ? listen->connections_max : 0;

	config_unref(c);
	return max;
}

static void accepted(struct listener *listener, int fd, const struct endpoint *peer)
{
	const struct reply full = REPLY(421, 4, 3, 2, "Too many connections, try again later");
	struct door *d = CONTAINER_OF(listener, struct door, listener);
	struct listening *l = d->listening;
	struct reception *to = fewest_sessions(d->reception);

	atomic_fetch_add(&d->reception->receive->live, 1);
	atomic_fetch_add(&to->sessions_n, 1);
	if (atomic_fetch_add(&l->sessions_n, 1) >= connections_max(l))
		turn_away(to, l, fd, peer, &full);
	else if (to == d->reception)
		welcome(to, l, fd, peer);
	else
		hand_over(to, l, fd, peer);
}

void service_leave(struct reception *r, struct listening *l)
{
	struct receive *receive = r->receive;

	atomic_fetch_sub(&r->sessions_n, 1);
	atomic_fetch_sub(&l->sessions_n, 1);
	atomic_fetch_sub(&receive->live, 1);
}

/* ---- addresses (the main thread asks, the loops do) */

static void open_door(struct post *p)
{
	struct door *d = CONTAINER_OF(p, struct door, start);
	int r = listener_start(&d->listener, d->listening->fd, accepted);

	d->started = r == 0;
	if (d->started)
		return;
	log_begin(LOG_WARNING);
	log_cstr("what", "a loop cannot accept connections");
	log_endpoint("listen", &d->listening->endpoint);
	log_errno("error", r);
	log_end();
}

static void shut_door(struct post *p)
{
	struct door *d = CONTAINER_OF(p, struct door, stop);

	if (d->started)
		listener_stop(&d->listener);
	d->started = false;
	atomic_fetch_sub(&d->reception->receive->posts, 1);
}

static struct listening *listening_find(struct receive *r, const struct endpoint *e)
{
	LIST_FOR(at, &r->listenings) {
		struct listening *l = LIST_ENTRY(at, struct listening, in_receive);

		if (endpoint_eq(&l->endpoint, e))
			return l;
	}
	return NULL;
}

static struct listening *listening_new(struct receive *r, const struct endpoint *e)
{
	struct listening *l = mem_zalloc(sizeof(*l));

	l->endpoint = *e;
	if (e->path)
		l->endpoint.path = l->path = mem_strdup(e->path);
	l->doors = mem_calloc(r->receptions_n, sizeof(*l->doors));
	for (unsigned i = 0; i < r->receptions_n; i++) {
		l->doors[i].listening = l;
		l->doors[i].reception = &r->receptions[i];
	}
	list_push(&r->listenings, &l->in_receive);
	return l;
}

int receive_listen(struct receive *r, int fd, const struct endpoint *e)
{
	struct listening *l = listening_find(r, e);

	if (!l)
		l = listening_new(r, e);
	if (l->open)
		return -EEXIST;
	l->open = true;
	l->fd = fd;
	for (unsigned i = 0; i < r->receptions_n; i++)
		loop_post(r->receptions[i].loop, &l->doors[i].start, open_door);
	return 0;
}

static void shut(struct receive *r, struct listening *l)
{
	if (!l->open)
		return;
	l->open = false;
	for (unsigned i = 0; i < r->receptions_n; i++) {
		atomic_fetch_add(&r->posts, 1);
		loop_post(r->receptions[i].loop, &l->doors[i].stop, shut_door);
	}
}

/* ---- the main thread waits */

static int64_t look_for_posts(void *arg)
{
	struct receive *r = arg;

	return atomic_load(&r->posts) ? (int64_t)LOOK_AGAIN : STEP_DONE;
}

static int64_t look_for_all(void *arg)
{
	struct receive *r = arg;

	return atomic_load(&r->posts) || atomic_load(&r->live) ? (int64_t)LOOK_AGAIN : STEP_DONE;
}

static void wait_until(struct receive *r, actor_step *look)
{
	struct world *w = net_world(r->net);

	w->actor_join(w, w->actor_start(w, "receive-wait", look, r));
}

void receive_unlisten(struct receive *r, const struct endpoint *e)
{
	struct listening *l = listening_find(r, e);

	if (!l)
		return;
	shut(r, l);
	wait_until(r, look_for_posts);
}

/* ---- shutdown */

static void grace_over(struct timer *t)
{
	struct reception *r = CONTAINER_OF(t, struct reception, grace);

	LIST_FOR(at, &r->sessions)
		session_cut(LIST_ENTRY(at, struct session, in_reception));
}

static void stop_loop(struct post *p)
{
	struct reception *r = CONTAINER_OF(p, struct reception, stop);

	r->stopping = true;
	LIST_FOR(at, &r->sessions)
		session_stop(LIST_ENTRY(at, struct session, in_reception));
	timer_set(&r->grace, loop_now() + r->receive->grace_ns);
	atomic_fetch_sub(&r->receive->posts, 1);
}

/* The timer belongs to the loop's heap: it is taken out there, before the struct is freed. */
static void forget_grace(struct post *p)
{
	struct reception *r = CONTAINER_OF(p, struct reception, stop);

	timer_clear(&r->grace);
	atomic_fetch_sub(&r->receive->posts, 1);
}

static void post_to_all(struct receive *r, void (*fn)(struct post *))
{
	for (unsigned i = 0; i < r->receptions_n; i++) {
		atomic_fetch_add(&r->posts, 1);
		loop_post(r->receptions[i].loop, &r->receptions[i].stop, fn);
	}
}

void receive_stop(struct receive *r, uint64_t grace_ns)
{
	LIST_FOR(at, &r->listenings)
		shut(r, LIST_ENTRY(at, struct listening, in_receive));
	r->grace_ns = grace_ns;
	post_to_all(r, stop_loop);
	wait_until(r, look_for_all);
	post_to_all(r, forget_grace);
	wait_until(r, look_for_posts);
}
