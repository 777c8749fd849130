/*
 * attempt - one job: a connection, transactions until every recipient was answered, and filing it.
 *
 * What a transaction brought is filed (bounce_settle) before the next one begins, so that a crash
 * repeats one transaction at most. When a host is of no use the recipients still open go to the
 * next; when none is left they are deferred - or, if no host was even reached, the job goes back
 * untried and the destination rests. A used connection that its server has closed meanwhile is
 * nobody's failure: the same address is tried again, anew.
 *
 * The limits were passed for one transaction; each further one asks them (way_pass). If they
 * refuse, the rest goes back untried - but not what a host has refused for now: it is deferred, or
 * a tight limit would let it knock at the same first host for ever, as nothing would count the
 * attempts.
 */
#include "deliver/service.h"

#include "base/mem.h"

#include <assert.h>
#include <limits.h>

#define FLIGHT_KEPT (4 * 1024)		/* octets of a buffer that is kept from job to job */
/* how long a source rests whose address cannot be used; that has none of their families */
#define SOURCE_REST_NS (60 * SECOND)
#define FAMILY_REST_NS (600 * SECOND)

static_assert(TRANSACTION_RECIPIENTS_MAX == JOB_RECIPIENTS_MAX, "a job is a transaction");

/* ---- filing */

static void note_said(struct delivery *v, struct str host, const struct reply *r)
{
	struct buf text = BUF_INIT(sizeof(v->slot.said) - 1);

	if (host.n)
		buf_printf(&text, "%.*s: ", STR_ARG(str_sub(host, 0, 80)));
	if (r->code)
		reply_describe(&text, r);
	else
		buf_add_str(&text, str_sub(r->text, 0, text.max - text.n));
	str_copy(v->slot.said, sizeof(v->slot.said), buf_str(&text));
	buf_done(&text);
}

static void note_deferred(struct delivery *v, const struct outcome *o)
{
	if (!v->queued++ || o->next_ms < v->slot.next_ms)
		v->slot.next_ms = o->next_ms;
	if (!v->slot.said[0])
		note_said(v, o->host, &o->reply);
}

/* The first n outcomes. */
static void settle(struct delivery *v, struct job *j, unsigned n) SUSPENDS
{
	int r;

	if (!n)
		return;
	r = bounce_settle(v->deliver->bounce, j->message, v->outcomes, n, j->attempts + 1u);
	if (r < 0) {
		v->cancelled = true;
		return;
	}
	for (unsigned i = 0; i < n; i++)
		if (v->outcomes[i].state == RECIPIENT_QUEUED)
			note_deferred(v, &v->outcomes[i]);
	if (!v->problem.error)
		arena_done(&v->words);
}

static bool has_success(const struct delivery *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (v->marks[i] == MARK_JUDGED && (v->outcomes[i].state == RECIPIENT_RELAYED ||
						   v->outcomes[i].state == RECIPIENT_DELIVERED))
			return true;
	return false;
}

/*
 * After a transaction of the first n open recipients: outcomes to the front of .outcomes, who is
 * still open to the front of .open. Those who were one too many are open if the transaction did get
 * some of the others away.
 */
static unsigned sort_out(struct delivery *v, unsigned n)
{
	bool again = has_success(v, n);
	unsigned judged = 0, open = 0;

	for (unsigned i = 0; i < n; i++) {
		if (v->marks[i] == MARK_JUDGED || (v->marks[i] == MARK_AGAIN && !again))
			v->outcomes[judged++] = v->outcomes[i];
		else
			v->open[open++] = v->open[i];
	}
	memmove(v->open + open, v->open + n, (v->open_n - n) * sizeof(*v->open));
	v->open_n -= n - open;
	return judged;
}

/* All who are open, by one problem. */
static void judge_open(struct delivery *v, struct job *j, const struct problem *p) SUSPENDS
{
	while (v->open_n && !v->cancelled) {
		unsigned n = v->open_n < TRANSACTION_RECIPIENTS_MAX ? v->open_n
								    : TRANSACTION_RECIPIENTS_MAX;

		for (unsigned i = 0; i < n; i++) {
			problem_outcome(p, v->open[i], &v->outcomes[i]);
			v->marks[i] = MARK_JUDGED;
		}
		settle(v, j, sort_out(v, n));
	}
}

/* The last host was of no use. */
static void no_host_left(struct delivery *v, struct job *j) SUSPENDS
{
	struct problem p = v->problem;

	/* the only host's used connection died, and its address is gone from the walk */
	if (!p.error)
		problem_set(&p, &v->words, STAGE_CONNECT, FAIL_LOST, NULL, STR_NONE, STR_NONE);
	note_said(v, p.host, &p.reply);
	if (v->is_verdict || v->reached)
		judge_open(v, j, &p);
	else if (p.error->failure == FAIL_NO_SOURCE)
		react_source(&v->slot, SOURCE_REST_NS, str_of(v->slot.said));
	else if (p.error->failure == FAIL_NO_FAMILY && v->source)
		react_source(&v->slot, FAMILY_REST_NS, str_of(v->slot.said));
	else
		v->slot.learnt = DESTINATION_DOWN;
}

/*
 * Some are open, and nothing more is to be tried now. A limit lets wait only what no host has
 * refused for now.
 */
static void leave_open(struct delivery *v, struct job *j) SUSPENDS
{
	if (v->is_verdict || !(v->cancelled || react_stops(&v->reactor) ||
			       (v->limited && !v->has_problem)))
		no_host_left(v, j);
}

/* ---- transactions */

static unsigned chunk_size(const struct delivery *v)
{
	uint32_t max = v->client->offers.rcpt_max;

	if (!max || max > TRANSACTION_RECIPIENTS_MAX)
		max = TRANSACTION_RECIPIENTS_MAX;
	if (v->passed < max)
		max = v->passed;
	return v->open_n < max ? v->open_n : max;
}

/* The limits let a transaction go, of .passed recipients. */
static bool may_begin(struct delivery *v, const struct job *j)
{
	/* not loop_now, which is older: it would be given back to a time before it was taken */
	uint64_t asked_at = world_self()->now(world_self());
	unsigned passed;

	if (v->passed)
		return true;
	if (!way_pass(v->slot.way, v->open_n, j->message->size, &passed, NULL)) {
		v->limited = true;
		return false;
	}
	v->passed = passed;
	v->asked_at = asked_at;
	return true;
}

static void note_begun(struct delivery *v)
{
	v->begun = true;
	if (v->slot.way)
		v->passed = 0;
}

static enum transaction_end transact(struct delivery *v, struct job *j, unsigned n) SUSPENDS
{
	struct transaction t = {
		.client = v->client,
		.spool = v->deliver->spool,
		.message = j->message,
		.recipients = v->open,
		.n = n,
		.outcomes = v->outcomes,
		.marks = v->marks,
		.words = &v->words,
		.flight = &v->flight,
		.reactor = &v->reactor,
		.dot_timeout_ns = v->deliver->dot_timeout_ns,
	};
	enum transaction_end end;

	memset(v->marks, MARK_OPEN, n);
	end = transaction_run(&t);
	if (end != TRANSACTION_STALE)
		note_begun(v);
	v->has_problem = end == TRANSACTION_NEXT;
	if (v->has_problem && problem_replaces(&v->problem, &t.problem))
		v->problem = t.problem;
	return end;
}

/* One connection's worth of one transaction. */
static void step(struct delivery *v, struct job *j) SUSPENDS
{
	unsigned n = chunk_size(v), judged;
	enum transaction_end end = transact(v, j, n);

	switch (end) {
	case TRANSACTION_STALE:
		v->fresh = true;
		v->client->broken = true;
		candidates_again(&v->candidates);
		break;
	case TRANSACTION_CANCELLED:
		v->cancelled = true;
		v->client->broken = true;
		break;
	case TRANSACTION_NEXT:
	case TRANSACTION_DONE:
		v->reached = true;
		judged = sort_out(v, n);
		v->worked |= judged > 0;
		settle(v, j, judged);
		break;
	}
	if (v->client->broken) {
		attempt_hang_up(v);
	} else if (end == TRANSACTION_NEXT) {
		v->former = v->client;
		v->client = NULL;
	}
}

/* ---- the job */

void attempt_configure(struct delivery *v)
{
	struct config *c = config_current();

	if (c == v->config) {
		config_unref(c);
		return;
	}
	attempt_release(v);
	config_unref(v->config);
	v->config = c;
	v->route = config_route(c, destination_route(v->slot.destination));
	v->candidates.means = (struct walk_means){
		.config = c,
		.dns = v->deliver->dns,
		.health = v->deliver->health,
		.own = &v->core->own,
	};
}

static void make_room(struct delivery *v, struct job *j)
{
	size_t n = j->recipients_n ? j->recipients_n : 1;
	size_t outcomes = n < TRANSACTION_RECIPIENTS_MAX ? n : TRANSACTION_RECIPIENTS_MAX;
	size_t size = size_add(size_mul(outcomes, sizeof(*v->outcomes) + sizeof(*v->marks)),
			       size_mul(n, sizeof(*v->open)));

	v->outcomes = mem_zalloc(size);
	v->open = (uint32_t *)(v->outcomes + outcomes);
	v->marks = (uint8_t *)(v->open + n);
	v->open_n = job_open(j, v->open);
}

static void begin(struct delivery *v, struct job *j)
{
	const struct slot *s = &v->slot;

	attempt_configure(v);
	v->source = config_source(v->config, s->source);
	v->reactor = (struct reactor){
		.config = v->config,
		.provider = s->knows_provider ? config_provider(v->config, s->provider) : NULL,
		.slot = &v->slot,
		.id = &j->message->id,
	};
	v->problem.error = NULL;
	v->queued = 0;
	v->asked_at = 0;
	v->begun = v->reached = v->worked = v->has_problem = false;
	v->is_verdict = v->limited = v->fresh = v->cancelled = false;
	v->passed = s->way ? s->passed_recipients : UINT_MAX;
	make_room(v, j);
	vouch_begin(v, j->message);
	v->slot.learnt = DESTINATION_UNKNOWN;
	v->slot.reaction = REACT_NONE;
	v->slot.reaction_ns = 0;
	v->slot.said[0] = v->slot.reacts_to[0] = 0;
	task_note(&j->message->id, "deliver");
}

/* What is open and was not begun may go by another source at once: that is no pause's business. */
static enum job_result result_of(const struct delivery *v)
{
	if (v->cancelled || v->open_n)
		return v->begun || v->slot.reaction == REACT_OTHER_SOURCE ? JOB_PARTLY
									  : JOB_UNTRIED;
	return v->queued ? JOB_DEFERRED : JOB_SETTLED;
}

static void end(struct delivery *v, struct job *j)
{
	if (v->asked_at && v->passed)
		way_give_back(v->slot.way, v->passed, j->message->size, v->asked_at);
	v->slot.result = result_of(v);
	if (v->worked && !v->cancelled)
		v->slot.learnt = DESTINATION_WORKS;
	/* of no use for this job, but for the next one it may be */
	if (!v->client)
		v->client = v->former;
	v->former = NULL;
	candidates_done(&v->candidates);
	vouch_done(&v->vouch);
	arena_done(&v->words);
	if (v->flight.size > FLIGHT_KEPT)
		buf_done(&v->flight);
	mem_free(v->outcomes);
	v->outcomes = NULL;
	task_note(NULL, "");
}

/* The configuration that the job was given by knew both. */
static bool is_configured(struct delivery *v)
{
	struct str route = str_sub(destination_route(v->slot.destination), 0, 100);
	struct str source = str_sub(name_str(v->slot.source), 0, 100);

	if (!v->route || (!v->route->is_mx && !v->route->hosts_n)) {
		snprintf(v->slot.said, sizeof(v->slot.said),
			 "route %.*s is not in the configuration", STR_ARG(route));
		v->slot.learnt = DESTINATION_DOWN;
		return false;
	}
	if (v->slot.source && !v->source) {
		snprintf(v->slot.said, sizeof(v->slot.said),
			 "source %.*s is not in the configuration", STR_ARG(source));
		return false;
	}
	return true;
}

void attempt(struct delivery *v, struct job *j)
{
	begin(v, j);
	if (is_configured(v)) {
		while (v->open_n && !attempt_is_over(v) && attempt_connect(v))
			if (may_begin(v, j))
				step(v, j);
		if (v->open_n)
			leave_open(v, j);
	}
	end(v, j);
}
