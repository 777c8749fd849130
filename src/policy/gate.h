/*
 * gate - at most so many at once, the others in line: for work in the pool that a peer can ask for
 * (password hashes, questions to a token server).
 *
 * One gate serves all loops. Without it, a few hundred logins would fill the pool's queue, and the
 * disk work of everybody else would wait behind them.
 */
#ifndef POLICY_GATE_H
#define POLICY_GATE_H

#include "net/task.h"

#include <pthread.h>

struct gate {
	pthread_mutex_t lock;
	struct list line; /* of those who wait; first come, first served */
	unsigned inside, inside_max;
	unsigned waiting, waiting_max;
};

void gate_init(struct gate *g, unsigned inside_max, unsigned waiting_max);
void gate_done(struct gate *g); /* nobody is inside or waits */
/*
 * 0: inside; then gate_leave, from whichever loop. -EBUSY: the line is full, -ETIMEDOUT,
 * -ECANCELED: not inside.
 */
int gate_enter(struct gate *g, uint64_t deadline) SUSPENDS;
void gate_leave(struct gate *g);

#endif
