/*
 * children - each seed in a process of its own, a few at once.
 *
 * What a dead relay leaks ends with its process, and an assertion that fails costs one seed.
 */
#ifndef SIM_CHILDREN_H
#define SIM_CHILDREN_H

#include "sim/sim.h"

struct result {
	bool ended;		/* else it crashed */
	uint64_t hash, steps, external, virtual_s;
	unsigned acked, deliveries, notices, deaths;
	struct counts counts;
	uint64_t calls[CALL_KINDS];
	char failure[600];
};

/* run(arg, n) in a child for each n from first on; done(arg, n, result) here, true: go on. */
void children_run(unsigned jobs, uint64_t first, uint64_t n, void (*run)(void *arg, uint64_t n),
		  bool (*done)(void *arg, uint64_t n, const struct result *r), void *arg);

const char *commit_name(void);

#endif
