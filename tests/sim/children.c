/*
 * children - see children.h. A child writes its result into memory shared with the parent.
 */
#include "sim/children.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS_MAX 64
#define SECONDS_MAX 120		/* of real time, for one seed */

struct child {
	pid_t pid;		/* 0: free */
	uint64_t n;
};

static void fill(struct result *r)
{
	*r = (struct result){ .ended = true, .hash = sim.hash, .steps = sim.steps,
			      .external = sim.external, .counts = sim.counts,
			      .virtual_s = sim.now / SECOND };
	ledger_sum(&r->acked, &r->deliveries, &r->notices);
	for (unsigned i = 0; i < nodes_n; i++)
		r->deaths += nodes[i]->deaths_n;
	memcpy(r->calls, sim.calls, sizeof(r->calls));
	snprintf(r->failure, sizeof(r->failure), "%s", sim.failure);
}

static pid_t begin(struct result *r, void (*run)(void *arg, uint64_t n), void *arg, uint64_t n)
{
	pid_t pid;

	fflush(NULL);
	*r = (struct result){ 0 };
	pid = fork();
	if (pid)
		return pid;
	alarm(SECONDS_MAX);
	run(arg, n);
	fill(r);
	fflush(NULL);
	_exit(0);
}

static void judge(struct result *r, int status)
{
	if (WIFSIGNALED(status)) {
		r->ended = false;
		snprintf(r->failure, sizeof(r->failure), "ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	} else if (!r->ended) {
		snprintf(r->failure, sizeof(r->failure), "ended with status %d",
			 WEXITSTATUS(status));
	}
}

void children_run(unsigned jobs, uint64_t first, uint64_t n, void (*run)(void *arg, uint64_t n),
		  bool (*done)(void *arg, uint64_t n, const struct result *r), void *arg)
{
	struct result *results = mmap(NULL, JOBS_MAX * sizeof(*results), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct child children[JOBS_MAX] = { 0 };
	uint64_t next = first;
	unsigned live = 0;
	bool go_on = true;

	if (results == MAP_FAILED)
		abort();
	while (live || (go_on && next < first + n)) {
		int status, i = 0;
		pid_t pid;

		while (live < jobs && go_on && next < first + n) {
			for (i = 0; children[i].pid; i++)
				;
			children[i] = (struct child){ begin(&results[i], run, arg, next), next };
			next++;
			live++;
		}
		pid = wait(&status);
		if (pid < 0)
			abort();
		for (i = 0; i < JOBS_MAX && children[i].pid != pid; i++)
			;
		judge(&results[i], status);
		go_on &= done(arg, children[i].n, &results[i]);
		children[i].pid = 0;
		live--;
	}
	munmap(results, JOBS_MAX * sizeof(*results));
}

const char *commit_name(void)
{
	static char name[128];
	FILE *f = popen("git describe --always --dirty --tags 2>/dev/null", "r");

	if (!f || !fgets(name, sizeof(name), f))
		snprintf(name, sizeof(name), "no commit");
	name[strcspn(name, "\n")] = 0;
	if (f)
		pclose(f);
	return name;
}
