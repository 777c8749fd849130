/*
 * retry - how long to wait after how many failures. Pure.
 *
 * The table is the route's, else the configuration's (queue, retry): the first wait follows the
 * first failure, the last one repeats. Jitter of 10 % to both sides keeps what failed together from
 * coming back together.
 */
#include "schedule/schedule.h"

#define WAIT_DEFAULT (60 * SECOND)	/* without a table */

uint64_t retry_wait_ns(const struct config *c, const struct route *r, unsigned failures,
		       uint32_t random)
{
	bool own = r && r->retry_n;
	const uint64_t *table = own ? r->retry_ns : c->queue.retry_ns;
	unsigned n = own ? r->retry_n : c->queue.retry_n;
	unsigned at = failures > n ? n : failures;
	uint64_t wait = n ? table[at ? at - 1 : 0] : WAIT_DEFAULT;
	uint64_t span = wait / 5;

	return wait - wait / 10 + (uint64_t)((unsigned __int128)span * random >> 32);
}
