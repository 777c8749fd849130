/*
 * schedule - the service: messages in, split into jobs that travel to their homes; reload, stop.
 * See schedule.h.
 *
 * What a core does with its jobs is in home.c, destination.c, source.c, job.c and slot.c; the queue
 * commands are in command.c, what people see of it in status.c.
 */
#include "schedule/home.h"

static void configure_limits(struct schedule *s)
{
	struct config *c = config_current();

	if (c)
		limits_reload(s->limits, c);
	config_unref(c);
}

struct schedule *schedule_new(struct net *n, struct spool *sp, const struct upcalls *up,
			      const char *state)
{
	struct schedule *s = mem_zalloc(sizeof(*s));

	s->net = n;
	s->spool = sp;
	s->up = *up;
	s->state = state ? mem_strdup(state) : NULL;
	pthread_mutex_init(&s->recording, NULL);
	pthread_mutex_init(&s->lock, NULL);
	s->suspended = suspended_open(net_world(n), state);
	s->limits = limits_new(n, state);
	s->quota = domain_quota_new();
	configure_limits(s);
	s->homes_n = net_workers(n);
	s->homes = mem_calloc(s->homes_n, sizeof(*s->homes));
	for (unsigned i = 0; i < s->homes_n; i++)
		home_init(&s->homes[i], s, i);
	return s;
}

void schedule_free(struct schedule *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->homes_n; i++)
		home_done(&s->homes[i]);
	mem_free(s->homes);
	limits_free(s->limits);
	domain_quota_free(s->quota);
	suspended_unref(s->suspended);
	pthread_mutex_destroy(&s->recording);
	pthread_mutex_destroy(&s->lock);
	mem_free(s->state);
	mem_free(s);
}

struct limits *schedule_limits(struct schedule *s)
{
	return s->limits;
}

struct domain_quota *schedule_quota(struct schedule *s)
{
	return s->quota;
}

void schedule_stop(struct schedule *s)
{
	if (!atomic_exchange(&s->stopping, true))
		limits_stop(s->limits);
}

static void on_reload(struct post *p)
{
	struct home *h = CONTAINER_OF(p, struct home, reload);

	atomic_store(&h->reload_posted, false);
	home_reload(h);
}

void schedule_reload(struct schedule *s)
{
	configure_limits(s);
	for (unsigned i = 0; i < s->homes_n; i++)
		if (!atomic_exchange(&s->homes[i].reload_posted, true))
			loop_post(s->homes[i].loop, &s->homes[i].reload, on_reload);
}

/* ---- a message comes in */

/* The first of a chain of jobs for this home; the others hang on its in_queue. */
static void on_arrival(struct post *p)
{
	struct job *first = CONTAINER_OF(p, struct job, post);
	struct home *h = &first->schedule->homes[loop_index(loop_self())];
	struct list others, *at;

	list_init(&others);
	list_splice(&others, &first->in_queue);
	home_config(h);
	job_arrive(first, h);
	while ((at = list_pop(&others)))
		job_arrive(LIST_ENTRY(at, struct job, in_queue), h);
	home_fill(h);
	home_arm(h);
}

static void send_home(struct schedule *s, struct job *first, struct home *h)
{
	first->schedule = s;
	loop_post(h->loop, &first->post, on_arrival);
}

/* Open recipients' indices; returns how many. */
static uint32_t open_recipients(struct message *m, uint32_t *indices)
{
	uint32_t n = 0;

	message_lock(m);
	for (uint32_t i = 0; i < m->recipients_n; i++)
		if (m->recipients[i].state == RECIPIENT_QUEUED)
			indices[n++] = i;
	message_unlock(m);
	return n;
}

static void link_jobs(struct message *m, struct job *const *jobs, uint32_t n)
{
	atomic_fetch_add(&m->jobs_n, n);
	message_lock(m);
	for (uint32_t i = 0; i < n; i++)
		job_link(jobs[i]);
	message_unlock(m);
}

/* All recipients go to one place: nearly always so behind a smarthost. */
static bool is_one_key(const struct message *m, const uint32_t *indices, uint32_t n,
		       struct route_key *ret)
{
	*ret = route_key_of(m, indices[0]);
	for (uint32_t i = 1; i < n; i++) {
		struct route_key k;

		if (m->recipients[indices[i]].route == m->recipients[indices[0]].route &&
		    !ret->domain.n)
			continue;
		k = route_key_of(m, indices[i]);
		if (!route_key_eq(&k, ret))
			return false;
	}
	return true;
}

struct sorted {
	struct route_key key;
	uint32_t index;
};

/* By key, then in the order of the envelope. */
static int sorted_cmp(const void *pa, const void *pb)
{
	const struct sorted *a = pa, *b = pb;
	int r;

	if (a->key.hash != b->key.hash)
		return a->key.hash < b->key.hash ? -1 : 1;
	if (!route_key_eq(&a->key, &b->key)) {	/* once in the life of the universe */
		r = str_cmp(a->key.route, b->key.route);
		return r ? r : str_cmp(a->key.domain, b->key.domain);
	}
	return a->index < b->index ? -1 : 1;
}

/* One job per key, or several where they are many; indices is scratch. Returns how many. */
static uint32_t split(struct schedule *s, struct message *m, uint32_t *indices, uint32_t n,
		      struct job **jobs)
{
	struct sorted *sorted = mem_calloc(n, sizeof(*sorted));
	uint32_t jobs_n = 0;

	for (uint32_t i = 0; i < n; i++)
		sorted[i] = (struct sorted){ route_key_of(m, indices[i]), indices[i] };
	qsort(sorted, n, sizeof(*sorted), sorted_cmp);
	for (uint32_t i = 0, from = 0; i < n; i++) {
		indices[i] = sorted[i].index;
		if (i + 1 < n && i + 1 - from < JOB_RECIPIENTS_MAX &&
		    route_key_eq(&sorted[i].key, &sorted[i + 1].key))
			continue;
		jobs[jobs_n++] =
			job_new(m, home_of(s, sorted[i].key.hash), indices + from, i + 1 - from);
		from = i + 1;
	}
	mem_free(sorted);
	return jobs_n;
}

/* Chains the jobs by home, then posts each chain: from then on they belong to their homes. */
static void send_all(struct schedule *s, struct job **jobs, uint32_t n)
{
	struct job **first = mem_calloc(s->homes_n, sizeof(struct job *));

	for (uint32_t i = 0; i < n; i++) {
		struct job **head = &first[jobs[i]->home];

		if (*head)
			list_push(&(*head)->in_queue, &jobs[i]->in_queue);
		else
			*head = jobs[i];
	}
	for (unsigned i = 0; i < s->homes_n; i++)
		if (first[i])
			send_home(s, first[i], &s->homes[i]);
	mem_free(first);
}

static void add_split(struct schedule *s, struct message *m, uint32_t *indices, uint32_t n)
{
	struct job **jobs = mem_calloc(n, sizeof(struct job *));
	uint32_t jobs_n = split(s, m, indices, n, jobs);

	link_jobs(m, jobs, jobs_n);
	send_all(s, jobs, jobs_n);
	mem_free(jobs);
}

void schedule_add_recipients(struct schedule *s, struct message *m, uint32_t *indices, uint32_t n)
{
	struct route_key k;

	if (n && n <= JOB_RECIPIENTS_MAX && is_one_key(m, indices, n, &k)) {
		struct home *h = home_of(s, k.hash);
		struct job *j = job_new(m, h, indices, n);

		link_jobs(m, &j, 1);
		send_home(s, j, h);
	} else if (n) {
		add_split(s, m, indices, n);
	}
}

void schedule_add(struct schedule *s, struct message *m)
{
	bool single = m->recipients_n == 1;	/* nearly always: no allocation */
	uint32_t one, *indices = single ? &one : mem_calloc(m->recipients_n, sizeof(one));

	atomic_store(&m->is_scheduled, true);
	schedule_add_recipients(s, m, indices, open_recipients(m, indices));
	if (!single)
		mem_free(indices);
}

static void on_settled(struct post *p)
{
	struct job *j = CONTAINER_OF(p, struct job, post);
	struct destination *d = j->destination;
	struct home *h = d->home;

	job_take(j, JOB_TRAVELLING);
	job_place(j, true, SECOND);
	destination_update(d);
	home_fill(h);
	home_arm(h);
}

void schedule_settled(struct schedule *s, struct job *job)
{
	(void)s;
	loop_post(job->destination->home->loop, &job->post, on_settled);
}
