/*
 * pop - the service: listening addresses, admission, shutdown. See pop.h.
 *
 * A smaller sibling of receive/receive.c: every loop watches every socket, a session stays on the
 * loop that accepted it (logins are short, nothing is gained by balancing them). At most
 * POP_SESSIONS_MAX sessions, and POP_PER_CLIENT_MAX of one address on a core; who is beyond hears
 * so and is closed.
 */
#include "pop/service.h"

#include "base/mem.h"

#include <errno.h>

#define LOOK_AGAIN (2 * MILLISECOND)

static void stop_core(struct post *p);
static void grace_over(struct timer *t);

struct pop *pop_new(const struct pop_links *links)
{
	struct pop *p = mem_zalloc(sizeof(*p));

	p->links = *links;
	p->cores_n = net_workers(links->net);
	p->cores = mem_calloc(p->cores_n, sizeof(*p->cores));
	list_init(&p->listenings);
	pthread_mutex_init(&p->lock, NULL);
	for (unsigned i = 0; i < p->cores_n; i++) {
		p->cores[i].pop = p;
		p->cores[i].loop = net_loop(links->net, i);
		list_init(&p->cores[i].sessions);
		timer_init(&p->cores[i].grace, grace_over);
	}
	return p;
}

void pop_free(struct pop *p)
{
	struct list *at;

	if (!p)
		return;
	while ((at = list_pop(&p->listenings))) {
		struct listening *l = LIST_ENTRY(at, struct listening, in_pop);

		mem_free(l->doors);
		mem_free(l->path);
		mem_free(l);
	}
	tls_context_unref(p->upstream_tls);
	pthread_mutex_destroy(&p->lock);
	mem_free(p->cores);
	mem_free(p);
}

unsigned pop_sessions(struct pop *p)
{
	return atomic_load_explicit(&p->live, memory_order_relaxed);
}

static bool wants_tls(const struct config *c)
{
	for (unsigned i = 0; i < c->pops_n; i++)
		if (c->pops[i].has_upstream && c->pops[i].upstream_tls != TLS_OFF)
			return true;
	return false;
}

bool pop_reload(struct pop *p, const struct config *c, struct buf *error)
{
	const struct tls_client_options o = { .minimum = TLS_1_2 };
	struct tls_context *fresh = NULL, *old;

	if (wants_tls(c)) {
		fresh = tls_client_context(&o, error);
		if (!fresh)
			return false;
	}
	pthread_mutex_lock(&p->lock);
	old = p->upstream_tls;
	p->upstream_tls = fresh;
	pthread_mutex_unlock(&p->lock);
	tls_context_unref(old);
	return true;
}

struct tls_context *pop_upstream_tls(struct pop *p)
{
	struct tls_context *c;

	pthread_mutex_lock(&p->lock);
	c = p->upstream_tls ? tls_context_ref(p->upstream_tls) : NULL;
	pthread_mutex_unlock(&p->lock);
	return c;
}

/* ---- a connection comes in (outside tasks) */

void pop_leave(struct pop *p)
{
	atomic_fetch_sub(&p->live, 1);
}

static void turn_away(struct core *c, int fd, struct str line)
{
	struct world *w = loop_world(c->loop);
	struct iovec iov = { (char *)(uintptr_t)line.p, line.n };

	w->sock_send(w, fd, &iov, 1);
	w->sock_close(w, fd);
	pop_leave(c->pop);
}

static unsigned sessions_of(const struct core *c, const struct ip *ip)
{
	unsigned n = 0;

	LIST_FOR(at, &c->sessions)
		n += ip_eq(&LIST_ENTRY(at, struct session, in_core)->ip, ip);
	return n;
}

static void accepted(struct listener *listener, int fd, const struct endpoint *peer)
{
	struct door *d = CONTAINER_OF(listener, struct door, listener);
	struct core *c = d->core;

	if (atomic_fetch_add(&c->pop->live, 1) >= POP_SESSIONS_MAX ||
	    sessions_of(c, &peer->ip) >= POP_PER_CLIENT_MAX)
		turn_away(c, fd, STR("-ERR [SYS/TEMP] Too many connections\r\n"));
	else if (c->stopping || !pop_session_start(c, d->listening, fd, peer))
		turn_away(c, fd, STR("-ERR [SYS/TEMP] The service is not available\r\n"));
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
	log_cstr("what", "a loop cannot accept POP3 connections");
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
	atomic_fetch_sub(&d->core->pop->posts, 1);
}

static struct listening *listening_find(struct pop *p, const struct endpoint *e)
{
	LIST_FOR(at, &p->listenings) {
		struct listening *l = LIST_ENTRY(at, struct listening, in_pop);

		if (endpoint_eq(&l->endpoint, e))
			return l;
	}
	return NULL;
}

static struct listening *listening_new(struct pop *p, const struct endpoint *e)
{
	struct listening *l = mem_zalloc(sizeof(*l));

	l->endpoint = *e;
	if (e->path)
		l->endpoint.path = l->path = mem_strdup(e->path);
	l->doors = mem_calloc(p->cores_n, sizeof(*l->doors));
	for (unsigned i = 0; i < p->cores_n; i++) {
		l->doors[i].listening = l;
		l->doors[i].core = &p->cores[i];
	}
	list_push(&p->listenings, &l->in_pop);
	return l;
}

int pop_listen(struct pop *p, int fd, const struct endpoint *e)
{
	struct listening *l = listening_find(p, e);

	if (!l)
		l = listening_new(p, e);
	if (l->open)
		return -EEXIST;
	l->open = true;
	l->fd = fd;
	for (unsigned i = 0; i < p->cores_n; i++)
		loop_post(p->cores[i].loop, &l->doors[i].start, open_door);
	return 0;
}

static void shut(struct pop *p, struct listening *l)
{
	if (!l->open)
		return;
	l->open = false;
	for (unsigned i = 0; i < p->cores_n; i++) {
		atomic_fetch_add(&p->posts, 1);
		loop_post(p->cores[i].loop, &l->doors[i].stop, shut_door);
	}
}

/* ---- the main thread waits: by an actor that looks, as receive/ does */

static int64_t look_for_posts(void *arg)
{
	struct pop *p = arg;

	return atomic_load(&p->posts) ? (int64_t)LOOK_AGAIN : STEP_DONE;
}

static int64_t look_for_all(void *arg)
{
	struct pop *p = arg;

	return atomic_load(&p->posts) || atomic_load(&p->live) ? (int64_t)LOOK_AGAIN : STEP_DONE;
}

static void wait_until(struct pop *p, actor_step *look)
{
	struct world *w = net_world(p->links.net);

	w->actor_join(w, w->actor_start(w, "pop-wait", look, p));
}

void pop_unlisten(struct pop *p, const struct endpoint *e)
{
	struct listening *l = listening_find(p, e);

	if (!l)
		return;
	shut(p, l);
	wait_until(p, look_for_posts);
}

/* ---- shutdown */

static void grace_over(struct timer *t)
{
	struct core *c = CONTAINER_OF(t, struct core, grace);

	LIST_FOR(at, &c->sessions)
		pop_session_cut(LIST_ENTRY(at, struct session, in_core));
}

static void stop_core(struct post *p)
{
	struct core *c = CONTAINER_OF(p, struct core, stop);

	c->stopping = true;
	LIST_FOR(at, &c->sessions)
		pop_session_stop(LIST_ENTRY(at, struct session, in_core));
	timer_set(&c->grace, loop_now() + c->pop->grace_ns);
	atomic_fetch_sub(&c->pop->posts, 1);
}

static void forget_grace(struct post *p)
{
	struct core *c = CONTAINER_OF(p, struct core, stop);

	timer_clear(&c->grace);
	atomic_fetch_sub(&c->pop->posts, 1);
}

static void post_to_all(struct pop *p, void (*fn)(struct post *))
{
	for (unsigned i = 0; i < p->cores_n; i++) {
		atomic_fetch_add(&p->posts, 1);
		loop_post(p->cores[i].loop, &p->cores[i].stop, fn);
	}
}

void pop_stop(struct pop *p, uint64_t grace_ns)
{
	LIST_FOR(at, &p->listenings)
		shut(p, LIST_ENTRY(at, struct listening, in_pop));
	p->grace_ns = grace_ns;
	post_to_all(p, stop_core);
	wait_until(p, look_for_all);
	post_to_all(p, forget_grace);
	wait_until(p, look_for_posts);
}
