/*
 * callout - see callout.h.
 *
 * What the server says to RCPT is the answer; what it says before that (too busy, not for you) is
 * none: nothing is known of the recipient then. Greylisting at the primary would say 450 to all
 * call-outs and mail alike: its administrator exempts his relay.
 */
#include "deliver/callout.h"

#include "base/mem.h"
#include "deliver/service.h"
#include "policy/recipients.h"
#include "smtp/command.h"

#include <errno.h>

struct callout {
	struct deliver *deliver;
	const struct config *config;
	struct route route;		/* a copy with our time-outs */
	const struct source *source;
	struct str recipient;
	struct candidates candidates;
	struct vouch vouch;
	struct arena words;
	uint64_t until;
};

/* ---- one host */

static bool find_trust(struct callout *x) SUSPENDS
{
	const struct host *h = x->candidates.host;
	const struct vouch_question q = { .config = x->config, .route = &x->route,
					  .dns = x->deliver->dns, .host = h };
	struct trust_facts facts;

	vouch_facts(&q, &x->vouch, &facts);
	x->vouch.decision = trust_decide(&facts);
	x->vouch.trust = (struct trust){
		.level = x->vouch.decision.level,
		.is_implicit = facts.use == TLS_IMPLICIT,
		.context = facts.use == TLS_OFF ? NULL : x->route.tls_context,
		.host = h->name,
		.records = x->vouch.dane.records,
		.records_n = x->vouch.dane.n,
		.names = &h->name,
		.names_n = h->endpoint.path ? 0 : 1,
	};
	return x->vouch.decision.refusal == REFUSED_NOT;
}

static bool add_rcpt(struct buf *line, struct str recipient, unsigned offered)
{
	struct rcpt_command r = { .recipient = address_split(recipient) };

	return rcpt_format(line, &r, offered);
}

static bool add_mail(struct buf *line, struct str recipient, unsigned offered)
{
	const struct mail_command m = { .smtputf8 = !str_is_ascii(recipient) };

	return mail_format(line, &m, offered);
}

static enum failure say(struct client *c, struct buf *line) SUSPENDS
{
	enum failure f = client_write(c, buf_str(line));

	buf_clear(line);
	if (!f)
		f = client_flush(c);
	return f ? f : client_expect(c, 2, CALLOUT_REPLY_NS);
}

/* The server's word, once it talks to us. */
static int ask_client(struct callout *x, struct client *c) SUSPENDS
{
	struct buf line = BUF_INIT(2048);
	enum recipient_word word = WORD_NONE;
	enum failure f = FAIL_UTF8;

	if (add_mail(&line, x->recipient, c->offered))
		f = say(c, &line);
	if (!f && add_rcpt(&line, x->recipient, c->offered)) {
		f = say(c, &line);
		if (!f || failure_is_reply(f))
			word = recipients_word(&c->reader.reply);
	}
	buf_done(&line);
	if (f == FAIL_CANCELLED)
		return -ECANCELED;
	if (!c->broken)
		client_say_quit(c);
	return (int)word;
}

/* *ret_asked: it talked to us; then this is its word. */
static int ask_host(struct callout *x, const struct endpoint *e, bool *ret_asked) SUSPENDS
{
	const struct client_target t = {
		.config = x->config,
		.route = &x->route,
		.source = x->source,
		.endpoint = *e,
		.host = x->candidates.host->name,
		.domain = x->candidates.host->name,
		.trust = &x->vouch.trust,
	};
	struct problem p;
	struct client *c = client_open(&t, &x->words, &p);
	int word;

	if (!c) {
		if (!p.error)
			return -ECANCELED;
		candidates_failed(&x->candidates,
				  p.error->stage == STAGE_CONNECT ? p.error->failure : FAIL_NONE,
				  p.reply.text);
		return WORD_NONE;
	}
	candidates_worked(&x->candidates);
	*ret_asked = true;
	word = ask_client(x, c);
	client_free(c);
	return word;
}

/* ---- all of them */

static int ask_hosts(struct callout *x) SUSPENDS
{
	bool end = false, asked = false;
	int word = WORD_NONE;

	while (!asked && word >= 0 && loop_now() < x->until) {
		struct endpoint e;
		enum failure f = candidates_next(&x->candidates, &e, &end);

		if (f == FAIL_CANCELLED)
			return -ECANCELED;
		if (end)
			break;
		if (f == FAIL_NO_FAMILY)
			continue;
		if (f || !find_trust(x))
			candidates_failed(&x->candidates, FAIL_NONE, STR("no answer"));
		else
			word = ask_host(x, &e, &asked);
	}
	return word;
}

static uint64_t at_most(uint64_t ns, uint64_t most)
{
	return ns && ns < most ? ns : most;
}

/* Any source will do for a question: the first that the route has. */
static const struct source *first_source(const struct route *r)
{
	return r->sources && r->sources->n ? r->sources->members[0].source : NULL;
}

int callout_ask(void *arg, const struct config *c, const struct route *r, struct str recipient)
{
	struct deliver *d = arg;
	struct core *core = &d->cores[loop_index(loop_self())];
	struct callout *x;
	enum failure f;
	int word = WORD_NONE;

	if (r->is_mx || !r->hosts_n || core->stopping)
		return WORD_NONE;
	x = mem_zalloc(sizeof(*x));
	x->deliver = d;
	x->config = c;
	x->route = *r;
	x->route.connect_timeout_ns = at_most(r->connect_timeout_ns, CALLOUT_REPLY_NS);
	x->route.timeout_ns = at_most(r->timeout_ns, CALLOUT_REPLY_NS);
	x->source = first_source(r);
	x->recipient = recipient;
	x->until = loop_now() + CALLOUT_NS;
	x->candidates.means = (struct walk_means){ c, d->dns, d->health, &core->own };
	f = candidates_begin(&x->candidates, &x->route, x->source, STR_NONE);
	if (!f)
		word = ask_hosts(x);
	candidates_done(&x->candidates);
	arena_done(&x->vouch.arena);
	arena_done(&x->words);
	mem_free(x);
	return f == FAIL_CANCELLED ? -ECANCELED : word;
}
