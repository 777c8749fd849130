/*
 * queue - relevo queue list, status, show: what waits, where, why, and until when (promise D9).
 *
 * Snapshots: the queue goes on while they are made. Nothing borrowed is held across a wait:
 * messages are counted, and what may change is copied under the message's lock.
 */
#include "control/answer.h"

#include "base/mem.h"
#include "mail/header.h"
#include "mail/trace.h"

#define HEADERS_MAX (64 * 1024)		/* octets of header section that show prints */
#define DESTINATIONS_MAX (1024 * 1024)	/* octets of their description */

/* What list says of a message: of its first recipient that waits. */
struct waiting {
	unsigned recipients;
	uint32_t first;		/* index */
	const char *hold;	/* its name; NULL: not held */
	bool has_job;
	struct job_state job;
};

/* The hold's name (D9), or NULL. */
static const char *hold_of(struct message *m)
{
	uint8_t flags;

	message_lock(m);
	flags = m->flags;
	message_unlock(m);
	if (!(flags & MESSAGE_HELD))
		return NULL;
	return flags & MESSAGE_RESTORED ? "restored" : "held";
}

static void look(struct answer *a, struct message *m, struct waiting *ret) SUSPENDS
{
	*ret = (struct waiting){ .hold = hold_of(m) };
	for (uint32_t i = 0; i < m->recipients_n; i++) {
		bool open;

		message_lock(m);
		open = m->recipients[i].state == RECIPIENT_QUEUED;
		message_unlock(m);
		if (!open)
			continue;
		if (!ret->recipients++)
			ret->first = i;
		if (!ret->has_job)
			ret->has_job = schedule_job_state(a->links->schedule, m, i, &ret->job);
	}
}

static struct str shown_sender(const struct message *m)
{
	return m->sender_n ? message_sender(m) : STR("<>");
}

static void add_next(struct answer *a, const struct waiting *w)
{
	if (w->hold)
		buf_add_str(&a->line, str_of(w->hold));
	else if (!w->has_job)
		buf_add_lit(&a->line, "-");
	else if (w->job.next_ms > loop_wall_ms())
		answer_age(a, w->job.next_ms - loop_wall_ms());
	else
		buf_add_str(&a->line, strcmp(w->job.state, "in-flight") == 0 ?
			    STR("sending") : STR("now"));
}

static void pad(struct answer *a, size_t from, size_t width)
{
	do
		buf_add_byte(&a->line, ' ');
	while (a->line.n < from + width && buf_ok(&a->line));
}

static void list_text(struct answer *a, const struct message *m, const struct waiting *w)
{
	char id[ID_TEXT_MAX];
	size_t at = a->line.n;

	buf_add_str(&a->line, str_of(id_format(id, &m->id)));
	pad(a, at, 20);
	at = a->line.n;
	answer_size(a, m->size);
	pad(a, at, 6);
	at = a->line.n;
	answer_age(a, loop_wall_ms() - m->arrived_ms);
	pad(a, at, 5);
	at = a->line.n;
	add_next(a, w);
	pad(a, at, 8);
	answer_value(a, shown_sender(m));
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

static void add_job_json(struct answer *a, const struct job_state *job)
{
	json_str(a, "destination", str_of(job->destination));
	json_str(a, "job", str_of(job->state));
	json_time(a, "next", job->next_ms);
	json_str(a, "why", str_of(job->said));
}

static void list_json(struct answer *a, const struct message *m, const struct waiting *w)
{
	char id[ID_TEXT_MAX];

	json_begin(a);
	json_str(a, "id", str_of(id_format(id, &m->id)));
	json_int(a, "size", (int64_t)m->size);
	json_time(a, "arrived", m->arrived_ms);
	json_str(a, "sender", shown_sender(m));
	json_int(a, "waiting", w->recipients);
	json_str(a, "recipient", recipient_address(m, w->first));
	json_int(a, "held", w->hold != NULL);
	json_str(a, "hold", str_of(w->hold));
	if (w->has_job)
		add_job_json(a, &w->job);
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

void queue_list(struct answer *a, struct str words)
{
	struct waiting *w = mem_alloc(sizeof(*w));
	struct selection s = { 0 };
	uint64_t recipients = 0;

	(void)words;
	selection_all(&s, a->links->spool);
	if (s.n && !a->json) {
		buf_add_lit(&a->line, "ID                  SIZE  AGE  NEXT    SENDER -> "
				      "RECIPIENT by DESTINATION: WHY");
		answer_line(a);
	}
	for (size_t i = 0; i < s.n && !a->dead; i++) {
		look(a, s.at[i], w);
		recipients += w->recipients;
		if (!w->recipients)
			continue;	/* became final meanwhile */
		list_one(a, s.at[i], w);
	}
	if (!a->json) {
		buf_printf(&a->line, "%zu message%s, %llu recipient%s waiting.", s.n, s.n == 1 ?
			   "" : "s",
			   (unsigned long long)recipients, recipients == 1 ? "" : "s");
		answer_line(a);
	}
	json_done(a);
	selection_free(&s);
	mem_free(w);
}

/* ---- status: the spool and the destinations */

struct overview {
	/* its line is used to build, never sent, while destinations are walked */
	struct answer *answer;
	struct buf lines;		/* finished ones, each ended by LF */
};

static void destination_json(struct answer *a, const struct destination_state *d)
{
	json_begin(a);
	json_str(a, "destination", str_of(d->name));
	json_int(a, "ready", d->ready);
	json_int(a, "waiting", d->waiting);
	json_int(a, "held", d->held);
	json_int(a, "in_flight", d->in_flight);
	json_int(a, "connections", d->slots);
	json_int(a, "failures", d->failures);
	if (d->resting)
		json_time(a, "rests_until", d->rests_until_ms);
	json_str(a, "said", str_of(d->said));
	json_end(a);
}

static void destination_text(struct answer *a, const struct destination_state *d)
{
	answer_value(a, str_of(d->name));
	buf_printf(&a->line, ": %u ready, %u waiting, %u held, %u being sent, %u connection%s",
		   d->ready, d->waiting,
		   d->held, d->in_flight, d->slots, d->slots == 1 ? "" : "s");
	if (d->resting) {
		buf_printf(&a->line, "; down after %u failure%s, next try in ", d->failures,
			   d->failures == 1 ? "" : "s");
		answer_age(a, d->rests_until_ms - loop_wall_ms());
	}
	if (d->said[0]) {
		buf_add_lit(&a->line, ": ");
		answer_value(a, str_of(d->said));
	}
}

/* Called at the homes of the destinations: on their threads, one after the other, while we wait. */
static void on_destination(void *arg, const struct destination_state *d)
{
	struct overview *o = arg;

	if (o->answer->json)
		destination_json(o->answer, d);
	else
		destination_text(o->answer, d);
	buf_add_byte(&o->answer->line, '\n');
	buf_add_str(&o->lines, buf_str(&o->answer->line));
	buf_clear(&o->answer->line);
}

static void spool_text(struct answer *a, const struct spool_stats *s)
{
	buf_printf(&a->line, "%llu message%s in the queue, ", (unsigned long long)s->messages,
		   s->messages == 1 ? "" : "s");
	answer_size(a, s->octets_on_disk);
	buf_printf(&a->line, " on disk in %llu segment%s", (unsigned long long)s->segments,
		   s->segments == 1 ? "" : "s");
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

void queue_status(struct answer *a, struct str words)
{
	struct overview o = { .answer = a, .lines = BUF_INIT(DESTINATIONS_MAX) };
	struct spool_stats *stats = mem_zalloc(sizeof(*stats));
	struct str rest;

	(void)words;
	spool_stats(a->links->spool, stats);
	if (a->json) {
		spool_json(a, stats);
		object_line(a);
	} else {
		spool_text(a, stats);
		answer_line(a);
	}
	mem_free(stats);
	schedule_destinations(a->links->schedule, on_destination, &o);
	rest = buf_str(&o.lines);
	while (rest.n) {
		ssize_t end = str_find(rest, '\n');
		struct str line = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);

		rest = str_from(rest, line.n + 1);
		buf_add_str(&a->line, line);
		if (a->json)
			object_line(a);
		else
			answer_line(a);
	}
	json_done(a);
	buf_done(&o.lines);
}

/* ---- show */

/* One recipient, copied. */
struct shown {
	uint8_t state;
	uint16_t attempts;
	char *last;		/* owned; NULL */
	bool has_job;
	struct job_state job;
};

static void shown_take(struct answer *a, struct message *m, uint32_t i, struct shown *ret) SUSPENDS
{
	const struct recipient *r = &m->recipients[i];

	*ret = (struct shown){ 0 };
	message_lock(m);
	ret->state = r->state;
	ret->attempts = r->attempts;
	ret->last = r->last ? mem_strdup(r->last) : NULL;
	message_unlock(m);
	if (ret->state == RECIPIENT_QUEUED)
		ret->has_job = schedule_job_state(a->links->schedule, m, i, &ret->job);
}

static void shown_text(struct answer *a, const struct message *m, uint32_t i,
		       const struct shown *s) SUSPENDS
{
	buf_add_lit(&a->line, "To: ");
	answer_value(a, recipient_address(m, i));
	buf_printf(&a->line, "  %s", recipient_state_name(s->state));
	if (s->attempts)
		buf_printf(&a->line, " after %u attempt%s", s->attempts, s->attempts == 1 ?
			   "" : "s");
	buf_add_lit(&a->line, ", route ");
	answer_value(a, recipient_route(m, i));
	answer_line(a);
	if (s->has_job) {
		struct waiting w = { .has_job = true, .job = s->job };

		buf_printf(&a->line, "    %s at ", s->job.state);
		answer_value(a, str_of(s->job.destination));
		buf_add_lit(&a->line, ", next attempt: ");
		add_next(a, &w);
		if (s->job.said[0]) {
			buf_add_lit(&a->line, "; ");
			answer_value(a, str_of(s->job.said));
		}
		answer_line(a);
	}
	if (s->last) {
		buf_add_lit(&a->line, "    last reply: ");
		answer_value(a, str_of(s->last));
		answer_line(a);
	}
}

static void shown_json(struct answer *a, const struct message *m, uint32_t i, const struct shown *s)
{
	json_begin(a);
	json_str(a, "address", recipient_address(m, i));
	json_str(a, "state", str_of(recipient_state_name(s->state)));
	json_int(a, "attempts", s->attempts);
	json_str(a, "route", recipient_route(m, i));
	json_str(a, "last", str_of(s->last));
	if (s->has_job)
		add_job_json(a, &s->job);
	json_end(a);
}

static void show_recipients(struct answer *a, struct message *m) SUSPENDS
{
	struct shown *s = mem_alloc(sizeof(*s));

	for (uint32_t i = 0; i < m->recipients_n && !a->dead; i++) {
		shown_take(a, m, i, s);
		if (a->json) {
			if (i)
				buf_add_byte(&a->line, ',');
			shown_json(a, m, i, s);
		} else {
			shown_text(a, m, i, s);
		}
		mem_free(s->last);
	}
	mem_free(s);
}

/* The header section, or what there is of it, into out. 0 or -errno. */
static int read_headers(struct answer *a, struct message *m, struct buf *out) SUSPENDS
{
	struct content_reader reader;
	struct str piece;
	int r = content_reader_open(&reader, a->links->spool, m);

	if (r < 0)
		return r;
	while ((r = content_reader_next(&reader, &piece)) == 1) {
		buf_add_str(out, str_sub(piece, 0, HEADERS_MAX - out->n));
		if (out->n >= HEADERS_MAX || header_length(buf_str(out)) < out->n)
			break;
	}
	content_reader_close(&reader);
	out->n = header_length(buf_str(out));
	return r < 0 ? r : 0;
}

/* Lines as they are, but for bytes that a terminal would act on. */
static void show_headers(struct answer *a, struct message *m) SUSPENDS
{
	struct buf headers = BUF_INIT(HEADERS_MAX);
	int r = read_headers(a, m, &headers);
	struct str rest = buf_str(&headers);

	if (r < 0) {
		buf_printf(&a->line, "cannot read the content: error %d", -r);
		answer_error(a);
	}
	while (rest.n) {
		ssize_t end = str_find(rest, '\n');
		struct str line = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);

		rest = str_from(rest, line.n + 1);
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (!line.n)
			continue;
		buf_add_lit(&a->line, "    ");
		for (size_t i = 0; i < line.n; i++)
			buf_add_byte(&a->line, (unsigned char)line.p[i] < 0x20 &&
				     line.p[i] != '\t' ? '?' :
				     (unsigned char)line.p[i] >= 0x7f ? '?' : line.p[i]);
		answer_line(a);
	}
	buf_done(&headers);
}

static void envelope_json(struct answer *a, struct message *m)
{
	char id[ID_TEXT_MAX];

	json_begin(a);
	json_str(a, "id", str_of(id_format(id, &m->id)));
	json_int(a, "size", (int64_t)m->size);
	json_time(a, "arrived", m->arrived_ms);
	json_str(a, "sender", shown_sender(m));
	json_str(a, "client", message_client(m));
	json_str(a, "login", message_login(m));
	json_str(a, "envid", message_envid(m));
	json_int(a, "held", hold_of(m) != NULL);
	json_str(a, "hold", str_of(hold_of(m)));
	json_int(a, "crashes", m->crashes);
}

static void envelope_text(struct answer *a, struct message *m) SUSPENDS
{
	struct buf when = BUF_INIT(64);
	const char *hold = hold_of(m);
	char id[ID_TEXT_MAX];

	buf_printf(&a->line, "%s  %llu octets, arrived ", id_format(id, &m->id),
		   (unsigned long long)m->size);
	timestamp_format(&when, m->arrived_ms);
	buf_add_str(&a->line, buf_str(&when));
	buf_done(&when);
	if (m->client_n) {
		buf_add_lit(&a->line, " from ");
		answer_value(a, message_client(m));
	}
	if (hold)
		buf_printf(&a->line, "; held%s", strcmp(hold, "restored") == 0 ?
			   ": restored from a backup, and may have been delivered" : "");
	if (m->crashes)
		buf_printf(&a->line, "; there at %u crash%s", m->crashes, m->crashes == 1 ?
			   "" : "es");
	answer_line(a);
	buf_add_lit(&a->line, "From: ");
	answer_value(a, shown_sender(m));
	answer_line(a);
}

static void show_one(struct answer *a, struct message *m) SUSPENDS
{
	if (!a->json) {
		envelope_text(a, m);
		show_recipients(a, m);
		show_headers(a, m);
		return;
	}
	envelope_json(a, m);
	json_key(a, "recipients");
	buf_add_byte(&a->line, '[');
	show_recipients(a, m);
	buf_add_lit(&a->line, "]}");
	object_line(a);
}

void queue_show(struct answer *a, struct str words)
{
	struct selection s = { 0 };

	selection_words(&s, a, words);
	for (size_t i = 0; i < s.n && !a->dead; i++) {
		if (i && !a->json)
			answer_line(a);
		show_one(a, s.at[i]);
	}
	json_done(a);
	selection_free(&s);
}
