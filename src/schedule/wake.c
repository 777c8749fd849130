/*
 * wake - a next hop that is back gets all that waits for it: the relay noticed, or it asks itself
 * (ETRN, RFC 1985).
 *
 * Its waiting jobs become due, whatever time was named for each of them: a "try again later" from
 * before it went away says nothing about the host that came back, and what came in first should not
 * arrive last because it was tried when the trouble began. They go in order of arrival, in one row
 * with those that are ready. Back means that a job was settled: a host that answers everything with
 * 4xx while it starts is not yet back. Destinations by MX are other people's servers and keep to
 * the schedule, unless they ask.
 *
 * All waiting jobs are taken at once, as one list, and become due in pieces, so that no loop stands
 * still; what is deferred again meanwhile is not among them. Until the last one is in its place by
 * arrival nobody knows which is the first: slots get nothing, which is some milliseconds for
 * thousands.
 */
#include "schedule/home.h"

#define WAKE_PIECE 256		/* jobs made due before others have their turn */

struct wake {
	struct list in_home;
	struct list jobs;		/* that are still to be woken */
	struct destination *destination;
	struct post post;
};

/* ---- all that wait for one destination */

static void on_piece(struct post *p);

static void wake_some(struct wake *w)
{
	struct destination *d = w->destination;
	struct list *at;

	for (int i = 0; i < WAKE_PIECE && (at = list_first(&w->jobs)); i++)
		job_wake(LIST_ENTRY(at, struct job, in_queue));
	if (!list_is_empty(&w->jobs)) {
		loop_post(d->home->loop, &w->post, on_piece);
		return;
	}
	d->wake = NULL;
	list_remove(&w->in_home);
	mem_free(w);
}

static void on_piece(struct post *p)
{
	struct wake *w = CONTAINER_OF(p, struct wake, post);
	struct destination *d = w->destination;
	struct home *h = d->home;

	wake_some(w);
	destination_update(d);
	home_fill(h);
	home_arm(h);
}

void wake_jobs(struct destination *d)
{
	struct wake *w = d->wake;

	if (list_is_empty(&d->waiting))
		return;
	if (w) {
		list_splice(&w->jobs, &d->waiting);
		return;
	}
	d->wake = w = mem_zalloc(sizeof(*w));
	w->destination = d;
	list_init(&w->jobs);
	list_splice(&w->jobs, &d->waiting);
	list_push(&d->home->wakes, &w->in_home);
	wake_some(w);
}

void wakes_done(struct home *h)
{
	struct list *at;

	while ((at = list_pop(&h->wakes)))
		mem_free(LIST_ENTRY(at, struct wake, in_home));
}

/* ---- asked for */

struct asking {
	struct question question;
	struct walk walk;
	const struct route *route;
	struct str domain;
	unsigned found;
};

static struct asking *asking_of(struct question *q)
{
	return CONTAINER_OF(q, struct asking, question);
}

/* Whoever asks may just have started: gently, if nothing goes there now. */
static void wake(struct asking *a, struct destination *d)
{
	a->found += d->ready_n + d->waiting_n;
	wake_jobs(d);
	if (!d->is_mx && !d->slots && !d->probing)
		d->moment = (uint32_t)(loop_now() / SECOND);
	destination_rouse(d);
}

/* Now: mail that came by a variant that has gone goes by the route itself. */
static bool goes_by(const struct destination *d, const struct route *r)
{
	return d->route && str_eq(d->route->name, r->name);
}

static bool wake_named(struct question *q)
{
	struct asking *a = asking_of(q);

	LIST_FOR(at, &q->home->all) {
		struct destination *d = LIST_ENTRY(at, struct destination, in_home);

		if (d->is_mx)
			break;		/* so are all behind it */
		if (goes_by(d, a->route))
			wake(a, d);
	}
	return true;
}

static bool wake_domain(struct question *q)
{
	struct asking *a = asking_of(q);
	struct route_key k = route_key_make(a->route->name, a->domain);
	struct destination *d = destination_find(q->home, &k);

	if (d)
		wake(a, d);
	return true;
}

static void wake_if_below(struct walk *w, struct destination *d)
{
	struct asking *a = CONTAINER_OF(w, struct asking, walk);
	struct str name = destination_domain(d), top = a->domain;

	if (goes_by(d, a->route) && str_ends_nocase(name, top) &&
	    (!top.n || name.n == top.n || name.p[name.n - top.n - 1] == '.'))
		wake(a, d);
}

static void walked(struct walk *w)
{
	question_answer(&CONTAINER_OF(w, struct asking, walk)->question);
}

static bool wake_below(struct question *q)
{
	walk_start(&asking_of(q)->walk, q->home);
	return false;
}

unsigned schedule_wake(struct schedule *s, const struct route *r, struct str domain, bool below)
{
	struct asking a = {
		.question = { .schedule = s, .fn = r->is_mx ? wake_below : wake_named },
		.walk = { .step = wake_if_below, .done = walked },
		.route = r,
		.domain = domain,
	};

	if (!r->is_mx || below) {
		question_ask_all(&a.question);
		return a.found;
	}
	a.question.fn = wake_domain;
	question_ask(&a.question, home_of(s, route_key_make(r->name, domain).hash));
	return a.found;
}
