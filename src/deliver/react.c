/*
 * react - what the configuration's rules for replies make of a refusal.
 *
 * Every refusing reply - greeting, EHLO, MAIL, RCPT, DATA, content - is compared with the rules of
 * the destination's provider, then with those for any. What follows:
 *
 *  - slow: the home acts (schedule/); all else is as the code says, another host may be tried.
 *  - pause: likewise, but nothing more is tried now: what one of a provider's hosts says it says
 *    for all. What was not refused for good goes back untried.
 *  - other source: the refusal is about us, not about the mail, even if its code is 5xx: what was
 *    refused stays open, no attempt is counted, and the home picks another source.
 *  - bounce: those concerned fail. defer: they wait, for the rule's time or by the schedule.
 *    Neither asks other hosts: the rule's author knows better.
 *
 * One reply often answers many recipients: a rule is looked for, and logged, once for replies that
 * are the same in one job.
 */
#include "deliver/react.h"

#include "base/hash.h"
#include "report/log.h"

static const char *reaction_name(enum reaction r)
{
	static const char *const names[] = {
		[REACT_NONE] = "none",	   [REACT_SLOW] = "slow",
		[REACT_PAUSE] = "pause",   [REACT_OTHER_SOURCE] = "other-source",
		[REACT_BOUNCE] = "bounce", [REACT_DEFER] = "defer",
	};

	return names[r];
}

static void log_reaction(const struct reactor *r, const struct problem *p)
{
	log_begin(LOG_REACTED);
	if (r->id)
		log_id("id", r->id);
	log_cstr("reaction", reaction_name(r->rule->reaction));
	if (r->rule->duration_ns)
		log_u64("seconds", r->rule->duration_ns / SECOND);
	if (r->slot->destination)
		log_cstr("destination", destination_name(r->slot->destination));
	log_str("provider", r->provider ? name_str(r->provider->name) : STR_NONE);
	log_str("source", name_str(r->slot->source));
	log_str("host", p->host);
	log_reply("reply", &p->reply);
	log_str("rule", r->rule->text);
	log_str("file", str_of(r->rule->place.file));
	log_u64("line", r->rule->place.line);
	log_end();
}

static void ask_home(struct slot *s, enum reaction reaction, uint64_t ns, struct str words)
{
	if (reaction < s->reaction || (reaction == s->reaction && ns <= s->reaction_ns))
		return;
	s->reaction = reaction;
	s->reaction_ns = ns;
	str_copy(s->reacts_to, sizeof(s->reacts_to), words);
}

static void words_of(struct buf *out, const struct problem *p)
{
	if (p->host.n)
		buf_printf(out, "%.*s: ", STR_ARG(str_sub(p->host, 0, 60)));
	reply_describe(out, &p->reply);
}

static void ask_for(const struct reactor *r, const struct problem *p)
{
	struct buf words = BUF_INIT(sizeof(r->slot->reacts_to) - 1);

	words_of(&words, p);
	ask_home(r->slot, r->rule->reaction, r->rule->duration_ns, buf_str(&words));
	buf_done(&words);
}

/* Whom it concerns if no other host is asked. */
static enum scope settled_scope(const struct problem *p)
{
	return p->scope == SCOPE_RECIPIENT ? SCOPE_RECIPIENT : SCOPE_MESSAGE;
}

static void apply(const struct reactor *r, struct problem *p)
{
	switch (r->rule->reaction) {
	case REACT_NONE:
		return;
	case REACT_SLOW:
	case REACT_PAUSE:
		ask_for(r, p);
		return;
	case REACT_OTHER_SOURCE:
		ask_for(r, p);
		p->lasting = TEMPORARY;
		if (p->scope != SCOPE_HOST)
			p->scope = SCOPE_TRY;
		return;
	case REACT_BOUNCE:
		p->lasting = PERMANENT;
		p->scope = settled_scope(p);
		return;
	case REACT_DEFER:
		p->lasting = TEMPORARY;
		p->wait_ns = r->rule->duration_ns;
		p->scope = settled_scope(p);
		return;
	}
}

static uint64_t hash_of(const struct reply *r)
{
	uint64_t numbers = (uint64_t)r->code << 40 | (uint64_t)r->enhanced.class << 32 |
			   (uint64_t)r->enhanced.subject << 16 | r->enhanced.detail;

	return hash_bytes(r->text.p, r->text.n) ^ hash_u64(numbers);
}

void react(struct reactor *r, struct problem *p)
{
	uint64_t seen = hash_of(&p->reply);
	bool is_new = seen != r->last;

	if (!r->config)
		return;
	if (is_new)
		r->rule = config_reply_rule(r->config, r->provider, &p->reply);
	r->last = seen;
	if (!r->rule)
		return;
	if (is_new)
		log_reaction(r, p);
	p->is_ruled = true;
	apply(r, p);
}

bool react_stops(const struct reactor *r)
{
	return r->slot->reaction == REACT_PAUSE || r->slot->reaction == REACT_OTHER_SOURCE;
}

void react_source(struct slot *s, uint64_t ns, struct str why)
{
	ask_home(s, REACT_OTHER_SOURCE, ns, why);
}
