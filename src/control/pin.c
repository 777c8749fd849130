/*
 * pin - keeps the spool as it is while relevo backup copies it; see answer.h for the protocol.
 *
 * Answer: a line "segment NUMBER OCTETS" for each (the number as in its file's name), then
 * "pinned". Then nothing is deleted until the client sends a line or goes away. The relay works on
 * meanwhile, so the log grows; when room runs out mail comes first: the pin is given up and the
 * client told so.
 */
#include "control/answer.h"

#include "base/mem.h"
#include "spool/spool.h"

#include <errno.h>

#define LOOK_SECONDS 1 /* between two looks at the room that is left */

struct pin {
	struct spool *spool;
	struct spool_extent *extents; /* owned */
	unsigned n;
};

static int pin(void *arg)
{
	struct pin *p = arg;

	p->extents = spool_pin(p->spool, &p->n);
	return 0;
}

/* Until the client is through. False: the pin has to be given up. */
static bool wait_for_client(struct answer *a) SUSPENDS
{
	struct str line;

	while (!a->dead) {
		int r = stream_line(a->stream, CONTROL_LINE_MAX, in_seconds(LOOK_SECONDS), &line);

		if (r != -ETIMEDOUT)
			return r == 1;
		if (!spool_accepts(a->links->spool))
			return false;
	}
	return false;
}

void relay_pin(struct answer *a, struct words *w)
{
	struct pin p = {.spool = a->links->spool};

	(void)w;
	net_offload(pin, &p);
	for (unsigned i = 0; i < p.n; i++) {
		buf_printf(&a->line, "segment %016llx %llu",
			   (unsigned long long)p.extents[i].segment,
			   (unsigned long long)p.extents[i].octets);
		answer_line(a);
	}
	buf_add_lit(&a->line, "pinned");
	answer_line(a);
	a->dead |= stream_flush(a->stream, in_seconds(60)) < 0;
	if (!wait_for_client(a)) {
		buf_add_lit(&a->line,
			    "the copy was given up: the relay stops, or its disk is full");
		answer_error(a);
	}
	spool_unpin(p.spool);
	mem_free(p.extents);
}
