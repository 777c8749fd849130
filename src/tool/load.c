/*
 * load - relevo load: the command line, the waiting, the report; see load.h.
 *
 * Prints how fast messages were accepted, how long transactions took (the whole, and from the final
 * dot to its reply), and what was answered instead of yes. With --sink a sink is started inside,
 * the relay is to be set up to send there, and every accepted message must arrive once and
 * unchanged: exit code 1 if one is missing, came twice or came different.
 */
#include "tool/load.h"

#include "base/mem.h"
#include "tool/options.h"
#include "tool/tool.h"

#include <errno.h>
#include <unistd.h>

#define PROOF_ROWS_MAX 5000000	/* without --count */
#define LATE (300 * MILLISECOND) /* after the last arrival, for what comes twice */
#define LOOK_AGAIN (100 * MILLISECOND)
#define STOP_MAX (30 * SECOND)	/* for transactions under way at the end of --time */

struct command {
	struct load load;
	const char *server_text, *sink_text, *ledger_path;
	bool json, quiet, sessions;
	uint64_t size, recipients, domains, seed, wait_ns;
	struct sink_settings settings;	/* of the own sink */
	struct sink *sink;
	double cpu_s;
};

static struct command the_command;

/* ---- running */

static void run_task(void *arg) SUSPENDS
{
	struct load *l = arg;

	load_run(l);
	stage_done(&l->stage);
}

static void cancel_sessions(void *arg)
{
	struct load *l = arg;

	task_group_cancel(&l->sessions);
}

/* A second SIGINT ends it at once. */
static void on_interrupt(struct load *l)
{
	if (atomic_exchange(&l->stopping, true))
		_exit(1);
	l->stage.interrupted = false;
}

static uint64_t count(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

static void print_second(const struct load *l, uint64_t *last)
{
	uint64_t accepted = count(&l->accepted);

	fprintf(stderr, "%llu msg/s, %llu accepted, %llu refused, %llu failed\n",
		(unsigned long long)(accepted - *last), (unsigned long long)accepted,
		(unsigned long long)count(&l->refused), (unsigned long long)count(&l->failed));
	*last = accepted;
}

/* Until all sessions have ended. */
static void watch(struct command *c)
{
	struct load *l = &c->load;
	uint64_t last = 0, stop_at = l->time_ns ? stage_now() + l->time_ns + STOP_MAX : UINT64_MAX;

	while (!atomic_load(&l->stage.done)) {
		if (!stage_wait(&l->stage, SECOND) && !c->quiet)
			print_second(l, &last);
		if (l->stage.interrupted)
			on_interrupt(l);
		if (stage_now() > stop_at) {
			stage_call(&l->stage, 0, cancel_sessions, l);
			stop_at = UINT64_MAX;
		}
	}
}

/* Until every accepted message is there, or the time is up, or somebody is impatient. */
static void wait_for_arrivals(struct command *c)
{
	struct stage *s = &c->load.stage;
	uint64_t stop_at = stage_now() + c->wait_ns;
	struct proof_result result;

	atomic_store(&s->done, false);
	do {
		proof_judge(&c->load.proof, &result);
	} while (result.missing && stage_now() < stop_at && !stage_wait(s, LOOK_AGAIN));
	if (!s->interrupted)
		stage_wait(s, LATE);
}

/* ---- the report */

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static double seconds(const struct load *l)
{
	return l->end_ns > l->start_ns ? (double)(l->end_ns - l->start_ns) / 1e9 : 0;
}

static double rate(const struct load *l)
{
	return seconds(l) > 0 ? (double)count(&l->accepted) / seconds(l) : 0;
}

static double cpu_per_message(const struct command *c)
{
	uint64_t n = count(&c->load.accepted);

	return n ? c->cpu_s * 1000 / (double)n : 0;
}

static void print_times(const char *name, const struct histogram *h)
{
	printf("%-22s p50 %.3f  p90 %.3f  p99 %.3f  max %.3f ms\n", name, ms(histogram_at(h, 500)),
	       ms(histogram_at(h, 900)), ms(histogram_at(h, 990)), ms(h->max));
}

static void print_text(const struct command *c, const struct proof_result *p)
{
	const struct load *l = &c->load;

	printf("accepted %llu  refused %llu  failed %llu  in %.3f s: %.0f msg/s\n",
	       (unsigned long long)count(&l->accepted), (unsigned long long)count(&l->refused),
	       (unsigned long long)count(&l->failed), seconds(l), rate(l));
	print_times("whole transaction", &l->whole);
	print_times("final dot to reply", &l->final);
	for (unsigned i = 0; i < l->errors_n; i++)
		printf("%10llu x %s\n", (unsigned long long)l->errors[i].n, l->errors[i].text);
	if (l->has_proof) {
		print_times("until it arrived", &l->proof.arrival);
		printf("proof: complete %llu  missing %llu  duplicate %llu  different %llu  "
		       "refused-but-arrived %llu  strangers %llu\n",
		       (unsigned long long)p->complete, (unsigned long long)p->missing,
		       (unsigned long long)p->duplicate, (unsigned long long)p->different,
		       (unsigned long long)p->unasked,
		       (unsigned long long)count(&l->proof.strangers));
	}
	printf("own processor time %.4f ms per message\n", cpu_per_message(c));
}

static void print_json_times(const char *name, const struct histogram *h)
{
	printf(",\"%s\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name,
	       ms(histogram_at(h, 500)), ms(histogram_at(h, 900)), ms(histogram_at(h, 990)),
	       ms(h->max));
}

static void print_json_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		if ((unsigned char)*s >= ' ')
			putchar(*s);
	}
	putchar('"');
}

static void print_json(const struct command *c, const struct proof_result *p)
{
	const struct load *l = &c->load;

	printf("{\"accepted\":%llu,\"refused\":%llu,\"failed\":%llu,\"recipients\":%llu,\"octets\":"
	       "%llu,\"connections\":%llu",
	       (unsigned long long)count(&l->accepted), (unsigned long long)count(&l->refused),
	       (unsigned long long)count(&l->failed), (unsigned long long)l->recipients,
	       (unsigned long long)l->octets, (unsigned long long)l->connects);
	printf(",\"seconds\":%.6f,\"rate\":%.1f,\"cpu_ms\":%.4f", seconds(l), rate(l),
	       cpu_per_message(c));
	print_json_times("whole_ms", &l->whole);
	print_json_times("final_ms", &l->final);
	printf(",\"errors\":[");
	for (unsigned i = 0; i < l->errors_n; i++) {
		printf("%s{\"n\":%llu,\"text\":", i ? "," : "", (unsigned long long)l->errors[i].n);
		print_json_text(l->errors[i].text);
		printf("}");
	}
	printf("]");
	if (l->has_proof) {
		print_json_times("arrival_ms", &l->proof.arrival);
		printf(",\"proof\":{\"complete\":%llu,\"missing\":%llu,\"duplicate\":%llu,"
		       "\"different\":%llu,\"unasked\":%llu,\"strangers\":%llu}",
		       (unsigned long long)p->complete, (unsigned long long)p->missing,
		       (unsigned long long)p->duplicate, (unsigned long long)p->different,
		       (unsigned long long)p->unasked,
		       (unsigned long long)count(&l->proof.strangers));
	}
	printf("}\n");
}

static int report(const struct command *c)
{
	struct proof_result p = { 0 };

	if (c->load.has_proof)
		proof_judge(&c->load.proof, &p);
	if (c->json)
		print_json(c, &p);
	else
		print_text(c, &p);
	if (p.missing || p.duplicate || p.different || p.unasked)
		return 1;
	return count(&c->load.accepted) && !count(&c->load.failed) ? 0 : 1;
}

/* ---- before and after */

static bool start_sink(struct command *c, struct buf *error)
{
	struct endpoint e;
	int r = -EINVAL;

	c->settings.offers = sink_offers_all();
	c->settings.wants_digest = true;
	c->settings.accepted = proof_arrived;
	c->settings.arg = &c->load.proof;
	c->sink = sink_new(&c->load.stage, &c->settings, 1, 1);
	if (endpoint_parse(str_of(c->sink_text), 0, &e))
		r = sink_listen(c->sink, &e);
	if (r < 0)
		buf_printf(error, "--sink %s: %s", c->sink_text, strerror(-r));
	return r >= 0;
}

static void run_name(char run[16], uint64_t seed)
{
	struct world *w = world_real();
	uint32_t noise;

	/* Other for each run, so that what an earlier one left in a relay is not taken for this
	 * one's. */
	w->random(w, &noise, sizeof(noise));
	snprintf(run, 16, "%08x", noise ^ (uint32_t)seed);
}

static bool prepare(struct command *c, struct buf *error)
{
	struct load *l = &c->load;

	if (!l->count && !l->time_ns)
		l->count = 1000;
	if (c->sessions)
		l->per_connection = 1;
	if (!l->connections || l->connections > 20000)
		buf_add_lit(error, "--connections wants 1 to 20000");
	else if (!c->recipients || c->recipients > LOAD_RECIPIENTS_MAX)
		buf_printf(error, "--recipients wants 1 to %d", LOAD_RECIPIENTS_MAX);
	else if (c->domains > LOAD_DOMAINS_MAX)
		buf_printf(error, "--domains wants at most %d", LOAD_DOMAINS_MAX);
	else if (c->size > UINT32_MAX / 2)
		buf_add_lit(error, "--size wants at most 2047M");
	else if (c->sink_text && l->count > PROOF_ROWS_MAX * 10)
		buf_add_lit(error, "--count wants at most 50000000 with --sink");
	else if (!stage_resolve(c->server_text, 25, &l->server, error))
		return false;
	if (error->n)
		return false;
	l->plan.size = c->size < LOAD_SIZE_MIN ? LOAD_SIZE_MIN : (size_t)c->size;
	l->plan.seed = c->seed;
	l->plan.recipients_n = (unsigned)c->recipients;
	l->plan.domains_n = (unsigned)c->domains;
	run_name(l->plan.run, c->seed);
	l->has_proof = c->sink_text != NULL;
	if (l->has_proof && (!l->count || l->count > PROOF_ROWS_MAX * 10))
		l->count = PROOF_ROWS_MAX;
	return true;
}

static bool open_ledger(struct command *c, struct buf *error)
{
	if (!c->ledger_path)
		return true;
	c->load.ledger = fopen(c->ledger_path, "w");
	if (!c->load.ledger)
		buf_printf(error, "%s: %s", c->ledger_path, strerror(errno));
	return c->load.ledger != NULL;
}

static int measure(struct command *c, struct buf *error)
{
	struct load *l = &c->load;
	bool started;
	int result = 1;

	stage_open(&l->stage, l->has_proof ? 2 : 1);
	if (l->has_proof)
		proof_init(&l->proof, l->plan.run, l->count);
	started = !l->has_proof || start_sink(c, error);
	if (started) {
		double before = stage_cpu_s();

		stage_start_task(&l->stage, 0, run_task, l, "load-run");
		watch(c);
		if (l->has_proof)
			wait_for_arrivals(c);
		c->cpu_s = stage_cpu_s() - before;
	}
	if (c->sink)
		sink_stop(c->sink);
	stage_close(&l->stage);
	if (started)		/* what it reads belonged to the loops until now */
		result = report(c);
	if (c->sink)
		sink_free(c->sink);
	proof_done(&l->proof);
	return result;
}

static int run(struct command *c)
{
	struct buf error = BUF_INIT(4096);
	int r = 2;

	if (prepare(c, &error) && open_ledger(c, &error))
		r = measure(c, &error);
	if (error.n)
		fprintf(stderr, "relevo: %s\n", buf_cstr(&error));
	if (c->load.ledger && fclose(c->load.ledger)) {
		fprintf(stderr, "relevo: %s: %s\n", c->ledger_path, strerror(errno));
		r = 1;
	}
	buf_done(&error);
	return r;
}

static const struct option_row rows[] = {
	{"server", "HOST:PORT", OPTION_TEXT, &the_command.server_text, NULL,
	 "where to (127.0.0.1:2525)"},
	{"connections", "N", OPTION_NUMBER, &the_command.load.connections, NULL, "at once (10)"},
	{"per-connection", "N", OPTION_NUMBER, &the_command.load.per_connection, NULL,
	 "messages on each (no limit)"},
	{"sessions", NULL, OPTION_FLAG, &the_command.sessions, NULL,
	 "a connection for each message"},
	{"count", "N", OPTION_NUMBER, &the_command.load.count, NULL,
	 "messages (1000, or no limit with --time)"},
	{"size", "SIZE", OPTION_SIZE, &the_command.size, NULL, "octets of a message (4K)"},
	{"rate", "RATE", OPTION_RATE, &the_command.load.rate, NULL,
	 "messages per time, as in 100/s (as fast as it goes)"},
	{"recipients", "N", OPTION_NUMBER, &the_command.recipients, NULL, "of each message (1)"},
	{"domains", "N", OPTION_NUMBER, &the_command.domains, NULL,
	 "spread the recipients over d0.DOMAIN, d1.DOMAIN ... (the domain itself)"},
	{"from", "ADDRESS", OPTION_TEXT, &the_command.load.plan.from, NULL, "sender"},
	{"to", "ADDRESS", OPTION_TEXT, &the_command.load.plan.to, NULL,
	 "recipient; with a number before it if several"},
	{"helo", "NAME", OPTION_TEXT, &the_command.load.helo, NULL,
	 "what to call ourselves (localhost)"},
	{"time", "TIME", OPTION_TIME, &the_command.load.time_ns, NULL,
	 "start no message after that"},
	{"timeout", "TIME", OPTION_TIME, &the_command.load.timeout_ns, NULL,
	 "of a transaction (60s)"},
	{"pipelining", NULL, OPTION_FLAG, &the_command.load.pipelining, NULL,
	 "where it is offered"},
	{"seed", "N", OPTION_NUMBER, &the_command.seed, NULL, "of the messages' text (1)"},
	{"ledger", "FILE", OPTION_TEXT, &the_command.ledger_path, NULL,
	 "a line per accepted message"},
	{"sink", "ADDRESS:PORT", OPTION_TEXT, &the_command.sink_text, NULL,
	 "take the mail there and prove its arrival"},
	{"wait", "TIME", OPTION_TIME, &the_command.wait_ns, NULL,
	 "for arrivals after the last message (60s)"},
	{"json", NULL, OPTION_FLAG, &the_command.json, NULL, "the report as JSON"},
	{"quiet", NULL, OPTION_FLAG, &the_command.quiet, NULL, "no line per second"},
	{0},
};

int load_main(int argc, char **argv)
{
	struct command *c = &the_command;
	struct options o = {
		.usage = "relevo load [OPTION]... [HOST:PORT]",
		.purpose = "Sends many messages, measures, and can prove that all arrived. Exit "
			   "code 0: all is well.",
		.rows = rows,
		.operands_max = 1,
	};
	int r;

	c->server_text = "127.0.0.1:2525";
	c->load.helo = "localhost";
	c->load.plan.from = "load@load.example";
	c->load.plan.to = "sink@sink.example";
	c->load.connections = 10;
	c->load.timeout_ns = 60 * SECOND;
	c->wait_ns = 60 * SECOND;
	c->size = 4096;
	c->recipients = 1;
	c->seed = 1;
	r = options_read(&o, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	if (o.operands_n)
		c->server_text = o.operands[0];
	return run(c);
}
