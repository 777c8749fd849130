/*
 * attempt - one job: hosts in their order, a connection, transactions until every recipient was
 * answered, and filing it.
 *
 * What a transaction brought is filed (bounce_settle) before the next one begins, so that a crash
 * repeats one transaction at most. When a host is of no use the recipients still open go to the
 * next; when none is left they are deferred - or, if no host was even reached, the job goes back
 * untried and the destination rests. A used connection that its server has closed meanwhile is
 * nobody's failure: the same address is tried again, anew.
 */
#include "deliver/service.h"

#include "base/mem.h"

void attempt_release(struct delivery *v)
{
	if (v->client)
		pool_put(&v->core->pool, v->client, v->route ? v->route->idle_ns : 0);
	v->client = NULL;
}

/* ---- a connection */

static struct client *try_address(struct delivery *v, const struct endpoint *e) SUSPENDS
{
	const struct destination *d = v->slot.destination;
	struct client_target target = {
		.config = v->config,
		.route = v->route,
		.endpoint = *e,
		.host = v->candidates.host->name,
		.domain = destination_domain(d),
	};
	struct client *c = v->fresh ? NULL : pool_take(&v->core->pool, e, v->route->protocol);
	struct problem p;

	if (c)
		return c;
	if (!target.domain.n)
		target.domain = v->candidates.host->name;
	c = client_open(&target, &v->words, &p);
	if (c)
		health_works(v->deliver->health, v->candidates.host);
	else if (!p.error)
		v->cancelled = true;
	else
		candidates_failed(&v->candidates, p.reply.text);
	if (!c && p.error && !v->reached)
		v->problem = p;
	return c;
}

static void lookup_failed(struct delivery *v, enum failure f)
{
	struct problem p;

	if (f == FAIL_CANCELLED) {
		v->cancelled = true;
		return;
	}
	problem_set(&p, &v->words, STAGE_LOOKUP, f, NULL, v->candidates.host->name, STR_NONE);
	candidates_failed(&v->candidates, p.reply.text);
	if (!v->reached)
		v->problem = p;
}

static bool has_client(struct delivery *v) SUSPENDS
{
	bool end = false;

	/* What it said after its last reply could be taken for the next one. */
	if (v->client && (!client_may_go_on(v->client) || client_has_input(v->client)))
		attempt_release(v);
	if (!v->client && !v->candidates.route)
		candidates_begin(&v->candidates, v->route, v->deliver->health);
	while (!v->client && !v->cancelled) {
		struct endpoint e;
		enum failure f = candidates_next(&v->candidates, v->deliver->hosts, &e, &end);

		if (end)
			return false;
		if (f)
			lookup_failed(v, f);
		else
			v->client = try_address(v, &e);
	}
	return v->client;
}

/* ---- filing */

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
	for (unsigned i = 0; i < n; i++) {
		const struct outcome *o = &v->outcomes[i];

		if (o->state != RECIPIENT_QUEUED)
			continue;
		if (!v->queued++ || o->next_ms < v->slot.next_ms)
			v->slot.next_ms = o->next_ms;
	}
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

static void note_said(struct delivery *v)
{
	struct buf text = BUF_INIT(sizeof(v->slot.said) - 1);
	struct str said = v->problem.reply.text;

	if (v->problem.host.n)
		buf_printf(&text, "%.*s: ", STR_ARG(str_sub(v->problem.host, 0, 80)));
	buf_add_str(&text, str_sub(said, 0, text.max - text.n));
	str_copy(v->slot.said, sizeof(v->slot.said), buf_str(&text));
	buf_done(&text);
}

/* The last host was of no use. */
static void no_host_left(struct delivery *v, struct job *j) SUSPENDS
{
	struct problem p = v->problem;

	/* the only host's used connection died, and its address is gone from the walk */
	if (!p.error)
		problem_set(&p, &v->words, STAGE_CONNECT, FAIL_LOST, NULL, STR_NONE, STR_NONE);
	note_said(v);
	if (!v->reached) {
		v->slot.learnt = DESTINATION_DOWN;
		return;
	}
	while (v->open_n && !v->cancelled) {
		unsigned n = v->open_n < TRANSACTION_RECIPIENTS_MAX ? v->open_n
								    : TRANSACTION_RECIPIENTS_MAX;

		for (unsigned i = 0; i < n; i++) {
			problem_outcome(&p, v->open[i], &v->outcomes[i]);
			v->marks[i] = MARK_JUDGED;
		}
		settle(v, j, sort_out(v, n));
	}
}

/* ---- transactions */

static unsigned chunk_size(const struct delivery *v)
{
	uint32_t max = v->client->offers.rcpt_max;

	if (!max || max > TRANSACTION_RECIPIENTS_MAX)
		max = TRANSACTION_RECIPIENTS_MAX;
	return v->open_n < max ? v->open_n : max;
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
		.dot_timeout_ns = v->deliver->dot_timeout_ns,
	};
	enum transaction_end end;

	memset(v->marks, MARK_OPEN, n);
	end = transaction_run(&t);
	if (end == TRANSACTION_NEXT)
		v->problem = t.problem;
	return end;
}

/* One connection's worth of one transaction. */
static void step(struct delivery *v, struct job *j) SUSPENDS
{
	unsigned n = chunk_size(v);
	enum transaction_end end = transact(v, j, n);
	unsigned judged;

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
		v->reached = true;
		judged = sort_out(v, n);
		v->worked |= judged > 0;
		settle(v, j, judged);
		attempt_release(v);
		break;
	case TRANSACTION_DONE:
		v->reached = v->worked = true;
		settle(v, j, sort_out(v, n));
		break;
	}
	if (v->client && v->client->broken)
		attempt_release(v);
}

static void begin(struct delivery *v, struct job *j)
{
	struct config *c = config_current();

	if (c != v->config) {
		attempt_release(v);
		config_unref(v->config);
		v->config = c;
		v->route = config_route(c, destination_route(v->slot.destination));
	} else {
		config_unref(c);
	}
	v->problem.error = NULL;
	v->queued = 0;
	v->reached = v->worked = v->fresh = v->cancelled = false;
	v->open = mem_calloc(j->recipients_n, sizeof(*v->open));
	v->open_n = job_open(j, v->open);
	v->slot.learnt = DESTINATION_UNKNOWN;
	v->slot.said[0] = 0;
	task_note(&j->message->id, "deliver");
}

static void end(struct delivery *v)
{
	if (v->cancelled || v->open_n)
		v->slot.result = JOB_UNTRIED;
	else
		v->slot.result = v->queued ? JOB_DEFERRED : JOB_SETTLED;
	if (v->worked && !v->cancelled)
		v->slot.learnt = DESTINATION_WORKS;
	candidates_done(&v->candidates);
	arena_done(&v->words);
	mem_free(v->open);
	v->open = NULL;
	task_note(NULL, "");
}

void attempt(struct delivery *v, struct job *j)
{
	begin(v, j);
	if (!v->route || !v->route->hosts_n) {
		snprintf(v->slot.said, sizeof(v->slot.said),
			 "route %.*s is not in the configuration",
			 (int)str_sub(destination_route(v->slot.destination), 0, 100).n,
			 destination_route(v->slot.destination).p);
		v->slot.learnt = DESTINATION_DOWN;
	}
	while (v->route && v->open_n && !v->cancelled && v->slot.learnt != DESTINATION_DOWN) {
		if (has_client(v))
			step(v, j);
		else if (!v->cancelled) {
			no_host_left(v, j);
			break;
		}
	}
	end(v);
}
