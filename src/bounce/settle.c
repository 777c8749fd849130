/*
 * settle - where every outcome goes: judged, told, recorded, logged; see bounce.h.
 *
 * In order: each outcome is judged (notice_policy.c: who has failed for good, what is due); for
 * each kind of notice that is due the addressee is found - the sender by the rules, as if a local
 * client sent it from the null sender; the postmaster if the sender cannot be told of a failure -
 * and the limit is asked; then notices and outcomes go into one batch (D2). If the spool refuses,
 * all of it is made anew 5 s later, until it is taken or the task is cancelled: an outcome that is
 * not recorded is delivered again, one that is wrong would be lost mail.
 *
 * A notice about a bounce never goes to a sender. About a notice to the postmaster nobody is told:
 * there the chain ends. Suspends in the spool's calls and the pause.
 */
#include "bounce/service.h"

#include "base/mem.h"
#include "mail/trace.h"
#include "policy/policy.h"
#include "report/log.h"

#include <errno.h>

#define PAUSE_S 5	/* before the spool is tried again */

/* Where the notice of one kind goes. */
struct addressee {
	bool is_due;
	bool to_postmaster;
	struct str to, route;
};

struct settling {
	struct bounce *bounce;
	struct config *config;		/* counted */
	struct message *message;	/* borrowed */
	struct outcome *outcomes;	/* borrowed */
	unsigned n;
	struct addressee addressees[NOTICE_KINDS];
	struct message *notices[NOTICE_KINDS];	/* counted */
	struct verdict_row {
		int due;		/* enum notice_kind, or NOTICE_NONE */
		bool is_expired;
		bool was_attempted;
	} rows[];			/* for each outcome */
};

struct bounce *bounce_new(struct net *n, struct spool *s)
{
	struct bounce *b = mem_zalloc(sizeof(*b));

	b->net = n;
	b->spool = s;
	pthread_mutex_init(&b->lock, NULL);
	b->deadlines = mem_calloc(net_workers(n), sizeof(*b->deadlines));
	for (unsigned i = 0; i < net_workers(n); i++)
		task_group_init(&b->deadlines[i]);
	return b;
}

void bounce_set_schedule(struct bounce *b, struct schedule *s)
{
	b->schedule = s;
}

void bounce_free(struct bounce *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	mem_free(b->deadlines);
	mem_free(b);
}

/* ---- judging */

/* Delivered mail, the usual case, pays for no random number. */
static int64_t retry_ms(const struct settling *s, unsigned failures)
{
	uint32_t noise;
	bool waits = false;

	for (unsigned i = 0; i < s->n; i++)
		waits |= s->outcomes[i].state == RECIPIENT_QUEUED;
	if (!waits)
		return 0;
	world_self()->random(world_self(), &noise, sizeof(noise));
	return (int64_t)(retry_wait_ns(s->config, failures ? failures : 1, noise) / MILLISECOND);
}

static void judge_all(struct settling *s, unsigned failures)
{
	struct judgement j = {
		.config = s->config,
		.message = s->message,
		.now_ms = loop_wall_ms(),
		.retry_ms = retry_ms(s, failures),
	};

	for (unsigned i = 0; i < s->n; i++) {
		struct outcome *o = &s->outcomes[i];
		const struct recipient *r = &s->message->recipients[o->recipient];

		message_lock(s->message);
		j.was_warned = r->warned;
		j.next_ms = r->next_ms;
		message_unlock(s->message);
		s->rows[i].was_attempted = o->attempted;
		s->rows[i].due = notice_judge(&j, o, &s->rows[i].is_expired);
		if (s->rows[i].is_expired && !o->reply.code && !o->reply.text.n)
			o->reply.text = STR("not delivered in time");
	}
}

/* ---- whom to tell */

static void log_suppressed(const struct settling *s, enum notice_kind kind, const char *why)
{
	log_begin(LOG_NOTICE_SUPPRESSED);
	log_id("id", &s->message->id);
	log_cstr("kind", notice_kind_name(kind));
	log_str("sender", message_sender(s->message));
	log_cstr("why", why);
	log_end();
}

/* Which way mail of our own goes to an address. False: no rule takes it. */
static bool find_route(const struct config *c, struct str address, struct addressee *ret)
{
	const struct endpoint here = { 0 };
	const struct address null_sender = { 0 }, recipient = address_split(address);
	struct decision decision = { 0 };
	struct client client;

	client_init(&client, &here);
	policy_decide(c, &client, &null_sender, &recipient, &decision);
	if (decision.verdict != VERDICT_ACCEPT || !decision.route)
		return false;
	ret->to = decision.recipient.n ? decision.recipient : address;
	ret->route = decision.route->name;
	return true;
}

static bool find_postmaster(const struct settling *s, struct addressee *ret, const char **ret_why)
{
	const struct config *c = s->config;

	ret->to_postmaster = true;
	if (!c->postmaster.n) {
		*ret_why = "no-postmaster";
		return false;
	}
	if (notice_is_for_postmaster(c, s->message)) {
		*ret_why = "about-postmaster-notice";
		return false;
	}
	if (!c->postmaster_route) {
		bool found = find_route(c, c->postmaster, ret);

		if (!found)
			*ret_why = "no-route-to-postmaster";
		return found;
	}
	ret->to = c->postmaster;
	ret->route = c->postmaster_route->name;
	return true;
}

/* The sender; of a failure that the sender cannot be told, the postmaster. */
static bool find_addressee(const struct settling *s, enum notice_kind kind, struct addressee *ret,
			   const char **ret_why)
{
	bool known = notice_has_addressee(s->message);

	if (known && find_route(s->config, message_sender(s->message), ret))
		return true;
	if (kind == NOTICE_FAILED)
		return find_postmaster(s, ret, ret_why);
	*ret_why = known ? "no-route-to-sender" : "no-sender";
	return false;
}

static bool is_within_limit(const struct settling *s, const struct addressee *a)
{
	struct bounce *b = s->bounce;
	bool fits;

	pthread_mutex_lock(&b->lock);
	fits = limits_take(&b->limits, a->to, s->config->queue.notices_max, loop_wall_ms());
	pthread_mutex_unlock(&b->lock);
	return fits;
}

static void find_addressees(struct settling *s)
{
	bool wanted[NOTICE_KINDS] = { false }, unwanted = false;

	for (unsigned i = 0; i < s->n; i++) {
		if (s->rows[i].due != NOTICE_NONE)
			wanted[s->rows[i].due] = true;
		else if (s->outcomes[i].state == RECIPIENT_FAILED)
			unwanted = true;
	}
	for (int kind = 0; kind < NOTICE_KINDS; kind++) {
		struct addressee *a = &s->addressees[kind];
		const char *why = "limit";

		if (!wanted[kind])
			continue;
		a->is_due =
			find_addressee(s, (enum notice_kind)kind, a, &why) && is_within_limit(s, a);
		if (!a->is_due)
			log_suppressed(s, (enum notice_kind)kind, why);
	}
	if (unwanted)
		log_suppressed(s, NOTICE_FAILED, "notify");
}

/* ---- recording */

static struct notice_recipient report_on(const struct settling *s, unsigned i)
{
	const struct outcome *o = &s->outcomes[i];

	return (struct notice_recipient){
		.address = recipient_address(s->message, o->recipient),
		.orcpt = recipient_orcpt(s->message, o->recipient),
		.state = o->state,
		.status = notice_status(o->state, &o->reply, s->rows[i].is_expired),
		.reply = o->reply,
		.host = o->host,
		.last_attempt_ms = o->attempted ? loop_wall_ms() : 0,
		.will_retry_until_ms = notice_expiry_ms(s->config, s->message, o->recipient),
	};
}

static int compose(struct settling *s, enum notice_kind kind) SUSPENDS
{
	const struct addressee *a = &s->addressees[kind];
	struct notice_recipient *recipients = mem_calloc(s->n, sizeof(*recipients));
	struct notice_order order = {
		.config = s->config,
		.about = s->message,
		.kind = kind,
		.to_postmaster = a->to_postmaster,
		.to = a->to,
		.route = a->route,
		.recipients = recipients,
	};
	int r;

	for (unsigned i = 0; i < s->n; i++) {
		if (s->rows[i].due != (int)kind)
			continue;
		recipients[order.recipients_n] = report_on(s, i);
		if (recipients[order.recipients_n].will_retry_until_ms == INT64_MAX)
			recipients[order.recipients_n].will_retry_until_ms = 0;
		order.recipients_n++;
	}
	r = notice_compose(s->bounce->spool, &order, &s->notices[kind]);
	mem_free(recipients);
	return r;
}

static void drop_notices(struct settling *s)
{
	for (int kind = 0; kind < NOTICE_KINDS; kind++) {
		message_unref(s->notices[kind]);
		s->notices[kind] = NULL;
	}
}

/* One try: everything in one batch. */
static int record(struct settling *s) SUSPENDS
{
	struct bounce *b = s->bounce;
	bool has_notice = false;
	struct batch *batch;
	int r;

	for (int kind = 0; kind < NOTICE_KINDS; kind++) {
		if (!s->addressees[kind].is_due)
			continue;
		if ((r = compose(s, (enum notice_kind)kind)) < 0)
			return r;
		has_notice = true;
	}
	batch = batch_new(b->spool);
	for (int kind = 0; kind < NOTICE_KINDS; kind++)
		if (s->notices[kind])
			batch_message(batch, s->notices[kind]);
	batch_outcomes(batch, s->message, s->outcomes, s->n);
	return has_notice ? spool_commit(b->spool, batch) : spool_note(b->spool, batch);
}

static int record_until_taken(struct settling *s) SUSPENDS
{
	bool told = false;
	int r;

	while ((r = record(s)) < 0) {
		drop_notices(s);
		if (r == -ECANCELED)
			return r;
		if (!told) {
			log_begin(LOG_WARNING);
			log_cstr("what", "an outcome cannot be recorded; trying again");
			log_id("id", &s->message->id);
			log_errno("error", r);
			log_end();
			told = true;
		}
		if (task_sleep_until(in_seconds(PAUSE_S)) < 0)
			return -ECANCELED;
	}
	return 0;
}

/* ---- saying so */

/* LOG_EVENTS_N: nothing worth a line. */
static enum log_event event_of(const struct outcome *o, const struct verdict_row *row)
{
	switch (o->state) {
	case RECIPIENT_QUEUED:
		return row->was_attempted ? LOG_DEFERRED : LOG_EVENTS_N;
	case RECIPIENT_DELIVERED:
		return LOG_DELIVERED;
	case RECIPIENT_RELAYED:
		return LOG_RELAYED;
	case RECIPIENT_FAILED:
		return LOG_BOUNCED;
	case RECIPIENT_DELETED:
		return LOG_DELETED;
	case RECIPIENT_DISCARDED:
		break;
	}
	return LOG_EVENTS_N;
}

static void log_age(const struct message *m)
{
	int64_t age_ms = loop_wall_ms() - m->arrived_ms;

	log_ms("delay", age_ms > 0 ? (uint64_t)age_ms * MILLISECOND : 0);
}

static void log_time(const char *key, int64_t time_ms)
{
	struct buf text = BUF_INIT(64);

	timestamp_format(&text, time_ms);
	log_str(key, buf_str(&text));
	buf_done(&text);
}

static void log_outcome(const struct settling *s, unsigned i)
{
	const struct outcome *o = &s->outcomes[i];
	struct message *m = s->message;
	enum log_event event = event_of(o, &s->rows[i]);
	unsigned attempts;

	if (event == LOG_EVENTS_N)
		return;
	message_lock(m);
	attempts = m->recipients[o->recipient].attempts;
	message_unlock(m);
	log_begin(event);
	log_id("id", &m->id);
	log_str("to", recipient_address(m, o->recipient));
	log_str("host", o->host);
	log_reply("reply", &o->reply);
	if (s->rows[i].is_expired)
		log_cstr("why", "expired");
	log_u64("attempts", attempts);
	log_age(m);
	if (o->state == RECIPIENT_QUEUED)
		log_time("next", o->next_ms);
	log_end();
}

static void log_notice(const struct settling *s, enum notice_kind kind)
{
	log_begin(LOG_NOTICE);
	log_id("id", &s->notices[kind]->id);
	log_cstr("kind", notice_kind_name(kind));
	log_id("about", &s->message->id);
	log_str("to", s->addressees[kind].to);
	log_str("route", s->addressees[kind].route);
	log_end();
}

/* Several calls may see the last recipient go; one of them says so. */
static bool is_done_now(struct message *m)
{
	bool first;

	if (atomic_load(&m->open_n))
		return false;
	message_lock(m);
	first = !(m->flags & MESSAGE_DONE_TOLD);
	m->flags |= MESSAGE_DONE_TOLD;
	message_unlock(m);
	return first;
}

static void log_all(const struct settling *s)
{
	for (unsigned i = 0; i < s->n; i++)
		log_outcome(s, i);
	for (int kind = 0; kind < NOTICE_KINDS; kind++)
		if (s->notices[kind])
			log_notice(s, (enum notice_kind)kind);
	if (!is_done_now(s->message))
		return;
	log_begin(LOG_DONE);
	log_id("id", &s->message->id);
	log_str("sender", message_sender(s->message));
	log_u64("recipients", s->message->recipients_n);
	log_u64("size", s->message->size);
	log_age(s->message);
	log_end();
}

static unsigned count_queued(const struct settling *s)
{
	unsigned queued = 0;

	for (unsigned i = 0; i < s->n; i++)
		queued += s->outcomes[i].state == RECIPIENT_QUEUED;
	return queued;
}

int bounce_settle(struct bounce *b, struct message *m, struct outcome *outcomes, unsigned n,
		  unsigned failures)
{
	struct settling *s = mem_zalloc(size_add(sizeof(*s), size_mul(n, sizeof(s->rows[0]))));
	int r;

	s->bounce = b;
	s->config = config_current();
	s->message = m;
	s->outcomes = outcomes;
	s->n = n;
	judge_all(s, failures);
	find_addressees(s);
	r = record_until_taken(s);
	if (r == 0) {
		log_all(s);
		for (int kind = 0; kind < NOTICE_KINDS; kind++)
			if (s->notices[kind])
				schedule_add(b->schedule, s->notices[kind]);
		r = (int)count_queued(s);
	}
	drop_notices(s);
	config_unref(s->config);
	mem_free(s);
	return r;
}
