/*
 * pop - the service: listening addresses, admission, shutdown. See pop.h.
 *
 * A smaller sibling of receive/receive.c: a session stays on the loop that accepted it (logins are
 * short, nothing is gained by balancing them). At most POP_SESSIONS_MAX sessions, and
 * POP_PER_CLIENT_MAX of one address on a core; who is beyond hears so and is closed.
 */
#include "pop/service.h"

#include "base/mem.h"

static void accepted(struct door *d, int fd, const struct endpoint *peer);
static void cannot_accept(const struct endpoint *e, int error);
static void grace_over(struct timer *t);

struct pop *pop_new(const struct pop_links *links)
{
	struct pop *p = mem_zalloc(sizeof(*p));

	p->links = *links;
	p->doors = (struct doors){
		.net = links->net, .name = "pop-wait", .address_size = sizeof(struct door_address),
		.accepted = accepted, .failed = cannot_accept,
	};
	doors_init(&p->doors);
	p->cores = mem_calloc(net_workers(links->net), sizeof(*p->cores));
	for (unsigned i = 0; i < net_workers(links->net); i++) {
		p->cores[i].pop = p;
		p->cores[i].loop = net_loop(links->net, i);
		list_init(&p->cores[i].sessions);
		timer_init(&p->cores[i].grace, grace_over);
	}
	return p;
}

void pop_free(struct pop *p)
{
	if (!p)
		return;
	doors_done(&p->doors);
	mem_free(p->cores);
	mem_free(p);
}

unsigned pop_sessions(struct pop *p)
{
	return atomic_load_explicit(&p->doors.live, memory_order_relaxed);
}

/* ---- a connection comes in (outside tasks) */

void pop_leave(struct pop *p)
{
	atomic_fetch_sub(&p->doors.live, 1);
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
		n += ip_eq(&LIST_ENTRY(at, struct session, in_core)->client.ip, ip);
	return n;
}

static void accepted(struct door *d, int fd, const struct endpoint *peer)
{
	struct pop *p = CONTAINER_OF(d->doors, struct pop, doors);
	struct core *c = &p->cores[d->loop];

	if (atomic_fetch_add(&p->doors.live, 1) >= POP_SESSIONS_MAX ||
	    sessions_of(c, &peer->ip) >= POP_PER_CLIENT_MAX)
		turn_away(c, fd, STR("-ERR [SYS/TEMP] Too many connections\r\n"));
	else if (c->stopping || !pop_session_start(c, d->address, fd, peer))
		turn_away(c, fd, STR("-ERR [SYS/TEMP] The service is not available\r\n"));
}

static void cannot_accept(const struct endpoint *e, int error)
{
	log_begin(LOG_WARNING);
	log_cstr("what", "a loop cannot accept POP3 connections");
	log_endpoint("listen", e);
	log_errno("error", error);
	log_end();
}

/* ---- addresses */

int pop_listen(struct pop *p, int fd, const struct endpoint *e)
{
	return doors_open(&p->doors, fd, e);
}

void pop_unlisten(struct pop *p, const struct endpoint *e)
{
	doors_shut(&p->doors, e);
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
	doors_posted(&c->pop->doors);
}

static void forget_grace(struct post *p)
{
	struct core *c = CONTAINER_OF(p, struct core, stop);

	timer_clear(&c->grace);
	doors_posted(&c->pop->doors);
}

void pop_stop(struct pop *p, uint64_t grace_ns)
{
	doors_shut_all(&p->doors);
	p->grace_ns = grace_ns;
	doors_post_all(&p->doors, &p->cores[0].stop, sizeof(p->cores[0]), stop_core);
	doors_wait(&p->doors, true);
	doors_post_all(&p->doors, &p->cores[0].stop, sizeof(p->cores[0]), forget_grace);
	doors_wait(&p->doors, false);
}
