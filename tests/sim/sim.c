/*
 * sim - runs seeds of the simulated world; see docs/design/simulation.md.
 *
 *   sim [--first N] [--seeds N] [--jobs N] [--trace] [--break NAME] [--self-test]
 *
 * The last line is "N passed, N failed". One seed in 25 is run twice and must end with the same
 * hash over everything that happened. --self-test is the test of the test: in worlds in which a
 * promise cannot hold, some seed must fail.
 */
#include "sim/children.h"

#include <getopt.h>
#include <unistd.h>

#define TWICE_EVERY 25
#define SELF_TEST_SEEDS 400

static const char *const breakages[BREAKS] = {
	[BREAK_NOTHING] = "nothing",   [BREAK_EARLY] = "early-250",   [BREAK_DATASYNC] = "datasync",
	[BREAK_FOLDERS] = "folders", [BREAK_DONE] = "early-done", [BREAK_RETRY] = "retry",
	[BREAK_LIMITS] = "limits", [BREAK_FAIRNESS] = "fairness",
	[BREAK_ROTATION] = "rotation", [BREAK_MEMORY] = "memory", [BREAK_CALM] = "calm",
};

/* What is said when it is found; NULL: anything. */
static const char *const findings[BREAKS] = {
	[BREAK_LIMITS] = "limit ", [BREAK_FAIRNESS] = "fairness: ",
	[BREAK_ROTATION] = "rotation: ", [BREAK_MEMORY] = "limit ",
	[BREAK_CALM] = "deferred though nothing went wrong",
};

struct totals {
	uint64_t first, seeds;
	unsigned passed, failed, crashes;
	uint64_t acked, deliveries, notices, deaths, virtual_s, steps;
	uint64_t *hashes;	/* owned: of the first run, one in TWICE_EVERY */
	uint64_t failed_seed;
	struct counts counts;
	bool quiet;
};

static void run_seed(void *arg, uint64_t seed)
{
	(void)arg;
	sim_begin(seed);
	plan_draw();
	plan_run();
}

/* ---- the same again: n counts the seeds that are run twice */

static void run_again(void *arg, uint64_t n)
{
	const struct totals *t = arg;

	run_seed(NULL, t->first + n * TWICE_EVERY);
}

static bool compare(void *arg, uint64_t n, const struct result *r)
{
	struct totals *t = arg;

	if (t->hashes[n] && r->hash != t->hashes[n]) {
		printf("seed %llu: two runs of it differ\n",
		       (unsigned long long)(t->first + n * TWICE_EVERY));
		t->failed++;
	}
	return true;
}

static void tell_failure(uint64_t seed, const struct result *r)
{
	printf("seed %llu at %s: %s\n\tagain with: make sim SEEDS=1 FIRST=%llu TRACE=1\n",
	       (unsigned long long)seed, commit_name(), r->failure, (unsigned long long)seed);
	fflush(stdout);
}

static bool count(void *arg, uint64_t seed, const struct result *r)
{
	struct totals *t = arg;

	t->acked += r->acked;
	t->deliveries += r->deliveries;
	t->notices += r->notices;
	t->deaths += r->deaths;
	t->virtual_s += r->virtual_s;
	t->steps += r->steps;
	t->counts.poisoned += r->counts.poisoned;
	t->counts.full += r->counts.full;
	t->counts.recovered += r->counts.recovered;
	t->counts.torn += r->counts.torn;
	t->counts.swept += r->counts.swept;
	t->counts.damaged += r->counts.damaged;
	t->counts.throttled += r->counts.throttled;
	t->counts.greylisted += r->counts.greylisted;
	t->counts.passes += r->counts.passes;
	t->counts.waits += r->counts.waits;
	t->counts.asked += r->counts.asked;
	if (r->failure[0] && t->quiet && findings[sim.breakage] &&
	    !strstr(r->failure, findings[sim.breakage]))
		return true;
	if (r->failure[0]) {
		t->failed++;
		t->failed_seed = seed;
		if (!t->quiet)
			tell_failure(seed, r);
		return !t->quiet;
	}
	t->passed++;
	if (t->hashes && (seed - t->first) % TWICE_EVERY == 0)
		t->hashes[(seed - t->first) / TWICE_EVERY] = r->hash;
	return true;
}

static void tell_totals(const struct totals *t)
{
	const struct counts *c = &t->counts;

	printf("%llu letters acknowledged, %llu arrived, %llu notices; %llu hours of their time, "
	       "%llu steps\n",
	       (unsigned long long)t->acked, (unsigned long long)t->deliveries,
	       (unsigned long long)t->notices, (unsigned long long)t->virtual_s / 3600,
	       (unsigned long long)t->steps);
	printf("%llu deaths, %u messages recovered, %u torn batches, %u damaged records, "
	       "%u poisoned segments, %u times full, %u messages swept\n",
	       (unsigned long long)t->deaths, c->recovered, c->torn, c->damaged, c->poisoned,
	       c->full, c->swept);
	printf("%u transactions let go, %u times a limit said no; providers refused %u as too much "
	       "and %u as unknown; %u answers of the DNS\n",
	       c->passes, c->waits, c->throttled, c->greylisted, c->asked);
}

/* True: some seed failed, as it must. */
static bool must_fail(enum breakage b, unsigned jobs)
{
	struct totals t = { .quiet = true };

	sim.breakage = b;
	children_run(jobs, 1, SELF_TEST_SEEDS, run_seed, count, &t);
	if (t.failed)
		printf("broken world %s: found, after %u seeds, by seed %llu\n", breakages[b],
		       t.passed + 1, (unsigned long long)t.failed_seed);
	else
		printf("broken world %s: NOT FOUND by %u seeds\n", breakages[b], t.passed);
	return t.failed;
}

static int self_test(unsigned jobs)
{
	unsigned found = 0;

	for (int b = BREAK_NOTHING + 1; b < BREAKS; b++)
		found += must_fail((enum breakage)b, jobs);
	printf("%u passed, %u failed\n", found, BREAKS - 1 - found);
	return found != BREAKS - 1;
}

static enum breakage breakage_find(const char *name)
{
	for (int b = 0; b < BREAKS; b++)
		if (!strcmp(name, breakages[b]))
			return (enum breakage)b;
	fprintf(stderr, "sim: no such breakage: %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "first", 1, NULL, 'f' }, { "seeds", 1, NULL, 's' }, { "jobs", 1, NULL, 'j' },
		{ "trace", 0, NULL, 't' }, { "break", 1, NULL, 'b' },
		{ "self-test", 0, NULL, 'x' }, { 0 },
	};
	uint64_t first = 1, seeds = 1000, jobs = 2;
	struct totals t = { 0 };
	bool test = false;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'f')
			first = strtoull(optarg, NULL, 10);
		else if (o == 's')
			seeds = strtoull(optarg, NULL, 10);
		else if (o == 'j')
			jobs = strtoull(optarg, NULL, 10);
		else if (o == 't')
			sim.trace = true;
		else if (o == 'b')
			sim.breakage = breakage_find(optarg);
		else if (o == 'x')
			test = true;
		else
			return 2;
	}
	if (test)
		return self_test((unsigned)jobs);
	jobs = jobs < 1 ? 1 : jobs > 16 ? 16 : jobs;
	t.first = first;
	t.hashes = sim.trace ? NULL : mem_calloc(seeds / TWICE_EVERY + 1, sizeof(*t.hashes));
	children_run((unsigned)jobs, first, seeds, run_seed, count, &t);
	if (t.hashes)
		children_run((unsigned)jobs, 0, (seeds + TWICE_EVERY - 1) / TWICE_EVERY, run_again,
			     compare, &t);
	mem_free(t.hashes);
	tell_totals(&t);
	printf("%u passed, %u failed\n", t.passed, t.failed);
	return t.failed != 0;
}
