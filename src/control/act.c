/*
 * act - relevo queue retry, hold, release, delete.
 *
 * What an operator decides is recorded in the spool first and only then carried out, so that it
 * survives a crash. Many messages share a batch: one sync for up to BATCH_MESSAGES of them.
 */
#include "control/answer.h"

#include "base/mem.h"
#include "report/log.h"

#define BATCH_MESSAGES 256
#define COMMIT_TRIES 10		/* a second apart, for what must not be left half done */

static void say(struct answer *a, const struct message *m, const char *text) SUSPENDS
{
	char id[ID_TEXT_MAX];

	id_format(id, &m->id);
	if (a->json) {
		json_begin(a);
		json_str(a, "id", str_of(id));
		json_str(a, "result", str_of(text));
		json_end(a);
		object_line(a);
		return;
	}
	buf_printf(&a->line, "%s: %s", id, text);
	answer_line(a);
}

static void say_failed(struct answer *a, const struct message *m, int error) SUSPENDS
{
	char id[ID_TEXT_MAX], text[128];

	buf_printf(&a->line, "%s: not done: the spool cannot record it: %s", id_format(id, &m->id),
		   strerror_r(-error, text, sizeof(text)));
	answer_error(a);
}

void queue_retry(struct answer *a, struct str words)
{
	struct selection s = { 0 };

	selection_words(&s, a, words);
	for (size_t i = 0; i < s.n; i++) {
		unsigned jobs = schedule_command(a->links->schedule, QUEUE_RETRY, s.at[i]);

		say(a, s.at[i], jobs ? "is tried again now" : "is held or being tried already");
	}
	json_done(a);
	selection_free(&s);
}

/* ---- hold and release */
static void record_flags(struct batch *b, struct message *m, bool hold)
{
	uint8_t flags, crashes;

	message_lock(m);
	flags = m->flags;
	crashes = m->crashes;
	message_unlock(m);
	if (hold)
		batch_flags(b, m, flags | MESSAGE_HELD, crashes);
	else	/* an operator who releases it means it: the crashes are forgotten */
		batch_flags(b, m, flags & (uint8_t)~(MESSAGE_HELD | MESSAGE_RESTORED), 0);
}

static void carry_out(struct answer *a, struct message *m, bool hold) SUSPENDS
{
	schedule_command(a->links->schedule, hold ? QUEUE_HOLD : QUEUE_RELEASE, m);
	log_begin(hold ? LOG_HELD : LOG_RELEASED);
	log_id("id", &m->id);
	log_cstr("why", "operator");
	log_end();
	say(a, m, hold ? "held" : "released");
}

static void hold_or_release(struct answer *a, struct str words, bool hold) SUSPENDS
{
	struct selection s = { 0 };

	selection_words(&s, a, words);
	for (size_t from = 0, to; from < s.n; from = to) {
		struct batch *b = batch_new(a->links->spool);
		int r;

		to = s.n - from > BATCH_MESSAGES ? from + BATCH_MESSAGES : s.n;
		for (size_t i = from; i < to; i++)
			record_flags(b, s.at[i], hold);
		r = spool_commit(a->links->spool, b);
		for (size_t i = from; i < to; i++) {
			if (r < 0)
				say_failed(a, s.at[i], r);
			else
				carry_out(a, s.at[i], hold);
		}
	}
	json_done(a);
	selection_free(&s);
}

void queue_hold(struct answer *a, struct str words)
{
	hold_or_release(a, words, true);
}

void queue_release(struct answer *a, struct str words)
{
	hold_or_release(a, words, false);
}

/* ---- delete */

static int record_deleted(struct answer *a, struct message *m, const struct outcome *out,
			  unsigned n) SUSPENDS
{
	int r = 0;

	for (int i = 0; i < COMMIT_TRIES; i++) {
		struct batch *b = batch_new(a->links->spool);

		batch_outcomes(b, m, out, n);
		r = spool_commit(a->links->spool, b);
		if (r == 0 || task_sleep_until(in_seconds(1)) < 0)
			break;
	}
	return r;
}

static void log_deleted(const struct message *m, const struct outcome *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		log_begin(LOG_DELETED);
		log_id("id", &m->id);
		log_str("to", recipient_address(m, out[i].recipient));
		log_end();
	}
	if (atomic_load(&m->open_n))
		return;
	log_begin(LOG_DONE);
	log_id("id", &m->id);
	log_end();
}

static void delete_one(struct answer *a, struct message *m) SUSPENDS
{
	const struct reply reply = REPLY(550, 5, 7, 1, "deleted by an operator");
	struct outcome *out = mem_calloc(m->recipients_n, sizeof(*out));
	uint32_t *indices = mem_calloc(m->recipients_n, sizeof(*indices));
	unsigned n, busy = 0;
	char text[100];
	int r;

	schedule_remove(a->links->schedule, m, &busy);
	n = schedule_jobless(a->links->schedule, m, indices);
	for (unsigned i = 0; i < n; i++)
		out[i] = (struct outcome){ .recipient = indices[i], .state = RECIPIENT_DELETED,
			.reply = reply };
	r = n ? record_deleted(a, m, out, n) : 0;
	if (r < 0) {	/* they keep their place in the queue (D9) */
		schedule_add_recipients(a->links->schedule, m, indices, n);
		say_failed(a, m, r);
	} else {
		log_deleted(m, out, n);
		snprintf(text, sizeof(text), busy ?
			 "%u recipient%s deleted; others are being delivered right now" :
			 "deleted, %u recipient%s", n, n == 1 ? "" : "s");
		say(a, m, text);
	}
	mem_free(indices);
	mem_free(out);
}

void queue_delete(struct answer *a, struct str words)
{
	struct selection s = { 0 };

	selection_words(&s, a, words);
	for (size_t i = 0; i < s.n && !task_is_cancelled(); i++)
		delete_one(a, s.at[i]);
	json_done(a);
	selection_free(&s);
}
