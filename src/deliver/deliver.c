/*
 * deliver - the service: starts slots where schedule/ wants them, and ends them. See deliver.h.
 *
 * A slot is one task: it finds out whose the destination's exchangers are, asks the destination's
 * home for a job, attempts it (attempt.c), reports and asks again, until there is none. Its
 * connection stays with it from job to job and goes to the core's pool when it ends.
 */
#include "deliver/service.h"

#include "base/mem.h"

#include <stdatomic.h>

#define FLIGHT_MAX (256 * 1024)	/* octets of commands: 100 of at most 2 KiB */
#define DOT_TIMEOUT_NS (600 * SECOND)
#define HTTPS_PORT 443
#define FETCH_MS 60000		/* RFC 8461 3.3: a minute */
#define STOP_LOOK_MS 5
#define STOP_AGAIN_MS 10	/* before a task for the farewell is tried again */

/* What is remembered of policies and for reports lies in the state folder. */
static void verify_begin(struct deliver *d)
{
	struct config *c = config_current();
	const struct sts_options o = { .state = c ? c->state : NULL, .port = HTTPS_PORT,
				       .timeout_ms = FETCH_MS };

	d->sts = sts_new(net_world(d->net), &o);
	d->tlsrpt = tlsrpt_new(d->net, d->spool, d->dns, c ? c->state : NULL);
	config_unref(c);
}

struct deliver *deliver_new(struct net *n, struct spool *s, struct bounce *b)
{
	struct deliver *d = mem_zalloc(sizeof(*d));

	d->net = n;
	d->cores_n = net_workers(n);
	d->spool = s;
	d->bounce = b;
	d->dot_timeout_ns = DOT_TIMEOUT_NS;
	d->dns = dns_new(n);
	d->health = health_new();
	verify_begin(d);
	d->cores = mem_calloc(d->cores_n, sizeof(*d->cores));
	for (unsigned i = 0; i < d->cores_n; i++) {
		d->cores[i].deliver = d;
		d->cores[i].loop = net_loop(n, i);
		task_group_init(&d->cores[i].slots);
		pool_init(&d->cores[i].pool);
	}
	return d;
}

/* ---- connections that others wait for */

static void on_reclaim(struct post *p)
{
	struct core *core = CONTAINER_OF(p, struct core, reclaim);

	atomic_store(&core->reclaim_posted, false);
	pool_reclaim(&core->pool);
}

/* Any thread, under the limits' lock. */
static void reclaim(void *arg)
{
	struct deliver *d = arg;

	for (unsigned i = 0; i < d->cores_n; i++)
		if (!atomic_exchange(&d->cores[i].reclaim_posted, true))
			loop_post(d->cores[i].loop, &d->cores[i].reclaim, on_reclaim);
}

void deliver_set_schedule(struct deliver *d, struct schedule *q)
{
	d->schedule = q;
	tlsrpt_set_schedule(d->tlsrpt, q);
	limits_set_reclaim(schedule_limits(q), reclaim, d);
}

void deliver_free(struct deliver *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->cores_n; i++) {
		pool_done(&d->cores[i].pool);
		own_done(&d->cores[i].own);
	}
	mem_free(d->cores);
	health_free(d->health);
	tlsrpt_free(d->tlsrpt);
	sts_free(d->sts);
	dns_free(d->dns);
	mem_free(d);
}

struct dns *deliver_dns(struct deliver *d)
{
	return d->dns;
}

/* ---- slots */

/* If there is nothing more to do its connection goes to the pool: the home counts on that. */
static void ask(struct delivery *v) SUSPENDS
{
	struct client *c;

	attempt_find_provider(v);
	c = v->client;
	v->slot.spent = c && !client_may_go_on(c);
	v->slot.leaves_idle = c && !c->broken && c->way && c->way == v->slot.way &&
			      client_may_go_on(c) && v->route && v->route->idle_ns;
	schedule_turn(v->deliver->schedule, &v->slot);
	if (c && !v->slot.job)
		c->counted = v->slot.leaves_idle;
}

static void slot_run(void *arg)
{
	struct delivery *v = arg;

	ask(v);
	while (v->slot.job) {
		attempt(v, v->slot.job);
		v->slot.finished = v->slot.job;
		ask(v);
	}
	attempt_release(v);
	config_unref(v->config);
	buf_done(&v->flight);
	mem_free(v);
}

bool deliver_slot_start(void *deliver, struct destination *destination)
{
	struct deliver *d = deliver;
	struct core *core = &d->cores[loop_index(loop_self())];
	struct delivery *v;

	if (core->stopping)
		return false;
	v = mem_zalloc(sizeof(*v));
	v->deliver = d;
	v->core = core;
	v->slot.destination = destination;
	v->flight = BUF_INIT(FLIGHT_MAX);
	if (task_start(&core->slots, slot_run, v, "deliver"))
		return true;
	mem_free(v);
	return false;
}

/*
 * ---- stop: each core ends its slots, then its pool. The caller waits in the join of an actor that
 * looks now and then, as that works in every world, and nobody has to wake an actor that may be
 * gone already.
 */

struct stop {
	struct deliver *deliver;
	_Atomic unsigned left;
	uint64_t grace_ns;
};

struct core_stop {
	struct post post;
	struct timer again;
	struct stop *stop;
	struct core *core;
};

static void core_stop_run(void *arg)
{
	struct core_stop *s = arg;
	struct stop *stop = s->stop;

	if (task_group_wait(&s->core->slots, deadline_in(stop->grace_ns)) < 0) {
		task_group_cancel(&s->core->slots);
		task_group_wait(&s->core->slots, NEVER);
	}
	tlsrpt_end(stop->deliver->tlsrpt);
	pool_close(&s->core->pool);
	dns_wait(stop->deliver->dns);
	mem_free(s);
	atomic_fetch_sub(&stop->left, 1);
}

static void core_stop_start(struct timer *t)
{
	struct core_stop *s = CONTAINER_OF(t, struct core_stop, again);

	s->core->stopping = true;
	if (!task_start(NULL, core_stop_run, s, "deliver-stop"))
		timer_set(t, in_ms(STOP_AGAIN_MS));
}

static void on_stop(struct post *p)
{
	struct core_stop *s = CONTAINER_OF(p, struct core_stop, post);

	timer_init(&s->again, core_stop_start);
	core_stop_start(&s->again);
}

static int64_t stop_step(void *arg)
{
	struct stop *s = arg;

	return atomic_load(&s->left) ? (int64_t)(STOP_LOOK_MS * MILLISECOND) : STEP_DONE;
}

void deliver_stop(struct deliver *d, uint64_t grace_ns)
{
	struct world *w = net_world(d->net);
	struct stop stop = { .deliver = d, .left = d->cores_n, .grace_ns = grace_ns };
	struct actor *actor = w->actor_start(w, "deliver-stop", stop_step, &stop);

	sts_stop(d->sts);
	tlsrpt_stop(d->tlsrpt);
	/* Or each slot would take one job after the other, and be cut in the middle of the last. */
	if (d->schedule) {
		schedule_stop(d->schedule);
		limits_set_reclaim(schedule_limits(d->schedule), NULL, NULL);
	}
	for (unsigned i = 0; i < d->cores_n; i++) {
		struct core_stop *s = mem_zalloc(sizeof(*s));

		s->stop = &stop;
		s->core = &d->cores[i];
		loop_post(s->core->loop, &s->post, on_stop);
	}
	w->actor_join(w, actor);
}
