/*
 * reload - relevo reload: the same as SIGHUP, but with an answer.
 */
#include "control/answer.h"

#include <errno.h>

struct reload {
	const struct control_links *links;
	struct buf messages;
	int result;
};

static int reload_offloaded(void *arg)
{
	struct reload *r = arg;

	return r->result = r->links->reload(r->links->arg, &r->messages);
}

void relay_reload(struct answer *a, struct words *w)
{
	struct reload r = { .links = a->links, .messages = BUF_INIT(ANSWER_LINE_MAX) };
	struct str rest;

	(void)w;
	net_offload(reload_offloaded, &r);
	rest = buf_str(&r.messages);
	while (rest.n) {
		ssize_t end = str_find(rest, '\n');
		struct str line = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);

		rest = str_from(rest, line.n + 1);
		buf_add_str(&a->line, line);
		answer_error(a);
	}
	buf_done(&r.messages);
	a->code = r.result < 0;
	if (r.result == -ESHUTDOWN)
		buf_add_lit(&a->line, "The relay is shutting down; nothing was changed.");
	else if (r.result < 0)
		buf_add_lit(&a->line, "The old configuration stays in force.");
	else
		buf_add_lit(&a->line, "The new configuration is in force.");
	answer_line(a);
}
