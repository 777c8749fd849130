/*
 * rig - what the tests of schedule/ share: a relay's loops in virtual time (stepped.h), a
 * configuration of a few routes, and slots and settlers that do as a test tells them.
 *
 * Between two steps everything stands still, so the invariants of all homes can be checked after
 * each (schedule_check). Tasks use CHECK, which aborts: cmocka's asserts may only jump on the main
 * stack.
 */
#ifndef UNIT_SCHEDULE_RIG_H
#define UNIT_SCHEDULE_RIG_H

#include "base/buf.h"
#include "base/mem.h"
#include "schedule/home.h"
#include "unit/net/stepped.h"

#define ROUTES 5
#define SLOTS 2048		/* of the relay */

#define CHECK(condition) check_at(condition, #condition, __FILE__, __LINE__)

static inline void check_at(bool ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	abort();
}

struct rig {
	struct net *net;
	struct schedule *schedule;
	/* of the next configuration: more statements, more in each route, slots of the relay */
	const char *config_more, *route_more;
	unsigned connections_max;
	const char *state;
	/* by the last digit of the domain; NULL: nobody's */
	const struct name *providers[10];
	bool provider_unknown;		/* slots cannot tell */
	uint64_t resolve_ns;		/* how long slots take before they ask first */
	/* what slots do */
	uint64_t work_ns;		/* how long a job takes, at most */
	unsigned settle_percent, untried_percent, slots, slots_peak;
	bool down[ROUTES + 1];
	bool no_tasks;			/* slots cannot be started */
	bool random_work;
	/* new slots of a destination that has more: its host takes no more connections */
	unsigned refuse_above;
	unsigned slots_of[ROUTES + 1];	/* at work; the last: of all other routes */
	unsigned peak_of[ROUTES + 1];
	uint64_t jobs_done, downs, deadlines, final;
	void (*job_hook)(const struct job *j);	/* NULL: none */
	void (*work_hook)(struct slot *slot);	/* likewise: changes what the slot reports */
};

static struct rig rig;

/* The invariants, after every step; off where it would cost too much. */
static bool rig_unchecked;

bool limits_check(struct limits *l);	/* of gate.h, whose names are too common for here */

static void rig_check(void)
{
	if (rig_unchecked || !rig.schedule)
		return;
	assert_true(schedule_check(rig.schedule));
	assert_true(limits_check(schedule_limits(rig.schedule)));
}

/* ---- slots and settlers */

static inline unsigned rig_route(const struct destination *d)
{
	unsigned digit = (unsigned)(destination_route(d).p[1] - '0');

	return digit < ROUTES ? digit : ROUTES;
}

static inline unsigned rig_finish(struct job *j, unsigned percent)
{
	struct message *m = j->message;
	unsigned open = 0;

	message_lock(m);
	for (uint32_t i = 0; i < j->recipients_n; i++) {
		struct recipient *r = &m->recipients[j->recipients[i]];

		if (r->state != RECIPIENT_QUEUED)
			continue;
		if (stepped_random(100) < percent) {
			r->state = RECIPIENT_RELAYED;
			m->open_n--;
			rig.final++;
		} else {
			open++;
		}
	}
	message_unlock(m);
	return open;
}

static inline void rig_work(struct slot *slot, bool first)
{
	struct job *j = slot->job;
	unsigned route = rig_route(slot->destination);
	bool down;

	if (rig.job_hook)
		rig.job_hook(j);
	CHECK(slot->way && slot->permit);
	CHECK(j->recipients_n <= JOB_RECIPIENTS_MAX);
	down = rig.down[route] ||
	       (first && rig.refuse_above && rig.slots_of[route] > rig.refuse_above);
	task_sleep_until(loop_now() +
			 (rig.random_work ? stepped_random(rig.work_ns + 1) : rig.work_ns));
	slot->finished = j;
	slot->learnt = DESTINATION_WORKS;
	slot->result = JOB_UNTRIED;
	if (down) {
		slot->learnt = DESTINATION_DOWN;
		str_copy(slot->said, sizeof(slot->said), STR("nobody there"));
		rig.downs++;
		return;
	}
	if (stepped_random(100) < rig.untried_percent) {
		slot->learnt = DESTINATION_UNKNOWN;
		return;
	}
	rig.jobs_done++;
	slot->result = rig_finish(j, rig.settle_percent) ? JOB_DEFERRED : JOB_SETTLED;
	slot->next_ms = loop_wall_ms() + 1000 + (int64_t)stepped_random(100000);
	if (rig.work_hook)
		rig.work_hook(slot);
}

/* What a resolver would find out. */
static inline void rig_resolve(struct slot *slot)
{
	struct str domain = destination_domain(slot->destination);

	slot->knows_provider = domain.n && !rig.provider_unknown;
	slot->provider = domain.n > 1 && ascii_is_digit(domain.p[1]) ?
				 rig.providers[domain.p[1] - '0'] : NULL;
}

static void rig_slot_run(void *arg)
{
	struct slot *slot = arg;
	unsigned route = rig_route(slot->destination);

	rig_resolve(slot);
	if (rig.resolve_ns)
		task_sleep_until(loop_now() + rig.resolve_ns);
	schedule_turn(rig.schedule, slot);
	for (bool first = true; slot->job; first = false) {
		if (++rig.slots > rig.slots_peak)
			rig.slots_peak = rig.slots;
		if (++rig.slots_of[route] > rig.peak_of[route])
			rig.peak_of[route] = rig.slots_of[route];
		rig_work(slot, first);
		rig.slots--;
		rig.slots_of[route]--;
		schedule_turn(rig.schedule, slot);
	}
	CHECK(!slot->way && !slot->permit);
	mem_free(slot);
}

static bool rig_slot_start(void *arg, struct destination *d)
{
	struct slot *slot;

	(void)arg;
	if (rig.no_tasks)
		return false;
	slot = mem_zalloc(sizeof(*slot));
	slot->destination = d;
	return task_start(NULL, rig_slot_run, slot, "slot");
}

static void rig_settle_run(void *arg)
{
	struct job *j = arg;

	task_sleep_until(loop_now() + stepped_random(5 * SECOND));
	message_lock(j->message);
	for (uint32_t i = 0; i < j->recipients_n; i++)
		j->message->recipients[j->recipients[i]].warned = 1;
	message_unlock(j->message);
	if (loop_wall_ms() >=
	    deadline_give_up_ms(home_config(j->destination->home), NULL, j->message))
		rig_finish(j, 100);
	schedule_settled(rig.schedule, j);
}

static void rig_deadline(void *arg, struct job *j)
{
	(void)arg;
	rig.deadlines++;
	CHECK(task_start(NULL, rig_settle_run, j, "settle"));
}

/* ---- the whole */

static const unsigned rig_slots_max[ROUTES] = { 1, 2, 5, 20, 4000 };

/*
 * Routes r0 to r4, fewer if so asked; mx. Built from text as any configuration is, so that limits,
 * sources and providers are the real ones.
 */
static inline struct config *rig_config(unsigned routes)
{
	struct buf text = BUF_INIT(65536), messages = BUF_INIT(65536);
	struct config_source source = { .path = "rig.conf", .is_alone = true,
					.host_name = "relay.example" };
	unsigned errors, warnings;
	struct config *c;

	buf_printf(&text,
		   "version 1\n"
		   "queue {\nretry 1m 5m 1h; warn_after 4h; give_up_after 120h\n"
		   "bounce_give_up_after 24h; connections_max %u\n}\n"
		   "accept from local to any via mx\n%s",
		   rig.connections_max ? rig.connections_max : SLOTS,
		   rig.config_more ? rig.config_more : "");
	for (unsigned i = 0; i < routes; i++)
		buf_printf(&text, "route r%u { host 127.0.0.1; connections %u; %s }\n", i,
			   rig_slots_max[i], rig.route_more ? rig.route_more : "");
	source.text = text.p;
	source.text_n = text.n;
	c = config_load_from(&source, &messages, &errors, &warnings);
	if (!c)
		fail_msg("%s\n%s", buf_cstr(&text), buf_cstr(&messages));
	buf_done(&text);
	buf_done(&messages);
	return c;
}

static const char *rig_state;	/* the folder of what is kept, for the next rig_open */

static inline void rig_open(unsigned workers)
{
	static const struct upcalls up = { .slot_start = rig_slot_start, .deadline = rig_deadline };

	rig = (struct rig){ .settle_percent = 100, .state = rig_state };
	stepped_init(1700000000000, rig_check);
	config_set_current(rig_config(ROUTES));
	rig.net = net_new(&stepped.world, workers, 0);
	rig.schedule = schedule_new(rig.net, NULL, &up, rig.state);
	net_start(rig.net);
	stepped_run(0);
}

static inline void rig_close(void)
{
	schedule_stop(rig.schedule);
	stepped_run(HOUR);
	assert_int_equal(rig.slots, 0);
	net_stop(rig.net);
	schedule_free(rig.schedule);
	config_set_current(NULL);
}

/* After the fields that the configuration is made from were set. */
static inline void rig_reconfigure(unsigned routes)
{
	config_set_current(rig_config(routes));
	schedule_reload(rig.schedule);
	stepped_run(0);
}

/* A message with n recipients, to the routes named by their digits in turn: "0", "123". Counted. */
static inline struct message *rig_message(uint32_t n, const char *routes)
{
	struct envelope_recipient *to = mem_calloc(n, sizeof(*to));
	struct envelope e = {.sender = STR("a@b.example"),
			     .arrived_ms = stepped_wall(NULL),
			     .recipients = to,
			     .recipients_n = n};
	static const char *const names[] = {"r0", "r1", "r2", "r3", "r4",
					    "r5", "mx", "mx", "mx", "mx"};
	char address[10][32];
	struct message *m;

	for (uint32_t i = 0; i < n; i++) {
		char digit = routes[i % strlen(routes)];

		snprintf(address[digit - '0'], 32, "u@d%c.example", digit);
		to[i].address = str_of(address[digit - '0']);
		to[i].route = str_of(names[digit - '0']);
	}
	m = message_new(&e, NULL);
	mem_free(to);
	return m;
}

static inline bool rig_is_done(const struct message *m)
{
	return atomic_load(&m->jobs_n) == 0;
}

/* A command as the control socket gives it: from a task. */
struct rig_call {
	struct post post;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void rig_call_run(void *arg)
{
	struct rig_call *c = arg;

	c->fn(c->arg);
	c->done = true;
}

static void rig_call_post(struct post *p)
{
	CHECK(task_start(NULL, rig_call_run, CONTAINER_OF(p, struct rig_call, post), "call"));
}

static inline void rig_call(void (*fn)(void *arg), void *arg)
{
	struct rig_call c = { .fn = fn, .arg = arg };

	loop_post(net_loop(rig.net, 0), &c.post, rig_call_post);
	while (!c.done)
		stepped_on();
}

static inline void rig_set_flags(struct message *m, uint8_t flags)
{
	message_lock(m);
	m->flags = flags;
	message_unlock(m);
}

#endif
