/*
 * sim_log - the log's writer in the simulated world: a line goes into the trace, at once.
 *
 * Stands in for report/writer.c at link time, because the real one writes with plain system calls
 * and from a thread of its own.
 */
#include "report/writer.h"
#include "sim/internet.h"

int writer_open(struct net *n, const struct config *c)
{
	(void)n;
	(void)c;
	return 0;
}

int writer_reopen(const struct config *c)
{
	(void)c;
	return 0;
}

void writer_close(void)
{
}

void writer_flush(void)
{
}

/* Without the time, which stands before the second word, and the newline. */
void writer_line(struct str line)
{
	ssize_t space = str_find(line, ' ');

	if (line.n && line.p[line.n - 1] == '\n')
		line.n--;
	line = str_from(line, (size_t)(space + 1));
	/* Where nothing goes wrong, waiting is by limits alone, and that is no attempt. */
	if (internet.calm && !sim.faults.stops && str_starts(line, STR("deferred")))
		sim_fail("deferred though nothing went wrong: %.*s", (int)line.n, line.p);
	sim_say("%s log %.*s", sim.current ? sim.current->node->name : "?", (int)line.n, line.p);
}

int64_t writer_wall_ms(void)
{
	return sim.wall_ms + (int64_t)(sim.now / MILLISECOND);
}

uint64_t writer_take_dropped(void)
{
	return 0;
}
