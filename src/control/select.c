/*
 * select - which messages a command is about; see select.h.
 *
 * Whether a recipient is in flight only its home knows, a question for each. So those that may be
 * (their destination had something in flight a moment ago) are let through by the pool and asked
 * about one by one after that.
 */
#include "control/select.h"

#include "base/mem.h"
#include "smtp/address.h"

#define PIECE 8192		/* messages; some milliseconds */
#define YIELD_EVERY 64
#define DESTINATION_STATUSES (QUERY_SUSPENDED | QUERY_LIMITED | QUERY_RESTING | QUERY_IN_FLIGHT)

static void add(struct selection *s, struct message *m)	/* takes the reference */
{
	if (s->n == s->size) {
		s->size = s->size ? size_mul(s->size, 2) : 64;
		s->at = mem_realloc(s->at, size_mul(s->size, sizeof(struct message *)));
	}
	s->at[s->n++] = m;
}

/* ---- what a recipient is */

static unsigned status_of(uint8_t flags, const struct recipient *r, int64_t now_ms)
{
	unsigned bits = QUERY_QUEUED | (r->attempts ? QUERY_DEFERRED : QUERY_NEW);

	if (flags & MESSAGE_HELD)
		return bits | QUERY_HELD;
	return bits | (r->next_ms > now_ms ? QUERY_WAITING : QUERY_READY);
}

static void add_surveyed(const struct survey *v, const struct name *route,
			 struct query_subject *q)
{
	const struct surveyed *d = survey_find(v, route, q->domain);
	unsigned bits = survey_status(v, d, q->route, q->domain);

	q->provider = survey_provider(v, d, q->domain);
	if (q->status & QUERY_HELD)
		bits = 0;
	if (!(q->status & QUERY_READY))
		bits &= ~(unsigned)QUERY_LIMITED;
	q->status |= bits;
}

bool selection_subject(const struct selection *s, struct message *m, uint32_t i,
		       struct query_subject *ret)
{
	const struct name *route = recipient_route_name(m, i);
	unsigned status;

	message_lock(m);
	status = m->recipients[i].state == RECIPIENT_QUEUED ?
			 status_of(m->flags, &m->recipients[i], s->now_ms) : 0;
	message_unlock(m);
	if (!status)
		return false;
	*ret = (struct query_subject){
		.id = m->id, .age_ms = s->now_ms - m->arrived_ms, .size = m->size,
		.sender = message_sender(m), .tag = message_tag(m),
		.recipient = recipient_address(m, i), .route = name_str(route), .status = status,
	};
	ret->domain = address_split(ret->recipient).domain;
	ret->destination = query_route_is_mx(ret->route) ? ret->domain :
							   query_route_base(ret->route);
	if (s->survey)
		add_surveyed(s->survey, route, ret);
	return true;
}

static bool fits(const struct selection *s, struct message *m, uint32_t i, unsigned any_status)
{
	struct query_subject q;

	return selection_subject(s, m, i, &q) && query_matches(s->query, &q, any_status);
}

bool selection_fits_idle(const struct selection *s, struct message *m, uint32_t i)
{
	return fits(s, m, i, 0);
}

static bool is_in_flight(const struct selection *s, struct message *m, uint32_t i,
			 struct job_state *room) SUSPENDS
{
	const struct surveyed *d = survey_find(s->survey, recipient_route_name(m, i),
					       address_split(recipient_address(m, i)).domain);

	return d && d->in_flight && schedule_job_state(s->schedule, m, i, room) &&
	       strcmp(room->state, "in-flight") == 0;
}

static bool fits_exactly(const struct selection *s, struct message *m, uint32_t i,
			 struct job_state *room) SUSPENDS
{
	struct query_subject q;

	if (!fits(s, m, i, QUERY_IN_FLIGHT))
		return false;
	if (!(query_statuses(s->query) & QUERY_IN_FLIGHT))
		return true;
	if (is_in_flight(s, m, i, room)) {
		if (!selection_subject(s, m, i, &q))
			return false;
		q.status |= QUERY_IN_FLIGHT;
		return query_matches(s->query, &q, 0);
	}
	return fits(s, m, i, 0);
}

uint32_t selection_recipients(const struct selection *s, struct message *m, uint32_t *ret)
{
	struct job_state *room = mem_alloc(sizeof(*room));
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->recipients_n; i++)
		if (fits_exactly(s, m, i, room))
			ret[n++] = i;
	mem_free(room);
	return n;
}

/* ---- in the pool */

struct pool_piece {
	struct selection *selection;
	size_t from, to;
	int (*fn)(struct selection *s, size_t from, size_t to, void *arg);
	void *arg;
};

static int run_piece(void *arg)
{
	struct pool_piece *p = arg;

	return p->fn(p->selection, p->from, p->to, p->arg);
}

void selection_in_pool(struct selection *s,
		       int (*fn)(struct selection *s, size_t from, size_t to, void *arg),
		       void *arg)
{
	struct pool_piece p = { .selection = s, .fn = fn, .arg = arg };
	size_t n = s->n;

	for (; p.from < n; p.from = p.to) {
		p.to = n - p.from > PIECE ? p.from + PIECE : n;
		if (net_offload(run_piece, &p) != 0)
			return;
	}
}

struct collecting {
	struct selection *selection;
	struct spool *spool;
};

static void take(void *arg, struct message *m)
{
	add(arg, message_ref(m));
}

static int collect(void *arg)
{
	struct collecting *c = arg;

	spool_each(c->spool, take, c->selection);
	return 0;
}

/* What fits moves to the front; *kept counts it over all pieces. */
static int match_piece(struct selection *s, size_t from, size_t to, void *kept)
{
	size_t *n = kept;

	for (size_t at = from; at < to; at++) {
		struct message *m = s->at[at];
		uint32_t i = 0;

		while (i < m->recipients_n && !fits(s, m, i, QUERY_IN_FLIGHT))
			i++;
		if (i < m->recipients_n)
			s->at[(*n)++] = m;
		else
			message_unref(m);
	}
	return 0;
}

static int by_arrival(const void *a, const void *b)
{
	const struct message *x = *(struct message *const *)a, *y = *(struct message *const *)b;

	if (x->arrived_ms != y->arrived_ms)
		return x->arrived_ms < y->arrived_ms ? -1 : 1;
	if (x->id.incarnation != y->id.incarnation)
		return x->id.incarnation < y->id.incarnation ? -1 : 1;
	return x->id.counter < y->id.counter ? -1 : x->id.counter > y->id.counter;
}

static int sort(void *arg)
{
	struct selection *s = arg;

	if (s->n)
		qsort(s->at, s->n, sizeof(struct message *), by_arrival);
	return 0;
}

/* Those of which a recipient fits now that its home was asked. */
static void ask_homes(struct selection *s) SUSPENDS
{
	struct job_state *room = mem_alloc(sizeof(*room));
	size_t kept = 0;

	for (size_t at = 0; at < s->n; at++) {
		struct message *m = s->at[at];
		uint32_t i = 0;

		while (i < m->recipients_n && !fits_exactly(s, m, i, room))
			i++;
		if (i < m->recipients_n)
			s->at[kept++] = m;
		else
			message_unref(m);
		if (at % YIELD_EVERY == 0)
			task_yield();
	}
	s->n = kept;
	mem_free(room);
}

static void select_all(struct selection *s, struct spool *spool) SUSPENDS
{
	struct collecting c = { s, spool };
	size_t kept = 0;

	net_offload(collect, &c);
	selection_in_pool(s, match_piece, &kept);
	s->n = kept;
	if (query_statuses(s->query) & QUERY_IN_FLIGHT)
		ask_homes(s);
	net_offload(sort, s);
}

/* ---- by id */

static void select_ids(struct selection *s, struct answer *a, const struct message_id *ids,
		       unsigned n) SUSPENDS
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = spool_find(a->links->spool, &ids[i]);
		char text[ID_TEXT_MAX];

		if (m) {
			add(s, m);
			continue;
		}
		buf_printf(&a->line, "%s: not in the queue: unknown, or done",
			   id_format(text, &ids[i]));
		answer_error(a);
	}
}

/* ---- begin and end */

static struct query *parse(struct answer *a, struct words *w, enum selection_want want,
			   const char *stop) SUSPENDS
{
	struct query *q;
	unsigned used;

	q = query_parse(w->at + w->from, w->n - w->from, stop, &used, &a->line);
	if (q && want == SELECT_NAMED && query_is_empty(q)) {
		buf_add_lit(&a->line, "which messages? Say \"all\" if you mean all");
		query_free(q);
		q = NULL;
	}
	if (!q) {
		answer_error(a);
		a->code = 2;
		return NULL;
	}
	w->from += used;
	return q;
}

bool selection_make(struct selection *s, struct answer *a, struct words *w,
		    enum selection_want want, const char *stop)
{
	const struct message_id *ids;
	unsigned ids_n;

	*s = (struct selection){ .schedule = a->links->schedule, .now_ms = loop_wall_ms() };
	s->query = parse(a, w, want, stop);
	if (!s->query)
		return false;
	if (query_has_provider(s->query) || query_statuses(s->query) & DESTINATION_STATUSES)
		s->survey = survey_take(s->schedule);
	ids_n = query_ids(s->query, &ids);
	if (ids_n)
		select_ids(s, a, ids, ids_n);
	else
		select_all(s, a->links->spool);
	return true;
}

void selection_survey(struct selection *s)
{
	if (!s->survey)
		s->survey = survey_take(s->schedule);
}

static int unref_piece(struct selection *s, size_t from, size_t to, void *arg)
{
	(void)arg;
	for (size_t at = from; at < to; at++)
		message_unref(s->at[at]);
	return 0;
}

void selection_free(struct selection *s)
{
	selection_in_pool(s, unref_piece, NULL);
	mem_free(s->at);
	survey_free(s->survey);
	query_free(s->query);
	*s = (struct selection){ 0 };
}
