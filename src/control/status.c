/*
 * status - relevo queue status: the spool, what an operator suspended, and each destination.
 *
 * Destinations are told at their homes, on whose threads nothing may wait; so their lines are made
 * there, kept, and sent when all homes have been asked.
 */
#include "control/answer.h"

#include "base/arena.h"
#include "base/mem.h"

struct line {
	struct line *next;
	struct str text;
};

struct overview {
	/* its line is used to build, never sent, while homes are walked */
	struct answer *answer;
	struct arena arena;		/* owns the lines */
	struct line *first, **end;
};

static void keep(struct overview *o)
{
	struct line *l = arena_zalloc(&o->arena, sizeof(*l));

	l->text = arena_str(&o->arena, buf_str(&o->answer->line));
	*o->end = l;
	o->end = &l->next;
	buf_clear(&o->answer->line);
}

static void destination_json(struct answer *a, const struct destination_state *d)
{
	json_begin(a);
	json_str(a, "destination", str_of(d->name));
	json_str(a, "route", d->route);
	json_str(a, "provider", name_str(d->provider));
	json_str(a, "status", str_of(destination_status_name(d->status)));
	json_int(a, "ready", d->ready);
	json_int(a, "waiting", d->waiting);
	json_int(a, "held", d->held);
	json_int(a, "in_flight", d->in_flight);
	json_int(a, "connections", d->slots);
	json_int(a, "failures", d->failures);
	json_int(a, "messages", (int64_t)d->messages);
	if (d->rests_until_ms)
		json_time(a, "rests_until", d->rests_until_ms);
	json_str(a, "said", str_of(d->said));
	json_str(a, "last", str_of(d->last));
	json_end(a);
}

/* Beside the numbers: what it is doing, where that is no matter of course. */
static void add_status(struct answer *a, const struct destination_state *d)
{
	if (d->rests_until_ms && d->status == DESTINATION_RESTING) {
		buf_printf(&a->line, "; down after %u failure%s, next try in ", d->failures,
			   d->failures == 1 ? "" : "s");
		answer_age(a, d->rests_until_ms - loop_wall_ms());
	} else if (d->status != DESTINATION_IDLE && d->status != DESTINATION_BUSY) {
		buf_printf(&a->line, "; %s", destination_status_name(d->status));
	}
	if (d->said[0]) {
		buf_add_lit(&a->line, ": ");
		answer_value(a, str_of(d->said));
	}
}

static void destination_text(struct answer *a, const struct destination_state *d)
{
	answer_value(a, str_of(d->name));
	if (d->provider) {
		buf_add_lit(&a->line, " (");
		answer_value(a, name_str(d->provider));
		buf_add_lit(&a->line, ")");
	}
	buf_printf(&a->line, ": %u ready, %u waiting, %u held, %u being sent, %u connection%s",
		   d->ready, d->waiting, d->held, d->in_flight, d->slots, d->slots == 1 ? "" : "s");
	add_status(a, d);
}

/* At the homes of the destinations: on their threads, one after the other, while we wait. */
static void on_destination(void *arg, const struct destination_state *d)
{
	struct overview *o = arg;

	if (o->answer->json)
		destination_json(o->answer, d);
	else
		destination_text(o->answer, d);
	keep(o);
}

/* ---- the spool */

static void spool_text(struct answer *a, const struct spool_stats *s)
{
	answer_count(a, s->messages, "message");
	buf_add_lit(&a->line, " in the queue, ");
	answer_size(a, s->octets_on_disk);
	buf_add_lit(&a->line, " on disk in ");
	answer_count(a, s->segments, "segment");
	buf_add_str(&a->line, s->accepts ?
		    STR(".") : STR("; the spool is full: new mail is refused for now."));
}

static void spool_json(struct answer *a, const struct spool_stats *s)
{
	json_begin(a);
	json_int(a, "messages", (int64_t)s->messages);
	json_int(a, "segments", (int64_t)s->segments);
	json_int(a, "octets_on_disk", (int64_t)s->octets_on_disk);
	json_int(a, "octets_live", (int64_t)s->octets_live);
	json_int(a, "accepts", s->accepts);
	json_end(a);
}

static int spool_look(void *arg)
{
	struct overview *o = arg;
	struct spool_stats s;

	spool_stats(o->answer->links->spool, &s);
	if (o->answer->json)
		spool_json(o->answer, &s);
	else
		spool_text(o->answer, &s);
	keep(o);
	return 0;
}

/* ---- suspensions */

static void on_suspension(void *arg, const struct suspension *x)
{
	struct overview *o = arg;

	suspension_add(o->answer, x);
	keep(o);
}

void queue_status(struct answer *a, struct words *w)
{
	struct overview o = { .answer = a };

	if (w->from < w->n) {
		buf_add_lit(&a->line, "status takes no words");
		answer_error(a);
		a->code = 2;
		return;
	}
	o.end = &o.first;
	net_offload(spool_look, &o);
	schedule_suspensions(a->links->schedule, on_suspension, &o);
	schedule_destinations(a->links->schedule, on_destination, &o);
	for (struct line *l = o.first; l && !a->dead; l = l->next) {
		buf_add_str(&a->line, l->text);
		if (a->json)
			object_line(a);
		else
			answer_line(a);
	}
	json_done(a);
	arena_done(&o.arena);
}
