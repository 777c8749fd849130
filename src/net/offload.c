/*
 * offload - work that blocks, done by a few pool threads while the task waits; see net_offload in
 * loop.h.
 *
 * One queue and one lock for all loops: a job costs microseconds at least (an fsync, a password
 * hash), so the lock is no matter. A worker is an actor whose step does one job; which idle worker
 * is woken is last in, first out, so that a pool larger than needed leaves its other threads
 * asleep. The job lies on the waiting task's stack: that is why this wait cannot be cancelled.
 */
#include "net/inner.h"

#include "base/mem.h"

struct job {
	struct list link;
	struct post post;		/* back to the loop */
	int (*fn)(void *arg);
	void *arg;
	int result;
	struct loop *loop;
	struct task *task;
};

static void on_done(struct post *p)
{
	task_signal(CONTAINER_OF(p, struct job, post)->task, WAKE_OFFLOAD);
}

/* The next job; NULL: none, and the worker is among the idle ones, or ends (*ret_stop). */
static struct job *next_job(struct worker *worker, bool *ret_stop)
{
	struct pool *p = worker->pool;
	struct list *at;

	pthread_mutex_lock(&p->lock);
	at = list_pop(&p->jobs);
	*ret_stop = p->stopping;
	if (worker->idle)
		list_remove(&worker->link);
	worker->idle = !at;
	if (worker->idle)
		list_push_front(&p->idle, &worker->link);
	pthread_mutex_unlock(&p->lock);
	return at ? LIST_ENTRY(at, struct job, link) : NULL;
}

static int64_t worker_step(void *arg)
{
	struct worker *worker = arg;
	bool stop;
	struct job *job = next_job(worker, &stop);

	if (!job)
		return stop ? STEP_DONE : STEP_IDLE;
	job->result = job->fn(job->arg);
	loop_post(job->loop, &job->post, on_done);
	return STEP_AGAIN;
}

static struct worker *idle_worker(struct pool *p)	/* under the lock */
{
	struct list *at = list_pop(&p->idle);
	struct worker *worker = at ? LIST_ENTRY(at, struct worker, link) : NULL;

	if (worker)
		worker->idle = false;
	return worker;
}

static void submit(struct pool *p, struct job *job)
{
	struct worker *worker;

	pthread_mutex_lock(&p->lock);
	list_push(&p->jobs, &job->link);
	worker = idle_worker(p);
	pthread_mutex_unlock(&p->lock);
	if (worker)
		p->world->actor_wake(p->world, worker->actor);
}

int net_offload(int (*fn)(void *arg), void *arg)
{
	struct task *t = task_self();
	struct job job = { .fn = fn, .arg = arg, .task = t };

	if (!t || t->loop->net->pool.n == 0)
		return fn(arg);
	job.loop = t->loop;
	submit(&t->loop->net->pool, &job);
	task_wait_for_uncancellable(WAKE_OFFLOAD);
	return job.result;
}

void offload_init(struct pool *p, struct world *w, unsigned n)
{
	pthread_mutex_init(&p->lock, NULL);
	list_init(&p->jobs);
	list_init(&p->idle);
	p->world = w;
	p->n = n;
	p->workers = mem_calloc(n, sizeof(*p->workers));
}

void offload_start(struct pool *p)
{
	char name[16];

	for (unsigned i = 0; i < p->n; i++) {
		struct worker *worker = &p->workers[i];

		worker->pool = p;
		list_init(&worker->link);
		snprintf(name, sizeof(name), "pool %u", i % 10000);
		worker->actor = p->world->actor_start(p->world, name, worker_step, worker);
	}
}

void offload_done(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n; i++) {
		if (!p->workers[i].actor)
			continue;
		p->world->actor_wake(p->world, p->workers[i].actor);
		p->world->actor_join(p->world, p->workers[i].actor);
	}
	pthread_mutex_destroy(&p->lock);
	mem_free(p->workers);
}
