/*
 * deadline - when a message's sender is warned, and when it is given up. Pure.
 *
 * Both count from the arrival. Bounces, and whatever else has no sender to tell, live as long as
 * bounce_give_up_after and are never warned about (RFC 3461 6.2: no DSN about a null sender). A
 * route's times go before the queue's - for bounces the shorter give-up time counts. A route that
 * says "never" is not warned about.
 */
#include "schedule/schedule.h"

static int64_t after(const struct message *m, uint64_t ns)
{
	int64_t at;

	if (__builtin_add_overflow(m->arrived_ms, (int64_t)(ns / MILLISECOND), &at))
		return INT64_MAX;
	return at;
}

static bool is_returned(const struct message *m)
{
	return m->is_bounce || m->sender_n == 0;
}

int64_t deadline_give_up_ms(const struct config *c, const struct route *r, const struct message *m)
{
	uint64_t own = r ? r->give_up_after_ns : 0;
	uint64_t ns = own ? own : c->queue.give_up_after_ns;

	if (is_returned(m) && c->queue.bounce_give_up_after_ns < ns)
		ns = c->queue.bounce_give_up_after_ns;
	return after(m, ns);
}

int64_t deadline_warn_ms(const struct config *c, const struct route *r, const struct message *m)
{
	uint64_t ns = r && r->has_warn_after ? r->warn_after_ns : c->queue.warn_after_ns;
	int64_t warn = after(m, ns);

	if (!ns || is_returned(m) || warn >= deadline_give_up_ms(c, r, m))
		return INT64_MAX;
	return warn;
}

int64_t deadline_next_ms(const struct config *c, const struct route *r, const struct message *m,
			 bool warned)
{
	int64_t give_up = deadline_give_up_ms(c, r, m), warn = deadline_warn_ms(c, r, m);

	return !warned && warn < give_up ? warn : give_up;
}
