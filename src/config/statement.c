/*
 * statement - handlers of the statements that are more than one value and have no file of their
 * own.
 *
 * Each gets its words already counted (the row says how many) and writes into the snapshot under
 * construction; a fault is reported at the word that has it. See load.h.
 */
#include "config/load.h"

#define USER_MAX 32	/* octets, as useradd allows */

struct str statement_text(struct load *l, const struct statement *st)
{
	struct buf out = BUF_INIT(LEXER_WORDS_MAX * (2 * LEXER_WORD_MAX + 3));
	struct str text;

	for (unsigned i = 0; i < st->n; i++) {
		const struct word *w = &st->words[i];

		if (i)
			buf_add_byte(&out, ' ');
		if (!w->quoted) {
			buf_add_str(&out, w->text);
			continue;
		}
		buf_add_byte(&out, '"');
		for (size_t j = 0; j < w->text.n; j++) {
			if (w->text.p[j] == '"' || w->text.p[j] == '\\')
				buf_add_byte(&out, '\\');
			buf_add_byte(&out, w->text.p[j]);
		}
		buf_add_byte(&out, '"');
	}
	text = arena_str(&l->c->arena, buf_str(&out));
	buf_done(&out);
	return text;
}

void statement_block(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row, (void)st;
	l->opened = l->c;
}

void statement_hostname(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct ip ip;

	(void)row;
	l->hostname_place = w->place;
	if (ip_parse(w->text, &ip)) {
		diag_error(&l->diag, &w->place,
			   "%.*s is an address; the host name is one such as relay.example.net",
			   DIAG_WORD(w->text));
		return;
	}
	if (!domain_is_valid(w->text, false)) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not a host name such as relay.example.net",
			   DIAG_WORD(w->text));
		return;
	}
	l->c->hostname = arena_str(&l->c->arena, w->text);
}

void statement_state(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];

	(void)row;
	if (w->text.n)
		l->c->state = load_path(l, &w->place, w->text);
	else
		diag_error(&l->diag, &w->place, "the name of the folder is empty");
}

void statement_user(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	bool ok = w->text.n && w->text.n <= USER_MAX && w->text.p[0] != '-';

	(void)row;
	for (size_t i = 0; i < w->text.n; i++)
		ok &= ascii_is_alnum(w->text.p[i]) || str_find(STR("-_."), w->text.p[i]) >= 0;
	if (ok)
		l->c->user = arena_str(&l->c->arena, w->text);
	else
		diag_error(&l->diag, &w->place, "\"%.*s\" is not the name of a user",
			   DIAG_WORD(w->text));
}

void *statement_object(struct load *l)
{
	return l->opened ? l->opened : l->frames[l->depth].object;
}

/* ---- queue, and routes */

void statement_retry(struct load *l, const struct setting *row, const struct statement *st)
{
	unsigned n = st->n - 1;
	uint64_t *waits = arena_alloc(&l->c->arena, n * sizeof(*waits));

	for (unsigned i = 0; i < n; i++) {
		const struct word *w = &st->words[i + 1];

		if (!value_parse(VALUE_DURATION, w->text, &waits[i])) {
			diag_error(&l->diag, &w->place,
				   "\"%.*s\" is not what retry takes; expected %s",
				   DIAG_WORD(w->text), value_expected(VALUE_DURATION));
			return;
		}
		if (waits[i] < row->min || waits[i] > row->max) {
			diag_error(&l->diag, &w->place, "a wait must be between 1s and 1w");
			return;
		}
	}
	if (row->in == BLOCK_QUEUE) {
		l->c->queue.retry_ns = waits;
		l->c->queue.retry_n = n;
	} else {	/* a route's, or a rule's for its route */
		struct route *route = l->frames[l->depth].object;

		route->retry_ns = waits;
		route->retry_n = n;
	}
}

/* ---- self */

static void self_word(struct load *l, const struct word *w)
{
	struct arena *a = &l->c->arena;
	struct str *name;
	struct ip ip;

	if (ip_parse(w->text, &ip)) {
		struct ip *copy = arena_alloc(a, sizeof(*copy));

		*copy = ip;
		load_add(l, &l->self_ips, copy, LOAD_SELF_MAX, &w->place, "addresses of its own");
		return;
	}
	if (!domain_is_valid(w->text, false)) {
		diag_error(&l->diag, &w->place, "\"%.*s\" is neither a host name nor an address",
			   DIAG_WORD(w->text));
		return;
	}
	name = arena_alloc(a, sizeof(*name));
	*name = arena_str(a, w->text);
	load_add(l, &l->self_names, name, LOAD_SELF_MAX, &w->place, "names of its own");
}

void statement_self(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	for (unsigned i = 1; i < st->n; i++)
		self_word(l, &st->words[i]);
}

/* ---- postmaster */

void statement_postmaster(struct load *l, const struct setting *row, const struct statement *st)
{
	const struct word *w = &st->words[1];
	struct address a;

	(void)row;
	l->postmaster_place = st->place;
	if (address_parse(w->text, 0, &a) != ADDRESS_OK) {
		diag_error(&l->diag, &w->place,
			   "\"%.*s\" is not an address such as admin@example.net",
			   DIAG_WORD(w->text));
		return;
	}
	l->c->postmaster = arena_str(&l->c->arena, w->text);
	if (st->n == 2)
		return;
	if (!word_is(&st->words[2], "via") || st->n != 4) {
		diag_error(&l->diag, st->n > 3 ? &st->words[2].place : &st->end,
			   "expected \"via\" and the name of a route");
		return;
	}
	l->postmaster_route = st->words[3];
}

/* ---- log: each in the block, and in one line behind the word log */

static bool log_once(struct load *l, struct config_place *place, const struct word *w,
		     const char *what)
{
	if (place->line) {
		diag_error(&l->diag, &w->place, "the log's %s was already set in %s:%u", what,
			   place->file, place->line);
		return false;
	}
	*place = w->place;
	return true;
}

static bool log_format(struct load *l, const struct word *w)
{
	if (!word_is(w, "text") && !word_is(w, "json"))
		return false;
	if (log_once(l, &l->log_format_place, w, "format"))
		l->c->log.format = word_is(w, "json") ? LOG_JSON : LOG_TEXT;
	return true;
}

/* "stderr", "syslog", "file PATH". */
static bool log_target(struct load *l, const struct word *w, const struct word *end,
		       const struct config_place *at_end)
{
	bool is_file = word_is(w, "file");

	if (!is_file && !word_is(w, "stderr") && !word_is(w, "syslog"))
		return false;
	if (end - w != 1 + is_file) {
		diag_error(&l->diag, end - w > 1 + is_file ? &w[1 + is_file].place : at_end,
			   is_file ? "expected: file and one name"
				   : "expected the end of the line");
		return true;
	}
	if (!log_once(l, &l->log_target_place, w, "target"))
		return true;
	l->c->log.target = is_file ? LOG_FILE : word_is(w, "syslog") ? LOG_SYSLOG : LOG_STDERR;
	if (is_file)
		l->c->log.file = load_path(l, &w[1].place, w[1].text);
	return true;
}

static void transcript_word(struct load *l, const struct word *w)
{
	struct transcript_rule *rule = arena_zalloc(&l->c->arena, sizeof(*rule));
	struct entry e;

	if (!entry_parse(w->text, &e)) {
		diag_error(&l->diag, &w->place, "\"%.*s\" %s", DIAG_WORD(w->text), e.error);
		return;
	}
	if (e.kind == ENTRY_NETWORK)
		rule->network = e.network;
	else if (e.kind == ENTRY_DOMAIN)
		rule->domain = arena_str(&l->c->arena, e.domain);
	else
		diag_error(&l->diag, &w->place, "\"%.*s\" is neither a network nor a domain",
			   DIAG_WORD(w->text));
	if (rule->network.ip.family || rule->domain.n)
		load_add(l, &l->transcripts, rule, LOAD_TRANSCRIPTS_MAX, &w->place, "transcripts");
}

static void log_transcript(struct load *l, const struct word *w, const struct word *end,
			   const struct config_place *at_end)
{
	if (w == end || !word_is(w, "for") || w + 1 == end) {
		diag_error(&l->diag, w == end || word_is(w, "for") ? at_end : &w->place,
			   "expected: transcript for NETWORK|DOMAIN ...");
		return;
	}
	for (w++; w < end; w++)
		transcript_word(l, w);
}

static void log_unknown(struct load *l, const struct word *w, const char *const *words)
{
	struct choices choices = { .n = 0 };

	for (; *words; words++)
		choices_add(&choices, str_of(*words));
	diag_unknown(&l->diag, &w->place, "unknown word", w->text, &choices);
}

void statement_format(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "text", "json", NULL };

	(void)row;
	if (!log_format(l, &st->words[1]))
		log_unknown(l, &st->words[1], words);
}

void statement_to(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "stderr", "syslog", "file", NULL };

	(void)row;
	if (!log_target(l, &st->words[1], &st->words[st->n], &st->end))
		log_unknown(l, &st->words[1], words);
}

void statement_transcript(struct load *l, const struct setting *row, const struct statement *st)
{
	(void)row;
	log_transcript(l, &st->words[1], &st->words[st->n], &st->end);
}

void statement_log(struct load *l, const struct setting *row, const struct statement *st)
{
	static const char *const words[] = { "text", "json",	   "stderr", "syslog",
					     "file", "transcript", NULL };
	const struct word *w = &st->words[1], *end = &st->words[st->n];

	l->opened = l->c;
	if (w == end || st->opens) {
		if (w < end || !st->opens)
			diag_error(&l->diag, w < end ? &w->place : &st->end, "expected: log %s",
				   row->arguments);
		return;
	}
	if (word_is(w, "transcript"))
		log_transcript(l, w + 1, end, &st->end);
	else if (end - w > 1 && (word_is(w, "text") || word_is(w, "json")))
		diag_error(&l->diag, &w[1].place, "expected the end of the line");
	else if (log_format(l, w))
		return;
	else if (!log_target(l, w, end, &st->end))
		log_unknown(l, w, words);
}
