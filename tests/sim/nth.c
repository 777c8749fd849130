/*
 * nth - one small scenario, again and again, in which the N-th call of a kind fails, for every kind
 * and every N; in which the N-th write is cut short, the next one on that file fails, and the relay
 * dies at each of the calls behind that; and in which it dies at its N-th call of all, by itself
 * and with its machine.
 *
 *   nth [--jobs N] [--every N]
 *
 * The scenario (plan_fixed) has a few letters, one with a content file, one that bounces, and a
 * restart. The ledger is the judge, as for seeds. --every N takes each N-th case only. The last
 * line is "N passed, N failed".
 */
#include "sim/children.h"

#include <getopt.h>

#define SEEDS 2			/* variants of the scenario's order of events */

static const int errors[] = { EIO, ENOSPC, 0 };	/* 0: what is drawn for that kind */
#define ERRORS 3
#define WAYS 3				/* to die: the process; the machine, twice */
#define HALF_DEATHS 16			/* calls behind a part of a write; the first: it lives on */
#define HALVES (HALF_DEATHS * 2)	/* the process; the machine */

struct all {
	uint64_t n[CALL_KINDS];		/* calls of a kind, failures not counted */
	uint64_t external;
	uint64_t every;
	uint64_t from;			/* of the list of cases */
	unsigned passed, failed;
};

struct sought {				/* one case */
	uint64_t seed;
	int kind, error;
	uint64_t nth;
	uint64_t die_at;
	unsigned power;
	int death;
};

/* Case number i: first those that fail a call, then parts of writes, then deaths. */
static struct sought case_of(const struct all *all, uint64_t i)
{
	struct sought c = { .kind = -1, .seed = 1 + i % SEEDS };
	uint64_t left = i / SEEDS;

	for (int k = 0; k < CALL_KINDS; k++) {
		if (left < all->n[k] * ERRORS) {
			c.kind = k;
			c.nth = 1 + left / ERRORS;
			c.error = errors[left % ERRORS];
			return c;
		}
		left -= all->n[k] * ERRORS;
	}
	if (left < all->n[CALL_WRITE] * HALVES) {
		c.kind = CALL_WRITE;
		c.nth = 1 + left / HALVES;
		c.error = NTH_HALF;
		c.death = (int)(left % HALF_DEATHS) - 1;
		c.power = left % HALVES >= HALF_DEATHS;
		return c;
	}
	left -= all->n[CALL_WRITE] * HALVES;
	c.die_at = 1 + left / WAYS;
	c.power = left % WAYS != 0;
	c.seed += 100 * (left % WAYS);
	return c;
}

static uint64_t cases(const struct all *all)
{
	uint64_t n = all->external * WAYS + all->n[CALL_WRITE] * HALVES;

	for (int k = 0; k < CALL_KINDS; k++)
		n += all->n[k] * ERRORS;
	return n * SEEDS;
}

static void run_case(void *arg, uint64_t i)
{
	const struct all *all = arg;
	struct sought c = case_of(all, i * all->every);

	sim_begin(c.seed);
	sim.nth_kind = c.kind;
	sim.nth_error = c.error;
	sim.nth_death = c.death;
	sim.nth = c.nth;
	sim.die_at = c.die_at;
	sim.die_power = c.power;
	plan_fixed();
	plan_run();
}

static void run_plain(void *arg, uint64_t seed)
{
	(void)arg;
	sim_begin(seed);
	plan_fixed();
	plan_run();
}

static bool measure(void *arg, uint64_t n, const struct result *r)
{
	struct all *all = arg;

	(void)n;
	if (r->failure[0]) {
		printf("without any failure: %s\n", r->failure);
		all->failed++;
	}
	for (int k = 0; k < CALL_KINDS; k++)
		if (r->calls[k] > all->n[k])
			all->n[k] = r->calls[k];
	if (r->external > all->external)
		all->external = r->external;
	return true;
}

static bool count(void *arg, uint64_t i, const struct result *r)
{
	struct all *all = arg;
	struct sought c = case_of(all, i * all->every);

	if (!r->failure[0]) {
		all->passed++;
		return true;
	}
	all->failed++;
	printf("case %llu at %s: seed %llu, kind %d, call %llu, error %d, death at %llu or %d "
	       "calls later%s: %s\n",
	       (unsigned long long)i, commit_name(), (unsigned long long)c.seed, c.kind,
	       (unsigned long long)c.nth, c.error, (unsigned long long)c.die_at, c.death,
	       c.power ? " with its machine" : "", r->failure);
	fflush(stdout);
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "jobs", 1, NULL, 'j' }, { "every", 1, NULL, 'e' }, { "only", 1, NULL, 'o' },
		{ "trace", 0, NULL, 't' }, { 0 },
	};
	struct all all = { .every = 1 };
	uint64_t jobs = 2, only = UINT64_MAX, n;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'j')
			jobs = strtoull(optarg, NULL, 10);
		else if (o == 'e')
			all.every = strtoull(optarg, NULL, 10);
		else if (o == 'o')
			only = strtoull(optarg, NULL, 10);
		else if (o == 't')
			sim.trace = true;
		else
			return 2;
	}
	if (!jobs || !all.every)
		return 2;
	if (only != UINT64_MAX)
		all.every = 1;
	for (int way = 0; way < WAYS; way++)
		children_run(1, 1 + 100 * (uint64_t)way, SEEDS, run_plain, measure, &all);
	n = (cases(&all) + all.every - 1) / all.every;
	if (only != UINT64_MAX)
		children_run(1, only, 1, run_case, count, &all);
	else
		children_run((unsigned)jobs, 0, n, run_case, count, &all);
	printf("%u passed, %u failed\n", all.passed, all.failed);
	return all.failed != 0;
}
