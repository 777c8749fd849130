/*
 * act - relevo queue retry, hold, release: what is done to whole messages.
 *
 * What an operator decides is recorded in the spool first and only then carried out, so that it
 * survives a crash. Many messages share a batch: one sync for up to BATCH_MESSAGES of them. A
 * message is held or goes on as a whole: the query chooses it by any of its recipients.
 */
#include "control/act.h"

#include "base/mem.h"
#include "report/log.h"

#define BATCH_MESSAGES 256
#define NAMED_MAX 5		/* recipients that a line for people names */

/* ---- what is said */

void act_say(struct answer *a, const struct message *m, const char *text)
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

void act_say_failed(struct answer *a, const struct message *m, int error)
{
	char id[ID_TEXT_MAX], text[128];

	buf_printf(&a->line, "%s: not done: the spool cannot record it: %s", id_format(id, &m->id),
		   strerror_r(-error, text, sizeof(text)));
	answer_error(a);
}

static void dry_json(struct answer *a, const struct act *act, const struct message *m,
		     const uint32_t *recipients, uint32_t n) SUSPENDS
{
	char id[ID_TEXT_MAX];

	json_begin(a);
	json_str(a, "id", str_of(id_format(id, &m->id)));
	json_str(a, "would", str_of(act->verb));
	json_list(a, "recipients");
	for (uint32_t i = 0; i < n && !a->dead; i++) {
		if (i)
			json_next(a);
		json_element(a, recipient_address(m, recipients[i]));
	}
	buf_add_byte(&a->line, ']');
	json_end(a);
	object_line(a);
}

void act_say_dry(struct answer *a, struct act *act, const struct message *m,
		 const uint32_t *recipients, uint32_t n)
{
	char id[ID_TEXT_MAX];

	act->messages++;
	act->recipients += n;
	if (a->json) {
		dry_json(a, act, m, recipients, n);
		return;
	}
	buf_printf(&a->line, "%s: would be %s: ", id_format(id, &m->id), act->done);
	answer_value(a, m->sender_n ? message_sender(m) : STR("<>"));
	buf_add_lit(&a->line, " -> ");
	for (uint32_t i = 0; i < n && i < NAMED_MAX; i++) {
		if (i)
			buf_add_lit(&a->line, ", ");
		answer_value(a, recipient_address(m, recipients[i]));
	}
	if (n > NAMED_MAX)
		buf_printf(&a->line, " and %u more", n - NAMED_MAX);
	answer_line(a);
}

void act_end(struct answer *a, const struct act *act)
{
	if (a->json) {
		json_done(a);
		return;
	}
	answer_count(a, act->messages, "message");
	if (act->messages) {
		buf_add_lit(&a->line, " with ");
		answer_count(a, act->recipients, "recipient");
		buf_printf(&a->line, a->dry ? " would be %s; nothing was done." : " %s.",
			   act->done);
	} else {
		buf_add_str(&a->line, STR("."));
	}
	answer_line(a);
}

/* ---- messages with their recipients that wait: a hold is of all of them */

static uint32_t open_recipients(struct message *m, uint32_t *ret)
{
	uint32_t n = 0;

	message_lock(m);
	for (uint32_t i = 0; i < m->recipients_n; i++)
		if (m->recipients[i].state == RECIPIENT_QUEUED)
			ret[n++] = i;
	message_unlock(m);
	return n;
}

static void dry_run(struct answer *a, struct selection *s, struct act *act) SUSPENDS
{
	for (size_t i = 0; i < s->n && !a->dead; i++) {
		uint32_t *open = mem_calloc(s->at[i]->recipients_n, sizeof(*open));
		uint32_t n = open_recipients(s->at[i], open);

		if (n)
			act_say_dry(a, act, s->at[i], open, n);
		mem_free(open);
	}
}

static void count(struct act *act, const struct message *m)
{
	act->messages++;
	act->recipients += atomic_load(&m->open_n);
}

static void retry_all(struct answer *a, struct selection *s, struct act *act) SUSPENDS
{
	for (size_t i = 0; i < s->n && !task_is_cancelled(); i++) {
		unsigned jobs = schedule_command(a->links->schedule, QUEUE_RETRY, s->at[i]);

		if (jobs)
			count(act, s->at[i]);
		act_say(a, s->at[i],
			jobs ? "is tried again now" : "is held or being tried already");
	}
}

void queue_retry(struct answer *a, struct words *w)
{
	struct act act = { .verb = "retry", .done = "tried again" };
	struct selection s;

	if (!selection_make(&s, a, w, SELECT_NAMED, NULL))
		return;
	if (a->dry)
		dry_run(a, &s, &act);
	else
		retry_all(a, &s, &act);
	act_end(a, &act);
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

static void carry_out(struct answer *a, struct act *act, struct message *m, bool hold) SUSPENDS
{
	uint32_t n = atomic_load(&m->open_n);
	char text[64];

	schedule_command(a->links->schedule, hold ? QUEUE_HOLD : QUEUE_RELEASE, m);
	log_begin(hold ? LOG_HELD : LOG_RELEASED);
	log_id("id", &m->id);
	log_cstr("why", "operator");
	log_end();
	count(act, m);
	if (n > 1)
		snprintf(text, sizeof(text), "%s, with all its %u recipients", act->done, n);
	else
		str_copy(text, sizeof(text), str_of(act->done));
	act_say(a, m, text);
}

static void carry_out_all(struct answer *a, struct selection *s, struct act *act, bool hold)
	SUSPENDS
{
	for (size_t from = 0, to; from < s->n && !task_is_cancelled(); from = to) {
		struct batch *b = batch_new(a->links->spool);
		int r;

		to = s->n - from > BATCH_MESSAGES ? from + BATCH_MESSAGES : s->n;
		for (size_t i = from; i < to; i++)
			record_flags(b, s->at[i], hold);
		r = spool_commit(a->links->spool, b);
		for (size_t i = from; i < to; i++) {
			if (r < 0)
				act_say_failed(a, s->at[i], r);
			else
				carry_out(a, act, s->at[i], hold);
		}
	}
}

static void hold_or_release(struct answer *a, struct words *w, bool hold) SUSPENDS
{
	struct act act = { .verb = hold ? "hold" : "release", .done = hold ? "held" : "released" };
	struct selection s;

	if (!selection_make(&s, a, w, SELECT_NAMED, NULL))
		return;
	if (a->dry)
		dry_run(a, &s, &act);
	else
		carry_out_all(a, &s, &act, hold);
	act_end(a, &act);
	selection_free(&s);
}

void queue_hold(struct answer *a, struct words *w)
{
	hold_or_release(a, w, true);
}

void queue_release(struct answer *a, struct words *w)
{
	hold_or_release(a, w, false);
}
