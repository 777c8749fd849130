/*
 * warning - one delayed notice for a message, whatever its destinations; see service.h.
 *
 * A message to many domains waits at many destinations, each with a job of its own and its own
 * deadline. The first whose warning is due makes the notice: it reports all recipients that are
 * still queued (RFC 3464 2.3 has a group of fields for each), and all of them are marked as warned
 * in the same batch, so the others find nothing left to tell. Two destinations that come to it at
 * the same moment, on two cores: one has the claim (message.is_being_warned), the other leaves its
 * recipients as they are, and their deadline comes again should the first one not get through.
 *
 * Marked is everybody; reported only who may be told of: not who asked for no such notice (NOTIFY),
 * not who goes by a route that never warns, not who is past his time, as he gets another notice.
 */
#include "bounce/service.h"

#include "base/mem.h"

bool warning_claim(struct warning *w, struct message *m)
{
	w->is_mine = !atomic_exchange(&m->is_being_warned, true);
	w->message = m;
	return w->is_mine;
}

static void add(struct warning *w, const struct config *c, uint32_t recipient)
{
	w->recipients[w->n++] = recipient;
	if (notice_may_warn(c, w->message, recipient, loop_wall_ms()))
		recall(w->message, recipient, &w->told[w->told_n++]);
}

void warning_collect(struct warning *w, const struct config *c, const struct outcome *named,
		     unsigned n)
{
	struct message *m = w->message;
	bool *is_named = mem_calloc(m->recipients_n, sizeof(*is_named));

	w->recipients = mem_calloc(m->recipients_n, sizeof(*w->recipients));
	w->told = mem_calloc(m->recipients_n, sizeof(*w->told));
	for (unsigned i = 0; i < n; i++)
		is_named[named[i].recipient] = true;
	for (uint32_t i = 0; i < m->recipients_n; i++) {
		bool open;

		message_lock(m);
		open = m->recipients[i].state == RECIPIENT_QUEUED && !m->recipients[i].warned;
		message_unlock(m);
		if (open && !is_named[i])
			add(w, c, i);
	}
	mem_free(is_named);
}

void warning_done(struct warning *w)
{
	for (unsigned i = 0; i < w->told_n; i++)
		mem_free(w->told[i].last);
	mem_free(w->told);
	mem_free(w->recipients);
	if (w->is_mine)
		atomic_store(&w->message->is_being_warned, false);
	*w = (struct warning){ 0 };
}
