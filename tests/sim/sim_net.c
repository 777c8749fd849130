/*
 * sim_net - connections between the relays, clients and sinks of the simulated world.
 *
 * What is sent travels as one or several events; per direction they arrive in order, between
 * connections in any. A connection may be refused or never answered; cut after any octet (what was
 * on its way is lost, both sides learn of a reset); stall for a while or for ever after any octet;
 * or have its octets arrive in small pieces. What is armed when a connection is made goes off only
 * while faults last.
 *
 * Clients and sinks use the functions here directly; relays go through sim_sock.c.
 */
#include "sim/sim.h"

static struct list ports;

void net_begin(void)
{
	list_init(&ports);
}

struct endpoint endpoint_of(const char *text)
{
	struct endpoint e = { 0 };

	if (!endpoint_parse(str_of(text), 25, &e))
		abort();
	return e;
}

/* ---- ports */

struct port *port_new(const struct endpoint *e)
{
	struct port *p = mem_zalloc(sizeof(*p));

	p->at = *e;
	list_push(&ports, &p->link);
	return p;
}

struct port *port_find(const struct endpoint *e)
{
	LIST_FOR(at, &ports) {
		struct port *p = LIST_ENTRY(at, struct port, link);

		if (!p->closed && endpoint_eq(&p->at, e))
			return p;
	}
	return NULL;
}

/* ---- telling */

static void tell(struct end *e, unsigned events)
{
	if (e->closed)
		return;
	if (e->node)
		socket_ready(e->socket, events);
	else if (e->ready)
		e->ready(e);
}

/* ---- connecting */

static struct end *end_new(const struct endpoint *at, struct node *n)
{
	struct end *e = mem_zalloc(sizeof(*e));

	e->at = *at;
	e->node = n;
	e->cut_after = e->stall_after = UINT64_MAX;
	e->latency = sim_between(50, 20000) * 1000;
	e->window = sim_chance(300) ? sim_between(512, 8192) : 128 * 1024;
	return e;
}

/* Small numbers are drawn most often: replies are short. */
static uint64_t draw_octets(void)
{
	return sim_below((uint64_t)1 << sim_between(3, 17));
}

static void arm(struct end *e)
{
	if (sim_fault(sim.faults.cut))
		e->cut_after = draw_octets();
	if (sim_fault(sim.faults.stall)) {
		e->stall_after = draw_octets();
		e->stall_ns = sim_chance(300) ? UINT64_MAX : sim_between(1, 900) * SECOND;
	}
}

static void on_established(struct event *ev)
{
	struct end *client = ev->p, *server;
	struct port *p = port_find(&client->other->at);

	server = client->other;
	if (client->closed)
		return;
	if (!p || p->waiting_n == sizeof(p->waiting) / sizeof(p->waiting[0])) {
		client->error = -ECONNREFUSED;
		tell(client, POLL_ERROR | POLL_WRITE | POLL_READ | POLL_END);
		return;
	}
	client->connected = server->connected = true;
	server->node = p->node;
	if (p->node) {
		p->waiting[p->waiting_n++] = server;
		socket_ready(p->socket, POLL_READ);
	} else {
		p->accepted(server, p->arg);
	}
	tell(client, POLL_WRITE);
}

static void on_refused(struct event *ev)
{
	struct end *e = ev->p;

	e->error = (int)-(int64_t)ev->n;
	tell(e, POLL_ERROR | POLL_WRITE | POLL_READ | POLL_END);
}

struct end *end_connect(const struct endpoint *from, const struct endpoint *to, struct node *n)
{
	struct end *client = end_new(from, n), *server = end_new(to, NULL);

	client->other = server;
	server->other = client;
	client->is_client = true;
	if (sim_fault(sim.faults.refuse)) {
		sim_at(sim.now + client->latency, on_refused, client, ECONNREFUSED);
	} else if (sim_fault(sim.faults.blackhole)) {
		sim_at(sim.now + 130 * SECOND, on_refused, client, ETIMEDOUT);
	} else {
		arm(client);
		arm(server);
		sim_at(sim.now + client->latency, on_established, client, 0);
	}
	return client;
}

/* ---- what travels */

static uint64_t arrival(struct end *e)
{
	uint64_t at = sim.now + e->latency + sim_below(e->latency / 4 + 1);

	if (at < e->last_arrival)
		at = e->last_arrival;
	e->last_arrival = at;
	return at;
}

static void on_reset(struct event *ev)
{
	struct end *e = ev->p;

	if (e->reset || e->closed)
		return;
	e->reset = true;
	if (sim_chance(500))
		e->in_at = e->in_n;	/* what was not read yet is gone */
	tell(e, POLL_READ | POLL_WRITE | POLL_ERROR | POLL_END);
}

static void on_arrival(struct event *ev)
{
	struct end *from = ev->p, *e = from->other;

	if (e->closed && !from->silent)
		sim_at(sim.now + e->latency, on_reset, from, 0);
	if (e->closed || e->reset || from->silent)
		return;
	if (e->in_at == e->in_n)
		e->in_at = e->in_n = 0;
	if (e->in_n + ev->n > e->in_size) {
		e->in_size = (e->in_n + ev->n) * 2;
		e->in = mem_realloc(e->in, e->in_size);
	}
	memcpy(e->in + e->in_n, ev->bytes, (size_t)ev->n);
	e->in_n += (size_t)ev->n;
	e->arrived += ev->n;
	tell(e, POLL_READ);
}

static void on_end(struct event *ev)
{
	struct end *from = ev->p, *e = from->other;

	if (e->closed || e->reset || from->silent)
		return;
	e->ended = true;
	tell(e, POLL_READ | POLL_END);
}

void end_reset(struct end *e)
{
	sim_at(sim.now, on_reset, e, 0);
	sim_at(arrival(e), on_reset, e->other, 0);
}

static void send_piece(struct end *e, const char *p, size_t n)
{
	struct event *ev = sim_at(arrival(e), on_arrival, e, n);

	ev->bytes = mem_dup(p, n);
}

/* In one piece, or in several. */
static void send_pieces(struct end *e, const char *p, size_t n)
{
	bool split = sim_fault(sim.faults.split);
	unsigned pieces = 0;

	while (n) {
		size_t now = split && pieces++ < 20 ? (size_t)sim_between(1, n < 60 ? n : 60) : n;

		send_piece(e, p, now);
		p += now;
		n -= now;
		if (n && split)
			e->last_arrival += sim_below(e->latency);
	}
}

static void stall(struct end *e)
{
	e->stall_after = UINT64_MAX;
	if (!sim.faulty)
		return;
	sim_say("a connection stalls");
	if (e->stall_ns == UINT64_MAX)
		e->silent = true;
	else
		e->last_arrival = sim.now + e->stall_ns;
}

void end_send(struct end *e, const void *p, size_t n)
{
	uint64_t left = e->cut_after > e->sent ? e->cut_after - e->sent : 0;
	bool cut = sim.faulty && n > left;

	if (e->reset || e->shut || e->closed)
		return;
	if (e->sent + n > e->stall_after)
		stall(e);
	if (cut)
		sim_say("a connection is cut");
	send_pieces(e, p, cut ? (size_t)left : n);
	e->sent += n;
	if (cut) {
		e->cut_after = UINT64_MAX;
		end_reset(e);
	}
}

size_t end_room(const struct end *e)
{
	uint64_t under_way = e->sent - e->other->read;

	if (e->other->closed || e->other->reset)
		return SIZE_MAX;	/* nobody reads, nothing fills */
	return under_way < e->window ? (size_t)(e->window - under_way) : 0;
}

static void on_room(struct event *ev)
{
	struct end *e = ev->p;

	if (e->wants_room && end_room(e)) {
		e->wants_room = false;
		tell(e, POLL_WRITE);
	}
}

static void add_mark(struct end *e)
{
	if (e->marks_n == e->marks_size) {
		e->marks_size = e->marks_size ? e->marks_size * 2 : 16;
		e->marks = mem_realloc(e->marks, e->marks_size * sizeof(*e->marks));
	}
	e->marks[e->marks_n++] = (struct reading){ e->read, sim.now };
}

uint64_t end_read_at(const struct end *e, uint64_t octets)
{
	for (size_t i = 0; i < e->marks_n; i++)
		if (e->marks[i].read >= octets)
			return e->marks[i].at;
	return UINT64_MAX;
}

size_t end_read(struct end *e, void *p, size_t n)
{
	size_t left = e->in_n - e->in_at;

	if (n > left)
		n = left;
	if (n)
		memcpy(p, e->in + e->in_at, n);
	e->in_at += n;
	e->read += n;
	if (n && e->node)
		add_mark(e);
	if (n && e->other->wants_room)
		sim_at(sim.now + e->latency, on_room, e->other, 0);
	return n;
}

void end_shut(struct end *e)
{
	if (e->shut || e->closed || e->reset)
		return;
	e->shut = true;
	sim_at(arrival(e), on_end, e, 0);
}

/* As a kernel does: octets that nobody will read make it a reset. */
void end_close(struct end *e)
{
	if (e->closed)
		return;
	if (e->connected && e->in_at < e->in_n)
		sim_at(arrival(e), on_reset, e->other, 0);
	else if (e->connected)
		end_shut(e);
	e->closed = true;
	if (e->other->wants_room)
		sim_at(sim.now + e->latency, on_room, e->other, 0);
}
