/*
 * status - destinations as people see them: relevo top, queue status, explain --destination.
 *
 * Snapshots made at the homes. All destinations are walked in pieces (reload.c), so the picture is
 * of each at its moment. What is called must not suspend; the calls of one question are serialised.
 */
#include "schedule/home.h"

int64_t wall_of(uint64_t at)
{
	return at > loop_now() ? loop_wall_ms() + (int64_t)((at - loop_now()) / MILLISECOND)
			       : loop_wall_ms();
}

const char *destination_status_name(enum destination_status s)
{
	static const char *const names[] = {
		[DESTINATION_IDLE] = "idle",	       [DESTINATION_BUSY] = "busy",
		[DESTINATION_RESTING] = "resting",     [DESTINATION_LIMITED] = "limited",
		[DESTINATION_SUSPENDED] = "suspended", [DESTINATION_QUEUED] = "queued",
	};

	return names[s];
}

/* The gravest first. A destination that works and stands in line for more is limited. */
static enum destination_status status_of(const struct destination *d)
{
	if (d->is_suspended)
		return DESTINATION_SUSPENDED;
	if (destination_is_resting(d))
		return DESTINATION_RESTING;
	if (d->waits)
		return DESTINATION_LIMITED;
	if (d->slots)
		return DESTINATION_BUSY;
	return d->want != WANT_NONE ? DESTINATION_QUEUED : DESTINATION_IDLE;
}

static void why_suspended(const struct destination *d, char *ret, size_t size)
{
	const struct suspension *x = destination_suspension(d);

	if (!x)
		snprintf(ret, size, "all its sources are suspended");
	else
		snprintf(ret, size, "%s %.60s is suspended%s%.60s", suspend_kind_name(x->kind),
			 x->name, x->why[0] ? ": " : "", x->why);
}

void destination_why(const struct destination *d, char *ret, size_t size)
{
	if (d->is_suspended)
		why_suspended(d, ret, size);
	else if (destination_is_resting(d) || !d->waits)
		str_copy(ret, size, str_of(d->said));
	else
		limit_waiter_describe(d->home->schedule->limits, &d->waiter, ret, size);
}

static void describe(const struct destination *d, struct destination_state *ret)
{
	*ret = (struct destination_state){
		.route = destination_route(d), .provider = d->provider, .status = status_of(d),
		.ready = d->ready_n, .waiting = d->waiting_n, .held = d->held_n,
		.in_flight = d->in_flight_n + d->settling_n, .slots = d->slots,
		.failures = d->failures, .messages = d->messages,
		.per_second = destination_rate(d),
	};
	if (destination_is_resting(d))
		ret->rests_until_ms = wall_of(heap_key(&d->home->resting, &d->in_resting));
	str_copy(ret->name, sizeof(ret->name), str_of(destination_name(d)));
	destination_why(d, ret->said, sizeof(ret->said));
	str_copy(ret->last, sizeof(ret->last), str_of(d->last));
}

/* ---- all, and those of one name */

struct look {
	struct question question;
	struct walk walk;
	struct destination_state state;
	struct str name;
	unsigned found;
	void (*each)(void *arg, const struct destination_state *d);
	void (*each_way)(void *arg, const struct destination_state *d, const struct name *source,
			 struct way *way);
	void *arg;
};

static void look_done(struct walk *w)
{
	question_answer(&CONTAINER_OF(w, struct look, walk)->question);
}

static bool look_at_home(struct question *q)
{
	struct look *l = CONTAINER_OF(q, struct look, question);

	l->walk.done = look_done;
	walk_start(&l->walk, q->home);
	return false;
}

static void look_at(struct walk *w, struct destination *d)
{
	struct look *l = CONTAINER_OF(w, struct look, walk);

	describe(d, &l->state);
	l->each(l->arg, &l->state);
}

void schedule_destinations(struct schedule *s,
			   void (*fn)(void *arg, const struct destination_state *d), void *arg)
{
	struct look *l = mem_zalloc(sizeof(*l));

	l->question.schedule = s;
	l->question.fn = look_at_home;
	l->walk.step = look_at;
	l->each = fn;
	l->arg = arg;
	question_ask_all(&l->question);
	mem_free(l);
}

static bool has_name(const struct destination *d, struct str name)
{
	return str_eq_nocase(str_of(destination_name(d)), name) ||
	       (!d->domain_n && str_eq_nocase(name_str(d->base), name));
}

static void look_at_ways(struct walk *w, struct destination *d)
{
	struct look *l = CONTAINER_OF(w, struct look, walk);
	const struct source_pool *pool = d->route ? d->route->sources : NULL;

	if (!has_name(d, l->name))
		return;
	l->found++;
	describe(d, &l->state);
	if (!pool || !pool->n)
		l->each_way(l->arg, &l->state, NULL, destination_way(d, NULL));
	for (unsigned i = 0; pool && i < pool->n; i++) {
		const struct name *source = pool->members[i].source->name;

		l->each_way(l->arg, &l->state, source, destination_way(d, source));
	}
}

bool schedule_describe(struct schedule *s, struct str name,
		       void (*fn)(void *arg, const struct destination_state *d,
				  const struct name *source, struct way *way),
		       void *arg)
{
	struct look *l = mem_zalloc(sizeof(*l));
	bool found;

	l->question.schedule = s;
	l->question.fn = look_at_home;
	l->walk.step = look_at_ways;
	l->name = name;
	l->each_way = fn;
	l->arg = arg;
	question_ask_all(&l->question);
	found = l->found;
	mem_free(l);
	return found;
}
