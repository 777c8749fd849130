/*
 * sim - what the files of the simulated world share.
 *
 * One process, one thread, one seed: whole relays (the production code, unchanged) and clients and
 * sinks (our own, independent of it) on a simulated disk and network in virtual time. Everything
 * that happens is drawn from the seed, so a seed is a test case. See docs/design/simulation.md.
 *
 *   sim_world.c   time, chance, actors and their stacks, events, the hash over all events
 *   sim_disk.c    a disk that keeps what is synced apart from what is not; sim_crash.c loses it
 *   sim_net.c     connections that are cut, stall, split; sim_sock.c: as the relay sees them
 *   sim_node.c    one relay: start, stop, death
 *   sim_log.c     the log's writer: lines go into the trace
 *   sim_client.c  clients, who know what was acknowledged
 *   sim_sink.c    sinks, who know what arrived
 *   internet.h    what is delivered to by MX: DNS, providers, limits
 *   sim_ledger.c  what must be true of both at the end
 *   sim_plan.c    what a seed does; sim.c and nth.c run plans
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "config/config.h"
#include "net/checkers.h"
#include "net/loop.h"
#include "net/switch.h"
#include "net/world.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#define NODES_MAX 2
#define SINKS_MAX 4
#define CLIENTS_MAX 4
#define DEATHS_MAX 8192
#define HOUR (3600 * SECOND)

/* ---- what may go wrong: chances in 1/1000 of each call, connection or message; 0: never */
enum disk_call {
	CALL_OPEN, CALL_READ, CALL_WRITE, CALL_DATASYNC, CALL_SYNC, CALL_ALLOCATE, CALL_TRUNCATE,
	CALL_STAT, CALL_RENAME, CALL_UNLINK, CALL_MKDIR, CALL_LIST, CALL_SPACE, CALL_LOCK,
	CALL_LISTEN, CALL_ACCEPT, CALL_CONNECT, CALL_RECV, CALL_SEND, CALL_POLL_ADD, CALL_SHUTDOWN,
	CALL_KINDS
};

enum breakage {			/* the test of the test: worlds in which promises cannot hold */
	BREAK_NOTHING,
	BREAK_EARLY,		/* the sync returns before it is done: a 250 before the sync */
	BREAK_DATASYNC,		/* fdatasync does nothing */
	BREAK_FOLDERS,		/* the sync of a folder does nothing */
	BREAK_DONE,		/* outcomes are recorded before the delivery */
	BREAK_RETRY,		/* a failed sync is tried again on the same file */
	/* ---- of these, relays are told other limits than they are held to */
	BREAK_LIMITS,		/* larger ones */
	BREAK_FAIRNESS,		/* one for all destinations together */
	BREAK_ROTATION,		/* there is no other source */
	BREAK_MEMORY,		/* what limits had counted is lost at every start */
	BREAK_CALM,		/* providers refuse where nobody should */
	BREAKS
};

struct faults {
	unsigned disk[CALL_KINDS];
	unsigned short_write, slow_disk;
	unsigned half_write;		/* short, and what is to follow on that file fails */
	unsigned refuse, blackhole, cut, stall, split;	/* connections */
	unsigned sink_drop, sink_4xx, sink_421;		/* what sinks do without being broken */
	unsigned crashes;		/* how many in the time of faults */
	unsigned poison;		/* of 1000 poisoned segments: their relay dies at once */
	unsigned power;			/* of 1000 crashes: the machine's, not the process's */
	unsigned dns;			/* questions that are not answered, or by SERVFAIL */
	unsigned jumps;			/* of the wall clock */
	unsigned stops;			/* clean shutdowns */
	unsigned orders;		/* of an operator */
	unsigned flips;			/* bits that turn over in what was synced */
	bool bad_periods;		/* minutes in which every write fails, or every call ... */
	bool bad_halves;		/* ... some after a part of it was written */
};

/* ---- the world */
struct node;
struct end;

struct event {
	uint64_t at, order;
	void (*fn)(struct event *);
	void *p;
	uint64_t n;
	char *bytes;		/* owned */
};

struct fiber {
	struct context context;
	char *low;
	size_t size;
#if FIBERS_ASAN
	void *fake_stack;
#endif
};

struct actor {			/* the type that net/world.h leaves open */
	struct list link;
	struct node *node;
	struct actor *joiner;
	char name[24];
	actor_step *step;
	void *arg;
	uint64_t due;		/* UINT64_MAX: when woken */
	bool woken, done, dead;
	bool in_call;		/* suspended within a step: a wake does not end that */
	bool on_main;		/* a loop: its steps do not suspend */
	struct fiber *fiber;	/* owned; NULL: not begun */
};

struct counts {			/* that what is to be tested did happen */
	unsigned poisoned, full, recovered, torn, swept, damaged;
	unsigned throttled, greylisted, passes, waits, asked;
};

#define NTH_HALF (-1)

struct sim {
	uint64_t seed, state, hash;
	uint64_t now, order, steps;
	int64_t wall_ms;
	uint64_t trace_from;
	bool trace;
	bool faulty;		/* the time of faults */
	struct faults faults;
	enum breakage breakage;
	unsigned clients, flips_done, damage_reports;
	bool disk_lied;		/* damage may be told though nothing is lost */
	struct counts counts;
	struct list actors;
	struct actor *current;
	struct fiber main;
	struct event **events;	/* a heap */
	size_t events_n, events_size;
	struct node *node_in_step;
	/* the N-th call of a kind fails, whatever the chances: see nth.c */
	int nth_kind;		/* -1: none */
	int nth_error;		/* NTH_HALF: a part of it is written, what is to follow fails */
	int nth_death;		/* ... and the relay dies so many calls later; -1: it lives on */
	uint64_t nth;
	uint64_t calls[CALL_KINDS];
	uint64_t external;	/* calls of relays that have effects, counted */
	uint64_t die_at;	/* a node dies at that one; 0: never */
	unsigned die_power;
	char failure[600];	/* the first one; empty: none */
};

extern struct sim sim;

uint64_t sim_random(void);
uint64_t sim_below(uint64_t n);			/* 0 .. n - 1; 0 for 0 */
uint64_t sim_between(uint64_t low, uint64_t high); /* both included */
bool sim_chance(unsigned per_mille);
bool sim_fault(unsigned per_mille);		/* the same, in the time of faults only */
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

void sim_begin(uint64_t seed);
void sim_fill_world(struct world *w);		/* clock, chance, actors */
/* Until done(arg), a failure, or that time. */
void sim_run(bool (*done)(void *arg), void *arg, uint64_t until);

struct event *sim_at(uint64_t at, void (*fn)(struct event *), void *p, uint64_t n);
struct actor *actor_new(struct node *n, const char *name, actor_step *step, void *arg);
void actor_wake_up(struct actor *a);
void actors_kill(struct node *n);
void fiber_sleep(uint64_t ns);			/* no effect on the main stack */
/* The current one never goes on; no effect on the main stack. */
void fiber_stop(void);
bool fiber_runs(void);

/* ---- disk */
struct disk;
struct inode;

struct disk *disk_new(uint64_t capacity, const char *state);
void disk_fill_world(struct world *w);
void disk_close_all(struct node *n);		/* descriptors of a dead process */
void disk_lose_power(struct disk *d);		/* what was not synced is lost, kept or torn */
void disk_flip(struct disk *d);			/* a bit of what was synced */
/*
 * Every write, or every write and read, fails from now on; 0: no more. halves: some writes do not
 * fail at once.
 */
void disk_set_bad(struct disk *d, int error, bool reads, bool halves);
unsigned disk_files(struct disk *d, const char *path);	/* names in a folder */
uint64_t disk_trouble_at(const struct disk *d);	/* when a call failed last; 0: never */

/* ---- network */
struct reading {
	uint64_t read, at;
};

struct end {
	struct end *other;
	struct reading *marks;		/* owned; a relay's: how much it had read when */
	size_t marks_n, marks_size;
	struct node *node;		/* a relay's; NULL: a client's or a sink's */
	struct endpoint at;		/* of this side */
	void (*ready)(struct end *);	/* a peer's: something arrived, or it ended */
	void *arg;			/* the peer's own */
	struct socket *socket;		/* the relay's */
	char *in;			/* arrived: [in_at, in_n) is unread */
	size_t in_at, in_n, in_size;
	uint64_t sent, arrived, read;	/* octets: handed in here; the other's: here, read */
	uint64_t last_arrival;		/* time of the last thing on its way to the other side */
	uint64_t cut_after, stall_after;	/* octets that may be sent before; or never */
	uint64_t stall_ns, latency, window;
	bool connected, ended, reset, closed, shut, wants_room, silent, is_client;
	int error;
};

struct port {			/* where somebody listens */
	struct list link;
	struct endpoint at;
	struct node *node;
	void (*accepted)(struct end *, void *arg);	/* a peer's */
	void *arg;
	struct end *waiting[64];
	unsigned waiting_n;
	bool closed;
	struct socket *socket;
};

void net_begin(void);
void net_fill_world(struct world *w);
void net_close_all(struct node *n, bool power);
struct port *port_new(const struct endpoint *e);
struct port *port_find(const struct endpoint *e);
struct end *end_connect(const struct endpoint *from, const struct endpoint *to, struct node *n);
void end_send(struct end *e, const void *p, size_t n);
size_t end_room(const struct end *e);
size_t end_read(struct end *e, void *p, size_t n);
uint64_t end_read_at(const struct end *e, uint64_t octets);	/* when; UINT64_MAX: not yet */
void end_close(struct end *e);
void end_shut(struct end *e);
void end_reset(struct end *e);			/* both sides learn of it */
void socket_ready(struct socket *s, unsigned events);	/* sim_sock.c */
struct endpoint endpoint_of(const char *text);

/* ---- nodes */
struct node {
	unsigned index;
	const char *name;
	struct world world;		/* first use of it tells whose call it is */
	struct disk *disk;
	struct config *config;
	struct actor *main;
	bool dead, running, stopping, stopped, restarting;
	unsigned incarnation;
	uint64_t calls_left;		/* until it dies; 0: it lives on */
	bool power;			/* it dies with the machine */
	int64_t clock_ms;		/* how wrong its clock is */
	uint64_t deaths[DEATHS_MAX];	/* when */
	unsigned deaths_n;
	bool operated;			/* an order is being carried out */
	bool relented;			/* the operator has nothing left to take back */
	bool damaged;			/* recovery or a reader said so */
	struct net *net;
	struct spool *spool;
	struct bounce *bounce;
	struct deliver *deliver;
	struct schedule *schedule;
	struct receive *receive;
	int listening;
};

extern struct node *nodes[NODES_MAX];
extern unsigned nodes_n;

struct node *node_of(struct world *w);
struct node *node_new(const char *name, const char *config_text, uint64_t disk_octets);
void node_start(struct node *n);
void node_stop(struct node *n);			/* cleanly; .stopped when it is done */
void node_die_soon(struct node *n, uint64_t calls, bool power);
void node_reap(struct node *n);
uint64_t node_messages(struct node *n);		/* in its spool */
/* A call with an effect outside begins; false: the relay is dead, the call must have none. */
bool node_call(struct node *n);
/* 0, or the error that this call is to have. */
int node_fault(struct node *n, enum disk_call kind);

/* ---- clients, sinks, ledger */
enum recipient_kind { KIND_OK, KIND_BAD, KIND_TMP, KIND_REJ, KINDS };

#define RECIPIENTS_MAX 4
#define ATTEMPTS_MAX 400

enum attempt_state {
	ATTEMPT_UNSENT,		/* its end was never read by the relay: nothing may come of it */
	ATTEMPT_UNKNOWN,	/* its end may have been read, no answer came */
	ATTEMPT_REFUSED,
	ATTEMPT_ACKED,
};

struct attempt {
	enum attempt_state state;
	struct buf content;		/* as sent, before dot stuffing */
	uint64_t began, answered;
	struct end *end;		/* the client's */
	uint64_t dot_at;		/* octets that the relay must have read; 0: not sent */
};

struct letter {
	unsigned number, client;
	bool null_sender, bare, eightbit;
	enum recipient_kind kinds[RECIPIENTS_MAX];
	int domain[RECIPIENTS_MAX];	/* of the internet; -1: one that goes to given hosts */
	bool hop[RECIPIENTS_MAX];	/* goes by way of the second relay */
	unsigned recipients_n;
	size_t size;
	struct attempt *attempts[ATTEMPTS_MAX];
	unsigned attempts_n;
	bool done;
};

struct delivery {
	unsigned letter, attempt, recipient;
	uint64_t began, accepted;
	struct end *relay;		/* the relay's side */
	uint64_t reply_end;		/* octets that it must have read to know the answer */
	unsigned node;
	bool is_notice, delayed;
	char id[80];			/* of a notice */
};

struct client;

void ledger_begin(void);
struct letter *ledger_letter(unsigned client);
struct letter *ledger_find(unsigned number);
unsigned ledger_letters(void);
bool ledger_is_done(void);		/* every client is through */
void ledger_recipient(char *dst, size_t size, const struct letter *l, unsigned attempt, unsigned i);
bool ledger_parse(struct str address, unsigned *letter, unsigned *attempt, unsigned *recipient,
		  enum recipient_kind *kind);
void ledger_delivery(const struct delivery *d, struct str content);
void ledger_check(void);
/*
 * How long letters with a recipient of those domains took from 250 to arrival at the most; domains:
 * a bit each.
 */
uint64_t ledger_slowest(unsigned domains);
void ledger_sum(unsigned *ret_acked, unsigned *ret_deliveries, unsigned *ret_notices);

struct client *client_new(const char *from, const struct endpoint *to);
/* Handed in at that time or later. What it is like is the caller's to fill in, before it is. */
struct letter *client_letter(struct client *c, uint64_t ready_at);
struct port *sink_new(const char *at);
void sink_trap(const char *at);		/* whoever connects to it is wrong */

/* ---- plans */
void plan_draw(void);			/* faults, nodes, clients, sinks by the seed */
void plan_fixed(void);			/* the scenario of nth.c */
void plan_run(void);			/* to the end, checks included */

#endif
