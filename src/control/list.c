/*
 * list - relevo queue list: what waits, where, why, and until when (promise D9).
 *
 * A snapshot: the queue goes on while it is made. Nothing borrowed is held across a wait: messages
 * are counted, and what may change is copied under the message's lock. Of each message the first
 * recipient that fits is told, and how many more there are.
 */
#include "control/select.h"

#include "base/mem.h"
#include "control/waiting.h"
#include "smtp/address.h"

/* Why it waits, where its home has nothing to add: what was said to it last. */
static void recall(struct message *m, struct waiting *w)
{
	const struct recipient *r = &m->recipients[w->first];

	message_lock(m);
	if (r->last)
		str_copy(w->job.said, sizeof(w->job.said),
			 utf8_cut(str_of(r->last), sizeof(w->job.said) - 1));
	message_unlock(m);
}

static void look(struct answer *a, const struct selection *s, struct message *m,
		 struct waiting *ret) SUSPENDS
{
	uint32_t *room = mem_calloc(m->recipients_n, sizeof(*room));

	*ret = (struct waiting){ .hold = waiting_hold(m) };
	ret->recipients = selection_recipients(s, m, room);
	ret->first = room[0];
	for (uint32_t i = 0; i < ret->recipients && !ret->has_job; i++)
		ret->has_job = schedule_job_state(a->links->schedule, m, room[i], &ret->job);
	if (ret->has_job && !ret->job.said[0])
		recall(m, ret);
	mem_free(room);
}

static void list_text(struct answer *a, const struct message *m, const struct waiting *w)
{
	char id[ID_TEXT_MAX];
	size_t at = a->line.n;

	buf_add_str(&a->line, str_of(id_format(id, &m->id)));
	answer_pad(a, at, 20);
	at = a->line.n;
	answer_size(a, m->size);
	answer_pad(a, at, 6);
	at = a->line.n;
	answer_age(a, loop_wall_ms() - m->arrived_ms);
	answer_pad(a, at, 5);
	at = a->line.n;
	waiting_add_next(a, w);
	answer_pad(a, at, 8);
	answer_value(a, waiting_sender(m));
	buf_add_lit(&a->line, " -> ");
	answer_value(a, recipient_address(m, w->first));
	if (w->recipients > 1)
		buf_printf(&a->line, " +%u", w->recipients - 1);
	buf_add_lit(&a->line, " by ");
	answer_value(a, w->has_job ? str_of(w->job.destination) : recipient_route(m, w->first));
	if (w->has_job && w->job.said[0]) {
		buf_add_lit(&a->line, ": ");
		answer_value(a, str_of(w->job.said));
	}
}

static void list_json(struct answer *a, const struct message *m, const struct waiting *w)
{
	char id[ID_TEXT_MAX];

	json_begin(a);
	json_str(a, "id", str_of(id_format(id, &m->id)));
	json_int(a, "size", (int64_t)m->size);
	json_time(a, "arrived", m->arrived_ms);
	json_str(a, "sender", waiting_sender(m));
	json_str(a, "tag", message_tag(m));
	json_int(a, "waiting", w->recipients);
	json_str(a, "recipient", recipient_address(m, w->first));
	json_int(a, "held", w->hold != NULL);
	json_str(a, "hold", str_of(w->hold));
	if (w->has_job)
		waiting_json(a, &w->job);
	json_end(a);
}

static void list_one(struct answer *a, const struct message *m, const struct waiting *w) SUSPENDS
{
	if (a->json) {
		list_json(a, m, w);
		object_line(a);
	} else {
		list_text(a, m, w);
		answer_line(a);
	}
}

static void list_all(struct answer *a, struct selection *s) SUSPENDS
{
	struct waiting *w = mem_alloc(sizeof(*w));
	uint64_t messages = 0, recipients = 0;

	if (s->n && !a->json) {
		buf_add_lit(&a->line, "ID                  SIZE  AGE  NEXT    SENDER -> "
				      "RECIPIENT by DESTINATION: WHY");
		answer_line(a);
	}
	for (size_t i = 0; i < s->n && !a->dead; i++) {
		look(a, s, s->at[i], w);
		recipients += w->recipients;
		messages += w->recipients > 0;
		if (w->recipients)	/* else it became final meanwhile */
			list_one(a, s->at[i], w);
	}
	if (!a->json) {
		answer_count(a, messages, "message");
		buf_add_lit(&a->line, ", ");
		answer_count(a, recipients, "recipient");
		buf_add_lit(&a->line, " waiting.");
		answer_line(a);
	}
	mem_free(w);
}

void queue_list(struct answer *a, struct words *w)
{
	struct selection s;

	if (!selection_make(&s, a, w, SELECT_ANY, NULL))
		return;
	list_all(a, &s);
	json_done(a);
	selection_free(&s);
}
