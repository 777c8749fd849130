/*
 * sim_node - one relay of the simulated world: put together as run/worker.c does it, without the
 * supervisor.
 *
 * Its main thread is an actor with a stack of its own. A death takes effect in the middle of
 * whatever the node does: from then on no call of it has an effect, its actors are never stepped
 * again, what they held is leaked. The next life begins on the disk that is left.
 *
 * Not in here: the listening sockets that a supervisor would keep open, the page of crash notes,
 * the control socket.
 */
#include "bounce/bounce.h"
#include "deliver/deliver.h"
#include "receive/receive.h"
#include "report/log.h"
#include "schedule/schedule.h"
#include "sim/internet.h"
#include "spool/spool.h"

#define WORKERS_MAX 3
#define POOL 2
#define GRACE_S 10

struct node *nodes[NODES_MAX];
unsigned nodes_n;

struct node *node_of(struct world *w)
{
	return CONTAINER_OF(w, struct node, world);
}

bool node_call(struct node *n)
{
	if (n->dead)
		return false;
	sim.external += sim.faulty;
	if (sim.die_at && sim.external >= sim.die_at) {
		n->power = sim.die_power;
		sim.die_at = 0;
		n->dead = true;
	}
	if (n->calls_left && --n->calls_left == 0)
		n->dead = true;
	if (n->dead)
		sim_say("%s dies here%s", n->name, n->power ? ", with its machine" : "");
	return !n->dead;
}

/* What that call may say. */
static int draw_error(enum disk_call kind)
{
	static const int disk[] = { EIO, ENOSPC, EDQUOT, EINTR };
	static const int accept[] = { ECONNABORTED, EMFILE, ENFILE, ENOBUFS };
	static const int connect[] = { EMFILE, ENOBUFS, EADDRNOTAVAIL, ENETUNREACH };
	static const int poll_add[] = { ENOMEM, ENOSPC };

	switch (kind) {
	case CALL_ACCEPT:
		return accept[sim_below(4)];
	case CALL_CONNECT:
		return connect[sim_below(4)];
	case CALL_POLL_ADD:
		return poll_add[sim_below(2)];
	case CALL_LISTEN:
		return EADDRINUSE;
	case CALL_RECV:
	case CALL_SEND:
	case CALL_SHUTDOWN:
		return ECONNRESET;
	default:
		return disk[sim_below(4)];
	}
}

int node_fault(struct node *n, enum disk_call kind)
{
	int error = 0;

	if (n->dead || n->stopped)
		return 0;
	sim.calls[kind] += sim.faulty;
	if (sim.nth_kind == (int)kind && sim.calls[kind] == sim.nth && sim.nth_error != NTH_HALF)
		error = sim.nth_error ? sim.nth_error : draw_error(kind);
	else if (sim_fault(sim.faults.disk[kind]))
		error = draw_error(kind);
	if (error && kind >= CALL_LISTEN)
		sim_say("%s network call %d fails: %s", n->name, (int)kind, strerror(error));
	return -error;
}

/* ---- a life */

struct found {
	struct node *node;
	struct message *at[4096];
	unsigned n;
};

static void on_found(void *arg, struct message *m)
{
	struct found *f = arg;

	assert(f->n < sizeof(f->at) / sizeof(f->at[0]));
	f->at[f->n++] = message_ref(m);
}

static void on_spool_event(void *arg, enum spool_event kind, const char *text)
{
	static const char *const names[] = { "recovered", "damage", "poisoned", "full", "room",
					     "failed" };
	struct node *n = arg;

	sim_say("%s spool %s: %s", n->name, names[kind], text);
	/* The worst moment is right after something went wrong. */
	if (kind == SPOOL_EVENT_POISONED && sim_fault(sim.faults.poison))
		node_die_soon(n, sim_below(sim_chance(500) ? 6 : 40),
			      sim_chance(sim.faults.power));
	sim.counts.poisoned += kind == SPOOL_EVENT_POISONED;
	sim.counts.full += kind == SPOOL_EVENT_FULL;
	sim.damage_reports += kind == SPOOL_EVENT_DAMAGE;
	/* A read that fails is told as well; what was there is read another time. */
	if (kind == SPOOL_EVENT_DAMAGE && !sim.disk_lied && !sim.faults.disk[CALL_READ] &&
	    !sim.faults.short_write && !sim.faults.bad_periods &&
	    (sim.nth_kind < 0 || sim.nth_error == NTH_HALF))
		sim_fail("%s reports damage that nobody did: %s", n->name, text);
}

static int open_spool(struct node *n, struct found *found)
{
	char path[64];
	const struct spool_options o = {
		.path = path,
		.size_max = n->config->queue.size_max,
		.free_min = n->config->queue.free_min,
		.arriving_memory_max = n->config->message.memory,
		.waiting_memory_max = n->config->queue.memory,
		.recipients_max = n->config->queue.recipients_max,
		.lock_wait_ns = SECOND,
		.segment_size = 1 << 20,
		.event = on_spool_event,
		.event_arg = n,
	};
	struct spool_recovery recovery = { 0 };
	struct buf error = BUF_INIT(2048);
	int r;

	snprintf(path, sizeof(path), "%s/spool", n->config->state);
	r = spool_open(n->net, &o, on_found, found, &n->spool, &recovery, &error);
	if (r < 0)
		sim_say("%s cannot open its spool: %s", n->name, buf_cstr(&error));
	else
		sim_say("%s opens with %llu messages, %llu torn, %llu damaged", n->name,
			(unsigned long long)recovery.messages,
			(unsigned long long)recovery.torn_batches,
			(unsigned long long)recovery.damaged_records);
	buf_done(&error);
	sim.counts.recovered += (unsigned)recovery.messages;
	sim.counts.torn += (unsigned)recovery.torn_batches;
	sim.counts.damaged += (unsigned)recovery.damaged_records;
	return r;
}

static void make_layers(struct node *n)
{
	struct upcalls up = { .slot_start = deliver_slot_start, .deadline = bounce_deadline };

	up.bounce = n->bounce = bounce_new(n->net, n->spool);
	up.deliver = n->deliver = deliver_new(n->net, n->spool, n->bounce);
	n->schedule = schedule_new(n->net, n->spool, &up, n->config->state);
	bounce_set_schedule(n->bounce, n->schedule);
	deliver_set_schedule(n->deliver, n->schedule);
	n->receive = receive_new(n->net, n->spool, n->schedule);
}

static void on_restart(struct event *e)
{
	struct node *n = e->p;

	n->restarting = false;
	node_start(n);
}

static void restart_later(struct node *n)
{
	n->restarting = true;
	sim_at(sim.now + sim_between(1, 20000) * MILLISECOND, on_restart, n, 0);
}

/* It could not start: as if the process had ended. */
static void give_up(struct node *n)
{
	n->dead = true;
	n->power = false;
	fiber_stop();
}

/* A broken world: nobody knows any more what was spent. */
static void forget_limits(struct node *n)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/limits", n->config->state);
	n->world.disk_unlink(&n->world, AT_FDCWD, path, false);
}

static void begin(struct node *n)
{
	struct found *found = mem_zalloc(sizeof(*found));
	const struct endpoint *at = &n->config->listens[0].endpoint;
	uint64_t started = sim.now;

	if (sim.breakage == BREAK_MEMORY)
		forget_limits(n);
	n->net = net_new(&n->world, (unsigned)sim_between(1, WORKERS_MAX), POOL);
	net_start(n->net);
	log_open(n->net, n->config);
	if (open_spool(n, found) < 0)
		give_up(n);
	make_layers(n);
	/* A file of suspensions that cannot be read is told, and then nothing is suspended. */
	if (sim.flips_done || disk_trouble_at(n->disk) > started)
		operator_forget(n);
	for (unsigned i = 0; i < found->n; i++) {
		schedule_add(n->schedule, found->at[i]);
		message_unref(found->at[i]);
	}
	mem_free(found);
	n->listening = n->world.sock_listen(&n->world, at, 128);
	if (n->listening < 0 || receive_listen(n->receive, n->listening, at) < 0)
		give_up(n);
	n->running = true;
	sim_say("%s is up", n->name);
}

static void count_swept(struct node *n)
{
	struct spool_stats stats;

	if (!n->running)
		return;
	spool_stats(n->spool, &stats);
	sim.counts.swept += (unsigned)stats.swept_messages;
}

static void note_death(struct node *n)
{
	if (n->deaths_n < DEATHS_MAX)
		n->deaths[n->deaths_n++] = sim.now;
}

/* As worker_end and worker_free. */
static void finish(struct node *n)
{
	uint64_t trouble;

	count_swept(n);
	while (n->operated)
		fiber_sleep(100 * MILLISECOND);
	n->running = false;
	sim_say("%s stops", n->name);
	receive_stop(n->receive, GRACE_S * SECOND);
	deliver_stop(n->deliver, GRACE_S * SECOND);
	bounce_stop(n->bounce);
	spool_close(n->spool);
	net_stop(n->net);
	receive_free(n->receive);
	deliver_free(n->deliver);
	schedule_free(n->schedule);
	limits_stopped(n);
	bounce_free(n->bounce);
	n->world.sock_close(&n->world, n->listening);
	n->stopped = true;
	trouble = disk_trouble_at(n->disk);
	/* What it could not write in all its grace is as lost as by a death. */
	if (trouble && trouble + 2 * GRACE_S * SECOND > sim.now)
		note_death(n);
	sim_say("%s has stopped", n->name);
}

static int64_t main_step(void *arg)
{
	struct node *n = arg;

	begin(n);
	while (!n->stopping)
		fiber_sleep(UINT64_MAX);
	finish(n);
	return STEP_DONE;
}

void node_start(struct node *n)
{
	sim_say("%s starts", n->name);
	n->incarnation++;
	n->dead = n->running = n->stopping = n->stopped = false;
	n->operated = n->relented = false;
	n->calls_left = 0;
	n->net = NULL;
	n->spool = NULL;
	n->main = actor_new(n, "main", main_step, n);
	if (n->incarnation > 1 && sim.faults.crashes && sim_fault(150))
		node_die_soon(n, sim_below(150), sim_chance(sim.faults.power));
}

void node_stop(struct node *n)
{
	n->stopping = true;
	n->main->due = sim.now;
}

void node_die_soon(struct node *n, uint64_t calls, bool power)
{
	if (n->dead || n->stopped)
		return;
	n->calls_left = calls + 1;
	n->power = power;
}

/* What is left of a dead one is cleared away. */
void node_reap(struct node *n)
{
	sim_say("%s is dead", n->name);
	note_death(n);
	count_swept(n);
	n->running = false;
	actors_kill(n);
	zone_forget(n);
	limits_died(n, sim.faults.jumps || sim.faults.slow_disk || disk_trouble_at(n->disk));
	net_close_all(n, n->power);
	disk_close_all(n);
	if (n->power)
		disk_lose_power(n->disk);
	else if (sim_fault(sim.faults.flips))
		disk_flip(n->disk);
	restart_later(n);
}

static struct config *config_of(const char *name, const char *text)
{
	struct config_source source = { .path = name, .text = text, .text_n = strlen(text),
					.strict = true, .is_alone = true, .host_name = name };
	struct buf messages = BUF_INIT(64 * 1024);
	unsigned errors = 0, warnings = 0;
	struct config *c = config_load_from(&source, &messages, &errors, &warnings);

	if (!c) {
		fprintf(stderr, "%s", buf_cstr(&messages));
		abort();
	}
	buf_done(&messages);
	return c;
}

struct node *node_new(const char *name, const char *config_text, uint64_t disk_octets)
{
	struct node *n = mem_zalloc(sizeof(*n));

	n->index = nodes_n;
	n->name = name;
	n->config = config_of(name, config_text);
	n->disk = disk_new(disk_octets, n->config->state + 1);
	sim_fill_world(&n->world);
	disk_fill_world(&n->world);
	net_fill_world(&n->world);
	zone_fill_world(&n->world);
	nodes[nodes_n++] = n;
	return n;
}

static void count_one(void *arg, struct message *m)
{
	(void)m;
	++*(uint64_t *)arg;
}

uint64_t node_messages(struct node *n)
{
	uint64_t left = 0;

	if (!n->running)
		return UINT64_MAX;
	spool_each(n->spool, count_one, &left);
	return left;
}
