/*
 * show - relevo queue show: everything about a message but its body.
 *
 * Envelope, each recipient with what became of it or why it waits, and the header section. What
 * may change is copied under the message's lock before it is written.
 */
#include "control/select.h"

#include "base/mem.h"
#include "control/waiting.h"
#include "mail/header.h"
#include "mail/trace.h"

#define HEADERS_MAX (64 * 1024)		/* octets of header section that show prints */

/* One recipient, copied. */
struct shown {
	struct str route;
	struct str provider;	/* borrowed from the survey's configuration; empty: none */
	unsigned status;	/* of its destination: QUERY_SUSPENDED, ... */
	uint8_t state;
	uint16_t attempts;
	char *last;		/* owned; NULL */
	bool has_job;
	struct job_state job;
};

static void shown_take(struct answer *a, const struct selection *q, struct message *m, uint32_t i,
		       struct shown *ret) SUSPENDS
{
	const struct recipient *r = &m->recipients[i];
	struct query_subject subject;

	*ret = (struct shown){ .route = recipient_route(m, i) };
	message_lock(m);
	ret->state = r->state;
	ret->attempts = r->attempts;
	ret->last = r->last ? mem_strdup(r->last) : NULL;
	message_unlock(m);
	if (!selection_subject(q, m, i, &subject))
		return;
	ret->provider = subject.provider;
	ret->status = subject.status;
	ret->has_job = schedule_job_state(a->links->schedule, m, i, &ret->job);
}

static void add_sources(struct answer *a, const struct source_pool *pool)
{
	if (pool->n == 1 && pool->members[0].source->name == pool->name) {
		answer_value(a, name_str(pool->name));
		return;
	}
	answer_value(a, name_str(pool->name));
	buf_add_lit(&a->line, " (");
	for (unsigned i = 0; i < pool->n; i++) {
		if (i)
			buf_add_lit(&a->line, ", ");
		answer_value(a, name_str(pool->members[i].source->name));
	}
	buf_add_byte(&a->line, ')');
}

/* From which of our addresses it goes: what its route says, as chosen at each attempt. */
static void source_text(struct answer *a, struct str route) SUSPENDS
{
	struct config *c = config_current();
	const struct route *r = config_route(c, route);

	if (!r) {
		buf_add_lit(&a->line, "    its route is not in the configuration any more");
		answer_line(a);
	} else if (r->sources) {
		buf_add_lit(&a->line, "    from source ");
		add_sources(a, r->sources);
		answer_line(a);
	}
	config_unref(c);
}

static void job_text(struct answer *a, const struct shown *s) SUSPENDS
{
	struct waiting w = { .has_job = true, .job = s->job };

	buf_printf(&a->line, "    %s at ", s->job.state);
	answer_value(a, str_of(s->job.destination));
	if (s->provider.n) {
		buf_add_lit(&a->line, " (provider ");
		answer_value(a, s->provider);
		buf_add_byte(&a->line, ')');
	}
	if (s->status & QUERY_SUSPENDED) {
		buf_add_lit(&a->line, ", until it is resumed");
	} else if (s->status & QUERY_LIMITED) {
		buf_add_lit(&a->line, ", limited, next attempt: as soon as the limits allow");
	} else {
		if (s->status & QUERY_RESTING)
			buf_add_lit(&a->line, ", resting");
		buf_add_lit(&a->line, ", next attempt: ");
		waiting_add_next(a, &w);
	}
	if (s->job.said[0]) {
		buf_add_lit(&a->line, "; ");
		answer_value(a, str_of(s->job.said));
	}
	answer_line(a);
}

static void shown_text(struct answer *a, const struct message *m, uint32_t i,
		       const struct shown *s) SUSPENDS
{
	buf_add_lit(&a->line, "To: ");
	answer_value(a, recipient_address(m, i));
	buf_printf(&a->line, "  %s", recipient_state_name(s->state));
	if (s->attempts) {
		buf_add_lit(&a->line, " after ");
		answer_count(a, s->attempts, "attempt");
	}
	buf_add_lit(&a->line, ", route ");
	answer_value(a, s->route);
	answer_line(a);
	if (s->has_job) {
		job_text(a, s);
		source_text(a, s->route);
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
	json_str(a, "route", s->route);
	json_str(a, "provider", s->provider);
	json_str(a, "last", str_of(s->last));
	if (s->has_job) {
		waiting_json(a, &s->job);
		json_int(a, "suspended", !!(s->status & QUERY_SUSPENDED));
		json_int(a, "limited", !!(s->status & QUERY_LIMITED));
		json_int(a, "resting", !!(s->status & QUERY_RESTING));
	}
	json_end(a);
}

static void show_recipients(struct answer *a, const struct selection *q, struct message *m) SUSPENDS
{
	struct shown *s = mem_alloc(sizeof(*s));

	for (uint32_t i = 0; i < m->recipients_n && !a->dead; i++) {
		shown_take(a, q, m, i, s);
		if (a->json) {
			if (i)
				json_next(a);
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
	json_str(a, "sender", waiting_sender(m));
	json_str(a, "client", message_client(m));
	json_str(a, "login", message_login(m));
	json_str(a, "envid", message_envid(m));
	json_str(a, "tag", message_tag(m));
	json_int(a, "held", waiting_hold(m) != NULL);
	json_str(a, "hold", str_of(waiting_hold(m)));
	json_int(a, "crashes", m->crashes);
}

static void envelope_text(struct answer *a, struct message *m) SUSPENDS
{
	struct buf when = BUF_INIT(64);
	const char *hold = waiting_hold(m);
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
	answer_value(a, waiting_sender(m));
	if (message_tag(m).n) {
		buf_add_lit(&a->line, "  tag ");
		answer_value(a, message_tag(m));
	}
	answer_line(a);
}

static void show_one(struct answer *a, const struct selection *q, struct message *m) SUSPENDS
{
	if (!a->json) {
		envelope_text(a, m);
		show_recipients(a, q, m);
		show_headers(a, m);
		return;
	}
	envelope_json(a, m);
	json_list(a, "recipients");
	show_recipients(a, q, m);
	buf_add_lit(&a->line, "]}");
	object_line(a);
}

void queue_show(struct answer *a, struct words *w)
{
	struct selection s;

	if (!selection_make(&s, a, w, SELECT_NAMED, NULL))
		return;
	selection_survey(&s);
	for (size_t i = 0; i < s.n && !a->dead; i++) {
		if (i && !a->json)
			answer_line(a);
		show_one(a, &s, s.at[i]);
	}
	json_done(a);
	selection_free(&s);
}
