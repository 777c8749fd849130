/*
 * load_session - the connections of relevo load; see load.h.
 *
 * Each is a task: connect, take the next number, wait until it is due, send, measure, until the
 * numbers or the time are used up. A refusal is counted and the session goes on; a broken
 * connection is counted and made anew after a pause. Nothing is sent twice: a message is a number,
 * and each number is taken once.
 */
#include "tool/load.h"

#include "base/crc.h"
#include "base/mem.h"
#include "tool/dialogue.h"

#include <errno.h>

#define PAUSE_MS 100		/* before a broken connection is made anew */
#define FAILURES_MAX 100	/* consecutive failures of a session before it gives up */
#define QUIT_S 2

struct session {
	struct load *load;
	struct dialogue dialogue;
	struct buf content;		/* owned */
	uint64_t sent;			/* on this connection */
	unsigned failures;		/* consecutive */
};

/* ---- counting */

static void count_error(struct load *l, const char *stage, const char *text)
{
	char line[sizeof(l->errors[0].text)];
	unsigned i;

	snprintf(line, sizeof(line), "%s: %s", stage, text);
	for (i = 0; i < l->errors_n; i++)
		if (!strcmp(l->errors[i].text, line))
			break;
	if (i == l->errors_n) {
		/* The last row takes all that have none of their own. */
		if (l->errors_n == LOAD_ERRORS_MAX)
			i = LOAD_ERRORS_MAX - 1;
		else
			l->errors_n++;
		if (i == LOAD_ERRORS_MAX - 1)
			str_copy(line, sizeof(line), STR("others"));
		str_copy(l->errors[i].text, sizeof(l->errors[i].text), str_of(line));
	}
	l->errors[i].n++;
}

static void count_reply(struct load *l, const char *stage, const struct reply *r)
{
	struct buf text = BUF_INIT(120);

	reply_describe(&text, r);
	text.max++;	/* for the NUL of a text that was cut */
	count_error(l, stage, buf_cstr(&text));
	buf_done(&text);
}

static void count_failure(struct load *l, const char *stage, int r)
{
	count_error(l, stage, strerror(-r));
	atomic_fetch_add_explicit(&l->failed, 1, memory_order_relaxed);
}

/* ---- one message */

enum { STAGE_MAIL, STAGE_RCPT, STAGE_DATA, STAGE_END };

static const char *const stage_names[] = { "mail", "rcpt", "data", "end" };

/* A transaction under way. */
struct transaction {
	uint64_t number, start_ns, dot_ns;
	unsigned accepted_n;		/* recipients */
	bool opened;			/* MAIL was accepted */
	bool go_ahead;			/* 354 */
	bool told;			/* a refusal was counted */
	struct buf recipients;		/* owned; those accepted, for the ledger */
};

static void add_command(struct buf *out, const struct load *l, uint64_t number, unsigned i)
{
	const struct load_plan *plan = &l->plan;

	if (i == 0) {
		buf_printf(out, "MAIL FROM:<%s>\r\n", plan->from);
	} else if (i <= plan->recipients_n) {
		buf_add_lit(out, "RCPT TO:<");
		load_recipient(out, plan, number, i - 1);
		buf_add_lit(out, ">\r\n");
	} else {
		buf_add_lit(out, "DATA\r\n");
	}
}

/* The reply to command i of the envelope. */
static void judge(struct session *s, struct transaction *t, unsigned i)
{
	const struct reply *r = dialogue_said(&s->dialogue);
	const struct load_plan *plan = &s->load->plan;
	int stage = i == 0 ? STAGE_MAIL : i <= plan->recipients_n ? STAGE_RCPT : STAGE_DATA;

	if (!reply_is_positive(r)) {
		/* What follows from a refusal that was counted is not another one. */
		if (!t->told)
			count_reply(s->load, stage_names[stage], r);
		t->told = t->told || stage != STAGE_RCPT;
		return;
	}
	if (stage == STAGE_MAIL) {
		t->opened = true;
	} else if (stage == STAGE_RCPT) {
		if (t->accepted_n++)
			buf_add_byte(&t->recipients, ',');
		load_recipient(&t->recipients, plan, t->number, i - 1);
	} else {
		t->go_ahead = true;
	}
}

/* MAIL, RCPTs and DATA, as one flight or one by one. */
static int say_envelope(struct session *s, struct transaction *t) SUSPENDS
{
	const struct load *l = s->load;
	unsigned commands = l->plan.recipients_n + 2;
	bool flight = l->pipelining && s->dialogue.offers.pipelining;
	struct buf line = BUF_INIT(COMMAND_LINE_EXTENDED_MAX);
	int r = 0;

	for (unsigned i = 0; flight && r == 0 && i < commands; i++) {
		buf_clear(&line);
		add_command(&line, l, t->number, i);
		r = dialogue_add(&s->dialogue, buf_str(&line));
	}
	for (unsigned i = 0; r == 0 && i < commands; i++) {
		if (!flight && ((i == 1 && !t->opened) || (i == commands - 1 && !t->accepted_n)))
			break;
		buf_clear(&line);
		add_command(&line, l, t->number, i);
		r = flight ? dialogue_reply(&s->dialogue)
			   : dialogue_command(&s->dialogue, buf_str(&line));
		if (r == 0)
			judge(s, t, i);
	}
	buf_done(&line);
	return r;
}

static int say_content(struct session *s, struct transaction *t) SUSPENDS
{
	struct load *l = s->load;
	bool wanted = t->accepted_n != 0;
	int r;

	if (!t->go_ahead)
		return 0;
	if (wanted && l->has_proof)
		proof_sent(&l->proof, t->number, crc32c(0, s->content.p, s->content.n),
			   s->content.n);
	/* A server that says 354 without a recipient gets an empty message (RFC 2920 3.1). */
	r = dialogue_content(&s->dialogue, wanted ? buf_str(&s->content) : STR_NONE);
	if (r < 0 || (r = dialogue_flush(&s->dialogue)) < 0)
		return r;
	t->dot_ns = stage_now();
	return dialogue_reply(&s->dialogue);
}

static void write_ledger(struct session *s, const struct transaction *t)
{
	struct load *l = s->load;
	struct buf line = BUF_INIT(2 * 1024 * 1024);
	char id[64];
	struct ledger_line entry = {
		.sender = str_of(l->plan.from),
		.recipients = buf_str(&t->recipients),
		.size = s->content.n,
		.crc = crc32c(0, s->content.p, s->content.n),
	};

	snprintf(id, sizeof(id), "%s-%llu", l->plan.run, (unsigned long long)t->number);
	entry.id = str_of(id);
	ledger_format(&line, &entry);
	fwrite(line.p, 1, line.n, l->ledger);
	buf_done(&line);
}

static void accepted(struct session *s, const struct transaction *t)
{
	struct load *l = s->load;
	uint64_t now = stage_now();

	histogram_add(&l->whole, now - t->start_ns);
	histogram_add(&l->final, now - t->dot_ns);
	l->end_ns = now;
	l->recipients += t->accepted_n;
	l->octets += s->content.n;
	atomic_fetch_add_explicit(&l->accepted, 1, memory_order_relaxed);
	if (l->has_proof)
		proof_answered(&l->proof, t->number, PROOF_ACCEPTED, t->accepted_n);
	if (l->ledger)
		write_ledger(s, t);
}

static void refused(struct session *s, const struct transaction *t)
{
	struct load *l = s->load;

	if (t->go_ahead && t->accepted_n)
		count_reply(l, stage_names[STAGE_END], dialogue_said(&s->dialogue));
	atomic_fetch_add_explicit(&l->refused, 1, memory_order_relaxed);
	if (l->has_proof)
		proof_answered(&l->proof, t->number, PROOF_REFUSED, 0);
}

static int transact(struct session *s, struct transaction *t) SUSPENDS
{
	int r;

	if ((r = say_envelope(s, t)) < 0 || (r = say_content(s, t)) < 0)
		return r;
	if (t->go_ahead && t->accepted_n && reply_is_positive(dialogue_said(&s->dialogue))) {
		accepted(s, t);
		return 0;
	}
	refused(s, t);
	if (dialogue_said(&s->dialogue)->code == 421)
		return -ECONNRESET;
	return t->opened && !t->go_ahead ? dialogue_command(&s->dialogue, STR("RSET\r\n")) : 0;
}

static int send_message(struct session *s, uint64_t number) SUSPENDS
{
	struct transaction t = {
		.number = number,
		.recipients = BUF_INIT(LOAD_RECIPIENTS_MAX * 300),
	};
	uint64_t before;
	int r;

	buf_clear(&s->content);
	load_message_make(&s->content, &s->load->plan, number);
	s->dialogue.deadline = in_ms(s->load->timeout_ns / MILLISECOND);
	before = atomic_load(&s->load->refused);
	t.start_ns = stage_now();
	r = transact(s, &t);
	/* A message that was refused is counted; only one without any answer failed. */
	if (r < 0 && atomic_load(&s->load->refused) == before)
		count_failure(s->load, "lost", r);
	buf_done(&t.recipients);
	s->sent++;
	return r;
}

/* ---- the session */

static bool is_over(const struct load *l)
{
	return atomic_load(&l->stopping) || (l->count && l->next >= l->count) ||
	       (l->time_ns && stage_now() - l->start_ns >= l->time_ns);
}

/* The next number, when it is due. False: it is over. */
static bool take_number(struct load *l, uint64_t *ret) SUSPENDS
{
	uint64_t number, due;

	if (is_over(l))
		return false;
	number = l->next++;
	if (l->rate) {
		due = l->start_ns + (uint64_t)((double)number * 1e12 / (double)l->rate);
		if (l->time_ns && due >= l->start_ns + l->time_ns)
			return false;
		/* In steps, so that an end is noticed. */
		while (stage_now() < due) {
			uint64_t step = stage_now() + SECOND;

			if (task_sleep_until(due < step ? due : step) < 0 ||
			    atomic_load(&l->stopping))
				return false;
		}
	}
	*ret = number;
	return true;
}

static int connect_session(struct session *s) SUSPENDS
{
	struct load *l = s->load;
	int r;

	s->dialogue.deadline = in_ms(l->timeout_ns / MILLISECOND);
	s->sent = 0;
	l->connects++;
	if ((r = dialogue_connect(&s->dialogue, &l->server)) < 0) {
		count_error(l, "connect", strerror(-r));
		return r;
	}
	if (!reply_is_positive(dialogue_said(&s->dialogue))) {
		count_reply(l, "connect", dialogue_said(&s->dialogue));
		return -ECONNREFUSED;
	}
	if ((r = dialogue_hello(&s->dialogue, l->helo, false)) < 0) {
		count_error(l, "ehlo", strerror(-r));
		return r;
	}
	if (reply_is_positive(dialogue_said(&s->dialogue)))
		return 0;
	count_reply(l, "ehlo", dialogue_said(&s->dialogue));
	return -ECONNREFUSED;
}

static void drop(struct session *s)
{
	dialogue_done(&s->dialogue);
	dialogue_init(&s->dialogue);
}

static void quit(struct session *s) SUSPENDS
{
	s->dialogue.deadline = in_seconds(QUIT_S);
	dialogue_command(&s->dialogue, STR("QUIT\r\n"));
	drop(s);
}

/* One connection, to its end. -errno: it broke. */
static int use_connection(struct session *s) SUSPENDS
{
	struct load *l = s->load;
	uint64_t number;
	int r = connect_session(s);

	while (r == 0 && (!l->per_connection || s->sent < l->per_connection) &&
	       take_number(l, &number))
		r = send_message(s, number);
	if (r == 0)
		quit(s);
	else
		drop(s);
	return r;
}

static void session_task(void *arg)
{
	struct session *s = arg;

	dialogue_init(&s->dialogue);
	s->content = BUF_INIT(s->load->plan.size + 4096);
	while (!is_over(s->load) && s->failures < FAILURES_MAX && !task_is_cancelled()) {
		int r = use_connection(s);

		s->failures = r < 0 && !s->sent ? s->failures + 1 : 0;
		if (r < 0)
			task_sleep_until(in_ms(PAUSE_MS));
	}
	dialogue_done(&s->dialogue);
	buf_done(&s->content);
	mem_free(s);
}

void load_run(struct load *l)
{
	task_group_init(&l->sessions);
	l->start_ns = l->end_ns = stage_now();
	for (uint64_t i = 0; i < l->connections; i++) {
		struct session *s = mem_zalloc(sizeof(*s));

		s->load = l;
		if (task_start(&l->sessions, session_task, s, "load"))
			continue;
		mem_free(s);
		count_error(l, "connect", "no more tasks");
		break;
	}
	task_group_wait(&l->sessions, NEVER);
}
