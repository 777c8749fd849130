/*
 * recall - what a recipient's last attempt left in the spool, as an outcome again; see service.h.
 *
 * A deadline comes without an attempt, and a delayed notice tells of recipients whose attempts were
 * made long ago: both repeat what was said then. The spool keeps it as words, "host: 450 4.2.0
 * busy"; here they are taken apart. What is not of that form is told as it stands.
 */
#include "bounce/service.h"

#include "base/mem.h"

static void parse(struct outcome *o, struct str last)
{
	ssize_t at = str_search(last, STR(": "));
	struct str words = at > 0 ? str_from(last, (size_t)at + 2) : last;
	uint64_t code;
	struct str rest;

	if (words.n >= 3 && str_parse_u64(str_sub(words, 0, 3), 599, &code) && code >= 200 &&
	    (words.n == 3 || words.p[3] == ' ')) {
		if (at > 0)
			o->host = str_sub(last, 0, (size_t)at);
		o->reply.code = (uint16_t)code;
		words = str_from(words, 4);
		if (enhanced_parse(words, &o->reply.enhanced, &rest))
			words = rest;
		o->reply.text = words;
		return;
	}
	o->reply.text = last;
}

void recall(struct message *m, uint32_t recipient, struct recalled *ret)
{
	const struct recipient *r = &m->recipients[recipient];

	*ret = (struct recalled){
		.outcome = { .recipient = recipient, .state = RECIPIENT_QUEUED }
	};
	message_lock(m);
	if (r->last)
		ret->last = mem_strdup(r->last);
	message_unlock(m);
	if (ret->last)
		parse(&ret->outcome, str_of(ret->last));
}
