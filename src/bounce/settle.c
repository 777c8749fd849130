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
	bool is_return;			/* by an operator */
	bool is_logged;
	struct warning warning;
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

/*
 * Those that wait by one route wait as long: mostly that of the one before. Delivered mail, the
 * usual case, pays for no random number.
 */
struct wait {
	const struct name *route;
	int64_t ms;		/* 0: not known yet */
};

static int64_t retry_ms(const struct settling *s, const struct outcome *o, unsigned failures,
			struct wait *known)
{
	const struct name *name = recipient_route_name(s->message, o->recipient);
	const struct route *route;
	uint32_t noise;

	if (o->state != RECIPIENT_QUEUED || (known->ms && known->route == name))
		return known->ms;
	world_self()->random(world_self(), &noise, sizeof(noise));
	route = config_route(s->config, name_str(name));
	known->route = name;
	known->ms = (int64_t)(retry_wait_ns(s->config, route, failures ? failures : 1, noise) /
			      MILLISECOND);
	return known->ms;
}

static void judge_all(struct settling *s, unsigned failures)
{
	struct judgement j = {
		.config = s->config,
		.message = s->message,
		.now_ms = loop_wall_ms(),
	};
	struct wait wait = { 0 };

	for (unsigned i = 0; i < s->n; i++) {
		struct outcome *o = &s->outcomes[i];
		const struct recipient *r = &s->message->recipients[o->recipient];

		message_lock(s->message);
		j.was_warned = r->warned;
		j.next_ms = r->next_ms;
		message_unlock(s->message);
		j.retry_ms = retry_ms(s, o, failures, &wait);
		s->rows[i].was_attempted = o->attempted;
		s->rows[i].due = notice_judge(&j, o, &s->rows[i].is_expired);
		if (s->rows[i].is_expired && !o->reply.code && !o->reply.text.n)
			o->reply.text = STR("not delivered in time");
	}
}

/* ---- the delayed notice: one for the message */

static bool is_warned(struct message *m, uint32_t recipient)
{
	bool warned;

	message_lock(m);
	warned = m->recipients[recipient].warned;
	message_unlock(m);
	return warned;
}

/*
 * If one is due: it is ours to make, or another task is at it, or was a moment ago. If it is at it
 * our recipients are left unmarked: it marks them when its notice is recorded, and if that fails
 * their deadline comes again.
 */
static void claim_warning(struct settling *s)
{
	bool due = false, is_mine;

	for (unsigned i = 0; i < s->n; i++)
		due |= s->rows[i].due == NOTICE_DELAYED;
	if (!due)
		return;
	due = false;
	is_mine = warning_claim(&s->warning, s->message);
	for (unsigned i = 0; i < s->n; i++) {
		struct verdict_row *row = &s->rows[i];

		if (row->due != NOTICE_DELAYED)
			continue;
		if (is_mine && !is_warned(s->message, s->outcomes[i].recipient)) {
			due = true;
			continue;
		}
		row->due = NOTICE_NONE;
		s->outcomes[i].warned = is_mine;
	}
	if (!due)
		return;
	warning_collect(&s->warning, s->config, s->outcomes, s->n);
	for (unsigned i = 0; i < s->n; i++)
		s->outcomes[i].warned |= s->outcomes[i].state == RECIPIENT_QUEUED;
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
	fits = quota_take(&b->quota, a->to, s->config->queue.notices_max, loop_wall_ms());
	pthread_mutex_unlock(&b->lock);
	return fits;
}

/* What was counted and then not made: an operator may try again. */
static void give_back(struct settling *s)
{
	struct bounce *b = s->bounce;

	pthread_mutex_lock(&b->lock);
	for (int kind = 0; kind < NOTICE_KINDS; kind++)
		if (s->addressees[kind].is_due)
			quota_give_back(&b->quota, s->addressees[kind].to, loop_wall_ms());
	pthread_mutex_unlock(&b->lock);
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

static struct notice_recipient report_on(const struct settling *s, const struct outcome *o,
					 bool is_expired)
{
	int64_t until_ms = notice_expiry_ms(s->config, s->message, o->recipient);

	return (struct notice_recipient){
		.address = recipient_address(s->message, o->recipient),
		.orcpt = recipient_orcpt(s->message, o->recipient),
		.state = o->state,
		.status = notice_status(o->state, &o->reply, is_expired),
		.reply = o->reply,
		.host = o->host,
		.last_attempt_ms = o->attempted ? loop_wall_ms() : 0,
		.will_retry_until_ms = until_ms == INT64_MAX ? 0 : until_ms,
	};
}

static int compose(struct settling *s, enum notice_kind kind) SUSPENDS
{
	const struct addressee *a = &s->addressees[kind];
	unsigned others = kind == NOTICE_DELAYED ? s->warning.told_n : 0;
	struct notice_recipient *recipients = mem_calloc(s->n + others, sizeof(*recipients));
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
		if (s->rows[i].due == (int)kind)
			recipients[order.recipients_n++] =
				report_on(s, &s->outcomes[i], s->rows[i].is_expired);
	}
	for (unsigned i = 0; i < others; i++)
		recipients[order.recipients_n++] = report_on(s, &s->warning.told[i].outcome, false);
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

static void log_all(struct settling *s);

/* What is recorded in the next try is this one attempt, not another. */
static void now_applied(struct settling *s)
{
	log_all(s);
	for (unsigned i = 0; i < s->n; i++)
		s->outcomes[i].attempted = false;
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
	if (s->warning.n)
		batch_warned(batch, s->message, s->warning.recipients, s->warning.n);
	/* A note that fails is applied all the same: an operator shall be told that nothing was. */
	if (has_notice || s->is_return)
		return spool_commit(b->spool, batch);
	r = spool_note(b->spool, batch);
	if (r < 0)
		now_applied(s);
	return r;
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
static enum log_event event_of(const struct settling *s, unsigned i)
{
	const struct outcome *o = &s->outcomes[i];

	switch (o->state) {
	case RECIPIENT_QUEUED:
		return s->rows[i].was_attempted ? LOG_DEFERRED : LOG_EVENTS_N;
	case RECIPIENT_DELIVERED:
		return LOG_DELIVERED;
	case RECIPIENT_RELAYED:
		return LOG_RELAYED;
	case RECIPIENT_FAILED:
		return s->is_return ? LOG_RETURNED : LOG_BOUNCED;
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

	log_seconds("delay", age_ms > 0 ? (uint64_t)age_ms : 0);
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
	enum log_event event = event_of(s, i);
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
	log_str("tls", o->tls);
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

/* Once. */
static void log_all(struct settling *s)
{
	if (s->is_logged)
		return;
	s->is_logged = true;
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

/* ---- the two ways in */

static struct settling *begin(struct bounce *b, struct message *m, struct outcome *outcomes,
			      unsigned n)
{
	struct settling *s = mem_zalloc(size_add(sizeof(*s), size_mul(n, sizeof(s->rows[0]))));

	s->bounce = b;
	s->config = config_current();
	s->message = m;
	s->outcomes = outcomes;
	s->n = n;
	return s;
}

static void finish(struct settling *s, bool recorded)
{
	if (recorded) {
		log_all(s);
		for (int kind = 0; kind < NOTICE_KINDS; kind++)
			if (s->notices[kind])
				schedule_add(s->bounce->schedule, s->notices[kind]);
	}
	drop_notices(s);
	warning_done(&s->warning);
	config_unref(s->config);
	mem_free(s);
}

int bounce_settle(struct bounce *b, struct message *m, struct outcome *outcomes, unsigned n,
		  unsigned failures)
{
	struct settling *s = begin(b, m, outcomes, n);
	int r;

	judge_all(s, failures);
	claim_warning(s);
	find_addressees(s);
	r = record_until_taken(s);
	if (r == 0)
		r = (int)count_queued(s);
	finish(s, r >= 0);
	return r;
}

/*
 * 5.7.1, "delivery not authorized, message refused" (RFC 3463 3.8): a decision, by those who may
 * decide. 5.3.0 would blame the destination's system, 5.1.x the address, 5.4.x the way there, and
 * whoever keeps lists would draw the wrong conclusion about a recipient with whom nothing is wrong.
 */
static const struct reply returned = {
	550, { 5, 7, 1 }, { "returned by an operator", sizeof("returned by an operator") - 1 }
};

int bounce_return(struct bounce *b, struct message *m, const uint32_t *recipients, unsigned n,
		  struct str why)
{
	struct outcome *outcomes = mem_calloc(n, sizeof(*outcomes));
	struct settling *s;
	unsigned open = 0;
	int r;

	message_lock(m);
	for (unsigned i = 0; i < n; i++)
		if (m->recipients[recipients[i]].state == RECIPIENT_QUEUED)
			outcomes[open++] = (struct outcome){ .recipient = recipients[i],
							     .state = RECIPIENT_FAILED,
							     .reply = returned };
	message_unlock(m);
	for (unsigned i = 0; i < open && why.n; i++)
		outcomes[i].reply.text = why;
	s = begin(b, m, outcomes, open);
	s->is_return = true;
	judge_all(s, 0);
	find_addressees(s);
	r = open ? record(s) : 0;
	if (r < 0)
		give_back(s);
	finish(s, r == 0 && open);
	mem_free(outcomes);
	return r < 0 ? r : (int)open;
}
