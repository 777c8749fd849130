/*
 * learn - what a way's other side says, put into its lane (lane.h) and into the log.
 *
 * The log lines name the hop: the provider, or the destination if it belongs to none.
 */
#include "schedule/way.h"

#include "base/mem.h"
#include "report/log.h"
#include "smtp/address.h"

#define WHY_MAX 160

static void note(struct learnt *x, enum lane_news news, const struct lane *l)
{
	if (news == LANE_SAME)
		return;
	x->news = news;
	x->connections = l->allowed;
	x->gap = l->gap;
}

/* Room may have come, or the time of the next opening may have changed. */
static void serve(struct way *w, uint64_t now)
{
	struct track *t = w->track;

	if (t->connections.waiting)
		line_serve(w->limits, &t->connections, now);
	if (t->pace.waiting)
		line_serve(w->limits, &t->pace, now);
}

static void keep_why(struct track *t, struct str said)
{
	mem_free(t->why);
	t->why = said.n ? str_dup(utf8_cut(said, WHY_MAX)) : NULL;
}

void learn_age(struct way *w, uint64_t now, struct learnt *ret)
{
	enum lane_news news = lane_age(&w->track->lane, now);

	if (news == LANE_SAME)
		return;
	note(ret, news, &w->track->lane);
	if (!w->track->lane.before)
		keep_why(w->track, STR_NONE);
	ret->why = STR("nothing was heard of it for a while");
	serve(w, now);
}

void learn_tell(const struct way *w, const struct learnt *x)
{
	static const enum log_event events[] = {
		[LANE_SLOWED] = LOG_SLOWED,
		[LANE_QUICKENED] = LOG_QUICKENED,
		[LANE_PAUSED] = LOG_PAUSED,
	};
	const struct place *p = &w->track->place;

	if (x->news == LANE_SAME)
		return;
	log_begin(events[x->news]);
	if (p->provider)
		log_str("provider", name_str(p->provider));
	else
		log_str("destination", p->destination);
	log_str("source", name_str(p->source));
	if (x->news == LANE_PAUSED) {
		log_ms("ms", x->paused);
	} else {
		log_u64("connections", x->connections);
		log_ms("gap", x->gap);
	}
	log_str("why", x->why);
	log_end();
}

void way_works(struct way *w)
{
	struct limits *l = w->limits;
	struct learnt learnt = { .why = STR("messages go well") };
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	note(&learnt, lane_works(&w->track->lane, now), &w->track->lane);
	if (learnt.news == LANE_QUICKENED && !w->track->lane.before)
		keep_why(w->track, STR_NONE);
	serve(w, now);
	pthread_mutex_unlock(&l->lock);
	if (learnt.news != LANE_SAME)
		learn_tell(w, &learnt);
}

bool way_refused(struct way *w, struct str said)
{
	struct limits *l = w->limits;
	struct learnt learnt = { .why = said };
	uint64_t now;
	bool means;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	note(&learnt, lane_refused(&w->track->lane, now, &means), &w->track->lane);
	if (learnt.news == LANE_SLOWED)
		keep_why(w->track, said);
	pthread_mutex_unlock(&l->lock);
	learn_tell(w, &learnt);
	return means;
}

void way_slow(struct way *w, struct str said)
{
	struct limits *l = w->limits;
	struct learnt learnt = { .why = said };
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	note(&learnt, lane_slow(&w->track->lane, now), &w->track->lane);
	if (learnt.news == LANE_SLOWED)
		keep_why(w->track, said);
	serve(w, now);
	pthread_mutex_unlock(&l->lock);
	learn_tell(w, &learnt);
}

void way_close(struct way *w, uint64_t ns, struct str said)
{
	struct limits *l = w->limits;
	struct learnt learnt = { .why = said, .paused = ns };
	uint64_t now;

	pthread_mutex_lock(&l->lock);
	now = l->world->now(l->world);
	note(&learnt, lane_close(&w->track->lane, now, ns), &w->track->lane);
	if (learnt.news == LANE_PAUSED) {
		keep_why(w->track, said);
		/* they may have another source to go by: nobody waits here for it to open */
		line_call_all(l, &w->track->connections);
		line_call_all(l, &w->track->pace);
	}
	serve(w, now);
	pthread_mutex_unlock(&l->lock);
	learn_tell(w, &learnt);
}
