/*
 * receive - the service: listening addresses, admission, which loop a connection goes to,
 * shutdown.
 *
 * A listening socket is watched by every loop. The loop that accepts a connection counts it,
 * refuses it with 421 if its address has too many, and hands it to the loop with the fewest
 * sessions if that has clearly fewer than itself: handing over costs a wake-up of another core, so
 * two sessions' difference is let be. There the session becomes a task (session.c).
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

#define HAND_OVER_MARGIN 2	/* sessions */

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

static void accepted(struct door *d, int fd, const struct endpoint *peer);
static void cannot_accept(const struct endpoint *e, int error);
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
	r->doors = (struct doors){
		.net = n, .name = "receive-wait", .address_size = sizeof(struct listening),
		.accepted = accepted, .failed = cannot_accept,
	};
	doors_init(&r->doors);
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
	if (!r)
		return;
	doors_done(&r->doors);
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
	return atomic_load_explicit(&r->doors.live, memory_order_relaxed);
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
	log_endpoint("listen", &l->at.endpoint);
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
	const struct config_listen *listen = session_settings(c, &l->at.endpoint);
	unsigned max = listen ? listen->connections_max : 0;

	config_unref(c);
	return max;
}

static void accepted(struct door *d, int fd, const struct endpoint *peer)
{
	const struct reply full = REPLY(421, 4, 3, 2, "Too many connections, try again later");
	struct receive *r = CONTAINER_OF(d->doors, struct receive, doors);
	struct listening *l = CONTAINER_OF(d->address, struct listening, at);
	struct reception *own = &r->receptions[d->loop], *to = fewest_sessions(own);

	atomic_fetch_add(&r->doors.live, 1);
	atomic_fetch_add(&to->sessions_n, 1);
	if (atomic_fetch_add(&l->sessions_n, 1) >= connections_max(l))
		turn_away(to, l, fd, peer, &full);
	else if (to == own)
		welcome(to, l, fd, peer);
	else
		hand_over(to, l, fd, peer);
}

void service_leave(struct reception *r, struct listening *l)
{
	struct receive *receive = r->receive;

	atomic_fetch_sub(&r->sessions_n, 1);
	atomic_fetch_sub(&l->sessions_n, 1);
	atomic_fetch_sub(&receive->doors.live, 1);
}

static void cannot_accept(const struct endpoint *e, int error)
{
	log_begin(LOG_WARNING);
	log_cstr("what", "a loop cannot accept connections");
	log_endpoint("listen", e);
	log_errno("error", error);
	log_end();
}

/* ---- addresses */

int receive_listen(struct receive *r, int fd, const struct endpoint *e)
{
	return doors_open(&r->doors, fd, e);
}

void receive_unlisten(struct receive *r, const struct endpoint *e)
{
	doors_shut(&r->doors, e);
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
	doors_posted(&r->receive->doors);
}

/* The timer belongs to the loop's heap: it is taken out there, before the struct is freed. */
static void forget_grace(struct post *p)
{
	struct reception *r = CONTAINER_OF(p, struct reception, stop);

	timer_clear(&r->grace);
	doors_posted(&r->receive->doors);
}

void receive_stop(struct receive *r, uint64_t grace_ns)
{
	struct post *first = &r->receptions[0].stop;

	doors_shut_all(&r->doors);
	r->grace_ns = grace_ns;
	doors_post_all(&r->doors, first, sizeof(r->receptions[0]), stop_loop);
	doors_wait(&r->doors, true);
	doors_post_all(&r->doors, first, sizeof(r->receptions[0]), forget_grace);
	doors_wait(&r->doors, false);
}
