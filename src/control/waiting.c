/*
 * waiting - what several answers say of a message that waits; see waiting.h.
 */
#include "control/waiting.h"

/* The hold's name (D9), or NULL. */
const char *waiting_hold(struct message *m)
{
	uint8_t flags;

	message_lock(m);
	flags = m->flags;
	message_unlock(m);
	if (!(flags & MESSAGE_HELD))
		return NULL;
	return flags & MESSAGE_RESTORED ? "restored" : "held";
}

struct str waiting_sender(const struct message *m)
{
	return m->sender_n ? message_sender(m) : STR("<>");
}

void waiting_add_next(struct answer *a, const struct waiting *w)
{
	if (w->hold)
		buf_add_str(&a->line, str_of(w->hold));
	else if (!w->has_job)
		buf_add_lit(&a->line, "-");
	else if (strcmp(w->job.state, "suspended") == 0)
		buf_add_lit(&a->line, "suspended");
	else if (w->job.next_ms > loop_wall_ms())
		answer_age(a, w->job.next_ms - loop_wall_ms());
	else
		buf_add_str(&a->line, strcmp(w->job.state, "in-flight") == 0 ?
			    STR("sending") : STR("now"));
}

void answer_pad(struct answer *a, size_t from, size_t width)
{
	do
		buf_add_byte(&a->line, ' ');
	while (a->line.n < from + width && buf_ok(&a->line));
}

void waiting_json(struct answer *a, const struct job_state *job)
{
	json_str(a, "destination", str_of(job->destination));
	json_str(a, "job", str_of(job->state));
	json_time(a, "next", job->next_ms);
	json_str(a, "why", str_of(job->said));
}
