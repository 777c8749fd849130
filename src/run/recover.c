/*
 * recover - what the spool found at start goes to the scheduler; what was there when a worker
 * died twice is held.
 *
 * The count of crashes per message is recorded in the spool before the message can be tried
 * again, so that it survives the supervisor too; only then is the shared table cleared.
 */
#include "run/worker.h"

#include "base/mem.h"
#include "control/on_loop.h"
#include "report/log.h"

void recovered_take(void *arg, struct message *m)
{
	struct recovered *r = arg;

	if (r->n == r->size) {
		r->size = r->size ? size_mul(r->size, 2) : 256;
		r->at = mem_realloc(r->at, size_mul(r->size, sizeof(struct message *)));
	}
	r->at[r->n++] = message_ref(m);
}

struct verdicts {
	struct recovered *recovered;
	struct worker *worker;
	bool failed;
};

static void log_held(const struct message *m, unsigned crashes)
{
	log_begin(LOG_HELD);
	log_id("id", &m->id);
	log_cstr("why", "it was being worked on when the worker died");
	log_u64("crashes", crashes);
	log_end();
}

static void record_one(struct batch *b, struct message *m, uint32_t crashes)
{
	unsigned total = m->crashes + crashes;
	uint8_t flags;

	message_lock(m);
	flags = m->flags;
	message_unlock(m);
	if (total > UINT8_MAX)
		total = UINT8_MAX;
	if (total >= CRASHES_UNTIL_HELD)
		flags |= MESSAGE_HELD;
	batch_flags(b, m, flags, (uint8_t)total);
	if (flags & MESSAGE_HELD)
		log_held(m, total);
}

static void record_task(void *arg) /* SUSPENDS: a task's entry */
{
	struct verdicts *v = arg;
	const struct crash_page *page = v->worker->start->page;
	struct batch *b = batch_new(v->worker->spool);

	for (size_t i = 0; i < v->recovered->n; i++) {
		struct message *m = v->recovered->at[i];
		uint32_t crashes = crash_count(page, &m->id);

		if (crashes)
			record_one(b, m, crashes);
	}
	v->failed = spool_commit(v->worker->spool, b) < 0;
}

void recovered_schedule(struct recovered *r, struct worker *w)
{
	struct verdicts v = { .recovered = r, .worker = w };

	if (crash_has_suspects(w->start->page)) {
		on_loop(w->net, 0, record_task, &v);
		if (!v.failed)
			crash_clear_suspects(w->start->page);
	}
	for (size_t i = 0; i < r->n; i++) {
		schedule_add(w->schedule, r->at[i]);
		message_unref(r->at[i]);
	}
	mem_free(r->at);
	*r = (struct recovered){ 0 };
}
