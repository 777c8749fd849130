/*
 * spool_dump - relevo spool dump: segments and records for a human, or as JSON.
 *
 * Without an option one line for each segment; with --segment every record of it; with --message
 * every record of that message, wherever it stands. Addresses and replies are what peers sent: they
 * are escaped as in the log. Content is never shown. Read-only, as relevo spool check is.
 */
#include "run/spool_command.h"

#include "control/answer.h"
#include "control/arguments.h"

struct totals {
	uint64_t number, octets, valid, incarnation;
	uint64_t records[RECORD_SEAL + 1];
	uint64_t batch_first, batch_last;
};

struct dump {
	struct look look;
	const struct dump_options *options;
	struct answer a;   /* only its line is used: nothing is sent */
	struct totals now; /* of the segment being read; .number 0: none yet */
	uint64_t found;
};

static const char *const type_names[] = {
	[RECORD_MESSAGE] = "MESSAGE", [RECORD_PROGRESS] = "PROGRESS", [RECORD_DONE] = "DONE",
	[RECORD_COMMIT] = "COMMIT",   [RECORD_SEAL] = "SEAL",
};

static void print_line(struct dump *d)
{
	if (d->options->json)
		fputs(d->found ? "," : "[", stdout);
	d->found++;
	print_text(stdout, &d->a.line);
	putchar('\n');
	buf_clear(&d->a.line);
}

/* ---- segments */

static void totals_json(struct answer *a, const struct totals *t, const char *name)
{
	json_begin(a);
	json_str(a, "segment", str_of(name));
	json_int(a, "incarnation", (int64_t)t->incarnation);
	json_int(a, "octets", (int64_t)t->octets);
	json_int(a, "valid", (int64_t)t->valid);
	json_int(a, "messages", (int64_t)t->records[RECORD_MESSAGE]);
	json_int(a, "progress", (int64_t)t->records[RECORD_PROGRESS]);
	json_int(a, "done", (int64_t)t->records[RECORD_DONE]);
	json_int(a, "batches", (int64_t)t->records[RECORD_COMMIT]);
	json_int(a, "first_batch", (int64_t)t->batch_first);
	json_int(a, "last_batch", (int64_t)t->batch_last);
	json_int(a, "seals", (int64_t)t->records[RECORD_SEAL]);
	json_end(a);
}

static void print_totals(struct dump *d)
{
	const struct totals *t = &d->now;
	char name[SEGMENT_NAME];

	if (!t->number || d->options->segment || !id_is_none(&d->options->message))
		return;
	segment_name(name, t->number);
	if (d->options->json)
		totals_json(&d->a, t, name);
	else
		buf_printf(&d->a.line,
			   "%s  %llu octets, valid up to %llu; incarnation %llu; batches "
			   "%llu to %llu: %llu messages, %llu changes, %llu done, %llu seals",
			   name, (unsigned long long)t->octets, (unsigned long long)t->valid,
			   (unsigned long long)t->incarnation, (unsigned long long)t->batch_first,
			   (unsigned long long)t->batch_last,
			   (unsigned long long)t->records[RECORD_MESSAGE],
			   (unsigned long long)t->records[RECORD_PROGRESS],
			   (unsigned long long)t->records[RECORD_DONE],
			   (unsigned long long)t->records[RECORD_SEAL]);
	print_line(d);
}

static void on_segment(void *arg, struct old_segment *old)
{
	struct dump *d = arg;

	print_totals(d);
	d->now = (struct totals){.number = old->g->number,
				 .octets = old->g->size,
				 .valid = old->limit,
				 .incarnation = old->g->incarnation};
}

static void count(struct dump *d, const struct scanned *f)
{
	struct commit commit;

	d->now.records[f->header.type]++;
	if (f->header.type != RECORD_COMMIT || !record_commit_get(scan_envelope(f), &commit))
		return;
	if (!d->now.batch_first)
		d->now.batch_first = commit.batch;
	d->now.batch_last = commit.batch;
}

/* ---- records */

static void add_word(struct dump *d, const char *key, struct str value)
{
	if (d->options->json) {
		json_str(&d->a, key, value);
	} else if (value.n) {
		buf_printf(&d->a.line, " %s=", key);
		answer_value(&d->a, value);
	}
}

static void add_number(struct dump *d, const char *key, uint64_t value)
{
	if (d->options->json)
		json_int(&d->a, key, (int64_t)value);
	else
		buf_printf(&d->a.line, " %s=%llu", key, (unsigned long long)value);
}

/* A list of objects within a record; in text, one line for each. */
static void begin_part(struct dump *d, const char *key, bool first)
{
	if (!d->options->json) {
		buf_add_lit(&d->a.line, "\n   ");
		return;
	}
	if (first)
		json_key(&d->a, key);
	buf_add_byte(&d->a.line, first ? '[' : ',');
	json_begin(&d->a);
}

static void end_part(struct dump *d, bool last)
{
	if (!d->options->json)
		return;
	json_end(&d->a);
	if (last)
		buf_add_byte(&d->a.line, ']');
}

static void add_recipients(struct dump *d, const struct message *m)
{
	for (uint32_t i = 0; i < m->recipients_n; i++) {
		const struct recipient *r = &m->recipients[i];

		begin_part(d, "recipients", i == 0);
		add_word(d, "to", recipient_address(m, i));
		add_word(d, "route", recipient_route(m, i));
		add_word(d, "state", str_of(recipient_state_name(r->state)));
		add_number(d, "attempts", r->attempts);
		if (r->next_ms)
			add_number(d, "next_ms", (uint64_t)r->next_ms);
		add_word(d, "said", str_of(r->last));
		end_part(d, i + 1 == m->recipients_n);
	}
}

static void add_message(struct dump *d, struct scan *sc, const struct scanned *f)
{
	struct record_body body;
	struct str head;
	struct message *m = record_message_get(&f->header, scan_envelope(f), &head, &body);
	char file[CONTENT_FILE_NAME];

	if (!m) {
		add_word(d, "damage", STR("the envelope is malformed"));
		return;
	}
	add_number(d, "arrived_ms", (uint64_t)m->arrived_ms);
	add_word(d, "sender", message_sender(m));
	add_word(d, "client", message_client(m));
	add_word(d, "login", message_login(m));
	add_word(d, "tag", message_tag(m));
	add_number(d, "size", m->size);
	if (body.file)
		add_word(d, "file", str_of(content_file_name(file, body.file)));
	add_number(d, "flags", m->flags);
	add_number(d, "crashes", m->crashes);
	add_recipients(d, m);
	message_unref(m);
	/* Last: it moves the window that the record lies in. */
	if (!scan_content_is_sound(sc, f))
		add_word(d, "damage", STR("the content is damaged"));
}

static void add_progress(struct dump *d, const struct scanned *f)
{
	struct progress p;
	struct reroute r;
	struct change c;
	uint32_t warned;
	unsigned n;

	if (!record_progress_get(scan_envelope(f), &p)) {
		add_word(d, "damage", STR("malformed"));
		return;
	}
	if (p.has_flags) {
		add_number(d, "flags", p.flags);
		add_number(d, "crashes", p.crashes);
	}
	n = p.routes_n;
	for (unsigned i = 0; record_progress_route(&p, &r); i++) {
		begin_part(d, "reroutes", i == 0);
		add_number(d, "recipient", r.recipient);
		add_word(d, "route", r.route);
		end_part(d, i + 1 == n);
	}
	for (unsigned i = 0; record_progress_warned(&p, &warned); i++) {
		begin_part(d, "warned", i == 0);
		add_number(d, "recipient", warned);
		add_number(d, "warned", 1);
		end_part(d, !p.warned_n);
	}
	n = p.changes_n;
	for (unsigned i = 0; record_progress_next(&p, &c); i++) {
		begin_part(d, "changes", i == 0);
		add_number(d, "recipient", c.recipient);
		add_word(d, "state", str_of(recipient_state_name(c.state)));
		add_number(d, "attempts", c.attempts);
		if (c.next_ms)
			add_number(d, "next_ms", (uint64_t)c.next_ms);
		add_word(d, "said", c.last);
		end_part(d, i + 1 == n);
	}
}

static void add_commit(struct dump *d, const struct scanned *f)
{
	struct commit c;

	if (!record_commit_get(scan_envelope(f), &c))
		return;
	add_number(d, "batch", c.batch);
	add_number(d, "start", c.start);
	add_number(d, "octets", c.octets);
	add_number(d, "records", c.records);
	add_number(d, "synced", c.synced);
}

static void add_seal(struct dump *d, const struct scanned *f)
{
	struct seal s;
	char name[SEGMENT_NAME];

	if (!record_seal_get(scan_envelope(f), &s))
		return;
	add_word(d, "seals", str_of(segment_name(name, s.segment)));
	add_number(d, "valid", s.octets);
	add_number(d, "void_from_batch", s.batch);
}

static void print_record(struct dump *d, struct scan *sc, const struct scanned *f)
{
	char name[SEGMENT_NAME], id[ID_TEXT_MAX];
	struct answer *a = &d->a;

	segment_name(name, sc->g->number);
	if (d->options->json) {
		json_begin(a);
		json_str(a, "segment", str_of(name));
		json_int(a, "octet", (int64_t)f->offset);
		json_str(a, "type", str_of(type_names[f->header.type]));
	} else {
		buf_printf(&a->line, "%s %9llu  %-8s", name, (unsigned long long)f->offset,
			   type_names[f->header.type]);
	}
	if (!id_is_none(&f->header.id))
		add_word(d, "id", str_of(id_format(id, &f->header.id)));
	if (f->header.type == RECORD_MESSAGE)
		add_message(d, sc, f);
	else if (f->header.type == RECORD_PROGRESS)
		add_progress(d, f);
	else if (f->header.type == RECORD_COMMIT)
		add_commit(d, f);
	else if (f->header.type == RECORD_SEAL)
		add_seal(d, f);
	if (d->options->json)
		json_end(a);
	print_line(d);
}

static void on_record(void *arg, struct scan *sc, const struct scanned *f)
{
	struct dump *d = arg;
	const struct dump_options *o = d->options;

	count(d, f);
	if (o->segment ? sc->g->number != o->segment : id_is_none(&o->message))
		return;
	if (id_is_none(&o->message) || id_eq(&o->message, &f->header.id))
		print_record(d, sc, f);
}

static void on_damage(void *arg, const char *segment, uint64_t from, uint64_t to, bool torn)
{
	struct dump *d = arg;

	if (d->options->segment && d->options->segment != d->now.number)
		return;
	fprintf(stderr, "%s: octets %llu to %llu are %s\n", segment, (unsigned long long)from,
		(unsigned long long)to, torn ? "an unfinished batch" : "damaged");
}

int spool_dump(const char *path, const struct dump_options *o)
{
	struct buf error = BUF_INIT(MESSAGES_MAX);
	struct dump *d = mem_zalloc(sizeof(*d));
	int code = 1;

	d->options = o;
	d->a = (struct answer){.line = BUF_INIT(ANSWER_LINE_MAX), .json = o->json};
	d->look.record = on_record;
	d->look.damage = on_damage;
	d->look.segment = on_segment;
	d->look.arg = d;
	if (look_open(&d->look, world_real(), path, &error) < 0) {
		fprintf(stderr, "relevo: %s.\n", buf_cstr(&error));
	} else {
		look_all(&d->look);
		print_totals(d);
		if (o->json)
			puts(d->found ? "]" : "[]");
		else if (!d->found)
			puts("Nothing there.");
		code = d->found || o->json ? 0 : 1;
		look_close(&d->look);
	}
	buf_done(&d->a.line);
	buf_done(&error);
	mem_free(d);
	return code;
}
