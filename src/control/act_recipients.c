/*
 * act_recipients - relevo queue delete, bounce, reroute: what is done to the recipients that fit.
 *
 * A message's jobs are taken out of their queues, what the query is not about is put back at once,
 * and the rest stays out until the spool has recorded what became of it. From then to its end no
 * recipient may be without a job (D9): whatever fails, they are put back where they were. Up to
 * BATCH_MESSAGES messages share a batch, so that a hundred thousand cost some hundred syncs.
 *
 * Deliveries under way are left alone, and told. One such command works at a time, batch by batch
 * (.taking): of two that take the same recipients out, each would put them back, and they would be
 * delivered twice.
 */
#include "control/act.h"

#include "base/mem.h"
#include "report/log.h"

#define BATCH_MESSAGES 128
#define COMMIT_TRIES 10		/* a second apart, for what must not be left half done */
#define WHY_MAX 400

/* One message, taken out of its queues. */
struct taken {
	struct message *message;	/* borrowed from the selection */
	uint32_t *recipients;		/* owned; those that fit, in no job now */
	uint32_t n;
	uint32_t busy;			/* fit, but a delivery has them in its hands */
};

struct taking {
	struct answer *answer;
	struct selection *selection;
	struct act act;
	const struct name *route;	/* reroute */
	struct str why;			/* bounce */
	/* the records of all that was taken, into one batch */
	void (*record)(struct taking *t, struct batch *b, const struct taken *one);
	/* they stand in the spool: log them */
	void (*recorded)(struct taking *t, const struct taken *one);
	bool returns;			/* they go back to their queues though all went well */
	struct taken taken[BATCH_MESSAGES];
	unsigned n;
};

/* ---- taking out and putting back */

static void lock(struct answer *a) SUSPENDS
{
	while (*a->taking)
		if (task_sleep_until(in_ms(2)) < 0)
			task_yield();
	*a->taking = true;
}

static void unlock(struct answer *a)
{
	*a->taking = false;
}

static void put_back(struct taking *t, struct taken *one) SUSPENDS
{
	if (one->n)
		schedule_add_recipients(t->answer->links->schedule, one->message, one->recipients,
					one->n);
}

/* False: nothing of it fits any more. */
static bool take_out(struct taking *t, struct message *m, struct taken *ret) SUSPENDS
{
	struct schedule *s = t->answer->links->schedule;
	uint32_t *all = mem_calloc(m->recipients_n, sizeof(*all));
	uint32_t *others = mem_calloc(m->recipients_n, sizeof(*others));
	uint32_t fit = selection_recipients(t->selection, m, all), others_n = 0;
	unsigned n, busy = 0;

	*ret = (struct taken){ .message = m, .recipients = all };
	if (fit) {
		schedule_remove(s, m, &busy);
		n = schedule_jobless(s, m, all);
		for (unsigned i = 0; i < n; i++) {
			if (selection_fits_idle(t->selection, m, all[i]))
				all[ret->n++] = all[i];
			else
				others[others_n++] = all[i];
		}
		ret->busy = busy && fit > ret->n ? fit - ret->n : 0;
	}
	if (others_n)
		schedule_add_recipients(s, m, others, others_n);
	mem_free(others);
	if (fit)
		return true;
	mem_free(all);
	return false;
}

/* ---- one batch */

static int commit(struct taking *t) SUSPENDS
{
	struct spool *spool = t->answer->links->spool;
	int r = 0;

	for (int i = 0; i < COMMIT_TRIES; i++) {
		struct batch *b = batch_new(spool);
		bool has_any = false;

		for (unsigned k = 0; k < t->n; k++)
			if (t->taken[k].n) {
				t->record(t, b, &t->taken[k]);
				has_any = true;
			}
		if (!has_any) {
			batch_free(b);
			return 0;
		}
		r = spool_commit(spool, b);
		if (r == 0 || task_sleep_until(in_seconds(1)) < 0)
			break;
	}
	return r;
}

static void tell(struct taking *t, const struct taken *one) SUSPENDS
{
	char text[120];

	t->act.messages += one->n > 0;
	t->act.recipients += one->n;
	if (one->n && one->busy)
		snprintf(text, sizeof(text), "%s, %u recipient%s; %u more just now being delivered",
			 t->act.done, one->n, one->n == 1 ? "" : "s", one->busy);
	else if (one->n)
		snprintf(text, sizeof(text), "%s, %u recipient%s", t->act.done, one->n,
			 one->n == 1 ? "" : "s");
	else
		snprintf(text, sizeof(text), "nothing done: %s", one->busy ?
			 "being delivered right now" : "no recipient fits any more");
	act_say(t->answer, one->message, text);
}

static void finish_batch(struct taking *t, int r) SUSPENDS
{
	for (unsigned k = 0; k < t->n; k++) {
		if (r == 0 && t->taken[k].n)
			t->recorded(t, &t->taken[k]);
		if (r < 0 || t->returns)
			put_back(t, &t->taken[k]);
	}
	unlock(t->answer);
	for (unsigned k = 0; k < t->n; k++) {
		if (r < 0 && t->taken[k].n)
			act_say_failed(t->answer, t->taken[k].message, r);
		else
			tell(t, &t->taken[k]);
		mem_free(t->taken[k].recipients);
	}
	t->n = 0;
}

static void take_all(struct taking *t) SUSPENDS
{
	struct selection *s = t->selection;

	for (size_t at = 0; at < s->n && !task_is_cancelled();) {
		lock(t->answer);
		for (; at < s->n && t->n < BATCH_MESSAGES; at++)
			t->n += take_out(t, s->at[at], &t->taken[t->n]);
		finish_batch(t, commit(t));
	}
}

static void dry_run(struct taking *t) SUSPENDS
{
	struct selection *s = t->selection;

	for (size_t i = 0; i < s->n && !t->answer->dead; i++) {
		uint32_t *fit = mem_calloc(s->at[i]->recipients_n, sizeof(*fit));
		uint32_t n = selection_recipients(s, s->at[i], fit);

		if (n)
			act_say_dry(t->answer, &t->act, s->at[i], fit, n);
		mem_free(fit);
	}
}

/* ---- delete */

static void record_deleted(struct taking *t, struct batch *b, const struct taken *one)
{
	const struct reply reply = REPLY(550, 5, 7, 1, "deleted by an operator");
	struct outcome *out = mem_calloc(one->n, sizeof(*out));

	(void)t;
	for (uint32_t i = 0; i < one->n; i++)
		out[i] = (struct outcome){ .recipient = one->recipients[i],
			.state = RECIPIENT_DELETED, .reply = reply };
	batch_outcomes(b, one->message, out, one->n);
	mem_free(out);
}

static void log_deleted(struct taking *t, const struct taken *one)
{
	const struct message *m = one->message;

	(void)t;
	for (uint32_t i = 0; i < one->n; i++) {
		log_begin(LOG_DELETED);
		log_id("id", &m->id);
		log_str("to", recipient_address(m, one->recipients[i]));
		log_end();
	}
	if (atomic_load(&m->open_n))
		return;
	log_begin(LOG_DONE);
	log_id("id", &m->id);
	log_end();
}

static struct taking *taking_new(struct answer *a, struct selection *s, struct act act)
{
	struct taking *t = mem_zalloc(sizeof(*t));

	t->answer = a;
	t->selection = s;
	t->act = act;
	return t;
}

static void run(struct taking *t, void (*act)(struct taking *t)) SUSPENDS
{
	if (t->answer->dry)
		dry_run(t);
	else
		act(t);
	act_end(t->answer, &t->act);
	mem_free(t);
}

void queue_delete(struct answer *a, struct words *w)
{
	struct selection s;
	struct taking *t;

	if (!selection_make(&s, a, w, SELECT_NAMED, NULL))
		return;
	t = taking_new(a, &s, (struct act){ .verb = "delete", .done = "deleted" });
	t->record = record_deleted;
	t->recorded = log_deleted;
	run(t, take_all);
	selection_free(&s);
}

/* ---- reroute: via ROUTE, a route that the configuration has now */

static void record_rerouted(struct taking *t, struct batch *b, const struct taken *one)
{
	batch_route(b, one->message, one->recipients, one->n, t->route);
}

static void log_rerouted(struct taking *t, const struct taken *one)
{
	const struct message *m = one->message;

	for (uint32_t i = 0; i < one->n; i++) {
		log_begin(LOG_REROUTED);
		log_id("id", &m->id);
		log_str("to", recipient_address(m, one->recipients[i]));
		log_str("route", name_str(t->route));
		log_end();
	}
}

/* As the spool would record it; NULL: there is none, and that was answered. */
static const struct name *route_of_words(struct answer *a, struct words *w) SUSPENDS
{
	struct config *c = config_current();
	const struct route *found = NULL;
	const struct name *name = NULL;
	struct str text;

	words_next(w);		/* via */
	text = words_next(w);
	for (unsigned i = 0; i < c->routes_n && !found; i++)
		if (str_eq(text, c->routes[i]->name) || str_eq(text, name_str(c->routes[i]->base)))
			found = c->routes[i];
	if (!found)
		found = config_route(c, text);
	if (found)
		name = name_intern(found->name);
	config_unref(c);
	if (name && w->from == w->n)
		return name;
	if (!text.n)
		buf_add_lit(&a->line, "which way? \"via ROUTE\" is missing behind the query");
	else if (name)
		buf_add_lit(&a->line, "nothing may follow the route");
	else
		answer_value(a, text);
	if (text.n && !name)
		buf_add_lit(&a->line, ": no route and no rule of the configuration in force has "
				      "that name");
	answer_error(a);
	a->code = text.n && !name ? 1 : 2;
	return NULL;
}

void queue_reroute(struct answer *a, struct words *w)
{
	struct selection s;
	struct taking *t;

	if (!selection_make(&s, a, w, SELECT_NAMED, "via"))
		return;
	t = taking_new(a, &s, (struct act){ .verb = "reroute", .done = "rerouted" });
	t->route = route_of_words(a, w);
	t->record = record_rerouted;
	t->recorded = log_rerouted;
	t->returns = true;
	if (t->route)
		run(t, take_all);
	else
		mem_free(t);
	selection_free(&s);
}

/* ---- bounce: by bounce/, which makes the notice and records both at once, message by message */

static void bounce_one(struct taking *t, struct message *m) SUSPENDS
{
	struct taken one;
	int r = 0;

	lock(t->answer);
	if (!take_out(t, m, &one)) {
		unlock(t->answer);
		return;
	}
	if (one.n)
		r = bounce_return(t->answer->links->bounce, m, one.recipients, one.n, t->why);
	if (r < 0)
		put_back(t, &one);
	else
		one.n = (uint32_t)r;	/* the others were final before */
	unlock(t->answer);
	if (r < 0)
		act_say_failed(t->answer, m, r);
	else
		tell(t, &one);
	mem_free(one.recipients);
}

static void bounce_all(struct taking *t) SUSPENDS
{
	for (size_t i = 0; i < t->selection->n && !task_is_cancelled(); i++)
		bounce_one(t, t->selection->at[i]);
}

/* The words for the sender stand at the end; they have a blank, so no word of a query is lost. */
static bool take_why(struct words *w, struct str *ret)
{
	struct str last = w->n > w->from ? w->at[w->n - 1] : STR_NONE;

	*ret = STR_NONE;
	if (str_find(last, ' ') < 0)
		return true;
	if (last.n > WHY_MAX || str_has_control(last))
		return false;
	*ret = last;
	w->n--;
	return true;
}

void queue_bounce(struct answer *a, struct words *w)
{
	struct selection s;
	struct taking *t;
	struct str why;

	if (!take_why(w, &why)) {
		buf_printf(&a->line, "the text for the sender is longer than %d octets, or has "
			   "control characters", WHY_MAX);
		answer_error(a);
		a->code = 2;
		return;
	}
	if (!selection_make(&s, a, w, SELECT_NAMED, NULL))
		return;
	t = taking_new(a, &s, (struct act){ .verb = "bounce", .done = "returned" });
	t->why = why;
	run(t, bounce_all);
	selection_free(&s);
}
