/*
 * sim_break - the broken world in which outcomes are recorded before the delivery.
 *
 * The linker sends deliver/'s calls of transaction_run here (--wrap), so no line of the production
 * code knows of it. The other broken worlds are lies of the disk: sim_disk.c.
 */
#include "deliver/transaction.h"
#include "sim/sim.h"
#include "spool/spool.h"

enum transaction_end __real_transaction_run(struct transaction *t);
enum transaction_end __wrap_transaction_run(struct transaction *t);

static void record_too_early(struct transaction *t)
{
	struct outcome *outcomes = mem_calloc(t->n, sizeof(*outcomes));
	struct batch *b = batch_new(t->spool);

	for (unsigned i = 0; i < t->n; i++) {
		outcomes[i].recipient = t->recipients[i];
		outcomes[i].state = RECIPIENT_RELAYED;
	}
	batch_outcomes(b, t->message, outcomes, t->n);
	spool_commit(t->spool, b);
	mem_free(outcomes);
}

enum transaction_end __wrap_transaction_run(struct transaction *t)
{
	if (sim.breakage == BREAK_DONE)
		record_too_early(t);
	return __real_transaction_run(t);
}
